"""Readings at their own times into a belief: a square-root Kalman filter over a linear SDE, for every component of the mixture.

Process noise enters on a grid of `STEP` seconds (a random walk of the fastest entry over one step is far below what a sensor sees);
each reading is referred to its own time within the step through the drift matrix. Scalar updates are Potter's (Bierman 1977, ch. II);
the time update triangularises [A S, L] by QR, so the covariance cannot lose its positivity. A reading further than `GATE`
predicted sigmas away is not believed, and counted.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from reconstruct.belief import Belief, Estimate, triangular
from twin.dynamics import Dynamics
from twin.records import Readings
from twin.sensors import Sensor

STEP = 0.5
GATE = 5.0
LATEST = 2.0
"""Seconds by which a reading may be late or ahead of the instrument's clock and still count."""


@dataclasses.dataclass
class Health:
    """What became of a channel's readings: counts by verdict, and the last value and time."""

    used: int = 0
    ignored: int = 0
    outlier: int = 0
    not_a_number: int = 0
    late: int = 0
    future: int = 0
    repeats: int = 0
    last: float = float("nan")

    @property
    def verdict(self) -> str:
        """ "ok", "no evidence" (not modelled), "stuck", "future clock", "unreliable" or "silent"."""
        seen = self.used + self.outlier + self.not_a_number + self.late + self.future
        if self.ignored and not seen:
            return "no evidence"
        if not seen:
            return "silent"
        if self.repeats >= STUCK_AFTER:
            return "stuck"
        if self.future > 0.5 * seen:
            return "future clock"
        return "unreliable" if self.outlier + self.not_a_number > 0.2 * seen else "ok"


STUCK_AFTER = 50
"""Identical readings in a row after which a noisy channel is stuck and no longer believed."""


class Filter:
    """Follows readings for one layout: `advance` moves a belief in time, `assimilate` takes an Estimate."""

    def __init__(self, dynamics: Dynamics, sensors: dict[str, Sensor]):
        self.dynamics, self.sensors = dynamics, sensors
        self.health: dict[str, Health] = {}
        self._channels = tuple(sensors)
        layout = dynamics.layout
        self._rows = (
            np.stack([sensors[name].row(layout) for name in self._channels]) if sensors else np.zeros((0, len(layout)))
        )
        self._slopes = self._rows @ dynamics.drift
        self._step = dynamics.discretise(STEP)

    def advance(self, belief: Belief, until: int, readings: list[Readings] | tuple[Readings, ...] = ()) -> Belief:
        """The belief at ``until`` (int64 ns), with these readings; ValueError if time would run backwards."""
        span = (until - belief.time) * 1e-9
        if span < 0:
            raise ValueError(f"the belief is at {belief.time} ns and cannot go back to {until} ns; smooth instead")
        times, channels, values = self._admit(readings, belief.time, until)
        whole = int(span / STEP)
        belief = self._run(belief, whole, times, channels, values, first=True)
        rest = span - whole * STEP
        late = times >= whole * STEP
        transition, noise = self.dynamics.discretise(rest)
        return dataclasses.replace(
            self._bins(belief, 1, transition, noise, rest, times[late] - whole * STEP, channels[late], values[late]),
            time=until,
        )

    def _run(self, belief, whole, times, channels, values, first):
        early = times < whole * STEP
        return (
            self._bins(belief, whole, *self._step, STEP, times[early], channels[early], values[early])
            if whole
            else belief
        )

    def _bins(self, belief, count, transition, noise, step, times, channels, values):
        """``count`` steps of one length with the readings that fall into them, padded to sizes that repeat (each shape compiles anew)."""
        bins = np.minimum((times / step).astype(int) if step > 0 else np.zeros(len(times), dtype=int), count - 1)
        fullest = int(np.bincount(bins, minlength=1).max()) if len(bins) else 0
        slots, rows = _bucket(fullest, 8), _bucket(count, 1)
        which = np.zeros((rows, slots), dtype=np.int64)
        value, when, valid = np.zeros((rows, slots)), np.zeros((rows, slots)), np.zeros((rows, slots), dtype=bool)
        filled = np.zeros(rows, dtype=int)
        for place, moment, source, reading in zip(bins, times, channels, values, strict=True):
            slot = filled[place]
            which[place, slot], value[place, slot], valid[place, slot] = source, reading, True
            when[place, slot] = moment - (place + 1) * step
            filled[place] += 1
        noises = np.array([self.sensors[name].noise for name in self._channels] or [1.0])
        padded = _bucket(len(belief.weights), 1)
        extra = padded - len(belief.weights)
        means = np.concatenate([belief.means, np.repeat(belief.means[:1], extra, axis=0)])
        factors = np.concatenate([belief.factors, np.repeat(belief.factors[:1], extra, axis=0)])
        rows_, slopes = (self._rows, self._slopes) if len(self._rows) else (np.zeros((1, means.shape[1])),) * 2
        means, factors, evidence, gated = _filter_bins(
            means, factors, transition, noise, rows_, slopes, noises, np.arange(rows) < count, which, when, value, valid
        )
        for name, number in zip(self._channels, np.asarray(gated), strict=False):
            if number:
                health = self.health.setdefault(name, Health())
                health.outlier += int(number)
                health.used -= int(number)
        kept = len(belief.weights)
        logs = np.log(belief.weights) + np.asarray(evidence)[:kept]
        weights = np.exp(logs - logs.max())
        return dataclasses.replace(
            belief, weights=weights / weights.sum(), means=np.asarray(means)[:kept], factors=np.asarray(factors)[:kept]
        )

    def _admit(self, readings, since: int, until: int):
        """Readings that may speak: modelled channels, finite, in time, not stuck. Times in seconds after ``since``, sorted."""
        times, channels, values = [], [], []
        for batch in readings:
            health = self.health.setdefault(batch.channel, Health())
            if batch.channel not in self.sensors:
                health.ignored += len(batch.values)
                continue
            sensor = self.sensors[batch.channel]
            for time, value in zip(batch.times.tolist(), batch.values.tolist(), strict=True):
                seconds = (time - since) * 1e-9
                if not np.isfinite(value):
                    health.not_a_number += 1
                elif (time - until) * 1e-9 > LATEST:
                    health.future += 1
                elif seconds < -LATEST:
                    health.late += 1
                else:
                    health.repeats = health.repeats + 1 if value == health.last else 0
                    health.last = value
                    if health.repeats < STUCK_AFTER:
                        health.used += 1
                        times.append(min(max(seconds, 0.0), (until - since) * 1e-9))
                        channels.append(self._channels.index(batch.channel))
                        values.append(value - sensor.offset)
        order = np.argsort(np.array(times), kind="stable")
        return np.array(times)[order], np.array(channels, dtype=int)[order], np.array(values)[order]


