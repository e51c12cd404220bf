"""The true objective lens: the user's zero, hysteresis, heat after a change of mode."""

from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from instrument.core.interface import InstrumentError
from instrument.simulation.instrument import SimulatedConfig, TruthSession

PLAYS = ((60.0, 0.03), (250.0, 0.03), (900.0, 0.04))
HALF = sum(width * weight for width, weight in PLAYS)  # A, half the height of the largest loop
STILL = SimulatedConfig(
    c10_walk=0.0, c10_zero_sigma=0.0, c10_per_kelvin=0.0, ht_ppm=0.0, current_ppm=0.0, lens_gain_error=0.0,
    lens_lag_shares=(0.0, 0.0), lens_play=0.0, lens_plays=PLAYS,
)  # fmt: skip


def focus(commands: list[float], hold: float = 5.0, seed: int = 0, **changes: Any) -> np.ndarray:
    """Actual C10 in A at the end of each command, each held for ``hold`` s."""
    session = TruthSession(replace(STILL, **changes), seed)
    for number, command in enumerate(commands):
        session.apply(1.0 + hold * number, {"C10": command})
    return session.state(["C10"], 1.0 + hold * (np.arange(len(commands)) + 0.999))["C10"]


def channel_values(session: TruthSession, until: float, name: str) -> np.ndarray:
    return session.arrivals(until, [name])[0].values


@pytest.mark.parametrize("plays", [(), PLAYS])
def test_a_reset_of_the_display_moves_nothing_in_the_lens(plays):
    config = SimulatedConfig(lens_plays=plays, play_rate=2.0)
    reset, plain = TruthSession(config, 2), TruthSession(config, 2)
    for session in (reset, plain):
        session.apply(5.0, {"C10": 123.4})
        session.apply(20.0, {"C10": -77.7, "C10.zero": 40.3})
    reset.apply(30.0, {"C10": 0.0, "C10.zero": 40.3 - 77.7})
    t = np.linspace(0.0, 60.0, 601)
    np.testing.assert_allclose(reset.state(["C10"], t)["C10"], plain.state(["C10"], t)["C10"], rtol=0, atol=1e-11)
    np.testing.assert_array_equal(
        channel_values(reset, 60.0, "lens.objective"), channel_values(plain, 60.0, "lens.objective")
    )
    assert [value for value, _ in groupby(channel_values(reset, 60.0, "C10.commanded"))] == [0.0, 123.4, -77.7, 0.0]
    assert channel_values(plain, 60.0, "lens.objective")[-1] == pytest.approx(0.8547 + 4e-8 * (40.3 - 77.7), abs=1e-15)


def test_the_zero_moves_the_lens_when_c10_stays():
    session = TruthSession(replace(STILL, lens_plays=()))
    session.apply(5.0, {"C10.zero": 5000.0})
    c10_before, c10_after = session.state(["C10"], [4.9, 5.1])["C10"]
    assert c10_after - c10_before == pytest.approx(5000.0)
    with pytest.raises(InstrumentError, match="out of range"):
        session.apply(6.0, {"C10.zero": 1.1e5})


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_minor_loop_closes(seed):
    path = [800.0, 100.0, 400.0, 100.0, 400.0, 100.0]
    actual = focus(path, seed=seed)
    assert actual[1] == pytest.approx(actual[3], abs=1e-9)
    assert actual[3] == pytest.approx(actual[5], abs=1e-9)
    assert actual[2] == pytest.approx(actual[4], abs=1e-9)


def test_a_larger_excursion_wipes_out_a_smaller_one():
    final_values = [focus([600.0, *inner, 700.0, -100.0, 50.0])[-3:] for inner in ([], [100.0, 300.0, 50.0, 500.0])]
    np.testing.assert_allclose(final_values[1], final_values[0], atol=1e-9)
    assert abs(focus([800.0, 300.0])[1] - focus([300.0])[0]) > 1  # and one that is not larger does not


def test_the_largest_loop_is_as_high_as_its_plays_and_forgets_what_was_before():
    down, up = ([focus([side, 0.0], seed=seed)[1] for seed in range(6)] for side in (2000.0, -2000.0))
    np.testing.assert_allclose(down, HALF, rtol=1e-9)
    np.testing.assert_allclose(up, -HALF, rtol=1e-9)
    start = [TruthSession(STILL, seed).state(["C10"], [0.0])["C10"][0] for seed in range(20)]
    assert np.ptp(start) > 5  # what was before the session is nobody's knowledge
    assert np.abs(start).max() <= HALF


def test_c10_never_goes_against_its_command():
    path = list(np.random.default_rng(0).uniform(-1500, 1500, 60))
    steps = np.array([[b - a, y - x] for (a, b), (x, y) in zip(pairwise(path), pairwise(focus(path)), strict=True)])
    assert np.all(steps[:, 0] * steps[:, 1] > 0)


def test_normalising_erases_the_path_and_is_reproducible():
    ends = []
    for seed, path in ((0, [1500.0, -300.0, 80.0]), (0, [80.0]), (1, [-900.0, 80.0])):
        session = TruthSession(replace(STILL, play_rate=2.0), seed)
        for number, command in enumerate(path):
            session.apply(1.0 + number, {"C10": command})
        c10_before = session.state(["C10"], [9.0])["C10"][0]
        session.apply(10.0, {"normalise": 1.0})
        ends.append([c10_before, *session.state(["C10"], [10.0, 200.0])["C10"]])
        session.apply(20.0, {"C10": 400.0})
        session.apply(40.0, {"normalise": 0.0})  # lowering the counter asks for nothing
        ends[-1].append(session.state(["C10"], [60.0])["C10"][0])
    ends = np.array(ends)
    assert np.ptp(ends[:, 0]) > 1
    np.testing.assert_allclose(ends[:, 1], 80.0 + HALF, rtol=1e-12)
    np.testing.assert_allclose(ends[:, 2:] - ends[0, 2:], 0.0, atol=1e-9)
    assert abs(ends[0, 3] - (400.0 + HALF)) > 1  # the step after it is followed from there, not normalised again


