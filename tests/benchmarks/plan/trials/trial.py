"""Trials: a recording of abTEM's mean counts, and the planner's test of one of its columns against the others."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from instrument.core.result_cache import load_or_compute
from learn.information import Tests
from tests.benchmarks.plan.trials import truth
from tests.benchmarks.plan.trials.calibrated import GAIN, settings_by, signature_at
from tests.benchmarks.plan.trials.predicted import Crystal, Predicted
from tests.benchmarks.plan.trials.specimens import JITTER, Study
from twin.cache_folder import usable_cache

FALSE_ALARMS = 0.05


def true_fields(
    study: Study,
    made: Predicted,
    recordings: int,
    configurations: tuple[int, int],
    progress: Callable[..., None],
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """abTEM's, from the cache if they are there."""
    settings = truth.drawn(study, recordings, study.nodes[1], seed)
    weights = {name: each.weights for name, each in made.detectors.items()}
    inputs = {
        "study": repr(study._replace(cell=None, roughness=0.0)), "positions": study.cell.positions, "symbols": "".join(study.cell.symbols), "u2": study.cell.u2,
        "cell": study.cell.cell, "settings": [list(each) for each in settings], "configurations": list(configurations), "motion": truth.MOTION,
        "weights": weights, "gpts": list(made.matrices.gpts),
    }  # fmt: skip

    def compute() -> dict[str, np.ndarray]:
        return truth.fields(study, made.matrices, made.window, weights, settings, configurations, progress)

    return load_or_compute(usable_cache(), "trials", truth.VERSION, inputs, compute, progress)


class Trials(NamedTuple):
    """``detected`` and ``alarmed`` [trials]: whether the test found a change where there is one, and where there is none."""

    detected: np.ndarray
    alarmed: np.ndarray


def tried(
    made: Predicted,
    doses: Sequence[float],
    fields: dict[str, np.ndarray],
    name: str,
    count: int,
    seed: int,
    crystals: Sequence[Crystal] = (),
) -> list[Trials]:
    """``count`` trials of a technique at each of ``doses`` (electrons over a window, rising), on its mean counts in ``fields``. Tests are made at the
    settings that references of each recording tell at that dose, of ``crystals`` with more configurations of thermal motion than the plan has; without
    crystals at those that are assumed."""
    study, columns = made.study, made.study.repeats[0] * made.study.repeats[1]
    outcome = np.zeros((len(doses), 2, count), bool)
    rng = np.random.default_rng([seed, 11])
    recordings = len(fields[f"{name} perfect"])
    for recording in range(recordings):
        scenes = [_slopes(fields[f"{name} {kind}"][recording], study) for kind in ("changed", "perfect")]
        thickness = fields[f"{name} thickness"][recording]
        tests, fit = [], None
        for dose in doses:
            signature = made.signatures[name][0]
            if crystals:
                counts = _recorded(scenes[0], thickness, 0, dose, study, rng)[1]
                fit = settings_by(made, name, counts.mean(0), dose, fit)
                signature = signature_at(made, name, crystals[fit.crystal], fit)
            tests.append(Tests(signature, columns - 1).at(dose, weights=True))
        thresholds = [each.threshold(FALSE_ALARMS) for each in tests]
        for which, scene in enumerate(scenes):
            for number in range(recording, count, recordings):
                for at, (dose, test, threshold) in enumerate(zip(doses, tests, thresholds, strict=True)):
                    tested = int(rng.integers(columns)) if which else 0
                    value = test.of_counts(*_recorded(scene, thickness, tested, dose, study, rng))
                    outcome[at, which, number] = value > threshold
    return [Trials(*each) for each in outcome]


def _recorded(
    scenes: Sequence[np.ndarray],
    thickness: np.ndarray,
    tested: int,
    dose: float,
    study: Study,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Counts [m] of the column that is tested, and [n, m] of all others."""
    field, *along = scenes
    columns = len(field)
    share = dose / (field.shape[1] * field.shape[2]) * (1.0 + GAIN * rng.standard_normal())
    x, y = JITTER * rng.standard_normal((2, columns, 1, 1, 1))
    moved = sum(each * slope for each, slope in zip((x, y, 0.5 * x * x, 0.5 * y * y, x * y), along, strict=True))
    rough = study.roughness * rng.standard_normal((columns, 1, 1, 1))
    means = share * np.maximum(field + moved + rough * thickness, 0.0)
    counts = rng.poisson(means).reshape(columns, -1)
    return counts[tested], np.delete(counts, tested, axis=0)


def _slopes(field: np.ndarray, study: Study) -> list[np.ndarray]:
    """The columns' counts, and their derivatives in the specimen's place: along x, y, xx, yy and xy."""
    sides = [study.cell.cell[axis] * study.repeats[axis] for axis in range(2)]
    ny, nx = field.shape[:2]
    fx, fy = np.fft.fftfreq(nx, sides[0] / nx)[None, :, None], np.fft.fftfreq(ny, sides[1] / ny)[:, None, None]
    spectrum = np.fft.fft2(field, axes=(0, 1))
    x, y = -2j * np.pi * fx, -2j * np.pi * fy
    along = [np.fft.ifft2(spectrum * each, axes=(0, 1)).real.astype(np.float32) for each in (x, y, x * x, y * y, x * y)]
    return [_windows(each[None], study.repeats)[0] for each in (field, *along)]


def _windows(fields: np.ndarray, repeats: tuple[int, ...]) -> np.ndarray:
    """[recordings, columns, ny, nx, channels], the first column that of the change."""
    count, ny, nx, channels = fields.shape
    split = fields.reshape(count, repeats[1], ny // repeats[1], repeats[0], nx // repeats[0], channels)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(count, -1, ny // repeats[1], nx // repeats[0], channels)
