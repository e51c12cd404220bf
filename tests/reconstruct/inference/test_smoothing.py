"""Smoothing: against conditioning a joint Gaussian densely, the share of a mixture's components, and coverage with a control."""

import numpy as np
import pytest

from reconstruct.inference.belief import Belief, cov_sqrt_of
from reconstruct.inference.smoothing import smoothed
from twin.dynamics import Dynamics
from twin.state import Entry, Layout

LAYOUT = Layout(
    (Entry("x", "angstrom", 0.0, 1.0), Entry("v", "angstrom/second", 0.0, 1e-3), Entry("C30", "angstrom", 0.0, 1e4))
)
DYNAMICS = Dynamics(LAYOUT, np.array([[0.0, 1.0, 0.0], [0.0, -0.1, 0.0], [0.0, 0.0, 0.0]]), np.array([0.01, 1e-7, 1e5]))
SECONDS = (0.0, 1.0, 2.5, 3.0)
JUMPS = [
    (np.array([0.2, 0.0, 50.0]), np.array([0.1, 0.0, 20.0])),
    (np.zeros(3), np.zeros(3)),
    (np.array([-0.1, 1e-4, 0.0]), np.full(3, 1e-4)),
]
ROWS = np.array([[1.0, 0.0, 1e-4], [0.0, 1e2, 1e-4]])
NOISE = 0.3**2 * np.eye(2)


