"""A Kalman filter for beliefs of several components, used between images and to predict plans.

`reconstruct.stream.stream.Stream` filters a live instrument and keeps its past. This filter keeps no past: it takes readings that have arrived
and advances any `Belief` of one layout, all components through the compiled `reconstruct.stream.sqrt_kernel`. Process noise is added at
most once in `PROCESS_NOISE_STEP` seconds, in which the random walk of the fastest entry stays far below a sensor's noise. Each reading is
related to the state at its own time through the drift matrix.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from reconstruct.inference.belief import Belief, LinearObservation, triangular
from reconstruct.stream.batching import Runner, Step
from reconstruct.stream.readings.health import Health
from twin import checks
from twin.dynamics import Dynamics
from twin.records import Readings
from twin.sensors import Sensor

PROCESS_NOISE_STEP = 0.5
OUTLIER_PROBABILITY = 1e-4
"""Assumed probability of an outlier: a reading of five standard deviations counts half, one of six not at all."""
MAX_DELAY = 2.0
"""Largest difference (s) of a reading's time from the instrument's clock at which it is used."""
STUCK_REPEATS = 50
"""Equal readings in a row after which a noisy channel is stuck and no longer used."""


class Filter:
    """The filter of one layout: `advance` predicts a belief and updates it with readings; `assimilate` updates it with a `LinearObservation`."""

    def __init__(self, dynamics: Dynamics, sensors: dict[str, Sensor], outliers: float = OUTLIER_PROBABILITY):
        checks.require_float64()
        self.dynamics, self.sensors = dynamics, sensors
        self.health: dict[str, Health] = {}
        self._repeats: dict[str, tuple[float, int]] = {}
        self._channels = tuple(sensors)
        n = len(dynamics.layout)
        rows = [sensors[name].row(dynamics.layout) for name in self._channels]
        self._offsets = np.array([sensors[name].offset for name in self._channels])
        self._variances = np.array([sensors[name].variance for name in self._channels])
        self._runner = Runner(dynamics, np.stack(rows) if rows else np.zeros((0, n)), outliers)

    def advance(self, belief: Belief, until: int, readings: Iterable[Readings] = ()) -> Belief:
        """The belief at ``until`` (int64 ns), with these readings; ValueError if time would run backwards."""
        if until < belief.time:
            raise ValueError(f"the belief is at {belief.time} ns and cannot go back to {until} ns; smooth instead")
        times, sensor_indices, values = self._accept(readings, belief.time, until)
        count = len(belief.weights)
        padding = (1 << (count - 1).bit_length()) - count  # few sizes: each compiles anew
        means = np.concatenate([belief.means, np.repeat(belief.means[:1], padding, axis=0)])
        cov_sqrts = np.concatenate([belief.cov_sqrt, np.repeat(belief.cov_sqrt[:1], padding, axis=0)])
        result = self._runner.run(
            belief.time, means, cov_sqrts, self._steps(belief.time, until, times, sensor_indices, values)
        )
        self._update_health(
            sensor_indices, result.innovation[: len(sensor_indices)], result.weight[: len(sensor_indices)]
        )
        log_weights = np.log(belief.weights) + result.evidence[:count]
        weights = np.exp(log_weights - log_weights.max())
        return dataclasses.replace(
            belief,
            time=until,
            weights=weights / weights.sum(),
            means=result.means[:count],
            cov_sqrt=result.cov_sqrt[:count],
        )

    def _steps(
        self, since: int, until: int, times: np.ndarray, sensor_indices: np.ndarray, values: np.ndarray
    ) -> list[Step]:
        """Filter steps of at most `PROCESS_NOISE_STEP` seconds with the readings of each; steps without readings are joined."""
        step = round(PROCESS_NOISE_STEP * 1e9)
        ends = np.minimum(since + ((times - since) // step + 1) * step, until)
        steps = []
        for end in sorted({until, *ends.tolist()}):
            in_step = ends == end
            indices, value = sensor_indices[in_step], values[in_step]
            steps.append(
                Step(end, None, indices, times[in_step], value, self._variances[indices], np.zeros(len(value)))
            )
        return steps

    def _update_health(self, sensor_indices: np.ndarray, innovation: np.ndarray, weight: np.ndarray) -> None:
        """Add the innovations of readings to the health of their sensors."""
        for sensor_index in np.unique(sensor_indices).tolist():
            of_sensor, health = sensor_indices == sensor_index, self.health[self._channels[sensor_index]]
            outliers, count = int((weight[of_sensor] == 0).sum()), int(of_sensor.sum())
            health.outlier += outliers
            health.used -= outliers
            health.add_innovations(
                float((weight[of_sensor] * innovation[of_sensor] ** 2).mean()), outliers / count, count
            )

    def _accept(
        self, readings: Iterable[Readings], since: int, until: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Usable readings (modelled channels, finite, in time, not stuck): times (ns), sensor indices, values; sorted by time."""
        late, future = since - round(MAX_DELAY * 1e9), until + round(MAX_DELAY * 1e9)
        times, sensor_indices, values = [], [], []
        for batch in readings:
            health = self.health.setdefault(batch.channel, Health())
            if batch.channel not in self.sensors:
                health.ignored += len(batch.values)
                continue
            sensor_index = self._channels.index(batch.channel)
            for time, value in zip(batch.times.tolist(), batch.values.tolist(), strict=True):
                if not np.isfinite(value):
                    health.not_a_number += 1
                elif time > future:
                    health.future += 1
                elif time < late:
                    health.late += 1
                else:
                    health.heard = time if health.heard is None else max(health.heard, time)
                    last, repeats = self._repeats.get(batch.channel, (value, -1))
                    repeats = repeats + 1 if value == last else 0
                    self._repeats[batch.channel] = value, repeats
                    health.standing = "stuck" if repeats >= STUCK_REPEATS else ""
                    if health.standing:
                        health.stuck += 1
                    else:
                        health.used += 1
                        times.append(min(max(time, since), until))
                        sensor_indices.append(sensor_index)
                        values.append(value - self._offsets[sensor_index])
        order = np.argsort(np.array(times, dtype=np.int64), kind="stable")
        return (
            np.array(times, dtype=np.int64)[order],
            np.array(sensor_indices, dtype=np.int64)[order],
            np.array(values, dtype=np.float64)[order],
        )

    def to_state(self) -> dict[str, Any]:
        """The counts and repeats of the sensors, as plain values."""
        return {
            "health": {name: dataclasses.asdict(health) for name, health in self.health.items()},
            "repeats": {name: list(run) for name, run in self._repeats.items()},
        }

    def from_state(self, state: dict[str, Any]) -> None:
        """Restore what `to_state` saved; ValueError if another version saved it."""
        fields = {field.name for field in dataclasses.fields(Health)}
        if any(set(health) != fields for health in state["health"].values()):
            raise ValueError("the checkpoint's filter is of emtwin 0.1 or another version; begin a new session")
        self.health = {name: Health(**health) for name, health in state["health"].items()}
        self._repeats = {name: (float(value), int(count)) for name, (value, count) in state["repeats"].items()}


