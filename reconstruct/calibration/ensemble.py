"""Draws of a column's constants that agree with a table, where what is known is too little for one Gaussian: several forms of column fit it.

Randomised maximum likelihood: every draw starts from constants of the prior and climbs to the best agreement with the rows, disturbed by their errors, and
with itself (Y. Chen & D. Oliver, Math. Geosci. 44, 1, 2012). Exact where all is linear; draws that end in no agreement are left out.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.stats import chi2

from reconstruct.calibration.constants import scaled
from reconstruct.calibration.quantities import QUANTITIES, all_of
from reconstruct.calibration.rows import Row, prepared
from twin.column.column import Column

CLIMBS = 60
ERROR = {"log": 0.03, "angle": 0.05, "focus": 0.05}
"""Rms error of a column's form on each scale, beside what a row states: an assumption."""
KEPT = 1e-3
"""Probability of a misfit as large as a draw's, below which the draw is no agreement."""


def agreeing_draws(column: Column, rows: Sequence[Row], count: int, generator: np.random.Generator) -> np.ndarray:
    """Up to ``count`` constants [k, n] that agree with ``rows``; ValueError where none of them do."""
    table = prepared(column, rows)
    told, energy = jnp.asarray(table.told), jnp.asarray(table.energy)
    scales = [QUANTITIES[k].scale for k in table.kind]
    error = np.hypot(table.std, [ERROR[scale] for scale in scales])
    angle = jnp.asarray([scale == "angle" for scale in scales])
    rank = jnp.arange(len(table))
    free = sum(one.std > 0 for one in column.constants)

    def away(u: Float[Array, " p"], begun: Float[Array, " p"], wanted: Float[Array, " n"]) -> Float[Array, " m"]:
        constants = scaled(column, u)
        values = jax.vmap(lambda t, e: all_of(column.of(constants, t, e)))(told, energy)[rank, table.kind]
        gap = values - wanted
        gap = jnp.where(angle, (gap + jnp.pi) % (2 * jnp.pi) - jnp.pi, gap)
        return jnp.concatenate([gap / error, u - begun])

    values_of = jax.jit(jax.vmap(away))
    slopes_of = jax.jit(jax.vmap(jax.jacfwd(away)))
    begun = jnp.asarray(generator.standard_normal((count, free)))
    wanted = jnp.asarray(table.value + error * generator.standard_normal((count, len(table))))
    u, damping = begun, jnp.full(count, 1e-2)
    gap = values_of(u, begun, wanted)
    cost = (gap**2).sum(axis=1)
    for _ in range(CLIMBS):
        slopes = slopes_of(u, begun, wanted)
        normal = jnp.einsum("kmp,kmq->kpq", slopes, slopes)
        diagonal = jnp.einsum("kpp->kp", normal)
        lifted = normal + jax.vmap(jnp.diag)(damping[:, None] * diagonal)
        step = jnp.linalg.solve(lifted, -jnp.einsum("kmp,km->kp", slopes, gap)[..., None])[..., 0]
        trial = u + jnp.clip(step, -1.0, 1.0)
        there = values_of(trial, begun, wanted)
        then = (there**2).sum(axis=1)
        better = jnp.isfinite(then) & (then < cost)
        u = jnp.where(better[:, None], trial, u)
        gap, cost = jnp.where(better[:, None], there, gap), jnp.where(better, then, cost)
        damping = jnp.clip(jnp.where(better, damping / 3, damping * 4), 1e-9, 1e9)
    misfit = np.asarray((gap[:, : len(table)] ** 2).sum(axis=1))
    good = misfit < chi2.isf(KEPT, len(table))
    if not good.any():
        raise ValueError(
            f"no column of {column.table.name!r}'s kind agrees with these rows (least misfit {np.nanmin(misfit):.3g} for {len(table)}); check the rows"
        )
    return np.asarray(jax.vmap(lambda one: scaled(column, one))(u))[good]
