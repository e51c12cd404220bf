"""Absorptive potential of thermal diffuse scattering in the Einstein model.

Atoms that vibrate independently scatter out of the coherent wave. To second order in the phase sigma v of one atom the average of
exp(i sigma v) over displacements is exp(i sigma (<v> + i v')), with the imaginary potential v' = sigma (<v^2> - <v>^2) / 2, so that exp(-2 sigma v')
is the share that remains. In Fourier space, with F the factor of the projected potential and u2 = <u^2> along one axis,

    v'(q) = sigma / 2  integral d^2k F(k) F(q - k) [exp(-2 pi^2 u2 q^2) - exp(-2 pi^2 u2 (k^2 + |q - k|^2))],

which is the form of C. R. Hall and P. B. Hirsch, Proc. R. Soc. A 286 (1965) 158, and D. M. Bird and Q. A. King, Acta Cryst. A46 (1990) 202,
with their factor exp(-M) included and k = q/2 + s. It goes with a real potential damped by exp(-2 pi^2 u2 q^2).
"""

import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial.chebyshev import chebvander
from scipy.interpolate import CubicSpline

from twin.chebyshev import chebyshev
from twin.grid import frequencies
from twin.optics.electrons import interaction_constant
from twin.sample.potential.factors import projected_factor

U2_NODES = 6
"""Chebyshev nodes in log(u2 + U2_OFFSET) over each element's own range, widened by U2_MARGIN on both sides."""
U2_OFFSET = 1e-4
"""angstrom^2: far below any thermal motion, so that atoms at rest are on the same axis."""
U2_MARGIN = 1.5
RADIAL_NODES, ANGULAR_NODES, SPLINE_FREQUENCIES = 64, 32, 97
"""Gauss-Legendre nodes along each of two radial pieces and over the angle, and frequencies of the spline."""


class Absorption(NamedTuple):
    """v'(q) of every element: sum_n ``tables`` [elements, n, y, x] (V angstrom^3) times Lagrange's polynomials in log(u2 + U2_OFFSET) through n nodes
    between ``middle`` - ``half`` and ``middle`` + ``half`` [elements]."""

    tables: Float[np.ndarray, "elements n y x"]
    middle: Float[np.ndarray, " elements"]
    half: Float[np.ndarray, " elements"]


def absorptive_factor(
    symbol: str,
    q: Float[np.ndarray, " frequencies"],
    u2: float,
    energy: float,
    parametrization: str = "lobato",
) -> Float[np.ndarray, " frequencies"]:
    """v'(q) in V angstrom^3 of one atom at |q| in 1/angstrom, ``u2`` in angstrom^2, ``energy`` in eV, scattering at any angle included."""
    return _integrated(_integrand(symbol, np.asarray(q, dtype=np.float64), parametrization), u2, energy)


class _Integrand(NamedTuple):
    """Products F(k) F(q - k) with the weights of the quadrature [q, k, angle], k^2 + |q - k|^2, and q^2."""

    product: np.ndarray
    squares: np.ndarray
    q_squared: np.ndarray


