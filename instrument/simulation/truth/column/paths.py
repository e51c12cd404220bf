"""Slow random processes of the room and the column, as fixed paths of the seed on a 0.05 s grid.

Blocks are made lazily and in order, each from its own streams, so that a path does not depend on when or how often it
was asked.
"""

import numpy as np
from scipy.signal import lfilter

from instrument.simulation.truth.config import SimulatedConfig, generator

TIME_STEP = 0.05  # s
_BLOCK_POINTS = 1200  # grid points, one minute


class Paths:
    """Named processes over session time (s from its start), linear between grid points."""

    def __init__(self, config: SimulatedConfig, seed: int):
        self._config, self._seed = config, seed
        rng = generator(seed, "paths")
        self._phase = rng.uniform(0, 2 * np.pi, 8)
        self._period = {"air": rng.uniform(500, 900), "chiller": rng.uniform(120, 220), "turn": rng.uniform(300, 700)}
        self._last_value: dict[str, float] = {}
        self._values: dict[str, np.ndarray] = {}
        self._blocks = 0
        self._start(rng)

    def _start(self, rng: np.random.Generator) -> None:
        """Draw where every process stands at time zero."""
        c, z = self._config, rng.standard_normal
        self._last_value = {
            "C10.walk": c.c10_zero_sigma * z(),
            "C12.a": c.c12_sigma * z(),
            "C12.b": c.c12_sigma * z(),
            "C21.a": c.c21_sigma * z(),
            "C21.b": c.c21_sigma * z(),
            "C23.a": c.c23_sigma * z(),
            "C23.b": c.c23_sigma * z(),
            "C30": c.c30_sigma * z(),
            "heading": rng.uniform(0, 2 * np.pi),
            "drift.x": 0.0,
            "drift.y": 0.0,
            "coil": c.room_flicker * z(),
        }
        self._last_value["lagged"] = 0.6 * self._last_value["coil"] + 0.4 * c.room_flicker * z()
        self._lagged_zero = self._last_value["lagged"]
        for name, (rms, _) in self._wanderers().items():
            self._last_value[name] = rms * z()

    def _wanderers(self) -> dict[str, tuple[float, float]]:
        """Stationary processes: (rms, correlation time in s). Three of them, decades apart, make the room's 1/f."""
        c = self._config
        return {
            "room.fast": (c.room_flicker / 3, 30.0),
            "room.middle": (c.room_flicker / 2, 300.0),
            "room.slow": (c.room_flicker / 1.3, 3000.0),
            "water.wander": (0.04, 900.0),
            "ht": (c.ht_ppm, c.ht_time),
            "current": (c.current_ppm, c.current_time),
            "beam": (c.beam_drift, 1500.0),
            "emission.own": (0.01, 600.0),
            "black": (c.black_drift, 600.0),
            "pace": (0.12, 120.0),
            "field.x": (1.5e-8, 400.0),
            "field.y": (1.5e-8, 400.0),
            "vacuum": (0.05, 800.0),
            "weather": (60.0, 7200.0),
            "vibration.a": (1.0, 2.0),
            "vibration.b": (1.0, 2.0),
            "mains.a": (1.0, 5.0),
            "mains.b": (1.0, 5.0),
        }

    def _noise(self, name: str, block: int) -> np.ndarray:
        return generator(self._seed, "path", name, block).standard_normal(_BLOCK_POINTS)

    def _follow(self, name: str, drive: np.ndarray, keep: float) -> np.ndarray:
        """x[n + 1] = keep x[n] + drive[n], going on from where the last block ended."""
        out, _ = lfilter([1.0], [1.0, -keep], drive, zi=[keep * self._last_value[name]])
        self._last_value[name] = float(out[-1])
        return out

    def _make_block(self) -> None:
        c, block = self._config, self._blocks
        t = (block * _BLOCK_POINTS + 1 + np.arange(_BLOCK_POINTS)) * TIME_STEP
        block_values: dict[str, np.ndarray] = {}
        for name, (rms, tau) in self._wanderers().items():
            keep = np.exp(-TIME_STEP / tau)
            block_values[name] = self._follow(name, rms * np.sqrt(1 - keep**2) * self._noise(name, block), keep)
        walk_rates = {"C10.walk": c.c10_walk, "C12.a": c.c12_walk, "C12.b": c.c12_walk, "heading": c.drift_turn}
        for name, size in walk_rates.items():
            block_values[name] = self._follow(name, size * np.sqrt(TIME_STEP) * self._noise(name, block), 1.0)
        # walks that the alignment keeps within bounds: as fast over minutes, capped over hours
        capped = {
            "C21.a": (c.c21_walk, c.c21_sigma),
            "C21.b": (c.c21_walk, c.c21_sigma),
            "C23.a": (c.c23_walk, c.c23_sigma),
        }
        capped |= {"C23.b": (c.c23_walk, c.c23_sigma), "C30": (c.c30_walk, c.c30_sigma)}
        for name, (size, cap) in capped.items():
            keep = np.exp(-TIME_STEP * size**2 / (2 * max(cap, 1e-9) ** 2))
            block_values[name] = self._follow(name, size * np.sqrt(TIME_STEP) * self._noise(name, block), keep)
        air = c.room_swing * np.sin(2 * np.pi * t / self._period["air"] + self._phase[0])
        block_values["room"] = air + block_values["room.fast"] + block_values["room.middle"] + block_values["room.slow"]
        block_values["water"] = (
            0.05 * np.sin(2 * np.pi * t / self._period["chiller"] + self._phase[1]) + block_values["water.wander"]
        )
        share = 1 - np.exp(-TIME_STEP / c.coil_lag)
        block_values["coil"] = self._follow(
            "coil", share * (0.7 * block_values["room"] + block_values["water"]), 1 - share
        )
        share = 1 - np.exp(-TIME_STEP / c.thermal_lag)
        block_values["lagged"] = self._follow("lagged", share * block_values["coil"], 1 - share)
        turn = block_values["heading"] + 0.8 * np.sin(2 * np.pi * t / self._period["turn"] + self._phase[2])
        speed = c.drift_speed * (1 + block_values["pace"]) * TIME_STEP
        block_values["drift.x"] = self._follow("drift.x", speed * np.cos(turn), 1.0)
        block_values["drift.y"] = self._follow("drift.y", speed * np.sin(turn), 1.0)
        for name, values in block_values.items():
            earlier = self._values.get(name)
            # room and water start where their first point is: they are sums, not states of their own
            first = np.array([self._first_value.get(name, values[0])]) if earlier is None else earlier
            self._values[name] = np.concatenate([first, values])
        self._blocks += 1

    def value(self, name: str, t: np.ndarray) -> np.ndarray:
        """Values of a process at session times ``t`` (s, >= 0), in any order."""
        if t.size == 0:
            return np.zeros_like(t)
        if t.min() < 0:
            raise ValueError(f"time {t.min():.3f} s is before the session; ask for times from its start on")
        if self._blocks == 0:
            self._first_value = dict(self._last_value)
        while self._blocks * _BLOCK_POINTS * TIME_STEP <= t.max():
            self._make_block()
        values = self._values[name]
        grid_position = t / TIME_STEP
        index = np.minimum(grid_position.astype(np.int64), len(values) - 2)
        fraction = grid_position - index
        return values[index] * (1 - fraction) + values[index + 1] * fraction

    def lagged_temperature(self, t: np.ndarray) -> np.ndarray:
        """The temperature that focus follows, in K since the session's start."""
        return self.value("lagged", t) - self._lagged_zero

    def hum(self, t: np.ndarray, phase: int) -> np.ndarray:
        """Unit-rms mains interference: 50 Hz and a weaker third harmonic with slowly wandering amplitude and phase."""
        wander_a, wander_b = self.value("mains.a", t), self.value("mains.b", t)
        angle = 2 * np.pi * 50.013 * t + self._phase[3 + phase] + 0.3 * wander_a
        return (1 + 0.15 * wander_b) * (1.36 * np.sin(angle) + 0.38 * np.sin(3 * angle + 1.1))

    def tremble(self, t: np.ndarray, axis: int) -> np.ndarray:
        """Unit-rms vibration of the specimen: two eigenfrequencies with wandering amplitudes."""
        a, b = self.value("vibration.a", t), self.value("vibration.b", t)
        if axis == 1:
            a, b = b, -a
        return a * np.sin(2 * np.pi * 12.3 * t + self._phase[5]) + b * np.sin(2 * np.pi * 28.7 * t + self._phase[6])
