"""Power and false alarms of a plan's own tests on counts by abTEM, at the doses where the plan promises them.

The prediction is the planner's: its potentials, its few configurations of thermal motion, no knowledge of what is true. Each trial has one recording's settings
and layers, a column that is tested and the others of the field as references.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from instrument.core.result_cache import load_or_compute
from learn.feasibility.imaged import imaged
from learn.feasibility.layers import covered, image_variations, scan_variations
from learn.feasibility.matrices import Matrices, matrices_of
from learn.feasibility.scanned import Detector, Unknown, annular, camera, scanned, signature_of
from learn.feasibility.scans import Probe, Window
from learn.feasibility.settings import lenses_about, probes_about
from learn.information import Signature, Tests
from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.benchmarks.plan.trials import truth
from tests.benchmarks.plan.trials.specimens import Image, Ring, Study, Technique, studies
from twin.cache_folder import usable_cache
from twin.optics.aberrations import coefficients
from twin.optics.transfer import Imaging

PHONONS, SETTINGS, LAYERS = 6, 8, 16
"""Of the prediction: configurations of thermal motion, settings besides the nominal, examples of amorphous layers."""
POWERS = (0.5, 0.8, 0.95)
FALSE_ALARMS = 0.05
TRIALS = (200, 100, 6)
RECORDINGS, CONFIGURATIONS = (16, 16, 4), ((20, 3), (20, 3), (2, 1))
"""Of the truth: recordings, and configurations of thermal motion without layers and with them."""
SHORT = {Form.SHORT: ("O vacancy in SrTiO3", "S vacancy in MoS2"), Form.SMOKE: ("S vacancy in MoS2",)}
EACH, POOLED, APART = 0.12, 0.05, 1.5
"""By how much powers may differ in a case and over all, and ratio of doses from which on techniques must be ranked rightly."""
JITTER, GAIN = 0.05, 0.05
"""By how much columns are displaced against one another (rms, angstrom), and gains of recordings differ (rms)."""


class Tried(NamedTuple):
    """A case: the ``doses`` (electrons per square angstrom) at which the planner ``promised`` powers, and the powers and rates of false alarms ``measured``."""

    study: str
    technique: str
    doses: np.ndarray
    promised: np.ndarray
    measured: np.ndarray
    alarms: np.ndarray

    @property
    def difference(self) -> float:
        """Of measured and promised power where they differ most."""
        return float(np.abs(self.measured - self.promised).max())

    @property
    def dose(self) -> float:
        """At which the power measured is 0.8: on a line of the powers' normal quantiles over the logarithm of dose."""
        quantiles = norm.ppf(np.clip(self.measured, 0.005, 0.995))
        slope, start = np.polyfit(np.log(self.doses), quantiles, 1)
        return float(np.exp((norm.ppf(0.8) - start) / max(slope, 1e-9)))


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """Power and false alarms of each case, of all, the order of techniques, and the same of a planner to whom nothing is unknown."""
    chosen = [each for each in studies() if not short or each.name in SHORT[short]]
    honest: list[Tried] = []
    sure: list[Tried] = []
    rows: list[Case] = []
    count = TRIALS[short]
    for study in chosen:
        few = {"phonons": 2, "settings": 2, "layers": 4} if short is Form.SMOKE else {}
        made = predicted(study, **few)
        fields = true_fields(study, made, RECORDINGS[short], CONFIGURATIONS[short], progress)
        progress(f"trials, {study.name}")
        honest += _tried(study, made, fields, count)
        certain = predicted(study, phonons=few.get("phonons", PHONONS), settings=0, layers=0)
        sure += _tried(study, certain, fields, count)
    for each in honest:
        for row in zip(each.doses, each.promised, each.measured, strict=True):
            dose, promised, measured = row
            name = f"{each.study}, {each.technique}, {dose:.3g} e/A^2: power measured ({promised:.2f} promised)"
            rows.append(case(name, measured))
    for each in honest:
        name = f"{each.study}, {each.technique}: largest difference of power"
        rows.append(case(name, each.difference, "", f"at most {EACH}", each.difference <= EACH))
    for each in honest:
        rows.append(_alarms(f"{each.study}, {each.technique}", each.alarms, count))
    rows.append(_pooled("all", honest, True))
    rows.append(_alarms("all", np.concatenate([each.alarms for each in honest]), count))
    rows.append(_ranked(honest))
    rows.append(_pooled("a planner to whom nothing is unknown", sure, False))
    return rows


