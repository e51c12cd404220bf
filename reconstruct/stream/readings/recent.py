"""Buffer of the last settled readings of each sensor, as sent, with the smallest and largest of all."""

from collections.abc import Mapping, Sequence

import numpy as np

MAX_RECENT = 64
"""Readings kept of each sensor."""
BUFFER_RATIO = 16
"""Ratio of buffered to kept readings at which the buffer is reduced."""

Part = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Sensor indices, times (ns) and values, [r] each."""


class RecentReadings:
    """The last readings of ``count`` sensors; calls of `add` are in order of time."""

    def __init__(self, count: int):
        self.parts: list[Part] = []
        self.low, self.high = np.full(count, np.inf), np.full(count, -np.inf)
        self._size = 0

    def add(self, parts: Sequence[Part]) -> None:
        """Readings [r] in parts, one at least, later than all before."""
        sensor_index, time, value = (np.concatenate(column) for column in zip(*parts, strict=True))
        np.minimum.at(self.low, sensor_index, value)
        np.maximum.at(self.high, sensor_index, value)
        self.parts.append((sensor_index, time, value))
        self._size += len(value)
        if self._size > BUFFER_RATIO * MAX_RECENT * len(self.low):
            self.parts = [self.packed()]
            self._size = len(self.parts[0][0])

    def packed(self) -> Part:
        """The last `MAX_RECENT` readings of each sensor, by sensor and time."""
        if not self.parts:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
        sensor_index, time, value = (np.concatenate(column) for column in zip(*self.parts, strict=True))
        order = np.lexsort((value, time, sensor_index))
        sensor_index, time, value = sensor_index[order], time[order], value[order]
        later = np.searchsorted(sensor_index, sensor_index, side="right") - np.arange(len(sensor_index))
        keep = later <= MAX_RECENT
        return sensor_index[keep], time[keep], value[keep]

    def to_state(self) -> dict[str, np.ndarray]:
        """All that changes, as arrays by name."""
        sensor, time, value = self.packed()
        return {"sensor": sensor, "time": time, "value": value, "low": self.low, "high": self.high}

    def from_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore what `to_state` saved."""
        self.parts, self._size = [(state["sensor"], state["time"], state["value"])], len(state["value"])
        self.low, self.high = state["low"], state["high"]

    def before(
        self, sensor_index: int, time: int, fresh: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> tuple[np.ndarray, np.ndarray, float, float]:
        """Times and values of a sensor's last `MAX_RECENT` readings before ``time`` (ns), and the least and largest of all before; ``fresh`` are
        times and values of it that are not settled."""
        settled = [
            (time_[of_sensor], value_[of_sensor])
            for index, time_, value_ in self.parts
            if (of_sensor := index == sensor_index).any()
        ]
        if not settled and not fresh:
            return np.zeros(0, dtype=np.int64), np.zeros(0), np.inf, -np.inf
        times, values = (np.concatenate(column) for column in zip(*settled, *fresh, strict=True))
        early = times < time
        times, first = np.unique(times[early], return_index=True)
        values = values[early][first]
        low = min(float(self.low[sensor_index]), float(values.min(initial=np.inf)))
        high = max(float(self.high[sensor_index]), float(values.max(initial=-np.inf)))
        return times[-MAX_RECENT:], values[-MAX_RECENT:], low, high
