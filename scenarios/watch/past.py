"""Smoothed history of the quantities at the end of a watch."""

from typing import NamedTuple, Protocol

import numpy as np

from scenarios.io.progress import Progress
from scenarios.watch.follow import Follower

SMOOTHED_POINTS = 300
MAX_PANELS = 10
"""Largest number of quantities that are drawn."""
SMOOTHING_BATCH = 30


class Past(NamedTuple):
    """Estimates of the quantities ``names``: ``mean`` and ``std`` [t, m] at ``times`` [t] (ns); ``smoothed``, or as filtered at the time."""

    names: list[str]
    times: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    smoothed: bool


class Stopping(Protocol):
    count: int


def drawn_names(follower: Follower) -> list[str]:
    """The quantities of the table; if it has none, the entries that the received sensors measure."""
    if follower.quantities:
        return follower.quantities[:MAX_PANELS]
    received = [
        channel.sensor
        for channel in follower.channels.values()
        if channel.sensor is not None and channel.heard is not None
    ]
    observed = {entry for sensor in received if sensor.evidence for entry in sensor.coefficients}
    # a lagged sensor tells of the entries that it lags behind, by the part they share
    parts = {sensor.part for sensor in received if any(entry.endswith(".lagged") for entry in sensor.coefficients)}
    model = follower.model
    lagged = {entry for entry, part in zip(model.layout.names, model.parts, strict=True) if part in parts}
    names = [name for name in model.layout.names if name in observed or (name in lagged and not observed & {name})]
    return names[:MAX_PANELS]


def smoothed(follower: Follower, progress: Progress, stop: Stopping) -> Past:
    """The smoothed history at about `SMOOTHED_POINTS` times, or the filtered one after a second interruption."""
    stream, names = follower.stream, drawn_names(follower)
    begun = stop.count
    known = _as_known(follower, names)
    smoother = stream.smoother()
    # spans end at whole numbers of them: a time between would cut a span in two
    length = (smoother.end - smoother.start) // stream.span
    if not names or not follower.readings or length < 1:
        return known
    first = max((known.times[0] - smoother.start) // stream.span, 0) if len(known.times) else 0
    spans = sorted({first + (length - first) * index // SMOOTHED_POINTS for index in range(SMOOTHED_POINTS + 1)})
    times = [int(smoother.start + index * stream.span) for index in spans]
    means, stds = [], []
    for last in range(len(times), 0, -SMOOTHING_BATCH):
        progress.stage("smoothing the past", (len(times) - last) / len(times))
        if stop.count > begun:
            return known
        mean, covariance = smoother.quantities(names, times[max(last - SMOOTHING_BATCH, 0) : last])
        means.append(mean)
        stds.append(np.sqrt(np.maximum(np.einsum("tii->ti", covariance), 0.0)))
    return Past(names, np.array(times), np.concatenate(means[::-1]), np.concatenate(stds[::-1]), True)


def _as_known(follower: Follower, names: list[str]) -> Past:
    indices = [follower.names.index(name) for name in names]
    shape = (len(follower.times), len(names))
    mean = np.array([values[indices] for values in follower.means]).reshape(shape)
    std = np.array([values[indices] for values in follower.stds]).reshape(shape)
    return Past(names, np.array(follower.times, dtype=np.int64), mean, std, False)
