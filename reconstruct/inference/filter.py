"""Readings into a belief of several components: what a walk of images follows, forks and moves ahead in thought.

A `reconstruct.stream.stream.Stream` follows a live instrument and keeps its past; this filter keeps none, takes readings that have arrived and
moves any `Belief` of one layout, all components through the same compiled `reconstruct.stream.sqrt_kernel`. Process noise enters at most once in
`STEP` seconds (a random walk of the fastest entry over one step is far below what a sensor sees); each reading is referred to its own
time within the step through the drift matrix.
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

STEP = 0.5
OUTLIERS = 1e-4
"""Assumed share of readings that are far off: one of five standard deviations counts half, one of six not at all."""
LATEST = 2.0
"""Seconds by which a reading may be late or ahead of the instrument's clock and still count."""
STUCK_AFTER = 50
"""Identical readings in a row after which a noisy channel is stuck and no longer believed."""


class Filter:
    """Follows readings for one layout: `advance` moves a belief in time, `assimilate` takes an Estimate."""

    def __init__(self, dynamics: Dynamics, sensors: dict[str, Sensor], outliers: float = OUTLIERS):
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
        times, places, values = self._admit(readings, belief.time, until)
        kept = len(belief.weights)
        extra = (1 << (kept - 1).bit_length()) - kept  # few sizes: each compiles anew
        means = np.concatenate([belief.means, np.repeat(belief.means[:1], extra, axis=0)])
        cov_sqrts = np.concatenate([belief.cov_sqrt, np.repeat(belief.cov_sqrt[:1], extra, axis=0)])
        ran = self._runner.run(belief.time, means, cov_sqrts, self._steps(belief.time, until, times, places, values))
        self._judge(places, ran.innovation[: len(places)], ran.weight[: len(places)])
        logs = np.log(belief.weights) + ran.evidence[:kept]
        weights = np.exp(logs - logs.max())
        return dataclasses.replace(
            belief, time=until, weights=weights / weights.sum(), means=ran.means[:kept], cov_sqrt=ran.cov_sqrt[:kept]
        )

    def _steps(self, since: int, until: int, times: np.ndarray, places: np.ndarray, values: np.ndarray) -> list[Step]:
        """Time cut at the ends of those steps of `STEP` seconds in which something was read, and at ``until``."""
        step = round(STEP * 1e9)
        ends = np.minimum(since + ((times - since) // step + 1) * step, until)
        steps = []
        for end in sorted({until, *ends.tolist()}):
            here = ends == end
            place, value = places[here], values[here]
            steps.append(Step(end, None, place, times[here], value, self._variances[place], np.zeros(len(value))))
        return steps

    def _judge(self, places: np.ndarray, innovation: np.ndarray, weight: np.ndarray) -> None:
        """How well readings agreed with what was expected of them, into the health of their sensors."""
        for place in np.unique(places).tolist():
            own, health = places == place, self.health[self._channels[place]]
            out, count = int((weight[own] == 0).sum()), int(own.sum())
            health.outlier += out
            health.used -= out
            health.weigh(float((weight[own] * innovation[own] ** 2).mean()), out / count, count)

    def _admit(self, readings: Iterable[Readings], since: int, until: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Readings that may speak: modelled channels, finite, in time, not stuck. Times (ns), sensors' places, values; sorted by time."""
        late, future = since - round(LATEST * 1e9), until + round(LATEST * 1e9)
        times, places, values = [], [], []
        for batch in readings:
            health = self.health.setdefault(batch.channel, Health())
            if batch.channel not in self.sensors:
                health.ignored += len(batch.values)
                continue
            place = self._channels.index(batch.channel)
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
                    health.standing = "stuck" if repeats >= STUCK_AFTER else ""
                    if health.standing:
                        health.stuck += 1
                    else:
                        health.used += 1
                        times.append(min(max(time, since), until))
                        places.append(place)
                        values.append(value - self._offsets[place])
        order = np.argsort(np.array(times, dtype=np.int64), kind="stable")
        return (
            np.array(times, dtype=np.int64)[order],
            np.array(places, dtype=np.int64)[order],
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


def assimilate(belief: Belief, estimate: LinearObservation, component: int | None = None) -> Belief:
    """The belief after an Estimate, exactly, in square-root form, for all components or for one.

    With S the prior root, R a root of the Estimate's covariance: QR of [[R, H S], [0, S]] gives the innovation's root, gain and posterior root.
    """
    means, cov_sqrts, logs = belief.means.copy(), belief.cov_sqrt.copy(), np.log(belief.weights)
    m = len(estimate.value)
    root = np.concatenate([estimate.cov_sqrt, np.diag(estimate.noise)], axis=1)
    for k in range(len(means)) if component is None else (component,):
        n, width = means.shape[1], root.shape[1]
        stacked = np.zeros((m + n, width + n))
        stacked[:m, :width] = root
        stacked[:m, width:] = estimate.rows @ cov_sqrts[k]
        stacked[m:, width:] = cov_sqrts[k]
        lower = triangular(stacked)
        innovation = np.linalg.solve(lower[:m, :m], estimate.value - estimate.rows @ means[k])
        means[k] = means[k] + lower[m:, :m] @ innovation
        cov_sqrts[k] = lower[m:, m:]
        logs[k] += -0.5 * innovation @ innovation - np.log(np.abs(np.diag(lower[:m, :m]))).sum()
    weights = np.exp(logs - logs.max()) if component is None else np.exp(np.log(belief.weights))
    return dataclasses.replace(belief, weights=weights / weights.sum(), means=means, cov_sqrt=cov_sqrts)
