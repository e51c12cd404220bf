"""Calibration: tables of a column of another form, 30 settings each, and what is held out of them; against interpolation of the same tables.

Coverage is of central 90 % intervals of what the other column really does at held-out settings in focus, pooled; the same with standard deviations times
0.6 and 1.6 must lie outside the band. Seeds judged here were not looked at while the calibration was written.
"""

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator, RBFInterpolator
from scipy.stats import norm

from reconstruct.calibration.fit import calibrate
from reconstruct.calibration.rows import Row
from scenarios.io.columns import load_column
from tests.benchmarks._form import Form
from tests.benchmarks.column.other_column import Other, Unusable, table_of
from twin.column.column import Column

FIRST, COUNT = 4000, (50, 2, 1)
"""Seed of the first table, and tables in each form."""
EACH, HELD = 10, 5
"""Settings of each mode in a table, and held out of it."""
FREE = {
    "camera_length": ("lens.intermediate", "lens.projector1"),
    "magnification": ("lens.diffraction", "lens.intermediate", "lens.projector1"),
    "semi_angle": ("lens.condenser1", "lens.minicondenser"),
}
"""What an operator sets freely; the lens that focuses follows."""
UNKNOWABLE = (
    "gun.source",
    "gun.brightness",
    "gun.energy_spread",
    "scan.deflection",
    "scan.azimuth",
    "condenser stigmator.strength",
    "condenser stigmator.azimuth",
)
"""Constants of which these tables say nothing."""
LOW, HIGH = 0.87, 0.93


def cases(short: Form, progress: Callable[..., None]) -> list[dict[str, Any]]:
    """All numbers of this part; if ``short`` a few tables, and no bars that need many."""
    table = load_column("generic-300")
    column = Column(table)
    sigmas: dict[str, list[float]] = {name: [] for name in FREE}
    ours: dict[str, list[float]] = {name: [] for name in FREE}
    theirs: dict[str, list[list[float]]] = {name: [[], []] for name in FREE}
    seconds: list[float] = []
    named, outliers, seed, count = 0, 0, FIRST, COUNT[short]
    unusable = 0
    while len(seconds) < count:
        progress(f"tables of other columns: {len(seconds)} of {count}", len(seconds) / count)
        generator = np.random.default_rng(seed)
        seed += 1
        try:
            other = Other.drawn(table, generator)
            rows = table_of(other, generator, 300e3, EACH)
            held = table_of(other, generator, 300e3, HELD, noisy=False)
        except Unusable:
            unusable += 1
            continue
        begun = time.monotonic()
        found = calibrate(column, rows)
        seconds.append(time.monotonic() - begun)
        named += set(UNKNOWABLE) <= set(found.undetermined)
        outliers += len(found.outliers)
        for row, told in zip(held, found.predict(held), strict=True):
            ours[row.quantity].append(told.mean - np.log(row.value))
            sigmas[row.quantity].append(ours[row.quantity][-1] / told.std)
        for name in FREE:
            for kept, errors in zip(theirs[name], interpolated(rows, held, name), strict=True):
                kept += errors
    found = _judged(short, sigmas, ours, theirs)
    found += [
        _case(
            f"calibration: tables that name all {len(UNKNOWABLE)} constants they say nothing of",
            named / count,
            "1",
            "1",
            named == count,
        ),
        _case("calibration: rows called outliers, a table (none lies)", outliers / count, "1", "", None),
        _case("calibration: columns that never came into focus, beside", unusable, "1", "", None),
        _case("calibration: time of a table, median", float(np.median(seconds)), "s", "", None),
        _case("calibration: time of the first, compilation included", seconds[0], "s", "", None),
        _case("calibration: memory peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, "GiB", "", None),
    ]
    return found


def interpolated(rows: list[Row], held: list[Row], name: str) -> list[list[float]]:
    """Errors of logarithms of ``name`` at ``held``, by a thin-plate spline and linearly (nearest outside) through the table's own, in the free excitations."""

    def places(those: list[Row]) -> np.ndarray:
        return np.array([[row.settings.controls[control] for control in FREE[name]] for row in those])

    def values(those: list[Row]) -> np.ndarray:  # semi-angles in proportion to the aperture, as anyone would
        hole = [np.log(row.settings.controls["aperture.C2"]) if name == "semi_angle" else 0.0 for row in those]
        return np.log([row.value for row in those]) - hole

    known, asked = ([row for row in those if row.quantity == name] for those in (rows, held))
    scale = places(known).std(axis=0)
    at, to, told = places(known) / scale, places(asked) / scale, values(known)
    spline = RBFInterpolator(at, told, kernel="thin_plate_spline", degree=1)(to)
    linear = LinearNDInterpolator(at, told)(to)
    linear = np.where(np.isnan(linear), NearestNDInterpolator(at, told)(to), linear)
    return [(one - values(asked)).tolist() for one in (spline, linear)]


def _judged(short, sigmas, ours, theirs) -> list[dict[str, Any]]:
    def rms(errors: list[float] | np.ndarray) -> float:
        return float(np.sqrt(np.mean(np.square(errors))))

    pooled = np.concatenate([np.abs(sigmas[name]) for name in FREE])
    limit = norm.ppf(0.95)
    found = []
    for scale in (1.0, 0.6, 1.6):
        share = float((pooled < limit * scale).mean())
        inside = LOW <= share <= HIGH
        bar = f"{LOW} to {HIGH}" if scale == 1.0 else f"outside {LOW} to {HIGH}"
        name = f"calibration: coverage of 90 % intervals, {len(pooled)} values" + (
            "" if scale == 1.0 else f", sigmas x {scale}"
        )
        found.append(_case(name, share, "1", bar, None if short else inside == (scale == 1.0)))
    for name in FREE:
        share = float((np.abs(sigmas[name]) < limit).mean())
        found.append(_case(f"calibration: {name}, coverage", share, "1", "", None))
    for name in FREE:
        best = min(rms(errors) for errors in theirs[name])
        found.append(_case(f"calibration: {name}, rms relative error", rms(ours[name]), "1", "", None))
        ratio = rms(ours[name]) / best
        found.append(
            _case(
                f"calibration: {name}, error over the better interpolation's",
                ratio,
                "1",
                "0.5",
                None if short else ratio <= 0.5,
            )
        )
    best = min(rms(np.concatenate([theirs[name][k] for name in FREE])) for k in (0, 1))
    ratio = rms(np.concatenate([ours[name] for name in FREE])) / best
    found.append(
        _case(
            "calibration: all three, error over the better interpolation's",
            ratio,
            "1",
            "0.5",
            None if short else ratio <= 0.5,
        )
    )
    return found


def _case(case: str, value: Any, unit: str, bar: str, holds: bool | None) -> dict[str, Any]:
    return {"case": case, "value": value, "unit": unit, "bar": bar, "holds": holds}
