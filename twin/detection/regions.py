"""Regions of the diffraction plane as weights on its beams: rings, and rings cut into sectors.

A beam of the grid represents a cell of angles around it. With a soft edge its weight is the share of an interval ``edge`` wide, centred on
the beam, that lies within the region: along the radius for rings, along the arc for sectors. One grid step is the natural width. Shares
are piecewise linear in the region's radii, rotation and offset, so their derivatives are exact (where two pieces meet, the mean of
both), and regions that share a border add up to their union exactly. ``edge = 0`` cuts: half-open rings [inner, outer), half-open
sectors; derivatives are then zero. Scattering angles are lambda |k|, the paraxial ones of the propagator and the aberrations.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from twin import checks
from twin.checks import Number, finite, known, require

Frequency = Shaped[Array | np.ndarray, "..."]
Offset = tuple[Number, Number] | Float[Array | np.ndarray, " 2"]


def plane(
    kx: Frequency, ky: Frequency, wavelength: float, offset: Offset = (0.0, 0.0), rotation: Number = 0.0
) -> tuple[Array, Array]:
    """Angles (x, y) in radian of frequencies ``kx``, ``ky`` (1/angstrom, broadcast together) in the frame of a detector.

    Its centre lies at ``offset`` (x, y) radian, and its x axis is turned by ``rotation`` radian from +x towards +y.
    """
    if known(offset, rotation):
        pose = np.asarray([float(offset[0]), float(offset[1]), float(rotation)])
        finite("offset and rotation", pose, "give radian")
    x, y = _shifted(kx, ky, wavelength, offset)
    if known(rotation) and float(rotation) == 0.0:
        return x, y
    return _rotated(x, y, rotation)


@functools.partial(jax.jit, inline=True)
def _shifted(kx, ky, wavelength, offset):
    return jnp.broadcast_arrays(
        wavelength * checks.float64(kx) - offset[0], wavelength * checks.float64(ky) - offset[1]
    )


@functools.partial(jax.jit, inline=True)
def _rotated(x, y, rotation):
    cos, sin = jnp.cos(rotation), jnp.sin(rotation)
    return cos * x + sin * y, cos * y - sin * x


@functools.partial(jax.jit, inline=True)
def radius(x: Frequency, y: Frequency) -> Array:
    """sqrt(x^2 + y^2), with the derivative zero at the centre."""
    squared = jnp.asarray(x) ** 2 + jnp.asarray(y) ** 2
    return jnp.where(squared > 0.0, jnp.sqrt(jnp.where(squared > 0.0, squared, 1.0)), 0.0)


@functools.partial(jax.jit, inline=True)
def azimuth(x: Frequency, y: Frequency) -> Array:
    """atan2(y, x), with value and derivative zero at the centre."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    centre = (x == 0.0) & (y == 0.0)
    return jnp.arctan2(jnp.where(centre, 0.0, y), jnp.where(centre, 1.0, x))


def _share(distance: Array, half: Array, edge: float | Array) -> Array:
    """Share of an interval ``edge`` wide around ``distance`` that lies within +-``half``."""
    return jnp.clip((half - distance) / edge + 0.5, 0.0, 1.0) - jnp.clip((-half - distance) / edge + 0.5, 0.0, 1.0)


@functools.partial(jax.jit, inline=True, static_argnames="edge")
def _between(angle: Array, inner: Number, outer: Number, edge: float) -> Array:
    low, high = checks.float64(inner), checks.float64(outer)
    if edge == 0.0:
        return ((angle >= low) & (angle < high)).astype(jnp.float64)
    return _share(angle, high, edge) - _share(angle, low, edge)


def check_edge(edge: float, name: str = "edge") -> None:
    """ValueError unless ``edge`` is a width."""
    require(np.isfinite(edge) and edge >= 0.0, f"{name} is {edge} rad; give a width in radian of zero (none) or more")


def ring(
    kx: Frequency,
    ky: Frequency,
    wavelength: float,
    inner: Number,
    outer: Number,
    edge: float = 0.0,
    offset: Offset = (0.0, 0.0),
) -> Array:
    """Weights of a ring from ``inner`` to ``outer`` radian around ``offset``, shape of the frequencies, float64 in 0..1.

    Differentiable in inner, outer and offset for ``edge`` above zero. ValueError unless 0 <= inner < outer (traced radii are not looked at).
    """
    check_edge(edge)
    if known(inner, outer):
        require(
            0.0 <= inner < outer < np.inf,
            f"a ring from {inner} to {outer} rad is not possible; give 0 <= inner < outer in radian",
        )
    x, y = plane(kx, ky, wavelength, offset)
    return _between(radius(x, y), inner, outer, edge)


