"""Logs of sensors as plain arrays, whatever format they were read from."""

import dataclasses
from typing import Literal

import numpy as np


@dataclasses.dataclass(frozen=True)
class LoggedSensor:
    """Readings of one channel: ``values`` [n] in the inside ``unit`` (None: not known) at ``times`` [n] (int64 ns, strictly increasing).

    ``kind`` as in `twin.channels` ("": not stated), ``bias``: rms (unit) of a constant error of the channel, 0 where none is stated.
    """

    channel: str
    unit: str | None
    times: np.ndarray
    values: np.ndarray
    kind: str = ""
    bias: float = 0.0

    def __post_init__(self):
        if self.times.shape != self.values.shape or self.times.ndim != 1:
            raise ValueError(
                f"channel {self.channel!r} has times {self.times.shape} and values {self.values.shape}; give [n] of each"
            )
        if self.times.size > 1 and not (np.diff(self.times) > 0).all():
            raise ValueError(f"the times of channel {self.channel!r} do not rise; sort them, one value a time")


@dataclasses.dataclass(frozen=True)
class SensorRecord:
    """A log: its ``title``, its ``sensors``, and the period from ``start`` to ``end`` (ns) that it covers. ``zone``: "UTC", or "local": not known."""

    title: str
    sensors: tuple[LoggedSensor, ...]
    start: int
    end: int
    zone: Literal["UTC", "local"] = "UTC"


@dataclasses.dataclass(frozen=True)
class Placed:
    """Where a file lies in the ``log`` of that title: ``shift`` (ns) added to its times gives the log's (None: not known), and whether the log covers it."""

    log: str
    shift: int | None
    covered: bool
