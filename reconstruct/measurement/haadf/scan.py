"""Scan geometry of a HAADF image: positions of its pixels on the crystal, and separation of map and drift given the scanner's errors.

A drift v of the probe over the crystal moves a line on by v T in the time T from line to line (de Ruijter & Weiss, Rev. Sci. Instrum. 63, 4314, 1992, have
the lattice's side of it): to first order v_x T = pixel_y (shear - shear_0) and v_y T = pixel_y - pixel_x (1 + ratio_0), in the axes of the scan.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from reconstruct.measurement.haadf.prior import HaadfPrior
from reconstruct.measurement.lattice.estimator import follow_lattice
from reconstruct.measurement.lattice.report import pixel_contradiction
from reconstruct.measurement.measurement import Measurement
from reconstruct.measurement.projection import Projection
from twin.checks import finite, require
from twin.detection.scan import check_scan, line_time
from twin.records import Scan
from twin.scattering.gram.model import GramModel

MAP_QUANTITIES = ("pixel_x", "pixel_y", "shear", "rotation")
GEOMETRY = {
    "pixel_x": "angstrom", "pixel_y": "angstrom", "shear": "1", "rotation": "radian", "drift.x": "angstrom/second", "drift.y": "angstrom/second",
}  # fmt: skip
"""Names and units of the scan's quantities."""
MIN_PERIODS, SAFE_PERIODS = 2.0, 4.0
"""Periods that a field of view must hold, either way, and from which a lattice that is there is found."""
MAX_SATURATED = 1e-3
"""Share of saturated pixels that an image may have."""
MIN_LIKENESS = 0.4
"""How alike amplitudes must be to those of a probe in focus: defocus and astigmatism change them, and the forward model judges."""
WIDER = 3.0
"""Times the stated errors of the pixel within which a lattice is looked for that is not within them."""
DETERMINED_SHARE = 0.5
"""What is not narrowed to this share of what was known is undetermined."""


class UsablePixels(NamedTuple):
    """``known`` [k, ny, nx] pixels, and for each image why it is rejected (None: it is usable)."""

    known: np.ndarray
    rejections: tuple[str | None, ...]


class PixelMap(NamedTuple):
    """``positions`` [ny, nx, 2] of pixels (x, y; angstrom, crystal's axes), which lie at ``angle`` radian from the scan's."""

    positions: np.ndarray
    angle: float


class Geometry(NamedTuple):
    """``mean`` [6] and ``covariance`` [6, 6] of `GEOMETRY`, what of it is ``undetermined`` and why, ``notes``, and how the lattice contradicts the stated
    pixel (``contradictions``)."""

    mean: np.ndarray
    covariance: np.ndarray
    undetermined: dict[str, str]
    notes: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()


def usable_pixels(
    images: np.ndarray,
    model: GramModel,
    crystal: Projection,
    scan: Scan,
    offsets: tuple[float, ...],
    saturation: float,
) -> tuple[np.ndarray, UsablePixels]:
    """Images [k, ny, nx] and what of them is to be used; ValueError for what cannot be."""
    check_scan(scan)
    stack = np.asarray(images, dtype=np.float64)
    stack = stack[None] if stack.ndim == 2 else stack
    require(
        stack.ndim == 3 and len(stack) >= 1 and stack.shape[1:] == tuple(scan.shape),
        f"images have shape {np.shape(images)} and the scan {scan.shape}; give [ny, nx] or [k, ny, nx] of the scan's pixels",
    )
    finite("offsets", offsets, "give the known change of C10 of every image in angstrom")
    require(
        len(offsets) == len(stack) and len(set(offsets)) == len(offsets),
        f"{len(stack)} images have offsets {offsets}; give one known change of C10 for each, all different",
    )
    require(saturation > 0.0, f"saturation is {saturation}; give the count at which the detector is full, above zero")
    check_cells(model, crystal)
    across = min(scan.shape) * scan.pixel
    period = float(np.abs(crystal.primitive().vectors).max())
    require(
        across >= MIN_PERIODS * period,
        f"the field of view is {across:.1f} angstrom and the crystal's period {period:.1f}; scan {SAFE_PERIODS:.0f} periods either way",
    )
    known = np.isfinite(stack) & (stack < saturation)
    return stack, UsablePixels(
        known, tuple(_rejection(image, mask, saturation) for image, mask in zip(stack, known, strict=True))
    )


def too_small(crystal: Projection, scan: Scan) -> str:
    """Why a field of view of under `SAFE_PERIODS` periods may hide its lattice, and what would do; empty for a larger one."""
    across = min(scan.shape) * scan.pixel
    period = float(np.abs(crystal.primitive().vectors).max())
    if across >= SAFE_PERIODS * period:
        return ""
    side = SAFE_PERIODS * period
    return (
        f"the image holds {across / period:.1f} periods of the crystal, so that lattice spots blend: {SAFE_PERIODS:.0f} periods do "
        f"({side:.0f} angstrom, {np.ceil(side / scan.pixel):.0f} pixels of this size)"
    )


