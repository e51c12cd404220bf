"""What the state was at any time of a session, from everything that was read before and since.

The filter keeps one mean and one covariance a chapter. Going back, a chapter is run again from where it began, with every step kept for as
long as it takes to pass through it backwards; its beginning, smoothed, is kept. So memory is that of one chapter and two states for each
of the others. A time within a step is asked for by cutting the step there.
"""

import bisect
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from reconstruct.inference.belief import Belief, triangular
from reconstruct.stream.batching import Runner, Step
from reconstruct.stream.filter_step import FilterCheckpoint
from reconstruct.stream.history import Chapter
from reconstruct.stream.observation import seen_through
from twin.dynamics.inputs import Inputs
from twin.sensors.model import Model


class Smoother:
    """The past as known when it was made. ``chapters`` are settled, ``open_marks`` are the spans after them, in order."""

    def __init__(
        self,
        model: Model,
        runner: Runner,
        chapters: Sequence[Chapter],
        open_marks: Sequence[FilterCheckpoint],
        inputs: Inputs,
    ):
        self.model, self._runner, self._inputs = model, runner, inputs
        self._chapters = [
            (one.start, one.mean, one.cov_sqrt, one) for one in chapters if len(one) or one is chapters[0]
        ]
        if open_marks:
            # the open end is a chapter of its own, from what the last settled one came to
            start, mean, cov_sqrt, last = self._chapters[-1]
            end = self._runner.run(start, mean[None], cov_sqrt[None], last.steps()) if len(last) else None
            mean, cov_sqrt = (mean, cov_sqrt) if end is None else (end.means[0], end.cov_sqrt[0])
            tail = Chapter.begin(last.end, mean, cov_sqrt)
            for mark in open_marks:
                tail.add(mark.steps)
            self._chapters.append((tail.start, mean, cov_sqrt, tail))
        self.start, self.end = self._chapters[0][0], self._chapters[-1][3].end
        self._after: dict[int, tuple[np.ndarray, np.ndarray] | None] = {len(self._chapters) - 1: None}

    def all(self, progress: Callable[[float], None] | None = None) -> None:
        """Go back to the beginning now (else a question about an early time does it)."""
        self._reach(0, progress)

    def belief(self, at: int) -> Belief:
        """The belief at ``at`` (ns); ValueError outside the session."""
        return self.beliefs([at])[0]

    def beliefs(self, times: Iterable[int]) -> list[Belief]:
        """Beliefs at ``times`` (ns, in any order); ValueError for one outside the session."""
        asked = list(times)
        for time in asked:
            if not self.start <= time <= self.end:
                raise ValueError(
                    f"{time} ns is outside the session, which lasts from {self.start} to {self.end} ns; ask within it"
                )
        starts = [start for start, *_ in self._chapters]
        found: dict[int, Belief] = {}
        by_chapter: dict[int, list[int]] = {}
        for time in sorted(set(asked), reverse=True):
            number = max(bisect.bisect_left(starts, time) - 1, 0)
            by_chapter.setdefault(number, []).append(time)
        for number in sorted(by_chapter, reverse=True):
            found |= self._within(number, by_chapter[number])
        return [found[time] for time in asked]

    def quantities(self, names: Iterable[str], times: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        """Means [t, m] and covariances [t, m, m] of quantities at ``times`` (ns)."""
        names = list(names)
        pairs = [
            seen_through(self.model, names, one.means[0], one.cov_sqrt[0], self._inputs.at(one.time))
            for one in self.beliefs(times)
        ]
        return np.stack([mean for mean, _ in pairs]), np.stack([covariance for _, covariance in pairs])

    def _reach(self, number: int, progress: Callable[[float], None] | None = None) -> None:
        """Go back until the smoothed state at the end of chapter ``number`` is known."""
        last = len(self._chapters) - 1
        for later in range(min(self._after), number, -1):
            start, mean, cov_sqrt, chapter = self._chapters[later]
            steps = chapter.steps()
            means, cov_sqrts = self._runner.smooth(start, mean, cov_sqrt, steps, self._after[later])
            self._after[later - 1] = (means[0].copy(), cov_sqrts[0].copy())  # a view would keep the whole chapter
            if progress is not None:
                progress((last - later + 1) / max(last, 1))

    def _within(self, number: int, times: list[int]) -> dict[int, Belief]:
        self._reach(number)
        start, mean, cov_sqrt, chapter = self._chapters[number]
        steps = _cut(start, chapter.steps(), times)
        means, cov_sqrts = self._runner.smooth(start, mean, cov_sqrt, steps, self._after[number])
        ends = [start, *(step.end for step in steps)]
        found = {}
        for time in times:
            place = bisect.bisect_right(ends, time) - 1
            factor = triangular(cov_sqrts[place])
            found[time] = Belief(self.model.layout, time, np.ones(1), means[place][None], factor[None])
        return found


def _cut(start: int, steps: Sequence[Step], times: Sequence[int]) -> list[Step]:
    """The same steps with one more boundary at each of ``times``."""
    found, now = [], start
    wanted = sorted(times)
    for step in steps:
        if step.jump is None:
            for time in wanted[bisect.bisect_right(wanted, now) : bisect.bisect_left(wanted, step.end)]:
                early = step.time <= time
                found.append(Step(time, None, *(column[early] for column in _columns(step))))
                step = Step(step.end, None, *(column[~early] for column in _columns(step)))
        found.append(step)
        now = step.end
    return found


def _columns(step: Step) -> tuple[np.ndarray, ...]:
    return step.row, step.time, step.value, step.variance, step.floor
