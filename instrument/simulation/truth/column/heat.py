"""Heat of the objective lens: the coil follows room, water and changes of mode, the pole piece follows the coil."""

import numpy as np

from instrument.simulation.truth.column.paths import Paths
from instrument.simulation.truth.config import SimulatedConfig, generator


class Heat:
    """Coil and pole piece of one session. Temperatures are in K, relative to the nominal temperature."""

    def __init__(self, config: SimulatedConfig, paths: Paths, seed: int):
        self._config, self._paths = config, paths
        self.c10_per_kelvin = config.c10_per_kelvin * (
            1 + config.heat_spread * float(generator(seed, "heat").standard_normal())
        )

    def coil(self, t: np.ndarray) -> np.ndarray:
        """The coil's temperature at session times ``t`` (s)."""
        c = self._config
        return self._paths.value("coil", t) + c.mode_heat * first_order_response(t - c.mode_change_at, c.coil_lag)

    def lagged_temperature(self, t: np.ndarray) -> np.ndarray:
        """The temperature that focus follows, the pole piece's, since the session's start."""
        return self._paths.lagged_temperature(t) + (self._mode_response(t) - self._mode_response(np.zeros(1)))

    def _mode_response(self, t: np.ndarray) -> np.ndarray:
        c = self._config
        return c.mode_heat * second_order_response(t - c.mode_change_at, c.coil_lag, c.thermal_lag)


def first_order_response(elapsed: np.ndarray, lag: float) -> np.ndarray:
    """Step response ``elapsed`` s after a step, of a first-order lag (s)."""
    return np.where(elapsed > 0, -np.expm1(-np.maximum(elapsed, 0) / lag), 0.0)


def second_order_response(elapsed: np.ndarray, first: float, second: float) -> np.ndarray:
    """Step response ``elapsed`` s after a step, of two first-order lags (s) in series."""
    s = np.maximum(elapsed, 0)
    if abs(first - second) < 1e-6 * first:
        return 1 - (1 + s / first) * np.exp(-s / first)
    return 1 - (first * np.exp(-s / first) - second * np.exp(-s / second)) / (first - second)
