"""Readings of the simulated microscope's channels: when they are taken, delayed, lost or stuck.

Reading ``n`` of a channel is taken at (n + phase) / rate; its noise, loss and delay depend on seed, channel and n alone.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from instrument.simulation.truth.column.column import Column
from instrument.simulation.truth.config import generator
from instrument.simulation.truth.log import Log
from instrument.simulation.truth.measuring import measured, noise_of, reported
from twin.channels import CHANNELS, Channel
from twin.channels import channel as channel_of
from twin.records import Readings

_BLOCK_READINGS = 1024
_SOURCES = ("gun", "objective", "water", "room", "field", "stage", "holder", "column", "haadf")
_UNIFORM = ("lost", "odd", "delay")
# channels whose phase and bias come from one random stream; each later channel has its own, so that adding channels changes no other
_SHARED_STREAM_CHANNELS = 34
_MEAN_DELAY = 1 / 6  # of the longest, before it is cut off there


class Arrivals(NamedTuple):
    """All readings of one channel that arrived: sequence ``numbers`` [n], ``times`` [n] in ns UTC by the source's clock,
    ``values`` [n] in the channel's unit, and ``arrival`` [n] in ns UTC by the true clock. Ordered by number; arrivals
    need not be.
    """

    channel: str
    numbers: np.ndarray
    times: np.ndarray
    values: np.ndarray
    arrival: np.ndarray


class Sensors:
    """All channels of one session."""

    def __init__(self, column: Column, seed: int, epoch: int):
        self._column, self._seed, self._epoch = column, seed, epoch
        rng, c = generator(seed, "sensors"), column.config
        common, own_streams = (
            CHANNELS[:_SHARED_STREAM_CHANNELS],
            {x.name: generator(seed, "channel", x.name) for x in CHANNELS[_SHARED_STREAM_CHANNELS:]},
        )
        self._phase = {channel.name: rng.uniform(0, 1) for channel in common}
        self._phase |= {name: stream.uniform(0, 1) for name, stream in own_streams.items()}
        self._offset = {source: float(np.clip(rng.normal(0, 0.008), -0.025, 0.025)) for source in _SOURCES}
        self._offset[("water", "room", "holder")[rng.integers(3)]] = c.late_clock
        self._bias = {channel.name: float(rng.standard_normal()) for channel in common}
        self._bias |= {name: float(stream.standard_normal()) for name, stream in own_streams.items()}
        self._stuck: dict[str, tuple[float, float]] = {}
        if rng.uniform() < 0.7:
            name = ("water.out.temperature", "room.temperature", "gun.pressure", "stage.z", "gun.emission")[
                rng.integers(5)
            ]
            self._stuck[name] = (rng.uniform(300, 1500), rng.uniform(120, 600))
        self._last_measured: dict[str, float] = {}
        if c.tableau_age is not None:
            for name, size, walk_rate in (
                ("C12.a", 15.0, c.c12_walk),
                ("C12.b", 15.0, c.c12_walk),
                ("C30", 2000.0, c.c30_walk),
            ):
                now = float(column.paths.value(name, np.zeros(1))[0]) + (c.c30_offset if name == "C30" else 0.0)
                spread = np.hypot(size, walk_rate * np.sqrt(c.tableau_age))
                self._last_measured[f"corrector.{name}"] = now + float(spread * rng.standard_normal())
        self._last_measured["screen.current"] = 5e-11 * (1 + 0.05 * float(rng.standard_normal()))
        if c.stuck_count is not None:
            self._stuck = self._freezing(c.stuck_count)
        self._next = {channel.name: 0 for channel in CHANNELS}
        self._published_until = -np.inf

    def _freezing(self, count: int) -> dict[str, tuple[float, float]]:
        """Which measured sensors freeze: (from, for how long) in s."""
        rng, c = generator(self._seed, "stuck"), self._column.config
        names = rng.permutation([channel.name for channel in CHANNELS if channel.kind == "measured"])[:count]
        return {str(name): (c.session_seconds * rng.uniform(0.2, 0.7), c.stuck_seconds) for name in names}

    def stuck(self) -> dict[str, tuple[float, float]]:
        """For scoring: which sensors stick, each with the session times (s) from and until which it does."""
        return {name: (start, start + length) for name, (start, length) in self._stuck.items()}

    def clocks(self) -> dict[str, float]:
        """For scoring: by how much (s) each source's clock, and so its readings' times, is ahead of the true one.

        A channel's source is its name's first part.
        """
        return {source: self._offset.get(source, 0.0) for source in sorted({_source(c) for c in CHANNELS})}

    def published(self, t: float, log: Log) -> list[Readings]:
        """All readings that arrived after the last call and until session time ``t`` (s); a gap in a channel's numbers
        ends a batch.
        """
        out: list[Readings] = []
        for channel in CHANNELS:
            first, stop = self._next[channel.name], self._stop(channel, t)
            if stop <= first:
                continue
            numbers, _ = self._arrivals_between(channel, first, stop, self._published_until, t)
            # the oldest reading that may still arrive
            self._next[channel.name] = max(first, self._stop(channel, t - self._column.config.delay_max))
            if len(numbers):
                out.extend(self._batches(channel, numbers, log))
        self._published_until = max(self._published_until, t)
        return out

    def arrivals(self, until: float, log: Log, channels: Sequence[str] | None = None) -> list[Arrivals]:
        """All readings of ``channels`` (all, if None) that arrived until session time ``until`` (s), with when they did.
        The log must hold what was commanded until then. Independent of `published`.
        """
        out = []
        for channel in CHANNELS if channels is None else [channel_of(name) for name in channels]:
            numbers, arrival = self._arrivals_between(channel, 0, self._stop(channel, until), -np.inf, until)
            times, values = self._stamped(channel, numbers, log)
            arrival = self._epoch + np.round(arrival * 1e9).astype(np.int64)
            out.append(Arrivals(channel.name, numbers, times, values, arrival))
        return out

    def _stop(self, channel: Channel, t: float) -> int:
        """The number of the first reading that cannot have arrived by session time ``t``, even with no delay."""
        latency = self._column.config.latency
        return max(0, int(np.floor((t - latency) * channel.rate - self._phase[channel.name])) + 1)

    def _taken_at(self, channel: Channel, numbers: np.ndarray) -> np.ndarray:
        """When readings are taken, in s by the true clock."""
        return (numbers + self._phase[channel.name]) / channel.rate

    def _arrivals_between(
        self, channel: Channel, first: int, stop: int, start: float, until: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of readings ``first`` to ``stop`` those that arrive after ``start`` and until ``until`` (s): their numbers and
        when they arrive.
        """
        c, numbers = self._column.config, np.arange(first, stop)
        if not len(numbers):
            return numbers, np.empty(0)
        arrival = self._taken_at(channel, numbers) + c.latency
        arrived = self._random(channel, numbers, "lost") >= c.dropout
        if c.delay_max > 0:
            share = self._random(channel, numbers, "delay")
            mean = _MEAN_DELAY * c.delay_max
            arrival = arrival - mean * np.log1p(share * np.expm1(-1 / _MEAN_DELAY))
            arrived &= (arrival > start) & (arrival <= until)
        return numbers[arrived], arrival[arrived]

    def _random(self, channel: Channel, numbers: np.ndarray, quantity: str) -> np.ndarray:
        """Standard normal (or uniform) numbers of readings ``numbers``, which rise."""
        first_block, last_block = int(numbers[0]) // _BLOCK_READINGS, int(numbers[-1]) // _BLOCK_READINGS
        parts = []
        for block in range(first_block, last_block + 1):
            rng = generator(self._seed, "reading", channel.name, quantity, block)
            parts.append(
                rng.uniform(size=_BLOCK_READINGS) if quantity in _UNIFORM else rng.standard_normal(_BLOCK_READINGS)
            )
        return np.concatenate(parts)[numbers - first_block * _BLOCK_READINGS]

    def _batches(self, channel: Channel, numbers: np.ndarray, log: Log) -> list[Readings]:
        times, values = self._stamped(channel, numbers, log)
        cuts = [0, *(np.flatnonzero(np.diff(numbers) > 1) + 1).tolist(), len(numbers)]
        return [Readings(channel.name, int(numbers[a]), times[a:b], values[a:b]) for a, b in pairwise(cuts)]

    def _stamped(self, channel: Channel, numbers: np.ndarray, log: Log) -> tuple[np.ndarray, np.ndarray]:
        """Times (ns UTC by the source's clock) and values of readings ``numbers``."""
        if not len(numbers):
            return np.empty(0, dtype=np.int64), np.empty(0)
        taken_at = self._taken_at(channel, numbers)
        if channel.kind == "measured":
            values = self._measured(channel, numbers, taken_at, log)
        else:
            values = reported(channel.name, taken_at, log, self._column, self._last_measured)
        jitter = np.clip(5e-4 * self._random(channel, numbers, "stamp"), -2e-3, 2e-3)
        stamps = taken_at + self._offset.get(_source(channel), 0.0) + jitter
        return self._epoch + np.round(stamps * 1e9).astype(np.int64), values

    def _measured(self, channel: Channel, numbers: np.ndarray, taken_at: np.ndarray, log: Log) -> np.ndarray:
        c, bias = self._column.config, self._bias[channel.name]
        start, length = self._stuck.get(channel.name, (np.inf, 0.0))
        stuck = (taken_at >= start) & (taken_at < start + length)
        measured_at = np.where(stuck, start, taken_at)
        values = measured(channel, measured_at, self._random(channel, numbers, "noise"), bias, log, self._column)
        odd, wild = self._random(channel, numbers, "odd"), self._random(channel, numbers, "wild")
        values = np.where(
            (odd < c.outlier) & (measured_at == taken_at), values + 40 * noise_of(channel, c) * wild, values
        )
        if c.stuck_count is not None and stuck.any():
            last_before = np.maximum(np.floor([start * channel.rate - self._phase[channel.name]]), 0).astype(np.int64)
            noise = self._random(channel, last_before, "noise")
            values[stuck] = measured(channel, self._taken_at(channel, last_before), noise, bias, log, self._column)
        return values


def _source(channel: Channel) -> str:
    """The source whose clock stamps a channel's readings."""
    return channel.name.split(".")[0]
