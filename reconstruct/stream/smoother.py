"""Smoothed state at any time of a session, from all readings before and after it.

The filter stores one mean and one covariance a chapter. Backwards, each chapter is filtered again from its begin with all steps stored, smoothed,
and only its smoothed begin is kept: the memory is that of one chapter and two states for each other chapter. For a time within a step the step is
split there.
"""

import bisect
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from reconstruct.inference.belief import Belief, triangular
from reconstruct.stream.batching import Runner, Step
from reconstruct.stream.filter_step import FilterCheckpoint
from reconstruct.stream.history import Chapter
from reconstruct.stream.observation import predict_quantities
from twin.dynamics.inputs import Inputs
from twin.sensors.model import Model


class Smoother:
    """Smoother of a session at the time of its creation, from settled ``chapters`` and the later ``open_checkpoints`` in order."""

    def __init__(
        self,
        model: Model,
        runner: Runner,
        chapters: Sequence[Chapter],
        open_checkpoints: Sequence[FilterCheckpoint],
        inputs: Inputs,
    ):
        self.model, self._runner, self._inputs = model, runner, inputs
        self._chapters = [
            (chapter.start, chapter.mean, chapter.cov_sqrt, chapter)
            for chapter in chapters
            if len(chapter) or chapter is chapters[0]
        ]
        if open_checkpoints:
            # the open spans are one more chapter, from the end of the last settled one
            start, mean, cov_sqrt, last = self._chapters[-1]
            end = self._runner.run(start, mean[None], cov_sqrt[None], last.steps()) if len(last) else None
            mean, cov_sqrt = (mean, cov_sqrt) if end is None else (end.means[0], end.cov_sqrt[0])
            tail = Chapter.begin(last.end, mean, cov_sqrt)
            for checkpoint in open_checkpoints:
                tail.add(checkpoint.steps)
            self._chapters.append((tail.start, mean, cov_sqrt, tail))
        self.start, self.end = self._chapters[0][0], self._chapters[-1][3].end
        self._after: dict[int, tuple[np.ndarray, np.ndarray] | None] = {len(self._chapters) - 1: None}

    def all(self, progress: Callable[[float], None] | None = None) -> None:
        """Smooth back to the begin now (else the first request of an early time does)."""
        self._smooth_back_to(0, progress)

    def belief(self, at: int) -> Belief:
        """The belief at ``at`` (ns); ValueError outside the session."""
        return self.beliefs([at])[0]

    def beliefs(self, times: Iterable[int]) -> list[Belief]:
        """Beliefs at ``times`` (ns, in any order); ValueError for one outside the session."""
        requested = list(times)
        for time in requested:
            if not self.start <= time <= self.end:
                raise ValueError(
                    f"{time} ns is outside the session, which lasts from {self.start} to {self.end} ns; ask within it"
                )
        starts = [start for start, *_ in self._chapters]
        beliefs: dict[int, Belief] = {}
        by_chapter: dict[int, list[int]] = {}
        for time in sorted(set(requested), reverse=True):
            number = max(bisect.bisect_left(starts, time) - 1, 0)
            by_chapter.setdefault(number, []).append(time)
        for number in sorted(by_chapter, reverse=True):
            beliefs |= self._beliefs_in_chapter(number, by_chapter[number])
        return [beliefs[time] for time in requested]

    def quantities(self, names: Iterable[str], times: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        """Means [t, m] and covariances [t, m, m] of quantities at ``times`` (ns)."""
        names = list(names)
        pairs = [
            predict_quantities(self.model, names, belief.means[0], belief.cov_sqrt[0], self._inputs.at(belief.time))
            for belief in self.beliefs(times)
        ]
        return np.stack([mean for mean, _ in pairs]), np.stack([covariance for _, covariance in pairs])

    def _smooth_back_to(self, number: int, progress: Callable[[float], None] | None = None) -> None:
        """Smooth backwards until the smoothed state at the end of chapter ``number`` is known."""
        last = len(self._chapters) - 1
        for later in range(min(self._after), number, -1):
            start, mean, cov_sqrt, chapter = self._chapters[later]
            steps = chapter.steps()
            means, cov_sqrts = self._runner.smooth(start, mean, cov_sqrt, steps, self._after[later])
            self._after[later - 1] = (means[0].copy(), cov_sqrts[0].copy())  # a view would keep the whole chapter
            if progress is not None:
                progress((last - later + 1) / max(last, 1))

    def _beliefs_in_chapter(self, number: int, times: list[int]) -> dict[int, Belief]:
        self._smooth_back_to(number)
        start, mean, cov_sqrt, chapter = self._chapters[number]
        steps = _split(start, chapter.steps(), times)
        means, cov_sqrts = self._runner.smooth(start, mean, cov_sqrt, steps, self._after[number])
        ends = [start, *(step.end for step in steps)]
        beliefs = {}
        for time in times:
            step_index = bisect.bisect_right(ends, time) - 1
            factor = triangular(cov_sqrts[step_index])
            beliefs[time] = Belief(self.model.layout, time, np.ones(1), means[step_index][None], factor[None])
        return beliefs


def _split(start: int, steps: Sequence[Step], times: Sequence[int]) -> list[Step]:
    """The same steps with one more boundary at each of ``times``."""
    split_steps, time_before = [], start
    boundaries = sorted(times)
    for step in steps:
        if step.jump is None:
            for time in boundaries[
                bisect.bisect_right(boundaries, time_before) : bisect.bisect_left(boundaries, step.end)
            ]:
                early = step.time <= time
                split_steps.append(Step(time, None, *(column[early] for column in _columns(step))))
                step = Step(step.end, None, *(column[~early] for column in _columns(step)))
        split_steps.append(step)
        time_before = step.end
    return split_steps


def _columns(step: Step) -> tuple[np.ndarray, ...]:
    return step.row, step.time, step.value, step.variance, step.floor
