"""The part of an atom's potential beyond a plane, as a short sum of products of a function of frequency and a function of distance.

Finite projection integrates V(k, z) over a slice. For atoms at z_a with total T(k) and planes at z_0 < z_1 < ... the potential of slice i is

    sum of T over the atoms between its planes  +  D_{i+1}(k) - D_i(k),   D_j(k) = sum_a sign(z_a - z_j) R(k, |z_a - z_j|) exp(-2 pi i k.r_a),

with R the part of the atom beyond the plane (`projected_beyond`). R is smooth for distances from 0 on: R / T = sum_n c_n(k) T_n(x(s)),
Chebyshev polynomials in x that rises with log(1 + s / DISTANCE_SCALE), finer near the atom; a singular value decomposition leaves about
fifteen products. The sums over slices telescope, so the sum of all slices is the infinite projection for any error of R, and a
potential stays a matrix product and differentiable in z.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial.chebyshev import chebvander

from twin.chebyshev import chebyshev
from twin.grid import frequencies
from twin.sample.potential.factors import projected_beyond, projected_factor

DISTANCE_NODES = 32
"""Chebyshev nodes: the error is below 1e-5 of the atom for all elements of both tables up to 14 / angstrom."""
DISTANCE_SCALE = 0.06
"""Distance in angstrom below which nodes are evenly spaced: decay lengths 1 / (2 pi K) go down to 0.01 angstrom."""
LARGEST_DISTANCE = 12.0
"""Distance in angstrom that the nodes reach; less than 1e-6 of any atom lies beyond."""
NEGLIGIBLE_SHARE = 1e-6
"""Share of an atom that is left out: products of the expansion, and atoms too far from a plane."""
SMEARING_NODES = 24
"""Gauss-Legendre nodes over six standard deviations of a displacement along z to both sides."""


class Tails(NamedTuple):
    """R(k, s) of every element: sum_n ``tables`` [elements, n, y, x] (V angstrom^3) times T(x(s)) @ ``basis`` [elements, nodes, n]; ``reach`` in
    angstrom is where the last of the elements has ended."""

    tables: Float[np.ndarray, "elements n y x"]
    basis: Float[np.ndarray, "elements nodes n"]
    reach: float


def _position(distance):
    """x(s) in -1 ... 1 for distances 0 ... FARTHEST, in numpy or JAX as given."""
    log1p = np.log1p if isinstance(distance, np.ndarray) else jnp.log1p
    return 2.0 * log1p(distance / DISTANCE_SCALE) / np.log1p(LARGEST_DISTANCE / DISTANCE_SCALE) - 1.0


def shares(distance: Float[Array, " atoms"], basis: Float[Array | np.ndarray, "nodes n"]) -> Float[Array, "atoms n"]:
    """The functions of distance (angstrom, from 0 to FARTHEST) that the tables of one element are summed with."""
    return chebyshev(_position(distance), basis.shape[0]) @ jnp.asarray(basis)


def damped_shares(
    distance: Float[Array, " atoms"], u2: Float[Array, " atoms"], basis: Float[Array | np.ndarray, "nodes n"]
) -> Float[Array, "atoms 1+n"]:
    """The same for atoms smeared along z by a Gaussian of variance ``u2`` (angstrom^2), preceded by the share of the whole atom.

    On the other side of the plane R is the whole minus the part beyond on that side, so the mean over displacements t of R(s - t) is the whole times
    erfc(s / sqrt(2 u2)) / 2, and the integral over r >= 0 of R(r) [N(s - r) - N(s + r)]. Rms displacements below 0.001 angstrom count as 0.001 angstrom.
    """
    sigma = jnp.sqrt(jnp.maximum(u2, 1e-6))
    nodes, weights = np.polynomial.legendre.leggauss(SMEARING_NODES)
    start = jnp.maximum(0.0, distance - 6.0 * sigma)
    width = distance + 6.0 * sigma - start
    r = start[:, None] + width[:, None] * jnp.asarray(0.5 * (nodes + 1.0))[None, :]
    gap = (r - distance[:, None]) / sigma[:, None]
    mirrored = (r + distance[:, None]) / sigma[:, None]
    density = (jnp.exp(-0.5 * gap**2) - jnp.exp(-0.5 * mirrored**2)) / (sigma[:, None] * np.sqrt(2.0 * np.pi))
    weight = density * width[:, None] * jnp.asarray(0.5 * weights)[None, :]
    beyond = shares(jnp.minimum(r, LARGEST_DISTANCE).ravel(), basis).reshape(*r.shape, basis.shape[1])
    whole_share = 0.5 * jax.scipy.special.erfc(distance / (np.sqrt(2.0) * sigma))
    return jnp.concatenate([whole_share[:, None], jnp.sum(weight[:, :, None] * beyond, axis=1)], axis=1)


@functools.lru_cache(maxsize=64)
def _expansion(symbol: str, highest: float, parametrization: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Basis [nodes, n] and its mixture of ratios at the nodes [n, nodes] for one element up to ``highest`` / angstrom, and distances of the nodes."""
    x = np.cos(np.pi * np.arange(DISTANCE_NODES) / (DISTANCE_NODES - 1))
    nodes = DISTANCE_SCALE * np.expm1(0.5 * (x + 1.0) * np.log1p(LARGEST_DISTANCE / DISTANCE_SCALE))
    inverse = np.linalg.inv(chebvander(x, DISTANCE_NODES - 1))
    square = np.linspace(0.0, highest, 200) ** 2
    ratio = (
        projected_beyond(symbol, square[None, :], nodes[:, None], parametrization)
        / projected_factor(symbol, square, parametrization)[None, :]
    )
    singular_vectors, strength, _ = np.linalg.svd(ratio, full_matrices=False)
    # a singular value spreads over nodes and frequencies: the share of one entry is that much smaller
    rank = max(1, int(np.sum(strength > NEGLIGIBLE_SHARE * np.sqrt(ratio.size) / DISTANCE_NODES)))
    return inverse @ singular_vectors[:, :rank], singular_vectors[:, :rank].T, nodes


