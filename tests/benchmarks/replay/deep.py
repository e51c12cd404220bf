"""Deep kernels against the plain ones: maps from a fifth of their pixels, each session choosing its own; coverage, evidence and time of an update."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from learn.design.acquisition import next_pixels
from learn.design.sampling import spread_out
from learn.gp.deep_kernel import DeepGPMap, patch_inputs
from learn.gp.evidence import compare
from learn.gp.spectra import GPMap, image_features
from learn.mapping.host import HostClaims, host_response
from learn.mapping.loop import SPREAD_OVER
from reconstruct.measurement.scanned import pixel_data, pixel_quantity
from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.benchmarks.replay import scans
from tests.benchmarks.replay.specimens import Recording, film, sheet
from tests.recorded import data_folder

INITIAL, BATCH = 12, 8
Z90 = float(norm.ppf(0.95))


class Outcome(NamedTuple):
    """One session: variance explained at each of the numbers of pixels, deviations in standard deviations and evidence at the last, seconds of updates."""

    r2: dict[int, float]
    sigmas: np.ndarray
    left_out: np.ndarray
    measured: np.ndarray
    seconds: list[float]


def titanate() -> Recording | None:
    """The Ti L counts of the recorded titanate; None without the recording."""
    folder = data_folder()
    if folder is None:
        return None
    scan = scans.titanate(folder)
    shape = scan.shape
    claims = {key: claim.value for key, claim in scan.cube.claims.items()}
    known = pixel_data(scan.axes, claims, str(scan.cube.raw.get("unit", "")), scans.TITANATE_GAIN)
    quantity = pixel_quantity(scans.TITANIUM, known)
    spectra = np.asarray(scan.data, np.float64).reshape(shape[0] * shape[1], -1)
    quantity.learn(spectra[::18])
    values, variances = (np.asarray(each).reshape(shape) for each in quantity.values(spectra))
    survey = scan.survey.astype(np.float64)
    host = host_response(
        scans.HOST, "Ti L", scans.TITANIUM.signal, survey, scan.finer, HostClaims(known.energy, known.convergence, known.collection)
    )
    return Recording("titanate", survey, scan.finer, values, variances, host.response)


def session(
    recording: Recording, model: GPMap | DeepGPMap, features: np.ndarray, seed: int, marks: list[int]
) -> Outcome:
    """Measure up to the last of ``marks`` pixels, the first ones spread out as a replay's are."""
    values, variances, count = recording.values.ravel(), recording.variances.ravel(), recording.values.size
    rng, everything = np.random.default_rng(seed), np.arange(count)
    points = np.concatenate([model.positions * SPREAD_OVER / max(model.shape), features], axis=1)
    chosen = spread_out(points, INITIAL, everything, rng)
    r2: dict[int, float] = {}
    seconds: list[float] = []
    while True:
        start = time.perf_counter()
        prediction = model.predict(chosen, values[chosen], variances[chosen])
        seconds.append(time.perf_counter() - start)
        others = np.setdiff1d(everything, chosen)
        off = values[others] - prediction.mean[others]
        if chosen.size in marks:
            r2[chosen.size] = float(1.0 - (off**2).sum() / ((values[others] - values[others].mean()) ** 2).sum())
        if chosen.size >= marks[-1]:
            assert prediction.left_out is not None
            sigmas = off / np.sqrt(prediction.std[others] ** 2 + variances[others])
            return Outcome(r2, sigmas, prediction.left_out, chosen, seconds)
        size = min(BATCH, next(mark for mark in marks if mark > chosen.size) - chosen.size)
        noise = np.full(count, variances[chosen].mean())
        chosen = np.append(chosen, next_pixels("variance", prediction, noise, others, size, chosen))


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """Means of ten seeds on three recordings; of three if ``short``, and of one on the sheet in the smoke form."""
    recordings = [sheet(progress)]
    if short is not Form.SMOKE:
        known = titanate()
        recordings = [*([known] if known else []), *recordings, film(progress)]
    rows: list[Case] = []
    gains = []
    for recording in recordings:
        made, gain = _compared(recording, (10, 3, 1)[short], short, progress)
        rows += made
        gains.append(gain)
    if data_folder() is None:
        rows.append(case("deep kernel on the titanate", None, "", "needs the recorded data (EMTWIN_DATA)", None))
    better = sum(gain > 0 for gain in gains)
    return [
        *rows,
        case("recordings on which the deep kernel explains more", better, "recordings", ">= 1", better >= 1),
        case("time of an update and prediction of 1024 pixels, median", _large_map(progress), "s", "<= 0.5", None),
    ]


