"""The response of a detector across its face: a polynomial in the radius, or an interpolated measured map.

A map is in the detector's own frame (its offset and rotation taken off), so it moves and turns with the detector.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Float

from twin.checks import Number, known, require
from twin.detection.regions import azimuth, radius


class PolarMap(eqx.Module):
    """Relative efficiency ``values`` [radii, azimuths]: radii in equal steps from the inner to the outer radius, both included, and azimuths
    2 pi j / azimuths from the detector's x axis towards its y axis. Linear in between, periodic in the azimuth."""

    values: Float[Array | np.ndarray, "radii azimuths"]

    def __check_init__(self) -> None:
        _check_map(self.values)

    def __call__(self, x: Array, y: Array, inner: Number, outer: Number) -> Array:
        """Efficiency at angles (x, y) radian of the detector's frame, which has radii ``inner`` and ``outer``."""
        rows, columns = self.values.shape
        row = jnp.clip((radius(x, y) - inner) / (outer - inner), 0.0, 1.0) * (rows - 1)
        column = jnp.mod(azimuth(x, y) / (2.0 * np.pi), 1.0) * columns
        # map_coordinates' own "wrap" takes the last column for the first: one more column closes the circle.
        closed = jnp.concatenate([jnp.asarray(self.values), jnp.asarray(self.values)[:, :1]], axis=1)
        return map_coordinates(closed, [row, column], order=1, mode="nearest")


class CartesianMap(eqx.Module):
    """Relative efficiency ``values`` [y, x] in equal steps from -``half`` to +``half`` radian, both included, along either axis of the detector.

    Linear in between; beyond the map its border goes on.
    """

    values: Float[Array | np.ndarray, "y x"]
    half: Number

    def __check_init__(self) -> None:
        _check_map(self.values)
        if known(self.half):
            require(self.half > 0.0, f"half is {self.half} rad; give half the side of the response map in radian")

    def __call__(self, x: Array, y: Array, inner: Number, outer: Number) -> Array:
        """Efficiency at angles (x, y) radian of the detector's frame; its radii are of no account."""
        rows, columns = self.values.shape
        row, column = (y / self.half + 1.0) * 0.5 * (rows - 1), (x / self.half + 1.0) * 0.5 * (columns - 1)
        return map_coordinates(jnp.asarray(self.values), [row, column], order=1, mode="nearest")


Response = tuple[float, ...] | Float[Array, " terms"] | PolarMap | CartesianMap
"""Coefficients of a polynomial in (angle - middle) / half-width, constant term first; or a map."""


def respond(response: Response, x: Array, y: Array, inner: Number, outer: Number) -> Array:
    """Relative efficiency at angles (x, y) radian in the frame of a detector with radii ``inner`` and ``outer``; shape of x."""
    if isinstance(response, PolarMap | CartesianMap):
        return response(x, y, inner, outer)
    return _polynomial(tuple(response), x, y, inner, outer)


@functools.partial(jax.jit, inline=True)
def _polynomial(coefficients, x, y, inner, outer):
    position = jnp.clip((2.0 * radius(x, y) - inner - outer) / (outer - inner), -1.0, 1.0)
    total = jnp.zeros_like(position)
    for coefficient in reversed(coefficients):
        total = total * position + coefficient
    return total


def _check_map(values: Float[Array | np.ndarray, "..."]) -> None:
    require(min(values.shape) >= 2, f"a response map of {values.shape} points; give at least 2 along either axis")
    if known(values):
        numbers = np.asarray(values)
        require(np.isfinite(numbers) & (numbers >= 0.0), "a response map must be finite and nowhere negative")
