"""The true state of column and specimen stage at a time, given the commands until then."""

import numpy as np

from instrument.simulation.truth.column.gun import Gun
from instrument.simulation.truth.column.heat import Heat
from instrument.simulation.truth.column.holder import Holder
from instrument.simulation.truth.column.hysteresis import Plays
from instrument.simulation.truth.column.paths import Paths
from instrument.simulation.truth.column.stage import Stage
from instrument.simulation.truth.config import SimulatedConfig, generator
from instrument.simulation.truth.imaging.images import ABERRATIONS
from instrument.simulation.truth.imaging.specimen import cell_depth
from instrument.simulation.truth.log import Log


class Column:
    """The hidden state of one session. Everything is a function of the seed, the time and the log of commands."""

    def __init__(self, config: SimulatedConfig, seed: int, specimen_seed: int):
        self.config = config
        self.paths = Paths(config, seed)
        self.heat = Heat(config, self.paths, seed)
        self.gun = Gun(config, self.paths)
        self.holder = Holder(config, self.paths, seed)
        self._plays, self._stage = Plays(config, seed), Stage(config, seed)
        rng, c = generator(seed, "column"), config
        z = rng.standard_normal
        self.lens_gain = {name: 1 + c.lens_gain_error * z() for name in ("C10", "C12.a", "C12.b")}
        self._fixed = {
            "C32.a": c.c32_sigma * z(),
            "C32.b": c.c32_sigma * z(),
            "C34.a": c.c34_sigma * z(),
            "C34.b": c.c34_sigma * z(),
        }
        self._fixed["C50"] = c.c50_sigma * z()
        self._c12_heat = c.c12_per_kelvin * z(2)
        if c.c12_heat is not None:
            spread = c.heat_spread * generator(seed, "heat of C12").standard_normal(2)
            self._c12_heat = np.asarray(c.c12_heat) * (1 + spread)
        self.deflector = _scale_rotation(1 + c.deflector_error * z(2), 0.5 * c.deflector_error * z())
        self.scan = _scale_rotation(1 + c.scan_error * z(2), c.scan_error * z())
        self.gain = c.gain * (1 + c.gain_error * z())
        thick = generator(specimen_seed, "wedge")
        self._wedge_phase, self._wedge_azimuth = thick.uniform(0, 2 * np.pi, 2)
        self._cell = cell_depth(config)

    def aberrations(self, t: np.ndarray, log: Log) -> np.ndarray:
        """Actual coefficients [n, 13] in A at times ``t`` [n]."""
        c, paths = self.config, self.paths
        heat = self.heat.lagged_temperature(t)
        kappa = (1 + c.energy / 510998.95) / (1 + c.energy / (2 * 510998.95))
        chromatic = c.cc * 1e-6 * (2 * paths.value("current", t) - kappa * paths.value("ht", t))
        out = np.zeros((len(t), len(ABERRATIONS)))
        for column, name in enumerate(ABERRATIONS):
            if name == "C10":
                zero = paths.value("C10.walk", t) + self.heat.c10_per_kelvin * heat + chromatic
                lens_response = log.lens()[log.entry(t)] - self._lens_memory(t, log) + self._plays.offset(t, log)
                out[:, column] = self.lens_gain[name] * lens_response + zero
            elif name in ("C12.a", "C12.b"):
                zero = paths.value(name, t) + self._c12_heat[0 if name.endswith("a") else 1] * heat
                out[:, column] = self.lens_gain[name] * log.commanded(name, t) + zero
            elif name in self._fixed:
                out[:, column] = self._fixed[name]
            else:
                out[:, column] = paths.value(name, t) + (c.c30_offset if name == "C30" else 0.0)
        return out

    def _lens_memory(self, t: np.ndarray, log: Log) -> np.ndarray:
        """The part of past steps of C10 that the lens has not followed yet, in A."""
        steps = np.diff(log.lens())
        times = np.asarray(log.times[1:])
        out = np.zeros(len(t))
        for share, tau in zip(self.config.lens_lag_shares, self.config.lens_lag_times, strict=True):
            for step, command_time in zip(steps[steps != 0], times[steps != 0], strict=True):
                elapsed = t - command_time
                out += np.where(elapsed >= 0, share * step * np.exp(-np.maximum(elapsed, 0) / tau), 0.0)
        return out

    def specimen(self, t: np.ndarray, log: Log, vibration: bool = True) -> np.ndarray:
        """Displacement of the specimen's origin from the axis, [n, 2] in A, with drift and, if ``vibration``, vibration."""
        c, paths = self.config, self.paths
        out = self._stage.origin(t, log) + self.holder.drift(t, log)
        for axis, name in enumerate(("drift.x", "drift.y")):
            out[:, axis] += paths.value(name, t) + (c.vibration * paths.tremble(t, axis) if vibration else 0.0)
        return out

    def beam(self, t: np.ndarray, scan_x: np.ndarray, scan_y: np.ndarray, log: Log) -> np.ndarray:
        """Beam position [n, 2] in A in the column's axes at times ``t``, for scan offsets ``scan_x``, ``scan_y`` [n]."""
        shift = (
            np.stack([log.commanded("beam_shift.x", t), log.commanded("beam_shift.y", t)], axis=1) @ self.deflector.T
        )
        hum = np.stack([0.8 * self.paths.hum(t, 0), 0.6 * self.paths.hum(t, 1)], axis=1)
        return shift + np.stack([scan_x, scan_y], axis=1) @ self.scan.T + self.config.mains_jitter * hum

    def thickness(self, places: np.ndarray) -> np.ndarray:
        """Depth of crystal in A at specimen coordinates ``places`` [n, 2]: a wedge of sinusoidal profile."""
        c = self.config
        nominal = c.cells * c.thickness_scale * self._cell
        if c.wedge == 0 or c.wedge_swing == 0:
            return np.full(len(places), nominal)
        swing = c.wedge_swing * self._cell
        distance = places @ np.array([np.cos(self._wedge_azimuth), np.sin(self._wedge_azimuth)])
        return nominal + swing * np.sin(self._wedge_phase + c.wedge * distance / swing)

    def dose_factor(self, t: np.ndarray, log: Log) -> np.ndarray:
        """True beam current over the nominal current."""
        return self.gun.beam(t, log)

    def black(self, t: np.ndarray) -> np.ndarray:
        """True black level in counts."""
        return self.config.black + self.paths.value("black", t)

    def facts(self) -> dict[str, float]:
        """The constants of this session."""
        facts = {f"lens_gain.{name}": value for name, value in self.lens_gain.items()} | dict(self._fixed)
        for label, matrix in (("deflector", self.deflector), ("scan", self.scan)):
            facts |= {
                f"{label}.{row}{column}": float(matrix[i, j])
                for i, row in enumerate("xy")
                for j, column in enumerate("xy")
            }
        facts |= {"c10_per_kelvin": self.heat.c10_per_kelvin, "gain": self.gain}
        facts |= {f"c12_per_kelvin.{part}": self._c12_heat[i] for i, part in enumerate("ab")}
        facts |= {f"holder_drift.{axis}": self.holder.drift_per_kelvin[i] for i, axis in enumerate("xy")}
        facts["holder_gain_error"] = self.holder.gain_error
        return {name: float(value) for name, value in facts.items()}


def _scale_rotation(scales: np.ndarray, angle: float) -> np.ndarray:
    """A 2 x 2 map that scales and turns a little."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ np.diag(scales)
