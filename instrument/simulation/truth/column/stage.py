"""The specimen stage: the error of each move, and the creep after it."""

import numpy as np

from instrument.simulation.truth.config import SimulatedConfig, generator
from instrument.simulation.truth.log import Log

_LOADING_TIME = -900.0  # s, when the specimen was put in


class Stage:
    """The stage of one session; its errors depend on the seed and on how many moves there were."""

    def __init__(self, config: SimulatedConfig, seed: int):
        self._config, self._seed = config, seed

    def _moves(self, log: Log) -> list[tuple[float, np.ndarray, np.ndarray, float]]:
        """(time, unit direction, where the specimen really went, creep in A per e-fold) of each stage move, the
        loading of the specimen first.
        """
        c = self._config
        position = np.array([log.settings[0]["stage.x"], log.settings[0]["stage.y"]])
        moves = []
        for number, (time, settings) in enumerate(zip(log.times, log.settings, strict=True)):
            target = np.array([settings["stage.x"], settings["stage.y"]])
            if number > 0 and np.array_equal(target, position):
                continue
            rng = generator(self._seed, "stage", len(moves))
            direction = target - position if number > 0 else rng.standard_normal(2)
            creep = c.creep + (c.creep_share * float(np.hypot(*direction)) if number > 0 else 0.0)
            direction = direction / np.hypot(*direction)
            error = c.stage_error * rng.standard_normal(2) - c.stage_backlash * np.sign(direction) * rng.uniform(
                0.5, 1.5
            )
            moves.append(
                (time if number > 0 else _LOADING_TIME, direction * rng.lognormal(0.0, 0.4), target + error, creep)
            )
            position = target
        return moves

    def origin(self, t: np.ndarray, log: Log) -> np.ndarray:
        """Position of the specimen's origin by the stage, [n, 2] in A at session times ``t`` (s), creep included."""
        times, directions, ends, creeps = (np.array(part) for part in zip(*self._moves(log), strict=True))
        move = np.maximum(np.searchsorted(times, t, side="right") - 1, 0)
        creep = creeps[move] * np.log1p((t - times[move]) / self._config.creep_time)
        return ends[move] + directions[move] * creep[:, None]
