"""The settled past of a stream in chapters: the filtered state at the begin of each, and the filter steps to run it again."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reconstruct.stream.batching import Jump, Step
from reconstruct.stream.serialization import State

_COLUMNS = (
    ("row", np.int32),
    ("time", np.int64),
    ("value", np.float64),
    ("variance", np.float64),
    ("floor", np.float64),
)


_JUMP = ("transition", "shift", "noise")


@dataclasses.dataclass
class Chapter:
    """A stretch of time: its ``start`` (ns), the filtered mean [n] and cov_sqrt [n, n] there, and its steps.

    Most steps have no jump and no extra rows; the readings of all these lie in a few arrays.
    """

    start: int
    mean: np.ndarray
    cov_sqrt: np.ndarray
    ends: np.ndarray
    stops: np.ndarray
    columns: dict[str, np.ndarray]
    special: dict[int, Step]
    _pending: list[Step] = dataclasses.field(default_factory=list)

    @classmethod
    def begin(cls, start: int, mean: np.ndarray, cov_sqrt: np.ndarray) -> "Chapter":
        """An empty chapter."""
        columns = {name: np.zeros(0, dtype=kind) for name, kind in _COLUMNS}
        return cls(start, mean, cov_sqrt, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), columns, {})

    def __len__(self) -> int:
        return len(self.ends) + len(self._pending)

    @property
    def end(self) -> int:
        if self._pending:
            return self._pending[-1].end
        return int(self.ends[-1]) if len(self.ends) else self.start

    def add(self, steps: Sequence[Step]) -> None:
        """Append the steps of one span."""
        self._pending.extend(steps)
        if len(self._pending) >= 128:
            self.pack()

    def pack(self) -> None:
        """Move the appended steps into the arrays."""
        if not self._pending:
            return
        before = len(self.ends)
        self.ends = np.concatenate([self.ends, [step.end for step in self._pending]]).astype(np.int64)
        sizes = np.cumsum([len(step.value) for step in self._pending])
        self.stops = np.concatenate([self.stops, sizes + (self.stops[-1] if before else 0)]).astype(np.int64)
        for name, kind in _COLUMNS:
            new = [getattr(step, name) for step in self._pending if len(step.value)]
            self.columns[name] = np.concatenate([self.columns[name], *new]).astype(kind)
        for number, step in enumerate(self._pending):
            if step.jump is not None or step.extra_rows is not None:
                self.special[before + number] = step
        self._pending = []

    def to_state(self) -> State:
        """The chapter as plain values and arrays by name."""
        self.pack()
        arrays = {"mean": self.mean, "cov_sqrt": self.cov_sqrt, "ends": self.ends, "stops": self.stops, **self.columns}
        special = []
        for number, step in self.special.items():
            step_arrays = {name: getattr(step, name) for name, _ in _COLUMNS}
            if step.extra_rows is not None:
                step_arrays["extra_rows"] = step.extra_rows
            if step.jump is not None:
                step_arrays |= {name: getattr(step.jump, name) for name in _JUMP}
            arrays |= {f"{number}.{name}": array for name, array in step_arrays.items()}
            special.append([number, step.end])
        return {"start": self.start, "special": special}, arrays

    @classmethod
    def from_state(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "Chapter":
        """The chapter that `to_state` saved."""
        chapter = cls.begin(values["start"], arrays["mean"], arrays["cov_sqrt"])
        chapter.ends, chapter.stops = arrays["ends"], arrays["stops"]
        chapter.columns = {name: arrays[name] for name, _ in _COLUMNS}
        for number, end in values["special"]:
            step_arrays = {name: arrays[f"{number}.{name}"] for name, _ in _COLUMNS}
            jump = Jump(*(arrays[f"{number}.{name}"] for name in _JUMP)) if f"{number}.shift" in arrays else None
            extra_rows = arrays.get(f"{number}.extra_rows")
            chapter.special[int(number)] = Step(end, jump, **step_arrays, extra_rows=extra_rows)
        return chapter

    def steps(self) -> list[Step]:
        """All steps, as they were."""
        self.pack()
        steps, first = [], 0
        for number, (end, stop) in enumerate(zip(self.ends.tolist(), self.stops.tolist(), strict=True)):
            if number in self.special:
                steps.append(self.special[number])
            else:
                steps.append(Step(end, None, *(self.columns[name][first:stop] for name, _ in _COLUMNS)))
            first = stop
        return steps
