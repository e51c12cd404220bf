"""Optics, detector and scan from HAADF images: abTEM's crystals on the simulated microscope (Kirkland, frozen phonons, bend, amorphous faces, a detector of
other angles) read by the twin's Gram matrices (Lobato, other thermal motion and phonons); see `tests.benchmarks.column.haadf.truth`.

200 keV, 21.4 mrad, three crystals in four zones, 3e3 to 1e5 electrons per square angstrom. Specimens and images from JUDGED on were not used in
development.
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

from reconstruct.measurement.haadf.estimator import HaadfPrior, measure_haadf
from reconstruct.measurement.measurement import Measurement
from reconstruct.measurement.projection import project
from tests.benchmarks._case import case
from tests.benchmarks._form import Form
from tests.benchmarks.column.haadf import truth
from twin.image.microscope import Calibration
from twin.scattering.gram.crystal import build_gram
from twin.scattering.gram.model import GramModel

SPECIMEN, JUDGED = 101, 50_000
TRIALS, SERIES, OTHER_CRYSTAL_IMAGES = (16, 2, 1), (4, 0, 0), 3
"""Single images and pairs at two defoci, of each crystal in each form, and how many are read with the structure of another."""
DEFOCUS_STEP = 60.0
"""Known change of C10 within a pair, angstrom."""
NAMES = ("C10", "C12a", "C12b", "scale", "pixel_x", "pixel_y", "shear")
REPORTED_NAMES = (*NAMES, "black", "thickness", "drift.x", "drift.y")
BAND = (0.87, 0.93)
DEPTH_ERROR = 4.0
CALIBRATION = Calibration(energy=truth.ENERGY, gain=truth.GAIN, black=truth.BLACK, readout=truth.READOUT)

Pair = tuple[truth.Recorded, Measurement]


def cases(short: Form, progress: Callable[[str, float], None], work: Path | None = None) -> list[dict[str, Any]]:
    """All numbers; if ``short`` two images of one crystal, or one of a thin one, and no bars that need many. ``work`` keeps specimens and models."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = work or Path(scratch)
        crystals = list(truth.CRYSTALS.values())[: 1 if short else None]
        if short is Form.SMOKE:
            crystals = [dataclasses.replace(crystal, cells=6, configurations=(1, 1)) for crystal in crystals]
        results = [
            followed(crystal, folder, SPECIMEN, JUDGED, TRIALS[short], SERIES[short], progress) for crystal in crystals
        ]
    rows = judged(results, judge_bars=not short)
    rows.append(case("HAADF: time of the whole", time.monotonic() - start, "s", "", None))
    return rows


def twin_of(crystal: truth.Crystal, progress: Callable[[str, float], None] | None = None) -> GramModel:
    """The twin's model of a crystal, with its own constants and the nominal detector."""
    unit = truth.centred(crystal)
    lengths = unit.cell.lengths()
    repeats = (max(1, round(11.7 / lengths[0])), max(1, round(11.7 / lengths[1])))
    depths = tuple(range(crystal.cells - 4, crystal.cells + 5, 2))
    return build_gram(
        unit, repeats, depths[-1], depths, tilt_step=0.0, seeds=tuple(range(crystal.configurations[1])), untilted_seeds=(), energy=truth.ENERGY,
        semiangle=truth.SEMIANGLE, detector=truth.DETECTOR, gpts=144, symmetry=crystal.symmetry, degree=3, progress=progress,
    )  # fmt: skip


def prior_of(crystal: truth.Crystal) -> HaadfPrior:
    return HaadfPrior(thickness=(crystal.cell[2] * crystal.cells, DEPTH_ERROR), **truth.prior_widths())


