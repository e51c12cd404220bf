"""Calibration on tables of a column of another form, 30 settings each, compared with interpolation at held-out settings.

Coverage is that of central 90 % intervals of the other column's true values at held-out settings in focus, pooled; the same with standard deviations times
0.6 and 1.6 must lie outside the band. The seeds were not used in development.
"""

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator, RBFInterpolator
from scipy.stats import norm

from reconstruct.api.columns import load_column
from reconstruct.calibration.fit import calibrate
from reconstruct.calibration.rows import Row
from tests.benchmarks._case import case
from tests.benchmarks._form import Form
from tests.benchmarks.column.other_column import OtherColumn, Unusable, table_of
from twin.column.column import Column

FIRST, COUNT = 4000, (50, 2, 1)
"""Seed of the first table, and tables in each form."""
SETTINGS_PER_MODE, HELD_OUT_PER_MODE = (10, 10, 8), (5, 5, 2)
"""Settings of each mode in a table, and held out of it, in each form."""
FREE_CONTROLS = {
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
"""Constants that these tables do not determine."""
COVERAGE_LOW, COVERAGE_HIGH = 0.87, 0.93


def cases(short: Form, progress: Callable[..., None]) -> list[dict[str, Any]]:
    """All numbers of this part; if ``short`` a few tables, and no bars that need many."""
    table = load_column("generic-300")
    column = Column(table)
    sigmas: dict[str, list[float]] = {name: [] for name in FREE_CONTROLS}
    ours: dict[str, list[float]] = {name: [] for name in FREE_CONTROLS}
    interpolation_errors: dict[str, list[list[float]]] = {name: [[], []] for name in FREE_CONTROLS}
    seconds: list[float] = []
    named, outliers, seed, count = 0, 0, FIRST, COUNT[short]
    unusable = 0
    while len(seconds) < count:
        progress(f"tables of other columns: {len(seconds)} of {count}", len(seconds) / count)
        generator = np.random.default_rng(seed)
        seed += 1
        try:
            other_column = OtherColumn.drawn(table, generator)
            rows = table_of(other_column, generator, 300e3, SETTINGS_PER_MODE[short])
            held_out = table_of(other_column, generator, 300e3, HELD_OUT_PER_MODE[short], noisy=False)
        except Unusable:
            unusable += 1
            continue
        start = time.monotonic()
        calibration = calibrate(column, rows)
        seconds.append(time.monotonic() - start)
        named += set(UNKNOWABLE) <= set(calibration.undetermined)
        outliers += len(calibration.outliers)
        for row, prediction in zip(held_out, calibration.predict(held_out), strict=True):
            ours[row.quantity].append(prediction.mean - np.log(row.value))
            sigmas[row.quantity].append(ours[row.quantity][-1] / prediction.std)
        for name in FREE_CONTROLS:
            for collected, errors in zip(interpolation_errors[name], interpolated(rows, held_out, name), strict=True):
                collected += errors
    case_rows = _judged(short, sigmas, ours, interpolation_errors)
    case_rows += [
        case(
            f"calibration: tables that name all {len(UNKNOWABLE)} constants they say nothing of",
            named / count,
            "1",
            "1",
            named == count,
        ),
        case("calibration: rows called outliers, a table (none lies)", outliers / count, "1", "", None),
        case("calibration: columns that never came into focus, beside", unusable, "1", "", None),
        case("calibration: time of a table, median", float(np.median(seconds)), "s", "", None),
        case("calibration: time of the first, compilation included", seconds[0], "s", "", None),
        case("calibration: memory peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, "GiB", "", None),
    ]
    return case_rows


def interpolated(rows: list[Row], held_out: list[Row], name: str) -> list[list[float]]:
    """Errors of logarithms of ``name`` at ``held_out``, by a thin-plate spline and linearly (nearest outside) through the table, in the free excitations."""

    def places(selected: list[Row]) -> np.ndarray:
        return np.array([[row.settings.controls[control] for control in FREE_CONTROLS[name]] for row in selected])

    def values(selected: list[Row]) -> np.ndarray:  # semi-angles in proportion to the aperture, as anyone would
        hole = [np.log(row.settings.controls["aperture.C2"]) if name == "semi_angle" else 0.0 for row in selected]
        return np.log([row.value for row in selected]) - hole

    table_rows, target_rows = ([row for row in selected if row.quantity == name] for selected in (rows, held_out))
    scale = places(table_rows).std(axis=0)
    points, targets, logarithms = places(table_rows) / scale, places(target_rows) / scale, values(table_rows)
    spline = RBFInterpolator(points, logarithms, kernel="thin_plate_spline", degree=1)(targets)
    linear = LinearNDInterpolator(points, logarithms)(targets)
    linear = np.where(np.isnan(linear), NearestNDInterpolator(points, logarithms)(targets), linear)
    return [(prediction - values(target_rows)).tolist() for prediction in (spline, linear)]


def _judged(short, sigmas, ours, interpolation_errors) -> list[dict[str, Any]]:
    def rms(errors: list[float] | np.ndarray) -> float:
        return float(np.sqrt(np.mean(np.square(errors))))

    pooled = np.concatenate([np.abs(sigmas[name]) for name in FREE_CONTROLS])
    limit = norm.ppf(0.95)
    case_rows = []
    for scale in (1.0, 0.6, 1.6):
        share = float((pooled < limit * scale).mean())
        inside = COVERAGE_LOW <= share <= COVERAGE_HIGH
        bar = f"{COVERAGE_LOW} to {COVERAGE_HIGH}" if scale == 1.0 else f"outside {COVERAGE_LOW} to {COVERAGE_HIGH}"
        name = f"calibration: coverage of 90 % intervals, {len(pooled)} values" + (
            "" if scale == 1.0 else f", sigmas x {scale}"
        )
        case_rows.append(case(name, share, "1", bar, None if short else inside == (scale == 1.0)))
    for name in FREE_CONTROLS:
        share = float((np.abs(sigmas[name]) < limit).mean())
        case_rows.append(case(f"calibration: {name}, coverage", share, "1", "", None))
    for name in FREE_CONTROLS:
        best = min(rms(errors) for errors in interpolation_errors[name])
        case_rows.append(case(f"calibration: {name}, rms relative error", rms(ours[name]), "1", "", None))
        ratio = rms(ours[name]) / best
        case_rows.append(
            case(
                f"calibration: {name}, error over the better interpolation's",
                ratio,
                "1",
                "0.5",
                None if short else ratio <= 0.5,
            )
        )
    best = min(rms(np.concatenate([interpolation_errors[name][k] for name in FREE_CONTROLS])) for k in (0, 1))
    ratio = rms(np.concatenate([ours[name] for name in FREE_CONTROLS])) / best
    case_rows.append(
        case(
            "calibration: all three, error over the better interpolation's",
            ratio,
            "1",
            "0.5",
            None if short else ratio <= 0.5,
        )
    )
    return case_rows
