"""Whether HAADF images can be what was stated of them: tests of the fit, and which stated number is wrong.

The model's error and the noise are fitted, so they absorb much of what is wrong. What was stated cannot be absorbed without a pull: the distance of the
posterior's maximum z from the prior, against its expected covariance I - C where the prior is right (C: the posterior's covariance, units of the prior).
"""

import copy
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import chi2

from reconstruct.measurement.haadf.fit import Problem
from reconstruct.measurement.haadf.model import SHARED
from reconstruct.measurement.outcome import FitCheck

MAX_ERROR_RATIO = 4.0
"""A signal that is off by so many times what was expected of the model is of another structure."""
MAX_MISFIT = 3.0
MAX_PULL = 4.0
"""Standard deviations of the pull of one stated number."""
PULL_CHANCE = 1e-5
"""Chance of a larger sum of squares of all pulls where all that was stated is right."""
MAX_EVIDENCE = 3.0
"""Logarithm of the evidence for another semi-angle over that for the stated one: the image informs too little on it for a pull. Where the stated one is right
a ratio above e^3 has a chance of e^-3 at most, by Markov's inequality, and of about 0.5 % where the evidence is a parabola; of 75 clean images of another
simulation the largest logarithm is 1.5."""
MAX_UNEXPLAINED = 0.3
"""Share of the mean signal by which pixels may differ from the mean unit cell beyond counting noise (rms)."""
MIN_NOISE = 0.65
"""Variance of the noise over that of counting, below which gain and noise contradict each other."""
LEAST_INFORMED = 0.05
"""Share of its prior variance that the image must take from a combination of parameters for its pull to be tested."""
UNTESTED = 0.1
"""Relative error from which a stated number counts as not tested by the image."""


class Stated(NamedTuple):
    """A stated number: what it is, its value as text for a parameter's value, its standard deviation when it is set free, what else would do the same."""

    description: str
    text: Callable[[float], str]
    free: Callable[[Problem], float]
    instead: str


def _stated(problem: Problem, black: float) -> dict[str, Stated]:
    semiangle = problem.model.semiangle
    signal = max(float(np.mean([cell.mean[0] for cell in problem.data])), 1e-9)
    index = SHARED.index
    return {
        "thickness": Stated("the thickness", lambda v: f"{0.1 * v:.3g} nm", lambda p: 0.5 * p.mean[index("thickness")], ""),
        "semiangle": Stated("the semi-angle", lambda v: f"{1e3 * semiangle * np.exp(v):.3g} mrad", lambda p: 0.2, "the energy of the electrons"),
        "scale": Stated("the signal", lambda v: f"{np.exp(v):.3g} of what was stated", lambda p: 1.0, "gain, dose, detector angles, structure"),
        "black": Stated("the dark level", lambda v: f"{black + v:.4g} counts", lambda p: signal, "an amorphous layer or contamination"),
        "source": Stated("the source's size", lambda v: f"{abs(v):.2g} A", lambda p: 3.0 * p.sd[index("source")], "vibration"),
    }  # fmt: skip


def fit_checks(problem: Problem, best: np.ndarray, black: float) -> tuple[FitCheck, ...]:
    """Tests of the fit at its likeliest maximum ``best`` [p]; ``black``: the stated dark level in counts."""
    expected = problem.error.relative
    curvature = problem.gauss_newton(best, problem.weights(problem.relative))[2]
    covariance = np.linalg.inv(curvature)
    pulls = best / np.sqrt(np.maximum(1.0 - np.diag(covariance), LEAST_INFORMED))
    shared = problem.free < len(SHARED)
    sum_of_pulls, combinations = _pull_statistic(best, covariance)
    largest = int(np.argmax(np.where(shared, np.abs(pulls), 0.0)))
    limit = float(chi2.isf(PULL_CHANCE, max(combinations, 1)))
    wrong = abs(pulls[largest]) > MAX_PULL or sum_of_pulls > limit
    contradiction = _contradiction(problem, best, black, SHARED[problem.free[largest]]) if wrong else ""
    angle_evidence, angle_finding = _semiangle(problem, best, black)
    unexplained = max(cell.unexplained for cell in problem.data)
    return (
        FitCheck(f"pull of what was stated ({SHARED[problem.free[largest]]})", float(abs(pulls[largest])), MAX_PULL, contradiction),
        FitCheck("pulls of all stated numbers", sum_of_pulls, limit, contradiction),
        FitCheck("evidence for another semi-angle", angle_evidence, MAX_EVIDENCE, angle_finding),
        FitCheck(
            "error of the unit cell", problem.relative / expected, MAX_ERROR_RATIO,
            f"the unit cell is {problem.relative:.0%} off at best, {expected:.0%} is expected of the model; check structure, zone axis, thickness and "
            "detector angles",
        ),
        FitCheck(
            "misfit of the unit cell", problem.misfit(best), MAX_MISFIT,
            f"columns of the unit cell are as no error of the model makes them (misfit {problem.misfit(best):.1f}); check structure and zone axis",
        ),
        FitCheck(
            "scatter about the mean unit cell", unexplained, MAX_UNEXPLAINED,
            f"pixels differ from the mean unit cell by {unexplained:.0%} of the signal beyond counting noise: parts of the image are unlike (contamination, a "
            "second grain, no specimen), or lines are displaced; choose a part of the image that is alike",
        ),
    )  # fmt: skip