def followed(
    crystal: truth.Crystal,
    folder: Path,
    specimen: int,
    first: int,
    count: int,
    series: int,
    progress: Callable[[str, float], None],
) -> dict[str, Any]:
    """All trials of one crystal measured: truths and measurements of images and of pairs, times, and results on unsuitable images."""
    imager = truth.specimen(
        crystal, specimen, folder, lambda text, share: progress(f"{crystal.name}, abTEM: {text}", share)
    )
    started = time.monotonic()
    model = twin_of(crystal, lambda text, share: progress(f"{crystal.name}, the twin's model: {text}", share))
    built = time.monotonic() - started
    projection, prior = project(truth.centred(crystal)), prior_of(crystal)
    single, pairs, seconds = [], [], []
    for number in range(count + series):
        offsets = (0.0,) if number < count else (0.0, DEFOCUS_STEP)
        trial = truth.recorded(crystal, imager, first + number, offsets)
        started = time.monotonic()
        measurement = measure_haadf(trial.images, model, projection, trial.scan, CALIBRATION, prior, offsets=offsets)
        if number < count:
            seconds.append(time.monotonic() - started)
        (single if number < count else pairs).append((trial, measurement))
        progress(f"{crystal.name}, fits", (number + 1) / (count + series))
    empty = measure_haadf(np.full((64, 64), truth.BLACK), model, projection, _small(), CALIBRATION, prior)
    poor = [truth.recorded(crystal, imager, first + 900 + k, dose=100.0) for k in range(2)]
    faint = [measure_haadf(trial.images, model, projection, trial.scan, CALIBRATION, prior) for trial in poor]
    return {
        "name": crystal.name, "single": single, "pairs": pairs, "seconds": seconds, "built": built,
        "empty": _refused(empty), "faint": list(zip(poor, faint, strict=True)), "twin": (model, projection, prior),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }  # fmt: skip


def _small() -> truth.Scan:
    return truth.Scan(shape=(64, 64), pixel=0.3, dwell=1e-5, flyback=5e-4, dose=1e4)


def determined(pairs: list[Pair], names: tuple[str, ...]) -> list[tuple[Pair, str]]:
    return [(pair, name) for pair in pairs for name in names if name not in pair[1].undetermined]


def covered(pairs: list[Pair], factor: float, names: tuple[str, ...]) -> float:
    """Share of the 90 % intervals, standard errors times ``factor``, that hold the truth: the central interval of the mixture."""
    inside = []
    for (trial, measurement), name in determined(pairs, names):
        index = measurement.index(name)
        below = sum(
            part.weight
            * norm.cdf((trial.truth[name] - part.mean[index]) / (factor * np.sqrt(part.covariance[index, index])))
            for part in measurement.components
        )
        inside.append(abs(below - 0.5) <= 0.45)
    return float(np.mean(inside)) if inside else float("nan")


def errors(pairs: list[Pair], name: str) -> np.ndarray:
    """Error of the nearest component of at least a twentieth of the weight: the component that further knowledge would select."""
    values = []
    for (trial, measured), _ in determined(pairs, (name,)):
        index, focus = measured.index(name), measured.index("C10")
        parts = [part for part in measured.components if part.weight > 0.05]
        near = min(parts, key=lambda part: abs(part.mean[focus] - trial.truth["C10"]))
        values.append(near.mean[index] - trial.truth[name])
    return np.array(values)


