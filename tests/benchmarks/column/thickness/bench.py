"""Thickness and tilt from position-averaged patterns: abTEM's crystals (Kirkland, frozen phonons of other amplitudes, amorphous carbon on the entrance
face, a camera with errors of its own) read by the twin (Lobato, mean transmission, frozen phonons between the Bragg beams).

200 keV, 10 mrad, 96 x 96 pixels of 0.7 mrad, 1e6 electrons, tilts up to 4 mrad. A seed is a specimen: its trials share the carbon, the thermal motion and
the atom positions, so their errors are correlated. JUDGED_SEEDS are scored; the model's error was fitted on LEARNING_SEEDS.
"""

import dataclasses
import os
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

from tests.benchmarks._case import case
from tests.benchmarks._form import Form
from tests.benchmarks.column.thickness import truth

LEARNING_SEEDS, JUDGED_SEEDS = (11, 12, 13), (201, 202, 203, 204, 205)
TRIALS, THIN_TRIALS = 12, 3
"""Trials of 10 to 60 nm and below 8 nm for each specimen."""
NAMES = ("thickness", "tilt.x", "tilt.y")
BAND = (0.87, 0.93)


def cases(short: Form, progress: Callable[[str, float], None], work: Path | None = None) -> list[dict[str, Any]]:
    """All numbers; if ``short`` a few trials of one thin crystal and no bars that need many. ``work`` keeps abTEM's patterns."""
    start = time.monotonic()
    structures = ["SrTiO3 [001]"] if short else list(truth.CRYSTALS)
    with tempfile.TemporaryDirectory() as scratch:
        folder = work or Path(scratch)
        if short:
            smoke = short is Form.SMOKE
            results = [followed(structures[0], JUDGED_SEEDS[:1], folder, 1, 1, 125.0, progress, smoke)]
        else:
            with ProcessPoolExecutor(min(2, len(os.sched_getaffinity(0))), get_context("spawn"), _precise) as pool:
                jobs = [
                    pool.submit(followed, structure, JUDGED_SEEDS, folder, TRIALS, THIN_TRIALS)
                    for structure in structures
                ]
                results = []
                for number, job in enumerate(jobs):
                    progress(f"patterns of {structures[number]} by abTEM, and their fits", number / len(jobs))
                    results.append(job.result())
    rows = judged(results, judge_bars=not short)
    rows.append(case("PACBED: time of the whole", time.monotonic() - start, "s", "", None))
    return rows


def _precise() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)


