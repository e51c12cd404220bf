"""The paraxial ray equation of round magnetic lenses, x'' + b^2 x = 0 in the frame that turns with the rays at b = sqrt(e / 8 m V*) B.

Rays near the axis are linear in (x, x'), so a stretch of column is a 2 x 2 matrix of determinant 1 and an angle of rotation. Sources: P. W. Hawkes
& E. Kasper, Principles of Electron Optics 1, chapters 15 and 36. Steps are sixth-order Magnus expansions (S. Blanes et al., Phys. Rep. 470, 151,
2009), which keep the determinant by construction.

For the whole axis the variable is phi, z = centre + half_width cot phi, and y = x sin phi: y'' + (1 + (half_width b)^2 / sin^4 phi) y = 0, regular from
phi = pi (far before the lens) to 0 (far behind it). For Glaser's bell its coefficient is the constant omega^2 = 1 + k^2.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin import checks
from twin.lenses.fields import AxialField, Scalar
from twin.optics.electrons import REST_ENERGY_EV

_CHARGE_OVER_MASS = 1.602176634e-19 / 9.1093837139e-31
"""e / m in coulomb / kilogram (CODATA 2022)."""
MAGNUS_STEPS = 384
GAUSS_NODES = np.array([[0.5 - math.sqrt(15) / 10, 0.5, 0.5 + math.sqrt(15) / 10]])
GAUSS_WEIGHTS = np.array([[5.0, 8.0, 5.0]]) / 18.0
"""Gauss's three points in a step of length 1, and their weights; [1, 3]."""


class Transfer(NamedTuple):
    """``matrix`` [2, 2] takes (x, x') in angstrom and radian from one plane to another in the rotating frame, which turns by ``rotation`` radian."""

    matrix: Float[Array, "2 2"]
    rotation: Float[Array, ""]


def relativistic_potential(energy: Scalar) -> Scalar:
    """V* = V (1 + e V / 2 m c^2) in volts, for electrons of ``energy`` eV."""
    return energy * (1.0 + energy / (2.0 * REST_ENERGY_EV))


def larmor(field_strength: float | Float[Array | np.ndarray, " *n"], energy: Scalar) -> Float[Array, " *n"]:
    """Rate b at which rays turn, in radian / angstrom, in ``field_strength`` tesla."""
    return checks.float64(field_strength) * jnp.sqrt(_CHARGE_OVER_MASS / 8.0 / relativistic_potential(energy)) * 1e-10


@functools.partial(jax.jit, static_argnames=("steps",))
def transfer(field: AxialField, start: Scalar, end: Scalar, energy: Scalar, steps: int = MAGNUS_STEPS) -> Transfer:
    """From the plane z = ``start`` to ``end`` (angstrom; ``end`` before ``start`` goes back), by rays in equal steps of z.

    The error falls with the sixth power of the step, which is small where a step is a tenth of the field's half width or less.
    """
    edges = checks.float64(start) + (checks.float64(end) - start) * jnp.linspace(0.0, 1.0, steps + 1)
    nodes = edges[:-1, None] + (edges[1:] - edges[:-1])[:, None] * GAUSS_NODES
    rate = larmor(field(nodes), energy)
    parts = magnus(edges[1:] - edges[:-1], rate**2)
    return Transfer(_products(parts)[-1], _gauss_sum(rate, edges))


def transfer_of_drift(length: Scalar) -> Transfer:
    """Free space of ``length`` angstrom."""
    length = checks.float64(length)
    unity, zero = jnp.ones_like(length), jnp.zeros_like(length)
    return Transfer(jnp.stack([jnp.stack([unity, length]), jnp.stack([zero, unity])]), zero)


def composed(*parts: Transfer) -> Transfer:
    """Stretches one after the other, in the order in which electrons meet them."""
    matrix, rotation = parts[0]
    for part in parts[1:]:
        matrix, rotation = part.matrix @ matrix, rotation + part.rotation
    return Transfer(matrix, rotation)


def magnus(step: Float[Array, " n"], coefficient: Float[Array, "n 3"]) -> Float[Array, "n 2 2"]:
    """Matrices that take (y, y') over ``step`` under y'' = -q y, q given at the step's three Gauss points; sixth order, determinant 1."""
    h = step[:, None, None]
    q1, q2, q3 = (coefficient[:, i] for i in range(3))

    def lower(value):
        return jnp.zeros((*value.shape, 2, 2)).at[:, 1, 0].set(value)

    first = h * (lower(-q2).at[:, 0, 1].set(1.0))
    second = h * lower((math.sqrt(15) / 3) * (q1 - q3))
    third = h * lower((10 / 3) * (2 * q2 - q1 - q3))
    c1 = _bracket(first, second)
    c2 = -_bracket(first, 2 * third + c1) / 60
    return _exponential(first + third / 12 + _bracket(-20 * first - third + c1, second + c2) / 240)


