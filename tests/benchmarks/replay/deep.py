"""Deep kernels, plain ones and their average: maps from a fifth of the pixels, each session choosing its own; coverage, evidence, time of a decision."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from learn.design.acquisition import next_pixels
from learn.design.sampling import spread_out
from learn.gp.deep_kernel import ComparedMap, DeepGPMap, patch_inputs
from learn.gp.spectra import GPMap, image_features
from learn.mapping.host import HostClaims, host_response
from learn.mapping.loop import SPREAD_OVER
from learn.mapping.models import MapModel
from reconstruct.measurement.scanned import pixel_data, pixel_quantity
from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.benchmarks.replay import scans
from tests.benchmarks.replay.specimens import Recording, film, sheet
from tests.recorded import data_folder

INITIAL, BATCH = 12, 8
Z90 = float(norm.ppf(0.95))


class Outcome(NamedTuple):
    """One session: variance explained at each of the numbers of pixels, deviations in standard deviations at the last, ``measured`` pixels, seconds of
    decisions, and the weight of the deep kernel where it is averaged."""

    r2: dict[int, float]
    sigmas: np.ndarray
    measured: np.ndarray
    seconds: list[float]
    weight: float


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
        scans.HOST,
        "Ti L",
        scans.TITANIUM.signal,
        survey,
        scan.finer,
        HostClaims(known.energy, known.convergence, known.collection),
    )
    return Recording("titanate", survey, scan.finer, values, variances, host.response)


def session(
    recording: Recording, model: MapModel, seed: int, marks: list[int], path: np.ndarray | None = None
) -> Outcome:
    """Measure up to the last of ``marks`` pixels, the first ones spread out as a replay's are, the others chosen by the model; or along a ``path``."""
    values, variances, count = recording.values.ravel(), recording.variances.ravel(), recording.values.size
    rng, everything = np.random.default_rng(seed), np.arange(count)
    features = image_features(recording.image, recording.finer)
    points = np.concatenate([model.positions * SPREAD_OVER / max(model.shape), features], axis=1)
    chosen = spread_out(points, INITIAL, everything, rng) if path is None else path[:INITIAL]
    r2: dict[int, float] = {}
    seconds: list[float] = []
    while True:
        start = time.perf_counter()
        prediction = model.predict(chosen, values[chosen], variances[chosen])
        others = np.setdiff1d(everything, chosen)
        off = values[others] - prediction.mean[others]
        if chosen.size in marks:
            r2[chosen.size] = float(1.0 - (off**2).sum() / ((values[others] - values[others].mean()) ** 2).sum())
        if chosen.size >= marks[-1]:
            sigmas = off / np.sqrt(prediction.std[others] ** 2 + variances[others])
            weight = model.evidence.weight if isinstance(model, ComparedMap) else np.nan
            return Outcome(r2, sigmas, chosen, seconds, weight)
        size = min(BATCH, next(mark for mark in marks if mark > chosen.size) - chosen.size)
        noise = np.full(count, variances[chosen].mean())
        new = next_pixels("variance", prediction, noise, others, size, chosen)
        seconds.append(time.perf_counter() - start)
        chosen = np.append(chosen, new if path is None else path[chosen.size : chosen.size + size])


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """Means of ten seeds on three recordings; of three if ``short``, and of one on the sheet in the smoke form."""
    recordings = [sheet(progress)]
    if short is not Form.SMOKE:
        known = titanate()
        recordings = [*recordings, film(progress)]
        if known is not None:
            crystal = known._replace(name="titanate with its crystal")
            recordings = [known._replace(response=None), crystal, *recordings]
    rows: list[Case] = []
    gains = []
    for recording in recordings:
        made, gain = _compared(recording, (10, 3, 1)[short], short, progress)
        rows += made
        gains.append(gain)
    if data_folder() is None:
        rows.append(case("deep kernel on the titanate", None, "", "needs the recorded data (EMTWIN_DATA)", None))
    better, seconds = sum(gain > 0 for gain in gains), _large_map(progress)
    return [
        *rows,
        case("recordings on which the deep kernel explains more", better, "recordings", ">= 1", better >= 1),
        case("time of a decision on a map of 1024 pixels, median", seconds, "s", "<= 0.5", seconds <= 0.5),
    ]


def _models(recording: Recording, seed: int) -> dict[str, Callable[[], MapModel]]:
    shape = (recording.values.shape[0], recording.values.shape[1])
    features, patches = image_features(recording.image, recording.finer), patch_inputs(recording.image, recording.finer)

    def plain() -> GPMap:
        return GPMap(shape, features, response=recording.response)

    def deep() -> DeepGPMap:
        return DeepGPMap(shape, features, patches, seed, recording.response)

    return {"plain": plain, "deep": deep, "average": lambda: ComparedMap(plain(), deep())}


