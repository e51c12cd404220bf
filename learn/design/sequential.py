"""Sequential tests: of one thing after another more is recorded until its likelihood ratio is beyond one of two thresholds.

A. Wald, Sequential Analysis (Wiley, 1947), ch. 3 (thresholds, errors) and appendix A (expected numbers); A. Wald & J. Wolfowitz, Ann. Math. Stat. 19, 326
(1948): of all tests with these errors it needs the fewest observations on average. What is recorded is measured by its information: a step of information s
adds a normal number of mean -s/2 (nothing there) or s/2 (something there) and variance s to the logarithm of the likelihood ratio. Where every step costs
something besides, the size of the next is found by dynamic programming (R. Bellman, Dynamic Programming (1957), ch. 3) for the least expected cost.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import expit
from scipy.stats import norm

POINTS, SWEEPS = 161, 400
"""Of the grid of likelihood ratios, and of the iteration at most."""
TOLERANCE = 1e-6


class Thresholds(NamedTuple):
    """Of the logarithm of the likelihood ratio: at ``absent`` or less it is decided that nothing is there, at ``present`` or more that something is."""

    absent: float
    present: float

    def decided(self, ratios: np.ndarray) -> np.ndarray:
        """-1 where nothing is there, 1 where something is, 0 where it is not decided."""
        values = np.asarray(ratios)
        return np.asarray((values >= self.present).astype(int) - (values <= self.absent).astype(int))


class Errors(NamedTuple):
    """The ``power`` to find what is there, and the rate of ``false_alarms``."""

    power: float
    false_alarms: float

    @property
    def thresholds(self) -> Thresholds:
        """Wald's, with which neither error is larger than asked by more than the other's share. ValueError unless the power is above the false alarms."""
        if not 0.0 < self.false_alarms < self.power < 1.0:
            raise ValueError(
                f"a power of {self.power} at {self.false_alarms} false alarms is no test; give a larger power"
            )
        return Thresholds(
            math.log((1.0 - self.power) / (1.0 - self.false_alarms)), math.log(self.power / self.false_alarms)
        )

    @property
    def fixed(self) -> float:
        """Information of a test of one size with these errors: (z_alpha + z_beta)^2."""
        return float((norm.isf(self.false_alarms) + norm.ppf(self.power)) ** 2)

    @property
    def expected(self) -> tuple[float, float]:
        """Wald's expected information of the sequential test where nothing is there, and where something is, steps being small."""
        absent, present = self.thresholds
        without = (1.0 - self.false_alarms) * absent + self.false_alarms * present
        with_it = (1.0 - self.power) * absent + self.power * present
        return -2.0 * without, 2.0 * with_it


def posterior(ratios: np.ndarray, share: float) -> np.ndarray:
    """Probability that something is there, by the logarithm of the likelihood ratio, where it is in a ``share`` of all cases."""
    return np.asarray(expit(np.asarray(ratios) + math.log(share / (1.0 - share))))


class Steps(NamedTuple):
    """The best next step by what is known: at logarithms ``ratios`` [n] of the likelihood ratio the ``number`` [n] of the step and the ``cost`` [n] that is
    expected until the decision."""

    ratios: np.ndarray
    number: np.ndarray
    cost: np.ndarray

    def step(self, ratio: np.ndarray) -> np.ndarray:
        """Number of the step at each ``ratio`` between the thresholds."""
        nearest = np.abs(np.asarray(ratio)[..., None] - self.ratios).argmin(-1)
        return np.asarray(self.number[nearest])

    def expected_cost(self, ratio: np.ndarray) -> np.ndarray:
        """Until the decision, at each ``ratio`` between the thresholds."""
        return np.asarray(np.interp(ratio, self.ratios, self.cost))


def best_steps(thresholds: Thresholds, share: float, information: np.ndarray, costs: np.ndarray) -> Steps:
    """Which of several steps to take next, of ``information`` [s] and ``costs`` [s] each, so that the least is expected to be spent until the decision.

    ``share``: of the cases in which something is there. ValueError for steps that are not positive.
    """
    information, costs = np.asarray(information, float), np.asarray(costs, float)
    if np.any(information <= 0.0) or np.any(costs <= 0.0):
        raise ValueError("steps need a positive information and a positive cost")
    ratios = np.linspace(thresholds.absent, thresholds.present, POINTS)
    inside, gap = ratios[1:-1], ratios[1] - ratios[0]
    there = posterior(inside, share)[:, None]
    edges = np.concatenate([[-np.inf], inside - gap / 2, [inside[-1] + gap / 2, np.inf]])
    moves = []
    for each in information:
        spread = math.sqrt(each)
        chance = 0.0
        for sign, weight in ((1.0, there), (-1.0, 1.0 - there)):
            below = norm.cdf((edges[None, :] - inside[:, None] - sign * each / 2.0) / spread)
            chance = chance + weight * np.diff(below, axis=1)
        moves.append(chance[:, 1:-1])
    # cheaper first: the iteration starts from the cost of the best single kind of step
    cost = np.zeros(len(inside))
    chosen = np.zeros(len(inside), int)
    for _ in range(SWEEPS):
        trial = np.stack([price + chance @ cost for price, chance in zip(costs, moves, strict=True)])
        chosen, before = trial.argmin(0), cost
        cost = trial.min(0)
        if np.abs(cost - before).max() <= TOLERANCE * cost.max():
            break
    pad = np.concatenate([[0.0], cost, [0.0]])
    return Steps(ratios, np.concatenate([chosen[:1], chosen, chosen[-1:]]), pad)
