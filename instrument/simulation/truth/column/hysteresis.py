"""Hysteresis of the objective lens: play operators of the Prandtl-Ishlinskii model.

A play of width r follows its command at a distance of at most r. With a rate, it approaches its target with that time
constant, so that a fast cycle moves it less. Deflectors have air cores and no hysteresis.
"""

import numpy as np

from instrument.simulation.truth.config import SimulatedConfig, generator
from instrument.simulation.truth.log import Log

_COMMANDS_BEFORE_SESSION = 6  # commands before the session that the plays remember


class Plays:
    """The plays of one session's objective lens."""

    def __init__(self, config: SimulatedConfig, seed: int):
        plays = config.lens_plays or ((config.lens_play, 1.0),)
        self._widths, self._weights = np.array(plays, dtype=np.float64).T
        self._rate = config.play_rate
        self._start = np.zeros(len(plays))
        if config.lens_plays:
            # the history of the lens before the session is random
            past = 1.5 * self._widths.max() * generator(seed, "plays").uniform(-1, 1, _COMMANDS_BEFORE_SESSION)
            for command in (*past, 0.0):
                self._start = self._pushed(self._start, command)

    def _pushed(self, followers: np.ndarray, command: float) -> np.ndarray:
        """Where followers [plays] end up once ``command`` (A) is held."""
        return np.minimum(np.maximum(followers, command - self._widths), command + self._widths)

    def _remaining(self, elapsed: np.ndarray | float) -> np.ndarray:
        """Share of the remaining distance ``elapsed`` s after a command."""
        return np.exp(-np.asarray(elapsed) / self._rate) if self._rate > 0 else np.zeros(np.shape(elapsed))

    def offset(self, t: np.ndarray, log: Log) -> np.ndarray:
        """Offset of C10 from its command by hysteresis at times ``t`` (s), in A."""
        commands, normalised = log.lens(), log.raised("normalise")
        begin, end = np.empty((2, len(commands), len(self._widths)))
        for number, command in enumerate(commands):
            if number == 0:
                begin[0] = self._start
            else:
                remaining = self._remaining(log.times[number] - log.times[number - 1])
                begin[number] = end[number - 1] + (begin[number - 1] - end[number - 1]) * remaining
            if normalised[number]:
                begin[number] = command + self._widths  # as after coming down from saturation
            end[number] = self._pushed(begin[number], command)
        entry = log.entry(t)
        remaining = self._remaining(t - np.asarray(log.times)[entry])[:, None]
        followers = end[entry] + (begin[entry] - end[entry]) * remaining
        return ((followers - commands[entry][:, None]) * self._weights).sum(axis=1)
