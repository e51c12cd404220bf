"""Posterior of a column's constants and lens errors given a table, by Gauss-Newton in the space of the rows.

The unknowns are constants (unit normals) and errors of lenses at each setting (Gaussian processes). In the rows' space (the representer method, A. F. Bennett,
Inverse Methods in Physical Oceanography, Cambridge, 1992) each step solves one system of the size of the table, whatever the number of unknowns.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_solve, cholesky

from reconstruct.calibration.discrepancy import (
    Hyper,
    HyperparameterPosterior,
    RowInputs,
    expected_lens_errors,
    kernel,
    prior_median,
)
from reconstruct.calibration.evaluation import Evaluation, Linear, driven_lenses
from reconstruct.calibration.quantities import NAMES, bounded, difference, on_scale
from reconstruct.calibration.rows import Row, Table, prepared
from reconstruct.calibration.search import starting_point
from twin.column.column import Column

MAX_ITERATIONS = 12
CONVERGENCE_TOLERANCE = 1e-3
"""The fit has converged where a step changes no expected value by more than this, in standard deviations of the row."""
MISFIT_FLOOR = 2e-3
"""Error added to a row's noise in the misfit that decides whether a step is taken."""
MAX_HALVINGS = 5
WALL_GAP = 0.5
"""Largest residual of a row, on its quantity's scale, from which Gauss-Newton converges: beyond it lies a change of sign, a wall."""
MAX_APPROACHES = 4
"""Fits after each of which the rows beyond a wall are determined again."""
HYPERPARAMETER_DRAWS = 32
"""Draws of the hyperparameters over which predictions are averaged."""


