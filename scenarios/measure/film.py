"""Scans of Ronchigrams over an amorphous film, each a 4D-STEM file, to aberrations of third order: inputs of `reconstruct.measure.film.estimator`."""

import math
from collections.abc import Iterable

import numpy as np

from reconstruct.measure.disk.estimator import measure_disk
from reconstruct.measure.film.estimator import fit_amorphous
from reconstruct.measure.film.exposure import Exposure, Optics, Setting
from reconstruct.measure.prior import COEFFICIENTS, Prior
from scenarios.io.errors import BadInput, from_twin
from scenarios.io.progress import Progress
from scenarios.measure.data.checks import positive
from scenarios.measure.data.inputs import Recording, pattern_pixel, probe_step
from scenarios.measure.data.prepared import prepared_scan, require_electrons
from scenarios.measure.data.several import c10_changes
from scenarios.measure.kinds import FilmOptions
from scenarios.measure.output.comparison import FileMeasurement

DEFAULT_ERRORS = dict(
    zip(COEFFICIENTS, (600.0, 300.0, 300.0, 3e3, 3e3, 3e3, 3e3, 1e5, 3e4, 3e4, 3e4, 3e4), strict=True)
)  # fmt: skip
"""How far off a corrected probe may be before it is measured, rms in angstrom."""


def film(recordings: tuple[Recording, ...], options: FilmOptions, progress: Progress) -> FileMeasurement:
    """Aberrations and thickness; all files are scans of one film."""
    changes = c10_changes(recordings, options)
    first = recordings[0]
    energy, semiangle = first.beam_energy(options.energy), first.semiangle(options.semiangle)
    optics = Optics(energy, semiangle, positive("--focal-spread-angstrom", options.focal_spread, zero=True))
    mean, std = (
        _parse_coefficients("--expected", options.expected or (), dict.fromkeys(COEFFICIENTS, 0.0)),
        _parse_coefficients("--error", options.error or (), DEFAULT_ERRORS),
    )
    for name, value in std.items():
        positive(f"--error {name}=", value)
    thickness = (
        10.0 * positive("--thickness-nm", options.thickness),
        10.0 * positive("--thickness-error-nm", options.thickness_error),
    )
    prior = Prior.independent(list(std.values()), list(mean.values()), thickness)
    exposures = []
    for recording, change in zip(recordings, changes, strict=True):
        progress.stage(f"reading {recording.path.name}")
        exposures.append(_read_exposure(recording, change, optics, options))
    progress.stage("fitting the film")
    try:
        return FileMeasurement("film", recordings, fit_amorphous(exposures, optics, prior))
    except ValueError as error:
        raise from_twin(", ".join(str(recording.path) for recording in recordings), error, "") from error


def _read_exposure(recording: Recording, c10: float, optics: Optics, options: FilmOptions) -> Exposure:
    require_electrons(recording)
    counts = prepared_scan(recording)
    step = probe_step(recording, options.step)
    width = pattern_pixel(recording, options.pixel_mrad, optics.energy)
    file_value = recording.provenance("scenario.dose.electrons")
    dose = float(file_value) if isinstance(file_value, (int, float)) else None
    beam = recording.optional("electrons on a probe", "--electrons", options.electrons, dose)
    ny, nx, rows_, columns_ = counts.shape
    if beam is None:
        # what the camera sees of the beam: all of it, but for what is scattered beyond
        beam = recording.add_setting(
            "electrons on a probe", float(np.nansum(counts) / (ny * nx)), "1", "what the camera saw"
        )
    x0, y0 = _beam_centre(recording, counts, width)
    x, y = np.meshgrid((np.arange(columns_) - x0) * width, (np.arange(rows_) - y0) * width)
    inside = (np.hypot(x, y) <= optics.semiangle).ravel()
    angles = np.stack([x.ravel()[inside], y.ravel()[inside]], axis=-1)
    try:
        setting = Setting((ny, nx), step, angles, width, beam * ny * nx, c10=c10, periodic=options.repeats)
        return Exposure(counts.reshape(ny, nx, -1)[..., inside], setting)
    except ValueError as error:
        raise from_twin(str(recording.path), error, "") from error


def _beam_centre(recording: Recording, counts: np.ndarray, width: float) -> tuple[float, float]:
    """The direct beam's place (x, y) in pixels: where the file's angles are 0, or the middle of the mean pattern's disk."""
    rows, columns = recording.axes
    if recording.provenance("scenario.name") is not None and rows.unit == columns.unit == "radian":
        return -columns.offset / columns.scale, -rows.offset / rows.scale
    try:
        disk = measure_disk(np.nansum(counts, axis=(0, 1)), 1.0)
    except ValueError as error:
        raise from_twin(str(recording.path), error, "") from error
    if "centre_x" in disk.undetermined:
        raise BadInput(
            str(recording.path), disk.undetermined["centre_x"], "Give a scan whose camera shows the whole disk."
        )
    x, y = disk.value("centre_x")[0], disk.value("centre_y")[0]
    recording.add_setting("middle of the disk", f"{x:.1f}, {y:.1f} px", "", "measured")
    return x, y


def _parse_coefficients(option: str, words: Iterable[str], values: dict[str, float]) -> dict[str, float]:
    """``values`` with those of NAME=NUMBER in their place; C12 without a part is both of its parts. BadInput for names and numbers that are none."""
    known = dict(values)
    for word in words:
        name, _, text = word.partition("=")
        names = [key for key in known if key in (name, name.replace("a", ".a").replace("b", ".b")) or key[:-2] == name]
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not names or not math.isfinite(number):
            cure = f"Give {option} NAME=ANGSTROM, of {', '.join(known)}."
            raise BadInput(f"{option} {word}", "is no aberration with a number", cure)
        known.update(dict.fromkeys(names, number))
    return known