def _integrand(symbol: str, q: np.ndarray, parametrization: str) -> _Integrand:
    """The integrand is symmetric in k and q - k: the half plane nearer to k = 0 counts twice, in polar coordinates about k = 0. Substitutions
    take the square root where the half plane's edge begins, and infinity, out of the radial integral."""
    nodes, weights = np.polynomial.legendre.leggauss(RADIAL_NODES)
    t, weight_t = 0.5 * (nodes + 1.0), 0.5 * weights
    nodes, weights = np.polynomial.legendre.leggauss(ANGULAR_NODES)
    a, weight_a = 0.5 * (nodes + 1.0), 0.5 * weights
    edge = 0.5 * q[:, None]
    unit = 1.0 + edge
    inner, weight_inner = edge * t[None, :] ** 2, edge * 2.0 * (t * weight_t)[None, :]
    outer = edge + unit * (t**2 / (1.0 - t))[None, :]
    weight_outer = unit * (weight_t * t * (2.0 - t) / (1.0 - t) ** 2)[None, :]
    k = np.concatenate([inner, outer], axis=1)
    weight_k = np.concatenate([weight_inner, weight_outer], axis=1)
    start = np.concatenate([np.zeros_like(inner), np.arccos(np.minimum(edge / outer, 1.0))], axis=1)
    angle = start[:, :, None] + (np.pi - start)[:, :, None] * a[None, None, :]
    # twice for the other half plane, twice for angles beyond pi
    weight = 4.0 * (weight_k * k * (np.pi - start))[:, :, None] * weight_a[None, None, :]
    k_squared, q_squared = (k**2)[:, :, None], (q**2)[:, None, None]
    other = np.maximum(k_squared + q_squared - 2.0 * (q[:, None] * k)[:, :, None] * np.cos(angle), 0.0)
    near = projected_factor(symbol, k_squared, parametrization)
    return _Integrand(weight * near * projected_factor(symbol, other, parametrization), k_squared + other, q_squared)


def _integrated(integrand: _Integrand, u2: float, energy: float) -> np.ndarray:
    motion = 2.0 * np.pi**2 * u2
    scattered = np.exp(-motion * integrand.q_squared) - np.exp(-motion * integrand.squares)
    return 0.5 * interaction_constant(energy) * np.sum(integrand.product * scattered, axis=(1, 2))


@functools.lru_cache(maxsize=8)
def _over_frequencies(symbol: str, highest: float, parametrization: str) -> tuple[np.ndarray, _Integrand]:
    q = highest * np.linspace(0.0, 1.0, SPLINE_FREQUENCIES) ** 1.5
    return q, _integrand(symbol, q, parametrization)


def _spline(symbol: str, highest: float, u2: float, energy: float, parametrization: str) -> CubicSpline:
    q, integrand = _over_frequencies(symbol, highest, parametrization)
    return CubicSpline(q, _integrated(integrand, u2, energy))


def absorption(
    symbols: tuple[str, ...],
    u2_ranges: tuple[tuple[float, float], ...],
    gpts: tuple[int, int],
    extent: tuple[float, float],
    energy: float,
    parametrization: str = "lobato",
) -> Absorption:
    """v'(q) on the grid in FFT order for every symbol, over its range (lowest, highest) of u2 in angstrom^2 widened by U2_MARGIN."""
    kx, ky = frequencies(gpts, extent)
    radius = np.hypot(kx[None, :], ky[:, None])
    x = np.cos(np.pi * np.arange(U2_NODES) / (U2_NODES - 1))
    tables, middle, half = [], [], []
    for symbol, (lowest, highest) in zip(symbols, u2_ranges, strict=True):
        ends = np.log(lowest / U2_MARGIN + U2_OFFSET), np.log(max(highest * U2_MARGIN, U2_OFFSET) + U2_OFFSET)
        middle.append(0.5 * (ends[0] + ends[1]))
        half.append(0.5 * (ends[1] - ends[0]))
        values = [max(0.0, float(np.exp(middle[-1] + half[-1] * node) - U2_OFFSET)) for node in x]
        tables.append(
            np.stack([_spline(symbol, float(radius.max()), u2, energy, parametrization)(radius) for u2 in values])
        )
    return Absorption(np.stack(tables), np.asarray(middle), np.asarray(half))


def shares(
    u2: Float[Array, " atoms"], middle: Float[Array | np.ndarray, " atoms"], half: Float[Array | np.ndarray, " atoms"]
) -> Float[Array, "atoms n"]:
    """Lagrange's polynomials [atoms, NODES] at every atom's u2 within its element's range: exact at the nodes, differentiable."""
    position = (jnp.log(u2 + U2_OFFSET) - middle) / half
    nodes = np.cos(np.pi * np.arange(U2_NODES) / (U2_NODES - 1))
    return chebyshev(position, U2_NODES) @ jnp.asarray(np.linalg.inv(chebvander(nodes, U2_NODES - 1)))
