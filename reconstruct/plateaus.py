"""Runs of equal readings: the quantity is held, the sensor is stuck, or it is at the end of its range, whichever is likeliest.

Each explanation gives the run a probability.

- held: the quantity has come to rest and the sensor repeats it. A sensor whose noise stays when the quantity rests repeats itself by chance
  only; one that is quieter at rest than its table says repeats itself always. Which of the two a sensor is follows from its readings before
  the run: if they scatter more than rounding and an uncertain time of a moving quantity explain, their noise is the sensor's own and cannot vanish.
- stuck: the sensor repeats its last value whatever the quantity does.
- saturated: as stuck, but at the largest or least value of all, and the readings before it lead on beyond it.

If the model did not predict the rest, the quantity was changed by somebody who did not say so. If other sensors of the quantity go on to be
believed and this one does not, it is not held.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from reconstruct.cells import Cells
from reconstruct.digest import HAZARD, Traits, is_stuck, log_chance
from reconstruct.spans import PERSISTENT, Mark
from twin.dynamics.inputs import Inputs
from twin.sensors.model import Model

NOTICED = 1e-3
"""Probability of a run, by the table's noise, below which it is asked what it is."""
QUIET = 0.05
"""Share of sensors that are quieter at rest than their table says (assumed)."""
UNCOMMANDED = 1e-3
"""Probability that a quantity was brought to rest, or set moving again, just then and without a word (assumed)."""
REFUSED = 0.01
"""Probability that a reading of a working sensor is far off."""
BEYOND = 3.0
"""Standard deviations by which the readings before must lead beyond the value at which a sensor is said to be saturated."""
CORRELATED = 3
"""Neighbouring residuals that share a reading."""
LEAST = 5
"""Readings before a run from which something can be said of their scatter."""
SOON = 1_000_000_000
"""Nanoseconds after a hold within which a refused reading says that the quantity was set moving."""


class Run(NamedTuple):
    """``count`` repeats of ``value``, each with probability ``repeat`` by the table's noise; ``excess`` is the log likelihood ratio for noise
    that stays at rest (`scatter_excess`); ``low`` and ``high`` bound all readings before; the model's prediction is ``away`` from the value by so
    many standard deviations, and the readings before lead ``beyond`` it by so many (both signed); ``refused`` readings of the run were not believed while those of other sensors were."""

    count: float
    repeat: float
    value: float
    excess: float
    low: float
    high: float
    away: float
    beyond: float
    refused: int


def explanation(run: Run) -> str:
    """The likeliest of "held", "stuck", "saturated"."""
    log_quiet = -np.logaddexp(0.0, run.excess + math.log1p(-QUIET) - math.log(QUIET))
    log_noisy = -np.logaddexp(0.0, -run.excess - math.log1p(-QUIET) + math.log(QUIET))
    repeats = np.logaddexp(log_noisy + run.count * math.log(run.repeat), log_quiet)
    rest = max(-0.5 * run.away**2, math.log(UNCOMMANDED))
    held = repeats + rest + run.refused * math.log(REFUSED)
    if held > math.log(HAZARD):
        return "held"
    above = run.value >= run.high and run.beyond > BEYOND
    below = run.value <= run.low and run.beyond < -BEYOND
    return "saturated" if above or below else "stuck"


def scatter_excess(times: np.ndarray, values: np.ndarray, step: float) -> float:
    """Log likelihood ratio of noise that stays at rest to none, from ``values`` [n] at ``times`` [n] (ns), reported in steps of ``step``.

    The residuals are those of each reading from the line between its neighbours. Without noise of its own, what is left is rounding and,
    where the quantity moves, a time that is uncertain by up to one interval: slope^2 interval^2 / 12. Zero where that explains the scatter.
    """
    if len(values) < LEAST:
        return 0.0
    t = (times - times[0]) * 1e-9
    whole = t[2:] - t[:-2]
    share = (t[1:-1] - t[:-2]) / whole
    residual = values[1:-1] - (1.0 - share) * values[:-2] - share * values[2:]
    slope = (values[2:] - values[:-2]) / whole
    weight = 1.0 + share**2 + (1.0 - share) ** 2
    explained = weight * (step**2 + (0.5 * whole * slope) ** 2) / 12.0
    # the median, which outliers do not move, as a part of that of a chi-square of one degree of freedom
    ratio = float(np.median(residual**2 / np.maximum(explained, 1e-300))) / 0.455
    if ratio <= 1.0:
        return 0.0
    return 0.5 * len(residual) / CORRELATED * (ratio - 1.0 - math.log(ratio))


def led_beyond(times: np.ndarray, values: np.ndarray, until: int, value: float) -> float:
    """By how many standard deviations, signed, the line through ``values`` [n] at ``times`` [n] (ns) lies beyond ``value`` at ``until`` (ns)."""
    if len(values) < LEAST:
        return 0.0
    t = (times - until) * 1e-9
    design = np.stack([np.ones(len(t)), t / np.abs(t).max()], axis=1)
    line, *_ = np.linalg.lstsq(design, values - value, rcond=None)
    left = values - value - design @ line
    scatter = float(left @ left) / (len(t) - 2)
    # the line's own error, and that of one reading
    variance = scatter * (1.0 + float(np.linalg.inv(design.T @ design)[0, 0]))
    return float(line[0]) / math.sqrt(variance) if variance > 0 else 0.0


