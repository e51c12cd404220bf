"""From a calibration table to a column's constants with covariance, and to predictions at settings that the table does not have.

Constants have priors; the model has an error of its own (`discrepancy`), so that more rows do not make a wrong form of the column ever surer. Around the
most probable constants all is linear and Gaussian: constants, error and noise are conditioned on the table together.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.stats import norm

from reconstruct.calibration.constants import scaled
from reconstruct.calibration.discrepancy import Hyper, Places, kernel, learnt, start
from reconstruct.calibration.quantities import NAMES, all_of, apart, off_scale
from reconstruct.calibration.rows import Row, Table, contradictions, prepared
from twin.column.column import Column

ROUNDS = 4
CLIMBS = 30
DETERMINED = 0.8
"""A constant counts as determined where the table leaves less than this of its prior standard deviation."""
CHANCE = 0.01
"""Probability, over the whole table, of calling a good row an outlier."""
CONTRADICTION = 0.05
Progress = Callable[[str, float], None]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """``mean`` and ``std`` on the quantity's scale (logarithms for ratios), ``value`` and the ends of its central interval of 90 % in inside units."""

    quantity: str
    mean: float
    std: float
    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Constants of a column as a table determines them.

    ``constants`` [n] and ``covariance`` [n, n] in their units (log-normal ones to first order); ``undetermined`` names those about which the table says next to
    nothing; ``residuals`` [rows] on each quantity's scale and ``sigmas`` [rows], the same in standard deviations of what the other rows predict; ``outliers``
    are labels of rows that were left out, with the reason.
    """

    column: Column
    names: tuple[str, ...]
    constants: np.ndarray
    covariance: np.ndarray
    undetermined: tuple[str, ...]
    labels: tuple[str, ...]
    residuals: np.ndarray
    sigmas: np.ndarray
    outliers: dict[str, str]
    hyper: dict[str, tuple[float, float]]
    length: float
    _state: "_Fit"

    @property
    def std(self) -> np.ndarray:
        """[n]."""
        return np.sqrt(np.diag(self.covariance))

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        """What the column gives at the settings of ``rows`` (their values are not looked at), with the model's error and not the measurement's noise."""
        return self._state.predict(self.column, [dataclasses.replace(row, value=1.0, std=0.0) for row in rows])


def calibrate(column: Column, rows: Sequence[Row], progress: Progress | None = None) -> Calibration:
    """Fit a column's constants to ``rows``; ValueError for rows that cannot be read or lack a setting that their quantity hangs on."""
    table = prepared(column, rows)
    fit = _Fit(column, table)
    trusted = np.ones(len(table), bool)
    outliers: dict[str, str] = {}
    for i, j in contradictions(table, CONTRADICTION):
        other = {i: j, j: i}
        for one in (i, j):
            trusted[one] = False
            outliers[table.labels[one]] = f"contradicts {table.labels[other[one]]}: same settings, another value"
    if not trusted.any():
        raise ValueError(
            "every row of the calibration table contradicts another; measure again, or drop the wrong ones"
        )
    limit = norm.isf(0.5 * CHANCE / len(table))
    fit.run(trusted)
    while trusted.sum() > max(3, len(table) // 2):
        if progress is not None:
            progress(f"fitting {int(trusted.sum())} of {len(table)} rows", len(outliers) / len(table))
        away, sigma = fit.left_out(trusted)
        worst = int(np.argmax(np.where(trusted, np.abs(away / sigma), 0.0)))
        # judged by a fit that it had no part in: one row far off makes all rows look noisy
        kept, without = fit.known(), trusted.copy()
        without[worst] = False
        fit.run(without)
        away, sigma = fit.left_out(without)
        off = abs(away[worst] / sigma[worst])
        if off < limit:
            fit.back_to(kept)
            break
        trusted = without
        outliers[table.labels[worst]] = f"is {off:.1f} standard deviations off what the other rows say"
    return fit.result(trusted, outliers)


class _Fit:
    """The state of a fit: unit-normal constants ``u``, hyperparameters, and the linearised model at each row."""

    def __init__(self, column: Column, table: Table):
        self.column, self.table = column, table
        self.free = [i for i, one in enumerate(column.constants) if one.std > 0]
        one = lambda u, told, energy: all_of(column.of(scaled(column, u), told, energy))  # noqa: E731
        self._values = jax.jit(jax.vmap(one, (None, 0, 0)))
        self._slopes = jax.jit(jax.vmap(jax.jacfwd(one), (None, 0, 0)))
        self.kinds, kind = np.unique(table.kind, return_inverse=True)
        self.places = self._places(table, kind)
        self.hyper: Hyper = start(len(self.kinds))
        self.u = np.zeros(len(self.free))

    def _places(self, table: Table, kind: np.ndarray) -> Places:
        lenses = [i for i, name in enumerate(self.column.controls) if name.startswith("lens.")]
        groups: dict[tuple, int] = getattr(self, "_groups", {})
        zero, zero_std = np.full(len(table), -1), np.zeros(len(table))
        for row in range(len(table)):
            name = NAMES[table.kind[row]]
            if name in self.column.table.zeros:
                key = (name, float(table.energy[row]), table.keys[row])
                zero[row] = groups.setdefault(key, len(groups))
                zero_std[row] = self.column.table.zeros[name]
        self._groups = groups
        # HT far away is another column for the error's purposes: 100 % in tension counts as one full-scale excitation
        told = np.column_stack([table.told[:, lenses], np.log(table.energy)])
        return Places(kind, told, zero, zero_std)

    def at(self, u: np.ndarray, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """Expected values [n] and their slopes [n, p] by unit-normal constants, on each row's scale."""
        told, energy = jnp.asarray(table.told), jnp.asarray(table.energy)
        rows = np.arange(len(table))
        values = np.asarray(self._values(jnp.asarray(u), told, energy))[rows, table.kind]
        return values, np.asarray(self._slopes(jnp.asarray(u), told, energy))[rows, table.kind]

    def _away(self, values: np.ndarray) -> np.ndarray:
        return apart(self.table.kind, self.table.value, values)

    def noise(self) -> np.ndarray:
        """Variance [n] of each row's own error."""
        stated = self.table.std**2
        return np.where(stated > 0, stated, self.hyper.noise[self.places.kind] ** 2)

    def run(self, trusted: np.ndarray) -> None:
        """Constants and hyperparameters in turn, from where they are."""
        chosen = np.flatnonzero(trusted)
        places = Places(*(field[chosen] for field in self.places))
        for _ in range(ROUNDS):
            error = kernel(self.hyper, places, places) + np.diag(self.noise()[chosen])
            self._climb(chosen, cholesky(error, lower=True))
            values, slopes = self.at(self.u, self.table)
            away = self._away(values) + slopes @ self.u
            stated = self.table.std[chosen] ** 2
            self.hyper = learnt(away[chosen], slopes[chosen], stated, places, self.hyper)

    def _climb(self, chosen: np.ndarray, factor: np.ndarray) -> None:
        """Levenberg-Marquardt on the constants: minus log posterior at fixed hyperparameters."""

        def cost(u: np.ndarray, values: np.ndarray) -> float:
            away = self._away(values)[chosen]
            return float(away @ cho_solve((factor, True), away) + u @ u)

        damping = 1e-3
        values, slopes = self.at(self.u, self.table)
        now = cost(self.u, values)
        for _ in range(CLIMBS):
            j = slopes[chosen]
            gradient = j.T @ cho_solve((factor, True), self._away(values)[chosen]) - self.u
            curvature = j.T @ cho_solve((factor, True), j) + np.eye(len(self.u))
            step = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), gradient)
            trial = self.u + step
            trial_values, trial_slopes = self.at(trial, self.table)
            then = cost(trial, trial_values)
            if np.isfinite(then) and then < now:
                done = now - then < 1e-6 * (1 + now)
                self.u, values, slopes, now, damping = trial, trial_values, trial_slopes, then, damping / 5
                if done:
                    break
            else:
                damping *= 4
                if damping > 1e8:
                    break

    def known(self) -> tuple[np.ndarray, Hyper]:
        """Where the fit stands."""
        return self.u, self.hyper

    def back_to(self, known: tuple[np.ndarray, Hyper]) -> None:
        """To where it stood."""
        self.u, self.hyper = known

    def _joint(self, trusted: np.ndarray):
        values, slopes = self.at(self.u, self.table)
        chosen = np.flatnonzero(trusted)
        places = Places(*(field[chosen] for field in self.places))
        total = slopes[chosen] @ slopes[chosen].T + kernel(self.hyper, places, places) + np.diag(self.noise()[chosen])
        away = self._away(values) + slopes @ self.u
        return chosen, places, cholesky(total, lower=True), away, slopes, values

    def left_out(self, trusted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each row less what the other trusted rows predict of it [n], and that prediction's standard deviation, the row's own noise included."""
        chosen, places, factor, away, slopes, _ = self._joint(trusted)
        inverse = cho_solve((factor, True), np.eye(len(chosen)))
        gap, sigma = np.zeros(len(away)), np.ones(len(away))
        gap[chosen] = (inverse @ away[chosen]) / np.diag(inverse)
        sigma[chosen] = 1 / np.sqrt(np.diag(inverse))
        for row in np.flatnonzero(~trusted):
            here = Places(*(field[[row]] for field in self.places))
            cross = slopes[chosen] @ slopes[row] + kernel(self.hyper, places, here)[:, 0]
            own = slopes[row] @ slopes[row] + kernel(self.hyper, here, here)[0, 0] + self.noise()[row]
            gap[row] = away[row] - cross @ cho_solve((factor, True), away[chosen])
            sigma[row] = np.sqrt(max(own - cross @ cho_solve((factor, True), cross), 0.0))
        return gap, sigma

    def result(self, trusted: np.ndarray, outliers: dict[str, str]) -> Calibration:
        chosen, _, factor, away, slopes, values = self._joint(trusted)
        j = slopes[chosen]
        mean = j.T @ cho_solve((factor, True), away[chosen])
        left = np.eye(len(self.u)) - j.T @ cho_solve((factor, True), j)
        scale = np.asarray(jax.jacfwd(lambda u: scaled(self.column, u))(jnp.asarray(mean)))
        undetermined = tuple(
            self.column.constants[place].name
            for place, share in zip(self.free, np.sqrt(np.maximum(np.diag(left), 0.0)), strict=True)
            if share > DETERMINED
        )
        self.mean, self.trusted = mean, trusted
        gap, sigma = self.left_out(trusted)
        return Calibration(
            self.column,
            tuple(one.name for one in self.column.constants),
            np.asarray(scaled(self.column, jnp.asarray(mean))),
            scale @ left @ scale.T,
            undetermined,
            self.table.labels,
            self._away(values),
            gap / sigma,
            outliers,
            {NAMES[k]: (float(self.hyper.size[i]), float(self.hyper.noise[i])) for i, k in enumerate(self.kinds)},
            self.hyper.length,
            self,
        )

    def predict(self, column: Column, rows: Sequence[Row]) -> list[Prediction]:
        asked = prepared(column, rows)
        strange = sorted({NAMES[k] for k in asked.kind} - {NAMES[k] for k in self.kinds})
        hyper = self.hyper
        kinds = list(self.kinds)
        if strange:  # what the table has no row of has the prior's error
            kinds += [NAMES.index(name) for name in strange]
            more = start(len(strange))
            hyper = Hyper(np.r_[hyper.size, more.size], np.r_[hyper.noise, more.noise], hyper.length)
        chosen, places, factor, away, slopes, _ = self._joint(self.trusted)
        values, there = self.at(self.u, asked)
        wanted = self._places(asked, np.array([kinds.index(k) for k in asked.kind]))
        cross = there @ slopes[chosen].T + kernel(hyper, wanted, places)
        own = np.einsum("np,np->n", there, there) + np.diag(kernel(hyper, wanted, wanted))
        mean = values - there @ self.u + cross @ cho_solve((factor, True), away[chosen])
        std = np.sqrt(np.maximum(own - np.einsum("nk,kn->n", cross, cho_solve((factor, True), cross.T)), 0.0))
        wide = norm.isf(0.05)
        found = []
        for row, m, s in zip(rows, mean, std, strict=True):
            low, value, high = off_scale(row.quantity, np.array([m - wide * s, m, m + wide * s]))
            found.append(Prediction(row.quantity, float(m), float(s), float(value), float(low), float(high)))
        return found