def test_a_play_gets_there_with_its_rate_and_misses_what_is_fast():
    slow, fast = (focus([0.0, 2000.0, 0.0], hold, play_rate=2.0, seed=3)[2] for hold in (60.0, 0.1))
    assert slow == pytest.approx(HALF, rel=1e-6)
    assert fast < slow - 10
    session = TruthSession(replace(STILL, play_rate=2.0, lens_plays=((100.0, 0.5),)), 0)
    session.apply(10.0, {"C10": 2000.0})
    t = np.array([10.0, 11.0, 12.0, 16.0, 60.0])
    actual = session.state(["C10"], t)["C10"]
    np.testing.assert_allclose((actual - 1950.0) / (actual[0] - 1950.0), np.exp(-(t - 10.0) / 2.0), atol=1e-9)


def difference(names: list[str], t: np.ndarray, **changes: Any) -> dict[str, np.ndarray]:
    """What ``changes`` of the configuration do to the state."""
    config = SimulatedConfig(lens_plays=PLAYS)
    changed, unchanged = TruthSession(replace(config, **changes), 4), TruthSession(config, 4)
    a, b = changed.state(names, t), unchanged.state(names, t)
    return {name: a[name] - b[name] for name in names}


def followed(drive: np.ndarray, lag: float, step: float) -> np.ndarray:
    """dx/dt = (drive - x) / lag from zero, by the midpoint of small steps."""
    out = np.zeros_like(drive)
    for n in range(1, len(drive)):
        middle = 0.5 * (drive[n] + drive[n - 1])
        out[n] = (out[n - 1] * (1 - step / (2 * lag)) + middle * step / lag) / (1 + step / (2 * lag))
    return out


@pytest.mark.parametrize(("thermal_lag", "heat"), [(170.0, 3.0), (200.0, -2.0)])
def test_heat_of_a_mode_relaxes_through_coil_and_pole_piece(thermal_lag, heat):
    t = np.arange(0.0, 1800.0, 0.5)
    names = ["coil", "lagged", "C10", "C12.a", "room"]
    config = SimulatedConfig(thermal_lag=thermal_lag)
    with_heat = TruthSession(replace(config, mode_heat=heat, mode_change_at=300.0), 4)
    without_heat = TruthSession(config, 4)
    a, b = with_heat.state(names, t), without_heat.state(names, t)
    change = {name: a[name] - b[name] for name in names}
    coil = followed(np.where(t >= 300.0, heat, 0.0), 200.0, 0.5)
    np.testing.assert_allclose(change["coil"], coil, atol=5e-3)
    np.testing.assert_allclose(change["lagged"], followed(coil, thermal_lag, 0.5), atol=5e-3)
    np.testing.assert_allclose(change["C10"], 80.0 * change["lagged"], atol=1e-9)
    np.testing.assert_allclose(change["C12.a"], with_heat.facts()["c12_per_kelvin.a"] * change["lagged"], atol=1e-9)
    assert np.all(change["room"] == 0)
    for name, share in (("objective.temperature", 1.0), ("water.out.temperature", 0.3), ("water.in.temperature", 0.0)):
        warm, cold = (session.arrivals(1800.0, [name])[0] for session in (with_heat, without_heat))
        seconds = (cold.times - without_heat.epoch) / 1e9
        valid = np.abs(cold.values - np.median(cold.values)) < 0.5  # not the outliers
        stuck = with_heat.sensors.stuck().get(name, (0.0, 0.0))
        valid &= (seconds < stuck[0] - 1) | (seconds > stuck[1] + 1)
        expected = share * np.interp(seconds, t, coil)
        np.testing.assert_allclose((warm.values - cold.values)[valid], expected[valid], atol=0.03)


def test_heat_of_a_mode_changed_before_the_session_goes_on_relaxing():
    t = np.array([0.0, 100.0, 5000.0])
    change = difference(["coil", "lagged", "C10"], t, mode_heat=3.0, mode_change_at=-150.0)
    remaining = 3 * np.exp(-150.0 / 200)
    np.testing.assert_allclose(change["coil"], [0.0, remaining * (1 - np.exp(-0.5)), remaining], atol=1e-9)
    assert change["lagged"][0] == 0
    initial = 3 * (1 - (200 * np.exp(-150 / 200) - 170 * np.exp(-150 / 170)) / 30)
    assert change["lagged"][2] == pytest.approx(3 - initial, abs=1e-6)
    np.testing.assert_allclose(change["C10"], 80 * change["lagged"], atol=1e-9)


def test_sessions_differ_in_how_focus_follows_heat_and_in_nothing_else():
    config = SimulatedConfig(heat_spread=0.2)
    shares = np.array([TruthSession(config, seed).facts()["c10_per_kelvin"] / 80 for seed in range(200)])
    assert np.mean(shares) == pytest.approx(1, abs=0.05)
    assert np.std(shares) == pytest.approx(0.2, rel=0.2)
    t = np.linspace(0.0, 600.0, 50)
    spread, usual = TruthSession(config, 1), TruthSession(SimulatedConfig(), 1)
    a, b = spread.state(["C10", "C12.a", "lagged"], t), usual.state(["C10", "C12.a", "lagged"], t)
    np.testing.assert_array_equal(a["C12.a"], b["C12.a"])
    np.testing.assert_allclose(a["C10"] - b["C10"], 80 * (shares[1] - 1) * b["lagged"], atol=1e-9)
