"""The result of a watch as plain values, for ``--json``."""

import dataclasses
from typing import Any

from reconstruct.stream.resets import Event
from scenarios.watch.follow import Follower
from twin.sensors.model import Model
from twin.units import shown

SCHEMA = "emtwin.watch/2"
COUNTS = ("used", "ignored", "outlier", "stuck", "not_a_number", "invalid", "late", "future", "repeated")
"""Outcomes of readings that are counted."""


def result_values(follower: Follower) -> dict[str, Any]:
    """The current estimates, verdicts and events as plain values."""
    monitors = follower.stream.monitors
    worst = monitors.distrust
    return {
        "quantities": {
            name: {"mean": mean, "std": std, "unit": unit, "shown": shown(mean, std, unit)}
            for name, (mean, std, unit) in follower.now().items()
            if name in follower.quantities
        },
        "entries": {
            name: {"mean": mean, "std": std, "unit": unit}
            for name, (mean, std, unit) in follower.now().items()
            if name not in follower.quantities
        },
        "verdicts": {channel.name: channel.verdict for channel in follower.channels.values()},
        "sensors": [
            {
                "channel": channel.name,
                "kind": channel.kind,
                "unit": channel.unit,
                "last": channel.last,
                "age": follower.age(channel),
                "expected": channel.expected,
                "expected_std": channel.expected_std,
                "innovation": channel.innovation,
                "verdict": channel.verdict,
                "counts": {name: getattr(follower.health(channel.name), name) for name in COUNTS},
            }
            for channel in follower.channels.values()
        ],
        "not_modelled": [channel.name for channel in follower.channels.values() if channel.sensor is None],
        "clocks": {
            source: None if (known := follower.clock(source)) is None else {"offset": known[0], "std": known[1], "unit": "second"}
            for source in follower.model.sources
        },
        "events": [
            event_item(follower.model, event)
            for event in follower.events
        ],
        "monitors": {
            "parts": {
                part: {memory: {"ratio": tally.ratio, "score": tally.score} for memory, tally in both.items()}
                for part, both in monitors.tallies.items()
            },
            "distrust": None if worst is None else dataclasses.asdict(worst),
        },
        "disagrees": follower.disagrees,
    }  # fmt: skip


def event_item(model: Model, event: Event) -> dict[str, Any]:
    """An event as under ``--json``."""
    return {
        "kind": event.kind, "name": event.name, "time_ns": event.time, "size": event.size, "unit": _size_unit(model, event), "note": event.note,
    }  # fmt: skip


def _size_unit(model: Model, event: Event) -> str:
    """The unit of an event's size: that of the console's display for a zero, standard deviations for a jump."""
    if event.kind != "zero_reset":
        return "sigma" if event.kind == "uncommanded_jump" else ""
    shown = next((reset.shown for reset in model.resets if reset.name == event.name), "")
    of = next((source.of for source in model.inputs if source.name == shown), "")
    return next((sensor.unit for sensor in model.sensors if sensor.channel == of), "1")
