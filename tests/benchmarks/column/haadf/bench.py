"""Optics, detector and scan from HAADF images: abTEM's crystals on the simulated microscope (Kirkland, frozen phonons, bend, amorphous faces, a detector of
other angles) read by the twin's Gram matrices (Lobato, other thermal motion and phonons); see `tests.benchmarks.column.haadf.truth`.

200 keV, 21.4 mrad, three crystals in four zones, 3e3 to 1e5 electrons per square angstrom. Specimens and images JUDGED were not looked at while the
estimator and its errors were made; that was done on other seeds.
"""

import dataclasses
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

from reconstruct.measure.haadf.estimator import HaadfPrior, measure_haadf
from reconstruct.measure.measurement import Measurement
from reconstruct.measure.projection import project
from tests.benchmarks._form import Form
from tests.benchmarks.belief.judge import case
from tests.benchmarks.column.haadf import truth
from twin.image.microscope import Calibration
from twin.scattering.gram.crystal import build_gram
from twin.scattering.gram.model import GramModel

SPECIMEN, JUDGED = 101, 50_000
TRIALS, SERIES, ALIENS = (16, 2, 1), (4, 0, 0), 3
"""Single images and pairs at two defoci, of each crystal in each form, and how many are read with the structure of another."""
STEP = 60.0
"""Known change of C10 within a pair, angstrom."""
NAMES = ("C10", "C12a", "C12b", "scale", "pixel_x", "pixel_y", "shear")
TOLD = (*NAMES, "black", "thickness", "drift.x", "drift.y")
BAND = (0.87, 0.93)
DEPTH_ERROR = 4.0
CALIBRATION = Calibration(energy=truth.ENERGY, gain=truth.GAIN, black=truth.BLACK, readout=truth.READOUT)

Pair = tuple[truth.Recorded, Measurement]


def cases(short: Form, progress: Callable[[str, float], None], work: Path | None = None) -> list[dict[str, Any]]:
    """All numbers; if ``short`` two images of one crystal, or one of a thin one, and no bars that need many. ``work`` keeps specimens and models."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as spare:
        folder = work or Path(spare)
        crystals = list(truth.CRYSTALS.values())[: 1 if short else None]
        if short is Form.SMOKE:
            crystals = [dataclasses.replace(one, cells=6) for one in crystals]
        done = [followed(one, folder, SPECIMEN, JUDGED, TRIALS[short], SERIES[short], progress) for one in crystals]
    found = judged(done, enough=not short)
    found.append(case("HAADF: time of the whole", time.monotonic() - begun, "s", "", None))
    return found


def twin_of(crystal: truth.Crystal, progress: Callable[[str, float], None] | None = None) -> GramModel:
    """The twin's model of a crystal, with its own constants and the nominal detector."""
    unit = truth.centred(crystal)
    across = unit.cell.lengths()
    repeats = (max(1, round(11.7 / across[0])), max(1, round(11.7 / across[1])))
    depths = tuple(range(crystal.cells - 4, crystal.cells + 5, 2))
    return build_gram(
        unit, repeats, depths[-1], depths, tilt_step=0.0, seeds=tuple(range(6)), untilted_seeds=(), energy=truth.ENERGY,
        semiangle=truth.SEMIANGLE, detector=truth.DETECTOR, gpts=144, symmetry=crystal.symmetry, degree=3, progress=progress,
    )  # fmt: skip


def known(crystal: truth.Crystal) -> HaadfPrior:
    return HaadfPrior(thickness=(crystal.cell[2] * crystal.cells, DEPTH_ERROR), **truth.known())


