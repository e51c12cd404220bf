"""Benchmark of the wave engine against abTEM: time, accuracy, memory, and scaling of time. Each side of each case runs in a process of its own.

abTEM's best settings are found on the first case (eager or dask, one FFT thread or one for each core) and kept where a run takes minutes; of
its methods for an image (scan, PRISM, a kept scattering matrix) the fastest within 1 % counts.
Times are without compiling; both sides get the same potentials.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks._case import case
from tests.benchmarks._form import Form
from tests.benchmarks.waves.case import measured
from tests.benchmarks.waves.cases import SERIES, SERIES_BY_ABTEM, SIZES, seeds, sizes

ROOT = Path(__file__).resolve().parents[3]


class Side(NamedTuple):
    """One side of a case: ``seconds`` and those of the ``first`` call, those of them that are ``fixed`` however many images are made, ``peak``
    memory in MiB, best ``settings``, and the ``value`` it made."""

    seconds: float
    first: float
    fixed: float
    peak: float
    settings: str
    value: np.ndarray


class _Runner:
    def __init__(self, folder: Path, short: Form, progress: Callable[..., None]):
        self.folder, self.short, self.progress = folder, short, progress

    def __call__(self, case: str, side: str, repeats: int = 2, only: str = "") -> Side:
        """RuntimeError with the process's stderr if it fails. The smoke form runs in this process and is not timed."""
        self.progress(f"{case}, {side}{f' ({only})' if only else ''}")
        if self.short is Form.SMOKE:
            return _side(*measured(case, side, self.short, 1, only))
        result = self.folder / f"{case}-{side}.npz"
        command = [sys.executable, "-m", "tests.benchmarks.waves.case", case, side, str(result)]
        command += [
            "--repeats",
            str(min(repeats, 2) if self.short else repeats),
            "--only",
            only,
            *(["--short"] if self.short else []),
        ]
        process = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
        )
        if process.returncode:
            raise RuntimeError(f"{case} by {side} ended with {process.returncode}: {process.stderr[-2000:]}")
        report = json.loads(process.stdout.strip().splitlines()[-1])
        with np.load(result) as archive:
            return _side(report, archive["value"])


def _side(report: dict[str, Any], value: np.ndarray) -> Side:
    return Side(report["seconds"], report["first"], report["fixed"], report["peak_mib"], report["settings"], value)


def cases(short: Form, progress: Callable[..., None]) -> list[dict[str, Any]]:
    """All numbers; ``short`` has 4 x 4 x 8 cells on 256 x 256 instead of 6 x 6 x 26 on 512 x 512, and no series with a frozen phonon."""
    with tempfile.TemporaryDirectory(prefix="emtwin-waves-") as scratch:
        run = _Runner(Path(scratch), short, progress)
        probes, best = _probes(run)
        rows = probes + _exit(run)
        rows += _crystal(run) + _phonons(run, best)
        rows += _series(run, best, "series", f"{SERIES} images of a series")
        if not short:
            rows += _series(run, best, "phonon-series", f"{SERIES} images of a series, frozen phonon")
        rows += _gradient(run) + _ronchigram(run) + _potentials(run)
        return rows + _growth(run) + _evidence(short, progress)


def _against(name: str, ours: Side, abtem_side: Side, bar: str, least: float) -> list[dict[str, Any]]:
    ratio = abtem_side.seconds / ours.seconds
    return [
        case(f"{name}: abTEM's time over ours", ratio, "x", bar, ratio >= least),
        *_costs(f"{name}, ours", ours),
        *_costs(f"{name}, abTEM ({abtem_side.settings})", abtem_side),
    ]


def _costs(name: str, side: Side) -> list[dict[str, Any]]:
    return [
        case(f"{name}: time", side.seconds, "s"),
        case(f"{name}: compiling and the like, first call", side.first - side.seconds, "s"),
        case(f"{name}: memory peak", side.peak, "MiB"),
    ]