class Posterior:
    """Posterior of the constants of ``column`` given ``table``: first by a search of the prior, then by `converge` on the trusted rows."""

    def __init__(self, column: Column, table: Table):
        self.column, self.table = column, table
        self.evaluation = Evaluation(column, table)
        self.kinds, self.kind = np.unique(table.kind, return_inverse=True)
        self._groups: dict[tuple, int] = {}
        self.u = starting_point(column, table, np.random.default_rng(0))
        self.lens_errors = np.zeros((self.evaluation.settings, len(driven_lenses(column)), 3))
        self.hyper = prior_median(len(self.kinds))
        self._linearise()

    def _linearise(self) -> None:
        self.linear = self.evaluation.linearise(self.u, self.lens_errors)
        self.row_inputs = self._row_inputs(self.evaluation, self.kind, self.linear)
        known = self.linear.by_constants @ self.u + _first_order(self.linear, self.lens_errors[self.evaluation.which])
        self.data = self.evaluation.residual(self.linear.values) + known

    def converge(self, trusted: np.ndarray) -> None:
        """Hyperparameters, then constants and errors of lenses, from the ``trusted`` [n] rows; twice, since each depends on the other."""
        for _ in range(2):
            self.hyper = self.hyperparameters(trusted).best()
            self._gauss_newton(trusted)

    def approach(self, trusted: np.ndarray) -> np.ndarray:
        """`converge` on the settings on the fit's side of all walls, then also on those whose side it reaches.

        Where a magnification passes zero its sign is lost: the derivative points away from the row, and one such setting spoils the errors of all lenses.
        Returns the trusted rows [n] that were fitted, those not beyond a wall at the end.
        """
        close = trusted & ~self._beyond(whole=True)
        if close.sum() <= trusted.sum() // 2:  # too few rows left
            close = trusted
        for _ in range(MAX_APPROACHES):
            self.converge(close)
            on_side = trusted & ~self._beyond(whole=True)
            if (on_side == close).all() or on_side.sum() <= trusted.sum() // 2:
                break
            close = on_side
        final = trusted & ~self._beyond(whole=False)
        if (final != close).any() and final.sum() > trusted.sum() // 2:
            self.converge(final)
            close = final
        return close

    def _beyond(self, whole: bool) -> np.ndarray:
        """Rows [n] further than WALL from what is expected, or all rows of their settings if ``whole``."""
        kind, which = self.table.kind, self.evaluation.which
        gap = np.abs(difference(kind, bounded(kind, self.table.value)[0], bounded(kind, self.linear.values)[0]))
        far = ~(gap <= WALL_GAP)
        return np.isin(which, which[far]) if whole else far

    def snapshot(self) -> tuple[np.ndarray, np.ndarray, Hyper]:
        """The state of the fit, for `restore`."""
        return self.u, self.lens_errors, self.hyper

    def restore(self, state: tuple[np.ndarray, np.ndarray, Hyper]) -> None:
        """Back to a `snapshot`."""
        self.u, self.lens_errors, self.hyper = state
        self._linearise()

    def hyperparameters(self, trusted: np.ndarray) -> HyperparameterPosterior:
        """Posterior of the hyperparameters given the trusted rows, linearised at the fit."""
        chosen = np.flatnonzero(trusted)
        stated = self.table.std[chosen] ** 2
        return HyperparameterPosterior(
            self.data[chosen], self.linear.by_constants[chosen], stated, self.row_inputs.at(chosen), self.hyper
        )

    def _gauss_newton(self, trusted: np.ndarray) -> None:
        evaluation = self.evaluation
        excitations, tension = np.zeros(self.lens_errors.shape[:2]), np.zeros(len(self.lens_errors))
        excitations[evaluation.which], tension[evaluation.which] = self.row_inputs.excitations, self.row_inputs.tension
        for _ in range(MAX_ITERATIONS):
            chosen, factor = self.joint(trusted, self.hyper)
            weights = cho_solve((factor, True), self.data[chosen])
            by_constants = self.linear.by_constants[chosen]
            constant_step = by_constants.T @ weights - self.u
            lens_error_step = (
                expected_lens_errors(self.hyper, excitations, tension, self.row_inputs.at(chosen), weights)
                - self.lens_errors
            )
            misfit_std = np.sqrt(self.noise(self.hyper)[chosen] + MISFIT_FLOOR**2)

            def misfit(linear: Linear, chosen=chosen, misfit_std=misfit_std) -> float:
                residual = evaluation.residual(linear.values)[chosen] / misfit_std
                return float(residual @ residual) if np.isfinite(residual).all() else math.inf

            misfit_before, step_size, start = misfit(self.linear), 1.0, (self.u, self.lens_errors)
            values = self.linear.values
            for _ in range(MAX_HALVINGS):
                self.u, self.lens_errors = start[0] + step_size * constant_step, start[1] + step_size * lens_error_step
                self._linearise()
                if misfit(self.linear) <= max(misfit_before, len(chosen)):
                    break
                step_size *= 0.5
            change = np.abs(self.linear.values - values)[chosen] / misfit_std
            if change.max() < CONVERGENCE_TOLERANCE:
                break

    def noise(self, hyper: Hyper) -> np.ndarray:
        """Variance [n] of each row's own error."""
        stated = self.table.std**2
        return np.where(stated > 0, stated, hyper.noise[self.kind] ** 2)

    def joint(self, trusted: np.ndarray, hyper: Hyper) -> tuple[np.ndarray, np.ndarray]:
        """Indices [k] of the trusted rows, and the Cholesky factor [k, k] of their expected covariance."""
        chosen = np.flatnonzero(trusted)
        row_inputs, slopes = self.row_inputs.at(chosen), self.linear.by_constants[chosen]
        total = slopes @ slopes.T + kernel(hyper, row_inputs, row_inputs) + np.diag(self.noise(hyper)[chosen])
        return chosen, cholesky(total, lower=True)

    def left_out(self, trusted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each row less what the other trusted rows predict of it [n], and that prediction's standard deviation, the row's own noise included."""
        chosen, factor = self.joint(trusted, self.hyper)
        slopes, row_inputs = self.linear.by_constants, self.row_inputs
        inverse = cho_solve((factor, True), np.eye(len(chosen)))
        gap, sigma = np.zeros(len(self.data)), np.ones(len(self.data))
        gap[chosen] = (inverse @ self.data[chosen]) / np.diag(inverse)
        sigma[chosen] = 1 / np.sqrt(np.diag(inverse))
        for row in np.flatnonzero(~trusted):
            of_row = row_inputs.at(np.array([row]))
            cross = slopes[chosen] @ slopes[row] + kernel(self.hyper, row_inputs.at(chosen), of_row)[:, 0]
            variance = (
                slopes[row] @ slopes[row] + kernel(self.hyper, of_row, of_row)[0, 0] + self.noise(self.hyper)[row]
            )
            gap[row] = self.data[row] - cross @ cho_solve((factor, True), self.data[chosen])
            sigma[row] = np.sqrt(max(variance - cross @ cho_solve((factor, True), cross), 0.0))
        return gap, sigma

    def constants(self, trusted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean [p] and covariance [p, p] of the unit normals."""
        chosen, factor = self.joint(trusted, self.hyper)
        slopes = self.linear.by_constants[chosen]
        mean = slopes.T @ cho_solve((factor, True), self.data[chosen])
        return mean, np.eye(len(self.u)) - slopes.T @ cho_solve((factor, True), slopes)

    def predict(self, rows: Sequence[Row], trusted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation [k] of ``rows`` on their scales, averaged over hyperparameters."""
        table = prepared(self.column, rows)
        evaluation = Evaluation(self.column, table)
        new_kinds = sorted(
            set(table.kind.tolist()) - set(self.kinds.tolist())
        )  # with the prior's noise, which is not used
        kinds = [*self.kinds.tolist(), *new_kinds]
        chosen, factor = self.joint(trusted, self.hyper)
        kind = np.array([kinds.index(k) for k in table.kind])
        # errors of lenses at the new settings, given the rows
        nominal = self._row_inputs(
            evaluation, kind, evaluation.linearise(self.u, np.zeros((evaluation.settings, *self.lens_errors.shape[1:])))
        )
        weights = cho_solve((factor, True), self.data[chosen])
        expected = expected_lens_errors(
            self.hyper, nominal.excitations, nominal.tension, self.row_inputs.at(chosen), weights
        )
        lens_errors = np.zeros((evaluation.settings, *self.lens_errors.shape[1:]))
        lens_errors[evaluation.which] = expected
        linear = evaluation.linearise(self.u, lens_errors)
        row_inputs = self._row_inputs(evaluation, kind, linear)
        slopes, rest = (
            linear.by_constants,
            linear.values - linear.by_constants @ self.u - _first_order(linear, expected),
        )
        hypers, shares = self.hyperparameters(trusted).draws(HYPERPARAMETER_DRAWS, np.random.default_rng(0))
        means, variances = [], []
        for hyper in hypers:
            chosen, factor = self.joint(trusted, hyper)
            cross = slopes @ self.linear.by_constants[chosen].T + kernel(hyper, row_inputs, self.row_inputs.at(chosen))
            solved = cho_solve((factor, True), np.column_stack([self.data[chosen], cross.T]))
            means.append(rest + cross @ solved[:, 0])
            variance = np.einsum("np,np->n", slopes, slopes) + np.diag(kernel(hyper, row_inputs, row_inputs))
            variances.append(variance - np.einsum("nk,kn->n", cross, solved[:, 1:]))
        mean = shares @ np.array(means)
        return mean, np.sqrt(np.maximum(shares @ (np.array(variances) + (np.array(means) - mean) ** 2), 0.0))

    def _row_inputs(self, rows: Evaluation, kind: np.ndarray, linear: Linear) -> RowInputs:
        column, table = self.column, rows.table
        zero, zero_std = np.full(len(table), -1), np.zeros(len(table))
        for row in range(len(table)):
            name = NAMES[table.kind[row]]
            if name in column.table.zeros:
                key = (name, float(table.energy[row]), table.keys[row])
                zero[row] = self._groups.setdefault(key, len(self._groups))
                zero_std[row] = on_scale(name, 1.0, column.table.zeros[name])[1]
        excitations = table.excitations[:, [column.controls.index(lens.control) for lens in driven_lenses(column)]]
        return RowInputs(kind, excitations, np.log(table.energy), linear.by_lenses, zero, zero_std)


def _first_order(linear: Linear, lens_errors: np.ndarray) -> np.ndarray:
    return np.einsum("nmc,nmc->n", linear.by_lenses, lens_errors)
