"""Consistency of the model with the readings: normalised innovations by part of the model, over a short and a long memory.

Where the model is right, the squares of normalised innovations have mean one (Bar-Shalom, Li and Kirubarajan, Estimation with
Applications to Tracking and Navigation, 2001, ch. 5). A part whose squares stay above one differs from its model.
"""

import dataclasses
import math
from typing import Any

import numpy as np

from twin.sensors.model import Model

MEMORY = {"fast": 20.0, "slow": 600.0}
"""Time constants (s) of the two memories."""
EXCESS = 1.5
"""Mean square from which a part is distrusted."""
SCORE = 6.0
"""Standard deviations of the mean square above one from which the excess is significant."""


@dataclasses.dataclass
class Tally:
    """Sums over a fading memory: squares, readings, and the squares of the weights of both."""

    squares: float = 0.0
    count: float = 0.0
    weight: float = 0.0

    def add(self, fade: float, squares: float, count: float) -> None:
        self.squares, self.count = self.squares * fade + squares, self.count * fade + count
        self.weight = self.weight * fade**2 + count

    @property
    def ratio(self) -> float:
        """Mean square; NaN before there is a reading."""
        return self.squares / self.count if self.count > 0 else math.nan

    @property
    def score(self) -> float:
        """Standard deviations of the mean square above one."""
        return (self.squares - self.count) / math.sqrt(2.0 * self.weight) if self.weight > 0 else 0.0


@dataclasses.dataclass(frozen=True)
class Distrust:
    """The ``part`` of the model that fits worst: mean square ``ratio`` of its normalised innovations over the ``memory``, ``score`` sigma above one."""

    part: str
    memory: str
    ratio: float
    score: float


class Monitors:
    """Tallies for every part of the model that has a sensor or a quantity."""

    def __init__(self, model: Model):
        self._of_sensor = [sensor.part or "unnamed" for sensor in model.evidence]
        self._of_quantity = {quantity.name: quantity.part or "images" for quantity in model.quantities}
        parts = sorted({*self._of_sensor, *self._of_quantity.values()})
        self.tallies = {part: {memory: Tally() for memory in MEMORY} for part in parts}

    def add_readings(self, span: float, sensor_index: np.ndarray, innovation: np.ndarray, weight: np.ndarray) -> None:
        """``span`` seconds with readings of sensors ``sensor_index`` [r]: normalised innovations and weights [r]."""
        squares = np.bincount(sensor_index, weights=weight * innovation**2, minlength=len(self._of_sensor))
        counts = np.bincount(sensor_index, weights=weight, minlength=len(self._of_sensor))
        sums: dict[str, list[float]] = {part: [0.0, 0.0] for part in self.tallies}
        for part, square, count in zip(self._of_sensor, squares.tolist(), counts.tolist(), strict=True):
            sums[part][0] += square
            sums[part][1] += count
        for part, (square, count) in sums.items():
            for memory, tally in self.tallies[part].items():
                tally.add(math.exp(-span / MEMORY[memory]), square, count)

    def add_observation(self, names: tuple[str, ...], square: float) -> None:
        """An observation of quantities with the square of its normalised innovation, shared equally among the quantities."""
        for name in names:
            part = self._of_quantity.get(name)
            if part is not None:
                for tally in self.tallies[part].values():
                    tally.add(1.0, square / len(names), 1.0)

    @property
    def distrust(self) -> Distrust | None:
        """The part that fits worst, if its excess is significant; else None."""
        worst = [
            Distrust(part, memory, tally.ratio, tally.score)
            for part, tallies in self.tallies.items()
            for memory, tally in tallies.items()
            if tally.count > 1 and tally.ratio > EXCESS and tally.score > SCORE
        ]
        return max(worst, key=lambda distrust: distrust.score, default=None)

    def to_state(self) -> dict[str, Any]:
        """The tallies as plain values."""
        return {
            part: {name: dataclasses.astuple(tally) for name, tally in both.items()}
            for part, both in self.tallies.items()
        }

    def from_state(self, state: dict[str, Any]) -> None:
        """Restore what `to_state` saved."""
        for part, both in state.items():
            for name, values in both.items():
                self.tallies[part][name] = Tally(*map(float, values))
