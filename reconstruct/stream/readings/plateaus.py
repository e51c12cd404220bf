"""The runs of equal readings in a stream, judged span by span: what is held is believed, what is stuck or saturated is not.

A quantity that comes to rest, or leaves it, in a way that the model did not predict is widened to its prior there, with what moves it.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from reconstruct.stream.filter_step import FilterCheckpoint
from reconstruct.stream.readings.equal_readings import Run, explanation, led_beyond, scatter_excess
from reconstruct.stream.readings.preprocess import Traits, is_stuck, log_chance
from reconstruct.stream.readings.time_bins import Cells
from twin.dynamics.inputs import Inputs
from twin.sensors.model import Model

NOTICED = 1e-3
"""Probability of a run, by the table's noise, below which it is asked what it is."""
SOON = 1_000_000_000
"""Nanoseconds after a hold within which a refused reading says that the quantity was set moving."""

Foreseen = Callable[[int, int, int], tuple[float, float]]
"""Mean and standard deviation of what a sensor (its place) should read at a time, by what was believed before another: place, before, at (ns)."""


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

    def of(self, place: int, mark: FilterCheckpoint) -> str:
        """What the run at a mark is: "held", "stuck", "saturated", or "" where it is none of them."""
        return self.standing.get((place, int(mark.runs.since[place])), "") if mark.runs.count[place] > 0 else ""

    def look(
        self, before: FilterCheckpoint, mark: FilterCheckpoint, number: int, settled: int, foreseen: Foreseen
    ) -> int | None:
        """Judge the runs at ``mark``, the end of span ``number``; the time (ns) from which that changes what is believed, or None."""
        found = self._moving_again(before, mark, number)
        surely = is_stuck(self._traits, mark.runs)
        for place in np.flatnonzero(log_chance(self._traits, mark.runs) < math.log(NOTICED)).tolist():
            since = int(mark.runs.since[place])
            known = self.standing.get((place, since), "")
            refused = self._refused(place, mark) if known == "held" else 0
            if known in ("stuck", "saturated") or (known == "held" and not refused):
                continue
            now = explanation(self._run(place, since, mark, refused, foreseen))
            if now in ("", known) or (now != "held" and not surely[place]):
                continue
            self.standing[place, since] = now
            begin = max(since, settled)
            if now != "held":
                self._cells.release(place, since)
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

    def _moving_again(self, before: FilterCheckpoint, mark: FilterCheckpoint, number: int) -> list[int]:
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

    def _refused(self, place: int, mark: FilterCheckpoint) -> int:
        """Readings in a row by which a run and the other sensors of the same quantities contradict each other: its own that were not believed
        while those of others were, or another's that were not believed while it went on."""
        if mark.digest is None:
            return 0
        believed = np.zeros(len(self._shared), dtype=bool)
        believed[mark.digest.sensor[mark.weight > 0]] = True
        others = self._shared[place] & (np.arange(len(believed)) != place)
        own = mark.lost.get(place, 0) if (believed & others).any() else 0
        theirs = (count for other, count in mark.lost.items() if others[other] and not self.of(other, mark))
        return max(own, *theirs, 0)

    def _run(self, place: int, since: int, mark: FilterCheckpoint, refused: int, foreseen: Foreseen) -> Run:
        sensor = self._model.evidence[place]
        times, values, low, high = self._cells.before(place, since)
        value, count = float(mark.runs.last[place]), float(mark.runs.count[place])
        away = 0.0
        if len(values):
            mean, std = foreseen(place, since, mark.time)
            driven = sum(share * self._inputs.value(name, mark.time) for name, share in sensor.inputs.items())
            away = (mean + sensor.offset + driven - value) / math.hypot(std, math.sqrt(sensor.variance))
            away = away if math.isfinite(away) else 0.0  # a command that was never told
        excess = scatter_excess(times, values, sensor.quantisation)
        beyond = led_beyond(times, values, mark.time, value)
        return Run(count, float(self._traits.repeat[place]), value, excess, low, high, away, beyond, refused)
