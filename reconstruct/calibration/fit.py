"""Fit of a column's constants to a calibration table, with covariance, outliers and predictions at other settings.

Constants have priors; the model has an error of its own (`discrepancy`), so that more rows do not make a wrong model certain. About the most
probable constants the model is linear and Gaussian: constants, error and noise are conditioned on the table together.
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

DETERMINED_STD_RATIO = 0.8
"""A constant is determined where its posterior standard deviation is below this share of the prior's."""
FALSE_OUTLIER_PROBABILITY = 0.01
"""Probability, over the whole table, of calling a good row an outlier."""
CONTRADICTION_TOLERANCE = 0.05
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

    ``constants`` [n] and ``covariance`` [n, n] in their units (log-normal ones to first order); ``undetermined`` names those that the table does not
    determine; ``residuals`` [rows] on each quantity's scale and ``sigmas`` [rows], the same in standard deviations of what the other rows predict; ``outliers``
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
        """What the column gives at the settings of ``rows`` (their values are not used), with the model's error and not the measurement's noise."""
        settings_rows = [dataclasses.replace(row, value=1.0, std=0.0) for row in rows]
        mean, std = self._posterior.predict(settings_rows, self._trusted)
        sigmas = -ndtri(0.05)
        predictions = []
        for row, m, s in zip(rows, mean, std, strict=True):
            low, value, high = off_scale(row.quantity, np.array([m - sigmas * s, m, m + sigmas * s]))
            predictions.append(Prediction(row.quantity, float(m), float(s), float(value), float(low), float(high)))
        return predictions


def calibrate(column: Column, rows: Sequence[Row], progress: Progress | None = None) -> Calibration:
    """Fit a column's constants to ``rows``; ValueError for rows that cannot be read or lack a setting that their quantity depends on."""
    checks.require_float64()
    table = prepared(column, rows)
    fit = Posterior(column, table)
    trusted = np.ones(len(table), bool)
    outliers: dict[str, str] = {}
    for i, j in contradictions(table, CONTRADICTION_TOLERANCE):
        other = {i: j, j: i}
        for row in (i, j):
            trusted[row] = False
            outliers[table.labels[row]] = f"contradicts {table.labels[other[row]]}: same settings, another value"
    if not trusted.any():
        raise ValueError(
            "every row of the calibration table contradicts another; measure again, or drop the wrong ones"
        )
    limit = -ndtri(0.5 * FALSE_OUTLIER_PROBABILITY / len(table))
    close = fit.approach(trusted)
    while (close != trusted).any():
        # a row beyond a wall is tested against the others, one by one, the closest first
        residual, sigma = fit.left_out(close)
        sigmas_off = np.where(trusted & ~close, np.abs(residual / sigma), np.inf)
        closest = int(np.argmin(sigmas_off))
        if sigmas_off[closest] > limit:
            for row in np.flatnonzero(trusted & ~close):
                outliers[table.labels[row]] = (
                    f"is {sigmas_off[row]:.1f} standard deviations off what the other rows say"
                )
            trusted = close
            break
        close[closest] = True
        fit.converge(close)
    while trusted.sum() > max(3, len(table) // 2):
        if progress is not None:
            progress(f"fitting {int(trusted.sum())} of {len(table)} rows", len(outliers) / len(table))
        residual, sigma = fit.left_out(trusted)
        worst = int(np.argmax(np.where(trusted, np.abs(residual / sigma), 0.0)))
        # tested against a fit without it: one outlier makes all rows look noisy
        saved, others = fit.snapshot(), trusted.copy()
        others[worst] = False
        fit.converge(others)
        residual, sigma = fit.left_out(others)
        sigmas_off = abs(residual[worst] / sigma[worst])
        if sigmas_off < limit:
            fit.restore(saved)
            break
        trusted = others
        outliers[table.labels[worst]] = f"is {sigmas_off:.1f} standard deviations off what the other rows say"
    mean, covariance = fit.constants(trusted)
    scale = np.asarray(jax.jacfwd(lambda u: scaled(column, u))(jnp.asarray(mean)))
    free = [constant.name for constant in column.constants if constant.std > 0]
    shares = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    gap, sigma = fit.left_out(trusted)
    return Calibration(
        column,
        tuple(constant.name for constant in column.constants),
        np.asarray(scaled(column, jnp.asarray(mean))),
        scale @ covariance @ scale.T,
        tuple(name for name, share in zip(free, shares, strict=True) if share > DETERMINED_STD_RATIO),
        table.labels,
        fit.evaluation.residual(fit.linear.values),
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
