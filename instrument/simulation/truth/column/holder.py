"""The specimen holder: its temperature follows the heater's set point or the room, and the specimen drifts with it."""

import numpy as np
from scipy.signal import lfilter

from instrument.simulation.truth.column.paths import TIME_STEP, Paths
from instrument.simulation.truth.config import SimulatedConfig, generator
from instrument.simulation.truth.log import Log

AMBIENT = 295.6  # K, where the holder stands when the room is at its nominal temperature


class Holder:
    """Temperature of one session's holder, and the drift that it makes."""

    def __init__(self, config: SimulatedConfig, paths: Paths, seed: int):
        self._config, self._paths = config, paths
        z = generator(seed, "holder").standard_normal(3)
        self.drift_per_kelvin = np.asarray(config.holder_drift) * (1 + config.holder_drift_spread * z[:2])
        self.gain_error = config.holder_gain_error * float(z[2])

    def rise(self, t: np.ndarray, log: Log) -> np.ndarray:
        """Temperature above that without the heater, in K; exactly zero until the heater is used."""
        return self._heated(t, log, AMBIENT + self._paths.value("room", t))

    def temperature(self, t: np.ndarray, log: Log) -> np.ndarray:
        """True temperature in K at session times ``t`` (s)."""
        ambient = AMBIENT + self._paths.value("room", t)
        return ambient + self._heated(t, log, ambient)

    def _heated(self, t: np.ndarray, log: Log, ambient: np.ndarray) -> np.ndarray:
        """The holder is pulled to the set point while the heater is on and to the room while it is off; ``hold`` is
        the heater's weight in the present temperature, and ``heat`` that weight times its set points.
        """
        goals, times, lag = log.values("holder.temperature"), np.asarray(log.times), self._config.holder_lag
        on = (goals > 0).astype(np.float64)
        hold, heat = on.copy(), goals.copy()
        for number in range(1, len(goals)):
            remaining = np.exp(-(times[number] - times[number - 1]) / lag)
            hold[number] = on[number - 1] + (hold[number - 1] - on[number - 1]) * remaining
            heat[number] = goals[number - 1] + (heat[number - 1] - goals[number - 1]) * remaining
        entry = log.entry(t)
        remaining = np.exp(-(t - times[entry]) / lag)
        return (
            goals[entry]
            + (heat[entry] - goals[entry]) * remaining
            - (on[entry] + (hold[entry] - on[entry]) * remaining) * ambient
        )

    def drift(self, t: np.ndarray, log: Log) -> np.ndarray:
        """Drift of the specimen by the holder's temperature since the session's start, [n, 2] in A."""
        if t.size == 0 or not self.drift_per_kelvin.any():
            return np.zeros((len(t), 2))
        grid = TIME_STEP * np.arange(int(t.max() / TIME_STEP) + 2)
        warm = self.temperature(grid, log)
        warm = warm - warm[0]
        keep = np.exp(-TIME_STEP / self._config.holder_drift_lag)
        followed = lfilter([1 - keep], [1.0, -keep], 0.5 * (warm[1:] + warm[:-1]))
        followed = np.interp(t, grid, np.concatenate([[0.0], np.asarray(followed)]))
        return followed[:, None] * self.drift_per_kelvin