def followed(
    crystal: truth.Crystal,
    folder: Path,
    specimen: int,
    first: int,
    count: int,
    series: int,
    progress: Callable[[str, float], None],
) -> dict[str, Any]:
    """All trials of one crystal read: truths and measurements of images and of pairs, times, and what images of another crystal give."""
    imager = truth.specimen(
        crystal, specimen, folder, lambda text, share: progress(f"{crystal.name}, abTEM: {text}", share)
    )
    started = time.monotonic()
    model = twin_of(crystal, lambda text, share: progress(f"{crystal.name}, the twin's model: {text}", share))
    built = time.monotonic() - started
    projection, before = project(truth.centred(crystal)), known(crystal)
    single, pairs, seconds = [], [], []
    for number in range(count + series):
        offsets = (0.0,) if number < count else (0.0, STEP)
        one = truth.recorded(crystal, imager, first + number, offsets)
        started = time.monotonic()
        found = measure_haadf(one.images, model, projection, one.scan, CALIBRATION, before, offsets=offsets)
        if number < count:
            seconds.append(time.monotonic() - started)
        (single if number < count else pairs).append((one, found))
        progress(f"{crystal.name}, fits", (number + 1) / (count + series))
    empty = measure_haadf(np.full((64, 64), truth.BLACK), model, projection, _small(), CALIBRATION, before)
    poor = [truth.recorded(crystal, imager, first + 900 + k, dose=100.0) for k in range(2)]
    faint = [measure_haadf(one.images, model, projection, one.scan, CALIBRATION, before) for one in poor]
    return {
        "name": crystal.name, "single": single, "pairs": pairs, "seconds": seconds, "built": built,
        "empty": _refused(empty), "faint": list(zip(poor, faint, strict=True)), "twin": (model, projection, before),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }  # fmt: skip


def _small() -> truth.Scan:
    return truth.Scan(shape=(64, 64), pixel=0.3, dwell=1e-5, flyback=5e-4, dose=1e4)


def determined(pairs: list[Pair], names: tuple[str, ...]) -> list[tuple[Pair, str]]:
    return [(pair, name) for pair in pairs for name in names if name not in pair[1].undetermined]


def covered(pairs: list[Pair], factor: float, names: tuple[str, ...]) -> float:
    """Share of the 90 % intervals, standard errors times ``factor``, that hold the truth: the central interval of the mixture."""
    inside = []
    for (one, found), name in determined(pairs, names):
        place = found.index(name)
        below = sum(
            part.weight
            * norm.cdf((one.truth[name] - part.mean[place]) / (factor * np.sqrt(part.covariance[place, place])))
            for part in found.components
        )
        inside.append(abs(below - 0.5) <= 0.45)
    return float(np.mean(inside)) if inside else float("nan")


def errors(pairs: list[Pair], name: str) -> np.ndarray:
    """Error of the nearest component of at least a twentieth of the weight: the reading that further knowledge would choose."""
    found = []
    for (one, measured), _ in determined(pairs, (name,)):
        place, focus = measured.index(name), measured.index("C10")
        parts = [part for part in measured.components if part.weight > 0.05]
        near = min(parts, key=lambda part: abs(part.mean[focus] - one.truth["C10"]))
        found.append(near.mean[place] - one.truth[name])
    return np.array(found)


