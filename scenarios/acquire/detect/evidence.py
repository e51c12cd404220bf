"""What the counts of each column say of it: the ratio of likelihoods against the other columns, what is decided, and which column to look at next."""

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from learn.design.sequential import Errors, Steps, posterior
from scenarios.acquire.detect.twin import FIRST_SHARE, STEPS, UNITS, Patch, Template, steps_of

MOST_UNITS = 64 * UNITS
"""Of a column in all."""
ROUNDS = 4
"""In which the columns that are changed, and what the others count, are found from one another."""
FIRST_WEIGHT = 3.0
"""How many columns the share of changed ones before anything is recorded is worth."""
HELD = 0.8
"""Share of a threshold within which what was decided is open again."""
HOPELESS = 0.05
"""Probability that more electrons decide a column below which it gets no more."""


class State(NamedTuple):
    """Of each column the logarithm of its likelihood ``ratios`` [n], the ``posteriors`` [n] of the change, and what is ``decided`` [n]: 1 it is there, -1 it is
    not, 0 neither; ``share``: of the columns that are changed."""

    ratios: np.ndarray
    posteriors: np.ndarray
    decided: np.ndarray
    share: float


class Next(NamedTuple):
    """The ``column`` to look at, with so many ``units`` of electrons, the electrons ``expected`` until it is decided, and the probability that a decision
    comes at all (``possible``)."""

    column: int
    units: int
    expected: float
    possible: float


class Evidence:
    """``counts`` [n, m] of n columns, ``units`` [n] of electrons on each, and what follows of them by a template. Where a ``gain`` is asked for it is that of
    the detector."""

    def __init__(self, columns: int, patch: Patch, errors: Errors):
        self.patch, self.errors = patch, errors
        self.counts = np.zeros((columns, len(patch.places)))
        self.units = np.zeros(columns, int)
        self.decided = np.zeros(columns, int)

    @property
    def unit(self) -> float:
        """Electrons on a patch."""
        return self.patch.electrons / UNITS

    def add(self, column: int, units: int, counts: np.ndarray) -> None:
        """What was counted of a column with so many units of electrons."""
        self.counts[column] += counts
        self.units[column] += units

    def state(self, template: Template, gain: float) -> State:
        """Likelihoods against all other columns, with what is probably changed in these taken off."""
        electrons = self.units * self.unit * gain
        seen = np.flatnonzero(self.units)
        ratios, share = np.zeros(len(electrons)), FIRST_SHARE
        if len(seen) > 1:
            weights, parts = self._weights(electrons)
            rates = self.counts[seen] / electrons[seen, None]
            chances = np.full(len(seen), share)
            for _ in range(ROUNDS):
                plain = weights[:, None] * (rates - chances[:, None] * template.change)
                expected = np.maximum((plain.sum(0) - plain) / (weights.sum() - weights)[:, None], 0.0)
                for number, column in enumerate(seen):
                    test, own = template.test(float(electrons[column])), electrons[column]
                    ratios[column] = test.against(
                        self.counts[column], own * expected[number], parts[number], template.signature.readout
                    )
                chances = posterior(ratios[seen], share)
                share = float((chances.sum() + FIRST_SHARE * FIRST_WEIGHT) / (len(seen) + FIRST_WEIGHT))
        return State(ratios, posterior(ratios, share), self._decided(ratios), share)

    @staticmethod
    def _weights(electrons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights of the columns that were looked at in what the others of each count, and the electrons of each over those that this is worth.

        Columns that are hard to decide get the most electrons, and are often changed: they are not to outweigh the rest.
        """
        own = electrons[electrons > 0.0]
        weights = own / (own + np.median(own))
        noise = weights**2 / own
        return weights, own * (noise.sum() - noise) / (weights.sum() - weights) ** 2

    def _decided(self, ratios: np.ndarray) -> np.ndarray:
        """What is beyond a threshold, or was, and has not come back far: what others count shifts all ratios a little."""
        thresholds = self.errors.thresholds
        held = type(thresholds)(HELD * thresholds.absent, HELD * thresholds.present).decided(ratios)
        self.decided = np.where(self.decided == held, held, thresholds.decided(ratios))
        return self.decided.copy()

    def next(self, state: State, template: Template, gain: float, limit: float) -> Next | None:
        """The column whose decision is expected to take the fewest electrons, flyback included; None where no undecided column can be decided.

        ``limit``: most electrons on a column.
        """
        steps = self.steps(template, gain, state.share)
        most = int(min(MOST_UNITS, limit / self.unit))
        nexts = []
        for column in np.flatnonzero(state.decided == 0):
            have = int(self.units[column])
            if have >= most:
                continue
            possible = self._possible(
                template, gain, float(state.ratios[column]), float(state.posteriors[column]), have, most
            )
            if possible < HOPELESS:
                continue
            number = int(steps.step(np.array(state.ratios[column])))
            units = min(STEPS[number], most - have)
            cost = float(steps.expected_cost(np.array(state.ratios[column]))) * self.unit
            nexts.append(Next(int(column), units, cost, possible))
        return min(nexts, key=lambda each: each.expected, default=None)

    def steps(self, template: Template, gain: float, share: float) -> Steps:
        """The best next number of units by likelihood ratio, costs in units."""
        each = template.shift(UNITS * self.unit * gain) ** 2 / UNITS
        return steps_of(
            self.errors, float(f"{share:.2g}"), float(f"{each:.3g}"), float(f"{self.patch.flyback / self.unit:.3g}")
        )

    def _possible(self, template: Template, gain: float, ratio: float, chance: float, have: int, most: int) -> float:
        """Probability that a ratio is beyond a threshold after all electrons that there may be: what is wrong with the model does not shrink with them."""
        after = template.shift(float(most * self.unit * gain))
        before = template.shift(float(have * self.unit * gain)) if have else 0.0
        gained = after**2 - before**2
        if gained <= 0.0:
            return 0.0
        thresholds, spread = self.errors.thresholds, math.sqrt(gained)
        total = 0.0
        for sign, weight in ((1.0, chance), (-1.0, 1.0 - chance)):
            mean = ratio + sign * gained / 2.0
            total += weight * (
                norm.sf((thresholds.present - mean) / spread) + norm.cdf((thresholds.absent - mean) / spread)
            )
        return float(total)