def simulated(generator: np.random.Generator, start: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """States at `SECONDS` and observations of them."""
    states = [start]
    for before, after, (mean, std) in zip(SECONDS[:-1], SECONDS[1:], JUMPS, strict=True):
        transition, root = DYNAMICS.discretise(after - before)
        noise = root @ generator.standard_normal(3) + std * generator.standard_normal(3)
        states.append(transition @ states[-1] + mean + noise)
    return states, [ROWS @ state + 0.3 * generator.standard_normal(2) for state in states]


def filtered(
    observations: list[np.ndarray], mean: np.ndarray, covariance: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Mean, covariance and log evidence so far after each observation."""
    out, evidence = [], 0.0
    for number, observation in enumerate(observations):
        if number:
            transition, root = DYNAMICS.discretise(SECONDS[number] - SECONDS[number - 1])
            jump = JUMPS[number - 1]
            mean = transition @ mean + jump[0]
            covariance = transition @ covariance @ transition.T + root @ root.T + np.diag(jump[1] ** 2)
        expected = ROWS @ covariance @ ROWS.T + NOISE
        residual = observation - ROWS @ mean
        evidence -= 0.5 * (residual @ np.linalg.solve(expected, residual) + np.linalg.slogdet(expected)[1])
        gain = covariance @ ROWS.T @ np.linalg.inv(expected)
        mean, covariance = mean + gain @ residual, covariance - gain @ ROWS @ covariance
        out.append((mean, covariance, evidence))
    return out


def beliefs_of(components: list[list[tuple[np.ndarray, np.ndarray, float]]]) -> list[Belief]:
    """Beliefs at each time of components with equal weights before."""
    out = []
    for number, second in enumerate(SECONDS):
        here = [component[number] for component in components]
        evidence = np.array([evidence for *_, evidence in here])
        weights = np.exp(evidence - evidence.max())
        out.append(
            Belief(
                LAYOUT, int(second * 1e9), weights / weights.sum(), np.stack([mean for mean, *_ in here]),
                np.stack([cov_sqrt_of(covariance) for _, covariance, _ in here]),
            )
        )  # fmt: skip
    return out


def prior() -> np.ndarray:
    return np.diag(LAYOUT.prior_std() ** 2)


def joint(observations: list[np.ndarray], covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of all states at once, [4 * 3], by conditioning their joint Gaussian."""
    size = 3 * len(SECONDS)
    lift, mean, noise = np.eye(size), np.zeros(size), np.zeros((size, size))
    noise[:3, :3] = covariance
    for number in range(1, len(SECONDS)):
        here, before = slice(3 * number, 3 * number + 3), slice(3 * number - 3, 3 * number)
        transition, root = DYNAMICS.discretise(SECONDS[number] - SECONDS[number - 1])
        jump = JUMPS[number - 1]
        lift[here] = transition @ lift[before]
        lift[here, here] = np.eye(3)
        mean[here] = transition @ mean[before] + jump[0]
        noise[here, here] = root @ root.T + np.diag(jump[1] ** 2)
    everything = lift @ noise @ lift.T
    rows = np.kron(np.eye(len(SECONDS)), ROWS)
    gain = everything @ rows.T @ np.linalg.inv(rows @ everything @ rows.T + np.kron(np.eye(len(SECONDS)), NOISE))
    return mean + gain @ (np.concatenate(observations) - rows @ mean), everything - gain @ rows @ everything


def test_each_belief_is_that_of_all_observations():
    generator = np.random.default_rng(0)
    _, observations = simulated(generator, generator.standard_normal(3) * LAYOUT.prior_std())
    mean, covariance = joint(observations, prior())
    beliefs = beliefs_of([filtered(observations, np.zeros(3), prior())])
    scale = LAYOUT.prior_std()
    for number, belief in enumerate(smoothed(DYNAMICS, beliefs, JUMPS)):
        here = slice(3 * number, 3 * number + 3)
        np.testing.assert_allclose(belief.mean / scale, mean[here] / scale, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(
            belief.covariance / np.outer(scale, scale), covariance[here, here] / np.outer(scale, scale), rtol=1e-5, atol=1e-9
        )  # fmt: skip
        assert belief.time == beliefs[number].time
    assert (smoothed(DYNAMICS, beliefs, JUMPS)[0].std < beliefs[0].std).all()


def test_later_images_decide_between_components():
    """Two starts that the first observation cannot tell apart: their shares are those of all observations."""
    generator = np.random.default_rng(1)
    centres = [np.array([0.0, 2e-3, 0.0]), np.array([0.0, -2e-3, 4e3])]  # the same first observation
    start = centres[1]
    _, observations = simulated(generator, start)
    narrow = prior() * np.array([0.01, 0.01, 0.01])
    beliefs = beliefs_of([filtered(observations, centre, narrow) for centre in centres])
    assert beliefs[0].weights.max() < 0.95
    weights = smoothed(DYNAMICS, beliefs, JUMPS)[0].weights
    assert weights == pytest.approx(beliefs[-1].weights, abs=0.05)


def test_intervals_hold_the_truth_as_often_as_they_say_and_narrower_ones_do_not():
    generator = np.random.default_rng(2)
    inside, narrower, before = [], [], []
    for _ in range(200):
        states, observations = simulated(generator, generator.standard_normal(3) * LAYOUT.prior_std())
        beliefs = beliefs_of([filtered(observations, np.zeros(3), prior())])
        first = smoothed(DYNAMICS, beliefs, JUMPS)[0]
        off = np.abs(states[0] - first.mean)
        inside.append(off < 1.645 * first.std)
        narrower.append(off < 1.645 * 0.7 * first.std)
        before.append(np.abs(states[0] - beliefs[0].mean) / off)
    assert np.mean(inside) == pytest.approx(0.9, abs=0.035)
    assert not 0.865 < np.mean(narrower) < 0.935
    assert np.median(before) > 1.0


def test_what_cannot_be_smoothed_is_said():
    generator = np.random.default_rng(3)
    _, observations = simulated(generator, np.zeros(3))
    beliefs = beliefs_of([filtered(observations, np.zeros(3), prior())])
    with pytest.raises(ValueError, match="4 beliefs have 3 intervals, not 2"):
        smoothed(DYNAMICS, beliefs, JUMPS[:-1])
    with pytest.raises(ValueError, match="backwards"):
        smoothed(DYNAMICS, beliefs[::-1], JUMPS)
    lost = beliefs[0].widened(np.zeros(3), np.zeros(3), ("x",))
    with pytest.raises(ValueError, match="circular uniform"):
        smoothed(DYNAMICS, [lost, *beliefs[1:]], JUMPS)
    assert smoothed(DYNAMICS, [], []) == []
