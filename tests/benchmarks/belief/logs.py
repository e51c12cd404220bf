"""One-step forecasts of real logs: a forecaster trained on the first half of a channel predicts each value of the second half.

Coverage counts a value that is reported in steps with the share of its step's predicted probability that lies within the interval (the mean coverage of
a randomised interval; Czado, Gneiting & Held, Biometrics 65, 1254, 2009); beside it, whether the value itself lies within.
"""

from pathlib import Path
from typing import Any

import numpy as np

from instrument.readers import read_log
from learn.channels.forecast import last_value_baseline, score_forecasts
from tests.benchmarks._case import case

KRIOS = "sensors/krios-health-2025-07-28.xml.gz"
CONTINUOUS = ("Tcartridge", "Tdocker", "Tcassette")
HOLDERS = (
    "protochips_thermal.csv",
    "protochips_gas_cell.csv",
    "protochips_electrical.csv",
    "heating-1.dens",
    "heating-2.dens",
)
MIN_VALUES = 100
"""Values of a channel that is forecast."""

MIN_CHANGING_SHARE = 0.2
"""Share of values, in either half, that differ from the one before in a channel that varies."""

COVERAGE_LOW, COVERAGE_HIGH = 0.85, 0.95


def halves(folder: Path) -> dict[str, list[tuple[str, np.ndarray, np.ndarray]]]:
    """(name, times in s, values) of the channels that are forecast, for the Krios hour and for the holders."""
    krios = read_log(folder / KRIOS)
    series_by_group = {"Krios": [_series(krios.channel(name)) for name in CONTINUOUS], "holders": []}
    for name in HOLDERS:
        log = read_log(folder / "holders" / name)
        for channel in log.channels:
            half = channel.times.size // 2
            parts = (channel.values[:half], channel.values[half:])
            if (
                channel.times.size >= MIN_VALUES
                and min(float((np.diff(part) != 0).mean()) for part in parts) > MIN_CHANGING_SHARE
            ):
                label, times, values = _series(channel)
                series_by_group["holders"].append((f"{name.rpartition('.')[0]} {label}", times, values))
    return series_by_group


def log_cases(data_folder: Path, few: bool = False) -> list[dict[str, Any]]:
    """One-step forecasts of the second half of each channel: coverage of 90 % intervals, and log score against the last value's Gaussian. If ``few`` of
    the beginning of one channel of each group."""
    cases: list[dict[str, Any]] = []
    for group, channels in halves(data_folder).items():
        inside, centre, ours, baseline, narrow = [], [], [], [], []
        if few:
            channels = [(name, times[:MIN_VALUES], values[:MIN_VALUES]) for name, times, values in channels[:1]]
        for name, times, values in channels:
            split = len(values) // 2
            forecast = score_forecasts(times, values, split)
            base = last_value_baseline(values, split)
            inside.append(forecast.inside)
            centre.append(forecast.centre_inside)
            ours.append(forecast.log_density)
            baseline.append(np.full(forecast.inside.size, base))
            if values.size <= 400:
                narrow.append(score_forecasts(times, values, split, width=0.6).inside)
            score = float(forecast.log_density.mean())
            cases += [
                case(f"{group}: {name}, coverage of 90 % intervals, {forecast.inside.size} values", float(forecast.inside.mean()), "1", "", None),
                case(f"{group}: {name}, log score less the baseline's {base:.4g}", score - base, "nat", "> 0", score > base),
            ]  # fmt: skip
        if not inside:
            continue
        pooled = float(np.concatenate(inside).mean())
        plain = float(np.concatenate(centre).mean())
        scaled = float(np.concatenate(narrow).mean())
        better = float((np.concatenate(ours) - np.concatenate(baseline)).mean())
        count = sum(part.size for part in inside)
        cases += [
            case(f"{group}: coverage of 90 % intervals, {count} values pooled", pooled, "1", "0.85 to 0.95", COVERAGE_LOW <= pooled <= COVERAGE_HIGH),
            case(f"{group}: the same, values themselves within", plain, "1", "0.85 to 0.95", COVERAGE_LOW <= plain <= COVERAGE_HIGH),
            case(f"{group}: short channels, intervals x 0.6 (must fail)", scaled, "1", "outside 0.85 to 0.95", not COVERAGE_LOW <= scaled <= COVERAGE_HIGH),
            case(f"{group}: log score less the baseline's, pooled", better, "nat", "> 0", better > 0),
        ]  # fmt: skip
    return cases


def _series(channel: Any) -> tuple[str, np.ndarray, np.ndarray]:
    return channel.name, (channel.times - channel.times[0]) / 1e9, channel.values
