"""Dynamics of the state: Van Loan's matrices against step-by-step integration, stationarity, growth, jumps."""

import numpy as np
import pytest

from reconstruct.api.models import load_model, load_table
from twin.dynamics import Dynamics
from twin.state import Entry, Layout

COLUMN = load_model("probe")
LAYOUT, DYNAMICS = COLUMN.layout, COLUMN.dynamics


def of(name: str) -> int:
    return LAYOUT.index(name)


def test_against_integration_in_small_steps():
    """dA/dt = F A and dP/dt = F P + P F^T + Q by classical Runge-Kutta of fourth order."""
    drift, diffusion, span, steps = DYNAMICS.drift, np.diag(DYNAMICS.diffusion), 30.0, 1500
    a, p, h = np.eye(len(LAYOUT)), np.zeros_like(drift), span / steps

    def slope(a, p):
        return drift @ a, drift @ p + p @ drift.T + diffusion

    for _ in range(steps):
        k1 = slope(a, p)
        k2 = slope(a + h / 2 * k1[0], p + h / 2 * k1[1])
        k3 = slope(a + h / 2 * k2[0], p + h / 2 * k2[1])
        k4 = slope(a + h * k3[0], p + h * k3[1])
        a = a + h / 6 * (k1[0] + 2 * k2[0] + 2 * k3[0] + k4[0])
        p = p + h / 6 * (k1[1] + 2 * k2[1] + 2 * k3[1] + k4[1])
    transition, factor = DYNAMICS.discretise(span)
    np.testing.assert_allclose(transition, a, rtol=1e-9, atol=1e-12)
    scale = np.sqrt(np.maximum(np.diag(p), 1e-30))
    noise = factor @ factor.T
    np.testing.assert_allclose(noise / scale[:, None] / scale[None, :], p / scale[:, None] / scale[None, :], atol=1e-8)


def check_two_intervals(*spans: float):
    (a, la), (b, lb), (combined, noise) = (DYNAMICS.discretise(span) for span in (*spans, sum(spans)))
    np.testing.assert_allclose(b @ a, combined, rtol=1e-9, atol=1e-10)
    together = b @ la @ la.T @ b.T + lb @ lb.T
    scale = np.sqrt(np.maximum(np.diag(together), 1e-30))
    np.testing.assert_allclose(
        noise @ noise.T / scale[:, None] / scale[None, :], together / scale[:, None] / scale[None, :], atol=1e-8
    )


@pytest.mark.parametrize("spans", [(0.5, 3.0), (10.0, 90.0)])
def test_two_intervals_are_one(spans):
    check_two_intervals(*spans)


@pytest.mark.parametrize("spans", [(10.0, 250.0), (20.0, 280.0)])
def test_two_intervals_are_one_however_long(spans):
    check_two_intervals(*spans)


@pytest.mark.parametrize(("name", "std", "time"), [("HT", 0.4, 120.0), ("current", 0.15, 60.0), ("vx", 0.16, 150.0)])
def test_ornstein_uhlenbeck_keeps_its_variance_and_forgets_in_time(name, std, time):
    transition, factor = DYNAMICS.discretise(37.0)
    row = of(name)
    assert transition[row, row] == pytest.approx(np.exp(-37.0 / time))
    variance = transition[row, row] ** 2 * std**2 + (factor @ factor.T)[row, row]
    assert variance == pytest.approx(std**2)


def test_random_walks_grow_with_time():
    rates = load_table("probe").constants()
    for span in (1.0, 400.0):
        noise = np.diag((factor := DYNAMICS.discretise(span)[1]) @ factor.T)
        for name, rate in (
            ("C12a", rates["C12.drift"]),
            ("C21b", rates["C21.drift"]),
            ("C30", rates["C30.drift"]),
            ("T", rates["T.drift"]),
            ("gain", rates["gain.drift"]),
        ):
            assert noise[of(name)] == pytest.approx(rate**2 * span), name


def test_velocity_carries_the_position_and_heat_the_focus():
    transition, _ = DYNAMICS.discretise(20.0)
    assert transition[of("x"), of("vx")] == pytest.approx(150.0 * (1 - np.exp(-20.0 / 150.0)))
    assert transition[of("x"), of("vy")] == 0.0
    # a coil that is a kelvin warmer for good moves C10 by 80 angstrom in the end, by as much as the pole piece has followed
    late, _ = DYNAMICS.discretise(170.0)
    share = 1 - np.exp(-1.0)
    assert late[of("T.lagged"), of("T")] == pytest.approx(share)
    assert late[of("C10"), of("T")] == pytest.approx(80.0 * share)


def test_nothing_happens_in_no_time():
    transition, factor = DYNAMICS.discretise(0.0)
    np.testing.assert_array_equal(transition, np.eye(len(LAYOUT)))
    assert not np.abs(factor).max() > 1e-140


@pytest.mark.parametrize("interval", [-1e-9, float("nan"), float("inf")])
def test_time_does_not_run_backwards(interval):
    with pytest.raises(ValueError, match="time must be finite and may not run backwards"):
        DYNAMICS.discretise(interval)


def test_a_custom_equation():
    """A constant velocity under white acceleration: q t^3 / 3 and q t^2 / 2."""
    layout = Layout((Entry("p", "1", 0.0, 1.0), Entry("v", "1", 0.0, 1.0)))
    dynamics = Dynamics(layout, np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([0.0, 0.3]))
    transition, factor = dynamics.discretise(2.0)
    np.testing.assert_allclose(transition, [[1.0, 2.0], [0.0, 1.0]])
    np.testing.assert_allclose(factor @ factor.T, 0.3 * np.array([[8 / 3, 2.0], [2.0, 2.0]]))


def test_a_focus_command_leaves_a_memory_that_fades():
    mean, std, uniform = COLUMN.change("C10", -150.0)
    assert uniform == ()
    changed = {LAYOUT.names[row] for row in np.flatnonzero(mean)}
    assert changed == {"C10.memory", "C10.memory.slow"}
    assert mean[of("C10.memory")] == pytest.approx(0.02 * 150.0)
    assert std[of("C10.memory")] > 0
    transition, _ = DYNAMICS.discretise(8.0)
    later = transition @ mean
    assert later[of("C10.memory")] == pytest.approx(mean[of("C10.memory")] / np.e)
    assert later[of("C10.memory.slow")] == pytest.approx(mean[of("C10.memory.slow")] * np.exp(-0.2))


def test_a_stage_move_makes_the_position_unknown():
    mean, std, lost = COLUMN.change("stage.y", -3e4)
    assert not mean.any()
    assert lost == ("x", "y")
    assert {LAYOUT.names[row] for row in np.flatnonzero(std)} == {"thickness", "vx", "vy", "tilt.x", "tilt.y"}


def test_what_the_table_knows_no_command_of_changes_nothing():
    mean, std, lost = COLUMN.change("holder.temperature", 300.0)
    assert not mean.any()
    assert not std.any()
    assert lost == ()
