"""Batches for the square-root kernel: steps and readings as arrays, padded to a few sizes (each shape is compiled once), and run."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from reconstruct.stream.sqrt_kernel import KernelReadings, KernelResult, Steps, rts_smooth, run
from twin.dynamics.linear import Dynamics

MIN_SPAN_SIZES = (8, 4, 8, 32)
MIN_CHAPTER_SIZES = (512, 16, 32, 4096)
"""Smallest array sizes of a run: steps, distinct transitions, extra rows, readings. Those of chapters are large, so that all have one size."""


@dataclasses.dataclass(frozen=True)
class Jump:
    """An instantaneous change of the state: x' = transition x + shift + noise n, with n ~ N(0, 1)."""

    transition: np.ndarray
    shift: np.ndarray
    noise: np.ndarray


@dataclasses.dataclass
class Step:
    """A filter step to ``end`` (ns): the time since the previous step or a jump, and the readings up to its end.

    ``row`` are indices of the sensors' rows; negative ones count in ``extra_rows``.
    """

    end: int
    jump: Jump | None = None
    row: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    time: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    value: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    variance: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    floor: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    extra_rows: np.ndarray | None = None
    """Rows [m, n] of an image's observation, for readings of rows minus one, minus two ..."""


class Runner:
    """Runs filter steps for one dynamic model and one set of sensors' ``rows`` [c, n]; ``outlier_probability`` is the outliers' prior probability."""

    def __init__(self, dynamics: Dynamics, rows: np.ndarray, outlier_probability: float):
        self.dynamics, self.rows, self.outlier_probability = dynamics, rows, outlier_probability
        push = dynamics.push if dynamics.push is not None else np.zeros(rows.shape[1])
        self._row_push = rows @ push
        self._discretised: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def transition(self, span: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Transition, square root of the process noise, and shift over ``span`` ns."""
        if span not in self._discretised:
            if len(self._discretised) >= 256:
                self._discretised.clear()
            self._discretised[span] = (*self.dynamics.discretise(span * 1e-9), self.dynamics.shift(span * 1e-9))
        return self._discretised[span]

    def run(
        self, start: int, means: np.ndarray, cov_sqrts: np.ndarray, steps: Sequence[Step], keep_steps: bool = False
    ) -> KernelResult:
        """``steps`` one after the other from ``means`` [k, n] and ``cov_sqrt`` [k, n, n] at ``start`` (ns)."""
        steps_arrays, readings, rows, count = self._build(start, steps, MIN_SPAN_SIZES)
        result = run(
            means,
            cov_sqrts,
            steps_arrays,
            readings,
            rows,
            rows @ self.dynamics.drift,
            np.int64(count),
            keep_steps=keep_steps,
        )
        filtered = (np.asarray(result.filtered[0]), np.asarray(result.filtered[1]))
        return KernelResult(
            np.asarray(result.means), np.asarray(result.cov_sqrt), np.asarray(result.evidence),
            np.asarray(result.innovation), np.asarray(result.weight), filtered,
        )  # fmt: skip

    def smooth(
        self,
        start: int,
        mean: np.ndarray,
        cov_sqrt: np.ndarray,
        steps: Sequence[Step],
        smoothed_end: tuple[np.ndarray, np.ndarray] | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Smoothed means [t + 1, n] and roots [t + 1, n, n] at ``start`` and after each step, from the filtered ``mean`` and ``cov_sqrt`` at
        ``start`` and the smoothed ones ``smoothed_end`` the last step (None: the filtered ones there, no future being known)."""
        steps_arrays, readings, rows, count = self._build(start, steps, MIN_CHAPTER_SIZES)
        result = run(
            mean[None],
            cov_sqrt[None],
            steps_arrays,
            readings,
            rows,
            rows @ self.dynamics.drift,
            np.int64(count),
            keep_steps=True,
        )
        means, cov_sqrts = np.asarray(result.filtered[0])[:, 0], np.asarray(result.filtered[1])[:, 0]
        last = (means[count - 1], cov_sqrts[count - 1]) if smoothed_end is None else smoothed_end
        before = (np.concatenate([mean[None], means[:-1]]), np.concatenate([cov_sqrt[None], cov_sqrts[:-1]]))
        smooth, smooth_roots = rts_smooth(*last, before, steps_arrays, np.int64(count))
        return (
            np.concatenate([np.asarray(smooth)[:count], last[0][None]]),
            np.concatenate([np.asarray(smooth_roots)[:count], last[1][None]]),
        )

    def _build(self, start: int, steps: Sequence[Step], min_sizes: tuple[int, int, int, int]):
        n, c = self.rows.shape[1], len(self.rows)
        transitions, noises, index_of_span = [], [], {}
        transition_index, stop = (np.zeros(bucket(len(steps), min_sizes[0]), dtype=np.int64) for _ in range(2))
        shift = np.zeros((len(transition_index), n))
        extra_rows = [step.extra_rows for step in steps if step.extra_rows is not None]
        total, extra_count, time = 0, 0, start
        reading_columns: list[tuple[np.ndarray, ...]] = []
        for number, step in enumerate(steps):
            if step.jump is not None:
                transition_index[number] = len(transitions)
                transitions.append(step.jump.transition)
                noises.append(step.jump.noise)
                shift[number] = step.jump.shift
            else:
                span = step.end - time
                if span not in index_of_span:
                    index_of_span[span] = len(transitions)
                    transition, noise, _ = self.transition(span)
                    transitions.append(transition)
                    noises.append(noise)
                transition_index[number] = index_of_span[span]
                shift[number] = self.transition(span)[2]
            time = step.end
            total += len(step.value)
            stop[number] = total
            if len(step.value):
                row = np.where(step.row >= 0, step.row, c + extra_count - 1 - step.row)
                outlier_probability = np.where(step.row >= 0, self.outlier_probability, 0.0)
                time_from_end = (step.time - step.end) * 1e-9
                # the constant drift between the reading and the step's end
                pushed = np.where(step.row >= 0, self._row_push[np.maximum(step.row, 0)] if c else 0.0, 0.0)
                reading_columns.append(
                    (
                        row,
                        time_from_end,
                        step.value - time_from_end * pushed,
                        step.variance,
                        step.floor,
                        outlier_probability,
                    )
                )
            extra_count += 0 if step.extra_rows is None else len(step.extra_rows)
        size = bucket(total, min_sizes[3])
        padded = []
        for column in range(6):
            values = np.zeros(size, dtype=np.int64 if column == 0 else np.float64)
            if reading_columns:
                values[:total] = np.concatenate([reading_columns[i][column] for i in range(len(reading_columns))])
            padded.append(values)
        rows = np.concatenate([self.rows, *extra_rows]) if extra_rows else self.rows
        row_room = bucket(extra_count, min_sizes[2]) if extra_rows or min_sizes[2] > 8 or len(rows) == 0 else 0
        if row_room > extra_count:
            rows = np.concatenate([rows, np.zeros((row_room - extra_count, n))])
        distinct = bucket(len(transitions), min_sizes[1])
        zeros = [np.zeros((n, n))] * (distinct - len(transitions))
        steps_arrays = Steps(transition_index, np.stack(transitions + zeros), np.stack(noises + zeros), shift, stop)
        return steps_arrays, KernelReadings(*padded), rows, len(steps)


def bucket(count: int, least: int = 8) -> int:
    """The next of a few sizes, each four times the one before."""
    size = least
    while size < count:
        size *= 4
    return size
