"""Sensors: only measured channels, with the right rows."""

import numpy as np
import pytest

from twin.channels import CHANNELS, channel
from twin.sensors import Sensor, standard_sensors
from twin.sensors import column as sensors
from twin.state import standard_layout


def test_only_measured_channels_are_evidence(monkeypatch):
    assert {channel(name).kind for name in standard_sensors()} == {"measured"}

    def echo(name):
        described = channel(name)
        return next(c for c in CHANNELS if c.kind == "echo") if name == "objective.current" else described

    monkeypatch.setattr(sensors, "channel", echo)
    with pytest.raises(ValueError, match=r"objective\.current is of kind 'echo'"):
        standard_sensors()


def test_rows_turn_the_state_into_readings():
    layout = standard_layout()
    state = np.zeros(len(layout))
    for name, value in {
        "HT": 2.0,
        "HT.bias": -30.0,
        "current": 0.5,
        "current.bias": 4.0,
        "T": 0.2,
        "T.bias": 295.0,
        "black": 3.0,
    }.items():
        state[layout.index(name)] = value
    models = standard_sensors(300e3, 90.0)
    read = {name: sensor.offset + sensor.row(layout) @ state for name, sensor in models.items()}
    assert read["gun.high_tension"] == pytest.approx(300e3 + 2e-6 * 300e3 - 30.0)
    assert read["objective.current"] == pytest.approx(4.5e-6)
    assert read["objective.temperature"] == pytest.approx(295.2)
    assert read["haadf.black"] == pytest.approx(93.0)
    assert all(sensor.noise > 0 for sensor in models.values())


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="no entry 'focus'"):
        Sensor("gun.high_tension", {"focus": 1.0}, 0.0, 1.0).row(standard_layout())
    with pytest.raises(ValueError, match=r"unknown channel 'gun\.colour'"):
        channel("gun.colour")
