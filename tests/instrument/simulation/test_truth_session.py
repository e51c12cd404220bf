"""The true holder, emitter and stage, and their state in a session without a specimen."""

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from instrument.core.interface import InstrumentError
from instrument.simulation.instrument import SimulatedConfig, TruthSession, from_mapping, presets

CALM = SimulatedConfig(room_swing=0.0, room_flicker=0.0, dropout=0.0, outlier=0.0, stuck_count=0)
POSITION_NAMES = ["specimen.x", "specimen.y"]


def specimen_position(session: TruthSession, t: np.ndarray) -> np.ndarray:
    state = session.state(POSITION_NAMES, t)
    return np.stack([state[name] for name in POSITION_NAMES], axis=1)


def heated(**changes: Any) -> TruthSession:
    session = TruthSession(replace(CALM, **changes), 3)
    session.apply(100.0, {"holder.temperature": 395.6})
    session.apply(130.0, {"holder.temperature": 345.6})
    session.apply(900.0, {"holder.temperature": 0.0})
    return session


def test_the_holder_follows_its_set_point_and_the_room_when_off():
    session = heated(holder_gain_error=0.01)
    t = np.arange(0.0, 1200.0, 0.25)
    temperature = session.state(["holder.temperature"], t)["holder.temperature"]
    expected = np.full(len(t), 295.6)
    for start, goal in ((100.0, 395.6), (130.0, 345.6), (900.0, 295.6)):
        initial = np.interp(start, t, expected)
        expected = np.where(t > start, goal + (initial - goal) * np.exp(-np.maximum(t - start, 0) / 6.0), expected)
    np.testing.assert_allclose(temperature, expected, atol=1e-9)
    read = session.arrivals(1200.0, ["holder.temperature", "holder.temperature.commanded"])
    reading_times = (read[0].times - session.epoch) / 1e9 - session.sensors.clocks()["holder"]
    gain = session.facts()["holder_gain_error"]
    offset = read[0].values - np.interp(reading_times, t, temperature) * (1 + gain)
    assert 1e-4 < abs(gain) < 0.04
    assert np.std(offset) < 0.03
    assert abs(np.mean(offset)) < 1
    assert [value for value, _ in groupby(read[1].values)] == [0.0, 395.6, 345.6, 0.0]


def test_an_unheated_holder_is_as_warm_as_the_room():
    session, t = TruthSession(seed=1), np.linspace(0.0, 900.0, 91)
    state = session.state(["holder.temperature", "room"], t)
    np.testing.assert_allclose(state["holder.temperature"], 295.6 + state["room"], atol=1e-12)
    warm = TruthSession(seed=1)
    warm.apply(10.0, {"holder.temperature": 400.0})
    late = warm.state(["holder.temperature"], t[t > 200])["holder.temperature"]
    np.testing.assert_allclose(late, 400.0, atol=1e-9)  # held, whatever the room does


def test_the_specimen_drifts_as_the_holder_warms_behind_two_lags():
    t = np.arange(0.0, 1500.0, 10.0)
    moved = specimen_position(heated(holder_drift=(0.35, -0.2)), t) - specimen_position(heated(), t)

    def arrived(since: np.ndarray) -> np.ndarray:
        s = np.maximum(since, 0)
        return 1 - (90 * np.exp(-s / 90) - 6 * np.exp(-s / 6)) / 84

    followed = 100 * arrived(t - 100) - 50 * arrived(t - 130) - 50 * arrived(t - 900)
    np.testing.assert_allclose(moved, followed[:, None] * [0.35, -0.2], atol=0.02)
    assert np.abs(moved[:, 0]).max() > 15


def test_sessions_differ_in_how_their_holders_drift():
    config = SimulatedConfig(holder_drift=(0.35, -0.2), holder_drift_spread=0.3)
    facts = [TruthSession(config, seed).facts() for seed in range(200)]
    for axis, size in (("x", 0.35), ("y", -0.2)):
        share = np.array([f[f"holder_drift.{axis}"] for f in facts]) / size
        assert np.mean(share) == pytest.approx(1, abs=0.08)
        assert np.std(share) == pytest.approx(0.3, rel=0.2)


