"""Offset and rate of a source's clock, estimated from the time stamps and arrival times of its readings.

A reading taken at t by our clock is stamped t + offset and arrives at t + delay, so arrival - stamp = delay - offset. Delays have a
minimum and a tail, so the smallest difference in an epoch is the sharpest measurement of the offset (as in network time, Mills, IEEE Trans.
Commun. 39, 1482, 1991). A Kalman filter over (offset, rate, latency) is updated with one such minimum an epoch; the latency is part of the state
because no number of readings averages it away.

An epoch is closed `EPOCH_CLOSING_DELAY` seconds after its end, and a reading is aligned with the epochs closed at its arrival. The result does
not depend on the order of the readings, as long as they are handed over within that delay.
"""

import bisect
from typing import Any

import numpy as np

from twin.sensors.model import Clock

EPOCH_SECONDS = 10.0
FIRST_EPOCH_SECONDS = 2.5
"""Seconds of an epoch; the first four are shorter, so that a wrong clock is found early."""
EPOCH_CLOSING_DELAY = 2.0
CLOCK_JUMP_SECONDS = 1.0
"""Change of the offset (s) from which the clock was reset rather than drifted. Slow delivery looks like a clock set back, so in that
direction the limit is at least the largest delay of the source."""
RESOLUTION = 2e-3
"""Assumed standard error (s) of time stamps."""
ALIGNMENT_HISTORY = 4


class SourceClock:
    """Offset (s, the source's clock minus ours) and rate (s/s) of one source, with covariance. Times are seconds from a common start."""

    def __init__(self, clock: Clock):
        self.clock = clock
        self.open: dict[int, tuple[float, int]] = {}
        """Least difference and number of readings of each epoch that is not closed."""
        self.mean = np.array([0.0, 0.0, clock.latency])
        self.covariance = np.diag([clock.offset_std, clock.rate_std, clock.latency_std]) ** 2
        self.at, self.closed, self.jumps = 0.0, -1, 0
        self._lines: list[tuple[float, float, float, float]] = [(-np.inf, 0.0, 0.0, 0.0)]

    def add(self, arrival: float, stamps: np.ndarray) -> None:
        """Readings stamped ``stamps`` (s) arrived at ``arrival`` (s)."""
        number = _epoch(arrival)
        for closing in sorted(epoch for epoch in self.open if _end(epoch) + EPOCH_CLOSING_DELAY <= arrival):
            self._close(closing)
        if number > self.closed:
            least, count = self.open.get(number, (np.inf, 0))
            self.open[number] = (min(least, float((arrival - stamps).min())), count + len(stamps))

    def aligned(self, stamps: np.ndarray, arrival: float) -> np.ndarray:
        """When readings stamped ``stamps`` (s) and arrived at ``arrival`` were taken, by our clock."""
        _, at, offset, rate = self._lines[max(bisect.bisect_right(self._lines, (arrival, np.inf)) - 1, 0)]
        return stamps - (offset + rate * (stamps - offset - at))

    def offset(self, time: float) -> tuple[float, float]:
        """Offset at ``time`` (s) and its standard deviation."""
        row = np.array([1.0, time - self.at if self.closed >= 0 else 0.0, 0.0])
        return float(row @ self.mean), float(np.sqrt(row @ self.covariance @ row))

    @property
    def rate(self) -> tuple[float, float]:
        """Rate (s/s) and its standard deviation."""
        return float(self.mean[1]), float(np.sqrt(self.covariance[1, 1]))

    def _close(self, epoch: int) -> None:
        least, count = self.open.pop(epoch)
        middle = 0.5 * (_end(epoch - 1) + _end(epoch))
        step = np.eye(3)
        step[0, 1] = middle - self.at if self.closed >= 0 else 0.0
        self.mean, self.covariance = step @ self.mean, step @ self.covariance @ step.T
        first, self.at, self.closed = self.closed < 0, middle, epoch
        row = np.array([-1.0, 0.0, 1.0])
        # the smallest of n delays exceeds the latency by about the tail's mean over n
        tail = self.clock.latest / 6.0 / count
        noise = tail**2 + RESOLUTION**2
        innovation = least - tail - row @ self.mean
        total = row @ self.covariance @ row + noise
        limit = CLOCK_JUMP_SECONDS if innovation < 0 else max(CLOCK_JUMP_SECONDS, self.clock.latest)
        if not first and abs(innovation) > limit + 5.0 * np.sqrt(total):
            self.jumps += 1
            self.mean[0] -= innovation
            self.covariance[0, :] = self.covariance[:, 0] = 0.0
            self.covariance[0, 0] = self.clock.offset_std**2
        else:
            gain = self.covariance @ row / total
            self.mean = self.mean + gain * innovation
            complement = np.eye(3) - np.outer(gain, row)
            self.covariance = complement @ self.covariance @ complement.T + noise * np.outer(gain, gain)
        self._lines.append((_end(epoch) + EPOCH_CLOSING_DELAY, self.at, float(self.mean[0]), float(self.mean[1])))
        del self._lines[:-ALIGNMENT_HISTORY]

    def to_state(self) -> dict[str, Any]:
        """The estimate and the open epochs as plain values."""
        return {
            "open": [[epoch, least, count] for epoch, (least, count) in self.open.items()],
            "mean": self.mean.tolist(),
            "covariance": self.covariance.tolist(),
            "at": self.at,
            "closed": self.closed,
            "jumps": self.jumps,
            "lines": [list(line) for line in self._lines[1 if self._lines[0][0] == -np.inf else 0 :]],
        }

    def from_state(self, state: dict[str, Any]) -> None:
        """Restore what `to_state` saved."""
        self.open = {int(epoch): (float(least), int(count)) for epoch, least, count in state["open"]}
        self.mean, self.covariance = np.array(state["mean"]), np.array(state["covariance"])
        self.at, self.closed, self.jumps = float(state["at"]), int(state["closed"]), int(state["jumps"])
        self._lines = [(-np.inf, 0.0, 0.0, 0.0), *(tuple(map(float, line)) for line in state["lines"])][
            -ALIGNMENT_HISTORY:
        ]  # type: ignore[misc]


def _epoch(arrival: float) -> int:
    return int(arrival // FIRST_EPOCH_SECONDS) if arrival < EPOCH_SECONDS else int(arrival // EPOCH_SECONDS) + 3


def _end(epoch: int) -> float:
    return (epoch + 1) * FIRST_EPOCH_SECONDS if epoch < 4 else (epoch - 2) * EPOCH_SECONDS
