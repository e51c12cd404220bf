"""Constants of a column, and what its lenses err by, given a table: Gauss-Newton in the space of the rows, and the Gaussian about where it ends.

Unknown are constants (unit normals) and errors of lenses at each setting (Gaussian processes). In the rows' space (the representer method, A. F. Bennett,
Inverse Methods in Physical Oceanography, Cambridge, 1992) each step solves one system of the size of the table, whatever the number of unknowns.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_solve, cholesky

from reconstruct.calibration.discrepancy import Hyper, Learning, Places, errors, kernel, start
from reconstruct.calibration.evaluation import Evaluation, Linear, driven
from reconstruct.calibration.quantities import NAMES, apart, bounded, on_scale
from reconstruct.calibration.rows import Row, Table, prepared
from reconstruct.calibration.search import sought
from twin.column.column import Column

STEPS = 12
SETTLED = 1e-3
"""A step that changes no expected value by more than this, in units of its own scatter, is the last."""
FORGIVEN = 2e-3
"""By what a row may be off, beside its noise, when it is asked whether a step helped."""
HALVINGS = 5
WALL = 0.5
"""How far off a row may be, on its quantity's scale, for slopes to lead to it: half a unit of sines and logarithms, where walls part signs of one magnitude."""
APPROACHES = 4
"""So often rows beyond a wall are asked again whether the fit has come to their side."""
HYPERS = 32
"""Draws of the hyperparameters over which predictions are averaged."""


