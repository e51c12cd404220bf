"""What a watch has come to, as plain values: under ``--json``."""

import dataclasses
from typing import Any

from reconstruct.stream.resets import Event
from scenarios.watch.follow import Follower
from twin.sensors.model import Model
from twin.units import shown

SCHEMA = "emtwin.watch/2"
COUNTS = ("used", "ignored", "outlier", "stuck", "not_a_number", "invalid", "late", "future", "repeated")
"""Fates of readings that are counted."""


def told(follower: Follower) -> dict[str, Any]:
    """All that is known now, as plain values."""
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
        "verdicts": {one.name: one.verdict for one in follower.channels.values()},
        "sensors": [
            {
                "channel": one.name,
                "kind": one.kind,
                "unit": one.unit,
                "last": one.last,
                "age": follower.age(one),
                "expected": one.expected,
                "expected_std": one.expected_std,
                "innovation": one.innovation,
                "verdict": one.verdict,
                "counts": {name: getattr(follower.health(one.name), name) for name in COUNTS},
            }
            for one in follower.channels.values()
        ],
        "not_modelled": [one.name for one in follower.channels.values() if one.sensor is None],
        "clocks": {
            source: None if (known := follower.clock(source)) is None else {"offset": known[0], "std": known[1], "unit": "second"}
            for source in follower.model.sources
        },
        "events": [
            {"kind": one.kind, "name": one.name, "time_ns": one.time, "size": one.size, "unit": size_unit(follower.model, one), "note": one.note}
            for one in follower.events
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


def size_unit(model: Model, event: Event) -> str:
    """The unit of an event's size: that of the console's display for a zero, standard deviations for a jump."""
    if event.kind != "zero_reset":
        return "sigma" if event.kind == "uncommanded_jump" else ""
    shown = next((one.shown for one in model.resets if one.name == event.name), "")
    of = next((one.of for one in model.inputs if one.name == shown), "")
    return next((one.unit for one in model.sensors if one.channel == of), "1")
