"""Benchmark of the titanate map from few spectra: prediction error, interval coverage, and stopping at the tolerance."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import norm

from instrument.replay import ReplayInstrument
from scenarios.replay.host import Host
from scenarios.replay.titanate import acquire_map
from tests.benchmarks._case import case
from tests.benchmarks._form import Form
from tests.recorded import data_folder

Z90 = float(norm.ppf(0.95))
HOST = Host("SrTiO3", (1, 1, 0), 100.0)
"""The crystal of the preset replay-titanate."""


def _covered(sigmas: np.ndarray, variance_factor: float = 1.0) -> float:
    return float((np.abs(sigmas) <= Z90 * np.sqrt(variance_factor)).mean())


def cases(short: Form, progress: Callable[..., None]) -> list[dict[str, Any]]:
    """All numbers of the replay of ten seeds; of five if ``short``, and of two that measure little in the smoke form."""
    folder = data_folder()
    if folder is None:
        return [case("replay of the titanate", None, "", "needs the recorded data (EMTWIN_DATA)", None)]
    progress("reading the recording")
    instrument = ReplayInstrument(folder)
    count, max_measured = (10, 5, 2)[short], 16 if short is Form.SMOKE else 60
    r2, plain, sigmas, withheld_sigmas, times = [], [], [], [], []
    stops, reached, stop_r2, distrusted, stop_sigmas = [], [], [], [], []
    for seed in range(count):
        progress(f"seed {seed}", seed / count)
        start = time.monotonic()
        result, arrays = acquire_map(instrument, tolerance=1e-9, max_measured=max_measured, seed=seed, host=HOST)
        times.append(time.monotonic() - start)
        r2.append(result["r2"])
        plain.append(acquire_map(instrument, tolerance=1e-9, max_measured=max_measured, seed=seed)[0]["r2"])
        sigmas.append(_sigmas(arrays, arrays["measured"].ravel() == 0))
        distrusted.append(result["model_distrusted"])
        withheld = np.random.default_rng(1000 + seed).permutation(arrays["measured"].size)[:60]
        chosen = np.isin(np.arange(arrays["measured"].size), withheld)
        withheld_run = acquire_map(
            instrument,
            tolerance=1e-9,
            max_measured=max_measured,
            seed=seed,
            withheld=frozenset(int(pixel) for pixel in withheld),
            host=HOST,
        )
        withheld_sigmas.append(_sigmas(withheld_run[1], chosen))
        most = max_measured if short is Form.SMOKE else None
        result, arrays = acquire_map(instrument, seed=seed, max_measured=most, host=HOST)
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
