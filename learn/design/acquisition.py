"""Which pixels to measure next, by the user's wish: where the map is least known, where the quantity is likely largest, or what lowers all variances most."""

from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm

from learn.design.sampling import most_informative

Rule = Literal["variance", "novelty", "improvement", "confidence"]
RULES: tuple[str, ...] = get_args(Rule)
CONFIDENCE = 2.0
"""Standard deviations by which the upper bound of "confidence" lies above the mean."""


@runtime_checkable
class Map(Protocol):
    """What a prediction has: `learn.gp.spectra.MapPrediction`, `learn.gp.deep_kernel.DeepPrediction`."""

    @property
    def mean(self) -> Float[np.ndarray, " n"]: ...
    @property
    def covariance(self) -> Float[np.ndarray, "n n"]: ...


def next_pixels(
    rule: Rule,
    prediction: Map,
    noise: Float[np.ndarray, " n"],
    allowed: Int[np.ndarray, " a"],
    count: int,
    measured: Int[np.ndarray, " m"],
) -> Int[np.ndarray, " k"]:
    """Up to ``count`` of the ``allowed`` pixels for the next measurements, whose noise has the variances ``noise``.

    ``rule``: "variance" lowers the summed variance of the map most (`most_informative`); "novelty" has the largest standard deviation; "improvement" the
    largest expected improvement of the quantity over the largest predicted value at the ``measured`` pixels (Jones, Schonlau & Welch,
    J. Glob. Optim. 13, 455, 1998); "confidence" the largest upper bound, mean + 2 standard deviations (Srinivas et al., ICML 2010). Within a batch each
    choice is made as if those before it had been measured with the result that is expected.
    ValueError for another rule, and for "improvement" without measured pixels.
    """
    if rule not in RULES:
        raise ValueError(f"no rule is called {rule!r}; there are {', '.join(RULES)}")
    if rule == "variance":
        return most_informative(prediction.covariance, noise, allowed, count)[0]
    if rule == "improvement" and not len(measured):
        raise ValueError("an improvement is over measured pixels, and there are none; measure some first")
    mean, remaining = np.asarray(prediction.mean), np.array(prediction.covariance, dtype=np.float64)
    best = float(mean[measured].max()) if len(measured) else 0.0
    left, chosen = np.array(allowed), []
    while len(chosen) < count and left.size:
        std = np.sqrt(np.maximum(remaining[left, left], 0.0))
        if rule == "novelty":
            worth = std
        elif rule == "confidence":
            worth = mean[left] + CONFIDENCE * std
        else:
            worth = expected_improvement(mean[left], std, best)
        index = int(worth.argmax())
        pixel = int(left[index])
        chosen.append(pixel)
        best = max(best, float(mean[pixel]))
        remaining -= np.outer(remaining[:, pixel], remaining[pixel]) / (remaining[pixel, pixel] + noise[pixel])
        left = np.delete(left, index)
    return np.array(chosen, dtype=np.int64)


def expected_improvement(
    mean: Float[np.ndarray, " n"], std: Float[np.ndarray, " n"], best: float
) -> Float[np.ndarray, " n"]:
    """Mean of max(value - best, 0) where values have normal distributions.

    >>> expected_improvement(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 0.0).round(4).tolist()
    [1.0, 0.3989]
    """
    gain = mean - best
    scaled = gain / np.where(std > 0, std, 1.0)
    return np.where(std > 0, gain * norm.cdf(scaled) + std * norm.pdf(scaled), np.maximum(gain, 0.0))
