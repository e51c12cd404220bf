"""Settings of a recording by what its reference columns count, as whoever analyses it would find them: the test is made at these."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from learn.feasibility.columns.calibrated import settled
from learn.feasibility.imaged import cut, exit_waves, mean_image, pixels_of, unknowns_of
from learn.feasibility.matrices import Matrices
from learn.feasibility.scanned import Detector
from learn.feasibility.scans import (
    ABERRATIONS,
    STEP,
    Probe,
    blurred,
    filtered,
    frequencies_of,
    patterns_of,
    place_derivatives,
)
from learn.information import Signature
from tests.benchmarks.plan.trials.predicted import MODEL, Crystal, Predicted, lens_of
from tests.benchmarks.plan.trials.specimens import SHIFT, Image
from twin.optics.aberrations import coefficients

STEPS, MORE = 2, 2
"""Of a fit, and of one that goes on from another."""
LEAST_SOURCE = 0.05
GAIN = 0.05
"""By how much gains of recordings differ (rms)."""


class Fit(NamedTuple):
    """Settings of a recording: the number of its ``crystal``, deviations ``state`` from what is assumed, the ``probe`` and the ``shift`` (x, y) of the
    specimen by these, and the ``misfit``."""

    crystal: int
    state: Mapping[str, float]
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
    made: Predicted,
    name: str,
    number: int,
    counts: np.ndarray,
    electrons: float,
    start: Mapping[str, float] | None = None,
) -> Fit:
    """By the counts and what is known before of the settings (Gauss-Newton)."""
    study = made.study
    perfect, detector = made.crystals[number].perfect, made.detectors[name]
    if not isinstance(study.techniques[name], Image):
        perfect, detector = _few(perfect, detector)
    names = [*ABERRATIONS, *(() if isinstance(study.techniques[name], Image) else ("source",)), "x", "y", "gain"]
    widths = {each: {"x": SHIFT, "y": SHIFT, "gain": GAIN, **study.priors}[each] for each in names}

    def modelled(values: Mapping[str, float], sloped: bool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        rates, slopes = _modelled(made, name, perfect, detector, _probe(made, values), sloped)
        return rates, {**slopes, "gain": rates}

    def variance(expected: np.ndarray) -> np.ndarray:
        return _variance(made, name, expected)

    steps = STEPS if start is None else MORE
    fit = settled(modelled, widths, counts, electrons, variance, start, steps, ("x", "y", "gain"))
    return Fit(number, fit.values, _probe(made, fit.values), (fit.values["x"], fit.values["y"]), fit.misfit)


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


def _probe(made: Predicted, by_name: Mapping[str, float]) -> Probe:
    study = made.study
    vector = coefficients({"C10": study.c10}) + coefficients({each: by_name[each] for each in ABERRATIONS})
    return Probe(vector, max(study.source + by_name.get("source", 0.0), LEAST_SOURCE))


def _few(matrices: Matrices, detector: Detector) -> tuple[Matrices, Detector]:
    """Every second configuration, of the beams that a detector counts: enough to find settings by."""
    used = detector.weights.any(axis=0)
    amplitudes = matrices.amplitudes[::2][:, :, used]
    few = matrices._replace(amplitudes=amplitudes, thinner=None, pixels=matrices.pixels[used], k=matrices.k[used])
    return few, Detector(detector.weights[:, used], detector.readout)


def _modelled(
    made: Predicted, name: str, perfect: Matrices, detector: Detector, probe: Probe, sloped: bool = True
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Rates and, if they are asked for, their derivatives, for each electron over the window."""
    technique, window = made.study.techniques[name], made.window
    if isinstance(technique, Image):
        lens = lens_of(made.study, technique, probe.coefficients)
        waves, pixels = exit_waves(perfect.amplitudes, perfect), pixels_of(perfect, window)[0]
        picture = mean_image(waves, perfect, lens)
        slopes = unknowns_of(perfect, waves, picture, lens, pixels) if sloped else {}
        rates = cut(picture, pixels)
        return rates.ravel() / len(rates), {each: slope.ravel() / len(slope) for each, slope in slopes.items()}

    def sharp(vector: np.ndarray) -> np.ndarray:
        return detector.counted(patterns_of(perfect, window, Probe(vector, 0.0)))

    # channels are averaged over the source, of which there are fewer than beams
    clear, slopes = sharp(probe.coefficients), {}
    if sloped:
        slopes = place_derivatives(clear, window, probe.source)
        for each in ABERRATIONS:
            more, less = (sharp(probe.coefficients + sign * coefficients({each: STEP})) for sign in (1.0, -1.0))
            slopes[each] = (blurred(more, window, probe.source) - blurred(less, window, probe.source)) / (2.0 * STEP)
    rates = blurred(clear, window, probe.source)
    return rates.ravel() / len(rates), {each: slope.ravel() / len(slope) for each, slope in slopes.items()}