class Plateaus:
    """The runs of a stream's sensors, judged span by span. ``standing`` maps (sensor's place, begin of the run in ns) to what it is."""

    def __init__(self, model: Model, traits: Traits, cells: Cells, inputs: Inputs):
        self._model, self._traits, self._cells, self._inputs = model, traits, cells, inputs
        self.standing: dict[tuple[int, int], str] = {}
        self.reopened: dict[int, set[int]] = {}
        """Sensors whose quantities changed without a word, by the number of the span at the beginning of which they are widened."""
        self.ended: dict[int, int] = {}
        """When (ns) the last hold of a sensor ended."""
        rows = model.rows != 0
        self._shared = (rows.astype(int) @ rows.T.astype(int)) > 0

    def of(self, place: int, mark: Mark) -> str:
        """What the run at a mark is: "held", "stuck", "saturated", or "" where it is none of them."""
        return self.standing.get((place, int(mark.runs.since[place])), "") if mark.runs.count[place] > 0 else ""

    def look(self, before: Mark, mark: Mark, number: int, settled: int, earlier: Any) -> int | None:
        """Judge the runs at ``mark``, the end of span ``number``; the time (ns) from which that changes what is believed, or None.

        ``earlier`` gives the last mark that is not after a time (ns), and of it the prediction [mean, std] of a sensor's place at another.
        """
        found = self._moving_again(before, mark, number)
        surely = is_stuck(self._traits, mark.runs)
        for place in np.flatnonzero(log_chance(self._traits, mark.runs) < math.log(NOTICED)).tolist():
            since = int(mark.runs.since[place])
            known = self.standing.get((place, since), "")
            refused = self._refused(place, mark) if known == "held" else 0
            if known in ("stuck", "saturated") or (known == "held" and not refused):
                continue
            now = explanation(self._run(place, since, mark, refused, earlier))
            if now == known or (now != "held" and not surely[place]):
                continue
            self.standing[place, since] = now
            begin = max(since, settled)
            if now != "held":
                if begin < mark.time:
                    self._cells.freeze(place, begin, mark.time)
                    found.append(begin)
                continue
            self._cells.hold(place, since)
            found.append(begin)
            if mark.lost.get(place, 0):
                self._reopen(place, self._cells.span_of(begin))
        return min(found, default=None)

    def settle(self, number: int, time: int) -> None:
        """Spans up to ``number``, which end at ``time`` (ns), are settled."""
        self.reopened = {one: places for one, places in self.reopened.items() if one > number}
        newest: dict[int, int] = {}
        for place, since in self.standing:
            newest[place] = max(newest.get(place, since), since)
        self.standing = {key: what for key, what in self.standing.items() if key[1] >= min(time, newest[key[0]])}

    def state(self) -> dict[str, Any]:
        """All that changes, as plain values."""
        return {
            "standing": sorted([place, since, what] for (place, since), what in self.standing.items()),
            "reopened": sorted([number, sorted(places)] for number, places in self.reopened.items()),
            "ended": sorted([place, time] for place, time in self.ended.items()),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Back to a `state`."""
        self.standing = {(int(place), int(since)): what for place, since, what in state["standing"]}
        self.reopened = {int(number): set(places) for number, places in state["reopened"]}
        self.ended = {int(place): int(time) for place, time in state["ended"]}

    def _moving_again(self, before: Mark, mark: Mark, number: int) -> list[int]:
        """A hold has ended and what came next was not believed: the quantity was set moving, so it is widened where the hold ended."""
        found = []
        for place in np.flatnonzero(mark.runs.since != before.runs.since).tolist():
            if self.of(place, before) == "held":
                self.ended[place] = before.time
        for place, time in self.ended.items():
            lost = mark.lost.get(place, 0) > before.lost.get(place, 0)
            if lost and 0 <= mark.time - time <= SOON and self.of(place, mark) == "":
                first = self._cells.span_of(time)
                if place not in self.reopened.get(first, set()) and first <= number:
                    self._reopen(place, first)
                    found.append(time)
        return found

    def _reopen(self, place: int, number: int) -> None:
        self.reopened.setdefault(number, set()).add(place)

    def _refused(self, place: int, mark: Mark) -> int:
        """Readings in a row that were not believed, if in the same span another sensor of the same quantities was."""
        if mark.digest is None:
            return 0
        others = np.unique(mark.digest.sensor[mark.weight > 0])
        return mark.lost.get(place, 0) if self._shared[place][others[others != place]].any() else 0

    def _run(self, place: int, since: int, mark: Mark, refused: int, earlier: Any) -> Run:
        sensor = self._model.evidence[place]
        times, values, low, high = self._cells.before(place, since)
        value, count = float(mark.runs.last[place]), float(mark.runs.count[place])
        away = 0.0
        if len(values):
            mean, std = earlier(place, since, mark.time)
            driven = sum(share * self._inputs.value(name, mark.time) for name, share in sensor.inputs.items())
            away = (mean + sensor.offset + driven - value) / math.hypot(std, math.sqrt(sensor.variance))
            away = away if math.isfinite(away) else 0.0  # a command that was never told
        excess = scatter_excess(times, values, sensor.quantisation)
        beyond = led_beyond(times, values, mark.time, value)
        return Run(count, float(self._traits.repeat[place]), value, excess, low, high, away, beyond, refused)