def segments(
    kx: Frequency,
    ky: Frequency,
    wavelength: float,
    radii: tuple[Number, ...] | Float[Array | np.ndarray, " rings_and_1"],
    sectors: int,
    rotation: Number = 0.0,
    edge: float = 0.0,
    gap: Number = 0.0,
    offset: Offset = (0.0, 0.0),
) -> Array:
    """Weights [rings, sectors, *shape of the frequencies] of a detector cut into rings at ``radii`` (rising, radian) and into equal sectors.

    Sector j spans azimuths rotation + 2 pi [j, j + 1) / sectors, from +x towards +y. ``gap`` (radian) is the width of the dead strip between
    neighbours, in both directions; without one all segments add up to the `ring` from radii[0] to radii[-1]. Differentiable in radii,
    rotation, gap and offset for ``edge`` above zero.
    """
    check_segments(radii, sectors, edge, gap)
    count = len(radii) - 1
    x, y = plane(kx, ky, wavelength, offset)
    angle = radius(x, y)
    spin = checks.float64(rotation)
    rings = []
    for number in range(count):
        low = radii[number] + (0.5 * gap if number > 0 else 0.0)
        high = radii[number + 1] - (0.5 * gap if number < count - 1 else 0.0)
        rings.append(_between(angle, low, high, edge))
    around = _sectors(angle, azimuth(x, y), sectors, spin, edge, gap)
    return jnp.stack(rings)[:, None] * around[None]


def check_segments(
    radii: tuple[Number, ...] | Float[Array | np.ndarray, " rings_and_1"], sectors: int, edge: float, gap: Number
) -> None:
    """ValueError unless a detector can be cut like that; traced radii and gaps are not looked at."""
    check_edge(edge)
    count = len(radii) - 1
    require(count >= 1 and sectors >= 1, f"{count} rings of {sectors} sectors; give at least two radii and one sector")
    if known(radii, gap):
        steps = np.diff(np.asarray([float(value) for value in radii]))
        require(
            float(radii[0]) >= 0.0 and np.isfinite(float(radii[-1])), "radii must be finite and start at 0 or above"
        )
        require(
            steps > 0.0,
            f"radii {[float(value) for value in radii]} rad do not rise; give 0 <= inner < outer in radian",
        )
        require(
            0.0 <= float(gap) < steps.min(), f"gap is {gap} rad; give 0 or more, and less than a ring's {steps.min()}"
        )


@functools.partial(jax.jit, inline=True, static_argnames=("sectors", "edge"))
def _sectors(angle: Array, direction: Array, sectors: int, rotation: Array, edge: float, gap: Number) -> Array:
    """Weights [sectors, *shape of angle] of sectors of all radii."""
    turn = 2.0 * np.pi
    half = np.pi / sectors
    azimuth = jnp.mod(direction - rotation, turn)
    number = np.arange(sectors).reshape(sectors, *(1,) * angle.ndim)
    # Where the arc is shorter than the edge or the gap, an interval goes all the way round. One sector has no neighbour.
    strip = checks.float64(gap if sectors > 1 else 0.0)
    central = jnp.where(strip > 0.0, jnp.inf, 0.0)
    dead = jnp.where(angle > 0.0, 0.5 * strip / jnp.where(angle > 0.0, angle, 1.0), central)
    lively = jnp.clip(half - dead, 0.0, half)[None]
    away = azimuth[None] - 2.0 * half * (number + 0.5)
    if edge == 0.0:
        sector = jnp.clip(jnp.floor(azimuth / turn * sectors), 0, sectors - 1)
        return ((sector[None] == number) & ((dead[None] == 0.0) | (jnp.abs(away) < lively))).astype(jnp.float64)
    short = angle <= edge / turn
    width = jnp.where(short, turn, edge / jnp.where(short, 1.0, angle))[None]
    return sum((_share(away + turns * turn, lively, width) for turns in (-1, 0, 1)), jnp.zeros_like(away))