def assimilate(belief: Belief, observation: LinearObservation, component: int | None = None) -> Belief:
    """The belief after a linear observation, exactly, in square-root form, for all components or for one.

    With S the prior's cov_sqrt and R that of the observation, QR of [[R, H S], [0, S]] gives the innovation's cov_sqrt, the gain and the
    posterior's cov_sqrt.
    """
    means, cov_sqrts, log_weights = belief.means.copy(), belief.cov_sqrt.copy(), np.log(belief.weights)
    m = len(observation.value)
    noise_sqrt = np.concatenate([observation.cov_sqrt, np.diag(observation.noise)], axis=1)
    for k in range(len(means)) if component is None else (component,):
        n, width = means.shape[1], noise_sqrt.shape[1]
        stacked = np.zeros((m + n, width + n))
        stacked[:m, :width] = noise_sqrt
        stacked[:m, width:] = observation.rows @ cov_sqrts[k]
        stacked[m:, width:] = cov_sqrts[k]
        lower = triangular(stacked)
        innovation = np.linalg.solve(lower[:m, :m], observation.value - observation.rows @ means[k])
        means[k] = means[k] + lower[m:, :m] @ innovation
        cov_sqrts[k] = lower[m:, m:]
        log_weights[k] += -0.5 * innovation @ innovation - np.log(np.abs(np.diag(lower[:m, :m]))).sum()
    weights = np.exp(log_weights - log_weights.max()) if component is None else np.exp(np.log(belief.weights))
    return dataclasses.replace(belief, weights=weights / weights.sum(), means=means, cov_sqrt=cov_sqrts)
