"""Cardinal elements and axial aberrations of a round lens from rays: real (object inside the field) and asymptotic (object and image outside).

Aberrations are referred to the object: rays that leave it at slope alpha miss the image by Cs alpha^3 and Cc alpha (kappa dV/V - 2 dI/I), both over
the magnification. Integrals: Hawkes & Kasper, Principles of Electron Optics 1, sections 24.3 and 26.1, with second derivatives of the field integrated
away: Cs = 1/2 int (3 b^4 h^4 + b'^2 h^4 - b^2 h^2 h'^2) dz, Cc = int b^2 h^2 dz, h(object) = 0, h'(object) = 1.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from twin import checks
from twin.lenses.fields import AxialField, Scalar
from twin.lenses.fields import slope as slope_of
from twin.lenses.paraxial import (
    GAUSS_NODES,
    GAUSS_WEIGHTS,
    MAGNUS_STEPS,
    Sweep,
    compact_rate,
    from_plane,
    larmor,
    magnus,
    phi_of,
    sweep,
)
from twin.optics.electrons import REST_ENERGY_EV

NEWTON_ITERATIONS = 3
Count = int | Int[Array, ""]


class Asymptotic(NamedTuple):
    """Asymptotic cardinal elements of a lens; angstrom and radian.

    ``focal_length`` is positive for a lens that converges rays without a crossover inside; ``object_focus``, ``image_focus``, ``object_plane`` and
    ``image_plane`` (the principal planes) are positions on the z axis; ``rotation`` is that of the image.
    """

    focal_length: Float[Array, ""]
    object_focus: Float[Array, ""]
    image_focus: Float[Array, ""]
    object_plane: Float[Array, ""]
    image_plane: Float[Array, ""]
    rotation: Float[Array, ""]


class Real(NamedTuple):
    """An object at ``focus`` whose image is at infinity behind the lens; angstrom and radian.

    ``focal_length``: a ray that leaves the axis there at slope alpha ends parallel at height focal_length alpha (negative after an odd number of images
    in between). ``spherical`` is Cs, ``chromatic`` Cc, ``rotation`` that from the object to far behind.
    """

    focus: Float[Array, ""]
    focal_length: Float[Array, ""]
    spherical: Float[Array, ""]
    chromatic: Float[Array, ""]
    rotation: Float[Array, ""]


class Imaging(NamedTuple):
    """An object at a given place, imaged at ``image`` (angstrom; infinite for none before far behind); ``magnification`` is signed, the rest as in `Real`."""

    image: Float[Array, ""]
    magnification: Float[Array, ""]
    spherical: Float[Array, ""]
    chromatic: Float[Array, ""]
    rotation: Float[Array, ""]


@functools.partial(jax.jit, static_argnames=("steps",))
def asymptotic(field: AxialField, energy: Scalar, steps: int = MAGNUS_STEPS) -> Asymptotic:
    """Asymptotic cardinal elements: the whole field, from far before to far behind, whatever crossovers lie inside."""
    run = sweep(field, jnp.pi, 0.0, energy, steps)
    a, end = checks.float64(field.half_width), run.products[-1]
    # near phi = pi, x = -(y' + y z/a); near 0, x = y' + y z / a (z from the centre): slopes and heights of the asymptotes
    to_centre = jnp.stack([jnp.stack([jnp.zeros(()), -a]), jnp.stack([-jnp.ones(()), jnp.zeros(())])])
    from_centre = jnp.stack([jnp.stack([jnp.zeros(()), jnp.ones(())]), jnp.stack([1 / a, jnp.zeros(())])])
    (m11, _), (m21, m22) = from_centre @ end @ to_centre  # both taken to the plane of the centre
    focal = -1 / m21
    image, object_ = field.centre + m11 * focal, field.centre - m22 * focal
    return Asymptotic(focal, object_, image, object_ + focal, image - focal, run.rotation)


@functools.partial(jax.jit, static_argnames=("steps",))
def real(field: AxialField, energy: Scalar, crossover: Count = 1, steps: int = MAGNUS_STEPS) -> Real:
    """The ``crossover``-th focal point, counted from behind, whose image is at infinity; NaN where the field is too weak to have it."""
    backwards = sweep(field, 0.0, jnp.pi, energy, steps)
    start = jnp.array([0.0, 1.0])  # x = 1, x' = 0 far behind
    exists, phi = _crossing(field, energy, backwards, start, crossover)
    phi = jnp.where(exists, phi, jnp.pi / 2)
    spherical, chromatic, height, rotation = _aberrations(field, energy, phi, 0.0, steps)
    focus = field.centre + field.half_width / jnp.tan(phi)
    # far behind the ray is y'(0) high; at the object its slope was 1
    values = (focus, height[1], spherical, chromatic, rotation)
    return Real(*(jnp.where(exists, value, jnp.nan) for value in values))


@functools.partial(jax.jit, static_argnames=("steps",))
def imaging(
    field: AxialField, object_position: Scalar, energy: Scalar, crossover: Count = 1, steps: int = MAGNUS_STEPS
) -> Imaging:
    """Where the object at ``object_position`` (in the field or before it) is imaged for the ``crossover``-th time behind it, and how well."""
    first = phi_of(field, object_position)
    run = sweep(field, first, 0.0, energy, steps)
    exists, phi = _crossing(field, energy, run, jnp.array([0.0, -1.0]), crossover)
    last = jnp.where(exists, phi, 0.0)
    spherical, chromatic, end, rotation = _aberrations(field, energy, first, last, steps)
    # slope at the image over slope at the object is 1 / magnification
    slope = -jnp.sin(last) * end[1] / field.half_width
    image = jnp.where(exists, field.centre + field.half_width / jnp.tan(jnp.where(exists, phi, 1.0)), jnp.inf)
    magnification = jnp.where(exists, 1 / jnp.where(exists, slope, 1.0), jnp.inf)
    return Imaging(image, magnification, spherical, chromatic, rotation)


def _crossing(
    field: AxialField, energy: Scalar, run: Sweep, start: Float[Array, " 2"], number: Count
) -> tuple[Bool[Array, ""], Float[Array, ""]]:
    """Whether, and at which phi, the ray ``start`` (y, y') crosses the axis for the ``number``-th time after its start; differentiable."""
    rays = run.products @ start
    y = rays[:, 0]
    # the start itself may be on the axis: it does not count
    crossed = ((jnp.sign(y[1:]) * jnp.sign(y[:-1]) < 0) | (y[1:] == 0)).at[0].set(False)
    count = jnp.cumsum(crossed)
    exists = count[-1] >= number
    interval = jnp.argmax(count >= number)
    ray, origin = rays[interval], run.phi[interval]
    share = y[interval] / jnp.where(y[interval] == y[interval + 1], 1.0, y[interval] - y[interval + 1])
    guess = jax.lax.stop_gradient(origin + share * (run.phi[interval + 1] - origin))

    def better(_, phi: Float[Array, ""]) -> Float[Array, ""]:
        width = (phi - origin).reshape(1)
        step = magnus(width, 1.0 + compact_rate(field, origin + width[:, None] * GAUSS_NODES, energy) ** 2)[0]
        slope_and_height = step @ ray
        return phi - slope_and_height[0] / jnp.where(slope_and_height[1] == 0, 1.0, slope_and_height[1])

    # the last step carries the derivative
    phi = better(0, jax.lax.stop_gradient(jax.lax.fori_loop(0, NEWTON_ITERATIONS, better, guess)))
    return exists, phi


def _aberrations(
    field: AxialField, energy: Scalar, first: Float[Array, ""], last: Scalar | Float[Array, ""], steps: int
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, " 2"], Float[Array, ""]]:
    """Cs, Cc, (y, dy/dphi) at the end of the ray that leaves the axis at slope 1, and the rotation, between two phi."""
    run = sweep(field, first, last, energy, steps)
    a = checks.float64(field.half_width)
    start = from_plane(field, first) @ jnp.array([0.0, 1.0])
    rays = run.products @ start
    # at Gauss points within each step, from its beginning
    width = run.phi[1:] - run.phi[:-1]
    part = (width[:, None] * GAUSS_NODES).reshape(-1)
    nodes = jnp.repeat(run.phi[:-1], 3)[:, None] + part[:, None] * GAUSS_NODES
    inner = magnus(part, 1.0 + compact_rate(field, nodes, energy) ** 2).reshape(steps, 3, 2, 2)
    y, slope = jnp.moveaxis(jnp.einsum("nkij,nj->nki", inner, rays[:-1]), -1, 0)
    phi = run.phi[:-1, None] + width[:, None] * GAUSS_NODES
    sine, cosine = jnp.sin(phi), jnp.cos(phi)
    z = field.centre + a / jnp.tan(phi)
    b, falling = larmor(field(z), energy), larmor(slope_of(field, z), energy)
    h, h_slope = y / sine, (y * cosine - slope * sine) / a
    weight = (width[:, None] * GAUSS_WEIGHTS) * (-a / sine**2)
    spherical = 0.5 * jnp.sum(weight * (3 * b**4 * h**4 + falling**2 * h**4 - b**2 * h**2 * h_slope**2))
    chromatic = jnp.sum(weight * b**2 * h**2)
    return spherical, chromatic, rays[-1], run.rotation


def focus_change(
    chromatic: Scalar, energy: Scalar, current: Scalar = 0.0, tension: Scalar = 0.0
) -> Scalar | Float[Array, ""]:
    """dC10 = Cc (2 dI/I - kappa dV/V) in angstrom, for relative changes ``current`` of the lens current and ``tension`` of the high tension."""
    kappa = (1.0 + energy / REST_ENERGY_EV) / (1.0 + energy / (2.0 * REST_ENERGY_EV))
    return chromatic * (2.0 * current - kappa * tension)