@functools.lru_cache(maxsize=32)
def _on_grid(
    symbol: str, gpts: tuple[int, int], extent: tuple[float, float], parametrization: str
) -> tuple[np.ndarray, np.ndarray]:
    """Tables [n, different |k|] of one element on the grid, by rising |k|, and its basis [nodes, n]."""
    unique = np.unique(_k_squared(gpts, extent))
    basis, mixture, nodes = _expansion(symbol, float(np.sqrt(unique[-1])), parametrization)
    return mixture @ projected_beyond(symbol, unique[None, :], nodes[:, None], parametrization), basis


def _k_squared(gpts: tuple[int, int], extent: tuple[float, float]) -> np.ndarray:
    kx, ky = frequencies(gpts, extent)
    return (kx[None, :] ** 2 + ky[:, None] ** 2).round(12)


def tails(
    symbols: tuple[str, ...],
    gpts: tuple[int, int],
    extent: tuple[float, float],
    parametrization: str = "lobato",
) -> Tails:
    """The expansion for every symbol on the grid in FFT order. ValueError for elements that are not in the table."""
    index = np.unique(_k_squared(gpts, extent), return_inverse=True)[1].reshape(gpts)
    element_tables, bases, reach = [], [], 0.0
    for symbol in symbols:
        table, basis = _on_grid(symbol, gpts, extent, parametrization)
        element_tables.append(table)
        bases.append(basis)
        total = projected_factor(symbol, np.zeros(1), parametrization)
        distances = np.linspace(0.0, LARGEST_DISTANCE, 241)
        remainder = projected_beyond(symbol, np.zeros(1), distances, parametrization)
        reach = max(reach, float(distances[min(240, int(np.sum(remainder > NEGLIGIBLE_SHARE * total)))]))
    largest_rank = max(len(element_table) for element_table in element_tables)
    tables = np.zeros((len(symbols), largest_rank, *gpts))
    basis = np.zeros((len(symbols), DISTANCE_NODES, largest_rank))
    for number, (element_table, functions) in enumerate(zip(element_tables, bases, strict=True)):
        tables[number, : len(element_table)] = element_table[:, index]
        basis[number, :, : len(element_table)] = functions
    return Tails(tables, basis, reach)