def _bracket(a: Array, b: Array) -> Array:
    return a @ b - b @ a


def _exponential(omega: Float[Array, "n 2 2"]) -> Float[Array, "n 2 2"]:
    """exp of 2 x 2 matrices without trace: cos s + sinc s omega with s^2 = det omega, of either sign."""
    square = omega[:, 0, 0] * omega[:, 1, 1] - omega[:, 0, 1] * omega[:, 1, 0]
    small = jnp.abs(square) < 1e-6
    s = jnp.sqrt(jnp.where(small, 1.0, jnp.abs(square)))
    cosine = jnp.where(square > 0, jnp.cos(s), jnp.cosh(s))
    sinc = jnp.where(square > 0, jnp.sin(s), jnp.sinh(s)) / s
    cosine = jnp.where(small, 1 - square / 2 + square**2 / 24 - square**3 / 720, cosine)
    sinc = jnp.where(small, 1 - square / 6 + square**2 / 120 - square**3 / 5040, sinc)
    return cosine[:, None, None] * jnp.eye(2)[None] + sinc[:, None, None] * omega


def _products(parts: Float[Array, "n 2 2"]) -> Float[Array, "m 2 2"]:
    """1, parts[0], parts[1] parts[0], ...: what leads from the first edge to every edge."""
    start = jnp.eye(2)

    def further(so_far: Array, part: Array) -> tuple[Array, Array]:
        reached = part @ so_far
        return reached, reached

    return jnp.concatenate([start[None], jax.lax.scan(further, start, parts)[1]])


def _gauss_sum(values: Float[Array, "n 3"], edges: Float[Array, " m"]) -> Float[Array, ""]:
    """Integral over all steps of values at their Gauss points."""
    return jnp.sum((edges[1:] - edges[:-1])[:, None] * values * GAUSS_WEIGHTS)


class Sweep(NamedTuple):
    """Solutions along phi from one plane towards the image side: ``phi`` [n + 1] falls, ``products`` [n + 1, 2, 2] takes (y, dy/dphi) from the first."""

    phi: Float[Array, " m"]
    products: Float[Array, "m 2 2"]
    rotation: Float[Array, ""]


def sweep(field: AxialField, first: Scalar, last: Scalar, energy: Scalar, steps: int = MAGNUS_STEPS) -> Sweep:
    """(y, dy/dphi) from ``first`` to ``last`` in phi (pi is far before the lens, 0 far behind), in equal steps, with the rotation on the way."""
    phi = checks.float64(first) + (checks.float64(last) - first) * jnp.linspace(0.0, 1.0, steps + 1)
    width = phi[1:] - phi[:-1]
    nodes = phi[:-1, None] + width[:, None] * GAUSS_NODES
    rate = compact_rate(field, nodes, energy)
    return Sweep(phi, _products(magnus(width, 1.0 + rate**2)), -_gauss_sum(rate, phi))


def compact_rate(field: AxialField, phi: Float[Array, " *n"], energy: Scalar) -> Float[Array, " *n"]:
    """half_width b / sin^2 phi: by how much rays turn per radian of phi. Constant (k) for Glaser's bell."""
    z = field.centre + field.half_width / jnp.tan(phi)
    return larmor(field(z), energy) * field.half_width / jnp.sin(phi) ** 2


def phi_of(field: AxialField, z: Scalar) -> Float[Array, ""]:
    """phi of the plane ``z``, between 0 and pi."""
    return jnp.arctan2(checks.float64(field.half_width), checks.float64(z) - field.centre)


def from_plane(field: AxialField, phi: Float[Array, ""]) -> Float[Array, "2 2"]:
    """Takes (x, x') in a plane to (y, dy/dphi): y = x sin phi, dy/dphi = x cos phi - x' half_width / sin phi."""
    s, c = jnp.sin(phi), jnp.cos(phi)
    return jnp.stack([jnp.stack([s, jnp.zeros_like(s)]), jnp.stack([c, -jnp.asarray(field.half_width) / s])])


def to_plane(field: AxialField, phi: Float[Array, ""]) -> Float[Array, "2 2"]:
    """The inverse of `from_plane`: x = y / sin phi, x' = (y cos phi - dy/dphi sin phi) / half_width."""
    s, c, a = jnp.sin(phi), jnp.cos(phi), jnp.asarray(field.half_width)
    return jnp.stack([jnp.stack([1 / s, jnp.zeros_like(s)]), jnp.stack([c / a, -s / a])])