def _compared(recording: Recording, seeds: int, short: Form, progress: Callable[..., None]) -> tuple[list[Case], float]:
    """Rows of one recording, and by how much more of the variance the deep kernel explains."""
    size = recording.values.size
    marks = [48, 60] if recording.name.startswith("titanate") else [size // 5]
    marks = [28] if short is Form.SMOKE else marks
    outcomes: dict[str, list[Outcome]] = {"plain": [], "deep": [], "average": []}
    same = []
    for seed in range(seeds):
        progress(f"{recording.name}, seed {seed}", seed / seeds)
        models = _models(recording, seed)
        for name, build in models.items():
            outcomes[name].append(session(recording, build(), seed, marks))
        plain = outcomes["plain"][-1]
        along = session(recording, models["deep"](), seed, marks, plain.measured)
        same.append(along.r2[marks[-1]] - plain.r2[marks[-1]])
    means = {
        (name, at): float(np.mean([each.r2[at] for each in every])) for name, every in outcomes.items() for at in marks
    }
    rows = [row for at in marks for row in _explained(f"{recording.name}, {at} of {size} pixels", at, outcomes)]
    what, error = f"{recording.name}, {marks[-1]} of {size} pixels", float(np.std(same) / np.sqrt(max(seeds - 1, 1)))
    rows += [
        case(f"{what}: R2 of deep minus plain on the plain kernel's pixels", float(np.mean(same)), "1", "", None),
        case(f"{what}: standard error of that", error, "1", "", None),
        case(
            f"{what}: weight of deep in the average, mean",
            float(np.mean([each.weight for each in outcomes["average"]])),
            "1",
            "",
            None,
        ),
    ]
    for name, every in outcomes.items():
        rows += _held(f"{what}: {name}", np.concatenate([each.sigmas for each in every]), name != "plain")
        seconds = float(np.median([each for outcome in every for each in outcome.seconds[1:]]))
        rows.append(case(f"{what}: {name}, time of a decision, median", seconds, "s", "<= 0.5", seconds <= 0.5))
    return rows, means["deep", marks[-1]] - means["plain", marks[-1]]


def _explained(what: str, at: int, outcomes: dict[str, list[Outcome]]) -> list[Case]:
    made = {name: np.array([each.r2[at] for each in every]) for name, every in outcomes.items()}
    plain = float(made["plain"].mean())
    rows = [case(f"{what}: R2 of the others, plain kernel", plain, "1", "", None)]
    for name in ("deep", "average"):
        mean, error = float(made[name].mean()), float(made[name].std() / np.sqrt(max(made[name].size - 1, 1)))
        rows.append(case(f"{what}: R2, {name}", mean, "1", ">= plain", mean >= plain))
        rows.append(case(f"{what}: R2, {name}, standard error of the mean", error, "1", "", None))
        rows.append(case(f"{what}: R2, {name}, worst seed", float(made[name].min()), "1", "", None))
    return rows


def _held(what: str, sigmas: np.ndarray, judged: bool) -> list[Case]:
    held, narrow = (float((np.abs(sigmas) < factor * Z90).mean()) for factor in (1.0, 0.6))
    row = case(f"{what}, 90 % intervals hold", held, "1", "0.85 to 0.95", 0.85 <= held <= 0.95 if judged else None)
    if not judged:
        return [row]
    return [row, case(f"{what}, intervals x 0.6 (must fail)", narrow, "1", "outside", not 0.85 <= narrow <= 0.95)]


def _large_map(progress: Callable[..., None]) -> float:
    """Median time to take in up to 8 more of up to 96 values of a map of 32 x 32 pixels, to predict all, and to choose the next ones."""
    progress("a map of 1024 pixels")
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((1024, 16))
    values = np.tanh(inputs[:, 0] + inputs[:, 1]) + 0.1 * rng.standard_normal(1024)
    model, order, seconds, noise = (
        DeepGPMap((32, 32), inputs[:, :8], inputs[:, 8:]),
        rng.permutation(1024),
        [],
        np.full(1024, 0.01),
    )
    for count in (68, 76, 84, 92, 96):
        start = time.perf_counter()
        prediction = model.predict(order[:count], values[order[:count]], noise[:count])
        next_pixels("variance", prediction, noise, order[count:], 13, order[:count])
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]))
