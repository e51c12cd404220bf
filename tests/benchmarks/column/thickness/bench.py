"""Thickness and tilt from position-averaged patterns: abTEM's crystals (Kirkland, frozen phonons of other amplitudes, amorphous carbon on the entrance
face, a camera with errors of its own) read by the twin (Lobato, mean transmission, frozen phonons between the Bragg beams).

200 keV, 10 mrad, 96 x 96 pixels of 0.7 mrad, 1e6 electrons, tilts up to 4 mrad. A seed is a specimen: its trials share the carbon, the thermal motion and
the atoms' places, and err alike. Those of JUDGED are judged, the model's error was learnt on those of LEARNT.
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

from tests.benchmarks._form import Form
from tests.benchmarks.belief.judge import case
from tests.benchmarks.column.thickness import truth

LEARNT, JUDGED = (11, 12, 13), (201, 202, 203, 204, 205)
TRIALS, THIN = 12, 3
"""Trials of 10 to 60 nm and below 8 nm for each specimen."""
NAMES = ("thickness", "tilt.x", "tilt.y")
BAND = (0.87, 0.93)


def cases(short: Form, progress: Callable[[str, float], None], work: Path | None = None) -> list[dict[str, Any]]:
    """All numbers; if ``short`` a few trials of one thin crystal and no bars that need many. ``work`` keeps abTEM's patterns."""
    begun = time.monotonic()
    structures = ["SrTiO3 [001]"] if short else list(truth.CRYSTALS)
    with tempfile.TemporaryDirectory() as spare:
        folder = work or Path(spare)
        if short:
            fine = (1, 1) if short is Form.SMOKE else None
            done = [followed(structures[0], JUDGED[:1], folder, 1, 1, 125.0, progress, fine)]
        else:
            with ProcessPoolExecutor(min(2, len(os.sched_getaffinity(0))), get_context("spawn"), _precise) as pool:
                jobs = [pool.submit(followed, one, JUDGED, folder, TRIALS, THIN) for one in structures]
                done = []
                for number, job in enumerate(jobs):
                    progress(f"patterns of {structures[number]} by abTEM, and their fits", number / len(jobs))
                    done.append(job.result())
    found = judged(done, enough=not short)
    found.append(case("PACBED: time of the whole", time.monotonic() - begun, "s", "", None))
    return found


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
    fine: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """All trials of a structure's specimens fitted: truths and measurements, how long it took, and what another structure's pattern gives. ``fine``: directions
    between beams, if not the crystal's."""
    from reconstruct.measure.pacbed.estimator import Geometry, measure_pacbed
    from reconstruct.measure.pacbed.search import prepare
    from twin.detection.camera import Camera
    from twin.detection.transfer import Mixture

    tell = progress or (lambda text, share: None)
    crystal = truth.CRYSTALS[name]
    crystal = dataclasses.replace(crystal, fine=fine or crystal.fine)
    wanted, patterns = [], []
    for seed in seeds:
        some = truth.trials(crystal, seed, count, thin, deepest)
        patterns += truth.patterns(crystal, seed, some, folder, tell)
        wanted += some
    started = time.monotonic()
    made = library(name, deepest + 100.0, tell)
    built = time.monotonic() - started
    prepare(made, made.reach - made.tilted)
    geometry = Geometry(truth.PIXEL, rotation_error=0.01)
    camera = Camera(mtf=Mixture(gaussians=((1.0, 1.1),)), ntf=Mixture(floor=1.0))
    readings, seconds = [], []
    for number, (one, pattern) in enumerate(zip(wanted, patterns, strict=True)):
        image = truth.recorded(crystal, one, pattern)
        started = time.process_time()
        readings.append(measure_pacbed(image, made, geometry, camera))
        seconds.append(time.process_time() - started)
        tell(f"fits, {name}", (number + 1) / len(wanted))
    other = library("Si [110]" if name != "Si [110]" else "SrTiO3 [001]", 250.0, tell)
    alien = [
        measure_pacbed(truth.recorded(crystal, one, pattern), other, geometry, camera)
        for one, pattern in list(zip(wanted, patterns, strict=True))[: min(3, count)]
    ]
    return {
        "name": name,
        "trials": wanted,
        "readings": readings,
        "seconds": seconds,
        "built": built,
        "alien": [not any(key not in one.undetermined for key in NAMES) for one in alien],
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def library(name: str, thickness: float, progress: Callable[[str, float], None] | None = None) -> Any:
    """The twin's library of one of the crystals, with its own constants."""
    from twin.sample.specimen import Specimen
    from twin.sample.thermal import u2_of
    from twin.scattering.pacbed.patterns import library as build

    crystal = truth.CRYSTALS[name]
    positions = np.array([place for _, *place in crystal.sites]) * crystal.cell
    symbols = tuple(symbol for symbol, *_ in crystal.sites)
    cell = Specimen(positions, u2_of(symbols, None), symbols, crystal.cell)
    return build(
        cell, crystal.slices, crystal.gpts, truth.ENERGY, truth.SEMIANGLE, 40e-3, 5e-3, thickness, workers=1, progress=progress
    )  # fmt: skip


def judged(done: list[dict[str, Any]], enough: bool) -> list[dict[str, Any]]:
    """The cases of all structures together, and what each gave."""

    def held(holds: bool) -> bool | None:
        return bool(holds) if enough else None

    pairs = [(one, reading) for some in done for one, reading in zip(some["trials"], some["readings"], strict=True)]
    thick = [(one, reading) for one, reading in pairs if one.thickness >= 100.0]
    thin = [(one, reading) for one, reading in pairs if one.thickness < 80.0]
    told = [(one, reading) for one, reading in thick if "thickness" not in reading.undetermined]
    silent = 1.0 - len(told) / max(len(thick), 1)
    said = float(np.mean(["thickness" in reading.undetermined for _, reading in thin])) if thin else None
    relative = _rms([reading.value("thickness")[0] / one.thickness - 1.0 for one, reading in told])
    tilts = [
        _rms([reading.value(f"tilt.{axis}")[0] - one.tilt[n] for one, reading in thick]) for n, axis in enumerate("xy")
    ]
    shares = [covered(told, factor) for factor in (1.0, 0.6, 1.6)]
    found = [
        case("PACBED: trials of 10 to 60 nm", len(thick), "", ">= 100", held(len(thick) >= 100)),
        case("PACBED: thickness, rms relative error", relative, "", "<= 0.03", held(relative <= 0.03)),
        *(
            case(f"PACBED: tilt {axis}, rms error", 1e3 * one, "mrad", "<= 0.3", held(one <= 3e-4))
            for axis, one in zip("xy", tilts, strict=True)
        ),
        case("PACBED: pooled coverage of 90 %", shares[0], "", "0.87 to 0.93", held(_inside(shares[0]))),
        *(case(f"PACBED: coverage, {name}", covered(told, 1.0, (name,)), "", "", None) for name in NAMES),
        case("PACBED: control, variance x 0.6", shares[1], "", "outside 0.87 to 0.93", held(not _inside(shares[1]))),
        case("PACBED: control, variance x 1.6", shares[2], "", "outside 0.87 to 0.93", held(not _inside(shares[2]))),
        case("PACBED: 10 to 60 nm called undetermined", silent, "", "<= 0.05", held(silent <= 0.05)),
        case("PACBED: under 8 nm called undetermined", said, "", ">= 0.95", held(said is not None and said >= 0.95)),
        case(
            "PACBED: another structure's pattern refused",
            float(np.mean([one for some in done for one in some["alien"]])),
            "",
            "1",
            held(all(one for some in done for one in some["alien"])),
        ),
        case(
            "PACBED: a fit, median", float(np.median([s for some in done for s in some["seconds"]])), "s", "<= 5", None
        ),
        case("PACBED: building a library, with compilation", max(some["built"] for some in done), "s", "", None),
        case("PACBED: peak memory", max(some["peak"] for some in done), "GiB", "", None),
    ]
    for some in done:
        own = [
            (a, b)
            for a, b in zip(some["trials"], some["readings"], strict=True)
            if a.thickness >= 100.0 and "thickness" not in b.undetermined
        ]
        error = _rms([b.value("thickness")[0] / a.thickness - 1.0 for a, b in own])
        found.append(case(f"PACBED of {some['name']}: thickness, rms relative error", error, "", "", None))
        found.append(case(f"PACBED of {some['name']}: coverage", covered(own, 1.0), "", "", None))
    return found


def covered(pairs: list[tuple[Any, Any]], factor: float, names: tuple[str, ...] = NAMES) -> float:
    """Share of the 90 % intervals, variances times ``factor``, that hold the truth: the central interval of the mixture."""
    inside = []
    for one, reading in pairs:
        values = {"thickness": one.thickness, "tilt.x": one.tilt[0], "tilt.y": one.tilt[1]}
        for name in names:
            place = reading.index(name)
            below = sum(
                c.weight * norm.cdf((values[name] - c.mean[place]) / np.sqrt(factor * c.covariance[place, place]))
                for c in reading.components
            )
            inside.append(abs(below - 0.5) <= 0.45)
    return float(np.mean(inside)) if inside else float("nan")


def _rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values else float("nan")


def _inside(share: float) -> bool:
    return BAND[0] <= share <= BAND[1]
