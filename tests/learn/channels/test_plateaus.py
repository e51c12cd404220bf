"""Runs of equal values in a log: held, stuck or saturated, and which values enter noise and drift."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from instrument.readers import close_reader, read_log
from learn.channels.classify import ChannelReport, describe_channel
from learn.channels.noise import Drift, TooFew, learn_drift
from learn.channels.plateaus import find_plateaus, informative_values, noise_at_rest

STEP = 0.001


def rounded(values: np.ndarray) -> np.ndarray:
    return np.round(values / STEP) * STEP


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


def report_of(data: Path, name: str) -> ChannelReport:
    (channel,) = read_log(data / name).channels
    return describe_channel((channel.times - channel.times[0]) / 1e9, channel.values, unit="kelvin")


def clipped() -> tuple[np.ndarray, np.ndarray]:
    """Up by 0.2 K/s with noise of 0.02 K to the end of the range at 50 degC, for 700 readings more."""
    t = np.arange(0.0, 125.0, 0.1)
    x = 40.0 + 0.2 * t + 0.02 * np.random.default_rng(0).standard_normal(len(t))
    return t, rounded(np.minimum(x, 50.0))


def held() -> tuple[np.ndarray, np.ndarray]:
    """Held, up by 1 K/s, held for 70 s; readings are late by 3 ms, which is all their noise."""
    t = np.arange(0.0, 100.0, 0.1)
    late = t + 0.003 * np.random.default_rng(1).standard_normal(len(t))
    return t, rounded(np.interp(late, [0.0, 5.0, 30.0, 100.0], [25.0, 25.0, 50.0, 50.0]))


def test_the_end_of_a_range_is_found_and_left_out():
    t, x = clipped()
    report = describe_channel(t, x, unit="kelvin")
    (plateau,) = report.plateaus
    assert (plateau.kind, plateau.value) == ("saturated", 50.0)
    assert plateau.count > 730
    assert "saturated" in report.kinds
    assert isinstance(report.drift, Drift)
    assert report.drift.noise.value == pytest.approx(0.02, abs=3 * (report.drift.noise.error or 0.0))
    assert report.rest is None
    before = learn_drift(t[: plateau.first], x[: plateau.first], STEP, "kelvin")
    assert isinstance(before, Drift)
    assert report.drift.noise == before.noise


def test_a_hold_is_found_and_limits_the_noise_at_rest():
    t, x = held()
    report = describe_channel(t, x, unit="kelvin")
    assert [plateau.kind for plateau in report.plateaus] == ["held", "held"]
    assert report.plateaus[1].seconds == pytest.approx(70.0, abs=0.3)
    assert report.rest is not None
    assert report.rest.at_most
    # with that noise, all of the values would stay in their step in one log of twenty, and with twice of it never
    count = sum(plateau.count - 1 for plateau in report.plateaus)
    rng = np.random.default_rng(2)
    inside = np.abs(report.rest.value * rng.standard_normal((2000, count))).max(axis=1) < STEP / 2
    assert inside.mean() == pytest.approx(0.05, abs=0.02)
    assert isinstance(report.drift, Drift)  # and noise and drift are learnt though the last 700 values are all the same
    assert report.drift.noise.value < 0.01


def test_a_sensor_that_sticks_in_the_middle_is_stuck():
    x = rounded(25.0 + 0.02 * np.random.default_rng(3).standard_normal(800))
    x[300:400] = x[300]
    (plateau,) = describe_channel(0.1 * np.arange(800), x).plateaus
    assert (plateau.kind, plateau.first, plateau.last) == ("stuck", 300, 399)
    assert informative_values(800, (plateau,)).sum() == 700


@pytest.mark.parametrize("noise", [0.3, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(5))
def test_noise_of_about_a_step_makes_no_plateaus(noise: float, seed: int):
    rng = np.random.default_rng(seed)
    x = np.round(noise * rng.standard_normal(3000) + rng.uniform())
    assert find_plateaus(np.arange(3000.0), x, 1.0) == ()


def test_values_that_are_all_the_same_are_a_constant():
    x = np.full(500, 7.0)
    report = describe_channel(np.arange(500.0), x)
    assert report.plateaus == ()
    assert "constant" in report.kinds
    assert isinstance(report.drift, TooFew)
    assert noise_at_rest((), STEP, "") is None


def test_a_drift_of_values_that_end_the_same_is_too_few_and_not_an_error():
    x = np.concatenate([np.arange(100.0), np.full(700, 99.0)])
    assert isinstance(learn_drift(np.arange(800.0), x), TooFew)


@pytest.mark.slow
def test_real_logs(data: Path):
    saturated = report_of(data, "spoiled/protochips-saturated.csv")
    (plateau,) = saturated.plateaus
    assert (plateau.kind, plateau.count) == ("saturated", 751)
    assert isinstance(saturated.drift, Drift)
    assert saturated.drift.noise.value == pytest.approx(0.0196, abs=0.001)
    thermal = report_of(data, "holders/protochips_thermal.csv")
    assert [plateau.kind for plateau in thermal.plateaus] == ["held"] * 3
    assert thermal.rest is not None
    assert thermal.rest.value < 2e-4
    for name in ("bom", "cut-last-value"):
        drift = report_of(data, f"spoiled/protochips-{name}.csv").drift
        assert isinstance(drift, Drift)
        assert drift.drift is not None
        assert (drift.process, drift.drift.value) == ("trend", pytest.approx(0.148, abs=0.01))