def test_emission_falls_by_no_exponential_and_a_flash_brings_it_back():
    t = np.array([0.0, 1799.0, 1801.0, 3600.0, 5400.0])
    plain = TruthSession(SimulatedConfig(), 6)
    aged = TruthSession(SimulatedConfig(emission_decay=0.2, beam_follows=0.5), 6)
    for session in (plain, aged):
        session.apply(1800.0, {"flash": 1.0})
    names = ["emission", "beam", "C10"]
    a, b = aged.state(names, t), plain.state(names, t)
    left = 1 + (a["emission"] - b["emission"]) / 5e-5
    assert left[0] == pytest.approx(1, abs=1e-12)  # the start of the session is what all is relative to
    assert left[1] < 0.97
    fresh, hour = (1 + (s := aged.column.gun.relative_decay(np.array([1800.0, 5400.0]), aged.log)))[:2]
    assert s.shape == (2,)
    assert hour / fresh == pytest.approx(0.8, rel=1e-12)
    assert left[2] == pytest.approx(fresh, rel=1e-3)
    assert fresh > 1.1  # above where the session began, half an hour after the last flash
    falls = -np.diff(np.log(left[2:]))
    assert falls[0] > 2 * falls[1]  # an exponential would fall alike
    np.testing.assert_allclose(a["beam"] - b["beam"], 0.5 * (left - 1), atol=1e-12)
    np.testing.assert_array_equal(a["C10"], b["C10"])
    read, flash_time = aged.arrivals(2000.0, ["gun.emission"])[0], 1800.0
    seconds = (read.times - aged.epoch) / 1e9
    jump = np.median(read.values[(seconds > flash_time) & (seconds < flash_time + 9)]) - np.median(
        read.values[(seconds > flash_time - 10) & (seconds < flash_time - 1)]
    )
    assert jump == pytest.approx(5e-5 * (left[2] - left[1]), rel=0.1)
    lowered = TruthSession(SimulatedConfig(emission_decay=0.2), 6)
    lowered.apply(10.0, {"flash": 2.0})
    lowered.apply(500.0, {"flash": 1.0})
    faded = lowered.column.gun.relative_decay(np.array([499.0, 501.0]), lowered.log)
    assert 0 < faded[0] - faded[1] < 1e-3  # a counter set lower flashes nothing


def test_creep_grows_with_the_move_and_the_logarithm_of_time():
    t = 14.0 + np.array([0.0, 2.0, 30.0, 600.0])
    logs = np.log1p((t - 14.0) / 2.0)
    sizes = []
    for seed in range(20):
        crept = []
        for length in (5e4, 1e5):
            proportional, constant = (TruthSession(SimulatedConfig(creep_share=share), seed) for share in (6e-4, 0.0))
            for session in (proportional, constant):
                assert session.apply(10.0, {"stage.x": 0.6 * length, "stage.y": 0.8 * length}) == 14.0
            crept.append(specimen_position(proportional, t) - specimen_position(constant, t))
        np.testing.assert_allclose(crept[0][:, 0], 0.75 * crept[0][:, 1], atol=1e-6)
        np.testing.assert_allclose(crept[0][:, 1] / 0.8, crept[0][-1, 1] / 0.8 * logs / logs[-1], atol=1e-6)
        np.testing.assert_allclose(crept[1], 2 * crept[0], rtol=1e-6, atol=1e-6)
        sizes.append(crept[0][-1, 1] / 0.8 / logs[-1])
    assert np.exp(np.mean(np.log(sizes))) == pytest.approx(30, rel=0.3)


def test_state_tells_what_it_is_asked_and_refuses_the_rest():
    session = TruthSession(presets()["session"], 8)
    t = np.array([700.0, 0.0, 30.0])
    state = session.state(session.names(), t)
    assert list(state) == list(session.names())
    assert all(value.shape == (3,) and value.dtype == np.float64 for value in state.values())
    assert all(np.isfinite(value).all() for value in state.values())
    assert state["coil"][1] == state["lagged"][1] == 0
    single = session.state(["C21.b"], [30.0])
    assert list(single) == ["C21.b"]
    assert single["C21.b"][0] == state["C21.b"][2]
    assert set(state["clock.stage"]) == {session.sensors.clocks()["stage"]}
    assert sorted(session.sensors.clocks().values())[-1] == 3.0
    shaken = session.state(POSITION_NAMES, t, vibration=True)
    assert 0 < np.abs(shaken["specimen.x"] - state["specimen.x"]).max() < 0.3
    with pytest.raises(ValueError, match=r"unknown quantities \['focus'\]"):
        session.state(["focus"], t)
    for bad in (-1.0, np.nan):
        with pytest.raises(ValueError, match="before the session"):
            session.state(["C10"], [bad])


def test_commands_are_given_in_order_and_refused_as_the_microscope_does():
    session = TruthSession(seed=0)
    assert session.apply(5.0, {"stage.x": 100.0}) == 9.0
    for t in (8.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"the last one holds from 9\.0 s"):
            session.apply(t, {"C10": 1.0})
    for changes in ({"focus": 1.0}, {"C10": 3000.0}, {"holder.temperature": -1.0}, {"flash": np.nan}):
        with pytest.raises(InstrumentError):
            session.apply(20.0, changes)
    assert len(session.log.times) == 2


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"lens_plays": [[60.0, 0.6], [250.0, 0.5]]}, ["lens_plays", "less than one"]),
        ({"lens_plays": [[-60.0, 0.1]]}, ["lens_plays", "zero or more"]),
        ({"lens_plays": [[60.0, float("nan")]]}, ["lens_plays", "finite"]),
        ({"emission_decay": 0.95}, ["emission_decay", "at most"]),
        ({"emission_power": 1e-3}, ["emission_power", "at least"]),
        ({"beam_follows": 1.5}, ["beam_follows", "at most"]),
        ({"stuck_count": 99}, ["stuck_count", "at most"]),
        ({"holder_lag": 0.0}, ["holder_lag", "above zero"]),
        ({"delay_max": -1.0}, ["delay_max", "zero or more"]),
    ],
)
def test_bad_configuration_names_the_key(values, words):
    with pytest.raises(ValueError) as caught:
        from_mapping(values)
    assert all(word in str(caught.value) for word in words), str(caught.value)