def _tried(study: Study, made: Predicted, fields: dict[str, np.ndarray], count: int) -> list[Tried]:
    results = []
    for name, signature in made.signatures.items():
        tests = Tests(signature, study.repeats[0] * study.repeats[1] - 1)
        doses = [tests.dose(power, FALSE_ALARMS) for power in POWERS]
        if not np.all(np.isfinite(doses)):
            raise ValueError(f"{study.name}, {name}: no dose gives power {POWERS[-1]}; this technique cannot be tried")
        trials = tried(tests, doses, study, fields, name, count, 1)
        measured, alarms = (np.array([each[which].mean() for each in trials]) for which in range(2))
        results.append(Tried(study.name, name, np.array(doses) / made.window.area, np.array(POWERS), measured, alarms))
    return results


def _alarms(name: str, rates: np.ndarray, count: int) -> Case:
    """Three standard deviations are allowed."""
    error = 3.0 * float(np.sqrt(FALSE_ALARMS * (1.0 - FALSE_ALARMS) / (count * len(rates))))
    rate = float(rates.mean())
    return case(
        f"{name}: false alarms", rate, "", f"{FALSE_ALARMS} within {error:.4f}", abs(rate - FALSE_ALARMS) <= error
    )


def _pooled(name: str, tried: Sequence[Tried], agrees: bool) -> Case:
    difference = float(np.mean([each.measured - each.promised for each in tried]))
    within = abs(difference) <= POOLED
    bar = f"{'at most' if agrees else 'must exceed'} {POOLED} either way"
    return case(f"{name}: power measured less promised, mean", difference, "", bar, within == agrees)


def _ranked(tried: Sequence[Tried]) -> Case:
    """Pairs of techniques for one question whose doses differ enough, in the order that was predicted."""
    right = [
        (first.doses[1] < other.doses[1]) == (first.dose < other.dose)
        for first, other in itertools.combinations(tried, 2)
        if first.study == other.study and max(first.doses[1] / other.doses[1], other.doses[1] / first.doses[1]) >= APART
    ]
    name = f"pairs of techniques in the right order, of {len(right)}"
    return case(name, sum(right), "", f"all whose doses differ by {APART}", all(right))


class Predicted(NamedTuple):
    """What the planner makes of a study: scattering ``matrices`` of the perfect specimen, the ``window``, and by technique ``detectors`` and ``signatures``."""

    matrices: Matrices
    window: Window
    detectors: dict[str, Detector]
    signatures: dict[str, Signature]


def predicted(
    study: Study, phonons: int = PHONONS, settings: int = SETTINGS, layers: int = LAYERS, first: int = 0
) -> Predicted:
    """Signatures of all techniques from ``phonons`` configurations (the first of seed ``first``), other ``settings`` and examples of ``layers``.

    Without settings and layers columns are taken to be alike.
    """
    hypotheses = study.hypotheses(study.nodes[0])
    grid = study.grid(tuple(range(first, first + phonons)))
    perfect = matrices_of(hypotheses.perfect, grid)
    changed = [matrices_of(each, grid._replace(before=0)) for each in hypotheses.changed]
    window = study.window(hypotheses.location)
    probe = Probe(coefficients({"C10": study.c10}), study.source)
    probes = (probe, *probes_about(probe, study.priors, settings))
    scan = scanned(perfect, changed, window, probe, probes[1:])
    differences = {"x": JITTER, "y": JITTER, "thickness": study.roughness} if settings or layers else {}
    unknown = Unknown(study.priors, differences, 0.05)
    detectors = {name: _detector(technique, perfect) for name, technique in study.techniques.items()}
    over = covered(hypotheses.perfect, grid, study.layers, layers) if any(study.layers) and layers else None
    scans = [name for name, technique in study.techniques.items() if not isinstance(technique, Image)]
    varied: dict[str, np.ndarray | None] = dict.fromkeys(study.techniques)
    if over is not None:
        varied.update(
            zip(scans, scan_variations(over, window, probes, [detectors[name] for name in scans]), strict=True)
        )
    signatures = {}
    for name, technique in study.techniques.items():
        seen = scan
        if isinstance(technique, Image):
            lens = Imaging(
                coefficients({"C10": technique.c10}),
                study.energy,
                technique.aperture,
                focal_spread=technique.focal_spread,
            )
            lenses = (lens, *lenses_about(lens, study.priors, settings))
            seen = imaged(perfect, changed, window, lens, lenses[1:])
            if over is not None:
                varied[name] = image_variations(over, window, lenses)
        signatures[name] = signature_of(seen, detectors[name], unknown, varied[name])[0]
    return Predicted(perfect, window, detectors, signatures)


