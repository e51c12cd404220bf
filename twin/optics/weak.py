"""A scan over a weak phase object: the response of each detector point to each Fourier component of the object.

A probe sum_k A(k) exp(-i chi(k)) over an object 1 + i phi(x) gives a point kappa of the bright-field disk an image whose component at the
scan frequency q, divided by its mean, is T phi_q with

    T = i [A(kappa - q) exp(i (chi(kappa) - chi(kappa - q))) - A(kappa + q) exp(i (chi(kappa + q) - chi(kappa)))]

where A(kappa) = 1 (Rodenburg, McCallum & Nellist, Ultramicroscopy 48, 304, 1993). An object at depth z below the entrance face has C10 + z.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Shaped

from twin import checks
from twin.optics.aberrations import basis, phase_gradient
from twin.optics.electrons import wavelength
from twin.phases import cis

THIRD = 12
"""The first 12 of `aberrations.NAMES` are the coefficients up to third order."""


class Sidebands(NamedTuple):
    """The two overlaps of a scan frequency at each detector point: phases are ``minus`` @ c and ``plus`` @ c for coefficients c in angstrom, weights ``lower``
    (kappa - q) and ``upper`` (kappa + q) are how far these lie within the aperture; [q, pixels, 12] and [q, pixels]."""

    minus: Float[Array, "q pixels n"]
    plus: Float[Array, "q pixels n"]
    lower: Float[Array, "q pixels"]
    upper: Float[Array, "q pixels"]


def sidebands(
    q: Shaped[np.ndarray, "q 2"],
    angles: Shaped[np.ndarray, "pixels 2"],
    tilt: tuple[float, float],
    energy: float,
    semiangle: float,
    edge: float,
    focal_spread: float = 0.0,
) -> Sidebands:
    """Overlaps at scan frequencies ``q`` (x, y) in 1/angstrom for pixels at ``angles`` (x, y) in radian from the disk's centre, which is at ``tilt``.

    The aperture's rim at ``semiangle`` is ``edge`` radian wide; ``focal_spread`` (angstrom rms) damps each overlap by its own spread of phase.
    """
    checks.require_float64()
    return _sidebands(
        jnp.asarray(q), jnp.asarray(angles), jnp.asarray(tilt), wavelength(energy), semiangle, edge, focal_spread
    )


@functools.partial(jax.jit, static_argnames=("length",))
def _sidebands(
    q: Array, angles: Array, tilt: Array, length: float, semiangle: Array, edge: Array, focal_spread: Array
) -> Sidebands:
    where = (angles + tilt[None]) / length

    def terms(k: Array) -> Array:
        return jnp.moveaxis(basis(k[..., 0].ravel(), k[..., 1].ravel(), length)[:THIRD], 0, -1).reshape(
            *k.shape[:-1], THIRD
        )

    def inside(k: Array) -> Array:
        angle = length * k - tilt.reshape((1,) * (k.ndim - 1) + (2,))
        return jnp.clip((semiangle - jnp.hypot(angle[..., 0], angle[..., 1])) / edge + 0.5, 0.0, 1.0)

    below, above = where[None] - q[:, None], where[None] + q[:, None]
    direct = terms(where)[None]
    minus, plus = direct - terms(below), terms(above) - direct
    blur = [jnp.exp(-0.5 * (focal_spread * terms_difference[..., 0]) ** 2) for terms_difference in (minus, plus)]
    return Sidebands(minus, plus, inside(below) * blur[0], inside(above) * blur[1])


def smear(
    coefficients: Float[Array | np.ndarray, " n"],
    q: Shaped[np.ndarray, "q 2"],
    angles: Shaped[np.ndarray, "pixels 2"],
    tilt: tuple[float, float],
    energy: float,
    width: float,
) -> tuple[Float[Array, "q pixels"], Float[Array, "q pixels"]]:
    """Factors by which square pixels ``width`` radian wide reduce the lower and upper overlap, whose phases vary across them: a sinc along x and y each.

    ``coefficients``: the first n of `aberrations.NAMES`, angstrom.
    """
    arrays = (jnp.asarray(value) for value in (coefficients, q, angles, tilt))
    return _smear(*arrays, wavelength(energy), width)


@functools.partial(jax.jit, static_argnames=("length",))
def _smear(
    coefficients: Array, q: Array, angles: Array, tilt: Array, length: float, width: Array
) -> tuple[Array, Array]:
    where = (angles + tilt[None]) / length
    direct = _crossings(coefficients, where, length)[None]
    below, above = _crossed(coefficients, q, where, length)
    lower, upper = (jnp.prod(jnp.sinc(width / length * turn), axis=-1) for turn in (direct - below, above - direct))
    return lower, upper


def _crossings(coefficients: Array, k: Array, length: float) -> Array:
    """Where rays ``k`` [..., 2] (1/angstrom) cross the focal plane, [..., 2] in angstrom: the slope of chi over 2 pi."""
    slope = phase_gradient(coefficients, k[..., 0].ravel(), k[..., 1].ravel(), length)
    return slope.T.reshape(k.shape) / (2.0 * jnp.pi)


def _crossed(coefficients: Array, q: Array, where: Array, length: float) -> tuple[Array, Array]:
    """Where the rays kappa - q and kappa + q do, [q, pixels, 2] each."""
    below, above = where[None] - q[:, None], where[None] + q[:, None]
    return _crossings(coefficients, below, length), _crossings(coefficients, above, length)


def displacements(
    coefficients: Float[Array | np.ndarray, " n"],
    q: Shaped[np.ndarray, "q 2"],
    angles: Shaped[np.ndarray, "pixels 2"],
    tilt: tuple[float, float],
    energy: float,
) -> tuple[Float[Array, "q pixels 2"], Float[Array, "q pixels 2"]]:
    """How far (x, y) in angstrom the lower and upper overlap see the object displaced: the slopes of their phases in q over 2 pi, which are the places where
    the rays kappa - q and kappa + q cross the focal plane.

    ``coefficients``: the first n of `aberrations.NAMES`, angstrom.
    """
    arrays = (jnp.asarray(value) for value in (coefficients, q, angles, tilt))
    return _displacements(*arrays, wavelength(energy))


@functools.partial(jax.jit, static_argnames=("length",))
def _displacements(coefficients: Array, q: Array, angles: Array, tilt: Array, length: float) -> tuple[Array, Array]:
    return _crossed(coefficients, q, (angles + tilt[None]) / length, length)


def response(
    bands: Sidebands, coefficients: Float[Array | np.ndarray, " n"], depth: float | Float[Array, ""]
) -> Complex[Array, "q pixels"]:
    """T [q, pixels] of an object ``depth`` angstrom below the entrance face, for the first n ``coefficients`` in angstrom."""
    checks.require_float64()
    vector = jnp.asarray(coefficients, bands.minus.dtype).at[0].add(jnp.asarray(depth, bands.minus.dtype))
    return 1j * (
        bands.lower * cis(jnp.einsum("qpn,n->qp", bands.minus, vector))
        - bands.upper * cis(jnp.einsum("qpn,n->qp", bands.plus, vector))
    )
