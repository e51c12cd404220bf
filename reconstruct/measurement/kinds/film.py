"""Scans of Ronchigrams over an amorphous film, to aberrations of third order: the inputs of `reconstruct.measurement.film.estimator`."""

import dataclasses
import math
import os
from collections.abc import Mapping

import numpy as np

from reconstruct.measurement.disk.estimator import measure_disk
from reconstruct.measurement.film.estimator import fit_amorphous, unseen
from reconstruct.measurement.film.exposure import Exposure, Optics, Setting, struck_readings, unlit_positions
from reconstruct.measurement.measurement import withhold
from reconstruct.measurement.outcome import Defect, FitCheck
from reconstruct.measurement.pacbed.search import centres
from reconstruct.measurement.prior import COEFFICIENTS, Prior
from reconstruct.measurement.recorded.prepared import prepared_scan, require_electrons
from reconstruct.measurement.recorded.recording import Recording, c10_changes
from reconstruct.measurement.recorded.result import RecordedMeasurement, Tell
from reconstruct.measurement.recorded.sizes import pattern_pixel, probe_step
from twin.errors import BadInput, from_twin

DEFAULT_ERRORS = dict(
    zip(COEFFICIENTS, (600.0, 300.0, 300.0, 3e3, 3e3, 3e3, 3e3, 1e5, 3e4, 3e4, 3e4, 3e4), strict=True)
)  # fmt: skip
"""How far off a corrected probe may be before it is measured, rms in angstrom."""


MIN_SHOWN = 0.25
"""Share of the semi-angle that a camera shows to either side of its middle, at least."""
MAX_RADIUS_ERROR = 0.05
"""Log of the ratio of the disk's radius and the semi-angle: a few pixels, a rim and a distortion make no more."""


def film(recordings: tuple[Recording, ...], tell: Tell) -> RecordedMeasurement:
    """Aberrations and thickness; all recordings are scans of one film."""
    changes = c10_changes(recordings)
    first = recordings[0]
    inputs = first.inputs
    optics = Optics(first.beam_energy(), first.semiangle(), inputs.positive("focal_spread", zero=True))
    mean = _coefficients(first, "expected", dict.fromkeys(COEFFICIENTS, 0.0))
    std = _coefficients(first, "error", DEFAULT_ERRORS)
    for value in std.values():
        inputs.positive("error", value)
    thickness = (inputs.positive("thickness"), inputs.positive("thickness_error"))
    prior = Prior.independent(list(std.values()), list(mean.values()), thickness)
    exposures: list[Exposure] = []
    disks: list[FitCheck] = []
    for recording, change in zip(recordings, changes, strict=True):
        tell(f"reading {os.path.basename(recording.name)}", None)
        exposure, check = _read_exposure(recording, change, optics)
        exposures.append(exposure)
        disks += [check] if check is not None else []
    tell("fitting the film", None)
    rotation = inputs.finite("rotation", first.inputs.known.rotation)
    if rotation:
        first.add_given("rotation of the scan", "rotation", rotation, "radian")
    try:
        measured = fit_amorphous(exposures, optics, prior, rotation)
    except ValueError as error:
        raise from_twin(", ".join(recording.name for recording in recordings), error, "") from error
    if disks:
        worst = max(disks, key=lambda check: check.value / check.limit)
        checked = dataclasses.replace(measured, checks=(worst, *measured.checks))
        measured = withhold(checked, unseen(prior)) if not worst.passed else checked
    return RecordedMeasurement("film", recordings, measured)


def _read_exposure(recording: Recording, c10: float, optics: Optics) -> tuple[Exposure, FitCheck | None]:
    """The exposure, and the check of the semi-angle by the disk where that is measured."""
    require_electrons(recording)
    counts = prepared_scan(recording)
    step = probe_step(recording)
    width = pattern_pixel(recording, optics.energy)
    claimed = recording.provenance_number("scenario.dose.electrons")
    beam = recording.optional("electrons on a probe", "electrons", claimed)
    ny, nx, rows_, columns_ = counts.shape
    shown = 0.5 * width * min(rows_, columns_)
    if shown < MIN_SHOWN * optics.semiangle:
        problem = f"shows {1e3 * shown:.3g} mrad from its middle, the disk's radius is {1e3 * optics.semiangle:.3g}"
        raise BadInput(recording.name, problem, "Give a scan whose camera shows the disk, or check the camera's pixel.")
    if beam is None:
        # what the camera sees of the beam: all of it, but for what is scattered beyond
        beam = recording.add_setting(
            "electrons on a probe", float(np.nansum(counts) / (ny * nx)), "1", "what the camera saw"
        )
    unlit = unlit_positions(counts)
    if unlit.any():
        counts = np.where(unlit[..., None, None], np.nan, counts)
        words = f"{int(unlit.sum())} probe positions without beam"
        recording.defects.append(Defect("positions without beam", int(unlit.sum()), "masked", words))
    x0, y0, check = _beam_centre(recording, counts, width, optics)
    x, y = np.meshgrid((np.arange(columns_) - x0) * width, (np.arange(rows_) - y0) * width)
    inside = (np.hypot(x, y) <= optics.semiangle).ravel()
    angles = np.stack([x.ravel()[inside], y.ravel()[inside]], axis=-1)
    try:
        setting = Setting(
            (ny, nx), step, angles, width, beam * ny * nx, c10=c10, periodic=recording.inputs.known.repeats
        )
        return Exposure(_without_rays(recording, counts.reshape(ny, nx, -1)[..., inside]), setting), check
    except ValueError as error:
        raise from_twin(recording.name, error, "") from error


