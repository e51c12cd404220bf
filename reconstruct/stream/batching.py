"""Runs of the kernel: steps and readings gathered as numpy arrays, padded to sizes that repeat (each shape compiles anew), and run."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from reconstruct.stream.sqrt_kernel import Ran, Scalars, Steps, retrace, run
from twin.dynamics.linear import Dynamics

SPAN_SIZES = (8, 4, 8, 32)
CHAPTER_SIZES = (512, 16, 32, 4096)
"""Least sizes of a run's arrays: steps, distinct transitions, rows of its own, readings. Chapters are given room, so that all are of one size."""


@dataclasses.dataclass(frozen=True)
class Jump:
    """A change of the state in no time: x' = move x + shift, with noise of root ``noise``."""

    move: np.ndarray
    shift: np.ndarray
    noise: np.ndarray


@dataclasses.dataclass
class Step:
    """A step that ends at ``end`` (ns): time since the step before, or a jump; and the readings up to its end.

    ``rows`` are places of rows, those of sensors first, then the rows of estimates from images that the run carries along.
    """

    end: int
    jump: Jump | None = None
    row: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    time: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    value: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    variance: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    floor: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    own: np.ndarray | None = None
    """Rows [m, n] of this step's own, for readings whose place is minus one, minus two ..."""


class Runner:
    """Runs steps for one equation of motion and one set of sensors' ``rows`` [c, n]; ``share`` is the outliers' prior probability."""

    def __init__(self, dynamics: Dynamics, rows: np.ndarray, share: float):
        self.dynamics, self.rows, self.share = dynamics, rows, share
        push = dynamics.push if dynamics.push is not None else np.zeros(rows.shape[1])
        self._pushed = rows @ push
        self._kept: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def transition(self, span: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Transition, noise root and shift over ``span`` ns."""
        if span not in self._kept:
            if len(self._kept) >= 256:
                self._kept.clear()
            self._kept[span] = (*self.dynamics.discretise(span * 1e-9), self.dynamics.shift(span * 1e-9))
        return self._kept[span]

    def run(
        self, start: int, means: np.ndarray, cov_sqrts: np.ndarray, steps: Sequence[Step], keep: bool = False
    ) -> Ran:
        """``steps`` one after the other from ``means`` [k, n] and ``cov_sqrt`` [k, n, n] at ``start`` (ns)."""
        built, readings, rows, count = self._build(start, steps, SPAN_SIZES)
        ran = run(means, cov_sqrts, built, readings, rows, rows @ self.dynamics.drift, np.int64(count), keep=keep)
        kept = (np.asarray(ran.kept[0]), np.asarray(ran.kept[1]))
        return Ran(
            np.asarray(ran.means), np.asarray(ran.cov_sqrt), np.asarray(ran.evidence),
            np.asarray(ran.innovation), np.asarray(ran.weight), kept,
        )  # fmt: skip

    def smooth(
        self,
        start: int,
        mean: np.ndarray,
        cov_sqrt: np.ndarray,
        steps: Sequence[Step],
        after: tuple[np.ndarray, np.ndarray] | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Smoothed means [t + 1, n] and roots [t + 1, n, n] at ``start`` and after each step, from the filtered ``mean`` and ``cov_sqrt`` at
        ``start`` and the smoothed ones ``after`` the last step (None: the filtered ones there, no future being known)."""
        built, readings, rows, count = self._build(start, steps, CHAPTER_SIZES)
        ran = run(
            mean[None], cov_sqrt[None], built, readings, rows, rows @ self.dynamics.drift, np.int64(count), keep=True
        )
        means, cov_sqrts = np.asarray(ran.kept[0])[:, 0], np.asarray(ran.kept[1])[:, 0]
        last = (means[count - 1], cov_sqrts[count - 1]) if after is None else after
        before = (np.concatenate([mean[None], means[:-1]]), np.concatenate([cov_sqrt[None], cov_sqrts[:-1]]))
        smooth, smooth_roots = retrace(*last, before, built, np.int64(count))
        return (
            np.concatenate([np.asarray(smooth)[:count], last[0][None]]),
            np.concatenate([np.asarray(smooth_roots)[:count], last[1][None]]),
        )

    def _build(self, start: int, steps: Sequence[Step], least: tuple[int, int, int, int]):
        n, c = self.rows.shape[1], len(self.rows)
        moves, noises, places = [], [], {}
        which, stop = (np.zeros(bucket(len(steps), least[0]), dtype=np.int64) for _ in range(2))
        shift = np.zeros((len(which), n))
        own = [step.own for step in steps if step.own is not None]
        total, extra, now = 0, 0, start
        columns: list[tuple[np.ndarray, ...]] = []
        for number, step in enumerate(steps):
            if step.jump is not None:
                which[number] = len(moves)
                moves.append(step.jump.move)
                noises.append(step.jump.noise)
                shift[number] = step.jump.shift
            else:
                span = step.end - now
                if span not in places:
                    places[span] = len(moves)
                    move, noise, _ = self.transition(span)
                    moves.append(move)
                    noises.append(noise)
                which[number] = places[span]
                shift[number] = self.transition(span)[2]
            now = step.end
            total += len(step.value)
            stop[number] = total
            if len(step.value):
                row = np.where(step.row >= 0, step.row, c + extra - 1 - step.row)
                share = np.where(step.row >= 0, self.share, 0.0)
                when = (step.time - step.end) * 1e-9
                # what the push did between the reading and the step's end
                pushed = np.where(step.row >= 0, self._pushed[np.maximum(step.row, 0)] if c else 0.0, 0.0)
                columns.append((row, when, step.value - when * pushed, step.variance, step.floor, share))
            extra += 0 if step.own is None else len(step.own)
        size = bucket(total, least[3])
        padded = []
        for column in range(6):
            values = np.zeros(size, dtype=np.int64 if column == 0 else np.float64)
            if columns:
                values[:total] = np.concatenate([columns[i][column] for i in range(len(columns))])
            padded.append(values)
        rows = np.concatenate([self.rows, *own]) if own else self.rows
        room = bucket(extra, least[2]) if own or least[2] > 8 or len(rows) == 0 else 0
        if room > extra:
            rows = np.concatenate([rows, np.zeros((room - extra, n))])
        distinct = bucket(len(moves), least[1])
        empty = [np.zeros((n, n))] * (distinct - len(moves))
        built = Steps(which, np.stack(moves + empty), np.stack(noises + empty), shift, stop)
        return built, Scalars(*padded), rows, len(steps)


def bucket(count: int, least: int = 8) -> int:
    """The next of a few sizes, each four times the one before."""
    size = least
    while size < count:
        size *= 4
    return size
