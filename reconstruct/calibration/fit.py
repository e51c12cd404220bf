"""From a calibration table to a column's constants with covariance, and to predictions at settings that the table does not have.

Constants have priors; the model has an error of its own (`discrepancy`), so that more rows do not make a wrong form of the column ever surer. Around the
most probable constants all is linear and Gaussian: constants, error and noise are conditioned on the table together.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtri

from reconstruct.calibration.constants import scaled
from reconstruct.calibration.discrepancy import Hyper
from reconstruct.calibration.posterior import Posterior
from reconstruct.calibration.quantities import NAMES, off_scale
from reconstruct.calibration.rows import Row, contradictions, prepared
from twin import checks
from twin.column.column import Column

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
    _posterior: Posterior
    _trusted: np.ndarray

    @property
    def std(self) -> np.ndarray:
        """[n]."""
        return np.sqrt(np.diag(self.covariance))

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        """What the column gives at the settings of ``rows`` (their values are not looked at), with the model's error and not the measurement's noise."""
        asked = [dataclasses.replace(row, value=1.0, std=0.0) for row in rows]
        mean, std = self._posterior.predict(asked, self._trusted)
        wide = -ndtri(0.05)
        found = []
        for row, m, s in zip(rows, mean, std, strict=True):
            low, value, high = off_scale(row.quantity, np.array([m - wide * s, m, m + wide * s]))
            found.append(Prediction(row.quantity, float(m), float(s), float(value), float(low), float(high)))
        return found


def calibrate(column: Column, rows: Sequence[Row], progress: Progress | None = None) -> Calibration:
    """Fit a column's constants to ``rows``; ValueError for rows that cannot be read or lack a setting that their quantity hangs on."""
    checks.require_float64()
    table = prepared(column, rows)
    fit = Posterior(column, table)
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
    limit = -ndtri(0.5 * CHANCE / len(table))
    near = fit.approach(trusted)
    while (near != trusted).any():
        # a row beyond a wall is judged by the others, one by one, the likeliest first
        away, sigma = fit.left_out(near)
        off = np.where(trusted & ~near, np.abs(away / sigma), np.inf)
        nearest = int(np.argmin(off))
        if off[nearest] > limit:
            for row in np.flatnonzero(trusted & ~near):
                outliers[table.labels[row]] = f"is {off[row]:.1f} standard deviations off what the other rows say"
            trusted = near
            break
        near[nearest] = True
        fit.settle(near)
    while trusted.sum() > max(3, len(table) // 2):
        if progress is not None:
            progress(f"fitting {int(trusted.sum())} of {len(table)} rows", len(outliers) / len(table))
        away, sigma = fit.left_out(trusted)
        worst = int(np.argmax(np.where(trusted, np.abs(away / sigma), 0.0)))
        # judged by a fit that it had no part in: one row far off makes all rows look noisy
        kept, without = fit.state(), trusted.copy()
        without[worst] = False
        fit.settle(without)
        away, sigma = fit.left_out(without)
        off = abs(away[worst] / sigma[worst])
        if off < limit:
            fit.back_to(kept)
            break
        trusted = without
        outliers[table.labels[worst]] = f"is {off:.1f} standard deviations off what the other rows say"
    mean, left = fit.constants(trusted)
    scale = np.asarray(jax.jacfwd(lambda u: scaled(column, u))(jnp.asarray(mean)))
    free = [one.name for one in column.constants if one.std > 0]
    shares = np.sqrt(np.maximum(np.diag(left), 0.0))
    gap, sigma = fit.left_out(trusted)
    return Calibration(
        column,
        tuple(one.name for one in column.constants),
        np.asarray(scaled(column, jnp.asarray(mean))),
        scale @ left @ scale.T,
        tuple(name for name, share in zip(free, shares, strict=True) if share > DETERMINED),
        table.labels,
        fit.evaluation.away(fit.linear.values),
        gap / sigma,
        outliers,
        fit.hyper,
        {
            NAMES[k]: float(fit.hyper.noise[i])
            for i, k in enumerate(fit.kinds)
            if (table.std[table.kind == k] == 0).any()
        },
        fit,
        trusted,
    )
