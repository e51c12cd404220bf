"""What the channels of the simulated microscope say: echoes, poor measurements, and values of the last time somebody
measured.

Reading ``n`` of a channel is taken at (n + phase) / rate; its noise depends on seed, channel and n alone.
"""

import numpy as np

from instrument.truth.column import Column, Log
from instrument.truth.config import generator
from twin.channels import CHANNELS, Channel
from twin.records import Readings

_BLOCK = 1024
_ECHOES = {
    "C10.commanded": "C10",
    "C12.a.commanded": "C12.a",
    "C12.b.commanded": "C12.b",
    "beam_shift.x.commanded": "beam_shift.x",
    "beam_shift.y.commanded": "beam_shift.y",
}
_LENSES = {
    "lens.condenser1": 0.3127,
    "lens.condenser2": 0.4019,
    "lens.condenser3": 0.2764,
    "lens.diffraction": 0.3651,
    "lens.projector": 0.8112,
}
_TEMPERATURES = {
    "objective.temperature": ("coil", 299.4),
    "water.in.temperature": ("water", 291.5),
    "water.out.temperature": ("water", 293.1),
    "room.temperature": ("room", 295.2),
    "holder.temperature": ("room", 295.6),
}
_SOURCES = ("gun", "objective", "water", "room", "field", "stage", "holder", "column", "haadf")