def _pull_statistic(best: np.ndarray, covariance: np.ndarray) -> tuple[float, int]:
    """Sum of squares of the pulls of independent combinations of parameters that the image informs on, and their number."""
    remaining, axes = np.linalg.eigh(covariance)
    informed = 1.0 - remaining
    tested = informed > LEAST_INFORMED
    return float((((axes.T @ best)[tested]) ** 2 / informed[tested]).sum()), int(tested.sum())


def _semiangle(problem: Problem, best: np.ndarray, black: float) -> tuple[float, str]:
    """Logarithm of the evidence for a semi-angle that is only known within 20 % over that for the stated one, and what it says."""
    entry = SHARED.index("semiangle")
    if problem.sd[entry] <= 0.0:
        return 0.0, ""
    stated = _stated(problem, black)["semiangle"]
    value, std, evidence = set_free(problem, best, entry, stated.free(problem))
    gain = evidence - set_free(problem, best, entry, problem.sd[entry], rounds=1)[2]
    ends = f"{stated.text(value - std)} to {stated.text(value + std)}"
    text = f"the image fits better at a semi-angle of {stated.text(value)} ({ends}) than at the stated {stated.text(0.0)}; or what differs is {stated.instead}"
    return max(gain, 0.0), f"{text}. Check both"


def _contradiction(problem: Problem, best: np.ndarray, black: float, pulled: str) -> str:
    """Which stated number explains the pulls best when it is set free, and what it should be."""
    options = []
    for name, stated in _stated(problem, black).items():
        entry = SHARED.index(name)
        if problem.sd[entry] <= 0.0:
            continue
        value, std, evidence = set_free(problem, best, entry, stated.free(problem))
        options.append((evidence, name, value, std))
    if not options:
        return f"{pulled} is far from what was stated"
    options.sort(reverse=True)
    _, name, value, std = options[0]
    stated, entry = _stated(problem, black)[name], SHARED.index(name)
    text = (
        f"{stated.description} fits at {stated.text(value)} ({stated.text(value - std)} to {stated.text(value + std)})"
    )
    text += f", stated: {stated.text(problem.mean[entry])}" if name != "scale" else ""
    others = [
        _stated(problem, black)[other].description
        for evidence, other, *_ in options[1:3]
        if evidence > options[0][0] - 3.0
    ]
    alternatives = [word for word in (stated.instead, *others) if word]
    text += f"; or what differs is {' or '.join(alternatives)}" if alternatives else ""
    return f"{text}. Check what was stated, and give it with its error"  # fmt: skip


def set_free(problem: Problem, best: np.ndarray, entry: int, std: float, rounds: int = 3) -> tuple[float, float, float]:
    """Value, standard deviation and logarithm of the evidence where the parameter ``entry`` is only known within ``std``, from ``best`` on."""
    wide = copy.copy(problem)
    wide.sd = problem.sd.copy()
    wide.sd[entry] = std
    z, index = best.copy(), int(np.flatnonzero(problem.free == entry)[0])
    z[index] *= problem.sd[entry] / std
    for _ in range(rounds):
        z = wide.maximise(z)[0]
        wide.update_model_error(z)
        maximum = wide.fit_error_size(z)
        wide.relative = maximum.relative
    return (
        float(problem.mean[entry] + std * z[index]),
        float(std * np.sqrt(maximum.covariance[index, index])),
        maximum.evidence,
    )


def noise_contradictions(problem: Problem, gain: float) -> tuple[str, ...]:
    """What the noise says of the gain: there is no less noise than that of counting."""
    noise = min(cell.misfit for cell in problem.data)
    if noise >= MIN_NOISE:
        return ()
    finding = (
        f"noise has {noise:.2f} of the variance that counting has at {gain:g} counts per electron and the stated dark level: {gain * noise:.2g} counts per "
        "electron would have it, or the image was smoothed"
    )
    return (finding,)


def untested(problem: Problem, best: np.ndarray) -> tuple[str, ...]:
    """Which stated numbers the image cannot test: words with the error that it would not show."""
    covariance = np.linalg.inv(problem.gauss_newton(best, problem.weights(problem.relative))[2])
    words = []
    for name, description in (("thickness", "thickness"), ("semiangle", "semi-angle"), ("scale", "gain and dose")):
        entry = SHARED.index(name)
        index = np.flatnonzero(problem.free == entry)
        if not len(index):
            continue
        left = min(float(covariance[index[0], index[0]]), 1.0 - 1e-9)
        error = float(problem.sd[entry] * np.sqrt(left / (1.0 - left)))
        error = error / problem.mean[entry] if name == "thickness" else error
        if MAX_PULL * error > UNTESTED:
            words.append(f"{description} (an error under {min(MAX_PULL * error, 9.99):.0%})")
    return tuple(words)