def judged(results: list[dict[str, Any]], judge_bars: bool) -> list[dict[str, Any]]:
    """The cases of all crystals together, and of each."""

    def bar_holds(holds: bool) -> bool | None:
        return bool(holds) if judge_bars else None

    single = [pair for result in results for pair in result["single"]]
    series = [pair for result in results for pair in result["pairs"]]
    with_defocus = [pair for pair in single if "C10" not in pair[1].undetermined]
    optics = NAMES[:3]
    shares = [covered(single, factor, NAMES) for factor in (1.0, 0.6, 1.6)]
    inside = [BAND[0] <= share <= BAND[1] for share in shares]
    band = f"{BAND[0]} to {BAND[1]}"
    several = [pair for pair in with_defocus if sum(part.weight > 0.05 for part in pair[1].components) > 1]
    count = len(determined(single, NAMES))
    rows = [
        case(
            "HAADF: images whose defocus was determined",
            len(with_defocus),
            "",
            ">= 40",
            bar_holds(len(with_defocus) >= 40),
        ),
        case(
            f"HAADF of {len(single)}: pooled coverage of 90 %, {count} values",
            shares[0],
            "",
            band,
            bar_holds(inside[0]),
        ),
        case("HAADF: control, errors x 0.6", shares[1], "", f"outside {band}", bar_holds(not inside[1])),
        case("HAADF: control, errors x 1.6", shares[2], "", f"outside {band}", bar_holds(not inside[2])),
        case("HAADF: coverage of optics alone", covered(single, 1.0, optics), "", "", None),
        *(case(f"HAADF: coverage of {name}", covered(single, 1.0, (name,)), "", "", None) for name in REPORTED_NAMES),
        *(
            case(f"HAADF: rms error of {name}, nearest reading", _rms(errors(single, name)), _unit(name), "", None)
            for name in REPORTED_NAMES
        ),
        *(
            case(f"HAADF: median absolute error of {name}", _median(errors(single, name)), _unit(name), "", None)
            for name in optics
        ),
        case("HAADF: median estimated error of C10, heaviest component", _width(with_defocus), "angstrom", "", None),
        case("HAADF: images with several components", len(several) / max(len(with_defocus), 1), "", "", None),
        case("HAADF: undetermined, optics", 1.0 - len(with_defocus) / max(len(single), 1), "", "", None),
        case(
            "HAADF: a fit, median",
            float(np.median([s for result in results for s in result["seconds"]])),
            "s",
            "",
            None,
        ),
        case("HAADF: building a twin's model", max(result["built"] for result in results), "s", "", None),
        case("HAADF: peak memory", max(result["peak"] for result in results), "GiB", "", None),
        *(_refusals(results)),
    ]
    rows += _pair_cases(series)
    for result in results:
        rows.append(case(f"HAADF of {result['name']}: coverage", covered(result["single"], 1.0, NAMES), "", "", None))
        rows.append(
            case(
                f"HAADF of {result['name']}: rms error of C10",
                _rms(errors(result["single"], "C10")),
                "angstrom",
                "",
                None,
            )
        )
    return rows


def _pair_cases(series: list[Pair]) -> list[dict[str, Any]]:
    """The cases of pairs of images at two defoci; none where there are no pairs."""
    if not series:
        return []
    optics = NAMES[:3]
    series_with_defocus = [pair for pair in series if "C10" not in pair[1].undetermined]
    components_per_pair = sum(part.weight > 0.05 for pair in series_with_defocus for part in pair[1].components) / max(
        len(series_with_defocus), 1
    )
    return [
        case(
            f"HAADF, pairs of foci, {len(series_with_defocus)}: coverage of optics",
            covered(series_with_defocus, 1.0, optics),
            "",
            "",
            None,
        ),
        case("HAADF, pairs of foci: readings of more than a twentieth", components_per_pair, "", "", None),
        case("HAADF, pairs of foci: rms error of C10", _rms(errors(series_with_defocus, "C10")), "angstrom", "", None),
    ]


def _refused(measurement: Measurement) -> bool:
    return set(measurement.undetermined) >= {"C10", "C12a", "C12b"}


def other_crystal_refusals(results: list[dict[str, Any]]) -> list[bool]:
    """Whether images of each crystal are refused where the structure of the next is given for theirs."""
    refusals = []
    for result, next_result in zip(results, results[1:] + results[:1], strict=True):
        model, projection, prior = next_result["twin"]
        images = [image for image, measured in result["single"] if not _refused(measured)][:OTHER_CRYSTAL_IMAGES]
        for image in images if len(results) > 1 else []:
            refusals.append(_refused(measure_haadf(image.images, model, projection, image.scan, CALIBRATION, prior)))
    return refusals


def _refusals(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    empty, other_crystal, faint = (
        [result["empty"] for result in results],
        other_crystal_refusals(results),
        [pair for result in results for pair in result["faint"]],
    )
    other_share = float(np.mean(other_crystal)) if other_crystal else None
    determined_faint = [pair for pair in faint if not _refused(pair[1])]
    return [
        case(f"HAADF: {len(empty)} images without electrons refused", float(np.mean(empty)), "", "1", all(empty)),
        case(f"HAADF: {len(other_crystal)} images of another crystal refused", other_share, "", "1", None if other_share is None else all(other_crystal)),
        case(f"HAADF: {len(faint)} images of 100 electrons per square angstrom undetermined", 1.0 - len(determined_faint) / len(faint), "", "", None),
        case("HAADF: those that are not, coverage of optics", covered(determined_faint, 1.0, NAMES[:3]), "", "", None),
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
