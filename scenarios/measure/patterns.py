"""Diffraction patterns to quantities: the bright-field disk, the scan's rotation, a crystal's thickness and tilt."""

import dataclasses
import math

import numpy as np

from reconstruct.measure.disk.estimator import measure_disk
from reconstruct.measure.pacbed.estimator import Geometry, measure_pacbed
from reconstruct.measure.rotation import measure_rotation
from scenarios.io.errors import BadInput, from_twin
from scenarios.io.progress import Progress
from scenarios.measure.data.checks import finite, parse_pair, positive
from scenarios.measure.data.crystals import orient_crystal
from scenarios.measure.data.inputs import Recording, check_square, has_electrons, pattern_pixel, pixel_angle, probe_step
from scenarios.measure.data.prepared import prepared_pattern, prepared_scan, require_electrons
from scenarios.measure.kinds import DiskOptions, PacbedOptions, RotationOptions
from scenarios.measure.output.comparison import Claim, FileMeasurement, select_quantities
from twin.detection.camera import Camera
from twin.optics.electrons import wavelength
from twin.sample.specimen import Specimen
from twin.scattering.gram.crystal import centred_in_slices
from twin.scattering.pacbed.patterns import library

FINEST_STEP, COARSEST_STEP = 0.45e-3, 0.9e-3
"""Steps in radian between the directions of a library."""
MAX_SAMPLING = 0.12
"""Angstrom between points of a library's waves, at most."""
CONFIGURATIONS = 4
"""Frozen phonon configurations of a library's diffuse scattering."""
DISK_UNITS = {
    "radius": "pixel",
    "centre_x": "pixel",
    "centre_y": "pixel",
    "ellipse_a": "1",
    "ellipse_b": "1",
    "edge": "pixel",
}


def disk(recording: Recording, options: DiskOptions, progress: Progress) -> FileMeasurement:
    """Radius, centre, ellipse and edge of the bright-field disk; semi-angle or camera length with it."""
    counts = prepared_pattern(recording, 16)
    _check_dark(recording, counts)
    energy = recording.optional("energy of the electrons", "--energy-keV", options.energy, recording.energy)
    angle = pixel_angle(recording, options.pixel_mrad, energy)
    side = recording.optional("detector pixel", "--detector-pixel-um", options.detector_pixel, None)
    side = None if side is None else side * recording.preparation.bin
    length = recording.optional("camera length", "--camera-length-mm", options.camera_length, None)
    if length is not None and side is None:
        raise BadInput("--camera-length-mm", "says nothing without the detector's pixel", "Add --detector-pixel-um.")
    semiangle = recording.optional("convergence semi-angle", "--semiangle-mrad", options.semiangle, None)
    pixel_error = positive("--pixel-error-percent", options.pixel_error) / 100.0
    semiangle_error = positive("--semiangle-error-percent", options.semiangle_error) / 100.0
    # without a pixel of its own the camera length is in pixels
    pixel = 1.0 if side is None else side
    if length is None and angle is not None:
        length = pixel / angle
    progress.stage("looking for the disk")
    try:
        measurement = measure_disk(
            counts,
            pixel,
            None if length is None else (length, pixel_error * length),
            None if semiangle is None else (semiangle, semiangle_error * semiangle),
        )
    except ValueError as error:
        raise from_twin(str(recording.path), error, "") from error
    names = {name: (name, unit, 1.0) for name, unit in DISK_UNITS.items()} | {"semiangle": ("semiangle", "radian", 1.0)}
    if side is not None:
        names["camera_length"] = ("camera_length", "angstrom", 1.0)
    elif angle is None:
        names["camera_length"] = ("camera_length", "pixel/radian", 1.0)
    claimed = recording.claim("convergence_semiangle")
    claims = () if claimed is None else (Claim("semiangle", claimed, "a semi-angle"),)
    if not has_electrons(recording):
        measurement = dataclasses.replace(measurement, electrons=math.nan)
    # how much more counts scatter about the edge than counting is learnt, and in the errors
    return FileMeasurement("disk", (recording,), select_quantities(measurement, names), claims, judged=False)


def _check_dark(recording: Recording, counts: np.ndarray) -> None:
    """BadInput for counts that lie far below zero: the dark level is not what --black says."""
    known = counts[np.isfinite(counts)]
    low = float(known.min())
    if low < -0.1 * float(known.max()):
        level = (recording.data.black or 0.0) + float(np.quantile(known, 0.01)) * (
            recording.data.gain or 1.0
        ) / recording.preparation.bin**2
        problem = f"has counts down to {low:.4g} where its largest are {float(known.max()):.4g}"
        summed = "" if counts.ndim == recording.signal.data.ndim else ", over the patterns that are summed"
        cure = f"Give --black, the counts of a pixel without a beam (about {level:.3g} here{summed})."
        raise BadInput(str(recording.path), problem, cure)


