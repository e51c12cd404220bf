"""Zeros that users reset, told from drift by what the console shows and what the lens is told.

A focus command moves both; drift moves neither; a reset moves only what is shown. Echoes are no evidence of the column, but of what was
done to it they are.
"""

import dataclasses

from twin.dynamics.inputs import Inputs
from twin.sensors.model import Model

TOGETHER = 700_000_000
"""Nanoseconds within which two echoes of one command may tell of it."""


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened: ``kind`` ("zero reset", "untold jump"), to what (``name``), when (ns), how large, in ``unit``-less words of the table."""

    kind: str
    name: str
    time: int
    size: float
    note: str = ""


class Resets:
    """Finds resets in what inputs tell, up to a time at which nothing more can be told late."""

    def __init__(self, model: Model, since: int):
        self._rules, self.until = model.resets, since

    def look(self, inputs: Inputs, settled: int) -> list[Event]:
        """Resets in the time that has become settled since the last look."""
        until = settled - TOGETHER
        if until <= self.until:
            return []
        found = []
        for rule in self._rules:
            last = None
            for time, _ in inputs.steps(rule.shown, self.until, until):
                if last is not None and time - last <= TOGETHER:
                    continue
                last = time
                window = (time - TOGETHER, time + TOGETHER)
                shown = sum(step for _, step in inputs.steps(rule.shown, time - 1, time + TOGETHER))
                actual = sum(step for _, step in inputs.steps(rule.actual, *window))
                size = shown - actual
                if abs(size) > rule.tolerance:
                    note = "with a command" if abs(actual) > rule.tolerance else ""
                    found.append(Event("zero reset", rule.name, time, size, note))
        self.until = until
        return found
