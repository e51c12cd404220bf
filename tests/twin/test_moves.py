"""Equations of motion of entries against closed forms; and blocks against one matrix exponential of the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from twin.dynamics.linear import Dynamics
from twin.dynamics.moves import Constant, Follow, Integrate, Relax, Walk, equation
from twin.state import Entry, Layout

LAYOUT = Layout(tuple(Entry(name, "1", 0.0, 1.0) for name in ("a", "b", "c")))
NAMED = {"rate": 0.3, "time": 20.0, "gain": 2.0}


def number(value) -> float:
    return NAMED[value] if isinstance(value, str) else float(value)


def discretised(seconds: float, **moves) -> tuple[np.ndarray, np.ndarray]:
    """Transition and covariance of the noise [3, 3]."""
    several = {name: item if isinstance(item, list) else [item] for name, item in moves.items()}
    transition, root = equation(LAYOUT, several, number).discretise(seconds)
    return transition, root @ root.T


TIMES = (0.01, 3.0, 500.0)


@pytest.mark.parametrize("t", TIMES)
def test_a_walk(t):
    transition, noise = discretised(t, b=Walk("rate"))
    np.testing.assert_array_equal(transition, np.eye(3))
    np.testing.assert_allclose(noise, np.diag([0.0, 0.3**2 * t, 0.0]), rtol=1e-12)


@pytest.mark.parametrize("t", TIMES)
def test_a_relaxation_keeps_its_variance(t):
    transition, noise = discretised(t, a=Relax(0.7, "time"))
    assert transition[0, 0] == pytest.approx(np.exp(-t / 20.0))
    assert transition[0, 0] ** 2 * 0.7**2 + noise[0, 0] == pytest.approx(0.7**2)
    _, silent = discretised(t, a=Relax(0.0, 20.0))
    assert not silent.any()


@pytest.mark.parametrize("t", TIMES)
def test_a_follower_answers_a_step(t):
    transition, noise = discretised(t, b=Follow("a", "time", "gain"))
    assert transition[1].tolist() == pytest.approx([2.0 * (1 - np.exp(-t / 20.0)), np.exp(-t / 20.0), 0.0])
    assert transition[0].tolist() == [1.0, 0.0, 0.0]
    assert np.abs(noise).max() < 1e-12


@pytest.mark.parametrize("t", TIMES)
def test_an_integral_of_a_walk(t):
    transition, noise = discretised(t, b=Integrate("a", 2.0), a=Walk(0.3))
    assert transition[1].tolist() == pytest.approx([2.0 * t, 1.0, 0.0])
    q = 0.3**2
    expected = np.array([[q * t, 2 * q * t**2 / 2, 0], [2 * q * t**2 / 2, 4 * q * t**3 / 3, 0], [0, 0, 0]])
    np.testing.assert_allclose(noise, expected, rtol=1e-7, atol=1e-12 * q * max(t, t**3))


def test_constants_and_unnamed_entries_do_not_change():
    transition, noise = discretised(77.0, a=Constant())
    np.testing.assert_array_equal(transition, np.eye(3))
    assert not noise.any()


def test_several_moves_of_one_entry_add_up():
    moves = [Walk(0.3), Walk(0.4), Relax(0.5, 10.0), Follow("b", 5.0), Integrate("c", -0.2)]
    dynamics = equation(LAYOUT, {"a": moves}, number)
    np.testing.assert_allclose(dynamics.drift[0], [-1 / 10 - 1 / 5, 1 / 5, -0.2])
    np.testing.assert_allclose(dynamics.diffusion, [0.3**2 + 0.4**2 + 2 * 0.5**2 / 10, 0.0, 0.0])
    assert not dynamics.drift[1:].any()


@pytest.mark.parametrize(
    ("moves", "message"),
    [
        ({"a": [Walk(-0.1)]}, r"entry 'a': its rate is -0\.1; give a number above zero"),
        ({"a": [Walk(float("nan"))]}, "entry 'a': its rate is nan"),
        ({"b": [Relax(1.0, 0.0)]}, r"entry 'b': its time is 0\.0"),
        ({"b": [Relax(-1.0, 2.0)]}, r"entry 'b': its std is -1\.0"),
        ({"b": [Relax(1.0, float("inf"))]}, "entry 'b': its time is inf"),
        ({"c": [Follow("a", -5.0)]}, r"entry 'c': its time is -5\.0"),
        ({"c": [Follow("d", 5.0)]}, "no entry 'd'"),
        ({"c": [Integrate("d")]}, "no entry 'd'"),
        ({"d": [Walk(1.0)]}, "no entry 'd'"),
        ({"c": [Integrate("a", float("nan"))]}, "must be finite"),
    ],
)
def test_refusals(moves, message):
    with pytest.raises(ValueError, match=message):
        equation(LAYOUT, moves, number)


def test_shapes_and_signs_are_checked():
    with pytest.raises(ValueError, match=r"give \[3, 3\] and \[3\]"):
        Dynamics(LAYOUT, np.zeros((2, 2)), np.zeros(3))
    with pytest.raises(ValueError, match="no diffusion negative"):
        Dynamics(LAYOUT, np.zeros((3, 3)), np.array([0.0, -1.0, 0.0]))


def whole(dynamics: Dynamics, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Van Loan's two blocks, the whole matrix at once."""
    n = len(dynamics.diffusion)
    block = np.zeros((2 * n, 2 * n))
    block[:n, :n], block[:n, n:], block[n:, n:] = -dynamics.drift, np.diag(dynamics.diffusion), dynamics.drift.T
    grown = expm(block * seconds)
    transition = grown[n:, n:].T
    return transition, transition @ grown[:n, n:]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.01, 0.5, 4.0]))
def test_blocks_agree_with_the_whole(seed, seconds):
    generator = np.random.default_rng(seed)
    n = 9
    layout = Layout(tuple(Entry(f"e{i}", "1", 0.0, 1.0) for i in range(n)))
    drift = np.diag(-generator.uniform(0.0, 1.0, n) * (generator.random(n) < 0.6))
    for _ in range(generator.integers(0, 7)):
        row, column = generator.choice(n, 2, replace=False)
        drift[row, column] = generator.standard_normal()
    dynamics = Dynamics(layout, drift, generator.uniform(0.0, 2.0, n) * (generator.random(n) < 0.7))
    transition, root = dynamics.discretise(seconds)
    expected, noise = whole(dynamics, seconds)
    np.testing.assert_allclose(transition, expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(root @ root.T, noise, rtol=1e-10, atol=1e-10 * max(1.0, np.abs(noise).max()))
    assert sorted([*dynamics.lone.tolist(), *np.concatenate([*dynamics.coupled, []]).astype(int).tolist()]) == list(
        range(n)
    )
    assert all(
        np.abs(drift[np.ix_(block, np.setdiff1d(range(n), block))]).max() == 0
        for block in dynamics.coupled
        if len(block) < n
    )
