"""Runs of equal values in a log that chance does not make: the quantity was held, or the sensor stuck or at the end of its range."""

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import erf, erfinv

from learn.channels.noise import Estimate
from reconstruct.stream.readings.equal_readings import EqualRun, explanation, led_beyond, scatter_excess

BY_CHANCE = 1e-6
"""Expected number of runs in the log, by how often values repeat elsewhere in it, below which a run is no chance."""
BEFORE = 64
"""Values before a run that its scatter and its direction are taken from."""
ENDS = 25
"""Values at either end of a held run that a noise and a drift are learnt from: those between say the same."""


@dataclasses.dataclass(frozen=True)
class Plateau:
    """Values ``first`` to ``last`` (their places) are all ``value``; ``kind`` is "held", "stuck" or "saturated", ``seconds`` how long it lasts."""

    kind: str
    first: int
    last: int
    value: float
    seconds: float

    @property
    def count(self) -> int:
        """How many values."""
        return self.last - self.first + 1


def find_plateaus(t: Float[np.ndarray, " n"], x: Float[np.ndarray, " n"], step: float) -> tuple[Plateau, ...]:
    """The plateaus of ``x`` at ``t`` (s), reported in steps of ``step`` (0: none), in order; a range that ends once ends there always. None where all
    values are equal."""
    edges = np.flatnonzero(np.diff(x) != 0) + 1
    firsts, lasts = np.append(0, edges), np.append(edges, len(x)) - 1
    repeats = lasts - firsts
    others, repeated, found = len(x), int(repeats.sum()), []
    for place in np.argsort(-repeats, kind="stable").tolist():
        count = int(repeats[place])
        others, repeated = others - count - 1, repeated - count
        share = (repeated + 0.5) / (others + 1)
        # Gaussian noise of r steps repeats itself with probability 1 / (2 sqrt(pi) r) on average, and erf(1 / (2 sqrt(2) r)) in the middle of a step
        chance = max(share, float(erf(math.sqrt(0.5 * math.pi) * share)))
        if others < 1 or count * math.log(chance) + math.log(len(x)) > math.log(BY_CHANCE):
            break
        first, last = int(firsts[place]), int(lasts[place])
        seconds = float(t[last] - t[first])
        kind = explanation(_run(t, x, step, first, last, chance))
        found.append(Plateau(kind, first, last, float(x[first]), seconds))
    ends = {one.value for one in found if one.kind == "saturated"}
    found = [dataclasses.replace(one, kind="saturated") if one.value in ends else one for one in found]
    return tuple(sorted(found, key=lambda one: one.first))


def _run(
    t: Float[np.ndarray, " n"], x: Float[np.ndarray, " n"], step: float, first: int, last: int, chance: float
) -> EqualRun:
    before = slice(max(first - BEFORE, 0), first)
    times, values = np.round(t * 1e9).astype(np.int64), x[before]
    rest = np.delete(x, np.s_[first : last + 1])
    excess = scatter_excess(times[before], values, step)
    beyond = led_beyond(times[before], values, int(times[last]), float(x[first]))
    return EqualRun(
        float(last - first), chance, float(x[first]), excess, float(rest.min()), float(rest.max()), 0.0, beyond, 0
    )


def telling(count: int, plateaus: tuple[Plateau, ...]) -> Bool[np.ndarray, " n"]:
    """Which of ``count`` values noise and drift are learnt from: none of a sensor that is stuck or saturated, the ends of what is held."""
    used = np.ones(count, dtype=bool)
    for one in plateaus:
        ends = ENDS if one.kind == "held" else 0
        used[one.first + ends : max(one.last + 1 - ends, one.first + ends)] = False
    return used


def noise_at_rest(plateaus: tuple[Plateau, ...], step: float, unit: str) -> Estimate | None:
    """Upper limit (95 %) of the noise of one value while the quantity is held, since values stay within one ``step``; None where none are."""
    count = sum(one.count - 1 for one in plateaus if one.kind == "held")
    if not count or not step:
        return None
    # the chance that Gaussian noise stays within a step, at best, is erf(step / (2 sqrt(2) noise))
    return Estimate(step / (2.0 * math.sqrt(2.0) * float(erfinv(0.05 ** (1.0 / count)))), None, unit, at_most=True)


def plateau_words(one: Plateau, x: Float[np.ndarray, " n"], unit: str) -> str:
    """Why a run is what it is, in words."""
    run = f"{one.count} values are {one.value:.6g}{unit} for {one.seconds:.3g} s"
    if one.kind == "held":
        return f"{run}, and those before scatter no more than rounding and motion explain: held"
    if one.kind == "stuck":
        return f"{run}, though the noise of those before is the sensor's own: stuck, and left out"
    edge = "largest" if one.value >= x.max() else "least"
    return f"{run}, the {edge} of all, though the noise of those before is the sensor's own and they lead beyond it: the end of its range, and left out"