class Sensors:
    """All channels of one session."""

    def __init__(self, column: Column, seed: int, epoch: int):
        self._column, self._seed, self._epoch = column, seed, epoch
        rng, c = generator(seed, "sensors"), column.config
        self._phase = {channel.name: rng.uniform(0, 1) for channel in CHANNELS}
        self._offset = {source: float(np.clip(rng.normal(0, 0.008), -0.025, 0.025)) for source in _SOURCES}
        self._offset[("water", "room", "holder")[rng.integers(3)]] = c.late_clock
        self._bias = {channel.name: float(rng.standard_normal()) for channel in CHANNELS}
        self._stuck: dict[str, tuple[float, float]] = {}
        if rng.uniform() < 0.7:
            name = ("water.out.temperature", "room.temperature", "gun.pressure", "stage.z", "gun.emission")[
                rng.integers(5)
            ]
            self._stuck[name] = (rng.uniform(300, 1500), rng.uniform(120, 600))
        self._tableau: dict[str, float] = {}
        if c.tableau_age is not None:
            for name, size, walk in (
                ("C12.a", 15.0, c.c12_walk),
                ("C12.b", 15.0, c.c12_walk),
                ("C30", 2000.0, c.c30_walk),
            ):
                now = float(column.paths.value(name, np.zeros(1))[0]) + (c.c30_offset if name == "C30" else 0.0)
                spread = np.hypot(size, walk * np.sqrt(c.tableau_age))
                self._tableau[f"corrector.{name}"] = now + float(spread * rng.standard_normal())
        self._screen = 5e-11 * (1 + 0.05 * float(rng.standard_normal()))
        self._next = {channel.name: 0 for channel in CHANNELS}

    def published(self, t: float, log: Log) -> list[Readings]:
        """All readings published between the last call and session time ``t``; a lost reading ends a batch."""
        out: list[Readings] = []
        for channel in CHANNELS:
            first = self._next[channel.name]
            stop = int(np.floor((t - self._column.config.latency) * channel.rate - self._phase[channel.name])) + 1
            if stop <= first:
                continue
            self._next[channel.name] = stop
            out.extend(self._batches(channel, np.arange(first, stop), log))
        return out

    def _random(self, channel: Channel, numbers: np.ndarray, what: str) -> np.ndarray:
        """Standard normal (or uniform, for "lost" and "odd") numbers of readings ``numbers``."""
        first, last = int(numbers[0]) // _BLOCK, int(numbers[-1]) // _BLOCK
        parts = []
        for block in range(first, last + 1):
            rng = generator(self._seed, "reading", channel.name, what, block)
            parts.append(rng.uniform(size=_BLOCK) if what in ("lost", "odd") else rng.standard_normal(_BLOCK))
        return np.concatenate(parts)[numbers - first * _BLOCK]

    def _batches(self, channel: Channel, numbers: np.ndarray, log: Log) -> list[Readings]:
        c = self._column.config
        taken = (numbers + self._phase[channel.name]) / channel.rate
        seen = taken
        if channel.name in self._stuck:
            start, length = self._stuck[channel.name]
            seen = np.where((taken >= start) & (taken < start + length), start, taken)
        if channel.kind == "measured":
            values = self._measured(channel, seen, self._random(channel, numbers, "noise"), log)
            odd = self._random(channel, numbers, "odd")
            wild = self._random(channel, numbers, "wild")
            values = np.where((odd < c.outlier) & (seen == taken), values + 40 * self._noise_of(channel) * wild, values)
        else:
            values = self._told(channel, taken, log)
        offset = self._offset.get(channel.name.split(".")[0], 0.0)
        stamps = taken + offset + np.clip(5e-4 * self._random(channel, numbers, "stamp"), -2e-3, 2e-3)
        times = self._epoch + np.round(stamps * 1e9).astype(np.int64)
        kept = np.flatnonzero(self._random(channel, numbers, "lost") >= c.dropout)
        runs = np.split(kept, np.flatnonzero(np.diff(kept) > 1) + 1)
        return [Readings(channel.name, int(numbers[run[0]]), times[run], values[run]) for run in runs if len(run)]

    def _told(self, channel: Channel, t: np.ndarray, log: Log) -> np.ndarray:
        """Echoes and values of the last time somebody measured."""
        name = channel.name
        if name in _ECHOES:
            return log.commanded(_ECHOES[name], t)
        if name == "lens.objective":
            return 0.8547 + 4e-8 * log.commanded("C10", t)
        if name in _LENSES:
            return np.full(len(t), _LENSES[name])
        if name == "screen.current":
            return np.full(len(t), self._screen)
        return np.full(len(t), self._tableau.get(name, np.nan))

    def _noise_of(self, channel: Channel) -> float:
        """Rms noise of one reading, in the channel's unit."""
        c = self._column.config
        by_unit = {
            "kelvin": c.temperature_noise,
            "volt": c.ht_noise,
            "1": 1e-6,
            "tesla": 2e-9,
            "count": 0.3,
            "angstrom": 8.0,
            "radian": 2e-5,
        }
        by_name = {"gun.emission": 1e-8, "gun.pressure": 2e-9, "column.pressure": 4e-7, "room.pressure": 5.0}
        return by_name.get(channel.name, by_unit.get(channel.unit, 0.0))

    def _measured(self, channel: Channel, t: np.ndarray, noise: np.ndarray, log: Log) -> np.ndarray:
        c, paths, name = self._column.config, self._column.paths, channel.name
        size, bias = self._noise_of(channel), self._bias[channel.name]
        if name in _TEMPERATURES:
            path, base = _TEMPERATURES[name]
            value = base + 0.3 * bias + paths.value(path, t)
            if name == "water.out.temperature":
                value = value + 0.3 * paths.value("coil", t)
            return np.round((value + size * noise) / c.temperature_step) * c.temperature_step
        if name == "gun.high_tension":
            read = c.energy * (1 + c.ht_divider * (1 + 0.3 * bias)) * (1 + 1e-6 * paths.value("ht", t))
            return np.round((read + size * noise) / c.ht_step) * c.ht_step
        if name == "objective.current":
            return 1e-6 * paths.value("current", t) + 3e-6 * bias + size * noise
        if name == "gun.emission":
            return 5e-5 * (1 + 0.4 * paths.value("beam", t) + paths.value("emission.own", t)) + size * noise
        if name in ("gun.pressure", "column.pressure"):
            return (1e-7 if name.startswith("gun") else 2e-5) * (
                1 + 0.1 * bias + paths.value("vacuum", t)
            ) + size * noise
        if name == "room.pressure":
            return 101000.0 + 600 * bias + paths.value("weather", t) + size * noise
        if name in ("field.x", "field.y"):
            return (
                2e-8 * paths.hum(t, 0 if name.endswith("x") else 1) + paths.value(name, t) + 5e-8 * bias + size * noise
            )
        if name in ("stage.x", "stage.y"):
            return np.round(log.commanded(name, t) + 15 * bias + size * noise)
        if name == "stage.z":
            return np.round(-12430.0 + 500 * bias + size * noise)
        if name in ("stage.alpha", "stage.beta"):
            return 0.01 * bias + size * noise
        if name == "haadf.black":
            return self._column.black(t) + size * noise
        raise ValueError(f"no sensor stands behind channel {name!r}; give it one here")
