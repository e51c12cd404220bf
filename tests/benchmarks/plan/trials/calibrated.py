"""Settings of a recording by what its reference columns count, as whoever analyses it would find them: the test is made at these."""

from typing import NamedTuple

import numpy as np

from learn.feasibility.imaged import exit_waves, image_of, mean_image, pixels_of, unknowns_of
from learn.feasibility.scans import ABERRATIONS, Probe, derivatives_of, patterns_of
from learn.information import Signature
from tests.benchmarks.plan.trials.predicted import MODEL, Crystal, Predicted, lens_of
from tests.benchmarks.plan.trials.specimens import SHIFT, Image
from twin.optics.aberrations import coefficients

STEPS = 3
"""Of each fit (Gauss-Newton)."""
LEAST_SOURCE = 0.05
GAIN = 0.05
"""By how much gains of recordings differ (rms)."""


class Fit(NamedTuple):
    """A ``crystal`` and a ``probe`` with their ``misfit``."""

    crystal: Crystal
    probe: Probe
    misfit: float


def calibrated(made: Predicted, name: str, counts: np.ndarray, electrons: float) -> Signature:
    """The change in the counts of a technique at the settings that fit ``counts`` [m] best, the mean of all references, of ``electrons`` in all."""
    fits = [_fitted(made, name, crystal, counts, electrons) for crystal in made.crystals]
    best = min(fits, key=lambda each: each.misfit)
    return made.signature(name, made.seen(name, best.crystal, best.probe))


def _fitted(made: Predicted, name: str, crystal: Crystal, counts: np.ndarray, electrons: float) -> Fit:
    """By the counts and what is known before of the settings, from the assumed ones on."""
    study = made.study
    names = [*ABERRATIONS, *(() if isinstance(study.techniques[name], Image) else ("source",)), "x", "y", "gain"]
    widths = np.array([{"x": SHIFT, "y": SHIFT, "gain": GAIN, **study.priors}[each] for each in names])
    linear = np.isin(names, ("x", "y", "gain"))
    state, columns = np.zeros(len(names)), np.zeros((len(counts), len(names)))
    for _ in range(STEPS):
        rates, slopes = _modelled(made, name, crystal, _probe(made, names, state))
        columns = electrons * np.stack([rates if each == "gain" else slopes[each] for each in names], 1)
        inverse = 1.0 / _variance(made, name, electrons * rates)
        begun = np.where(linear, 0.0, state)
        information = columns.T @ (columns * inverse[:, None]) + np.diag(1.0 / widths**2)
        wanted = columns.T @ (inverse * (counts - electrons * rates)) - begun / widths**2
        state = np.clip(begun + np.linalg.solve(information, wanted), -3.0 * widths, 3.0 * widths)
    probe = _probe(made, names, state)
    rates = _rates(made, name, crystal, probe)
    left = counts - electrons * rates - columns[:, linear] @ state[linear]
    misfit = float(np.sum(left**2 / _variance(made, name, electrons * rates)) + np.sum((state / widths) ** 2))
    return Fit(crystal, probe, misfit)


def _variance(made: Predicted, name: str, expected: np.ndarray) -> np.ndarray:
    """Of the mean of the references: their counting noise, and the error that the model is taken to have."""
    study, places = made.study, expected.reshape(-1, len(made.detectors[name].weights))
    references = study.repeats[0] * study.repeats[1] - 1
    wrong = (MODEL * (places - places.mean(0))).ravel()
    return np.maximum(expected, 1e-3) / references + wrong**2


def _probe(made: Predicted, names: list[str], state: np.ndarray) -> Probe:
    by_name, study = dict(zip(names, state, strict=True)), made.study
    vector = coefficients({"C10": study.c10}) + coefficients({each: by_name[each] for each in ABERRATIONS})
    return Probe(vector, max(study.source + by_name.get("source", 0.0), LEAST_SOURCE))


def _rates(made: Predicted, name: str, crystal: Crystal, probe: Probe) -> np.ndarray:
    technique = made.study.techniques[name]
    if isinstance(technique, Image):
        seen = image_of(crystal.perfect, made.window, lens_of(made.study, technique, probe.coefficients))
    else:
        seen = patterns_of(crystal.perfect, made.window, probe)
    return made.detectors[name].counted(seen).ravel() / len(seen)


def _modelled(made: Predicted, name: str, crystal: Crystal, probe: Probe) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Rates and their derivatives for each electron over the window."""
    technique, perfect = made.study.techniques[name], crystal.perfect
    if isinstance(technique, Image):
        lens = lens_of(made.study, technique, probe.coefficients)
        waves = exit_waves(perfect.amplitudes, perfect)
        picture, pixels = mean_image(waves, perfect, lens), pixels_of(perfect, made.window)[0]
        slopes = unknowns_of(perfect, waves, picture, lens, pixels)
    else:
        slopes = derivatives_of(perfect, made.window, probe)
    rates = _rates(made, name, crystal, probe)
    detector = made.detectors[name]
    return rates, {each: detector.counted(slope).ravel() / len(slope) for each, slope in slopes.items()}
