"""The flexible detector: a diffraction pattern reduced to sums over narrow rings, which integrate to any annular detector afterwards.

Limits on the edges of bins give what an annular detector with the same soft edge gives, exactly. A limit within a bin takes a share of it
by area, as if the intensity were uniform in the bin; `integration_error` bounds the error of that.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin import checks
from twin.checks import Number, known, require
from twin.detection.regions import Frequency, Offset, check_edge, plane, radius


class RadialBins(eqx.Module):
    """Sums ``values`` [*batch, bins] of a pattern over rings from ``start`` radian on, each ``width`` radian wide."""

    values: Float[Array, "*batch bins"]
    start: float = eqx.field(static=True)
    width: float = eqx.field(static=True)

    @property
    def edges(self) -> np.ndarray:
        """Borders of the rings [bins + 1] in radian."""
        return self.start + self.width * np.arange(self.values.shape[-1] + 1)


def radial_bins(
    patterns: Float[Array, "*batch y x"],
    kx: Frequency,
    ky: Frequency,
    wavelength: float,
    width: float,
    outer: float,
    inner: float = 0.0,
    edge: float = 0.0,
    offset: Offset = (0.0, 0.0),
) -> RadialBins:
    """Sums of ``patterns`` over rings ``width`` radian wide from ``inner`` to ``outer`` around ``offset``, in the precision of the patterns.

    ``kx``, ``ky`` (1/angstrom) broadcast to [y, x]. With a soft ``edge`` a beam is shared between the rings that an interval so wide meets, as in
    `regions.ring`, and the sums can be differentiated in the offset. ValueError unless the rings fill inner to outer.
    """
    check_edge(edge)
    require(
        0.0 <= inner < outer < np.inf, f"rings from {inner} to {outer} rad are not possible; give 0 <= inner < outer"
    )
    require(0.0 < width < np.inf, f"width is {width} rad; give the width of a ring in radian, above zero")
    count = round((outer - inner) / width)
    fits = abs((outer - inner) / width - count) < 1e-6 and count > 0
    fitting = inner + max(count, 1) * width
    require(fits, f"rings of {width} rad do not fill {inner} to {outer} rad; use outer = {fitting} or another width")
    require(
        edge <= width and (inner == 0.0 or inner >= edge),
        f"edge {edge} rad is wider than a ring of {width} rad or than inner; use wider rings or a narrower edge",
    )
    angle = radius(*plane(kx, ky, wavelength, offset)).reshape(-1)
    flat = patterns.reshape(-1, angle.size)
    edges = jnp.asarray(inner + width * np.arange(count + 1))
    low = angle - 0.5 * edge
    ring = jnp.searchsorted(edges, low, side="right") - 1
    if edge == 0.0:
        share = jnp.ones_like(angle)
    else:
        # Below zero the interval is folded back into the first ring, which is wider than it.
        border = edges[jnp.clip(ring + 1, 0, count)]
        share = jnp.clip((border - low) / edge, 0.0, 1.0)
        share = jnp.where((ring < 0) & (inner == 0.0), 0.0, share)
    # Index 0 holds the intensity inside the inner limit, index count + 1 that outside the outer limit.
    index = jnp.clip(ring + 1, 0, count + 1)
    total = jnp.zeros((flat.shape[0], count + 2), patterns.dtype)
    total = total.at[:, index].add(flat * share.astype(flat.dtype)[None])
    if edge > 0.0:
        total = total.at[:, jnp.minimum(index + 1, count + 1)].add(flat * (1.0 - share).astype(flat.dtype)[None])
    return RadialBins(total[:, 1:-1].reshape(*patterns.shape[:-2], count), float(inner), float(width))


def integrate(bins: RadialBins, inner: Number, outer: Number) -> Array:
    """Signal [*batch] of an annular detector from ``inner`` to ``outer`` radian; differentiable in both.

    ValueError if the bins do not reach as far.
    """
    _check_limits(bins, inner, outer)
    return _up_to(bins, outer)[0] - _up_to(bins, inner)[0]


def integration_error(bins: RadialBins, inner: Number, outer: Number) -> Array:
    """Largest possible error [*batch] of `integrate` for limits within bins: all of a cut bin may lie on one side; zero on edges."""
    _check_limits(bins, inner, outer)
    return _up_to(bins, outer)[1] + _up_to(bins, inner)[1]


def _check_limits(bins: RadialBins, inner: Number, outer: Number) -> None:
    if not known(inner, outer):
        return
    low, high, slack = bins.edges[0], bins.edges[-1], 1e-9 * bins.width
    require(inner < outer, f"a ring from {inner} to {outer} rad is not possible; give inner < outer in radian")
    require(
        low - slack <= inner and outer <= high + slack,
        f"a ring from {inner} to {outer} rad leaves the bins, which reach from {low} to {high} rad; bin further out",
    )


def _up_to(bins: RadialBins, limit: Number) -> tuple[Array, Array]:
    """Sum from the first edge to ``limit``, and the error bound of the bin it cuts."""
    edges = jnp.asarray(bins.edges)
    angle = checks.float64(limit)
    count = bins.values.shape[-1]
    index = jnp.clip(jnp.searchsorted(edges, angle, side="right") - 1, 0, count - 1)
    share = (angle**2 - edges[index] ** 2) / (edges[index + 1] ** 2 - edges[index] ** 2)
    share = jnp.clip(share, 0.0, 1.0).astype(bins.values.dtype)
    within = jnp.take(bins.values, index, axis=-1)
    enclosed = jnp.sum(jnp.where(jnp.arange(count) < index, bins.values, 0.0), axis=-1)
    # Limits that are an edge but for rounding cut nothing.
    cut = jnp.minimum(share, 1.0 - share) > 1e-6
    return enclosed + share * within, jnp.where(cut, jnp.maximum(share, 1.0 - share) * within, 0.0)
