"""The last readings of each sensor that are settled, as they were sent, and the least and largest of all."""

from collections.abc import Sequence

import numpy as np

RECENT = 64
"""Readings of a sensor that are kept."""
ROOM = 16
"""Times the readings that are kept which may pile up before they are sorted through."""

Part = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Sensors' places, times (ns) and values, [r] each."""


class Memory:
    """What ``count`` sensors said last; readings are added in the order of time, but for those of one call of `add`."""

    def __init__(self, count: int):
        self.parts: list[Part] = []
        self.low, self.high = np.full(count, np.inf), np.full(count, -np.inf)
        self._size = 0

    def add(self, parts: Sequence[Part]) -> None:
        """Readings [r] in parts, one at least, later than all before."""
        place, time, value = (np.concatenate(column) for column in zip(*parts, strict=True))
        np.minimum.at(self.low, place, value)
        np.maximum.at(self.high, place, value)
        self.parts.append((place, time, value))
        self._size += len(value)
        if self._size > ROOM * RECENT * len(self.low):
            self.parts = [self.packed()]
            self._size = len(self.parts[0][0])

    def packed(self) -> Part:
        """The last `RECENT` readings of each sensor, by sensor and time."""
        if not self.parts:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
        place, time, value = (np.concatenate(column) for column in zip(*self.parts, strict=True))
        order = np.lexsort((value, time, place))
        place, time, value = place[order], time[order], value[order]
        after = np.searchsorted(place, place, side="right") - np.arange(len(place))
        keep = after <= RECENT
        return place[keep], time[keep], value[keep]

    def restore(self, part: Part, low: np.ndarray, high: np.ndarray) -> None:
        """Back to what was `packed`, with the extremes of all."""
        self.parts, self._size = [part], len(part[0])
        self.low, self.high = low, high

    def before(
        self, place: int, time: int, fresh: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> tuple[np.ndarray, np.ndarray, float, float]:
        """Times and values of a sensor's last `RECENT` readings before ``time`` (ns), and the least and largest of all before; ``fresh`` are
        times and values of it that are not settled."""
        kept = [(when[mine], what[mine]) for who, when, what in self.parts if (mine := who == place).any()]
        if not kept and not fresh:
            return np.zeros(0, dtype=np.int64), np.zeros(0), np.inf, -np.inf
        times, values = (np.concatenate(column) for column in zip(*kept, *fresh, strict=True))
        early = times < time
        times, first = np.unique(times[early], return_index=True)
        values = values[early][first]
        low = min(float(self.low[place]), float(values.min(initial=np.inf)))
        high = max(float(self.high[place]), float(values.max(initial=-np.inf)))
        return times[-RECENT:], values[-RECENT:], low, high
