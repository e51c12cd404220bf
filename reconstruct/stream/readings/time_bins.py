"""Open readings by cell of time, each cell digested once and again only when something in it has changed.

A cell is a span of the filter, or a part of one where a sensor is so quick that a span holds too much of it to be sorted anew with every
batch. What a cell comes to depends on the cell before it only through a sensor that repeats itself across the border.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from reconstruct.stream.readings.preprocess import CROWD, Digest, Runs, Traits, digest
from reconstruct.stream.readings.recent import Memory
from twin.dynamics.inputs import Inputs, Path
from twin.sensors.model import Model

FULL = 32
"""Readings of one sensor that a cell should hold at most."""
SMALLEST = 16
"""Cells of a span at most."""

_Part = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass
class Cell:
    """Readings of a cell as they came (sensor's place, time, value as sent), and what they were digested to."""

    parts: list[_Part]
    stale: np.ndarray
    """Which sensors [c] have been heard since the cell was last digested."""
    newest: int = -(2**62)
    found: Digest | None = None
    first: np.ndarray | None = None
    """First value of each sensor in the cell [c], NaN where it has none."""
    linked: np.ndarray | None = None
    """Which sensors [c] began with the value they had before the cell, so that their digest hangs on what was before."""


class Cells:
    """Open cells of ``length`` ns from ``start``; ``inputs`` are what readings hang on besides the state."""

    def __init__(self, model: Model, traits: Traits, start: int, span: int, inputs: Inputs):
        fastest = max((one.rate for one in model.evidence), default=0.0)
        self.per_span = int(np.clip(np.ceil(fastest * span * 1e-9 / FULL), 1, SMALLEST))
        self.start, self.length, self.model, self.inputs = start, span // self.per_span, model, inputs
        self._span, self._traits = span, traits
        self._open: dict[int, Cell] = {}
        self._valid = {one.valid: Path() for one in model.sensors if one.valid}
        self._lasting = {one.channel: Path() for one in model.evidence if one.kind == "last-measured"}
        self._places = {one.channel: place for place, one in enumerate(model.evidence)}
        self.tellers = frozenset({*self._valid, *self._lasting})
        self._frozen: list[tuple[int, int, int]] = []
        self._held: list[tuple[int, int]] = []
        self.memory = Memory(len(model.evidence))
        self._offsets = np.array([one.offset for one in model.evidence])
        self._special = [place for place, one in enumerate(model.evidence) if one.valid or one.inputs]

    def told(self, channel: str, times: np.ndarray, values: np.ndarray) -> list[int]:
        """A channel that others hang on, or that says what was last measured: the times from which something has changed."""
        touched = []
        for path in (self._valid.get(channel), self._lasting.get(channel)):
            if path is not None:
                pairs = zip(times.tolist(), values.tolist(), strict=True)
                touched += [since for time, value in pairs if (since := path.add(time, value)) is not None]
        if touched:
            self.change(min(touched))
        return touched

    def add(self, place: np.ndarray, times: np.ndarray, values: np.ndarray) -> None:
        """Readings of sensors ``place`` [r]; those of last-measured channels are not among them."""
        numbers = self._numbers(times)
        low, high = int(numbers.min()), int(numbers.max())
        for number in [low] if low == high else np.unique(numbers).tolist():
            here = slice(None) if low == high else numbers == number
            who, when, what = place[here], times[here], values[here]
            if number not in self._open:
                self._open[number] = Cell([], np.zeros(len(self._offsets), dtype=bool))
            cell = self._open[number]
            cell.parts.append((who, when, what))
            cell.stale[who] = True
            cell.newest = max(cell.newest, int(when.max()))

    def change(self, time: int) -> None:
        """What readings hang on besides the state has changed at ``time``."""
        for number, cell in self._open.items():
            if (number // self.per_span + 1) * self._span + self.start > time:
                cell.found = None

    def freeze(self, place: int, since: int, until: int) -> None:
        """A sensor has turned out to be stuck: what it repeated after ``since`` and up to ``until`` (ns) is no reading."""
        self._frozen.append((place, since, until))
        self.change(since)

    def hold(self, place: int, since: int) -> None:
        """What a sensor has repeated since ``since`` (ns) is held: each repeat is a reading."""
        self._held.append((place, since))
        self.change(since)

    def release(self, place: int, since: int) -> None:
        """A run that was taken for held is not."""
        self._held = [one for one in self._held if one != (place, since)]

    def before(self, place: int, time: int) -> tuple[np.ndarray, np.ndarray, float, float]:
        """Times (ns) and values, as sent, of a sensor's last `RECENT` readings before ``time``, and the least and largest of all before."""
        parts = [
            (when[mine], what[mine])
            for cell in self._open.values()
            for who, when, what in cell.parts
            if (mine := who == place).any()
        ]
        return self.memory.before(place, time, parts)

    def span_of(self, time: int) -> int:
        """The number of the span in which ``time`` (ns) lies."""
        return max((time - self.start) // self._span, 0)

    def spans(self, first: int, last: int) -> set[int]:
        """Spans from ``first`` to ``last`` that have readings."""
        found = {number // self.per_span for number in self._open}
        after, until = self.start + first * self._span - 1, self.start + (last + 1) * self._span - 1
        for path in self._lasting.values():
            found |= {max((time - self.start) // self._span, 0) for time, _ in path.measured(after, until)}
        return {number for number in found if first <= number <= last}

    def digest(self, span: int, end: int, runs: Runs) -> Digest:
        """The readings of a span up to ``end`` (ns), after the ``runs`` before it."""
        found = []
        for number in range(span * self.per_span, (span + 1) * self.per_span):
            one = self._digest(number, end, runs)
            if one is not None:
                runs = one.runs
                found.append(one)
        if len(found) == 1:
            return found[0]
        return _pooled(self._traits, found, runs)

    def settle(self, span: int) -> None:
        """Spans up to ``span`` are settled."""
        last = (span + 1) * self.per_span
        for old in sorted(number for number in self._open if number < last):
            self.memory.add(self._open.pop(old).parts)
        self._frozen = [one for one in self._frozen if one[2] >= self.start + (span + 1) * self._span]
        newest = dict(sorted(self._held, key=lambda one: one[1]))
        edge = self.start + (span + 1) * self._span
        self._held = [one for one in self._held if one[1] >= min(edge, newest[one[0]])]
        for path in (*self._valid.values(), *self._lasting.values()):
            path.settle(self.start + (span + 1) * self._span)

    def _numbers(self, times: np.ndarray) -> np.ndarray:
        return np.maximum((times - self.start) // self._span, 0) * self.per_span + np.minimum(
            (times - self.start) % self._span // self.length, self.per_span - 1
        ) * (times >= self.start)

    def _digest(self, number: int, end: int, runs: Runs) -> Digest | None:
        cell = self._open.get(number)
        lasting = self._measured(number, end)
        if cell is None and not lasting:
            return None
        if cell is None or lasting or cell.newest > end:
            parts = [*(cell.parts if cell is not None else []), *lasting]
            return digest(self._traits, *self._values(parts, end), runs, self._frozen, self._held)
        linked = None if cell.first is None else cell.first == runs.last
        again = cell.stale
        if cell.found is None or cell.linked is None or linked is None:
            again = np.ones(len(again), dtype=bool)
        else:
            again = again | linked | cell.linked
        if again.any():
            if len(cell.parts) > 1:
                cell.parts = [tuple(np.concatenate(column) for column in zip(*cell.parts, strict=True))]  # type: ignore[list-item]
            who, when, what = cell.parts[0]
            here = again[who]
            place, time, raw, value = self._values([(who[here], when[here], what[here])], end)
            fresh = digest(self._traits, place, time, raw, value, runs, self._frozen, self._held)
            cell.found = fresh if cell.found is None or again.all() else _replaced(cell.found, fresh, again)
            first = np.full(len(again), np.nan) if cell.first is None else np.where(again, np.nan, cell.first)
            order = np.lexsort((raw, time))[::-1]
            first[place[order]] = raw[order]
            cell.first, cell.linked, cell.stale = first, first == runs.last, np.zeros(len(again), dtype=bool)
        found = cell.found
        assert found is not None
        assert cell.first is not None
        silent = np.isnan(cell.first)
        kept = (np.where(silent, old, new) for old, new in zip(runs, found.runs, strict=True))
        return found._replace(runs=Runs(*kept))

    def _measured(self, number: int, end: int) -> list[_Part]:
        """New values of last-measured channels in a cell."""
        if not self._lasting:
            return []
        span, part = divmod(number, self.per_span)
        begin = self.start + span * self._span + part * self.length
        stop = begin + self.length if part + 1 < self.per_span else self.start + (span + 1) * self._span
        found = []
        for channel, path in self._lasting.items():
            fresh = path.measured(begin - 1 if number else -(2**62), min(stop - 1, end))
            if fresh:
                times, values = zip(*fresh, strict=True)
                place = np.full(len(fresh), self._places[channel])
                found.append((place, np.array(times, dtype=np.int64), np.array(values, dtype=float)))
        return found

    def _values(self, parts: list[_Part], end: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Readings up to ``end``: sensor's place, time, value as sent, value without offset and inputs; each [r]. Invalid ones are out."""
        place, time, raw = (np.concatenate(column) for column in zip(*parts, strict=True))
        if time.max() > end:
            early = time <= end
            place, time, raw = place[early], time[early], raw[early]
        value = raw - self._offsets[place]
        good = np.isfinite(value)
        for one in self._special:
            here = np.flatnonzero(place == one)
            sensor = self.model.evidence[one]
            if sensor.valid:
                good[here] = [bool(self._valid[sensor.valid].at(at)) for at in time[here].tolist()]
            for name, size in sensor.inputs.items():
                value[here] -= size * self.inputs.series(name, time[here])
        good &= np.isfinite(value)
        return (place, time, raw, value) if good.all() else (place[good], time[good], raw[good], value[good])


def _made(columns: Sequence[np.ndarray], counts: Sequence[np.ndarray], runs: Runs) -> Digest:
    """A digest of readings in any order."""
    sensor, time, value, variance, floor = columns
    order = np.lexsort((value, sensor, time))
    taken, stuck, odd, repeated = counts
    return Digest(
        sensor[order], time[order], value[order], variance[order], floor[order], taken, stuck, odd, repeated, runs
    )


def _replaced(old: Digest, new: Digest, again: np.ndarray) -> Digest:
    """``old`` with what it says of the sensors ``again`` [c] taken from ``new``."""
    keep = ~again[old.sensor]
    columns = [np.concatenate([one[keep], other]) for one, other in zip(old.columns, new.columns, strict=True)]
    counts = [np.where(again, one, other) for one, other in zip(new.counts, old.counts, strict=True)]
    runs = Runs(*(np.where(again, one, other) for one, other in zip(new.runs, old.runs, strict=True)))
    return _made(columns, counts, runs)


def _pooled(traits: Traits, found: list[Digest], runs: Runs) -> Digest:
    """Digests of the cells of a span as one: a sensor that has more than a few numbers left is given their weighted mean."""
    count = len(traits.variance)
    if not found:
        empty, none = np.zeros(0), np.zeros(count, dtype=int)
        places = np.zeros(0, dtype=np.int64)
        return Digest(places, places, empty, empty, empty, none, none, none, none, runs)
    columns = [np.concatenate(column) for column in zip(*(one.columns for one in found), strict=True)]
    counts = [np.sum(column, axis=0) for column in zip(*(one.counts for one in found), strict=True)]
    sensor, time, value, variance, _ = columns
    many = np.bincount(sensor, minlength=count) > CROWD
    if many.any():
        here = many[sensor]
        who = np.flatnonzero(many)
        weight = 1.0 / variance[here]
        total = np.bincount(sensor[here], weights=weight, minlength=count)[who]
        first = np.full(count, np.iinfo(np.int64).max)
        np.minimum.at(first, sensor[here], time[here])
        base = np.zeros(count)
        base[sensor[here]] = value[here]

        def mean(of: np.ndarray) -> np.ndarray:
            return np.bincount(sensor[here], weights=weight * of, minlength=count)[who] / total

        means = mean(value[here] - base[sensor[here]]) + base[who]
        when = first[who] + np.round(mean((time[here] - first[sensor[here]]).astype(float))).astype(np.int64)
        rounding = np.where(traits.coarse[who], traits.rounding[who], 0.0)
        pooled = (who, when, means, 1.0 / total + rounding, rounding)
        columns = [np.concatenate([old[~here], new]) for old, new in zip(columns, pooled, strict=True)]
    return _made(columns, counts, runs)
