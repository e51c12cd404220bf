"""Drifts in logs: found where a quantity moves without a command, not where it is steady or obeys one."""

import numpy as np
import pytest

from reconstruct.validation.rules.file_times import SECOND
from reconstruct.validation.sensors.drifts import drifts_of
from reconstruct.validation.sensors.records import LoggedSensor, SensorRecord
from reconstruct.validation.sensors.tracks import SensorTracks

T0 = 1_750_000_000 * SECOND
HOUR = np.arange(0.0, 3600.0, 2.0)


def logged(channel: str, unit: str, values: np.ndarray, kind: str = "measured") -> LoggedSensor:
    return LoggedSensor(channel, unit, T0 + np.round(HOUR * SECOND).astype(np.int64), values, kind)


def log_of(*sensors: LoggedSensor) -> SensorTracks:
    return SensorTracks(SensorRecord("log", sensors, T0, T0 + 3600 * SECOND))


def noise(seed: int, size: float) -> np.ndarray:
    return size * np.random.default_rng(seed).standard_normal(len(HOUR))


def seconds(time: int) -> float:
    return (time - T0) / SECOND


@pytest.mark.parametrize("first", [0, 20])
@pytest.mark.slow
def test_steady_quantities_do_not_drift(first: int):
    """The noise is larger than the change that matters (1 K, 50 nm, 1 mrad, 3 V)."""
    for seed in range(first, first + 20):
        log = log_of(
            logged("holder.temperature", "kelvin", 300.0 + noise(seed, 3.0)),
            logged("stage.x", "angstrom", noise(seed + 100, 1500.0)),
            logged("stage.alpha", "radian", noise(seed + 200, 3e-3)),
            logged("gun.high_tension", "volt", 3e5 + noise(seed + 300, 10.0)),
        )
        assert drifts_of(log, list(log.tracks)) == []


@pytest.mark.smoke
def test_a_drift_is_found_with_its_size_and_time():
    change = np.interp(HOUR, [1000.0, 1600.0], [0.0, -25.0])
    log = log_of(logged("holder.temperature", "kelvin", 300.0 + change + noise(1, 0.3)))
    (drift,) = drifts_of(log, ["temperature"])
    assert abs(seconds(drift.first) - 1000.0) < 60.0
    assert abs(seconds(drift.last) - 1600.0) < 60.0
    assert drift.change == pytest.approx(-25.0, abs=3.0)
    assert 0.0 < drift.error < 0.5
    assert drift.command == "not logged"
    assert "temperature moved by -2" in drift.words
    assert "2025-06-15 15:2" in drift.words and drift.words.count("2025-06-15") == 1  # noqa: PT018
    assert drifts_of(log, ["stage.x"]) == [], "no file claims a temperature"
    small = log_of(logged("holder.temperature", "kelvin", 300.0 + 0.02 * change + noise(1, 0.01)))
    assert drifts_of(small, ["temperature"]) == [], "half a kelvin is significant and does not matter"


def test_steps_of_a_ramp_are_apart_and_turns_end_a_drift():
    stairs = np.interp(HOUR, [300.0, 400.0, 1500.0, 1600.0, 2500.0, 2600.0], [0.0, 50.0, 50.0, 100.0, 100.0, 30.0])
    log = log_of(logged("holder.temperature", "kelvin", 300.0 + stairs + noise(2, 0.2)))
    moved = drifts_of(log, ["temperature"])
    assert [round(drift.change, -1) for drift in moved] == [50.0, 50.0, -70.0]
    assert [round(seconds(drift.first), -2) for drift in moved] == [300.0, 1500.0, 2500.0]


@pytest.mark.parametrize(
    ("channel", "field", "unit"),
    [("gun.high_tension", "high_tension", "volt"), ("stage.alpha", "stage.alpha", "radian")],
)
def test_what_is_commanded_is_no_drift(channel: str, field: str, unit: str):
    size = {"volt": 1e5, "radian": 0.1}[unit]
    obeying = np.where(HOUR < 1200.0, 2.0, 1.0) + noise(3, 1e-5)
    slipping = np.interp(HOUR, [2000.0, 2500.0], [0.0, 1e-2])
    command = np.where(HOUR < 1190.0, 2.0, 1.0)
    log = log_of(
        logged(channel, unit, size * (obeying + slipping)), logged(f"{channel}.commanded", unit, size * command, "echo")
    )
    (drift,) = drifts_of(log, [field])
    assert drift.command == "none"
    assert "without a command" in drift.words
    assert abs(seconds(drift.first) - 2000.0) < 60.0
    alone = log_of(logged(channel, unit, size * (obeying + slipping)))
    assert len(drifts_of(alone, [field])) == 2, "without a log of commands both may have been commanded"


def test_a_command_the_other_way_does_not_excuse():
    values = np.interp(HOUR, [1000.0, 1500.0], [400.0, 380.0]) + noise(4, 0.1)
    up = logged("temperature", "kelvin", np.where(HOUR < 900.0, 400.0, 420.0), "echo")
    log = log_of(logged("holder.temperature", "kelvin", values), up)
    assert [round(drift.change, -1) for drift in drifts_of(log, ["temperature"])] == [-20.0]
