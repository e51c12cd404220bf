"""Runs of equal readings in a stream, classified span by span: held readings are used, stuck and saturated ones are not.

A quantity that comes to rest, or leaves it, against the prediction of the model is reset to its prior there, with its rate.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from reconstruct.stream.filter_step import FilterCheckpoint
from reconstruct.stream.readings.equal_readings import EqualRun, explanation, led_beyond, scatter_excess
from reconstruct.stream.readings.preprocess import Traits, is_stuck, log_chance
from reconstruct.stream.readings.time_bins import TimeBins
from twin.dynamics.inputs import Inputs
from twin.sensors.model import Model

NOTICEABLE_PROBABILITY = 1e-3
"""Probability of a run, by the table's noise, below which it is classified."""
RELEASE_WINDOW = 1_000_000_000
"""Nanoseconds after a hold within which an outlier means that the quantity moves again."""

PredictReading = Callable[[int, int, int], tuple[float, float]]
"""Mean and standard deviation of a predicted reading, from: sensor index, the time (ns) before which readings are used, the time (ns) of the reading."""


class Plateaus:
    """The runs of a stream's sensors. ``standing`` maps (sensor index, begin of the run in ns) to its verdict."""

    def __init__(self, model: Model, traits: Traits, bins: TimeBins, inputs: Inputs):
        self._model, self._traits, self._bins, self._inputs = model, traits, bins, inputs
        self.standing: dict[tuple[int, int], str] = {}
        self.reset_to_prior: dict[int, set[int]] = {}
        """Sensors whose quantities changed without a command, by the number of the span at whose begin they are reset."""
        self.released: dict[int, int] = {}
        """Time (ns) at which the last hold of a sensor ended."""
        rows = model.rows != 0
        self._shared = (rows.astype(int) @ rows.T.astype(int)) > 0

    def of(self, sensor_index: int, checkpoint: FilterCheckpoint) -> str:
        """The verdict on the run at a checkpoint: "held", "stuck", "saturated" or ""."""
        return (
            self.standing.get((sensor_index, int(checkpoint.runs.since[sensor_index])), "")
            if checkpoint.runs.count[sensor_index] > 0
            else ""
        )

    def update(
        self,
        before: FilterCheckpoint,
        checkpoint: FilterCheckpoint,
        number: int,
        settled: int,
        predict_reading: PredictReading,
    ) -> int | None:
        """Classify the runs at ``checkpoint``, the end of span ``number``; the time (ns) from which that changes the belief, or None."""
        changed = self._released_again(before, checkpoint, number)
        stuck = is_stuck(self._traits, checkpoint.runs)
        for sensor_index in np.flatnonzero(
            log_chance(self._traits, checkpoint.runs) < math.log(NOTICEABLE_PROBABILITY)
        ).tolist():
            since = int(checkpoint.runs.since[sensor_index])
            previous = self.standing.get((sensor_index, since), "")
            contradictions = self._contradictions(sensor_index, checkpoint) if previous == "held" else 0
            if previous in ("stuck", "saturated") or (previous == "held" and not contradictions):
                continue
            verdict = explanation(self._run(sensor_index, since, checkpoint, contradictions, predict_reading))
            if verdict in ("", previous) or (verdict != "held" and not stuck[sensor_index]):
                continue
            self.standing[sensor_index, since] = verdict
            begin = max(since, settled)
            if verdict != "held":
                self._bins.release(sensor_index, since)
                if begin < checkpoint.time:
                    self._bins.freeze(sensor_index, begin, checkpoint.time)
                    changed.append(begin)
                continue
            self._bins.hold(sensor_index, since)
            changed.append(begin)
            if checkpoint.rejected.get(sensor_index, 0):
                self._reset(sensor_index, self._bins.span_of(begin))
        return min(changed, default=None)

    def settle(self, number: int, time: int) -> None:
        """Spans up to ``number``, which end at ``time`` (ns), are settled."""
        self.reset_to_prior = {n: sensors for n, sensors in self.reset_to_prior.items() if n > number}
        newest: dict[int, int] = {}
        for sensor_index, since in self.standing:
            newest[sensor_index] = max(newest.get(sensor_index, since), since)
        self.standing = {key: verdict for key, verdict in self.standing.items() if key[1] >= min(time, newest[key[0]])}

    def to_state(self) -> dict[str, Any]:
        """The verdicts as plain values."""
        return {
            "standing": sorted(
                [sensor_index, since, verdict] for (sensor_index, since), verdict in self.standing.items()
            ),
            "reset_to_prior": sorted(
                [number, sorted(sensor_indices)] for number, sensor_indices in self.reset_to_prior.items()
            ),
            "released": sorted([sensor_index, time] for sensor_index, time in self.released.items()),
        }

    def from_state(self, state: dict[str, Any]) -> None:
        """Restore what `to_state` saved."""
        self.standing = {(int(sensor_index), int(since)): verdict for sensor_index, since, verdict in state["standing"]}
        self.reset_to_prior = {int(number): set(sensor_indices) for number, sensor_indices in state["reset_to_prior"]}
        self.released = {int(sensor_index): int(time) for sensor_index, time in state["released"]}

    def _released_again(self, before: FilterCheckpoint, checkpoint: FilterCheckpoint, number: int) -> list[int]:
        """Reset quantities whose hold has ended with outliers: they move again. The times (ns) from which the belief changes."""
        changed = []
        for sensor_index in np.flatnonzero(checkpoint.runs.since != before.runs.since).tolist():
            if self.of(sensor_index, before) == "held":
                self.released[sensor_index] = before.time
        for sensor_index, time in self.released.items():
            rejected = checkpoint.rejected.get(sensor_index, 0) > before.rejected.get(sensor_index, 0)
            if rejected and 0 <= checkpoint.time - time <= RELEASE_WINDOW and self.of(sensor_index, checkpoint) == "":
                first = self._bins.span_of(time)
                if sensor_index not in self.reset_to_prior.get(first, set()) and first <= number:
                    self._reset(sensor_index, first)
                    changed.append(time)
        return changed

    def _reset(self, sensor_index: int, number: int) -> None:
        self.reset_to_prior.setdefault(number, set()).add(sensor_index)

    def _contradictions(self, sensor_index: int, checkpoint: FilterCheckpoint) -> int:
        """Consecutive outliers by which a run and the other sensors of the same quantities contradict each other: its own while readings of
        others were used, or another's during the run."""
        if checkpoint.readings is None:
            return 0
        believed = np.zeros(len(self._shared), dtype=bool)
        believed[checkpoint.readings.sensor[checkpoint.weight > 0]] = True
        others = self._shared[sensor_index] & (np.arange(len(believed)) != sensor_index)
        own_rejected = checkpoint.rejected.get(sensor_index, 0) if (believed & others).any() else 0
        others_rejected = (
            count for other, count in checkpoint.rejected.items() if others[other] and not self.of(other, checkpoint)
        )
        return max(own_rejected, *others_rejected, 0)

    def _run(
        self, sensor_index: int, since: int, checkpoint: FilterCheckpoint, refused: int, predict_reading: PredictReading
    ) -> EqualRun:
        sensor = self._model.evidence[sensor_index]
        times, values, low, high = self._bins.before(sensor_index, since)
        value, count = float(checkpoint.runs.last[sensor_index]), float(checkpoint.runs.count[sensor_index])
        away = 0.0
        if len(values):
            mean, std = predict_reading(sensor_index, since, checkpoint.time)
            driven = sum(share * self._inputs.value(name, checkpoint.time) for name, share in sensor.inputs.items())
            away = (mean + sensor.offset + driven - value) / math.hypot(std, math.sqrt(sensor.variance))
            away = away if math.isfinite(away) else 0.0  # a command that was never reported
        excess = scatter_excess(times, values, sensor.quantisation)
        beyond = led_beyond(times, values, checkpoint.time, value)
        return EqualRun(
            count, float(self._traits.repeat[sensor_index]), value, excess, low, high, away, beyond, refused
        )