def assimilate(belief: Belief, estimate: Estimate, component: int | None = None) -> Belief:
    """The belief after an Estimate, exactly, in square-root form, for all components or for one.

    With S the prior root, R a root of the Estimate's covariance: QR of [[R, H S], [0, S]] gives the innovation's root, gain and posterior root.
    """
    means, factors, logs = belief.means.copy(), belief.factors.copy(), np.log(belief.weights)
    m = len(estimate.value)
    root = np.concatenate([estimate.factor, np.diag(estimate.noise)], axis=1)
    for k in range(len(means)) if component is None else (component,):
        n, width = means.shape[1], root.shape[1]
        stacked = np.zeros((m + n, width + n))
        stacked[:m, :width] = root
        stacked[:m, width:] = estimate.rows @ factors[k]
        stacked[m:, width:] = factors[k]
        lower = triangular(stacked)
        innovation = np.linalg.solve(lower[:m, :m], estimate.value - estimate.rows @ means[k])
        means[k] = means[k] + lower[m:, :m] @ innovation
        factors[k] = lower[m:, m:]
        logs[k] += -0.5 * innovation @ innovation - np.log(np.abs(np.diag(lower[:m, :m]))).sum()
    weights = np.exp(logs - logs.max()) if component is None else np.exp(np.log(belief.weights))
    return dataclasses.replace(belief, weights=weights / weights.sum(), means=means, factors=factors)


def _bucket(count: int, least: int) -> int:
    size = least
    while size < count:
        size *= 2
    return size


@functools.partial(jax.jit)
def _filter_bins(
    means: Float[Array, "k n"],
    factors: Float[Array, "k n n"],
    transition: Float[Array, "n n"],
    noise: Float[Array, "n n"],
    rows: Float[Array, "c n"],
    slopes: Float[Array, "c n"],
    noises: Float[Array, " c"],
    active,
    which: Int[Array, "bins slots"],
    when: Float[Array, "bins slots"],
    value: Float[Array, "bins slots"],
    valid,
):
    """Time and measurement updates over bins; returns means, factors, log evidence [k] and gated readings per channel [c] (first component)."""

    def update(carry, reading):
        mean, factor, evidence, gated = carry
        source, moment, observed, counts = reading
        row = rows[source] + moment * slopes[source]
        phi = factor.T @ row
        variance = noises[source] ** 2
        total = phi @ phi + variance
        innovation = observed - row @ mean
        trusted = counts & (innovation**2 < GATE**2 * total)
        alpha = jnp.where(trusted, 1.0 / total, 0.0)
        gamma = alpha / (1.0 + jnp.sqrt(variance / total))
        gain = factor @ phi
        mean = mean + alpha * innovation * gain
        factor = factor - gamma * gain[:, None] * phi[None, :]
        evidence = evidence + jnp.where(trusted, -0.5 * (innovation**2 / total + jnp.log(total)), 0.0)
        gated = gated.at[source].add(jnp.where(counts & ~trusted, 1, 0))
        return (mean, factor, evidence, gated), None

    def one_bin(mean, factor, evidence, gated, readings):
        grown = jnp.concatenate([transition @ factor, noise], axis=1)
        factor = jnp.linalg.qr(grown.T, mode="r").T
        mean = transition @ mean
        (mean, factor, evidence, gated), _ = jax.lax.scan(update, (mean, factor, evidence, gated), readings)
        return mean, factor, evidence, gated

    def step(carry, inputs):
        live, readings = inputs
        moved = jax.lax.cond(
            live,
            lambda c: jax.vmap(one_bin, in_axes=(0, 0, 0, 0, None))(c[0], c[1], c[2], c[3], readings),
            lambda c: c,
            carry,
        )
        return moved, None

    k = means.shape[0]
    start = (means, factors, jnp.zeros(k), jnp.zeros((k, rows.shape[0]), dtype=jnp.int64))
    (means, factors, evidence, gated), _ = jax.lax.scan(step, start, (active, (which, when, value, valid)))
    return means, factors, evidence, gated[0]