def followed(
    name: str,
    seeds: tuple[int, ...],
    folder: Path,
    count: int,
    thin: int,
    deepest: float = 599.0,
    progress: Any = None,
    smoke: bool = False,
) -> dict[str, Any]:
    """All trials of a structure's specimens fitted: truths and measurements, how long it took, and what another structure's pattern gives. ``smoke``: few
    directions between beams, and coarse libraries that end at the thickest trial."""
    from reconstruct.measurement.pacbed.estimator import Geometry, measure_pacbed
    from reconstruct.measurement.pacbed.search import prepare
    from twin.detection.camera import Camera
    from twin.detection.transfer import Mixture

    report_progress = progress or (lambda text, share: None)
    crystal = truth.CRYSTALS[name]
    crystal = dataclasses.replace(crystal, fine=(1, 1) if smoke else crystal.fine)
    options: dict[str, Any] = {"step": 1.2e-3, "configurations": 1} if smoke else {}
    margins = (10.0, 135.0) if smoke else (100.0, 250.0)
    trials, patterns = [], []
    for seed in seeds:
        seed_trials = truth.trials(crystal, seed, count, thin, deepest)
        patterns += truth.patterns(crystal, seed, seed_trials, folder, report_progress)
        trials += seed_trials
    started = time.monotonic()
    pattern_library = library(name, deepest + margins[0], report_progress, **options)
    built = time.monotonic() - started
    prepare(pattern_library, pattern_library.reach - pattern_library.tilted)
    geometry = Geometry(truth.PIXEL, rotation_error=0.01)
    camera = Camera(mtf=Mixture(gaussians=((1.0, 1.1),)), ntf=Mixture(floor=1.0))
    readings, seconds = [], []
    for number, (trial, pattern) in enumerate(zip(trials, patterns, strict=True)):
        image = truth.recorded(crystal, trial, pattern)
        started = time.process_time()
        readings.append(measure_pacbed(image, pattern_library, geometry, camera))
        seconds.append(time.process_time() - started)
        report_progress(f"fits, {name}", (number + 1) / len(trials))
    other_library = library(
        "Si [110]" if name != "Si [110]" else "SrTiO3 [001]", margins[1], report_progress, **options
    )
    other_structure = [
        measure_pacbed(truth.recorded(crystal, trial, pattern), other_library, geometry, camera)
        for trial, pattern in list(zip(trials, patterns, strict=True))[: min(3, count)]
    ]
    return {
        "name": name,
        "trials": trials,
        "readings": readings,
        "seconds": seconds,
        "built": built,
        "alien": [not any(key not in trial.undetermined for key in NAMES) for trial in other_structure],
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def library(name: str, thickness: float, progress: Callable[[str, float], None] | None = None, **options: Any) -> Any:
    """The twin's library of one of the crystals, with its own constants; ``options`` of the library's fineness."""
    from twin.sample.specimen import Specimen
    from twin.sample.thermal import u2_of
    from twin.scattering.pacbed.patterns import library as build

    crystal = truth.CRYSTALS[name]
    positions = np.array([position for _, *position in crystal.sites]) * crystal.cell
    symbols = tuple(symbol for symbol, *_ in crystal.sites)
    cell = Specimen(positions, u2_of(symbols, None), symbols, crystal.cell)
    return build(
        cell, crystal.slices, crystal.gpts, truth.ENERGY, truth.SEMIANGLE, 40e-3, 5e-3, thickness, workers=1, progress=progress, **options,
    )  # fmt: skip


def judged(results: list[dict[str, Any]], judge_bars: bool) -> list[dict[str, Any]]:
    """The cases of all structures together, and what each gave."""

    def bar_holds(holds: bool) -> bool | None:
        return bool(holds) if judge_bars else None

    pairs = [
        (trial, reading)
        for result in results
        for trial, reading in zip(result["trials"], result["readings"], strict=True)
    ]
    thick = [(trial, reading) for trial, reading in pairs if trial.thickness >= 100.0]
    thin = [(trial, reading) for trial, reading in pairs if trial.thickness < 80.0]
    determined = [(trial, reading) for trial, reading in thick if "thickness" not in reading.undetermined]
    undetermined_share = 1.0 - len(determined) / max(len(thick), 1)
    thin_undetermined = float(np.mean(["thickness" in reading.undetermined for _, reading in thin])) if thin else None
    relative = _rms([reading.value("thickness")[0] / trial.thickness - 1.0 for trial, reading in determined])
    tilts = [
        _rms([reading.value(f"tilt.{axis}")[0] - trial.tilt[n] for trial, reading in thick])
        for n, axis in enumerate("xy")
    ]
    shares = [covered(determined, factor) for factor in (1.0, 0.6, 1.6)]
    rows = [
        case("PACBED: trials of 10 to 60 nm", len(thick), "", ">= 100", bar_holds(len(thick) >= 100)),
        case("PACBED: thickness, rms relative error", relative, "", "<= 0.03", bar_holds(relative <= 0.03)),
        *(
            case(f"PACBED: tilt {axis}, rms error", 1e3 * rms_error, "mrad", "<= 0.3", bar_holds(rms_error <= 3e-4))
            for axis, rms_error in zip("xy", tilts, strict=True)
        ),
        case("PACBED: pooled coverage of 90 %", shares[0], "", "0.87 to 0.93", bar_holds(_inside(shares[0]))),
        *(case(f"PACBED: coverage, {name}", covered(determined, 1.0, (name,)), "", "", None) for name in NAMES),
        case(
            "PACBED: control, variance x 0.6", shares[1], "", "outside 0.87 to 0.93", bar_holds(not _inside(shares[1]))
        ),
        case(
            "PACBED: control, variance x 1.6", shares[2], "", "outside 0.87 to 0.93", bar_holds(not _inside(shares[2]))
        ),
        case(
            "PACBED: 10 to 60 nm called undetermined",
            undetermined_share,
            "",
            "<= 0.05",
            bar_holds(undetermined_share <= 0.05),
        ),
        case(
            "PACBED: under 8 nm called undetermined",
            thin_undetermined,
            "",
            ">= 0.95",
            bar_holds(thin_undetermined is not None and thin_undetermined >= 0.95),
        ),
        case(
            "PACBED: another structure's pattern refused",
            float(np.mean([refused for result in results for refused in result["alien"]])),
            "",
            "1",
            bar_holds(all(refused for result in results for refused in result["alien"])),
        ),
        case(
            "PACBED: a fit, median",
            float(np.median([s for result in results for s in result["seconds"]])),
            "s",
            "<= 5",
            None,
        ),
        case("PACBED: building a library, with compilation", max(result["built"] for result in results), "s", "", None),
        case("PACBED: peak memory", max(result["peak"] for result in results), "GiB", "", None),
    ]
    for result in results:
        determined_pairs = [
            (a, b)
            for a, b in zip(result["trials"], result["readings"], strict=True)
            if a.thickness >= 100.0 and "thickness" not in b.undetermined
        ]
        error = _rms([b.value("thickness")[0] / a.thickness - 1.0 for a, b in determined_pairs])
        rows.append(case(f"PACBED of {result['name']}: thickness, rms relative error", error, "", "", None))
        rows.append(case(f"PACBED of {result['name']}: coverage", covered(determined_pairs, 1.0), "", "", None))
    return rows


def covered(pairs: list[tuple[Any, Any]], factor: float, names: tuple[str, ...] = NAMES) -> float:
    """Share of the 90 % intervals, variances times ``factor``, that hold the truth: the central interval of the mixture."""
    inside = []
    for trial, reading in pairs:
        values = {"thickness": trial.thickness, "tilt.x": trial.tilt[0], "tilt.y": trial.tilt[1]}
        for name in names:
            index = reading.index(name)
            below = sum(
                c.weight * norm.cdf((values[name] - c.mean[index]) / np.sqrt(factor * c.covariance[index, index]))
                for c in reading.components
            )
            inside.append(abs(below - 0.5) <= 0.45)
    return float(np.mean(inside)) if inside else float("nan")


def _rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values else float("nan")


def _inside(share: float) -> bool:
    return BAND[0] <= share <= BAND[1]