def _compared(recording: Recording, seeds: int, short: Form, progress: Callable[..., None]) -> tuple[list[Case], float]:
    """Rows of one recording, and by how much more of the variance the deep kernel explains."""
    values, variances = recording.values.ravel(), recording.variances.ravel()
    shape = (recording.values.shape[0], recording.values.shape[1])
    features, inputs = image_features(recording.image, recording.finer), patch_inputs(recording.image, recording.finer)
    marks = [48, 60] if recording.name == "titanate" else [values.size // 5]
    marks = [20] if short is Form.SMOKE else marks
    outcomes: dict[str, list[Outcome]] = {"plain": [], "deep": []}
    used, nats = [], []
    for seed in range(seeds):
        progress(f"{recording.name}, seed {seed}", seed / seeds)
        plain, deep = GPMap(shape, features), DeepGPMap(shape, features, inputs, seed)
        for name, model in (("plain", plain), ("deep", deep)):
            outcomes[name].append(session(recording, model, features, seed, marks))
        last = outcomes["deep"][-1]
        at = last.measured
        again = plain.predict(at, values[at], variances[at])
        assert again.left_out is not None
        comparison = compare(again.left_out, last.left_out)
        nats.append(comparison.difference)
        used.append(comparison.difference > 0)
    deep, plain = outcomes["deep"], outcomes["plain"]
    most = marks[-1]
    means = {name: float(np.mean([each.r2[most] for each in every])) for name, every in outcomes.items()}
    sigmas = {name: np.concatenate([each.sigmas for each in every]) for name, every in outcomes.items()}
    covered = float((np.abs(sigmas["deep"]) < Z90).mean())
    narrow = float((np.abs(sigmas["deep"]) < 0.6 * Z90).mean())
    seconds = float(np.median([each for outcome in deep for each in outcome.seconds[1:]]))
    what = f"{recording.name}, {most} of {values.size} pixels"
    rows = [
        case(f"{what}: R2 of the others, deep kernel", means["deep"], "1", ">= plain", means["deep"] >= means["plain"]),
        case(f"{what}: plain kernel", means["plain"], "1", "", None),
        case(f"{what}: deep kernel, worst seed", min(each.r2[most] for each in deep), "1", "", None),
        case(f"{what}: 90 % intervals, deep", covered, "1", "0.85 to 0.95", 0.85 <= covered <= 0.95),
        case(f"{what}: intervals x 0.6 (must fail)", narrow, "1", "outside", not 0.85 <= narrow <= 0.95),
        case(f"{what}: 90 % intervals, plain", float((np.abs(sigmas["plain"]) < Z90).mean()), "1", "", None),
        case(f"{what}: evidence for the deep kernel, mean", float(np.mean(nats)), "nats", "", None),
        case(f"{what}: seeds in which it is used", sum(used), f"of {seeds}", "", None),
        case(f"{what}: time of an update, median", seconds, "s", "<= 0.5", seconds <= 0.5),
    ]
    if recording.name == "titanate" and short is not Form.SMOKE:
        at_48 = float(np.mean([each.r2[48] for each in deep]))
        plain_48 = float(np.mean([each.r2[48] for each in plain]))
        rows.append(case("titanate, 48 pixels: deep kernel", at_48, "1", ">= 0.80", at_48 >= 0.80))
        rows.append(case("titanate, 48 pixels: plain kernel", plain_48, "1", "", None))
        rows.append(case("titanate, 60 pixels: deep kernel", means["deep"], "1", ">= 0.82", means["deep"] >= 0.82))
    return rows, means["deep"] - means["plain"]


def _large_map(progress: Callable[..., None]) -> float:
    """Median time to take in 4 more of up to 96 values of a map of 32 x 32 pixels, and to predict all."""
    progress("a map of 1024 pixels")
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((1024, 16))
    values = np.tanh(inputs[:, 0] + inputs[:, 1]) + 0.1 * rng.standard_normal(1024)
    model, order, seconds = DeepGPMap((32, 32), inputs[:, :8], inputs[:, 8:]), rng.permutation(1024), []
    for count in (68, 72, 76, 80, 84, 88, 92, 96):
        start = time.perf_counter()
        model.predict(order[:count], values[order[:count]], np.full(count, 0.01))
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]))
