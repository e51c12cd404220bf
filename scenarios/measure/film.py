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
from scenarios.measure.data.checks import above
from scenarios.measure.data.inputs import Given, pattern_pixel, probe_step
from scenarios.measure.data.prepared import need_electrons, scan
from scenarios.measure.data.several import c10_changes
from scenarios.measure.kinds import FilmOptions
from scenarios.measure.output.comparison import Found

ERRORS = dict(
    zip(COEFFICIENTS, (600.0, 300.0, 300.0, 3e3, 3e3, 3e3, 3e3, 1e5, 3e4, 3e4, 3e4, 3e4), strict=True)
)  # fmt: skip
"""How far off a corrected probe may be before it is measured, rms in angstrom."""


def film(given: tuple[Given, ...], options: FilmOptions, progress: Progress) -> Found:
    """Aberrations and thickness; all files are scans of one film."""
    changes = c10_changes(given, options)
    first = given[0]
    volts, alpha = first.volts(options.energy), first.semiangle(options.semiangle)
    optics = Optics(volts, alpha, above("--focal-spread-angstrom", options.focal_spread, zero=True))
    mean, std = (
        _named("--expected", options.expected or (), dict.fromkeys(COEFFICIENTS, 0.0)),
        _named("--error", options.error or (), ERRORS),
    )
    for name, value in std.items():
        above(f"--error {name}=", value)
    depth = (
        10.0 * above("--thickness-nm", options.thickness),
        10.0 * above("--thickness-error-nm", options.thickness_error),
    )
    prior = Prior.independent(list(std.values()), list(mean.values()), depth)
    taken = []
    for one, change in zip(given, changes, strict=True):
        progress.stage(f"reading {one.path.name}")
        taken.append(_exposure(one, change, optics, options))
    progress.stage("fitting the film")
    try:
        return Found("film", given, fit_amorphous(taken, optics, prior))
    except ValueError as error:
        raise from_twin(", ".join(str(one.path) for one in given), error, "") from error


def _exposure(given: Given, c10: float, optics: Optics, options: FilmOptions) -> Exposure:
    need_electrons(given)
    counts = scan(given)
    used = probe_step(given, options.step)
    width = pattern_pixel(given, options.pixel_mrad, optics.energy)
    own = given.own("scenario.dose.electrons")
    dose = float(own) if isinstance(own, (int, float)) else None
    beam = given.maybe("electrons on a probe", "--electrons", options.each, dose)
    ny, nx, rows_, columns_ = counts.shape
    if beam is None:
        # what the camera sees of the beam: all of it, but for what is scattered beyond
        beam = given.settle("electrons on a probe", float(np.nansum(counts) / (ny * nx)), "1", "what the camera saw")
    x0, y0 = _centre(given, counts, width)
    x, y = np.meshgrid((np.arange(columns_) - x0) * width, (np.arange(rows_) - y0) * width)
    inside = (np.hypot(x, y) <= optics.semiangle).ravel()
    angles = np.stack([x.ravel()[inside], y.ravel()[inside]], axis=-1)
    try:
        setting = Setting((ny, nx), used, angles, width, beam * ny * nx, c10=c10, periodic=options.repeats)
        return Exposure(counts.reshape(ny, nx, -1)[..., inside], setting)
    except ValueError as error:
        raise from_twin(str(given.path), error, "") from error


def _centre(given: Given, counts: np.ndarray, width: float) -> tuple[float, float]:
    """The direct beam's place (x, y) in pixels: where the file's angles are 0, or the middle of the mean pattern's disk."""
    rows, columns = given.axes
    if given.own("scenario.name") is not None and rows.unit == columns.unit == "radian":
        return -columns.offset / columns.scale, -rows.offset / rows.scale
    try:
        found = measure_disk(np.nansum(counts, axis=(0, 1)), 1.0)
    except ValueError as error:
        raise from_twin(str(given.path), error, "") from error
    if "centre_x" in found.undetermined:
        raise BadInput(
            str(given.path), found.undetermined["centre_x"], "Give a scan whose camera shows the whole disk."
        )
    x, y = found.value("centre_x")[0], found.value("centre_y")[0]
    given.settle("middle of the disk", f"{x:.1f}, {y:.1f} px", "", "measured")
    return x, y


def _named(option: str, words: Iterable[str], values: dict[str, float]) -> dict[str, float]:
    """``values`` with those of NAME=NUMBER in their place; C12 without a part is both of its parts. BadInput for names and numbers that are none."""
    known = dict(values)
    for word in words:
        name, _, text = word.partition("=")
        names = [one for one in known if one in (name, name.replace("a", ".a").replace("b", ".b")) or one[:-2] == name]
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not names or not math.isfinite(number):
            cure = f"Give {option} NAME=ANGSTROM, of {', '.join(known)}."
            raise BadInput(f"{option} {word}", "is no aberration with a number", cure)
        known.update(dict.fromkeys(names, number))
    return known
