"""A stream as notebooks show it: the state now, the verdicts on its sensors, and what happened."""

from collections.abc import Iterable, Mapping

from reconstruct.inference.belief import Belief
from reconstruct.stream.resets import Event
from twin.notebook import table
from twin.units import utc

PLAIN = ("ok", "held", "no evidence")
"""Verdicts that are nothing to look at."""


def html_of(name: str, belief: Belief, verdicts: Mapping[str, str], events: Iterable[Event]) -> str:
    """The ``belief`` of a stream called ``name``; below it sensors with a verdict other than `PLAIN`, and the events."""
    notes = [f"{channel}: {verdict}" for channel, verdict in verdicts.items() if verdict not in PLAIN]
    happened = [f"{event.kind.replace('_', ' ')}: {event.name} at {utc(event.time)}" for event in events]
    title = f"{name} at {utc(belief.time)} UTC"
    return table(title, ("entry", "mean ± std", ""), belief.rows(), notes, happened, align="l")
