"""A simulated session followed by a stream, and held against the truth: errors, intervals, verdicts, events, and what simpler ways give."""

import time
from typing import Any

import numpy as np

from reconstruct.stream.stream import Stream
from tests.benchmarks.belief.truth import IMAGES, POLL, SCORED, STATES, Recorded, channels, record, table

FAULTY = ("stuck", "saturated", "spiking", "noisy", "silent", "clock off", "late")
BEFORE = 30.0
"""Session time (s) before which nothing is held against a verdict."""


def follow(seed: int, images: bool = True) -> dict[str, Any]:
    """The session of ``seed``, with or without its images, as plain values and arrays [times, states]."""
    session = record(seed)
    begun = time.perf_counter()
    stream, found = _followed(session, images)
    found["seconds"] = time.perf_counter() - begun
    found |= {"seed": seed, "truth": np.stack([session.truth[name] for name in STATES], axis=1)}
    found["simple"] = _simple(session) if images else {}
    found["events"] = [(one.kind, one.name, (one.time - session.epoch) * 1e-9, one.size) for one in stream.events]
    found["reset"], found["stuck"], found["clocks"] = session.reset, session.stuck, session.clocks
    found["told"] = {
        source: stream.clock(source).offset(SCORED[-1]) for source in session.clocks if source in stream.model.sources
    }
    found["distrust"] = stream.monitors.distrust
    if images:
        stream.settle(session.epoch + round(SCORED[-1] * 1e9))
        smooth, covariances = stream.smoother().quantities(
            STATES, [session.epoch + round(at * 1e9) for at in SCORED[:-1]]
        )
        found["smooth"], found["smooth_std"] = smooth, np.sqrt(np.einsum("tii->ti", covariances))
    return found


def _followed(session: Recorded, images: bool) -> tuple[Stream, dict[str, Any]]:
    stream = Stream(table().model(), session.epoch)
    ready = list(session.images) if images else []
    commands = [(at, {"flash": changes["flash"]}) for at, changes in session.commands if "flash" in changes]
    scored, means, covariances = list(SCORED), [], []
    verdicts: dict[str, set[str]] = {name: set() for name in channels()}
    first_stuck: dict[str, float] = {}
    for number, mail in enumerate(session.mail):
        now = (number + 1) * POLL
        stream.push(mail, session.epoch + round(now * 1e9))
        while commands and commands[0][0] <= now:
            at, changes = commands.pop(0)
            stream.command(session.epoch + round(at * 1e9), changes)
        while ready and ready[0][0] <= now:
            stream.observe(ready.pop(0)[1])
        while scored and scored[0] <= now + 1e-9:
            mean, covariance = stream.quantities(STATES, session.epoch + round(scored.pop(0) * 1e9))
            means.append(mean)
            covariances.append(covariance)
        if number % 40 == 39 and now > BEFORE:
            for name, verdict in stream.verdicts().items():
                if name in verdicts:
                    verdicts[name].add(verdict)
                    if verdict == "stuck":
                        first_stuck.setdefault(name, now)
    return stream, {
        "mean": np.stack(means),
        "covariance": np.stack(covariances),
        "verdicts": verdicts,
        "first_stuck": first_stuck,
    }


def _simple(session: Recorded) -> dict[str, dict[str, np.ndarray]]:
    """What simpler ways give for defocus, astigmatism and position at `SCORED`: {way: {state: values [times]}}."""
    times, count = np.array(SCORED), len(SCORED)
    ways: dict[str, dict[str, np.ndarray]] = {
        way: {} for way in ("commanded", "last image", "constant velocity", "single sensor")
    }
    for name, commanded in session.commanded.items():
        asked, at_images = commanded[:count], commanded[count:]
        seen = np.array([image.value[image.names.index(name)] for _, image in session.images])
        own = seen - at_images  # what the image says beyond what was commanded
        last = np.searchsorted(IMAGES, times, side="right") - 1
        ways["commanded"][name] = asked
        ways["last image"][name] = asked + np.where(last >= 0, own[np.maximum(last, 0)], 0.0)
        before = np.maximum(last - 1, 0)
        slope = np.where(
            last > 0,
            (own[last] - own[before]) / np.maximum(np.array(IMAGES)[last] - np.array(IMAGES)[before], 1.0),
            0.0,
        )
        ways["constant velocity"][name] = ways["last image"][name] + slope * (
            times - np.array(IMAGES)[np.maximum(last, 0)]
        )
        ways["single sensor"][name] = asked
    ways["single sensor"] |= _by_sensor(session, times)
    return ways


def _by_sensor(session: Recorded, times: np.ndarray) -> dict[str, np.ndarray]:
    """From one sensor alone: defocus by the coil's temperature at its nominal response, the specimen by the stage's encoders."""
    heard: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for mail in session.mail:
        for batch in mail:
            if batch.channel in ("objective.temperature", "stage.x", "stage.y"):
                heard.setdefault(batch.channel, []).append((batch.times, batch.values))
    found = {}
    for channel, name in (
        ("stage.x", "specimen.x"),
        ("stage.y", "specimen.y"),
        ("objective.temperature", "defocus.C10"),
    ):
        at, values = (np.concatenate(column) for column in zip(*heard[channel], strict=True))
        order = np.argsort(at)
        at, values = (at[order] - session.epoch) * 1e-9, values[order]
        place = np.maximum(np.searchsorted(at, times) - 1, 0)
        if name != "defocus.C10":
            found[name] = values[place]
        else:
            warmer = values[place] - np.median(values[:10])
            found[name] = session.commanded[name][: len(times)] + 75.0 * warmer
    return found
