"""The emitter: its emission decays after a flash by a power law, and the beam current follows in part."""

import numpy as np

from instrument.simulation.truth.column.paths import Paths
from instrument.simulation.truth.config import SimulatedConfig
from instrument.simulation.truth.log import Log

_EMISSION = 5e-5  # A at the session's start
_HOUR = 3600.0  # s


class Gun:
    """Emission and beam of one session."""

    def __init__(self, config: SimulatedConfig, paths: Paths):
        self._config, self._paths = config, paths

    def _remaining_emission(self, elapsed: np.ndarray | float) -> np.ndarray:
        """Share of a fresh emission that is left ``elapsed`` s after a flash: 1 / (1 + elapsed / tau)^p."""
        c = self._config
        tau = _HOUR / ((1 - c.emission_decay) ** (-1 / c.emission_power) - 1)
        return (1 + np.asarray(elapsed) / tau) ** -c.emission_power

    def relative_decay(self, t: np.ndarray, log: Log) -> np.ndarray:
        """Relative change of the emission since the session's start by age and flashes; below zero when it fell."""
        c = self._config
        if c.emission_decay == 0:
            return np.zeros_like(t)
        flashes = np.array([-c.flash_age, *np.asarray(log.times)[log.raised("flash")]])
        last_flash = flashes[np.searchsorted(flashes, t, side="right") - 1]
        return self._remaining_emission(t - last_flash) / self._remaining_emission(c.flash_age) - 1

    def emission(self, t: np.ndarray, log: Log) -> np.ndarray:
        """True emission in A: not proportional to the beam."""
        paths = self._paths
        return _EMISSION * (
            1 + 0.4 * paths.value("beam", t) + paths.value("emission.own", t) + self.relative_decay(t, log)
        )

    def beam(self, t: np.ndarray, log: Log) -> np.ndarray:
        """True beam current over the nominal current."""
        return 1 + self._paths.value("beam", t) + self._config.beam_follows * self.relative_decay(t, log)
