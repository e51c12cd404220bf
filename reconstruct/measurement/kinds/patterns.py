"""Diffraction patterns to quantities: the bright-field disk, the scan's rotation. Here are the inputs of their estimators."""

import dataclasses
import math

import numpy as np

from reconstruct.measurement.disk.estimator import measure_disk
from reconstruct.measurement.measurement import Measurement, select_quantities
from reconstruct.measurement.recorded.claims import Claimed
from reconstruct.measurement.recorded.prepared import has_electrons, prepared_pattern, prepared_scan, require_electrons
from reconstruct.measurement.recorded.recording import Recording
from reconstruct.measurement.recorded.result import RecordedMeasurement, Tell
from reconstruct.measurement.recorded.sizes import check_square, pattern_pixel, pixel_angle, probe_step
from reconstruct.measurement.rotation.centres import clean_patterns
from reconstruct.measurement.rotation.estimator import measure_rotation
from twin.errors import BadInput, from_twin

DISK_UNITS = {
    "radius": "pixel",
    "centre_x": "pixel",
    "centre_y": "pixel",
    "ellipse_a": "1",
    "ellipse_b": "1",
    "edge": "pixel",
}


def disk(recording: Recording, tell: Tell) -> RecordedMeasurement:
    """Radius, centre, ellipse and edge of the bright-field disk; semi-angle or camera length with it."""
    inputs = recording.inputs
    counts = prepared_pattern(recording, 16)
    energy = recording.optional("energy of the electrons", "energy", recording.energy)
    angle = pixel_angle(recording, energy)
    side = recording.optional("detector pixel", "detector_pixel", None)
    side = None if side is None else side * recording.preparation.bin
    length = recording.optional("camera length", "camera_length", None)
    if length is not None and side is None:
        cure = inputs.words.add("detector_pixel")
        raise BadInput(inputs.words.label("camera_length"), "says nothing without the detector's pixel", cure)
    semiangle = recording.optional("convergence semi-angle", "semiangle", None)
    pixel_error, semiangle_error = inputs.positive("pixel_error"), inputs.positive("semiangle_error")
    # without a pixel of its own the camera length is in pixels
    pixel = 1.0 if side is None else side
    tell("looking for the disk", None)
    try:
        measurement = measure_disk(
            counts,
            pixel,
            None if length is None else (length, pixel_error * length),
            None if semiangle is None else (semiangle, semiangle_error * semiangle),
            None if angle is None else (angle, pixel_error * angle),
            has_electrons(recording),
        )
    except ValueError as error:
        raise from_twin(recording.name, error, "") from error
    measurement = _within_range(recording, measurement)
    names = {name: (name, unit, 1.0) for name, unit in DISK_UNITS.items()} | {"semiangle": ("semiangle", "radian", 1.0)}
    if side is not None:
        names["camera_length"] = ("camera_length", "angstrom", 1.0)
    elif angle is None:
        names["camera_length"] = ("camera_length", "pixel/radian", 1.0)
    claimed = recording.claim("convergence_semiangle")
    claims = () if claimed is None else (Claimed("semiangle", claimed, "a semi-angle"),)
    if not has_electrons(recording):
        measurement = dataclasses.replace(measurement, electrons=math.nan)
    return RecordedMeasurement("disk", (recording,), select_quantities(measurement, names), claims)


def _within_range(recording: Recording, measurement: Measurement) -> Measurement:
    """A ``measurement`` of a disk with a contradiction where its semi-angle is none that a lens makes: the pixel or the camera length is of another unit."""
    if "semiangle" in measurement.undetermined:
        return measurement
    value, error = measurement.value("semiangle")
    span = recording.inputs.words.quantities["semiangle"]
    if span.low - 4.0 * error <= value <= span.high + 4.0 * error:
        return measurement
    words = (
        f"the semi-angle would be {1e3 * value:.3g} mrad, beyond what {span.subject} has, {1e3 * span.low:g} to {1e3 * span.high:g} mrad: look at the unit of "
        "{pixel}, {camera_length} and {detector_pixel}"
    )
    return dataclasses.replace(measurement, contradictions=(*measurement.contradictions, words))


def rotation(recording: Recording, tell: Tell) -> RecordedMeasurement:
    """Rotation and flip of a camera against its scan."""
    inputs = recording.inputs
    require_electrons(recording)
    counts = prepared_scan(recording)
    if inputs.known.step is None:
        check_square(recording)
    else:
        probe_step(recording)
    tell("looking for the field's curl", None)
    try:
        cleaned = clean_patterns(counts)
    except ValueError as error:
        raise from_twin(recording.name, error, "") from error
    bright = None
    if inputs.known.dark_field is not None:
        dark = recording.add_given("dark field beyond", "dark_field", inputs.positive("dark_field"), "radian")
        x, y = _pixel_angles(recording)
        beyond = np.hypot(x[None, :], y[:, None]) > dark
        if not beyond.any():
            label = inputs.words.given("dark_field", dark)
            raise BadInput(label, "is beyond all of the camera", "Give a smaller angle.")
        bright = np.einsum("abij,ij->ab", cleaned.counts, 1.0 * (beyond & ~cleaned.masked))
    try:
        measurement = measure_rotation(cleaned, bright)
    except ValueError as error:
        raise from_twin(recording.name, error, "") from error
    claims = (Claimed("rotation", _claimed_rotation(recording), "a rotation"),) if recording.simulated else ()
    return RecordedMeasurement("rotation", (recording,), measurement, claims)


def _claimed_rotation(recording: Recording) -> float:
    """What emtwin's own recording claims: minus the rotation of its camera; 0 without one, since the beams themselves have the scan's axes."""
    claim = recording.signal.claims.get("pattern_rotation")
    return 0.0 if claim is None else float(claim.value)


def _pixel_angles(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """Angles (x, y) in radian of a pattern's columns and rows from the direct beam: those of its axes, or of pixels of the size that was given about the
    middle of the frame; BadInput where neither says."""
    rows, columns = recording.axes
    if recording.inputs.known.pixel is None and rows.unit == columns.unit == "radian":
        return tuple(axis.offset + axis.scale * np.arange(axis.size) for axis in (columns, rows))  # type: ignore[return-value]
    energy = recording.optional("energy of the electrons", "energy", recording.energy)
    width = pattern_pixel(recording, energy)
    return tuple(width * (np.arange(axis.size) - 0.5 * (axis.size - 1)) for axis in (columns, rows))  # type: ignore[return-value]