class Posterior:
    """What ``table`` says of ``column``; first by a search of the prior, then by `settle` on the rows that are trusted."""

    def __init__(self, column: Column, table: Table):
        self.column, self.table = column, table
        self.evaluation = Evaluation(column, table)
        self.kinds, self.kind = np.unique(table.kind, return_inverse=True)
        self._groups: dict[tuple, int] = {}
        self.u = sought(column, table, np.random.default_rng(0))
        self.wrong = np.zeros((self.evaluation.settings, len(driven(column)), 3))
        self.hyper = start(len(self.kinds))
        self._linearise()

    def _linearise(self) -> None:
        self.linear = self.evaluation.near(self.u, self.wrong)
        self.places = self._places(self.evaluation, self.kind, self.linear)
        known = self.linear.by_constants @ self.u + _along(self.linear, self.wrong[self.evaluation.which])
        self.data = self.evaluation.away(self.linear.values) + known

    def settle(self, trusted: np.ndarray) -> None:
        """Hyperparameters, then constants and errors of lenses, from the ``trusted`` [n] rows; twice, as each hangs on the other."""
        for _ in range(2):
            self.hyper = self.learning(trusted).best()
            self._climb(trusted)

    def approach(self, trusted: np.ndarray) -> np.ndarray:
        """`settle` on the settings that lie on the column's own side of all walls, then on those whose side it comes to by what the first ones teach of lenses.

        Where a magnification passes zero its sign is not seen from the other side: slopes lead away from the row, and one such setting spoils the errors of all
        lenses. Returned are the trusted rows [n] that were settled on, those not beyond a wall at the end.
        """
        near = trusted & ~self._beyond(whole=True)
        if near.sum() <= trusted.sum() // 2:  # nothing to stand on
            near = trusted
        for _ in range(APPROACHES):
            self.settle(near)
            now = trusted & ~self._beyond(whole=True)
            if (now == near).all() or now.sum() <= trusted.sum() // 2:
                break
            near = now
        last = trusted & ~self._beyond(whole=False)
        if (last != near).any() and last.sum() > trusted.sum() // 2:
            self.settle(last)
            near = last
        return near

    def _beyond(self, whole: bool) -> np.ndarray:
        """Rows [n] further than WALL from what is expected, or all rows of their settings if ``whole``."""
        kind, which = self.table.kind, self.evaluation.which
        gap = np.abs(apart(kind, bounded(kind, self.table.value)[0], bounded(kind, self.linear.values)[0]))
        far = ~(gap <= WALL)
        return np.isin(which, which[far]) if whole else far

    def state(self) -> tuple[np.ndarray, np.ndarray, Hyper]:
        """Where the fit stands."""
        return self.u, self.wrong, self.hyper

    def back_to(self, state: tuple[np.ndarray, np.ndarray, Hyper]) -> None:
        """To where it stood."""
        self.u, self.wrong, self.hyper = state
        self._linearise()

    def learning(self, trusted: np.ndarray) -> Learning:
        """What the trusted rows say of the hyperparameters, about where the fit stands."""
        chosen = np.flatnonzero(trusted)
        stated = self.table.std[chosen] ** 2
        return Learning(self.data[chosen], self.linear.by_constants[chosen], stated, self.places.at(chosen), self.hyper)

    def _climb(self, trusted: np.ndarray) -> None:
        evaluation = self.evaluation
        told, tension = np.zeros(self.wrong.shape[:2]), np.zeros(len(self.wrong))
        told[evaluation.which], tension[evaluation.which] = self.places.told, self.places.tension
        for _ in range(STEPS):
            chosen, factor = self.joint(trusted, self.hyper)
            weights = cho_solve((factor, True), self.data[chosen])
            by_constants = self.linear.by_constants[chosen]
            towards_u = by_constants.T @ weights - self.u
            towards = errors(self.hyper, told, tension, self.places.at(chosen), weights) - self.wrong
            forgiven = np.sqrt(self.noise(self.hyper)[chosen] + FORGIVEN**2)

            def misfit(linear: Linear, chosen=chosen, forgiven=forgiven) -> float:
                away = evaluation.away(linear.values)[chosen] / forgiven
                return float(away @ away) if np.isfinite(away).all() else math.inf

            now, share, begun = misfit(self.linear), 1.0, (self.u, self.wrong)
            values = self.linear.values
            for _ in range(HALVINGS):
                self.u, self.wrong = begun[0] + share * towards_u, begun[1] + share * towards
                self._linearise()
                if misfit(self.linear) <= max(now, len(chosen)):
                    break
                share *= 0.5
            change = np.abs(self.linear.values - values)[chosen] / forgiven
            if change.max() < SETTLED:
                break

    def noise(self, hyper: Hyper) -> np.ndarray:
        """Variance [n] of each row's own error."""
        stated = self.table.std**2
        return np.where(stated > 0, stated, hyper.noise[self.kind] ** 2)

    def joint(self, trusted: np.ndarray, hyper: Hyper) -> tuple[np.ndarray, np.ndarray]:
        """Places of the trusted rows, and the Cholesky factor [k, k] of what they should scatter by."""
        chosen = np.flatnonzero(trusted)
        places, slopes = self.places.at(chosen), self.linear.by_constants[chosen]
        total = slopes @ slopes.T + kernel(hyper, places, places) + np.diag(self.noise(hyper)[chosen])
        return chosen, cholesky(total, lower=True)

    def left_out(self, trusted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each row less what the other trusted rows predict of it [n], and that prediction's standard deviation, the row's own noise included."""
        chosen, factor = self.joint(trusted, self.hyper)
        slopes, places = self.linear.by_constants, self.places
        inverse = cho_solve((factor, True), np.eye(len(chosen)))
        gap, sigma = np.zeros(len(self.data)), np.ones(len(self.data))
        gap[chosen] = (inverse @ self.data[chosen]) / np.diag(inverse)
        sigma[chosen] = 1 / np.sqrt(np.diag(inverse))
        for row in np.flatnonzero(~trusted):
            here = places.at(np.array([row]))
            cross = slopes[chosen] @ slopes[row] + kernel(self.hyper, places.at(chosen), here)[:, 0]
            own = slopes[row] @ slopes[row] + kernel(self.hyper, here, here)[0, 0] + self.noise(self.hyper)[row]
            gap[row] = self.data[row] - cross @ cho_solve((factor, True), self.data[chosen])
            sigma[row] = np.sqrt(max(own - cross @ cho_solve((factor, True), cross), 0.0))
        return gap, sigma

    def constants(self, trusted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean [p] and covariance [p, p] of the unit normals."""
        chosen, factor = self.joint(trusted, self.hyper)
        slopes = self.linear.by_constants[chosen]
        mean = slopes.T @ cho_solve((factor, True), self.data[chosen])
        return mean, np.eye(len(self.u)) - slopes.T @ cho_solve((factor, True), slopes)

    def predict(self, rows: Sequence[Row], trusted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation [k] of what ``rows`` should be, on their scales, hyperparameters averaged over."""
        table = prepared(self.column, rows)
        there = Evaluation(self.column, table)
        strange = sorted(
            set(table.kind.tolist()) - set(self.kinds.tolist())
        )  # these have the prior's noise, which is not used
        kinds = [*self.kinds.tolist(), *strange]
        chosen, factor = self.joint(trusted, self.hyper)
        kind = np.array([kinds.index(k) for k in table.kind])
        # errors of lenses at the new settings, as far as the old ones tell
        plain = self._places(there, kind, there.near(self.u, np.zeros((there.settings, *self.wrong.shape[1:]))))
        weights = cho_solve((factor, True), self.data[chosen])
        expected = errors(self.hyper, plain.told, plain.tension, self.places.at(chosen), weights)
        wrong = np.zeros((there.settings, *self.wrong.shape[1:]))
        wrong[there.which] = expected
        linear = there.near(self.u, wrong)
        wanted = self._places(there, kind, linear)
        slopes, rest = linear.by_constants, linear.values - linear.by_constants @ self.u - _along(linear, expected)
        hypers, shares = self.learning(trusted).draws(HYPERS, np.random.default_rng(0))
        means, variances = [], []
        for hyper in hypers:
            chosen, factor = self.joint(trusted, hyper)
            cross = slopes @ self.linear.by_constants[chosen].T + kernel(hyper, wanted, self.places.at(chosen))
            known = cho_solve((factor, True), np.column_stack([self.data[chosen], cross.T]))
            means.append(rest + cross @ known[:, 0])
            own = np.einsum("np,np->n", slopes, slopes) + np.diag(kernel(hyper, wanted, wanted))
            variances.append(own - np.einsum("nk,kn->n", cross, known[:, 1:]))
        mean = shares @ np.array(means)
        return mean, np.sqrt(np.maximum(shares @ (np.array(variances) + (np.array(means) - mean) ** 2), 0.0))

    def _places(self, rows: Evaluation, kind: np.ndarray, linear: Linear) -> Places:
        column, table = self.column, rows.table
        zero, zero_std = np.full(len(table), -1), np.zeros(len(table))
        for row in range(len(table)):
            name = NAMES[table.kind[row]]
            if name in column.table.zeros:
                key = (name, float(table.energy[row]), table.keys[row])
                zero[row] = self._groups.setdefault(key, len(self._groups))
                zero_std[row] = on_scale(name, 1.0, column.table.zeros[name])[1]
        told = table.told[:, [column.controls.index(one.control) for one in driven(column)]]
        return Places(kind, told, np.log(table.energy), linear.by_lenses, zero, zero_std)


def _along(linear: Linear, wrong: np.ndarray) -> np.ndarray:
    return np.einsum("nmc,nmc->n", linear.by_lenses, wrong)
