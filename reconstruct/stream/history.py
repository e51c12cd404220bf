"""The settled past of a stream, packed: where each chapter began and what happened in it, so that it can be run again."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from reconstruct.stream.batching import Step

_COLUMNS = (
    ("row", np.int32),
    ("time", np.int64),
    ("value", np.float64),
    ("variance", np.float64),
    ("floor", np.float64),
)


@dataclasses.dataclass
class Chapter:
    """A stretch of time: its ``start`` (ns), the filtered mean [n] and root [n, n] there, and its steps.

    Steps without a jump and without rows of their own are the rule; all their readings lie in a few arrays.
    """

    start: int
    mean: np.ndarray
    cov_sqrt: np.ndarray
    ends: np.ndarray
    stops: np.ndarray
    columns: dict[str, np.ndarray]
    special: dict[int, Step]
    _new: list[Step] = dataclasses.field(default_factory=list)

    @classmethod
    def begin(cls, start: int, mean: np.ndarray, cov_sqrt: np.ndarray) -> "Chapter":
        """An empty chapter."""
        columns = {name: np.zeros(0, dtype=kind) for name, kind in _COLUMNS}
        return cls(start, mean, cov_sqrt, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), columns, {})

    def __len__(self) -> int:
        return len(self.ends) + len(self._new)

    @property
    def end(self) -> int:
        if self._new:
            return self._new[-1].end
        return int(self.ends[-1]) if len(self.ends) else self.start

    def add(self, steps: Sequence[Step]) -> None:
        """Append the steps of one span."""
        self._new.extend(steps)
        if len(self._new) >= 128:
            self.pack()

    def pack(self) -> None:
        """Put what was appended into the arrays."""
        if not self._new:
            return
        before = len(self.ends)
        self.ends = np.concatenate([self.ends, [step.end for step in self._new]]).astype(np.int64)
        sizes = np.cumsum([len(step.value) for step in self._new])
        self.stops = np.concatenate([self.stops, sizes + (self.stops[-1] if before else 0)]).astype(np.int64)
        for name, kind in _COLUMNS:
            new = [getattr(step, name) for step in self._new if len(step.value)]
            self.columns[name] = np.concatenate([self.columns[name], *new]).astype(kind)
        for number, step in enumerate(self._new):
            if step.jump is not None or step.own is not None:
                self.special[before + number] = step
        self._new = []

    def steps(self) -> list[Step]:
        """All steps, as they were."""
        self.pack()
        found, first = [], 0
        for number, (end, stop) in enumerate(zip(self.ends.tolist(), self.stops.tolist(), strict=True)):
            if number in self.special:
                found.append(self.special[number])
            else:
                found.append(Step(end, None, *(self.columns[name][first:stop] for name, _ in _COLUMNS)))
            first = stop
        return found
