"""Diffraction patterns to quantities: the bright-field disk, the scan's rotation, a crystal's thickness and tilt."""

import dataclasses
import math

import numpy as np

from reconstruct.measure.disk import measure_disk
from reconstruct.measure.pacbed import Geometry, pacbed
from reconstruct.measure.rotation import measure_rotation
from scenarios.errors import BadInput, from_twin
from scenarios.measure.crystals import oriented
from scenarios.measure.found import Claim, Found, chosen
from scenarios.measure.frames import pattern, scan
from scenarios.measure.inputs import Given, above, counted, electrons, finite, pair, pixel_angle
from scenarios.progress import Progress
from twin.detection.camera import Camera
from twin.optics.electrons import wavelength
from twin.sample.specimen import Specimen
from twin.scattering.gram_crystal import centred_in_slices
from twin.scattering.pacbed import library

FINEST, COARSEST = 0.45e-3, 0.9e-3
"""Steps in radian between the directions of a library."""
SAMPLING = 0.12
"""Angstrom between points of a library's waves, at most."""
CONFIGURATIONS = 4
"""Frozen phonon configurations of a library's diffuse scattering."""
DISK = {
    "radius": "pixel",
    "centre_x": "pixel",
    "centre_y": "pixel",
    "ellipse_a": "1",
    "ellipse_b": "1",
    "edge": "pixel",
}


def disk(
    given: Given,
    progress: Progress,
    pixel_mrad: float | None,
    pixel_error: float,
    energy: float | None,
    semiangle: float | None,
    semiangle_error: float,
    detector_pixel: float | None,
    camera_length: float | None,
    gain: float | None,
) -> Found:
    """Radius, centre, ellipse and edge of the bright-field disk; semi-angle or camera length with it. Errors in per cent, others as the options say."""
    data = pattern(given)
    volts = given.maybe("energy of the electrons", "--energy-keV", energy, given.energy, "eV", 1e3)
    angle = pixel_angle(given, pixel_mrad, volts, False)
    side = given.maybe("detector pixel", "--detector-pixel-um", detector_pixel, None, "angstrom", 1e4)
    length = given.maybe("camera length", "--camera-length-mm", camera_length, None, "angstrom", 1e7)
    if length is not None and side is None:
        raise BadInput("--camera-length-mm", "says nothing without the detector's pixel", "Add --detector-pixel-um.")
    known = given.maybe("convergence semi-angle", "--semiangle-mrad", semiangle, None, "radian", 1e-3)
    share = above("--pixel-error-percent", pixel_error) / 100.0
    apart = above("--semiangle-error-percent", semiangle_error) / 100.0
    # without a pixel of its own the camera's length is told in pixels
    pixel = 1.0 if side is None else side
    if length is None and angle is not None:
        length = pixel / angle
    counts = data if gain is None else electrons(given, data, gain)
    progress.stage("looking for the disk")
    try:
        found = measure_disk(
            counts,
            pixel,
            None if length is None else (length, share * length),
            None if known is None else (known, apart * known),
        )
    except ValueError as error:
        raise from_twin(str(given.path), error, "") from error
    names = {name: (name, unit, 1.0) for name, unit in DISK.items()} | {"semiangle": ("semiangle", "radian", 1.0)}
    if side is not None:
        names["camera_length"] = ("camera_length", "angstrom", 1.0)
    elif angle is None:
        names["camera_length"] = ("camera_length", "1/radian", 1.0)
    claimed = given.claim("convergence_semiangle")
    claims = () if claimed is None else (Claim("semiangle", claimed, "a semi-angle"),)
    if not counted(given, gain):
        found = dataclasses.replace(found, electrons=math.nan)
    # how much more counts scatter about the edge than counting is learnt, and in the errors
    return Found("disk", (given,), chosen(found, names), claims, judged=False)


def rotation(given: Given, progress: Progress, dark: float | None, gain: float | None) -> Found:
    """Rotation and flip of a camera against its scan; ``dark``: angle in mrad beyond which patterns make an image that is bright at atoms."""
    patterns = scan(given)
    rows, columns = given.signal.axes[:2]
    if abs(abs(rows.scale) - abs(columns.scale)) > 0.01 * abs(columns.scale):
        problem = f"is scanned with pixels of {columns.scale:g} x {rows.scale:g}, which are not square"
        raise BadInput(str(given.path), problem, "Give a scan with pixels as wide as high.")
    counts = electrons(given, patterns, gain)
    bright = None
    if dark is not None:
        given.settle("dark field beyond", above("--dark-field-mrad", dark) * 1e-3, "radian", "--dark-field-mrad")
        x, y = _angles(given)
        beyond = np.hypot(x[None, :], y[:, None]) > 1e-3 * dark
        if not beyond.any():
            raise BadInput(f"--dark-field-mrad {dark:g}", "is beyond all of the camera", "Give a smaller angle.")
        bright = np.nansum(np.where(beyond, counts, 0.0), axis=(2, 3))
    progress.stage("looking for the field's curl")
    try:
        found = measure_rotation(counts, bright)
    except ValueError as error:
        raise from_twin(str(given.path), error, "") from error
    # both axes of emtwin's own scans are those of its cameras
    own = given.own("scenario.name") is not None
    return Found("rotation", (given,), found, (Claim("rotation", 0.0, "a rotation"),) if own else ())


