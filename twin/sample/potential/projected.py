"""Projected potentials of atoms on a grid: scattering factors times exact structure factors.

Positions enter through the phases of Fourier components, so sub-pixel positions are exact and potentials are differentiable in positions,
occupancy and thermal motion. Potentials are in V angstrom; an absorptive part is the imaginary part.

The structure factor of a group of atoms is one matrix product: exp(-2 pi i k.r) = exp(-2 pi i ky y) exp(-2 pi i kx x), and since a potential is
real only kx >= 0 is needed, and of ky only cosines and sines: S(kx, +-ky) = sum cos(ky y) X -+ i sum sin(ky y) X. Weights of the atoms
(occupancy, Debye-Waller factors) go into the two factors.
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from twin import checks
from twin.phases import cos_sin
from twin.sample.potential import absorption, finite_projection
from twin.sample.potential.factors import factors, projected_factor

__all__ = ["Neighbours", "Plan", "factors", "potential", "project", "projected_factor"]


class Neighbours(eqx.Module):
    """Atoms near every plane between slices, for one element: ``indices`` [planes, most] padded with -1, ``offset`` (angstrom) and ``sign`` such
    that sign (z + offset) >= 0 is the atom's distance from the plane."""

    indices: Int[np.ndarray, "planes most"]
    offset: Float[np.ndarray, "planes most"]
    sign: Float[np.ndarray, "planes most"]


class Plan(eqx.Module):
    """Data of a potential that do not depend on positions, occupancy and u2: tables on the grid, and the atoms of each slice.

    ``members`` as in `project`; ``factors`` [elements, ny, nx] V angstrom^3; for finite projection ``tail_spectra`` and ``basis`` as in `Tails` (preceded by
    ``factors`` if damped) and ``neighbours`` of each element; ``absorbed`` tables with ``middle`` and ``half`` [atoms] of each atom's range of u2.
    ``damped``: Debye-Waller factors.
    """

    members: Int[np.ndarray, "slices elements most"]
    factors: Float[np.ndarray, "elements y x"]
    extent: tuple[float, float] = eqx.field(static=True)
    spacing: float = eqx.field(static=True)
    damped: bool = eqx.field(static=True, default=False)
    tail_spectra: Float[np.ndarray, "elements terms y x"] | None = None
    basis: Float[np.ndarray, "elements nodes rank"] | None = None
    neighbours: tuple[Neighbours, ...] | None = None
    absorbed: Float[np.ndarray, "elements nodes y x"] | None = None
    middle: Float[np.ndarray, " atoms"] | None = None
    half: Float[np.ndarray, " atoms"] | None = None


