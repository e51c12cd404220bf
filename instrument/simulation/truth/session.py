"""A session's hidden state and readings without specimen and images, for scoring state estimates."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from instrument.simulation.truth.checks import check
from instrument.simulation.truth.column.column import Column
from instrument.simulation.truth.column.holder import AMBIENT
from instrument.simulation.truth.config import SimulatedConfig
from instrument.simulation.truth.imaging.images import ABERRATIONS
from instrument.simulation.truth.log import Log
from instrument.simulation.truth.sensors import Arrivals, Sensors
from twin.records import Readings

Quantity = Callable[[Column, np.ndarray, Log], np.ndarray]


def epoch(seed: int) -> int:
    """The fixed time (ns UTC) at which the session of ``seed`` begins."""
    start = datetime(2026, 1, 5, 8, tzinfo=UTC) + timedelta(days=seed % 300, seconds=(seed * 977) % 3600)
    return int(start.timestamp()) * 1_000_000_000


def _path(name: str) -> Quantity:
    return lambda column, t, log: column.paths.value(name, t)


_QUANTITIES: dict[str, Quantity] = {
    "HT": _path("ht"),
    "current": _path("current"),
    "coil": lambda column, t, log: column.heat.coil(t) - column.heat.coil(np.zeros(1)),
    "lagged": lambda column, t, log: column.heat.lagged_temperature(t),
    "room": _path("room"),
    "water": _path("water"),
    "holder.temperature": lambda column, t, log: column.holder.temperature(t, log),
    "beam": lambda column, t, log: column.dose_factor(t, log),
    "emission": lambda column, t, log: column.gun.emission(t, log),
    "black": lambda column, t, log: column.black(t),
}
_POSITION_NAMES = ("specimen.x", "specimen.y")


class TruthSession:
    """The hidden state of a `SimulatedMicroscope` of the same configuration and seed, given the same commands at the same times.

    Times are seconds from the session's start at ``epoch`` (ns UTC). Everything is a function of configuration, seed
    and commands; asking changes nothing, but for `published`.
    """

    def __init__(self, config: SimulatedConfig | None = None, seed: int = 0):
        self.config, self.seed, self.epoch = check(config or SimulatedConfig()), int(seed), epoch(int(seed))
        self.specimen_seed = self.seed if self.config.specimen_seed is None else self.config.specimen_seed
        self.column = Column(self.config, self.seed, self.specimen_seed)
        self.sensors = Sensors(self.column, self.seed, self.epoch)
        self.log = Log.at_start()

    def apply(self, t: float, changes: dict[str, float]) -> float:
        """Command some controls at time ``t`` (s), not before an earlier command; returns the time from which they
        hold, for a stage move that of its arrival. InstrumentError for what the microscope refuses.
        """
        if not self.log.times[-1] <= t < np.inf:
            raise ValueError(f"command at {t!r} s: the last one holds from {self.log.times[-1]!r} s; give a later time")
        settings = self.log.with_changes(changes)
        start = float(t) + (self.config.stage_seconds if self.log.moves_stage(settings) else 0.0)
        if settings != self.log.settings[-1]:
            self.log.add(start, settings)
        return start

    def names(self) -> tuple[str, ...]:
        """The quantities that `state` knows."""
        clocks = tuple(f"clock.{source}" for source in self.sensors.clocks())
        return (*ABERRATIONS, *_POSITION_NAMES, *_QUANTITIES, *clocks)

    def state(
        self, names: Sequence[str], times: np.ndarray | Sequence[float], vibration: bool = False
    ) -> dict[str, np.ndarray]:
        """Quantities ``names`` at ``times`` [n] (s): float64 arrays [n].

        C10, C12.a and so on: the column's actual coefficients in A, whatever was commanded. specimen.x, specimen.y: how
        far the specimen has moved from where its origin was on the axis, in A, with vibration only if asked. HT,
        current: relative deviations in ppm. coil, lagged: temperatures in K since the start; room, water: in K from a
        nominal one; holder.temperature in K. beam: current over the nominal one. emission in A. black in counts.
        clock.SOURCE: how far that source's clock is ahead, in s.
        """
        t = np.asarray(times, dtype=np.float64).reshape(-1)
        if not np.all(np.isfinite(t)) or (t.size and t.min() < 0):
            raise ValueError("state: a time is before the session or not finite; give seconds from its start on")
        if unknown := [name for name in names if name not in self.names()]:
            raise ValueError(f"state: unknown quantities {unknown}; they are {', '.join(self.names())}")
        out = {name: _QUANTITIES[name](self.column, t, self.log) for name in names if name in _QUANTITIES}
        if selected := [name for name in names if name in ABERRATIONS]:
            actual = dict(zip(ABERRATIONS, self.column.aberrations(t, self.log).T, strict=True))
            out |= {name: actual[name].copy() for name in selected}
        if selected := [name for name in names if name in _POSITION_NAMES]:
            position = self.column.specimen(t, self.log, vibration)
            out |= {name: position[:, _POSITION_NAMES.index(name)].copy() for name in selected}
        clocks = self.sensors.clocks()
        out |= {name: np.full(len(t), clocks[name[6:]]) for name in names if name.startswith("clock.")}
        return {name: out[name] for name in names}

    def arrivals(self, until: float, channels: Sequence[str] | None = None) -> list[Arrivals]:
        """All readings that arrived until ``until`` (s), with when they did; see `Sensors.arrivals`."""
        return self.sensors.arrivals(until, self.log, channels)

    def published(self, t: float) -> list[Readings]:
        """All readings that arrived since the last call and until ``t`` (s)."""
        return self.sensors.published(t, self.log)

    def facts(self) -> dict[str, float]:
        """The constants of this session."""
        return self.column.facts() | {"holder.ambient": AMBIENT}
