"""Detection of zeros that users reset, from the value that the console shows and the value that the lens is set to.

A focus command changes both, drift changes neither, a reset changes only the shown value. Echoes are no evidence of the column's state, but they
are evidence of commands.
"""

import dataclasses
from collections.abc import Mapping

from twin.dynamics.inputs import Inputs
from twin.sensors.model import Model

ECHO_WINDOW = 700_000_000
"""Nanoseconds within which both echoes of one command arrive."""


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened: ``kind`` ("zero_reset", "uncommanded_jump", "prior_reset", "stuck_sensor", "saturated_sensor", "sensor_recovered"),
    to what (``name``), when (ns), how large, in the unit of the table."""

    kind: str
    name: str
    time: int
    size: float
    note: str = ""


class Resets:
    """Detects resets in the echoes up to the settled time.

    Steps of both echoes within `ECHO_WINDOW` of each other are one action, judged once its last step is that long ago.
    """

    def __init__(self, model: Model, since: int):
        self._rules = model.resets
        self.judged = {rule.name: since for rule in model.resets}
        """The last step (ns) that has been judged, by rule."""

    def to_state(self) -> dict[str, int]:
        """All that changes, as plain values."""
        return dict(self.judged)

    def from_state(self, state: Mapping[str, int]) -> None:
        """Restore what `to_state` saved."""
        self.judged = {name: int(time) for name, time in state.items()}

    def detect(self, inputs: Inputs, settled: int) -> list[Event]:
        """Resets in the time that has become settled since the last call."""
        events = []
        for rule in self._rules:
            after = self.judged[rule.name]
            steps = [(time, step, 0.0) for time, step in inputs.steps(rule.shown, after, settled)]
            steps += [(time, 0.0, step) for time, step in inputs.steps(rule.actual, after, settled)]
            for group in _grouped(sorted(steps)):
                if group[-1][0] > settled - ECHO_WINDOW:
                    break
                self.judged[rule.name] = group[-1][0]
                shown, actual = sum(step[1] for step in group), sum(step[2] for step in group)
                at = next((time for time, step, _ in group if step), None)
                if at is not None and abs(shown - actual) > rule.tolerance:
                    note = "with a command" if abs(actual) > rule.tolerance else ""
                    events.append(Event("zero_reset", rule.name, at, shown - actual, note))
        return events


def _grouped(steps: list[tuple[int, float, float]]) -> list[list[tuple[int, float, float]]]:
    """Steps in order of time, split where nothing happened for longer than `ECHO_WINDOW`."""
    groups: list[list[tuple[int, float, float]]] = []
    for step in steps:
        if groups and step[0] - groups[-1][-1][0] <= ECHO_WINDOW:
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups
