"""Variance of estimates over the bound, for six quantities; a bound that forgets an unknown; and how far options are from the quantum limit.

The twin's own counts are drawn of matrices computed at the true values, the model fitted is between nodes of the quantity; what that shifts estimates by is
told. abTEM's counts are of the same potential and phonons by another code, in float32: their mean square error is judged, so that a bias counts.
That an ideal phase plate reaches the quantum limit for a weak phase object is tested in `tests/learn/information/test_quantum.py`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from learn.feasibility.measuring.assessment import measurement
from learn.feasibility.measuring.sensitivity import Sensitivity
from learn.information import bound, fisher_information
from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.benchmarks.plan.bounds.by_abtem import abtem_rates
from tests.benchmarks.plan.bounds.fits import estimate
from tests.benchmarks.plan.bounds.studies import STUDIES, UNKNOWN, Model, Study, sensitivity, true_rates

TRIALS = (200, 40, 6)
AREA = 1.0


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """All quantities, own counts and abTEM's."""
    rows: list[Case] = []
    for name in list(STUDIES)[: 1 if short is Form.SMOKE else None]:
        progress(name)
        rows += _study(name, STUDIES[name], TRIALS[short])
    return rows


def _study(name: str, study: Study, trials: int) -> list[Case]:
    seen, model = sensitivity(study), Model(study)
    # phonons of the data are those of the prediction here: their derivative is exact, whether or not configurations agree
    exact = seen._replace(slopes=seen.slopes.mean(0, keepdims=True))
    own = ("C10",) if study.quantity.kind == "defocus" else ()
    priors = dict.fromkeys((*seen.derivatives, "background"), 0.0) | dict.fromkeys(UNKNOWN, np.inf)
    limit, planned = (measurement(each, priors, 0.0, study.std, AREA, 1.0, own) for each in (exact, seen))
    electrons = limit.dose * AREA
    what = f"{name} by {study.technique}"
    ratio, extra = limit.information / limit.quantum, planned.dose / limit.dose
    rows = [
        case(f"{what}: electrons for a standard deviation of {study.std:g}", electrons),
        case(f"{what}: information over the quantum limit", ratio, "", "at most 1", ratio <= 1.0),
        case(
            f"{what}: dose asked for by two configurations over that of exact ones",
            extra,
            "",
            "1 or more",
            extra > 0.999,
        ),
    ]
    return (
        rows
        + _own(what, study, model, electrons, _known(exact, electrons), trials)
        + _other(what, study, model, electrons, trials)
    )


def _own(what: str, study: Study, model: Model, electrons: float, known: float, trials: int) -> list[Case]:
    """Of the twin's own counts."""
    rates = true_rates(study)
    made = _trials(model, rates, electrons, study.std, trials)
    plain = np.var(made.errors, ddof=1) / study.std**2
    # the chance of the draws is taken out by the linear estimate of the same counts, whose variance is known
    variance = plain - (np.var(made.linear, ddof=1) - made.expected) / study.std**2
    bias = _bias(model, rates, electrons) / study.std
    rows = [
        case(f"{what}: variance over bound", variance, "", "0.9 to 1.15", 0.9 <= variance <= 1.15),
        case(
            f"{what}: the same with the chance of {len(made.errors)} draws (standard error {np.sqrt(2 / trials):.2f})",
            plain,
        ),
        case(f"{what}: fits that do not settle", made.failed, "", "none", made.failed == 0),
        case(f"{what}: shift by interpolation between nodes", bias, "std", "at most 0.1", abs(bias) <= 0.1),
    ]
    if study.quantity.kind == "position":
        beaten = variance * study.std**2 / known**2
        name = f"{what}: variance over a bound that takes the place of the scan for known"
        rows.append(case(name, beaten, "", "above 1.3: beaten", beaten > 1.3))
    return rows


def _other(what: str, study: Study, model: Model, electrons: float, trials: int) -> list[Case]:
    """Of abTEM's."""
    rates = abtem_rates(study)
    made = _trials(model, rates, electrons, study.std, trials)
    square = np.mean(made.errors**2) / study.std**2
    return [
        case(f"{what}, of abTEM: mean square error over bound", square, "", "at most 1.4", square <= 1.4),
        case(f"{what}, of abTEM: shift without noise", _bias(model, rates, electrons) / study.std, "std"),
        case(f"{what}, of abTEM: fits that do not settle", made.failed, "", "none", made.failed == 0),
    ]


class Trials(NamedTuple):
    """``errors`` of estimates, those of ``linear`` estimates of the same counts with the variance ``expected`` of them, and how many fits ``failed``."""

    errors: np.ndarray
    linear: np.ndarray
    expected: float
    failed: int


def _trials(model: Model, rates: np.ndarray, electrons: float, std: float, trials: int) -> Trials:
    """Estimates of drawn counts, each from a start one standard deviation off. The linear one is a single step at the true values."""
    rng, errors, linear, failed, at = np.random.default_rng(24), [], [], 0, model.wanted
    mean = electrons / len(rates) * rates.ravel()
    jacobian = electrons / len(rates) * model(model.true)[1].reshape(len(model.true), -1)
    seen = mean > 0.0
    weights = np.where(seen, jacobian / np.where(seen, mean, 1.0), 0.0)
    row = np.linalg.solve(weights @ jacobian.T, weights)[at]
    for _ in range(trials):
        counts = rng.poisson(mean).astype(np.float64)
        start = model.true
        start[at] += std * rng.choice((-1.0, 1.0))
        fitted = estimate(model, counts, electrons, start)
        if fitted is None:
            failed += 1
            continue
        errors.append(fitted[at] - model.true[at])
        linear.append(float(row @ (counts - mean)))
    return Trials(np.array(errors), np.array(linear), float(row**2 @ mean), failed)


def _bias(model: Model, rates: np.ndarray, electrons: float) -> float:
    """By how much the estimate of counts without noise is off."""
    fitted = estimate(model, electrons / len(rates) * rates, electrons, model.true)
    return np.nan if fitted is None else float(fitted[model.wanted] - model.true[model.wanted])


def _known(seen: Sensitivity, electrons: float) -> float:
    """The bound with nothing else unknown."""
    places = len(seen.rates)
    information = fisher_information(seen.slopes[0].reshape(-1, 1) / places, seen.rates.ravel() / places, electrons)
    return float(bound(information, 1).std[0])
