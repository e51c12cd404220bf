"""Benchmark of maps from few pixels: prediction error, interval coverage, stopping at the tolerance; the titanate, simulated scans, deep kernels."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import norm

from tests.benchmarks._case import case
from tests.benchmarks._form import Form
from tests.benchmarks.replay import deep
from tests.benchmarks.replay.scans import TITANATE_GAIN, low_losses, mapped, patterns, titanate
from tests.recorded import data_folder
from twin.records import RecordedScan

PARTS = ("titanate", "low-loss", "4d-stem", "deep")
Z90 = float(norm.ppf(0.95))
SHARE = 0.2
"""Of the pixels, what is measured of simulated scans."""


def _covered(sigmas: np.ndarray, variance_factor: float = 1.0) -> float:
    return float((np.abs(sigmas) <= Z90 * np.sqrt(variance_factor)).mean())


def cases(short: Form, progress: Callable[..., None], kinds: Sequence[str] = PARTS) -> list[dict[str, Any]]:
    """All numbers of replays of ten seeds, or of the parts that ``kinds`` names; of five if ``short``, and of two that measure little in the smoke form."""
    unknown = set(kinds) - set(PARTS)
    if unknown:
        raise ValueError(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    count, smoke = (10, 5, 2)[short], short is Form.SMOKE
    rows = _titanate(short, progress) if "titanate" in kinds else []
    if "low-loss" in kinds:
        progress("simulating a low-loss spectrum image")
        low = low_losses(8, 10) if smoke else low_losses()
        for quantity, least in (("t/lambda", 0.95), ("zero-loss position", 0.9)):
            rows += _simulated("low-loss spectrum image", low, quantity, least, count, progress)
    if "4d-stem" in kinds:
        progress("simulating a 4D-STEM scan")
        scan = patterns(10) if smoke else patterns()
        for quantity, least in (("centre of mass x", 0.5), ("0-12 mrad", 0.5)):
            rows += _simulated("4D-STEM scan", scan, quantity, least, count, progress)
    return rows + (deep.cases(short, progress) if "deep" in kinds else [])


def _simulated(
    title: str, scan: RecordedScan, quantity: str, least: float, count: int, progress: Callable[..., None]
) -> list[dict[str, Any]]:
    """R2 and coverage from a fifth of the pixels."""
    pixels = scan.shape[0] * scan.shape[1]
    budget = max(int(SHARE * pixels), 16)
    r2, sigmas, distrusted, seconds, to_be_had = [], [], 0, [], 0.0
    for seed in range(count):
        progress(f"{title}, {quantity}, seed {seed}", seed / count)
        start = time.monotonic()
        result, arrays = mapped(scan, quantity, tolerance=1e-9, budget=budget, seed=seed)
        seconds.append(time.monotonic() - start)
        r2.append(result["r2"])
        sigmas.append(_sigmas(arrays, arrays["measured"].ravel() == 0))
        distrusted += result["model_distrusted"]
        to_be_had = 1.0 - float((arrays["recorded_std"] ** 2).mean() / arrays["recorded"].var())
    pooled, name = np.concatenate(sigmas), f"{title}, {quantity}"
    covered, narrow = _covered(pooled), _covered(pooled, 0.25)
    mean = float(np.mean(r2))
    return [
        case(f"{name}: R2 on unmeasured pixels, {budget} of {pixels} measured, mean of {count} seeds", mean, "1", f">= {least}", mean >= least),
        case(f"{name}: the same, worst seed", min(r2), "1", "", None),
        case(f"{name}: R2 of a map without error, as counting noise lets it", to_be_had, "1", "", None),
        case(f"{name}: coverage of 90 % intervals, pooled", covered, "1", ">= 0.87", covered >= 0.87),
        case(f"{name}: coverage with variance / 4 (must fail)", narrow, "1", "< 0.87", narrow < 0.87),
        case(f"{name}: runs in which the model was distrusted", distrusted, "runs", "", None),
        case(f"{name}: time of a run, median", float(np.median(seconds)), "s", "", None),
    ]  # fmt: skip


def _titanate(short: Form, progress: Callable[..., None]) -> list[dict[str, Any]]:
    """The recorded spectrum image, with its crystal."""
    folder = data_folder()
    if folder is None:
        return [case("replay of the titanate", None, "", "needs the recorded data (EMTWIN_DATA)", None)]
    progress("reading the recording")
    scan = titanate(folder)
    count, max_measured = (10, 5, 2)[short], 16 if short is Form.SMOKE else 60
    r2, plain, sigmas, withheld_sigmas, times = [], [], [], [], []
    stops, reached, stop_r2, distrusted, stop_sigmas = [], [], [], [], []
    for seed in range(count):
        progress(f"titanate, seed {seed}", seed / count)
        start = time.monotonic()
        limits: dict[str, Any] = {"gain": TITANATE_GAIN, "tolerance": 1e-9, "budget": max_measured, "seed": seed}
        result, arrays = mapped(scan, "Ti L", host=True, **limits)
        times.append(time.monotonic() - start)
        r2.append(result["r2"])
        plain.append(mapped(scan, "Ti L", **limits)[0]["r2"])
        sigmas.append(_sigmas(arrays, arrays["measured"].ravel() == 0))
        distrusted.append(result["model_distrusted"])
        withheld = np.random.default_rng(1000 + seed).permutation(arrays["measured"].size)[:60]
        chosen = np.isin(np.arange(arrays["measured"].size), withheld)
        left_out = frozenset(int(pixel) for pixel in withheld)
        withheld_sigmas.append(_sigmas(mapped(scan, "Ti L", host=True, withheld=left_out, **limits)[1], chosen))
        limits |= {"tolerance": 0.15, "budget": max_measured if short is Form.SMOKE else None}
        result, arrays = mapped(scan, "Ti L", host=True, **limits)
        stops.append(result["measured"])
        reached.append(result["tolerance_reached"])
        stop_r2.append(result["r2"])
        stop_sigmas.append(_sigmas(arrays, arrays["measured"].ravel() == 0))
        distrusted.append(result["model_distrusted"])
    unmeasured_sigmas, held_out = np.concatenate(sigmas), np.concatenate(withheld_sigmas)
    mean, covered, random_covered = float(np.mean(r2)), _covered(unmeasured_sigmas), _covered(held_out)
    low, high = _covered(unmeasured_sigmas, 0.6), _covered(unmeasured_sigmas, 1.6)

    def calibrated(share: float) -> bool:
        return 0.87 <= share <= 0.93

    return [
        case(f"R2 of the Ti map on unmeasured pixels, {max_measured} measured, mean of {count} seeds", mean, "1", ">= 0.82", mean >= 0.82),
        case("the same, worst seed", min(r2), "1", "", None),
        case("the same without the physical model, mean", float(np.mean(plain)), "1", "", None),
        case("coverage of 90 % intervals, unmeasured pixels, pooled", covered, "1", "0.87 to 0.93", calibrated(covered)),
        case("coverage, 60 pixels withheld at random, pooled", random_covered, "1", "0.87 to 0.93", calibrated(random_covered)),
        case("coverage with variance x 0.6 (must fail)", low, "1", "outside 0.87 to 0.93", not calibrated(low)),
        case("coverage with variance x 1.6 (must fail)", high, "1", "outside 0.87 to 0.93", not calibrated(high)),
        case("seeds that stop by themselves at tolerance 15 %", sum(reached), "seeds", f"{count}", all(reached)),
        case("spectra measured then, largest of the seeds", max(stops), "spectra", "< 294", max(stops) < 294),
        case("spectra measured then, median", float(np.median(stops)), "spectra", "", None),
        case("R2 then, mean", float(np.mean(stop_r2)), "1", "", None),
        case("coverage then, pooled", _covered(np.concatenate(stop_sigmas)), "1", "", None),
        case("runs in which the model was distrusted", sum(distrusted), "runs", "0", not any(distrusted)),
        case("time of the first run, compilation included", times[0], "s", "< 120", times[0] < 120),
        case("time of a later run, median", float(np.median(times[1:])), "s", "", None),
    ]  # fmt: skip


def _sigmas(arrays: dict[str, np.ndarray], pixels: np.ndarray) -> np.ndarray:
    """Recorded minus predicted in standard deviations, counting noise included, at some pixels."""
    spread = np.sqrt(arrays["predicted_std"] ** 2 + arrays["recorded_std"] ** 2)
    return ((arrays["recorded"] - arrays["predicted"]) / spread).ravel()[pixels]
