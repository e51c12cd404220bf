"""Open readings by time bin, each bin preprocessed once and again only when something in it has changed.

A bin is a span of the filter, or part of a span where a fast sensor has too many readings in it to sort with every batch. A bin depends on the bin
before it only through sensors that repeat their value across the border.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reconstruct.stream.readings.preprocess import MAX_SINGLE_READINGS, Runs, ScalarReadings, Traits, preprocess
from reconstruct.stream.readings.recent import RecentReadings
from reconstruct.stream.serialization import State
from twin.dynamics.inputs import Inputs, Path
from twin.sensors.model import Model

MAX_BIN_READINGS = 32
"""Largest number of readings of one sensor per bin aimed at."""
MAX_BINS = 16
"""Largest number of bins in a span."""

_COLUMNS = ("sensor", "time", "value")
_Part = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass
class TimeBin:
    """Readings of a time bin as received (sensor index, time, value as sent), and the ``result`` of their preprocessing."""

    parts: list[_Part]
    stale: np.ndarray
    """Which sensors [c] have new readings since the bin was last preprocessed."""
    newest: int = -(2**62)
    result: ScalarReadings | None = None
    first: np.ndarray | None = None
    """First value of each sensor in the bin [c], NaN where it has none."""
    linked: np.ndarray | None = None
    """Which sensors [c] began with the value they had before the bin, so that their result depends on the bin before."""


class TimeBins:
    """Open bins of ``length`` ns from ``start``; ``inputs`` are what readings depend on besides the state."""

    def __init__(self, model: Model, traits: Traits, start: int, span: int, inputs: Inputs):
        fastest = max((sensor.rate for sensor in model.evidence), default=0.0)
        self.per_span = int(np.clip(np.ceil(fastest * span * 1e-9 / MAX_BIN_READINGS), 1, MAX_BINS))
        self.start, self.length, self.model, self.inputs = start, span // self.per_span, model, inputs
        self._span, self._traits = span, traits
        self._open: dict[int, TimeBin] = {}
        self._valid = {sensor.valid: Path() for sensor in model.sensors if sensor.valid}
        self._lasting = {sensor.channel: Path() for sensor in model.evidence if sensor.kind == "last-measured"}
        self._sensor_indices = {sensor.channel: index for index, sensor in enumerate(model.evidence)}
        self.dependency_channels = frozenset({*self._valid, *self._lasting})
        self._frozen: list[tuple[int, int, int]] = []
        self._held: list[tuple[int, int]] = []
        self.recent = RecentReadings(len(model.evidence))
        self._offsets = np.array([sensor.offset for sensor in model.evidence])
        self._special = [index for index, sensor in enumerate(model.evidence) if sensor.valid or sensor.inputs]

    def add_dependency(self, channel: str, times: np.ndarray, values: np.ndarray) -> list[int]:
        """Add values of a channel that others depend on, or of a last measured value; the times (ns) from which something has changed."""
        touched = []
        for path in (self._valid.get(channel), self._lasting.get(channel)):
            if path is not None:
                pairs = zip(times.tolist(), values.tolist(), strict=True)
                touched += [since for time, value in pairs if (since := path.add(time, value)) is not None]
        if touched:
            self.change(min(touched))
        return touched

    def add(self, sensor_index: np.ndarray, times: np.ndarray, values: np.ndarray) -> None:
        """Readings of sensors ``sensor_index`` [r]; those of last-measured channels are not among them."""
        numbers = self._numbers(times)
        low, high = int(numbers.min()), int(numbers.max())
        for number in [low] if low == high else np.unique(numbers).tolist():
            in_bin = slice(None) if low == high else numbers == number
            indices, bin_times, bin_values = sensor_index[in_bin], times[in_bin], values[in_bin]
            if number not in self._open:
                self._open[number] = TimeBin([], np.zeros(len(self._offsets), dtype=bool))
            bin_ = self._open[number]
            bin_.parts.append((indices, bin_times, bin_values))
            bin_.stale[indices] = True
            bin_.newest = max(bin_.newest, int(bin_times.max()))

    def change(self, time: int) -> None:
        """An input that readings depend on has changed at ``time`` (ns)."""
        for number, bin_ in self._open.items():
            if (number // self.per_span + 1) * self._span + self.start > time:
                bin_.result = None

    def freeze(self, sensor_index: int, since: int, until: int) -> None:
        """Leave out the repeats of a stuck sensor after ``since`` and up to ``until`` (ns)."""
        self._frozen.append((sensor_index, since, until))
        self.change(since)

    def hold(self, sensor_index: int, since: int) -> None:
        """Use each repeat of a sensor since ``since`` (ns) as a reading: the quantity is held."""
        self._held.append((sensor_index, since))
        self.change(since)

    def release(self, sensor_index: int, since: int) -> None:
        """Undo `hold` of a run."""
        self._held = [run for run in self._held if run != (sensor_index, since)]

    def before(self, sensor_index: int, time: int) -> tuple[np.ndarray, np.ndarray, float, float]:
        """Times (ns) and values, as sent, of a sensor's last `RECENT` readings before ``time``, and the least and largest of all before."""
        parts = [
            (bin_times[of_sensor], bin_values[of_sensor])
            for bin_ in self._open.values()
            for indices, bin_times, bin_values in bin_.parts
            if (of_sensor := indices == sensor_index).any()
        ]
        return self.recent.before(sensor_index, time, parts)

    def span_of(self, time: int) -> int:
        """The number of the span in which ``time`` (ns) lies."""
        return max((time - self.start) // self._span, 0)

    def spans(self, first: int, last: int) -> set[int]:
        """Spans from ``first`` to ``last`` that have readings."""
        numbers = {number // self.per_span for number in self._open}
        after, until = self.start + first * self._span - 1, self.start + (last + 1) * self._span - 1
        for path in self._lasting.values():
            numbers |= {max((time - self.start) // self._span, 0) for time, _ in path.measured(after, until)}
        return {number for number in numbers if first <= number <= last}

    def preprocess(self, span: int, end: int, runs: Runs) -> ScalarReadings:
        """The readings of a span up to ``end`` (ns), after the ``runs`` before it."""
        parts = []
        for number in range(span * self.per_span, (span + 1) * self.per_span):
            readings = self._preprocess_bin(number, end, runs)
            if readings is not None:
                runs = readings.runs
                parts.append(readings)
        if len(parts) == 1:
            return parts[0]
        return _pooled(self._traits, parts, runs)

    def settle(self, span: int) -> None:
        """Spans up to ``span`` are settled."""
        last = (span + 1) * self.per_span
        for old in sorted(number for number in self._open if number < last):
            self.recent.add(self._open.pop(old).parts)
        self._frozen = [run for run in self._frozen if run[2] >= self.start + (span + 1) * self._span]
        newest = dict(sorted(self._held, key=lambda run: run[1]))
        edge = self.start + (span + 1) * self._span
        self._held = [run for run in self._held if run[1] >= min(edge, newest[run[0]])]
        for path in (*self._valid.values(), *self._lasting.values()):
            path.settle(self.start + (span + 1) * self._span)

    def to_state(self) -> State:
        """All that changes, as plain values and arrays by name; what bins were preprocessed to is made again."""
        values = {
            "frozen": [list(run) for run in self._frozen],
            "held": [list(run) for run in self._held],
            "open": sorted(self._open),
            "valid": {name: [path.times, path.values] for name, path in self._valid.items()},
            "lasting": {name: [path.times, path.values] for name, path in self._lasting.items()},
        }
        arrays = {f"recent.{name}": array for name, array in self.recent.to_state().items()}
        for number, bin_ in self._open.items():
            columns = (np.concatenate(column) for column in zip(*bin_.parts, strict=True))
            arrays |= {f"{number}.{name}": column for name, column in zip(_COLUMNS, columns, strict=True)}
        return values, arrays

    def from_state(self, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what `to_state` saved."""
        self._frozen = [(int(sensor), int(since), int(until)) for sensor, since, until in values["frozen"]]
        self._held = [(int(sensor), int(since)) for sensor, since in values["held"]]
        for paths, name in ((self._valid, "valid"), (self._lasting, "lasting")):
            for channel, (times, path_values) in values[name].items():
                paths[channel] = Path(list(times), list(path_values))
        self.recent.from_state({name: arrays[f"recent.{name}"] for name in (*_COLUMNS, "low", "high")})
        for number in values["open"]:
            sensor_index, time, value = (arrays[f"{number}.{name}"] for name in _COLUMNS)
            stale = np.zeros(len(self._offsets), dtype=bool)
            stale[sensor_index] = True
            self._open[int(number)] = TimeBin([(sensor_index, time, value)], stale, int(time.max()))

    def _numbers(self, times: np.ndarray) -> np.ndarray:
        return np.maximum((times - self.start) // self._span, 0) * self.per_span + np.minimum(
            (times - self.start) % self._span // self.length, self.per_span - 1
        ) * (times >= self.start)

    def _preprocess_bin(self, number: int, end: int, runs: Runs) -> ScalarReadings | None:
        bin_ = self._open.get(number)
        lasting = self._measured(number, end)
        if bin_ is None and not lasting:
            return None
        if bin_ is None or lasting or bin_.newest > end:
            parts = [*(bin_.parts if bin_ is not None else []), *lasting]
            return preprocess(self._traits, *self._values(parts, end), runs, self._frozen, self._held)
        linked = None if bin_.first is None else bin_.first == runs.last
        stale = bin_.stale
        if bin_.result is None or bin_.linked is None or linked is None:
            stale = np.ones(len(stale), dtype=bool)
        else:
            stale = stale | linked | bin_.linked
        if stale.any():
            if len(bin_.parts) > 1:
                bin_.parts = [tuple(np.concatenate(column) for column in zip(*bin_.parts, strict=True))]  # type: ignore[list-item]
            indices, bin_times, bin_values = bin_.parts[0]
            changed = stale[indices]
            sensor_index, time, raw, value = self._values(
                [(indices[changed], bin_times[changed], bin_values[changed])], end
            )
            update = preprocess(self._traits, sensor_index, time, raw, value, runs, self._frozen, self._held)
            bin_.result = update if bin_.result is None or stale.all() else _replaced(bin_.result, update, stale)
            first = np.full(len(stale), np.nan) if bin_.first is None else np.where(stale, np.nan, bin_.first)
            order = np.lexsort((raw, time))[::-1]
            first[sensor_index[order]] = raw[order]
            bin_.first, bin_.linked, bin_.stale = first, first == runs.last, np.zeros(len(stale), dtype=bool)
        result = bin_.result
        assert result is not None
        assert bin_.first is not None
        silent = np.isnan(bin_.first)
        merged = (np.where(silent, old, new) for old, new in zip(runs, result.runs, strict=True))
        return result._replace(runs=Runs(*merged))

    def _measured(self, number: int, end: int) -> list[_Part]:
        """New values of last-measured channels in a bin."""
        if not self._lasting:
            return []
        span, part = divmod(number, self.per_span)
        begin = self.start + span * self._span + part * self.length
        stop = begin + self.length if part + 1 < self.per_span else self.start + (span + 1) * self._span
        parts = []
        for channel, path in self._lasting.items():
            fresh = path.measured(begin - 1 if number else -(2**62), min(stop - 1, end))
            if fresh:
                times, values = zip(*fresh, strict=True)
                sensor_index = np.full(len(fresh), self._sensor_indices[channel])
                parts.append((sensor_index, np.array(times, dtype=np.int64), np.array(values, dtype=float)))
        return parts

    def _values(self, parts: list[_Part], end: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Readings up to ``end``: sensor index, time, value as sent, value without offset and inputs; each [r]. Invalid ones are out."""
        sensor_index, time, raw = (np.concatenate(column) for column in zip(*parts, strict=True))
        if time.max() > end:
            early = time <= end
            sensor_index, time, raw = sensor_index[early], time[early], raw[early]
        value = raw - self._offsets[sensor_index]
        good = np.isfinite(value)
        for number in self._special:
            of_sensor = np.flatnonzero(sensor_index == number)
            sensor = self.model.evidence[number]
            if sensor.valid:
                good[of_sensor] = [
                    bool(self._valid[sensor.valid].at(reading_time)) for reading_time in time[of_sensor].tolist()
                ]
            for name, size in sensor.inputs.items():
                value[of_sensor] -= size * self.inputs.series(name, time[of_sensor])
        good &= np.isfinite(value)
        return (
            (sensor_index, time, raw, value) if good.all() else (sensor_index[good], time[good], raw[good], value[good])
        )


def _sorted_readings(columns: Sequence[np.ndarray], counts: Sequence[np.ndarray], runs: Runs) -> ScalarReadings:
    """Scalar readings sorted by time, from columns in any order."""
    sensor, time, value, variance, floor = columns
    order = np.lexsort((value, sensor, time))
    taken, stuck, outliers, repeated = counts
    return ScalarReadings(
        sensor[order], time[order], value[order], variance[order], floor[order], taken, stuck, outliers, repeated, runs
    )


def _replaced(old: ScalarReadings, new: ScalarReadings, changed: np.ndarray) -> ScalarReadings:
    """``old`` with the readings of the sensors ``changed`` [c] taken from ``new``."""
    keep = ~changed[old.sensor]
    columns = [
        np.concatenate([old_column[keep], new_column])
        for old_column, new_column in zip(old.columns, new.columns, strict=True)
    ]
    counts = [
        np.where(changed, old_column, new_column) for old_column, new_column in zip(new.counts, old.counts, strict=True)
    ]
    runs = Runs(
        *(np.where(changed, old_column, new_column) for old_column, new_column in zip(new.runs, old.runs, strict=True))
    )
    return _sorted_readings(columns, counts, runs)


def _pooled(traits: Traits, parts: list[ScalarReadings], runs: Runs) -> ScalarReadings:
    """The readings of the bins of a span together; more than a few of one sensor become their weighted mean."""
    count = len(traits.variance)
    if not parts:
        empty, zeros = np.zeros(0), np.zeros(count, dtype=int)
        indices = np.zeros(0, dtype=np.int64)
        return ScalarReadings(indices, indices, empty, empty, empty, zeros, zeros, zeros, zeros, runs)
    columns = [np.concatenate(column) for column in zip(*(part.columns for part in parts), strict=True)]
    counts = [np.sum(column, axis=0) for column in zip(*(part.counts for part in parts), strict=True)]
    sensor, time, value, variance, _ = columns
    many = np.bincount(sensor, minlength=count) > MAX_SINGLE_READINGS
    if many.any():
        crowded = many[sensor]
        index = np.flatnonzero(many)
        weight = 1.0 / variance[crowded]
        total = np.bincount(sensor[crowded], weights=weight, minlength=count)[index]
        first = np.full(count, np.iinfo(np.int64).max)
        np.minimum.at(first, sensor[crowded], time[crowded])
        base = np.zeros(count)
        base[sensor[crowded]] = value[crowded]

        def mean(quantity: np.ndarray) -> np.ndarray:
            return np.bincount(sensor[crowded], weights=weight * quantity, minlength=count)[index] / total

        means = mean(value[crowded] - base[sensor[crowded]]) + base[index]
        mean_time = first[index] + np.round(mean((time[crowded] - first[sensor[crowded]]).astype(float))).astype(
            np.int64
        )
        rounding = np.where(traits.coarse[index], traits.rounding[index], 0.0)
        pooled = (index, mean_time, means, 1.0 / total + rounding, rounding)
        columns = [np.concatenate([old[~crowded], new]) for old, new in zip(columns, pooled, strict=True)]
    return _sorted_readings(columns, counts, runs)
