"""One span of time run through the filter: its readings, what was commanded in it, and what images said in it."""

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np

from reconstruct.stream.batching import Jump, Runner, Step
from reconstruct.stream.observation import SURPRISE, Observation, Surprise, as_step
from reconstruct.stream.readings.preprocess import Digest, Runs, Traits
from twin.dynamics.inputs import Inputs
from twin.sensors.model import Model

PERSISTENT = 8
"""Readings of one sensor in a row, all too far off to count, after which it is the belief that is wrong."""


@dataclasses.dataclass
class FilterCheckpoint:
    """What is known at ``time`` (ns), the end of a span: mean [n], root [n, n], the sensors' runs; how it came to that from the mark before
    (``steps``), and how well what was read agreed with what was expected (per scalar reading of ``digest``: innovation and weight [r])."""

    time: int
    mean: np.ndarray
    cov_sqrt: np.ndarray
    runs: Runs
    steps: list[Step] = dataclasses.field(default_factory=list)
    digest: Digest | None = None
    innovation: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    weight: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    evidence: float = 0.0
    lost: dict[int, int] = dataclasses.field(default_factory=dict)
    """Sensors whose last readings were all left out as too far off, with how many."""
    reopened: list[int] = dataclasses.field(default_factory=list)
    """Sensors whose quantities were widened to their priors at the beginning of the span, since the sensors went on saying something else."""
    surprises: list[Surprise] = dataclasses.field(default_factory=list)
    squares: list[tuple[tuple[str, ...], float]] = dataclasses.field(default_factory=list)


def run_span(
    model: Model, runner: Runner, traits: Traits, before: FilterCheckpoint, end: int, found: Digest,
    jumps: Sequence[tuple[int, Jump]], seen: Sequence[Observation], inputs: Inputs, exact: int, grid: Sequence[int] = (),
    widened: Collection[int] = (),
) -> FilterCheckpoint:  # fmt: skip
    """From the mark ``before`` to ``end`` (ns). It is cut at ``grid``, and with at most ``exact`` distinct
    times of readings at each of those. What the sensors ``widened`` read, and how it moves, is widened to its prior first."""
    cuts = {end, *(time for time, _ in jumps), *(one.time for one in seen), *grid}
    distinct = np.unique(found.time)
    if len(distinct) <= exact:
        cuts |= set(distinct.tolist())
    mark = FilterCheckpoint(before.time, before.mean, before.cov_sqrt, found.runs, digest=found)
    pending: list[Step] = []
    for place in sorted({*widened, *(place for place, count in before.lost.items() if count >= PERSISTENT)}):
        mark.reopened.append(place)
        pending.append(Step(before.time, _reopening(model, place, before, place in widened)))
    innovations, weights, first = [], [], 0
    for cut in sorted(cuts):
        last = int(np.searchsorted(found.time, cut, side="right"))
        part, first = slice(first, last), last
        place, time, value = found.sensor[part], found.time[part], found.value[part]
        # what the process noise did between a reading and the cut makes the reading less sure
        variance = found.variance[part] + traits.wander[place] * (cut - time) * 1e-9
        pending.append(Step(cut, None, place, time, value, variance, found.floor[part]))
        pending.extend(Step(cut, jump) for time, jump in jumps if time == cut)
        images = [one for one in seen if one.time == cut]
        if images or cut == end:
            ran = runner.run(mark.time, mark.mean[None], mark.cov_sqrt[None], pending)
            total = sum(len(one.value) for one in pending)
            innovations.append(ran.innovation[:total])
            weights.append(ran.weight[:total])
            _to(mark, cut, ran, pending)
            pending = []
        for one in images:
            steps, square, surprise = as_step(model, one, mark.mean, mark.cov_sqrt, inputs.at(cut))
            if steps:
                _to(mark, cut, runner.run(cut, mark.mean[None], mark.cov_sqrt[None], steps), steps)
                mark.squares.append((one.names, square))
            if surprise is not None:
                mark.surprises.append(surprise)
                mark.evidence += float(np.log(SURPRISE))
    mark.innovation, mark.weight = np.concatenate(innovations), np.concatenate(weights)
    mark.lost = {place: count for place, count in before.lost.items() if place not in mark.reopened}
    for place, weight in zip(found.sensor.tolist(), mark.weight.tolist(), strict=True):
        if weight > 0:
            mark.lost.pop(place, None)
        else:
            mark.lost[place] = mark.lost.get(place, 0) + 1
    return mark


def _reopening(model: Model, place: int, before: FilterCheckpoint, moving: bool) -> Jump:
    """The entries that a sensor reads widened to their priors, each in proportion to its own part in the reading; if ``moving``, those that
    set them moving too.

    What was believed of them rests on a reading that was wrong and the first to come, or something has changed without a command.
    """
    n, prior = len(model.layout), model.layout.prior_std()
    std = np.zeros(n)
    for row in (model.rows[place], model.rows[place] @ model.dynamics.drift)[: 2 if moving else 1]:
        share = np.abs(row * prior)
        std = np.where((share > 0.03 * share.max()) & (share > 0), prior, std)
    return Jump(np.eye(n), np.zeros(n), np.diag(std))


def _to(mark: FilterCheckpoint, time: int, ran, steps: list[Step]) -> None:
    if not (np.isfinite(ran.means).all() and np.isfinite(ran.cov_sqrt).all()):
        raise FloatingPointError(f"the belief at {time} ns is not finite: a fault of the filter, not of its input")
    mark.time, mark.mean, mark.cov_sqrt = time, ran.means[0], ran.cov_sqrt[0]
    mark.evidence += float(ran.evidence[0])
    mark.steps.extend(steps)
