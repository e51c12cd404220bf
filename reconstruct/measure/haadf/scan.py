"""What a HAADF image says of the scan: where its pixels are on the crystal, and how map and drift part given the scanner's own errors.

A drift v of the probe over the crystal moves a line on by v T in the time T from line to line (de Ruijter & Weiss, Rev. Sci. Instrum. 63, 4314, 1992, have
the lattice's side of it): to first order v_x T = pixel_y (shear - shear_0) and v_y T = pixel_y - pixel_x (1 + ratio_0), in the axes of the scan.
"""

from typing import NamedTuple

import numpy as np

from reconstruct.measure.haadf.prior import Before
from reconstruct.measure.lattice.estimator import follow_lattice
from reconstruct.measure.measurement import Measurement
from reconstruct.measure.projection import Projection
from twin.checks import finite, require
from twin.detection.scan import check_scan, line_time
from twin.records import Scan
from twin.scattering.gram.model import GramModel

MAP = ("pixel_x", "pixel_y", "shear", "rotation")
GEOMETRY = {
    "pixel_x": "angstrom", "pixel_y": "angstrom", "shear": "1", "rotation": "radian", "drift.x": "angstrom/second", "drift.y": "angstrom/second",
}  # fmt: skip
"""Names and units of what is told of the scan."""
CELLS = 2.0
"""Periods that a field of view must hold, either way."""
FULL = 1e-3
"""Share of saturated pixels that an image may have."""
LIKENESS = 0.4
"""How alike amplitudes must be to those of a probe in focus: defocus and astigmatism change them, and the forward model judges."""
NARROWED = 0.5
"""What is not narrowed to this share of what was known is undetermined."""


class Usable(NamedTuple):
    """``known`` [k, ny, nx] pixels, and for each image why it says nothing (None: it may)."""

    known: np.ndarray
    poor: tuple[str | None, ...]


class Placed(NamedTuple):
    """``places`` [ny, nx, 2] of pixels (x, y; angstrom, crystal's axes), which lie at ``angle`` radian from the scan's."""

    places: np.ndarray
    angle: float


class Geometry(NamedTuple):
    """``mean`` [6] and ``covariance`` [6, 6] of `GEOMETRY`, what of it is ``undetermined`` and why, and ``notes``."""

    mean: np.ndarray
    covariance: np.ndarray
    undetermined: dict[str, str]
    notes: tuple[str, ...] = ()


def usable(
    images: np.ndarray,
    model: GramModel,
    crystal: Projection,
    scan: Scan,
    offsets: tuple[float, ...],
    saturation: float,
) -> tuple[np.ndarray, Usable]:
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
        across >= CELLS * period,
        f"the field of view is {across:.1f} angstrom and the crystal's period {period:.1f}; scan at least {CELLS:.0f} periods either way",
    )
    known = np.isfinite(stack) & (stack < saturation)
    return stack, Usable(known, tuple(_poor(one, mask, saturation) for one, mask in zip(stack, known, strict=True)))


def check_cells(model: GramModel, crystal: Projection) -> None:
    """ValueError unless the model's cell is made of the crystal's periods."""
    whole = np.linalg.solve(crystal.primitive().vectors, np.diag(model.cell))
    require(
        bool(np.abs(whole - np.round(whole)).max() < 0.01),
        f"the model's cell {model.cell} angstrom is no repeat of the crystal's periods {crystal.a} and {crystal.b}; give both of one unit cell",
    )


def _poor(image: np.ndarray, known: np.ndarray, saturation: float) -> str | None:
    finite_ = np.isfinite(image)
    if not finite_.any():
        return "no pixel of the image is a number"
    if finite_.mean() < 0.5:
        return f"{1.0 - finite_.mean():.0%} of the pixels are not numbers; half of them are needed"
    full = float((image[finite_] >= saturation).mean())
    if full > FULL:
        return f"{full:.1%} of the pixels are saturated; lower the gain or the dose"
    if np.ptp(image[known]) == 0.0:
        return "all pixels are alike: no electrons, or none that tell of a crystal"
    return None


def as_seen(
    image: np.ndarray, known: np.ndarray, crystal: Projection, scan: Scan, before: Before, hum: float | None
) -> tuple[Measurement, Placed | None]:
    """The lattice of one image, and its pixels' places if it was followed in two directions and the crystal is not seen from behind."""
    seen, places = follow_lattice(
        np.where(known, image, np.nan), crystal, scan.pixel, before.pixel, before.skew, hum, LIKENESS
    )
    if places is None:
        return seen, None
    right, down = ((np.diff(places, axis=axis)).mean(axis=(0, 1)) for axis in (1, 0))
    if right[0] * down[1] < right[1] * down[0]:
        return seen, None
    return seen, Placed(places, float(-np.arctan2(right[1], right[0])))


def geometry(seen: Measurement | None, crystal: Projection, scan: Scan, before: Before, why: str = "") -> Geometry:
    """Map and drift from the lattice ``seen``, or as they were known if there is none, which is ``why``."""
    if seen is None:
        period = 2.0 * np.pi / crystal.primitive().fold()
        sides = scan.pixel * np.hypot(before.pixel, 0.5 * before.skew)
        spread = np.array([sides, sides, before.skew, period / np.sqrt(12.0), before.drift, before.drift])
        mean = np.array([scan.pixel, scan.pixel, 0.0, 0.0, 0.0, 0.0])
        return Geometry(mean, np.diag(spread**2), dict.fromkeys(GEOMETRY, why))
    own = max(seen.components, key=lambda one: one.weight)
    single = own.weight > 0.95
    mean = (own.mean if single else seen.mean)[:4]
    covariance = (own.covariance if single else seen.covariance)[:4, :4]
    time = line_time(scan)
    pixel_x, pixel_y, shear, _ = mean
    # rows: v_x and v_y from (pixel_x, pixel_y, shear, rotation) were the scanner perfect
    rows = np.array([[0.0, shear, pixel_y, 0.0], [-1.0, 1.0, 0.0, 0.0]]) / time
    seen_velocity = np.array([pixel_y * shear, pixel_y - pixel_x]) / time
    lost = (np.array([pixel_y, pixel_x]) * before.scanner / time) ** 2
    share = before.drift**2 / (before.drift**2 + lost)
    whole = np.zeros((6, 6))
    whole[:4, :4] = covariance
    gained = share[:, None] * rows
    whole[4:, :4] = gained @ covariance
    whole[:4, 4:] = whole[4:, :4].T
    whole[4:, 4:] = gained @ covariance @ gained.T + np.diag((1.0 - share) * before.drift**2)
    undetermined = {name: reason for name, reason in seen.undetermined.items() if name in MAP}
    full = np.concatenate([mean, share * seen_velocity])
    for place, name in enumerate(("drift.x", "drift.y"), start=4):
        wide = float(np.sqrt(whole[place, place]))
        if undetermined or wide > NARROWED * before.drift:
            undetermined[name] = (
                f"one image tells drift from a skew of the scanner ({before.scanner:.1%}) only to {wide:.2g} angstrom/s"
                if not seen.undetermined
                else next(iter(seen.undetermined.values()))
            )
            full[place], whole[place], whole[:, place] = 0.0, 0.0, 0.0
            whole[place, place] = before.drift**2
    return Geometry(full, whole, undetermined, seen.notes)