def check_cells(model: GramModel, crystal: Projection) -> None:
    """ValueError unless the model's cell is made of the crystal's periods."""
    whole = np.linalg.solve(crystal.primitive().vectors, np.diag(model.cell))
    require(
        bool(np.abs(whole - np.round(whole)).max() < 0.01),
        f"the model's cell {model.cell} angstrom is no repeat of the crystal's periods {crystal.a} and {crystal.b}; give both of one unit cell",
    )


def _rejection(image: np.ndarray, known: np.ndarray, saturation: float) -> str | None:
    is_finite = np.isfinite(image)
    if not is_finite.any():
        return "no pixel of the image is a number"
    if is_finite.mean() < 0.5:
        return f"{1.0 - is_finite.mean():.0%} of the pixels are not numbers; half of them are needed"
    saturated = float((image[is_finite] >= saturation).mean())
    if saturated > MAX_SATURATED:
        return f"{saturated:.1%} of the pixels are saturated; lower the gain or the dose"
    if np.ptp(image[known]) == 0.0:
        return "all pixels are alike: no electrons, or none with a crystal's contrast"
    return None


def locate_pixels(
    image: np.ndarray, known: np.ndarray, crystal: Projection, scan: Scan, prior: HaadfPrior, hum: float | None
) -> tuple[Measurement, PixelMap | None]:
    """The lattice of one image, and its pixels' places if it was followed in two directions and the crystal is not seen from behind."""
    pixels = np.where(known, image, np.nan)
    lattice, positions = follow_lattice(pixels, crystal, scan.pixel, prior.pixel, prior.skew, hum, MIN_LIKENESS)
    if positions is None:
        # a drift of a tenth of the frame shears it by more than scanners do
        wider, positions = follow_lattice(
            pixels, crystal, scan.pixel, WIDER * prior.pixel, WIDER * prior.skew, hum, MIN_LIKENESS
        )
        if positions is None or len(wider.readings) > 1:
            return lattice, None
        said = pixel_contradiction(wider.mean, scan.pixel, prior.pixel, prior.skew)
        lattice = dataclasses.replace(wider, contradictions=said)
    right, down = ((np.diff(positions, axis=axis)).mean(axis=(0, 1)) for axis in (1, 0))
    if right[0] * down[1] < right[1] * down[0]:
        return lattice, None
    return lattice, PixelMap(positions, float(-np.arctan2(right[1], right[0])))


def geometry(
    lattice: Measurement | None, crystal: Projection, scan: Scan, prior: HaadfPrior, cause: str = ""
) -> Geometry:
    """Map and drift from the measured ``lattice``, or the prior if there is none, for the reason ``cause``."""
    if lattice is None:
        period = 2.0 * np.pi / crystal.primitive().fold()
        sides = scan.pixel * np.hypot(prior.pixel, 0.5 * prior.skew)
        spread = np.array([sides, sides, prior.skew, period / np.sqrt(12.0), prior.drift, prior.drift])
        mean = np.array([scan.pixel, scan.pixel, 0.0, 0.0, 0.0, 0.0])
        return Geometry(mean, np.diag(spread**2), dict.fromkeys(GEOMETRY, cause))
    likeliest = max(lattice.components, key=lambda component: component.weight)
    single = likeliest.weight > 0.95
    mean = (likeliest.mean if single else lattice.mean)[:4]
    covariance = (likeliest.covariance if single else lattice.covariance)[:4, :4]
    time = line_time(scan)
    pixel_x, pixel_y, shear, _ = mean
    # rows: v_x and v_y from (pixel_x, pixel_y, shear, rotation) were the scanner perfect
    rows = np.array([[0.0, shear, pixel_y, 0.0], [-1.0, 1.0, 0.0, 0.0]]) / time
    apparent_velocity = np.array([pixel_y * shear, pixel_y - pixel_x]) / time
    scanner_variance = (np.array([pixel_y, pixel_x]) * prior.scanner / time) ** 2
    share = prior.drift**2 / (prior.drift**2 + scanner_variance)
    full_covariance = np.zeros((6, 6))
    full_covariance[:4, :4] = covariance
    velocity_rows = share[:, None] * rows
    full_covariance[4:, :4] = velocity_rows @ covariance
    full_covariance[:4, 4:] = full_covariance[4:, :4].T
    full_covariance[4:, 4:] = velocity_rows @ covariance @ velocity_rows.T + np.diag((1.0 - share) * prior.drift**2)
    undetermined = {name: reason for name, reason in lattice.undetermined.items() if name in MAP_QUANTITIES}
    full_mean = np.concatenate([mean, share * apparent_velocity])
    for index, name in enumerate(("drift.x", "drift.y"), start=4):
        std = float(np.sqrt(full_covariance[index, index]))
        if undetermined or std > DETERMINED_SHARE * prior.drift:
            undetermined[name] = (
                f"one image separates drift from a skew of the scanner ({prior.scanner:.1%}) only to {std:.2g} angstrom/s"
                if not lattice.undetermined
                else next(iter(lattice.undetermined.values()))
            )
            full_mean[index], full_covariance[index], full_covariance[:, index] = 0.0, 0.0, 0.0
            full_covariance[index, index] = prior.drift**2
    return Geometry(full_mean, full_covariance, undetermined, lattice.notes, lattice.contradictions)