def rotation(recording: Recording, options: RotationOptions, progress: Progress) -> FileMeasurement:
    """Rotation and flip of a camera against its scan."""
    require_electrons(recording)
    counts = prepared_scan(recording)
    if options.step is None:
        check_square(recording)
    else:
        probe_step(recording, options.step)
    dark = options.dark
    bright = None
    if dark is not None:
        recording.add_setting(
            "dark field beyond", positive("--dark-field-mrad", dark) * 1e-3, "radian", "--dark-field-mrad"
        )
        x, y = _pixel_angles(recording, options)
        beyond = np.hypot(x[None, :], y[:, None]) > 1e-3 * dark
        if not beyond.any():
            raise BadInput(f"--dark-field-mrad {dark:g}", "is beyond all of the camera", "Give a smaller angle.")
        bright = np.nansum(np.where(beyond, counts, 0.0), axis=(2, 3))
    progress.stage("looking for the field's curl")
    try:
        measurement = measure_rotation(counts, bright)
    except ValueError as error:
        raise from_twin(str(recording.path), error, "") from error
    # both axes of emtwin's own scans are those of its cameras
    simulated = recording.provenance("scenario.name") is not None
    return FileMeasurement(
        "rotation", (recording,), measurement, (Claim("rotation", 0.0, "a rotation"),) if simulated else ()
    )


def _pixel_angles(recording: Recording, options: RotationOptions) -> tuple[np.ndarray, np.ndarray]:
    """Angles (x, y) in radian of a pattern's columns and rows from the direct beam: the file's, or of pixels as large as the options say about the
    middle of the frame; BadInput where neither says."""
    rows, columns = recording.axes
    if options.pixel_mrad is None and rows.unit == columns.unit == "radian":
        return tuple(axis.offset + axis.scale * np.arange(axis.size) for axis in (columns, rows))  # type: ignore[return-value]
    energy = recording.optional("energy of the electrons", "--energy-keV", options.energy, recording.energy)
    width = pattern_pixel(recording, options.pixel_mrad, energy)
    return tuple(width * (np.arange(axis.size) - 0.5 * (axis.size - 1)) for axis in (columns, rows))  # type: ignore[return-value]


def thickness(recording: Recording, options: PacbedOptions, progress: Progress) -> FileMeasurement:
    """Thickness and tilt from a position-averaged pattern."""
    data = prepared_pattern(recording, 16)
    energy = recording.beam_energy(options.energy)
    semiangle = recording.semiangle(options.semiangle)
    angle = pattern_pixel(recording, options.pixel_mrad, energy)
    atoms = orient_crystal(recording, options.structure, options.zone, options.x)
    require_electrons(recording)
    tilt = [1e-3 * value for value in parse_pair("--tilt-mrad", options.tilt)]
    tilt_error = 1e-3 * positive("--tilt-error-mrad", options.tilt_error)
    max_tilt = math.hypot(*tilt) + 1.6 * tilt_error
    max_thickness = 10.0 * positive("--thickest-nm", options.thickest)
    thickness_prior = None
    if options.thickness is not None:
        depth, depth_error = parse_pair("--thickness-nm", options.thickness)
        middle, error = 10.0 * positive("--thickness-nm", depth), 10.0 * positive("--thickness-error-nm", depth_error)
        thickness_prior = (middle, error)
        max_thickness = max(max_thickness, middle + 3.0 * error)
    span = 0.5 * angle * min(data.shape)
    reach = min(span, 2.0 * semiangle) + max_tilt
    if reach <= 1.1 * semiangle + max_tilt:
        problem = f"shows {1e3 * span:.3g} mrad from its middle, the disk's radius is {1e3 * semiangle:.3g}"
        raise BadInput(str(recording.path), problem, "Give a pattern that shows the whole disk.")
    slices = max(1, round(float(np.asarray(atoms.cell.array)[2, 2]) / 2.0))
    cell = Specimen.from_atoms(centred_in_slices(atoms, slices))
    geometry = Geometry(
        angle,
        rotation=math.radians(finite("--rotation-deg", options.rotation)),
        rotation_error=math.radians(positive("--rotation-error-deg", options.rotation_error)),
    )
    # a grid carries two thirds of its highest frequency, and atoms must be sampled well besides
    grid = [
        2 * math.ceil(0.5 * max(3.1 * reach * side / wavelength(energy), side / MAX_SAMPLING) + 1.0)
        for side in cell.extent
    ]
    step = min(max(0.5 * angle, FINEST_STEP), COARSEST_STEP)
    share = positive("--precision-percent", options.precision) / 100.0
    try:
        pattern_library = library(
            cell, slices, (grid[1], grid[0]), energy, semiangle, reach, max_tilt, max_thickness,
            step, CONFIGURATIONS, progress=progress.stage,
        )  # fmt: skip
        progress.stage("fitting the pattern")
        measurement = measure_pacbed(
            data, pattern_library, geometry, Camera(), thickness=thickness_prior, tilt=(tilt[0], tilt[1]), tilt_error=tilt_error, precision=share
        )  # fmt: skip
    except ValueError as error:
        raise from_twin(str(recording.path), error, "") from error
    claimed = recording.claim("thickness")
    claims = () if claimed is None else (Claim("thickness", claimed, "a thickness"),)
    return FileMeasurement("pacbed", (recording,), measurement, claims)