def _without_rays(recording: Recording, counts: np.ndarray) -> np.ndarray:
    """``counts`` [y, x, pixels] with readings that cosmic rays struck as NaN."""
    seen = np.isfinite(counts).any(axis=(0, 1))
    struck = np.zeros(counts.shape, bool)
    struck[..., seen] = struck_readings(counts[..., seen])
    if not struck.any():
        return counts
    words = f"{int(struck.sum())} readings far above their pixel's others"
    recording.defects.append(Defect("cosmic rays", int(struck.sum()), "masked", words))
    return np.where(struck, np.nan, counts)


def _beam_centre(
    recording: Recording, counts: np.ndarray, width: float, optics: Optics
) -> tuple[float, float, FitCheck | None]:
    """The direct beam's place (x, y) in pixels: where the file's angles are 0, or the middle of the mean pattern's disk, whose radius must then be
    the semi-angle's."""
    rows, columns = recording.axes
    if recording.simulated and rows.unit == columns.unit == "radian":
        return -columns.offset / columns.scale, -rows.offset / rows.scale, None
    known = np.isfinite(counts)
    read = known.sum(axis=(0, 1))
    total = np.where(known, counts, 0.0).sum(axis=(0, 1))
    pattern = np.where(read > 0, total / np.maximum(read, 1) * counts.shape[0] * counts.shape[1], np.nan)
    try:
        disk = measure_disk(pattern, 1.0)
    except ValueError as error:
        raise from_twin(recording.name, error, "") from error
    if "centre_x" in disk.undetermined:
        # pixels are too few for an edge: a disk of the stated radius has a middle all the same
        usable = np.isfinite(pattern)
        middles = centres(np.where(usable, pattern, 0.0), usable, optics.semiangle / width, 1)
        if not middles:
            reason = recording.inputs.words.named(disk.undetermined["centre_x"])
            raise BadInput(recording.name, reason, "Give a scan whose camera shows the whole disk.")
        x, y = (offset + 0.5 * (size - 1) for offset, size in zip(middles[0], pattern.shape[::-1], strict=True))
        recording.add_setting("middle of the disk", f"{x:.1f}, {y:.1f} px", "", "measured by the semi-angle")
        return x, y, None
    x, y = disk.value("centre_x")[0], disk.value("centre_y")[0]
    recording.add_setting("middle of the disk", f"{x:.1f}, {y:.1f} px", "", "measured")
    radius, error = disk.value("radius")
    ratio = radius * width / optics.semiangle
    finding = (
        f"the disk's radius of {radius:.2f} pixels is {radius * width * 1e3:.2f} mrad, but the semi-angle is {optics.semiangle * 1e3:.2f} mrad: "
        "check the semi-angle and the camera's pixel"
    )
    limit = MAX_RADIUS_ERROR + 4.0 * error / radius
    return x, y, FitCheck("radius of the disk against the semi-angle", abs(math.log(ratio)), limit, finding)


def _coefficients(recording: Recording, name: str, values: Mapping[str, float]) -> dict[str, float]:
    """``values`` with the numbers of the input ``name`` in their place; C12 without a part is both of its parts. BadInput for what is no name or number."""
    inputs, known = recording.inputs, dict(values)
    for key, number in dict(getattr(inputs.known, name) or {}).items():
        names = [own for own in known if own in (key, key.replace("a", ".a").replace("b", ".b")) or own[:-2] == key]
        if not names or not isinstance(number, (int, float)) or not math.isfinite(number):
            cure = f"Give {inputs.words.example(name, 'NAME=ANGSTROM')}, of {', '.join(known)}."
            raise BadInput(inputs.words.given(name, {key: number}), "is no aberration with a number", cure)
        known.update(dict.fromkeys(names, float(number)))
    return known