def _detector(technique: Technique, matrices: Matrices) -> Detector:
    if isinstance(technique, Ring):
        return annular(matrices, technique.inner, technique.outer)
    return (
        Detector(np.ones((1, 1)))
        if isinstance(technique, Image)
        else camera(matrices, technique.reach, technique.pixel)
    )


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
        "study": repr(study._replace(cell=None)), "positions": study.cell.positions, "symbols": "".join(study.cell.symbols), "u2": study.cell.u2,
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
    tests: Tests, doses: Sequence[float], study: Study, fields: dict[str, np.ndarray], name: str, count: int, seed: int
) -> list[Trials]:
    """``count`` trials of a technique at each of ``doses`` (electrons over a window), on its mean counts in ``fields``."""
    made = [tests.at(dose, weights=True) for dose in doses]
    thresholds = [each.threshold(FALSE_ALARMS) for each in made]
    outcome = np.zeros((len(doses), 2, count), bool)
    rng = np.random.default_rng([seed, 11])
    for recording in range(len(fields[f"{name} perfect"])):
        for which, kind in enumerate(("changed", "perfect")):
            scenes = _slopes(fields[f"{name} {kind}"][recording], study)
            thickness = fields[f"{name} thickness"][recording]
            for number in range(recording, count, len(fields[f"{name} perfect"])):
                for at, (dose, test, threshold) in enumerate(zip(doses, made, thresholds, strict=True)):
                    tested = int(rng.integers(len(scenes[0]))) if which else 0
                    counts = _recorded(scenes, thickness, tested, dose, study, rng)
                    assert test.weights is not None
                    value = test.statistic((test.weights @ counts)[None])[0]
                    outcome[at, which, number] = value > threshold
    return [Trials(*each) for each in outcome]


def _recorded(
    scenes: Sequence[np.ndarray],
    thickness: np.ndarray,
    tested: int,
    dose: float,
    study: Study,
    rng: np.random.Generator,
) -> np.ndarray:
    """Counts of the column that is tested less the mean of all others."""
    field, along_x, along_y = scenes
    columns = len(field)
    share = dose / (field.shape[1] * field.shape[2]) * (1.0 + GAIN * rng.standard_normal())
    moves = JITTER * rng.standard_normal((2, columns, 1, 1, 1))
    rough = study.roughness * rng.standard_normal((columns, 1, 1, 1))
    means = share * np.maximum(field + moves[0] * along_x + moves[1] * along_y + rough * thickness, 0.0)
    rest = means.sum(0) - means[tested]
    # the sum of Poisson counts is one
    return (rng.poisson(means[tested]) - rng.poisson(np.maximum(rest, 0.0)) / (columns - 1.0)).ravel()


def _slopes(field: np.ndarray, study: Study) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The columns' counts, and by how much they change where the specimen lies an angstrom further along x and y."""
    sides = [study.cell.cell[axis] * study.repeats[axis] for axis in range(2)]
    ny, nx = field.shape[:2]
    fx, fy = np.fft.fftfreq(nx, sides[0] / nx)[None, :, None], np.fft.fftfreq(ny, sides[1] / ny)[:, None, None]
    spectrum = np.fft.fft2(field, axes=(0, 1))
    along = [np.fft.ifft2(spectrum * -2j * np.pi * each, axes=(0, 1)).real.astype(np.float32) for each in (fx, fy)]
    made = [_windows(each[None], study.repeats)[0] for each in (field, *along)]
    return made[0], made[1], made[2]


def _windows(fields: np.ndarray, repeats: tuple[int, ...]) -> np.ndarray:
    """[recordings, columns, ny, nx, channels], the first column that of the change."""
    count, ny, nx, channels = fields.shape
    split = fields.reshape(count, repeats[1], ny // repeats[1], repeats[0], nx // repeats[0], channels)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(count, -1, ny // repeats[1], nx // repeats[0], channels)
