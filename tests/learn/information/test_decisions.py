"""Predicted errors of decisions against likelihoods of drawn counts."""

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.stats import norm

from learn.information import Alternative, Case, Decisions

X = np.linspace(0.0, 1.0, 50)


def rates_of(hypothesis: int, gain: float = 1.0, location: float = 0.0) -> np.ndarray:
    """A cell with a peak whose shoulder is on the left, on the right, or on both sides."""
    heights = [(0.12, 0.0), (0.0, 0.12), (0.06, 0.06)][hypothesis]
    shape = 1.0 + np.exp(-0.5 * ((X - location - 0.5) / 0.1) ** 2)
    for side, height in zip((-1, 1), heights, strict=True):
        shape = shape + height * np.exp(-0.5 * ((X - location - 0.5 - 0.22 * side) / 0.06) ** 2)
    return gain * shape / len(X)


def nuisances(hypothesis: int) -> np.ndarray:
    step = 1e-4
    moved = (rates_of(hypothesis, location=step) - rates_of(hypothesis, location=-step)) / (2 * step)
    return np.stack([rates_of(hypothesis), moved], axis=1)


def decisions(count: int, readout: float = 0.0, priors: tuple[float, float] = (np.inf, np.inf)) -> Decisions:
    return Decisions([
        Case(rates_of(true), tuple(
            Alternative(rates_of(other) - rates_of(true), nuisances(other), np.array(priors))
            for other in range(count) if other != true
        ), readout)
        for true in range(count)
    ])  # fmt: skip


def chosen(counts: np.ndarray, dose: float, count: int) -> int:
    """The hypothesis that fits best, gain and location fitted along."""

    def misfit(hypothesis: int) -> float:
        def residuals(values: np.ndarray) -> np.ndarray:
            mean = dose * rates_of(hypothesis, *values)
            return np.sign(counts - mean) * np.sqrt(
                np.maximum(2.0 * (mean - counts + counts * np.log(np.maximum(counts, 1e-9) / mean)), 0.0)
            )

        return float(least_squares(residuals, [1.0, 0.0], x_scale=[0.01, 0.01]).cost)

    return int(np.argmin([misfit(hypothesis) for hypothesis in range(count)]))


@pytest.mark.parametrize(("count", "dose"), [(2, 7000.0), (3, 20000.0)])
def test_the_error_is_that_of_fits_to_drawn_counts(count: int, dose: float) -> None:
    predicted = decisions(count).error(dose)
    assert 0.02 < predicted < 0.3
    rng, trials, wrong = np.random.default_rng(2), 300, 0
    for trial in range(trials):
        true = trial % count
        wrong += (
            chosen(rng.poisson(dose * rates_of(true, rng.normal(1, 0.05), rng.normal(0, 0.01))), dose, count) != true
        )
    assert wrong / trials == pytest.approx(predicted, abs=3 * np.sqrt(predicted / trials) + 0.01)


def test_two_simple_hypotheses_have_the_error_of_neyman_and_pearson() -> None:
    case = decisions(2, priors=(0.0, 0.0))
    difference = rates_of(1) - rates_of(0)
    shift = np.sqrt(5000.0 * np.sum(difference**2 / rates_of(0)))
    assert case.error(5000.0) == pytest.approx(norm.sf(shift / 2), rel=0.02)
    assert case.dose(0.01) == pytest.approx(5000.0 * (2 * norm.isf(0.01) / shift) ** 2, rel=0.02)


def test_nuisances_readout_and_halves_cost_dose() -> None:
    plain = decisions(2).dose(0.05)
    assert decisions(2, priors=(0.0, 0.0)).dose(0.05) < decisions(2, priors=(np.inf, 0.002)).dose(0.05) < plain
    assert decisions(2).known(1).dose(0.05) == pytest.approx(decisions(2, priors=(np.inf, 0.0)).dose(0.05), rel=1e-3)
    assert decisions(2, readout=400.0).dose(0.05) > 1.3 * plain


def test_chance_differences_between_halves_distinguish_nothing() -> None:
    rng, believed, checked = np.random.default_rng(0), [], []
    for _ in range(40):
        halves = rng.normal(size=(2, 50)) * 1e-3
        same = Alternative(halves.mean(0), nuisances(0), np.full(2, np.inf), halves)
        checked.append(Decisions([Case(rates_of(0), (same,))]).error(2e4))
        believed.append(Decisions([Case(rates_of(0), (same._replace(halves=None),))]).error(2e4))
    assert np.mean(checked) > 0.3
    assert np.mean(np.array(checked) == 0.5) > 0.3
    assert np.mean(believed) < 0.1


def test_a_wrong_model_bounds_the_error() -> None:
    wrong = decisions(2).cases
    difference = (rates_of(1) - rates_of(0))[:, None]
    floor = Decisions([case._replace(model_error=0.5 * difference) for case in wrong])
    assert floor.dose(0.01) == np.inf
    assert floor.error(1e9) == pytest.approx(norm.sf(1.0), abs=0.01)
    with pytest.raises(ValueError, match="positive"):
        floor.error(0.0)
    with pytest.raises(ValueError, match="negative"):
        Decisions([Case(-rates_of(0), ())])
