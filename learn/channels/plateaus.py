"""Runs of equal values in a log that are not chance: a quantity at rest, a stuck sensor, or the end of a range."""

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import erf, erfinv

from learn.channels.noise import Estimate
from reconstruct.stream.readings.equal_readings import EqualRun, explanation, led_beyond, scatter_excess

FALSE_RUNS = 1e-6
"""A run counts if the expected number of such runs by chance, from how often values repeat elsewhere in the log, is below this."""
VALUES_BEFORE = 64
"""Number of values before a run from which its scatter and direction are estimated."""
END_VALUES = 25
"""Number of values at either end of a held run that enter the estimates of noise and drift: the others carry no more information."""


@dataclasses.dataclass(frozen=True)
class Plateau:
    """Values at the indices ``first`` to ``last`` all equal ``value``; ``kind`` is "held", "stuck" or "saturated"; ``seconds``: duration."""

    kind: str
    first: int
    last: int
    value: float
    seconds: float

    @property
    def count(self) -> int:
        """Number of values."""
        return self.last - self.first + 1


def find_plateaus(t: Float[np.ndarray, " n"], x: Float[np.ndarray, " n"], step: float) -> tuple[Plateau, ...]:
    """The plateaus of ``x`` at ``t`` (s), in order.

    ``step`` of reporting (0: none). A limit of the range that is identified once applies to all runs at it. Empty if all values are equal.
    """
    edges = np.flatnonzero(np.diff(x) != 0) + 1
    firsts, lasts = np.append(0, edges), np.append(edges, len(x)) - 1
    repeats = lasts - firsts
    others, repeated, plateaus = len(x), int(repeats.sum()), []
    for run in np.argsort(-repeats, kind="stable").tolist():
        count = int(repeats[run])
        others, repeated = others - count - 1, repeated - count
        share = (repeated + 0.5) / (others + 1)
        # Gaussian noise of r steps repeats itself with probability 1 / (2 sqrt(pi) r) on average, and erf(1 / (2 sqrt(2) r)) in the middle of a step
        chance = max(share, float(erf(math.sqrt(0.5 * math.pi) * share)))
        if others < 1 or count * math.log(chance) + math.log(len(x)) > math.log(FALSE_RUNS):
            break
        first, last = int(firsts[run]), int(lasts[run])
        seconds = float(t[last] - t[first])
        kind = explanation(_run(t, x, step, first, last, chance))
        plateaus.append(Plateau(kind, first, last, float(x[first]), seconds))
    ends = {plateau.value for plateau in plateaus if plateau.kind == "saturated"}
    plateaus = [
        dataclasses.replace(plateau, kind="saturated") if plateau.value in ends else plateau for plateau in plateaus
    ]
    return tuple(sorted(plateaus, key=lambda plateau: plateau.first))


def _run(
    t: Float[np.ndarray, " n"], x: Float[np.ndarray, " n"], step: float, first: int, last: int, chance: float
) -> EqualRun:
    before = slice(max(first - VALUES_BEFORE, 0), first)
    times, values = np.round(t * 1e9).astype(np.int64), x[before]
    rest = np.delete(x, np.s_[first : last + 1])
    excess = scatter_excess(times[before], values, step)
    beyond = led_beyond(times[before], values, int(times[last]), float(x[first]))
    return EqualRun(
        float(last - first), chance, float(x[first]), excess, float(rest.min()), float(rest.max()), 0.0, beyond, 0
    )


def informative_values(count: int, plateaus: tuple[Plateau, ...]) -> Bool[np.ndarray, " n"]:
    """Which of ``count`` values enter the estimates of noise and drift: none of a stuck or saturated run, the ends of a held one."""
    used = np.ones(count, dtype=bool)
    for plateau in plateaus:
        ends = END_VALUES if plateau.kind == "held" else 0
        used[plateau.first + ends : max(plateau.last + 1 - ends, plateau.first + ends)] = False
    return used


def noise_at_rest(plateaus: tuple[Plateau, ...], step: float, unit: str) -> Estimate | None:
    """Upper limit (95 %) of the noise of one value while the quantity is held, from values that stay within one ``step``; None if there are none."""
    count = sum(plateau.count - 1 for plateau in plateaus if plateau.kind == "held")
    if not count or not step:
        return None
    # the chance that Gaussian noise stays within a step, at best, is erf(step / (2 sqrt(2) noise))
    return Estimate(step / (2.0 * math.sqrt(2.0) * float(erfinv(0.05 ** (1.0 / count)))), None, unit, at_most=True)


def describe_plateau(plateau: Plateau, x: Float[np.ndarray, " n"], unit: str) -> str:
    """The reason for a plateau's kind, as text."""
    run = f"{plateau.count} values are {plateau.value:.6g}{unit} for {plateau.seconds:.3g} s"
    if plateau.kind == "held":
        return f"{run}, and those before scatter no more than rounding and motion explain: held"
    if plateau.kind == "stuck":
        return f"{run}, though the noise of those before is the sensor's own: stuck, and left out"
    edge = "largest" if plateau.value >= x.max() else "least"
    return f"{run}, the {edge} of all, though the noise of those before is the sensor's own and they lead beyond it: the end of its range, and left out"
