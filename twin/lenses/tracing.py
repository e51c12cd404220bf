"""Electron trajectories through the whole field of a lens by the Lorentz force, without a paraxial expansion: a check of the aberration integrals.

In a static magnetic field the speed is constant, and the unit tangent t obeys dt/ds = (e/p) B x t along the path length s (charge -e). The field
off the axis is the harmonic continuation of that on it (`twin.lenses.fields.off_axis`).
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from twin import checks
from twin.lenses.fields import AxialField, Scalar, off_axis
from twin.lenses.paraxial import larmor


def trace(
    field: AxialField,
    positions: Float[Array, "n 3"],
    slopes: Float[Array, "n 2"],
    end: float,
    energy: Scalar,
    steps: int = 4000,
) -> tuple[Float[Array, "n 3"], Float[Array, "n 2"]]:
    """Where (x, y, z) electrons are, and their slopes (dx/dz, dy/dz), in the plane z = ``end``, in the laboratory's frame.

    They start at ``positions`` (angstrom) with ``slopes``. Fourth-order Runge-Kutta in equal steps of z. ValueError for fewer than one step.
    """
    checks.require_float64()
    checks.positive("steps", steps, "give the number of steps, 4000 for aberrations to a few parts in a thousand")
    return _trace(field, positions, slopes, checks.float64(end), energy, steps)


@functools.partial(jax.jit, static_argnames=("steps",))
def _trace(
    field: AxialField,
    positions: Float[Array, "n 3"],
    slopes: Float[Array, "n 2"],
    end: Float[Array, ""],
    energy: Scalar,
    steps: int,
) -> tuple[Float[Array, "n 3"], Float[Array, "n 2"]]:
    # Larmor's rate for 1 T is e / 2 p for slow electrons and, with V*, for fast ones
    bend = 2.0 * larmor(jnp.ones(()), energy)

    def rate(state: Float[Array, "n 5"], z: Float[Array, " n"]) -> Float[Array, "n 5"]:
        x, y, p, q = state[:, 0], state[:, 1], state[:, 2], state[:, 3]
        r = jnp.sqrt(x**2 + y**2)
        across, along = off_axis(field, r, z)
        ratio = jnp.where(r > 0, across / jnp.where(r > 0, r, 1.0), 0.0)
        bx, by = ratio * x, ratio * y
        root = jnp.sqrt(1.0 + p**2 + q**2)
        # x'' and y'' with z as the variable, from dt/ds = -bend t x B
        xx = -bend * root * (q * along - by * (1.0 + p**2) + p * q * bx)
        yy = bend * root * (p * along - bx * (1.0 + q**2) + p * q * by)
        return jnp.stack([p, q, xx, yy, root], axis=1)

    start = positions[:, 2]
    step = (end - start) / steps
    h = step[:, None]

    def advance(index: Array, state: Float[Array, "n 5"]) -> Float[Array, "n 5"]:
        z = start + index * step
        k1 = rate(state, z)
        k2 = rate(state + 0.5 * h * k1, z + 0.5 * step)
        k3 = rate(state + 0.5 * h * k2, z + 0.5 * step)
        k4 = rate(state + h * k3, z + step)
        return state + h * (k1 + 2 * k2 + 2 * k3 + k4) / 6

    first = jnp.concatenate([positions[:, :2], slopes, jnp.zeros_like(start)[:, None]], axis=1)
    last = jax.lax.fori_loop(0, steps, advance, first)
    return jnp.concatenate([last[:, :2], jnp.full_like(start, end)[:, None]], axis=1), last[:, 2:4]