def judged(done: list[dict[str, Any]], enough: bool) -> list[dict[str, Any]]:
    """The cases of all crystals together, and of each."""

    def held(holds: bool) -> bool | None:
        return bool(holds) if enough else None

    single = [pair for one in done for pair in one["single"]]
    series = [pair for one in done for pair in one["pairs"]]
    told = [pair for pair in single if "C10" not in pair[1].undetermined]
    optics = NAMES[:3]
    shares = [covered(single, factor, NAMES) for factor in (1.0, 0.6, 1.6)]
    inside = [BAND[0] <= share <= BAND[1] for share in shares]
    band = f"{BAND[0]} to {BAND[1]}"
    several = [pair for pair in told if sum(part.weight > 0.05 for part in pair[1].components) > 1]
    count = len(determined(single, NAMES))
    found = [
        case("HAADF: images whose defocus was determined", len(told), "", ">= 40", held(len(told) >= 40)),
        case(f"HAADF of {len(single)}: pooled coverage of 90 %, {count} values", shares[0], "", band, held(inside[0])),
        case("HAADF: control, errors x 0.6", shares[1], "", f"outside {band}", held(not inside[1])),
        case("HAADF: control, errors x 1.6", shares[2], "", f"outside {band}", held(not inside[2])),
        case("HAADF: coverage of optics alone", covered(single, 1.0, optics), "", "", None),
        *(case(f"HAADF: coverage of {name}", covered(single, 1.0, (name,)), "", "", None) for name in TOLD),
        *(
            case(f"HAADF: rms error of {name}, nearest reading", _rms(errors(single, name)), _unit(name), "", None)
            for name in TOLD
        ),
        *(
            case(f"HAADF: median absolute error of {name}", _median(errors(single, name)), _unit(name), "", None)
            for name in optics
        ),
        case("HAADF: median error told of C10, of one reading", _width(told), "angstrom", "", None),
        case("HAADF: images that allow several foci", len(several) / max(len(told), 1), "", "", None),
        case("HAADF: said to be undetermined, optics", 1.0 - len(told) / max(len(single), 1), "", "", None),
        case("HAADF: a fit, median", float(np.median([s for one in done for s in one["seconds"]])), "s", "", None),
        case("HAADF: building a twin's model", max(one["built"] for one in done), "s", "", None),
        case("HAADF: peak memory", max(one["peak"] for one in done), "GiB", "", None),
        *(_refusals(done)),
    ]
    if series:
        both = [pair for pair in series if "C10" not in pair[1].undetermined]
        wide = sum(part.weight > 0.05 for pair in both for part in pair[1].components) / max(len(both), 1)
        found += [
            case(f"HAADF, pairs of foci, {len(both)}: coverage of optics", covered(both, 1.0, optics), "", "", None),
            case("HAADF, pairs of foci: readings of more than a twentieth", wide, "", "", None),
            case("HAADF, pairs of foci: rms error of C10", _rms(errors(both, "C10")), "angstrom", "", None),
        ]
    for one in done:
        found.append(case(f"HAADF of {one['name']}: coverage", covered(one["single"], 1.0, NAMES), "", "", None))
        found.append(
            case(f"HAADF of {one['name']}: rms error of C10", _rms(errors(one["single"], "C10")), "angstrom", "", None)
        )
    return found


def _refused(found: Measurement) -> bool:
    return set(found.undetermined) >= {"C10", "C12a", "C12b"}


def aliens(done: list[dict[str, Any]]) -> list[bool]:
    """Whether images of each crystal are refused where the structure of the next is given for theirs."""
    found = []
    for one, other in zip(done, done[1:] + done[:1], strict=True):
        model, projection, before = other["twin"]
        images = [image for image, measured in one["single"] if not _refused(measured)][:ALIENS]
        for image in images if len(done) > 1 else []:
            found.append(_refused(measure_haadf(image.images, model, projection, image.scan, CALIBRATION, before)))
    return found


def _refusals(done: list[dict[str, Any]]) -> list[dict[str, Any]]:
    empty, alien, faint = [one["empty"] for one in done], aliens(done), [pair for one in done for pair in one["faint"]]
    answered = [pair for pair in faint if not _refused(pair[1])]
    return [
        case(f"HAADF: {len(empty)} images without electrons refused", float(np.mean(empty)), "", "1", all(empty)),
        case(f"HAADF: {len(alien)} images of another crystal refused", float(np.mean(alien)) if alien else None, "", "1", all(alien) if alien else None),
        case(f"HAADF: {len(faint)} images of 100 electrons per square angstrom said to be undetermined", 1.0 - len(answered) / len(faint), "", "", None),
        case("HAADF: those that are not, coverage of optics", covered(answered, 1.0, NAMES[:3]), "", "", None),
    ]  # fmt: skip


def _unit(name: str) -> str:
    return {"scale": "1", "shear": "1", "black": "count", "drift.x": "angstrom/s", "drift.y": "angstrom/s"}.get(
        name, "angstrom"
    )


def _rms(values: np.ndarray) -> float | None:
    return float(np.sqrt(np.mean(values**2))) if len(values) else None


def _median(values: np.ndarray) -> float | None:
    return float(np.median(np.abs(values))) if len(values) else None


def _width(pairs: list[Pair]) -> float | None:
    widths = [float(np.sqrt(max(m.components, key=lambda part: part.weight).covariance[0, 0])) for _, m in pairs]
    return float(np.median(widths)) if widths else None
