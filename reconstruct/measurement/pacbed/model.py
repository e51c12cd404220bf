"""What a camera should record of a position-averaged pattern, with derivatives: geometry, spread, dose, background, amorphous material.

A direction theta (x, y; from the beam, in the crystal's axes) falls on pixel R (1 + E) theta scale / pixel + centre, E = [[e1, e2], [e2, -e1]] being the
ellipticity and R the turn of the crystal's x axis from the camera's towards +y.
"""

import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import Float

from twin.checks import positive, require
from twin.detection.camera import Camera
from twin.detection.transfer import nyquist_shares
from twin.optics.electrons import wavelength
from twin.sample.potential.factors import projected_factor
from twin.scattering.pacbed.patterns import Library, pattern

NAMES = (
    *("thickness", "tilt.x", "tilt.y", "semiangle", "centre.x", "centre.y", "scale", "ellipticity.x", "ellipticity.xy"),
    *("rotation", "spread.x", "spread.y", "electrons", "background", "diffuse", "amorphous", "thermal", "vacuum"),
)
"""Parameters: thickness in angstrom; tilts, semi-angle and rotation in radian; centre and (squared, less that of the camera's MTF) spread along x and y in
pixels; scale, ellipticity, background (share of the electrons), diffuse scattering (of the library's), amorphous scattering (share), thermal motion
(<u^2> of the library's) and the share of the beam that passes beside the crystal dimensionless; electrons as logarithm."""
INDEX = {name: index for index, name in enumerate(NAMES)}
SUBPIXELS = 2
"""Points along either axis of a pixel."""


@dataclasses.dataclass(frozen=True)
class Geometry:
    """How a camera looks at the pattern: ``pixel`` in radian at its nominal camera length, ``rotation`` (radian) of the crystal's x axis from the camera's
    towards +y, ``centre`` (x, y, in pixels from the middle of the camera; None: near the middle), ``ellipticity`` (along x, along the diagonal);
    each with its standard error ("scale": of the camera length, relative)."""

    pixel: float
    rotation: float = 0.0
    centre: tuple[float, float] | None = None
    ellipticity: tuple[float, float] = (0.0, 0.0)
    rotation_error: float = 0.02
    centre_error: float = 3.0
    scale_error: float = 0.01
    ellipticity_error: float = 0.005

    def __post_init__(self):
        positive("pixel", self.pixel, "give the angle that a pixel spans in radian, above zero", "rad")
        numbers = (self.rotation, *self.ellipticity, *(self.centre or ()))
        require(
            all(math.isfinite(number) for number in numbers) and max(np.abs(self.ellipticity)) < 0.3,
            f"rotation, centre and ellipticity are {numbers}; give finite numbers, and an ellipticity below 0.3",
        )
        for name in ("rotation_error", "centre_error", "scale_error", "ellipticity_error"):
            positive(name, getattr(self, name), "give the standard error of what is known, above zero")