def _cosines(coordinate: Float[Array, " atoms"], period: float, points: int, dtype: Any) -> tuple[Array, Array]:
    """cos and sin [atoms, points // 2 + 1] of 2 pi m x / period."""
    turns = (coordinate / period)[:, None] * jnp.arange(points // 2 + 1)[None, :]
    # reduced as they are given, and only then of the grid's precision
    return cos_sin((turns - jnp.round(turns)).astype(dtype))


def _summed(
    x: Float[Array, " atoms"],
    y: Float[Array, " atoms"],
    weights: Float[Array, "atoms n"],
    tables: Float[Array | np.ndarray, "n y x"],
    extent: tuple[float, float],
    u2: Float[Array, " atoms"] | None,
) -> Float[Array, "2 halfy 2 halfx"]:
    """sum_n tables_n(k) sum_atoms weights_n exp(-2 pi i k.r) exp(-2 pi^2 u2 k^2): sums over (cos, -sin) of ky y times (re, im) of kx x."""
    ny, nx = tables.shape[-2:]
    dtype = tables.dtype
    cos_x, sin_x = _cosines(x, extent[0], nx, dtype)
    cos_y, sin_y = _cosines(y, extent[1], ny, dtype)
    if u2 is not None:

        def damping(period: float, points: int) -> Array:
            k = jnp.arange(points // 2 + 1) / period
            return jnp.exp(-2.0 * jnp.pi**2 * u2[:, None] * k[None, :] ** 2).astype(dtype)

        along_x, along_y = damping(extent[0], nx), damping(extent[1], ny)
        cos_x, sin_x, cos_y, sin_y = cos_x * along_x, sin_x * along_x, cos_y * along_y, sin_y * along_y
    right = jnp.concatenate([cos_x, -sin_x], axis=1)
    left = jnp.concatenate([cos_y, -sin_y], axis=1)
    half_y, half_x = ny // 2 + 1, nx // 2 + 1

    def term(weight: Array, table: Array) -> Array:
        product = jnp.matmul(left.T, weight.astype(dtype)[:, None] * right, precision=jax.lax.Precision.HIGHEST)
        return product.reshape(2, half_y, 2, half_x) * table[None, :half_y, None, :half_x]

    total = term(weights[:, 0], jnp.asarray(tables[0]))
    if tables.shape[0] > 1:
        pairs = (weights.T[1:], jnp.asarray(tables)[1:])
        total = jax.lax.scan(lambda so_far, pair: (so_far + term(*pair), None), total, pairs)[0]
    return total


def _on_grid(
    sums: Float[Array, "2 halfy 2 halfx"], gpts: tuple[int, int], extent: tuple[float, float]
) -> Float[Array, "y x"]:
    """The potential whose Fourier components `_summed` gives."""
    ny, nx = gpts
    (even_re, even_im), (odd_re, odd_im) = (sums[0, :, 0], sums[0, :, 1]), (sums[1, :, 0], sums[1, :, 1])
    above = jax.lax.complex(even_re - odd_im, even_im + odd_re)
    below = jax.lax.complex(even_re + odd_im, even_im - odd_re)
    last = (ny + 1) // 2
    parts = [above[:last]]
    if ny % 2 == 0:
        # the highest frequency represents both signs: their mean keeps the potential real
        row = even_re[last:]
        row = row if nx % 2 else row.at[0, -1].add(-odd_im[last, -1])
        parts.append(jax.lax.complex(row, even_im[last:]))
    spectrum = jnp.concatenate([*parts, below[1:last][::-1]], axis=0)
    return jnp.fft.irfft2(spectrum, s=gpts) * jnp.asarray(ny * nx / (extent[0] * extent[1]), even_re.dtype)


def _inside(
    positions: Array, weights: Array, indices: Array, tables: Array, extent: tuple[float, float], u2: Array | None
) -> Array:
    """Sum over the elements of one slice; ``weights`` [atoms, n], ``indices`` [elements, most], ``tables`` [elements, n, y, x]."""

    def element(so_far: Array, members_and_table: tuple[Array, Array]) -> tuple[Array, None]:
        atoms, table = members_and_table

        def add(total: Array) -> Array:
            weight = jnp.where((atoms >= 0)[:, None], weights[atoms], 0.0)
            x, y = positions[atoms, 0], positions[atoms, 1]
            return total + _summed(x, y, weight, table, extent, None if u2 is None else u2[atoms])

        return jax.lax.cond(jnp.any(atoms >= 0), add, lambda total: total, so_far), None

    shape = (2, tables.shape[-2] // 2 + 1, 2, tables.shape[-1] // 2 + 1)
    return jax.lax.scan(element, jnp.zeros(shape, tables.dtype), (indices, tables))[0]


@partial(jax.jit, static_argnames=("extent",))
def project(
    positions: Float[Array | np.ndarray, "atoms 3"],
    members: Int[Array | np.ndarray, "slices elements most"],
    factors: Float[Array | np.ndarray, "elements y x"],
    extent: tuple[float, float],
    occupancy: Float[Array | np.ndarray, " atoms"] | None = None,
    u2: Float[Array | np.ndarray, " atoms"] | None = None,
) -> Float[Array, "slices y x"]:
    """Potential of every slice in V angstrom with atoms projected whole, in the dtype of ``factors``.

    ``positions`` in angstrom; ``members`` are the indices of the atoms of one element in one slice, padded with -1; ``factors`` as
    `factors` gives them; ``extent`` (x, y) of the periodic cell in angstrom; ``occupancy`` weights the atoms (default 1); ``u2`` in angstrom^2
    multiplies their factors by exp(-2 pi^2 u2 k^2).
    """
    checks.require_float64()
    where = jnp.asarray(positions)
    weights = jnp.ones((where.shape[0], 1)) if occupancy is None else jnp.asarray(occupancy)[:, None]
    return _project(where, jnp.asarray(members), jnp.asarray(factors)[:, None], extent, weights, u2)


def _project(
    positions: Array, members: Array, tables: Array, extent: tuple[float, float], weights: Array, u2: Any
) -> Array:
    gpts = (tables.shape[-2], tables.shape[-1])
    motion = None if u2 is None else jnp.asarray(u2)

    @jax.checkpoint
    def one_slice(indices: Array) -> Array:
        return _on_grid(_inside(positions, weights, indices, tables, extent, motion), gpts, extent)

    return jax.lax.map(one_slice, members)


def _finite(plan: Plan, positions: Array, occupancy: Array, u2: Array | None) -> Array:
    """Slices of a finite projection: each whole atom in its slice, minus the part beyond the slice's planes, which is added to the neighbours."""
    assert plan.tail_spectra is not None
    assert plan.basis is not None
    assert plan.neighbours is not None
    tables, basis = jnp.asarray(plan.tail_spectra), jnp.asarray(plan.basis)
    factors = jnp.asarray(plan.factors)[:, None]
    gpts = (tables.shape[-2], tables.shape[-1])

    def crossing(near: list[tuple[Array, Array, Array]]) -> Array:
        """D at one plane: see `twin.sample.potential.finite_projection`."""
        total = jnp.zeros((2, gpts[0] // 2 + 1, 2, gpts[1] // 2 + 1), tables.dtype)
        for element, (atoms, offset, sign) in enumerate(near):
            distance = sign * (positions[atoms, 2] + offset)
            weight = jnp.where(atoms >= 0, sign * occupancy[atoms], 0.0)
            distance = jnp.where(atoms >= 0, distance, 0.0)
            variance = None if u2 is None else u2[atoms]
            share = (
                finite_projection.shares(distance, basis[element])
                if variance is None
                else finite_projection.damped_shares(distance, variance, basis[element])
            )
            x, y = positions[atoms, 0], positions[atoms, 1]
            total = total + _summed(x, y, weight[:, None] * share, tables[element], plan.extent, variance)
        return total

    plane_neighbours = [(jnp.asarray(n.indices), jnp.asarray(n.offset), jnp.asarray(n.sign)) for n in plan.neighbours]

    @jax.checkpoint
    def step(inherited: Array, slice_: tuple[Array, list[tuple[Array, Array, Array]]]) -> tuple[Array, Array]:
        indices, near = slice_
        crossed = crossing(near)
        inside = _inside(positions, occupancy[:, None], indices, factors, plan.extent, u2)
        return crossed, _on_grid(inside + crossed - inherited, gpts, plan.extent)

    # the slice before the first has no atoms; only its last plane counts
    nothing = -jnp.ones_like(jnp.asarray(plan.members)[:1])
    indices = jnp.concatenate([nothing, jnp.asarray(plan.members)])
    start = jnp.zeros((2, gpts[0] // 2 + 1, 2, gpts[1] // 2 + 1), tables.dtype)
    return jax.lax.scan(step, start, (indices, plane_neighbours))[1][1:]


@jax.jit
def potential(
    plan: Plan,
    positions: Float[Array | np.ndarray, "atoms 3"],
    occupancy: Float[Array | np.ndarray, " atoms"],
    u2: Float[Array | np.ndarray, " atoms"],
) -> Float[Array, "slices y x"] | Complex[Array, "slices y x"]:
    """Potential of every slice in V angstrom, complex if absorptive, as a differentiable function of its atoms.

    ``positions`` in angstrom (z matters in finite projection only), ``occupancy`` 0 to 1, ``u2`` in angstrom^2 (used if the plan is damped).
    Atoms keep the slices that the plan was made for: derivatives are exact, and a step in z that crosses a plane needs a new plan.
    """
    checks.require_float64()
    where, weight, motion = jnp.asarray(positions), jnp.asarray(occupancy), jnp.asarray(u2)
    damping = motion if plan.damped else None
    if plan.neighbours is not None:
        real = _finite(plan, where, weight, damping)
    else:
        real = project(where, plan.members, plan.factors, plan.extent, weight, damping)
    if plan.absorbed is None:
        return real
    assert plan.middle is not None
    assert plan.half is not None
    weights = weight[:, None] * absorption.shares(motion, plan.middle, plan.half)
    imaginary = _project(where, jnp.asarray(plan.members), jnp.asarray(plan.absorbed), plan.extent, weights, None)
    return jax.lax.complex(real, imaginary)
