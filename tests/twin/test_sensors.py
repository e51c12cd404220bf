"""Sensors: only measured channels, with the right rows."""

import numpy as np
import pytest

from reconstruct.api.models import load_model
from twin.channels import channel
from twin.sensors import Sensor


def test_only_measured_channels_are_evidence():
    assert {channel(sensor.channel).kind for sensor in load_model("probe").evidence} == {"measured"}


def test_rows_turn_the_state_into_readings():
    column = load_model("probe", {"energy": 300e3, "energy.ppm": 0.3, "black.nominal": 90.0})
    layout = column.layout
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
    models = {sensor.channel: sensor for sensor in column.evidence}
    read = {name: sensor.offset + sensor.row(layout) @ state for name, sensor in models.items()}
    assert read["gun.high_tension"] == pytest.approx(300e3 + 2e-6 * 300e3 - 30.0)
    assert read["objective.current"] == pytest.approx(4.5e-6)
    assert read["objective.temperature"] == pytest.approx(295.2)
    assert read["haadf.black"] == pytest.approx(93.0)
    assert all(sensor.noise > 0 for sensor in models.values())


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="no entry 'focus'"):
        Sensor("gun.high_tension", {"focus": 1.0}, 0.0, 1.0).row(load_model("probe").layout)
    with pytest.raises(ValueError, match=r"unknown channel 'gun\.colour'"):
        channel("gun.colour")
