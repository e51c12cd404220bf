"""Pixelated detectors: diffraction patterns cropped to the band of multislice, and resampled to the pixels of a camera.

Intensity is conserved: a beam of the grid represents a cell of angles, which is divided among the pixels it covers. Intensity outside
the camera is lost, as in the instrument. Patterns here have the direct beam in the middle and angles as axes.
"""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin import checks
from twin.checks import Number, known, require
from twin.detection.regions import Offset, plane
from twin.grid import CUTOFF


class Pattern(eqx.Module):
    """Intensities ``values`` [*batch, y, x] (shares of the incident beam) at angles ``y`` [y] and ``x`` [x] from the direct beam, radian."""

    values: Float[Array, "*batch y x"]
    y: Float[Array | np.ndarray, " y"]
    x: Float[Array | np.ndarray, " x"]


def crop(
    patterns: Float[Array, "*batch y x"], extent: tuple[float, float], wavelength: float, reach: float | None = None
) -> Pattern:
    """The middle of ``patterns`` (FFT order, grid over ``extent`` (x, y) angstrom), direct beam in the middle of an odd number of beams.

    Kept is the rectangle around the antialiasing band, beyond which there is nothing, or around ``reach`` radian if that is less. ValueError for a
    reach that the band does not have.
    """
    shape = (patterns.shape[-2], patterns.shape[-1])
    band = CUTOFF * 0.5 * min(shape[1] / extent[0], shape[0] / extent[1])
    if reach is not None:
        require(
            0.0 < reach <= wavelength * band * (1.0 + 1e-9),
            f"reach is {reach} rad; give an angle in radian above zero and within the band's {wavelength * band:.5f}, or use more gpts",
        )
        band = reach / wavelength
    slices, axes = [], []
    for count, side in ((shape[0], extent[1]), (shape[1], extent[0])):
        half = min(math.floor(band * side + 1e-9), (count - 1) // 2)
        slices.append(slice(count // 2 - half, count // 2 + half + 1))
        axes.append(np.arange(-half, half + 1) * (wavelength / side))
    values = jnp.fft.fftshift(patterns, axes=(-2, -1))[..., slices[0], slices[1]]
    return Pattern(values, *axes)


def binned(pattern: Pattern, factor: int) -> Pattern:
    """``pattern`` with ``factor`` x ``factor`` beams summed to one; the border is filled with zeros, so that nothing is lost.

    For an odd factor the direct beam stays in the middle of a pixel; for an even one the axes say where it lies.
    """
    require(factor >= 1, f"factor is {factor}; give how many beams are summed along either axis, 1 or more")
    values, axes = pattern.values, [jnp.asarray(pattern.y), jnp.asarray(pattern.x)]
    for number, axis in enumerate((-2, -1)):
        count, old = values.shape[axis], axes[number]
        blocks = -(-count // factor)
        if factor % 2 and (blocks - count) % 2:
            blocks += 1
        padding_left = (blocks * factor - count) // 2
        padding_right = blocks * factor - count - padding_left
        widths = [(0, 0)] * values.ndim
        widths[axis] = (padding_left, padding_right)
        padded = jnp.moveaxis(jnp.pad(values, widths), axis, -1)
        values = jnp.moveaxis(padded.reshape(*padded.shape[:-1], blocks, factor).sum(axis=-1), -1, axis)
        step = old[1] - old[0]
        axes[number] = old[0] + step * ((jnp.arange(blocks) + 0.5) * factor - 0.5 - padding_left)
    return Pattern(values, *axes)


class Pixelated(eqx.Module):
    """A camera in the diffraction plane: ``shape`` (ny, nx) square pixels of ``pixel`` radian.

    The middle of the camera lies at ``offset`` (x, y) radian from the direct beam, its x axis turned by ``rotation`` radian from +x towards +y;
    both can be differentiated in. ``spread`` (x, y) radian is the cell that a beam represents, by default the grid's steps: a small one
    makes beams points, as Bragg beams of a plane wave are.
    """

    shape: tuple[int, int] = eqx.field(static=True)
    pixel: float = eqx.field(static=True)
    offset: Offset = (0.0, 0.0)
    rotation: Number = 0.0
    spread: tuple[float, float] | None = eqx.field(default=None, static=True)

    def __check_init__(self) -> None:
        require(min(self.shape) >= 1, f"a camera of {self.shape} pixels; give (ny, nx), at least one each")
        require(0.0 < self.pixel < np.inf, f"pixel is {self.pixel} rad; give the angle that a pixel spans, above zero")
        if self.spread is not None:
            require(min(self.spread) > 0.0, f"spread is {self.spread} rad; give widths (x, y) above zero")

    def record(self, patterns: Float[Array, "*batch y x"], extent: tuple[float, float], wavelength: float) -> Pattern:
        """What the pixels collect of ``patterns`` (FFT order), in their precision; axes are angles from the direct beam along the camera's axes."""
        return resample(crop(patterns, extent, wavelength), self)

    def axes(self) -> tuple[Array, Array]:
        """Angles (y [ny], x [nx]) of the pixels' middles from the direct beam, along the camera's own axes, radian."""
        x, y = self.middle()
        rows, columns = ((np.arange(count) + 0.5 - 0.5 * count) * self.pixel for count in self.shape)
        return jnp.asarray(rows) + y, jnp.asarray(columns) + x

    def middle(self) -> tuple[Array, Array]:
        """Where the camera's middle lies from the direct beam, along its own axes (x, y), radian."""
        x, y = plane(np.zeros(()), np.zeros(()), 1.0, self.offset, self.rotation)
        return -x, -y


def resample(pattern: Pattern, camera: Pixelated) -> Pattern:
    """``pattern`` on the pixels of ``camera``. The cell of a beam is a box along the camera's axes, with the variance of the turned cell."""
    steps = camera.spread or (float(pattern.x[1] - pattern.x[0]), float(pattern.y[1] - pattern.y[0]))
    widths = (steps[0] / camera.pixel, steps[1] / camera.pixel)
    ny, nx = camera.shape
    if known(camera.rotation) and float(camera.rotation) == 0.0:
        across = _shares((jnp.asarray(pattern.x) - camera.offset[0]) / camera.pixel + 0.5 * nx, widths[0], nx)
        down = _shares((jnp.asarray(pattern.y) - camera.offset[1]) / camera.pixel + 0.5 * ny, widths[1], ny)
        kind = pattern.values.dtype
        values = down.astype(kind) @ pattern.values @ across.T.astype(kind)
    else:
        values = _scatter(pattern, camera, widths)
    return Pattern(values, *camera.axes())


def _overlap(left: Array, centre: Array, width: float | Array) -> Array:
    """Share of an interval ``width`` wide around ``centre`` that lies between ``left`` and left + 1."""
    return jnp.clip((left + 1.0 - centre) / width + 0.5, 0.0, 1.0) - jnp.clip((left - centre) / width + 0.5, 0.0, 1.0)


def _shares(positions: Float[Array, " n"], width: float, count: int) -> Float[Array, "count n"]:
    """Share of an interval ``width`` wide around each of ``positions`` (in pixels; pixel i is from i to i + 1) that lies in each pixel."""
    return _overlap(checks.float64(jnp.arange(count))[:, None], positions[None], width)


def _scatter(pattern: Pattern, camera: Pixelated, widths: tuple[float, float]) -> Array:
    """The same for a turned camera, beam by beam."""
    ny, nx = camera.shape
    x, y = plane(jnp.asarray(pattern.x)[None, :], jnp.asarray(pattern.y)[:, None], 1.0, camera.offset, camera.rotation)
    cos, sin = jnp.cos(camera.rotation), jnp.sin(camera.rotation)
    wide = jnp.sqrt((widths[0] * cos) ** 2 + (widths[1] * sin) ** 2)
    high = jnp.sqrt((widths[0] * sin) ** 2 + (widths[1] * cos) ** 2)
    reach = math.ceil(max(widths)) + 1
    column, row = (x / camera.pixel + 0.5 * nx).reshape(-1), (y / camera.pixel + 0.5 * ny).reshape(-1)
    first_column, first_row = jnp.floor(column - 0.5 * wide), jnp.floor(row - 0.5 * high)
    flat = pattern.values.reshape(-1, column.size)
    total = jnp.zeros((flat.shape[0], ny * nx + 1), flat.dtype)

    for down in range(reach):
        for across in range(reach):
            i, j = first_row + down, first_column + across
            share = _overlap(i, row, high) * _overlap(j, column, wide)
            inside = (i >= 0) & (i < ny) & (j >= 0) & (j < nx)
            pixel = jnp.where(inside, i * nx + j, ny * nx).astype(jnp.int32)
            total = total.at[:, pixel].add(flat * share.astype(flat.dtype)[None])
    return total[:, :-1].reshape(*pattern.values.shape[:-2], ny, nx)
