"""Draws of a column's constants that agree with a table, where the posterior is not one Gaussian.

Randomised maximum likelihood: each draw starts from constants of the prior and is fitted to the rows, perturbed by their errors, with the start as
prior (Y. Chen & D. Oliver, Math. Geosci. 44, 1, 2012). Exact for linear models; draws that do not agree in the end are left out. The error of the rows
shrinks in stages, as in `reconstruct.calibration.search`.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import chdtri

from reconstruct.calibration.climb import DampedGaussNewton
from reconstruct.calibration.constants import scaled
from reconstruct.calibration.evaluation import Evaluation
from reconstruct.calibration.quantities import QUANTITIES, bounded
from reconstruct.calibration.rows import Row, prepared
from twin.column.column import Column

RELAXED_ERRORS = (0.5, 0.3, 0.2, 0.12, 0.07)
STEPS_PER_STAGE, FINAL_STEPS = 5, 30
"""Gauss-Newton steps at each stage, and at the last with the rows' own errors."""
MODEL_ERROR = {"log": 0.03, "angle": 0.05, "focus": 0.005}
"""Assumed rms error of the model on each scale, added to a row's own."""
MIN_MISFIT_PROBABILITY = 1e-3
"""Probability of a misfit as large as a draw's below which the draw is left out."""


def agreeing_draws(column: Column, rows: Sequence[Row], count: int, generator: np.random.Generator) -> np.ndarray:
    """Up to ``count`` constants [k, n] that agree with ``rows``; ValueError where none of them do."""
    table = prepared(column, rows)
    evaluation = Evaluation(column, table)
    error = np.hypot(table.std, [MODEL_ERROR[QUANTITIES[k].scale] for k in table.kind])
    starts = generator.standard_normal((count, evaluation.size))
    target = bounded(table.kind, table.value)[0] + error * generator.standard_normal((count, len(table)))
    fit = DampedGaussNewton(evaluation, starts, starts, target)
    for relaxed in RELAXED_ERRORS:
        fit.steps(np.hypot(error, relaxed), STEPS_PER_STAGE)
    fit.steps(error, FINAL_STEPS)
    misfit = ((fit.gap() / error) ** 2).sum(axis=1)
    agreeing = misfit < chdtri(len(table), MIN_MISFIT_PROBABILITY)
    if not agreeing.any():
        raise ValueError(
            f"no column of {column.table.name!r}'s kind agrees with these rows (least misfit {np.nanmin(misfit):.3g} for {len(table)}); check the rows"
        )
    return np.asarray(jax.vmap(lambda normals: scaled(column, normals))(jnp.asarray(fit.u[agreeing])))
