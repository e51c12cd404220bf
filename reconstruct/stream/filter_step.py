"""One span of the filter: its readings, commands and observations from images."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from reconstruct.stream.batching import Jump, Runner, Step
from reconstruct.stream.observation import (
    UNCOMMANDED_JUMP_PROBABILITY,
    Observation,
    UnexpectedObservation,
    observation_steps,
)
from reconstruct.stream.readings.preprocess import Runs, ScalarReadings, Traits
from reconstruct.stream.serialization import State
from twin.dynamics.inputs import Inputs
from twin.sensors.model import Model

MAX_REJECTED_IN_A_ROW = 8
"""Outliers in a row of one sensor after which the belief is taken to be wrong, and reset to the prior."""


@dataclasses.dataclass
class FilterCheckpoint:
    """The filter at ``time`` (ns), the end of a span: mean [n], cov_sqrt [n, n] and the sensors' runs of equal readings; the ``steps`` from the
    previous checkpoint; and of each scalar reading of ``readings`` the innovation and weight [r]."""

    time: int
    mean: np.ndarray
    cov_sqrt: np.ndarray
    runs: Runs
    steps: list[Step] = dataclasses.field(default_factory=list)
    readings: ScalarReadings | None = None
    innovation: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    weight: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    evidence: float = 0.0
    rejected: dict[int, int] = dataclasses.field(default_factory=dict)
    """Number of outliers in a row, up to now, by sensor index."""
    reset_to_prior: list[int] = dataclasses.field(default_factory=list)
    """Sensors whose quantities were reset to their priors at the begin of the span, since their readings kept contradicting the belief."""
    unexpected: list[UnexpectedObservation] = dataclasses.field(default_factory=list)
    squares: list[tuple[tuple[str, ...], float]] = dataclasses.field(default_factory=list)

    def to_state(self) -> State:
        """Where the filter goes on from, as plain values and arrays by name; how it came there is left out."""
        values = {"time": self.time, "rejected": [list(pair) for pair in self.rejected.items()]}
        runs = {f"runs.{name}": column for name, column in zip(Runs._fields, self.runs, strict=True)}
        return values, {"mean": self.mean, "cov_sqrt": self.cov_sqrt, **runs}

    @classmethod
    def from_state(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "FilterCheckpoint":
        """The checkpoint that `to_state` saved."""
        runs = Runs(*(arrays[f"runs.{name}"] for name in Runs._fields))
        rejected = {int(sensor): int(count) for sensor, count in values["rejected"]}
        return cls(values["time"], arrays["mean"], arrays["cov_sqrt"], runs, rejected=rejected)


def run_span(
    model: Model, runner: Runner, traits: Traits, before: FilterCheckpoint, end: int, readings: ScalarReadings,
    jumps: Sequence[tuple[int, Jump]], observations: Sequence[Observation], inputs: Inputs, exact: int, grid: Sequence[int] = (),
    widened: Collection[int] = (),
) -> FilterCheckpoint:  # fmt: skip
    """Filter from the checkpoint ``before`` to ``end`` (ns), in steps that end at ``grid`` and, with at most ``exact`` distinct times of readings,
    at each of those. The quantities of the sensors ``widened``, and their rates, are reset to their priors first."""
    cuts = {end, *(time for time, _ in jumps), *(observation.time for observation in observations), *grid}
    distinct = np.unique(readings.time)
    if len(distinct) <= exact:
        cuts |= set(distinct.tolist())
    checkpoint = FilterCheckpoint(before.time, before.mean, before.cov_sqrt, readings.runs, readings=readings)
    pending: list[Step] = []
    for sensor_index in sorted(
        {*widened, *(sensor_index for sensor_index, count in before.rejected.items() if count >= MAX_REJECTED_IN_A_ROW)}
    ):
        checkpoint.reset_to_prior.append(sensor_index)
        pending.append(Step(before.time, _prior_reset(model, sensor_index, before, sensor_index in widened)))
    innovations, weights, first = [], [], 0
    for cut in sorted(cuts):
        last = int(np.searchsorted(readings.time, cut, side="right"))
        part, first = slice(first, last), last
        sensor, time, value = readings.sensor[part], readings.time[part], readings.value[part]
        # process noise between a reading and the end of its step adds to the reading's variance
        variance = readings.variance[part] + traits.diffusion[sensor] * (cut - time) * 1e-9
        pending.append(Step(cut, None, sensor, time, value, variance, readings.floor[part]))
        pending.extend(Step(cut, jump) for time, jump in jumps if time == cut)
        images = [observation for observation in observations if observation.time == cut]
        if images or cut == end:
            result = runner.run(checkpoint.time, checkpoint.mean[None], checkpoint.cov_sqrt[None], pending)
            total = sum(len(step.value) for step in pending)
            innovations.append(result.innovation[:total])
            weights.append(result.weight[:total])
            _advance(checkpoint, cut, result, pending)
            pending = []
        for observation in images:
            steps, square, unexpected = observation_steps(
                model, observation, checkpoint.mean, checkpoint.cov_sqrt, inputs.at(cut)
            )
            if steps:
                _advance(
                    checkpoint, cut, runner.run(cut, checkpoint.mean[None], checkpoint.cov_sqrt[None], steps), steps
                )
                checkpoint.squares.append((observation.names, square))
            if unexpected is not None:
                checkpoint.unexpected.append(unexpected)
                checkpoint.evidence += float(np.log(UNCOMMANDED_JUMP_PROBABILITY))
    checkpoint.innovation, checkpoint.weight = np.concatenate(innovations), np.concatenate(weights)
    checkpoint.rejected = {
        sensor_index: count
        for sensor_index, count in before.rejected.items()
        if sensor_index not in checkpoint.reset_to_prior
    }
    for sensor_index, weight in zip(readings.sensor.tolist(), checkpoint.weight.tolist(), strict=True):
        if weight > 0:
            checkpoint.rejected.pop(sensor_index, None)
        else:
            checkpoint.rejected[sensor_index] = checkpoint.rejected.get(sensor_index, 0) + 1
    return checkpoint


def _prior_reset(model: Model, sensor_index: int, before: FilterCheckpoint, moving: bool) -> Jump:
    """Reset the entries that a sensor reads to their priors, where they contribute to its reading; with ``moving`` also those that drive them.

    Either the belief rests on a wrong first reading, or the state has changed without a command.
    """
    n, prior = len(model.layout), model.layout.prior_std()
    std = np.zeros(n)
    for row in (model.rows[sensor_index], model.rows[sensor_index] @ model.dynamics.drift)[: 2 if moving else 1]:
        share = np.abs(row * prior)
        std = np.where((share > 0.03 * share.max()) & (share > 0), prior, std)
    return Jump(np.eye(n), np.zeros(n), np.diag(std))


def command_jumps(model: Model, inputs: Inputs, after: int, until: int) -> list[tuple[int, Jump]]:
    """Changes that commands in (after, until] (ns) make to the state, with their times, in order of time."""
    layout, n = model.layout, len(model.layout)
    jumps = []
    for rule in model.jumps:
        for time, step in inputs.steps(rule.on, after, until):
            if abs(step) <= rule.least:
                continue
            transition, shift, noise, index = np.eye(n), np.zeros(n), np.zeros((n, n)), layout.index(rule.entry)
            if rule.set == "prior":
                entry = layout.entries[index]
                transition[index, index], shift[index], noise[index, index] = 0.0, entry.mean, entry.std
            else:
                shift[index] = rule.mean * step
                noise[index, index] = abs(rule.std * step) + rule.fixed
            jumps.append((time, Jump(transition, shift, noise)))
    return sorted(jumps, key=lambda pair: pair[0])


def _advance(checkpoint: FilterCheckpoint, time: int, result, steps: list[Step]) -> None:
    if not (np.isfinite(result.means).all() and np.isfinite(result.cov_sqrt).all()):
        raise FloatingPointError(f"the belief at {time} ns is not finite: a fault of the filter, not of its input")
    checkpoint.time, checkpoint.mean, checkpoint.cov_sqrt = time, result.means[0], result.cov_sqrt[0]
    checkpoint.evidence += float(result.evidence[0])
    checkpoint.steps.extend(steps)