def _angles(given: Given) -> tuple[np.ndarray, np.ndarray]:
    """Angles (x, y) in radian of a pattern's columns and rows from the direct beam, as the file has them; BadInput if it does not."""
    rows, columns = given.signal.axes[-2:]
    if rows.unit != "radian" or columns.unit != "radian":
        problem = "does not say the angles of its pixels from the beam"
        raise BadInput(str(given.path), problem, "Leave --dark-field-mrad out.")
    return tuple(one.offset + one.scale * np.arange(one.size) for one in (columns, rows))  # type: ignore[return-value]


def thickness(
    given: Given,
    progress: Progress,
    structure: str | None,
    zone: str | None,
    x: str | None,
    energy: float | None,
    semiangle: float | None,
    pixel_mrad: float | None,
    rotation_deg: float,
    rotation_error: float,
    known: str | None,
    thickest: float,
    tilt: str,
    tilt_error: float,
    precision: float,
    gain: float | None,
    black: float,
) -> Found:
    """Thickness and tilt from a position-averaged pattern; thicknesses in nm, tilts in mrad, rotations in degrees, ``precision`` in per cent."""
    data = pattern(given)
    volts = given.need("energy of the electrons", "--energy-keV", energy, given.energy, "eV", 1e3)
    alpha = given.need(
        "convergence semi-angle", "--semiangle-mrad", semiangle, given.claim("convergence_semiangle"), "radian", 1e-3
    )  # fmt: skip
    angle = pixel_angle(given, pixel_mrad, volts, True)
    assert angle is not None
    atoms = oriented(given, structure, zone, x)
    counts = electrons(given, data, gain, finite("--black", black))
    lean = [1e-3 * one for one in pair("--tilt-mrad", tilt)]
    wide = 1e-3 * above("--tilt-error-mrad", tilt_error)
    tilted = math.hypot(*lean) + 1.6 * wide
    most = 10.0 * above("--thickest-nm", thickest)
    before = None
    if known is not None:
        middle, error = (10.0 * above("--thickness-nm", one) for one in pair("--thickness-nm", known))
        before = (middle, error)
        most = max(most, middle + 3.0 * error)
    span = 0.5 * angle * min(data.shape)
    reach = min(span, 2.0 * alpha) + tilted
    if reach <= 1.1 * alpha + tilted:
        problem = f"shows {1e3 * span:.3g} mrad from its middle, the disk's radius is {1e3 * alpha:.3g}"
        raise BadInput(str(given.path), problem, "Give a pattern that shows the whole disk.")
    slices = max(1, round(float(np.asarray(atoms.cell.array)[2, 2]) / 2.0))
    cell = Specimen.from_atoms(centred_in_slices(atoms, slices))
    geometry = Geometry(
        angle,
        rotation=math.radians(finite("--rotation-deg", rotation_deg)),
        rotation_error=math.radians(above("--rotation-error-deg", rotation_error)),
    )
    # a grid carries two thirds of its highest frequency, and atoms must be sampled well besides
    grid = [
        2 * math.ceil(0.5 * max(3.1 * reach * side / wavelength(volts), side / SAMPLING) + 1.0) for side in cell.extent
    ]
    step = min(max(0.5 * angle, FINEST), COARSEST)
    share = above("--precision-percent", precision) / 100.0
    try:
        made = library(
            cell, slices, (grid[1], grid[0]), volts, alpha, reach, tilted, most,
            step, CONFIGURATIONS, progress=progress.stage,
        )  # fmt: skip
        progress.stage("fitting the pattern")
        found = pacbed(
            counts, made, geometry, Camera(), thickness=before, tilt=(lean[0], lean[1]), tilt_error=wide, precision=share
        )  # fmt: skip
    except ValueError as error:
        raise from_twin(str(given.path), error, "") from error
    thick = given.claim("thickness")
    claims = () if thick is None else (Claim("thickness", thick, "a thickness"),)
    return Found("pacbed", (given,), found, claims)
