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
from reconstruct.calibration.evaluation import Evaluation
from reconstruct.calibration.quantities import NAMES, off_scale, on_scale
from reconstruct.calibration.rows import Row, Table, contradictions, prepared
from reconstruct.calibration.search import sought
from twin.column.column import Column
from twin.column.elements import Lens

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
    hyper: Hyper
    noise: dict[str, float]
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
        kept, without = fit.hyper, trusted.copy()
        without[worst] = False
        fit.run(without)
        away, sigma = fit.left_out(without)
        off = abs(away[worst] / sigma[worst])
        if off < limit:
            fit.hyper = kept
            break
        trusted = without
        outliers[table.labels[worst]] = f"is {off:.1f} standard deviations off what the other rows say"
    return fit.result(trusted, outliers)


class _Fit:
    """The state of a fit: unit-normal constants ``u``, hyperparameters, and the linearised model at each row."""

    def __init__(self, column: Column, table: Table):
        self.column, self.table = column, table
        self.free = [i for i, one in enumerate(column.constants) if one.std > 0]
        self.rows = Evaluation(column, table)
        self.kinds, self.kind = np.unique(table.kind, return_inverse=True)
        self._groups: dict[tuple, int] = {}
        self.hyper: Hyper = start(len(self.kinds))
        self.u = sought(column, table, np.random.default_rng(0))
        values, self.slopes = self.rows.values(self.u[None])[0], self.rows.slopes(self.u[None])[0]
        self.away = self.rows.away(values) + self.slopes @ self.u
        self.places = self._places(self.rows, self.kind, self.slopes)

    def _places(self, rows: Evaluation, kind: np.ndarray, slopes: np.ndarray) -> Places:
        column, table = self.column, rows.table
        lenses = [one for one in column.table.of(Lens) if one.control]
        zero, zero_std = np.full(len(table), -1), np.zeros(len(table))
        for row in range(len(table)):
            name = NAMES[table.kind[row]]
            if name in column.table.zeros:
                key = (name, float(table.energy[row]), table.keys[row])
                zero[row] = self._groups.setdefault(key, len(self._groups))
                zero_std[row] = on_scale(name, 1.0, column.table.zeros[name])[1]
        told = table.told[:, [column.controls.index(one.control) for one in lenses]]
        return Places(kind, told, np.log(table.energy), self._levers(lenses, slopes), zero, zero_std)

    def _levers(self, lenses: Sequence[Lens], slopes: np.ndarray) -> np.ndarray:
        """Derivatives [n, m, 3] by relative errors of strength and width, and of place in half widths; 0 for what is known exactly."""
        names = [self.column.constants[i].name for i in self.free]
        found = np.zeros((len(slopes), len(lenses), 3))
        for number, lens in enumerate(lenses):
            for part, field in enumerate(("ampere_turns", "half_width", "place")):
                name = f"{lens.name}.{field}"
                if name in names:
                    constant = self.column.constants[self.free[names.index(name)]]
                    unit = constant.mean if constant.positive else self.column.nominal_of(f"{lens.name}.half_width")
                    found[:, number, part] = slopes[:, names.index(name)] * unit / constant.std
        return found

    def noise(self) -> np.ndarray:
        """Variance [n] of each row's own error."""
        stated = self.table.std**2
        return np.where(stated > 0, stated, self.hyper.noise[self.kind] ** 2)

    def run(self, trusted: np.ndarray) -> None:
        """Hyperparameters from the trusted rows."""
        chosen = np.flatnonzero(trusted)
        stated = self.table.std[chosen] ** 2
        self.hyper = learnt(self.away[chosen], self.slopes[chosen], stated, self.places.at(chosen), self.hyper)

    def _joint(self, trusted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places of the trusted rows, and the Cholesky factor of what they should scatter by."""
        chosen = np.flatnonzero(trusted)
        places, slopes = self.places.at(chosen), self.slopes[chosen]
        total = slopes @ slopes.T + kernel(self.hyper, places, places) + np.diag(self.noise()[chosen])
        return chosen, cholesky(total, lower=True)

    def left_out(self, trusted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each row less what the other trusted rows predict of it [n], and that prediction's standard deviation, the row's own noise included."""
        (chosen, factor), away, slopes, places = self._joint(trusted), self.away, self.slopes, self.places
        inverse = cho_solve((factor, True), np.eye(len(chosen)))
        gap, sigma = np.zeros(len(away)), np.ones(len(away))
        gap[chosen] = (inverse @ away[chosen]) / np.diag(inverse)
        sigma[chosen] = 1 / np.sqrt(np.diag(inverse))
        for row in np.flatnonzero(~trusted):
            here = places.at(np.array([row]))
            cross = slopes[chosen] @ slopes[row] + kernel(self.hyper, places.at(chosen), here)[:, 0]
            own = slopes[row] @ slopes[row] + kernel(self.hyper, here, here)[0, 0] + self.noise()[row]
            gap[row] = away[row] - cross @ cho_solve((factor, True), away[chosen])
            sigma[row] = np.sqrt(max(own - cross @ cho_solve((factor, True), cross), 0.0))
        return gap, sigma

    def result(self, trusted: np.ndarray, outliers: dict[str, str]) -> Calibration:
        (chosen, factor), away, slopes = self._joint(trusted), self.away, self.slopes
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
            away - slopes @ mean,
            gap / sigma,
            outliers,
            self.hyper,
            {NAMES[k]: float(self.hyper.noise[i]) for i, k in enumerate(self.kinds)},
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
            hyper = hyper._replace(noise=np.r_[hyper.noise, more.noise])
        (chosen, factor), away, slopes, places = self._joint(self.trusted), self.away, self.slopes, self.places
        rows_asked = Evaluation(self.column, asked)
        values, there = rows_asked.values(self.u[None])[0], rows_asked.slopes(self.u[None])[0]
        wanted = self._places(rows_asked, np.array([kinds.index(k) for k in asked.kind]), there)
        cross = there @ slopes[chosen].T + kernel(hyper, wanted, places.at(chosen))
        own = np.einsum("np,np->n", there, there) + np.diag(kernel(hyper, wanted, wanted))
        mean = values - there @ self.u + cross @ cho_solve((factor, True), away[chosen])
        std = np.sqrt(np.maximum(own - np.einsum("nk,kn->n", cross, cho_solve((factor, True), cross.T)), 0.0))
        wide = norm.isf(0.05)
        found = []
        for row, m, s in zip(rows, mean, std, strict=True):
            low, value, high = off_scale(row.quantity, np.array([m - wide * s, m, m + wide * s]))
            found.append(Prediction(row.quantity, float(m), float(s), float(value), float(low), float(high)))
        return found
