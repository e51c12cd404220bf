"""Aberrations in Krivanek notation, to fifth order, in Cartesian parts: chi, its basis and gradient, the polar form and the CEOS names.

chi(k) = (2 pi / lambda) sum_nm theta^(n+1) / (n+1) (C_nma cos m phi + C_nmb sin m phi), theta = lambda |k|, phi = atan2(ky, kx);
the wave in the aperture is multiplied by exp(-i chi). Coefficients are in angstrom. Defocus is -C10.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from twin import checks

_ORDERS: tuple[tuple[int, int], ...] = (
    *((1, 0), (1, 2), (2, 1), (2, 3), (3, 0), (3, 2), (3, 4)),
    *((4, 1), (4, 3), (4, 5), (5, 0), (5, 2), (5, 4), (5, 6)),
)


def _terms() -> tuple[tuple[str, int, int, str], ...]:
    terms = []
    for n, m in _ORDERS:
        terms += [(f"C{n}{m}", n, m, "a")] if m == 0 else [(f"C{n}{m}{part}", n, m, part) for part in "ab"]
    return tuple(terms)


_TERMS = _terms()
NAMES: tuple[str, ...] = tuple(term[0] for term in _TERMS)
"""The 25 Cartesian coefficients in the order in which every vector of them is held."""

CEOS: dict[str, tuple[str, float]] = {
    "C1": ("C10", 1.0),
    "A1": ("C12", 1.0),
    "B2": ("C21", 3.0),
    "A2": ("C23", 1.0),
    "C3": ("C30", 1.0),
    "S3": ("C32", 4.0),
    "A3": ("C34", 1.0),
}
"""CEOS name -> (Krivanek name, how many times larger the Krivanek coefficient is)."""


def index(name: str) -> int:
    """Place of the coefficient ``name`` (as in NAMES) in a vector of coefficients; ValueError if there is none of that name."""
    try:
        return NAMES.index(name)
    except ValueError:
        raise ValueError(f"unknown aberration {name!r}; the coefficients are {', '.join(NAMES)}") from None


def coefficients(values: Mapping[str, float]) -> np.ndarray:
    """Vector [25] float64 (angstrom) with the named Cartesian ``values`` and zero elsewhere."""
    vector = np.zeros(len(NAMES))
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"aberration {name} is {value}; give a finite number of angstrom, 0 for none")
        vector[index(name)] = value
    return vector


def _powers(x: Array, y: Array) -> tuple[list[Array], list[Array]]:
    """Real and imaginary parts of (x + i y)^m for m up to 6, without roots or angles, so that derivatives exist at the axis."""
    cosines, sines = [jnp.ones_like(x)], [jnp.zeros_like(x)]
    for _ in range(6):
        cosines, sines = (
            [*cosines, cosines[-1] * x - sines[-1] * y],
            [*sines, sines[-1] * x + cosines[-1] * y],
        )
    return cosines, sines


def _rows(kx: Array | np.ndarray, ky: Array | np.ndarray, wavelength: float) -> list[Array]:
    """Every term of chi for a coefficient of 1, short of 2 pi / lambda."""
    x = wavelength * checks.float64(kx)
    y = wavelength * checks.float64(ky)
    square = x * x + y * y
    cosines, sines = _powers(x, y)
    return [
        (cosines[m] if part == "a" else sines[m]) * square ** ((n + 1 - m) // 2) / (n + 1) for _, n, m, part in _TERMS
    ]


@functools.partial(jax.jit, static_argnames=("wavelength",), inline=True)
def basis(
    kx: Shaped[Array | np.ndarray, " *n"], ky: Shaped[Array | np.ndarray, " *n"], wavelength: float
) -> Float[Array, "25 *n"]:
    """Phase in radian per angstrom of every coefficient at spatial frequencies (``kx``, ``ky``) in 1/angstrom; float64."""
    return jnp.stack(_rows(kx, ky, wavelength)) * (2.0 * math.pi / wavelength)


@functools.partial(jax.jit, static_argnames=("wavelength",), inline=True)
def phase(
    coefficients: Float[Array | np.ndarray, " 25"],
    kx: Shaped[Array | np.ndarray, " *n"],
    ky: Shaped[Array | np.ndarray, " *n"],
    wavelength: float,
) -> Float[Array, " *n"]:
    """chi in radian at spatial frequencies (``kx``, ``ky``) in 1/angstrom for ``coefficients`` in angstrom; float64 inside."""
    values = checks.float64(coefficients)
    # summed term by term, so that a compiled phase never holds 25 arrays at once
    total = sum(values[position] * row for position, row in enumerate(_rows(kx, ky, wavelength)))
    return jnp.asarray(total) * (2.0 * math.pi / wavelength)


@functools.partial(jax.jit, static_argnames=("wavelength",), inline=True)
def phase_gradient(
    coefficients: Float[Array | np.ndarray, " terms"],
    kx: Shaped[Array | np.ndarray, " *n"],
    ky: Shaped[Array | np.ndarray, " *n"],
    wavelength: float,
) -> Float[Array, "2 *n"]:
    """(d chi / d kx, d chi / d ky) in radian angstrom at (``kx``, ``ky``) in 1/angstrom; float64, in closed form.

    ``coefficients`` (angstrom) are the first n of NAMES: 12 for all to third order. Divided by 2 pi, the gradient is the position at which the ray (kx, ky)
    crosses the focal plane, in angstrom: its geometric displacement.
    """
    values = checks.float64(coefficients)
    x = wavelength * checks.float64(kx)
    y = wavelength * checks.float64(ky)
    square = x * x + y * y
    cosines, sines = _powers(x, y)
    along_x, along_y = jnp.zeros_like(x), jnp.zeros_like(x)
    for position, (_, n, m, part) in enumerate(_TERMS[: values.shape[0]]):
        angular = cosines[m] if part == "a" else sines[m]
        power = (n + 1 - m) // 2
        weight = values[position] * (2.0 * math.pi / (n + 1))
        if power:
            radial = weight * 2.0 * power * square ** (power - 1) * angular
            along_x, along_y = along_x + radial * x, along_y + radial * y
        if m:
            # d (x + i y)^m is m (x + i y)^(m - 1) (dx + i dy)
            turn = weight * m * square**power
            real, imaginary = turn * cosines[m - 1], turn * sines[m - 1]
            along_x = along_x + (real if part == "a" else imaginary)
            along_y = along_y + (-imaginary if part == "a" else real)
    return jnp.stack([along_x, along_y])


def from_polar(name: str, magnitude: float, angle: float = 0.0) -> dict[str, float]:
    """Cartesian parts of C_nm cos(m (phi - angle)): ``name`` like "C12", ``magnitude`` in angstrom, ``angle`` in radian."""
    if f"{name}a" not in NAMES:
        return {NAMES[index(name)]: magnitude}
    m = int(name[2])
    return {f"{name}a": magnitude * math.cos(m * angle), f"{name}b": magnitude * math.sin(m * angle)}


def to_polar(name: str, vector: np.ndarray) -> tuple[float, float]:
    """Magnitude (angstrom, at least 0 where m > 0) and azimuth (radian, within +-pi/m) of ``name`` (like "C12") in a vector [25]."""
    if f"{name}a" not in NAMES:
        return float(vector[index(name)]), 0.0
    a, b = float(vector[index(f"{name}a")]), float(vector[index(f"{name}b")])
    return math.hypot(a, b), math.atan2(b, a) / int(name[2])


def from_ceos(name: str, magnitude: float, angle: float = 0.0) -> dict[str, float]:
    """Cartesian Krivanek parts of a CEOS aberration: ``magnitude`` in angstrom, azimuth ``angle`` in radian."""
    if name not in CEOS:
        raise ValueError(f"unknown CEOS aberration {name!r}; the names are {', '.join(CEOS)}")
    krivanek, factor = CEOS[name]
    return from_polar(krivanek, factor * magnitude, angle)


def cartesian(name: str, value: Any) -> dict[str, Any]:
    """Cartesian Krivanek parts (angstrom) of an aberration: of a number, or of [magnitude in angstrom, azimuth in radian], by Krivanek's or CEOS's ``name``."""
    if isinstance(value, tuple | list):
        return from_ceos(name, *value) if name in CEOS else from_polar(name, *value)
    if name in CEOS and CEOS[name][0] in NAMES:
        return from_ceos(name, value)
    return {NAMES[index(name)]: value}


def to_ceos(name: str, vector: np.ndarray) -> tuple[float, float]:
    """Magnitude (angstrom) and azimuth (radian) of a CEOS aberration in a vector [25] of Krivanek coefficients."""
    if name not in CEOS:
        raise ValueError(f"unknown CEOS aberration {name!r}; the names are {', '.join(CEOS)}")
    krivanek, factor = CEOS[name]
    magnitude, angle = to_polar(krivanek, vector)
    return magnitude / factor, angle
