"""A simulated session filtered by a stream and compared with the truth: errors, intervals, verdicts, events, and simpler methods."""

import time
from typing import Any

import numpy as np

from reconstruct.stream.stream import Stream
from tests.benchmarks.belief.truth import IMAGES, POLL, SCORED, STATES, Recorded, channels, record, table

FAULTY = ("stuck", "saturated", "spiking", "noisy", "silent", "clock off", "late")
VERDICT_START = 30.0
"""Session time (s) from which verdicts are scored."""


SMOKE_POLL, SMOKE_SMOOTHED = 4.0, 3
"""Seconds between two polls, and of how many times the past is estimated, where a session is followed coarsely."""


def follow(seed: int, images: bool = True, coarse: bool = False) -> dict[str, Any]:
    """The session of ``seed``, with or without its images, as plain values and arrays [times, states]. ``coarse``: fewer polls, and the past only of the
    last times."""
    poll, smoothed = (SMOKE_POLL, SCORED[-1 - SMOKE_SMOOTHED : -1]) if coarse else (POLL, SCORED[:-1])
    session = record(seed, poll)
    start = time.perf_counter()
    stream, result = _followed(session, images, poll)
    result["seconds"] = time.perf_counter() - start
    result |= {"seed": seed, "truth": np.stack([session.truth[name] for name in STATES], axis=1)}
    result["simple"] = _simple(session) if images else {}
    result["events"] = [
        (event.kind, event.name, (event.time - session.epoch) * 1e-9, event.size) for event in stream.events
    ]
    result["reset"], result["stuck"], result["clocks"] = session.reset, session.stuck, session.clocks
    result["clock_estimates"] = {
        source: stream.clock(source).offset(SCORED[-1]) for source in session.clocks if source in stream.model.sources
    }
    result["distrust"] = stream.monitors.distrust
    if images:
        stream.settle(session.epoch + round(SCORED[-1] * 1e9))
        smooth, covariances = stream.smoother().quantities(
            STATES, [session.epoch + round(seconds * 1e9) for seconds in smoothed]
        )
        result["smooth"], result["smooth_std"] = smooth, np.sqrt(np.einsum("tii->ti", covariances))
    return result


def _followed(session: Recorded, images: bool, poll: float) -> tuple[Stream, dict[str, Any]]:
    stream = Stream(table().model(), session.epoch)
    ready = list(session.images) if images else []
    commands = [
        (command_time, {"flash": changes["flash"]}) for command_time, changes in session.commands if "flash" in changes
    ]
    scored, means, covariances = list(SCORED), [], []
    verdicts: dict[str, set[str]] = {name: set() for name in channels()}
    first_stuck: dict[str, float] = {}
    for number, mail in enumerate(session.mail):
        now = (number + 1) * poll
        stream.push(mail, session.epoch + round(now * 1e9))
        while commands and commands[0][0] <= now:
            command_time, changes = commands.pop(0)
            stream.command(session.epoch + round(command_time * 1e9), changes)
        while ready and ready[0][0] <= now:
            stream.observe(ready.pop(0)[1])
        while scored and scored[0] <= now + 1e-9:
            mean, covariance = stream.quantities(STATES, session.epoch + round(scored.pop(0) * 1e9))
            means.append(mean)
            covariances.append(covariance)
        if number % 40 == 39 and now > VERDICT_START:
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
    """Estimates of simpler methods for defocus, astigmatism and position at `SCORED`: {method: {state: values [times]}}."""
    times, count = np.array(SCORED), len(SCORED)
    methods: dict[str, dict[str, np.ndarray]] = {
        method: {} for method in ("commanded", "last image", "constant velocity", "single sensor")
    }
    for name, command_values in session.commanded.items():
        commanded_scored, commanded_images = command_values[:count], command_values[count:]
        image_values = np.array([image.value[image.names.index(name)] for _, image in session.images])
        deviation = image_values - commanded_images  # the image's estimate minus the command
        last_image = np.searchsorted(IMAGES, times, side="right") - 1
        methods["commanded"][name] = commanded_scored
        methods["last image"][name] = commanded_scored + np.where(
            last_image >= 0, deviation[np.maximum(last_image, 0)], 0.0
        )
        previous_image = np.maximum(last_image - 1, 0)
        slope = np.where(
            last_image > 0,
            (deviation[last_image] - deviation[previous_image])
            / np.maximum(np.array(IMAGES)[last_image] - np.array(IMAGES)[previous_image], 1.0),
            0.0,
        )
        methods["constant velocity"][name] = methods["last image"][name] + slope * (
            times - np.array(IMAGES)[np.maximum(last_image, 0)]
        )
        methods["single sensor"][name] = commanded_scored
    methods["single sensor"] |= _by_sensor(session, times)
    return methods


def _by_sensor(session: Recorded, times: np.ndarray) -> dict[str, np.ndarray]:
    """From one sensor alone: defocus by the coil's temperature at its nominal response, the specimen by the stage's encoders."""
    batches_by_channel: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for mail in session.mail:
        for batch in mail:
            if batch.channel in ("objective.temperature", "stage.x", "stage.y"):
                batches_by_channel.setdefault(batch.channel, []).append((batch.times, batch.values))
    estimates = {}
    for channel, name in (
        ("stage.x", "specimen.x"),
        ("stage.y", "specimen.y"),
        ("objective.temperature", "defocus.C10"),
    ):
        reading_times, values = (np.concatenate(column) for column in zip(*batches_by_channel[channel], strict=True))
        order = np.argsort(reading_times)
        reading_times, values = (reading_times[order] - session.epoch) * 1e-9, values[order]
        index = np.maximum(np.searchsorted(reading_times, times) - 1, 0)
        if name != "defocus.C10":
            estimates[name] = values[index]
        else:
            warmer = values[index] - np.median(values[:10])
            estimates[name] = session.commanded[name][: len(times)] + 75.0 * warmer
    return estimates