def _relative_difference(ours: np.ndarray, abtem_side: np.ndarray) -> float:
    """Sum of absolute differences as a share of the total."""
    return float(np.abs(ours - abtem_side).sum() / np.abs(abtem_side).sum())


def _worst(image: np.ndarray, exact: np.ndarray) -> float:
    """Largest difference at the places where both are known, as a share of the exact image's mean."""
    step = image.shape[-1] // exact.shape[-1]
    return float(np.abs(image[..., ::step, ::step] - exact).max() / exact.mean())


def _probes(run: _Runner) -> tuple[list[dict[str, Any]], str]:
    ours, abtem_side = run("probes", "ours", 5), run("probes", "abtem", 3)
    # abTEM keeps a beam more at each edge, beyond the band; both have the direct beam in the middle
    margin = (abtem_side.value.shape[-1] - ours.value.shape[-1]) // 2
    difference = _relative_difference(
        ours.value, abtem_side.value[:, margin : margin + ours.value.shape[-2], margin : margin + ours.value.shape[-1]]
    )
    rows = _against("64 probes, patterns", ours, abtem_side, ">= 1.5, going for 2", 1.5)
    return [
        *rows,
        case("64 probes: apart from abTEM", difference, "of the total", "<= 1e-4", difference <= 1e-4),
    ], abtem_side.settings


def _exit(run: _Runner) -> list[dict[str, Any]]:
    ours, abtem_side = run("exit", "ours", 5), run("exit", "abtem", 5)
    difference = _relative_difference(ours.value, abtem_side.value)
    rows = _against("exit wave", ours, abtem_side, ">= 1.5", 1.5)
    return [*rows, case("exit wave: apart from abTEM", difference, "of the total", "<= 1e-4", difference <= 1e-4)]


def _image(
    run: _Runner, job: str, name: str, bound: float, bar: str, least: float, abtem_side: list[Side]
) -> list[dict[str, Any]]:
    ours, (exact, plain) = run(job, "ours", 3), run(job, "exact", 1).value
    off = _worst(ours.value, exact)
    good = {side.settings: _worst(side.value, plain) for side in abtem_side}
    fair = [side for side in abtem_side if good[side.settings] <= 0.01] or abtem_side
    best = min(fair, key=lambda side: side.seconds)
    return [
        *_against(f"{name} ({ours.settings})", ours, best, bar, least),
        case(f"{name}: ours apart from exact", off, "of the mean, at worst", f"<= {bound}", off <= bound),
        *(case(f"{name}: abTEM ({side.settings})", side.seconds, "s") for side in abtem_side),
        *(case(f"{name}: abTEM ({label}) apart from exact", value, "of the mean") for label, value in good.items()),
        case(f"{name}: what aliasing in the transmission functions changes", _worst(plain, exact), "of the mean"),
    ]


def _crystal(run: _Runner) -> list[dict[str, Any]]:
    sides = [run("crystal", "abtem", 2, "scan"), run("crystal", "abtem", 2, "PRISM")]
    return _image(run, "crystal", "HAADF 64 x 64, perfect crystal", 0.005, ">= 20", 20.0, sides)


def _phonons(run: _Runner, best: str) -> list[dict[str, Any]]:
    name = f"the same, {len(seeds(run.short))} phonons"
    sides = [run("phonons", "abtem", 1, f"scan, {best}"), run("phonons", "abtem", 1, f"PRISM, {_threads(best)}")]
    return _image(run, "phonons", name, 0.01, ">= 2, going for 5", 2.0, sides)


