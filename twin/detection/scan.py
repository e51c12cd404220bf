"""Scans: positions and times of a raster's pixels with distortion and drift, and the dose.

A `records.Scan` holds the requested raster; the functions here give the actual one. Positions (x, y) in angstrom are about the scan's centre, which is
pixel (ny // 2, nx // 2) for even numbers; times in seconds count from the first pixel, and a line takes nx dwells and a flyback, with the
beam on. Rates and doses are electrons; one ampere is 1/e electrons per second.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import CubicSpline

from twin import checks
from twin.checks import Number, finite, not_negative, positive, require
from twin.detection.jitter import pixel_times
from twin.optics.electrons import ELEMENTARY_CHARGE
from twin.records import Scan

Pair = tuple[Number, Number] | Float[Array | np.ndarray, " 2"]


def check_scan(scan: Scan) -> None:
    """ValueError unless a scan can be carried out."""
    require(
        len(scan.shape) == 2 and min(scan.shape) >= 1,
        f"a scan of {scan.shape} pixels; give (ny, nx), at least one each",
    )
    positive("pixel", scan.pixel, "give the distance between pixels, above zero", "angstrom")
    positive("dwell", scan.dwell, "give the time on a pixel, above zero", "s")
    not_negative("flyback", scan.flyback, "give the time from the end of a line to the next, zero or more", "s")
    positive("dose", scan.dose, "give a dose above zero", "electrons per square angstrom")


def times(scan: Scan) -> np.ndarray:
    """Seconds [ny, nx] from the first pixel to each."""
    return pixel_times(scan).reshape(scan.shape)


def line_time(scan: Scan) -> float:
    """Seconds from the start of a line to that of the next."""
    return scan.shape[1] * scan.dwell + scan.flyback


def frame_time(scan: Scan) -> float:
    """Seconds for a whole frame, the last line's flyback included."""
    return scan.shape[0] * line_time(scan)


class Distortion(eqx.Module):
    """What the scan does instead of the raster: ``rotation`` radian (from +x towards +y), ``scale`` along x and y, ``shear`` (shift in x per shift
    in y), ``centre`` (x, y) angstrom, ``drift`` (x, y) angstrom per second of the probe against the specimen, and ``field``: displacements (x, y) in
    angstrom at nodes [my, mx, 2] spread evenly over the field of view, its corners included, cubic in between. All can be differentiated in."""

    rotation: Number = 0.0
    scale: Pair = (1.0, 1.0)
    shear: Number = 0.0
    centre: Pair = (0.0, 0.0)
    drift: Pair = (0.0, 0.0)
    field: Float[Array | np.ndarray, "my mx 2"] | None = None

    def __check_init__(self) -> None:
        for name in ("rotation", "scale", "shear", "centre", "drift"):
            finite(name, getattr(self, name), "give finite numbers")
        if self.field is not None:
            require(min(self.field.shape[:2]) >= 2, f"a field of {self.field.shape[:2]} nodes; give at least 2 x 2")
            finite("field", self.field, "give finite displacements in angstrom")

    @property
    def matrix(self) -> Float[Array, "2 2"]:
        """Rotation times shear and scale: raster positions (x, y) to real ones."""
        cos, sin = jnp.cos(self.rotation), jnp.sin(self.rotation)
        turn = jnp.stack([jnp.stack([cos, -sin]), jnp.stack([sin, cos])])
        sx, sy, tilt = (checks.float64(value) for value in (*self.scale, self.shear))
        return turn @ jnp.stack([jnp.stack([sx, tilt]), jnp.stack([jnp.zeros_like(sx), sy])])


def positions(scan: Scan, distortion: Distortion | None = None) -> Float[Array, "ny nx 2"]:
    """Probe positions (x, y) in angstrom of all pixels: matrix @ raster + field + centre + drift * time."""
    check_scan(scan)
    ny, nx = scan.shape
    x, y = jnp.meshgrid((jnp.arange(nx) - nx / 2) * scan.pixel, (jnp.arange(ny) - ny / 2) * scan.pixel)
    raster = jnp.stack([x, y], axis=-1)
    if distortion is None:
        return raster
    displaced = raster @ distortion.matrix.T + _pair(distortion.centre)
    if distortion.field is not None:
        displaced = displaced + smooth_field(jnp.asarray(distortion.field), scan.shape)
    return displaced + _pair(distortion.drift) * jnp.asarray(times(scan))[..., None]


def smooth_field(nodes: Float[Array, "my mx 2"], shape: tuple[int, int]) -> Float[Array, "ny nx 2"]:
    """Cubic splines (not-a-knot) through ``nodes`` along y and x, at ``shape`` (ny, nx) pixels from the first node to the last."""
    down, across = (_spline(count, pixels) for count, pixels in zip(nodes.shape[:2], shape, strict=True))
    return jnp.einsum("pi,qj,ijc->pqc", down, across, nodes)


def _spline(nodes: int, pixels: int) -> np.ndarray:
    """Values [pixels, nodes] of the splines that are one at one node and zero at the others."""
    fractions = np.linspace(0.0, 1.0, pixels) if pixels > 1 else np.array([0.5])
    return CubicSpline(np.linspace(0.0, 1.0, nodes), np.eye(nodes))(fractions)


def _pair(pair: Pair) -> Array:
    return jnp.stack([checks.float64(pair[0]), checks.float64(pair[1])])[None, None]


def electron_rate(dose: Number, pixel: Number, dwell: Number) -> Number:
    """Electrons per second that put ``dose`` electrons per square angstrom on pixels of ``pixel`` angstrom in ``dwell`` seconds each."""
    _check_dose(dose, pixel, dwell)
    return dose * pixel**2 / dwell


def current(dose: Number, pixel: Number, dwell: Number) -> Number:
    """Beam current in ampere for a dose in electrons per square angstrom; see `electron_rate`."""
    return electron_rate(dose, pixel, dwell) * ELEMENTARY_CHARGE


def dose_of_current(amperes: Number, pixel: Number, dwell: Number) -> Number:
    """Electrons per square angstrom on the pixels from a beam of ``amperes``."""
    positive("current", amperes, "without a beam there is no image: give the current in ampere, above zero", "A")
    _check_geometry(pixel, dwell)
    return amperes / ELEMENTARY_CHARGE * dwell / pixel**2


def dwell_of(dose: Number, amperes: Number, pixel: Number) -> Number:
    """Seconds on a pixel of ``pixel`` angstrom that give ``dose`` electrons per square angstrom with a beam of ``amperes``."""
    positive("current", amperes, "without a beam there is no image: give the current in ampere, above zero", "A")
    _check_dose(dose, pixel, 1.0)
    return dose * pixel**2 * ELEMENTARY_CHARGE / amperes


def electrons_per_pixel(scan: Scan) -> float:
    """Electrons on one pixel: what fractions of the beam are multiplied with."""
    check_scan(scan)
    return scan.dose * scan.pixel**2


def dose_per_area(scan: Scan, flyback: bool = True) -> float:
    """Electrons per square angstrom of scanned area; ``flyback`` counts those that fall on it on the way to the next line."""
    check_scan(scan)
    return scan.dose * (line_time(scan) / (scan.shape[1] * scan.dwell) if flyback else 1.0)


def _check_geometry(pixel: Number, dwell: Number) -> None:
    positive("pixel", pixel, "give the distance between pixels, above zero", "angstrom")
    positive("dwell", dwell, "give the time on a pixel, above zero", "s")


def _check_dose(dose: Number, pixel: Number, dwell: Number) -> None:
    positive("dose", dose, "give a dose above zero", "electrons per square angstrom")
    _check_geometry(pixel, dwell)
