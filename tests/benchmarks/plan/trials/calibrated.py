"""Settings of a recording by what its reference columns count, as whoever analyses it would find them: the test is made at these."""

from typing import NamedTuple

import numpy as np

from learn.feasibility.imaged import exit_waves, image_of, mean_image, pixels_of, unknowns_of
from learn.feasibility.matrices import Matrices
from learn.feasibility.scans import ABERRATIONS, Probe, derivatives_of, filtered, frequencies_of, patterns_of
from learn.information import Signature
from tests.benchmarks.plan.trials.predicted import MODEL, Crystal, Predicted, lens_of
from tests.benchmarks.plan.trials.specimens import SHIFT, Image
from twin.optics.aberrations import coefficients

STEPS, MORE = 3, 2
"""Of a fit, and of one that goes on from another."""
LEAST_SOURCE = 0.05
GAIN = 0.05
"""By how much gains of recordings differ (rms)."""


class Fit(NamedTuple):
    """Settings of a recording: the number of its ``crystal``, deviations ``state`` from what is assumed, the ``probe`` and the ``shift`` (x, y) of the
    specimen by these, and the ``misfit``."""

    crystal: int
    state: np.ndarray
    probe: Probe
    shift: tuple[float, float]
    misfit: float


def settings_by(made: Predicted, name: str, counts: np.ndarray, electrons: float, before: Fit | None = None) -> Fit:
    """What fits ``counts`` [m] best, the mean of all references of a recording with ``electrons`` in all, by the plan's crystals; from a fit ``before`` on,
    if there is one."""
    if before is not None:
        return _fitted(made, name, before.crystal, counts, electrons, before.state)
    fits = [_fitted(made, name, number, counts, electrons) for number in range(len(made.crystals))]
    return min(fits, key=lambda each: each.misfit)


def _fitted(
    made: Predicted, name: str, number: int, counts: np.ndarray, electrons: float, start: np.ndarray | None = None
) -> Fit:
    """By the counts and what is known before of the settings (Gauss-Newton)."""
    study, perfect = made.study, _few(made.crystals[number].perfect)
    names = [*ABERRATIONS, *(() if isinstance(study.techniques[name], Image) else ("source",)), "x", "y", "gain"]
    widths = np.array([{"x": SHIFT, "y": SHIFT, "gain": GAIN, **study.priors}[each] for each in names])
    linear = np.isin(names, ("x", "y", "gain"))
    state, columns = np.zeros(len(names)) if start is None else start, np.zeros((len(counts), len(names)))
    for _ in range(STEPS if start is None else MORE):
        rates, slopes = _modelled(made, name, perfect, _probe(made, names, state))
        columns = electrons * np.stack([rates if each == "gain" else slopes[each] for each in names], 1)
        inverse = 1.0 / _variance(made, name, electrons * rates)
        begun = np.where(linear, 0.0, state)
        information = columns.T @ (columns * inverse[:, None]) + np.diag(1.0 / widths**2)
        wanted = columns.T @ (inverse * (counts - electrons * rates)) - begun / widths**2
        state = np.clip(begun + np.linalg.solve(information, wanted), -3.0 * widths, 3.0 * widths)
    probe = _probe(made, names, state)
    rates = _rates(made, name, perfect, probe)
    left = counts - electrons * rates - columns[:, linear] @ state[linear]
    misfit = float(np.sum(left**2 / _variance(made, name, electrons * rates)) + np.sum((state / widths) ** 2))
    by_name = dict(zip(names, state, strict=True))
    return Fit(number, state, probe, (by_name["x"], by_name["y"]), misfit)


def signature_at(made: Predicted, name: str, crystal: Crystal, fit: Fit) -> Signature:
    """The change in the counts of a technique at the settings of a ``fit``."""
    seen = made.seen(name, crystal, fit.probe)
    signature, channels = made.signature(name, seen), len(made.detectors[name].weights)
    fx, fy = frequencies_of(seen.window)
    phases = np.exp(-2j * np.pi * (fx * fit.shift[0] + fy * fit.shift[1]))

    def moved(rows: np.ndarray) -> np.ndarray:
        """Rows [..., m] of a specimen that lies ``shift`` further."""
        flat = rows.reshape(-1, len(seen.rates), channels)
        return np.stack([filtered(each, seen.window, phases) for each in flat]).reshape(rows.shape)

    assert signature.halves is not None
    rates, halves = np.maximum(moved(signature.rates), 0.0), moved(signature.halves)
    return signature._replace(
        rates=rates,
        changed=rates + halves.mean(0),
        halves=halves,
        nuisances=moved(np.ascontiguousarray(signature.nuisances.T)).T,
    )


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


def _few(matrices: Matrices) -> Matrices:
    """Every second configuration, without a thinner crystal: enough to find settings by."""
    return matrices._replace(amplitudes=matrices.amplitudes[::2], thinner=None)


def _rates(made: Predicted, name: str, perfect: Matrices, probe: Probe) -> np.ndarray:
    technique = made.study.techniques[name]
    if isinstance(technique, Image):
        seen = image_of(perfect, made.window, lens_of(made.study, technique, probe.coefficients))
    else:
        seen = patterns_of(perfect, made.window, probe)
    return made.detectors[name].counted(seen).ravel() / len(seen)


def _modelled(made: Predicted, name: str, perfect: Matrices, probe: Probe) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Rates and their derivatives for each electron over the window."""
    technique = made.study.techniques[name]
    if isinstance(technique, Image):
        lens = lens_of(made.study, technique, probe.coefficients)
        waves = exit_waves(perfect.amplitudes, perfect)
        picture, pixels = mean_image(waves, perfect, lens), pixels_of(perfect, made.window)[0]
        slopes = unknowns_of(perfect, waves, picture, lens, pixels)
    else:
        slopes = derivatives_of(perfect, made.window, probe)
    rates = _rates(made, name, perfect, probe)
    detector = made.detectors[name]
    return rates, {each: detector.counted(slope).ravel() / len(slope) for each, slope in slopes.items()}