def _series(run: _Runner, best: str, job: str, name: str) -> list[dict[str, Any]]:
    """The quickest of abTEM's ways whose images are, as a single one's must be, within 1 % of those from its whole scattering matrix counts."""
    ours = run(job, "ours", 4)
    methods = ("scattering matrix", "PRISM", "scans")
    sides = [_of_all(run(job, "abtem", 1, f"{method}, {_threads(best)}")) for method in methods]
    exact = sides[0].value
    off = {side.settings: _worst(side.value, exact) for side in sides}
    good = [side for side in sides if off[side.settings] <= 0.01]
    abtem_side = min(good, key=lambda side: side.seconds)
    difference = _relative_difference(ours.value[:SERIES_BY_ABTEM], exact)
    return [
        *_against(f"{name} ({ours.settings})", ours, abtem_side, ">= 50", 50.0),
        case(f"{name}: images that abTEM's time was taken from", SERIES_BY_ABTEM, "images"),
        *(case(f"{name}: abTEM ({side.settings})", side.seconds, "s") for side in sides),
        *(case(f"{name}: abTEM ({label}) apart from exact", value, "of the mean") for label, value in off.items()),
        case(f"{name}: apart from abTEM", difference, "of the total", "<= 0.01", difference <= 0.01),
    ]


def _of_all(side: Side) -> Side:
    """The time of all images of the series, extrapolated from those that were made."""
    growing = side.seconds - side.fixed
    share = SERIES / SERIES_BY_ABTEM
    return side._replace(seconds=side.fixed + growing * share, first=side.first + growing * (share - 1.0))


def _threads(settings: str) -> str:
    """The part of abTEM's ``settings`` about its FFTs."""
    return settings[settings.index("fftw") :]


def _gradient(run: _Runner) -> list[dict[str, Any]]:
    forward, gradient = run("gradient", "forward", 4), run("gradient", "ours", 4)
    times, peaks = gradient.seconds / forward.seconds, gradient.peak / forward.peak
    return [
        case("gradient: time over the forward pass", times, "x", "<= 4", times <= 4.0),
        case("gradient: memory over the forward pass", peaks, "x", "<= 3", peaks <= 3.0),
        *_costs("gradient", gradient),
        *_costs("gradient, forward pass", forward),
    ]


def _ronchigram(run: _Runner) -> list[dict[str, Any]]:
    side = run("ronchigram", "ours", 4)
    rate = len(side.value) / side.seconds
    return [
        case("Ronchigrams 256 x 256", rate, "a second", ">= 30", rate >= 30.0),
        *_costs(f"{len(side.value)} Ronchigrams", side),
    ]


def _potentials(run: _Runner) -> list[dict[str, Any]]:
    ours, abtem_side = run("potentials", "ours", 3), run("potentials", "abtem", 2)
    exact = run("potentials", "exact", 1).value
    difference, peer = _relative_difference(ours.value, exact), _relative_difference(abtem_side.value, exact)
    return [
        *_against("potentials", ours, abtem_side, ">= 2", 2.0),
        case("potentials: ours apart from exact", difference, "of the total", "<= 1e-4", difference <= 1e-4),
        # it shares displaced atoms out to the points around them
        case("potentials: abTEM apart from exact", peer, "of the total"),
    ]


def _growth(run: _Runner) -> list[dict[str, Any]]:
    """Log-log slopes of time against what it grows with, from the first to the last of `SIZES`."""
    rows = []
    for quantity in SIZES:
        numbers = sizes(quantity, run.short)
        times = run("growth", quantity, 3).value
        slope = math.log(times[-1] / times[0]) / math.log(numbers[-1] / numbers[0])
        rows.append(case(f"time grows with {quantity} ({numbers[0]} to {numbers[-1]}) to the power", slope, ""))
    return rows


def _evidence(short: Form, progress: Callable[..., None]) -> list[dict[str, Any]]:
    """abTEM in float64, constants, laws, forms and derivatives. Of all that, which the tests run at this size, the smoke form has the constants."""
    from itertools import islice

    from tests.physics.checks.measured import everything

    checks = everything(bool(short), progress)
    selected = islice(checks, 1) if short is Form.SMOKE else checks
    return [case(check.case, check.value, check.unit, f"<= {check.bar:g}", check.holds) for check in selected]