class Frame:
    """The camera's image of a pattern as a function of the parameters NAMES."""

    def __init__(self, library: Library, geometry: Geometry, camera: Camera, shape: tuple[int, int], stride: int = 1):
        self.library, self.geometry, self.camera, self.shape, self.stride = library, geometry, camera, shape, stride
        self.mtf = np.asarray(camera.mtf(nyquist_shares(shape)))
        q = [np.fft.rfftfreq(shape[1])[None, :], np.fft.fftfreq(shape[0])[:, None]]
        self.q_squared = q[0] ** 2, q[1] ** 2
        ny, nx = library.rocking.shape
        length = wavelength(library.rocking.energy)
        away = [
            np.fft.ifftshift(np.arange(n) - n // 2) * s / length
            for n, s in zip((nx, ny), library.rocking.step, strict=True)
        ]
        factor = projected_factor("C", away[0][None, :] ** 2 + away[1][:, None] ** 2, "kirkland") ** 2
        self.halo = np.fft.rfft2(factor / factor.sum())
        gain = 1.0 if camera.gain_map is None else np.asarray(camera.gain_map)
        self.gains = float(camera.gain) * np.broadcast_to(gain, shape)
        self._last: tuple[bytes, tuple[np.ndarray, np.ndarray, np.ndarray]] | None = None

    def directions(self, theta: np.ndarray, fine: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Directions (x, y) [y, x] in radian of the pixels, or of their SUB x SUB points, from the beam in the crystal's axes."""
        sub = SUBPIXELS if fine else 1
        ny, nx = (n * sub for n in self.shape)
        values = dict(zip(NAMES, theta, strict=True))
        x = (
            ((np.arange(nx) + 0.5) / sub - 0.5 * self.shape[1] - values["centre.x"])
            * self.geometry.pixel
            / values["scale"]
        )
        y = (
            ((np.arange(ny) + 0.5) / sub - 0.5 * self.shape[0] - values["centre.y"])
            * self.geometry.pixel
            / values["scale"]
        )
        cos, sin = math.cos(values["rotation"]), math.sin(values["rotation"])
        turned = cos * x[None, :] + sin * y[:, None], cos * y[:, None] - sin * x[None, :]
        back = np.linalg.inv(self._stretch(values))
        return tuple(back[i, 0] * turned[0] + back[i, 1] * turned[1] for i in (0, 1))

    @staticmethod
    def _stretch(values: dict[str, float]) -> np.ndarray:
        e1, e2 = values["ellipticity.x"], values["ellipticity.xy"]
        return np.array([[1.0 + e1, e2], [e2, 1.0 - e1]])

    def linearised(self, theta: np.ndarray) -> tuple[Float[np.ndarray, "y x"], Float[np.ndarray, "y x"], np.ndarray]:
        """Expected counts [y, x], those of them that come of the pattern [y, x], and derivatives [18, y, x] by NAMES."""
        key = np.asarray(theta, np.float64).tobytes()
        if self._last is None or self._last[0] != key:
            self._last = key, self._linearise(theta)
        return self._last[1]

    def _linearise(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        values = dict(zip(NAMES, theta, strict=True))
        library, step = self.library, self.library.rocking.step
        components = pattern(
            library, values["thickness"], (values["tilt.x"], values["tilt.y"]), values["semiangle"], values["thermal"]
        )
        unscattered = components.bragg + values["diffuse"] * components.diffuse
        halo = np.fft.irfft2(np.fft.rfft2(unscattered) * self.halo, s=unscattered.shape)
        crystal = 1.0 - values["vacuum"]
        through = (1.0 - values["amorphous"]) * unscattered + values["amorphous"] * halo
        total = crystal * through + values["vacuum"] * components.direct
        left = crystal * (1.0 - values["amorphous"])
        slopes = left * (components.bragg_slopes + values["diffuse"] * components.diffuse_slopes)
        slopes[1:] += values["vacuum"] * components.direct_slopes
        maps = np.concatenate([
            np.stack([
                total, left * components.diffuse, crystal * (halo - unscattered), left * components.thermal_slope,
                components.direct - through,
            ]),
            slopes,
        ])  # fmt: skip
        fine_x, fine_y = self.directions(theta)
        density = (self.geometry.pixel / values["scale"]) ** 2 / (step[0] * step[1])
        sampled = density * _interpolate(
            maps, (fine_x - values["tilt.x"]) / step[0], (fine_y - values["tilt.y"]) / step[1]
        )
        to_x, to_y, value, thermal, amorphous, warming, emptier, deeper, tilt_x, tilt_y, opened = _pixel_means(
            sampled, self.shape
        )
        to_x, to_y = to_x / step[0], to_y / step[1]
        x, y = self.directions(theta, fine=False)
        back = np.linalg.inv(self._stretch(values))
        cos, sin = math.cos(values["rotation"]), math.sin(values["rotation"])
        unit = back @ np.array([[cos, sin], [-sin, cos]]) * self.geometry.pixel / values["scale"]
        stretch = self._stretch(values)
        turned = stretch[0, 0] * x + stretch[0, 1] * y, stretch[1, 0] * x + stretch[1, 1] * y

        def moved(along_x: Any, along_y: Any) -> np.ndarray:
            return to_x * along_x + to_y * along_y

        def squeezed(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return back[0, 0] * a + back[0, 1] * b, back[1, 0] * a + back[1, 1] * b

        columns = np.stack([
            value, deeper, tilt_x - to_x, tilt_y - to_y, opened,
            -moved(*unit[:, 0]), -moved(*unit[:, 1]),
            -(moved(x, y) + 2.0 * value) / values["scale"],
            -moved(*squeezed(x, -y)), -moved(*squeezed(y, x)), moved(*squeezed(turned[1], -turned[0])),
            thermal, amorphous, warming, emptier,
        ])  # fmt: skip
        q_x, q_y = self.q_squared
        spread = self.mtf * np.exp(-2.0 * np.pi**2 * (values["spread.x"] * q_x + values["spread.y"] * q_y))
        spectra = np.fft.rfft2(columns) * spread
        softer = np.fft.irfft2(
            -2.0 * np.pi**2 * np.stack([q_x * spectra[0], q_y * spectra[0]]), s=self.shape, axes=(-2, -1)
        )
        images = np.fft.irfft2(spectra, s=self.shape)
        electrons = math.exp(values["electrons"]) * self.gains
        share, even = 1.0 - values["background"], 1.0 / (self.shape[0] * self.shape[1])
        signal = electrons * share * images[0]
        counts = electrons * (share * images[0] + values["background"] * even)
        slopes = np.concatenate([
            electrons * share * images[1:11], electrons * share * softer, counts[None],
            (electrons * (even - images[0]))[None], electrons * share * images[11:15],
        ])  # fmt: skip
        return counts + float(self.camera.dark), signal, slopes


def _interpolate(maps: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Maps [n, ny, nx] with their origin in the middle at positions (x, y) [...] in steps, linear in between, zero outside: [2 + n, ...], led by the slopes of
    the first along x and y."""
    ny, nx = maps.shape[1:]
    column, row = x + nx // 2, y + ny // 2
    inside = (column >= 0) & (column < nx - 1) & (row >= 0) & (row < ny - 1)
    column, row = np.where(inside, column, 0.0), np.where(inside, row, 0.0)
    i, j = row.astype(np.int64), column.astype(np.int64)
    u, v = (row - i)[..., None], (column - j)[..., None]
    flat = np.ascontiguousarray(maps.reshape(len(maps), -1).T)
    corner = i * nx + j
    here, right, below, across = (flat[corner + offset] * inside[..., None] for offset in (0, 1, nx, nx + 1))
    along_x = ((1 - u) * (right - here) + u * (across - below))[..., :1]
    along_y = ((1 - v) * (below - here) + v * (across - right))[..., :1]
    values = (1 - u) * ((1 - v) * here + v * right) + u * ((1 - v) * below + v * across)
    return np.moveaxis(np.concatenate([along_x, along_y, values], axis=-1), -1, 0)


def _pixel_means(fine: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return fine.reshape(len(fine), shape[0], SUBPIXELS, shape[1], SUBPIXELS).mean(axis=(2, 4))
