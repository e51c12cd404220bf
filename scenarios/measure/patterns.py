"""Diffraction patterns to quantities: the bright-field disk, the scan's rotation, a crystal's thickness and tilt."""

import dataclasses
import math

import numpy as np

from reconstruct.measure.disk.estimator import measure_disk
from reconstruct.measure.pacbed.estimator import Geometry, pacbed
from reconstruct.measure.rotation import measure_rotation
from scenarios.io.errors import BadInput, from_twin
from scenarios.io.progress import Progress
from scenarios.measure.data.checks import above, finite, pair
from scenarios.measure.data.crystals import oriented
from scenarios.measure.data.inputs import Given, check_square, counted, pattern_pixel, pixel_angle, probe_step
from scenarios.measure.data.prepared import need_electrons, pattern, scan
from scenarios.measure.kinds import DiskOptions, PacbedOptions, RotationOptions
from scenarios.measure.output.comparison import Claim, Found, chosen
from twin.detection.camera import Camera
from twin.optics.electrons import wavelength
from twin.sample.specimen import Specimen
from twin.scattering.gram.crystal import centred_in_slices
from twin.scattering.pacbed.patterns import library

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


def disk(given: Given, options: DiskOptions, progress: Progress) -> Found:
    """Radius, centre, ellipse and edge of the bright-field disk; semi-angle or camera length with it."""
    counts = pattern(given, 16)
    _check_dark(given, counts)
    volts = given.maybe("energy of the electrons", "--energy-keV", options.energy, given.energy)
    angle = pixel_angle(given, options.pixel_mrad, volts)
    side = given.maybe("detector pixel", "--detector-pixel-um", options.detector_pixel, None)
    side = None if side is None else side * given.how.bin
    length = given.maybe("camera length", "--camera-length-mm", options.camera_length, None)
    if length is not None and side is None:
        raise BadInput("--camera-length-mm", "says nothing without the detector's pixel", "Add --detector-pixel-um.")
    known = given.maybe("convergence semi-angle", "--semiangle-mrad", options.semiangle, None)
    share = above("--pixel-error-percent", options.pixel_error) / 100.0
    apart = above("--semiangle-error-percent", options.semiangle_error) / 100.0
    # without a pixel of its own the camera's length is told in pixels
    pixel = 1.0 if side is None else side
    if length is None and angle is not None:
        length = pixel / angle
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
        names["camera_length"] = ("camera_length", "pixel/radian", 1.0)
    claimed = given.claim("convergence_semiangle")
    claims = () if claimed is None else (Claim("semiangle", claimed, "a semi-angle"),)
    if not counted(given):
        found = dataclasses.replace(found, electrons=math.nan)
    # how much more counts scatter about the edge than counting is learnt, and in the errors
    return Found("disk", (given,), chosen(found, names), claims, judged=False)


def _check_dark(given: Given, counts: np.ndarray) -> None:
    """BadInput for counts that lie far below zero: the dark level is not what --black says."""
    known = counts[np.isfinite(counts)]
    low = float(known.min())
    if low < -0.1 * float(known.max()):
        level = (given.data.black or 0.0) + float(np.quantile(known, 0.01)) * (
            given.data.gain or 1.0
        ) / given.how.bin**2
        problem = f"has counts down to {low:.4g} where its largest are {float(known.max()):.4g}"
        summed = "" if counts.ndim == given.signal.data.ndim else ", over the patterns that are summed"
        cure = f"Give --black, the counts of a pixel without a beam (about {level:.3g} here{summed})."
        raise BadInput(str(given.path), problem, cure)


def rotation(given: Given, options: RotationOptions, progress: Progress) -> Found:
    """Rotation and flip of a camera against its scan."""
    need_electrons(given)
    counts = scan(given)
    if options.step is None:
        check_square(given)
    else:
        probe_step(given, options.step)
    dark = options.dark
    bright = None
    if dark is not None:
        given.settle("dark field beyond", above("--dark-field-mrad", dark) * 1e-3, "radian", "--dark-field-mrad")
        x, y = _angles(given, options)
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


def _angles(given: Given, options: RotationOptions) -> tuple[np.ndarray, np.ndarray]:
    """Angles (x, y) in radian of a pattern's columns and rows from the direct beam: the file's, or of pixels as large as the options say about the
    middle of the frame; BadInput where neither says."""
    rows, columns = given.axes
    if options.pixel_mrad is None and rows.unit == columns.unit == "radian":
        return tuple(one.offset + one.scale * np.arange(one.size) for one in (columns, rows))  # type: ignore[return-value]
    volts = given.maybe("energy of the electrons", "--energy-keV", options.energy, given.energy)
    width = pattern_pixel(given, options.pixel_mrad, volts)
    return tuple(width * (np.arange(one.size) - 0.5 * (one.size - 1)) for one in (columns, rows))  # type: ignore[return-value]


def thickness(given: Given, options: PacbedOptions, progress: Progress) -> Found:
    """Thickness and tilt from a position-averaged pattern."""
    data = pattern(given, 16)
    volts = given.volts(options.energy)
    alpha = given.semiangle(options.semiangle)
    angle = pattern_pixel(given, options.pixel_mrad, volts)
    atoms = oriented(given, options.structure, options.zone, options.x)
    need_electrons(given)
    lean = [1e-3 * one for one in pair("--tilt-mrad", options.tilt)]
    wide = 1e-3 * above("--tilt-error-mrad", options.tilt_error)
    tilted = math.hypot(*lean) + 1.6 * wide
    most = 10.0 * above("--thickest-nm", options.thickest)
    before = None
    if options.thickness is not None:
        depth, depth_error = pair("--thickness-nm", options.thickness)
        middle, error = 10.0 * above("--thickness-nm", depth), 10.0 * above("--thickness-error-nm", depth_error)
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
        rotation=math.radians(finite("--rotation-deg", options.rotation)),
        rotation_error=math.radians(above("--rotation-error-deg", options.rotation_error)),
    )
    # a grid carries two thirds of its highest frequency, and atoms must be sampled well besides
    grid = [
        2 * math.ceil(0.5 * max(3.1 * reach * side / wavelength(volts), side / SAMPLING) + 1.0) for side in cell.extent
    ]
    step = min(max(0.5 * angle, FINEST), COARSEST)
    share = above("--precision-percent", options.precision) / 100.0
    try:
        made = library(
            cell, slices, (grid[1], grid[0]), volts, alpha, reach, tilted, most,
            step, CONFIGURATIONS, progress=progress.stage,
        )  # fmt: skip
        progress.stage("fitting the pattern")
        found = pacbed(
            data, made, geometry, Camera(), thickness=before, tilt=(lean[0], lean[1]), tilt_error=wide, precision=share
        )  # fmt: skip
    except ValueError as error:
        raise from_twin(str(given.path), error, "") from error
    thick = given.claim("thickness")
    claims = () if thick is None else (Claim("thickness", thick, "a thickness"),)
    return Found("pacbed", (given,), found, claims)
