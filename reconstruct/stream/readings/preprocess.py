"""Preprocessing of the readings of one time bin: sorted, without repeats and stuck readings, many readings of one sensor averaged.

More than `MAX_SINGLE_READINGS` readings of one sensor in one bin become their robust mean, at their mean time, with the variance of that mean:
noise falls with their number, rounding that noise does not dither does not.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import erf

from reconstruct.stream.readings.equal_readings import STICKING_PROBABILITY
from twin.sensors.model import Model

MAX_SINGLE_READINGS = 3
"""Largest number of readings of one sensor in one bin that are used singly."""
CROWD_OUTLIER_SIGMAS = 5.0
"""Distance from the median, in robust standard deviations, beyond which a reading is an outlier."""
STUCK_PROBABILITY = 1e-9
"""Probability of a run of equal readings, by the noise of the table, below which a sensor may be called stuck."""
MIN_REPEAT_PROBABILITY = 1e-3
"""Smallest probability of two equal readings in a row assumed of a sensor, since logs are printed with few digits."""


class Traits(NamedTuple):
    """Of each sensor that is evidence, [c] each: variance, variance of rounding, probability of a repeat, diffusion of its quantity, coarseness."""

    variance: np.ndarray
    rounding: np.ndarray
    repeat: np.ndarray
    diffusion: np.ndarray
    coarse: np.ndarray


class Runs(NamedTuple):
    """Last value, number of its repeats so far, and the time (ns) of its first reading, [c] each."""

    last: np.ndarray
    count: np.ndarray
    since: np.ndarray


class ScalarReadings(NamedTuple):
    """Scalar readings in order of time: ``sensor``, ``time`` (ns), ``value``, ``variance``, ``floor`` [r]; per sensor [c]: how many were
    ``taken``, dropped as ``stuck``, dropped as ``outliers`` of a mean, sent twice (``repeated``); and the runs after them."""

    sensor: np.ndarray
    time: np.ndarray
    value: np.ndarray
    variance: np.ndarray
    floor: np.ndarray
    taken: np.ndarray
    stuck: np.ndarray
    outliers: np.ndarray
    repeated: np.ndarray
    runs: Runs

    @property
    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The columns of scalar readings, [r] each."""
        return self.sensor, self.time, self.value, self.variance, self.floor

    @property
    def counts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The counts of sensors, [c] each."""
        return self.taken, self.stuck, self.outliers, self.repeated


def traits(model: Model) -> Traits:
    """The traits of a model's sensors that are evidence."""
    noise = np.array([sensor.noise for sensor in model.evidence])
    step = np.array([sensor.quantisation for sensor in model.evidence])
    with np.errstate(divide="ignore", invalid="ignore"):
        # the largest probability that noise stays within one step: with the level in the middle of the step
        repeat = np.where(noise > 0, erf(step / (2.0 * np.sqrt(2.0) * noise)), 1.0)
    periodic = np.array(
        [sensor.reports == "periodic" and sensor.kind in ("measured", "derived") for sensor in model.evidence],
        dtype=bool,
    )
    repeat = np.where(periodic, np.clip(repeat, MIN_REPEAT_PROBABILITY, 1.0), 1.0)
    diffusion = (model.rows**2) @ model.dynamics.diffusion
    return Traits(noise**2, step**2 / 12.0, repeat, diffusion, noise < 0.5 * step)


def no_runs(count: int) -> Runs:
    """The runs of ``count`` sensors before their first readings."""
    return Runs(np.full(count, np.nan), np.zeros(count), np.zeros(count, dtype=np.int64))


def preprocess(
    traits: Traits, sensor: np.ndarray, time: np.ndarray, raw: np.ndarray, value: np.ndarray, runs: Runs,
    frozen: Sequence[tuple[int, int, int]] = (), held: Sequence[tuple[int, int]] = (),
) -> ScalarReadings:  # fmt: skip
    """Readings [r] of one time bin, in any order; ``raw`` as they were sent, ``value`` without offset and inputs.

    ``frozen`` are sensor indices with the times (ns) after which and up to which they are stuck or saturated; ``held`` are sensor indices with
    the begins (ns) of runs in which the quantity was held, so that each repeat is a reading.
    """
    count = len(traits.variance)
    order = np.lexsort((raw, time, sensor))
    sensor, time, raw, value = sensor[order], time[order], raw[order], value[order]
    duplicate = np.zeros(len(sensor), dtype=bool)
    duplicate[1:] = (sensor[1:] == sensor[:-1]) & (time[1:] == time[:-1]) & (raw[1:] == raw[:-1])
    repeated = np.bincount(sensor[duplicate], minlength=count)
    sensor, time, raw, value = sensor[~duplicate], time[~duplicate], raw[~duplicate], value[~duplicate]
    weight, begun, runs = _sticking(traits, sensor, time, raw, runs)
    for sensor_index, since in held:
        weight[(sensor == sensor_index) & (begun == since)] = 1.0
    for sensor_index, since, until in frozen:
        weight[(sensor == sensor_index) & (time > since) & (time <= until)] = 0.0
    stuck = np.bincount(sensor[weight == 0], minlength=count)
    keep = weight > 0
    sensor, time, value, weight = sensor[keep], time[keep], value[keep], weight[keep]
    size = np.bincount(sensor, minlength=count)
    crowded = size[sensor] > MAX_SINGLE_READINGS
    outliers = np.zeros(count, dtype=int)
    singles = int((~crowded).sum())
    parts = [(sensor[~crowded], time[~crowded], value[~crowded], np.ones(singles), weight[~crowded], np.zeros(singles))]
    if crowded.any():
        mean, outliers = _crowds(traits, sensor[crowded], time[crowded], value[crowded], weight[crowded])
        parts.append(mean)
    index, mean_time, mean_value, readings, certainty, duration = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    order = np.lexsort((mean_value, index, mean_time))
    index, mean_time, mean_value, readings, certainty, duration = (
        column[order] for column in (index, mean_time, mean_value, readings, certainty, duration)
    )
    rounding = np.where(traits.coarse[index], traits.rounding[index], traits.rounding[index] / readings)
    variance = (traits.variance[index] / readings + rounding) / certainty + traits.diffusion[index] * duration
    floor = np.where(traits.coarse[index], traits.rounding[index], 0.0)
    return ScalarReadings(
        index, mean_time, mean_value, variance, floor, size - outliers, stuck, outliers, repeated, runs
    )


def _sticking(
    traits: Traits, sensor: np.ndarray, time: np.ndarray, raw: np.ndarray, runs: Runs
) -> tuple[np.ndarray, np.ndarray, Runs]:
    """Probability [r] that each reading's sensor is not stuck, 0 where it surely is, and the begin [r] (ns) of the run that it belongs to;
    readings sorted by sensor and time."""
    if not len(sensor):
        return np.ones(0), np.zeros(0, dtype=np.int64), runs
    first = np.concatenate([[True], sensor[1:] != sensor[:-1]])
    before = np.concatenate([[np.nan], raw[:-1]])
    before[first] = runs.last[sensor[first]]
    same = raw == before
    # repeats so far: count since the last reading that differed, plus the run that was under way
    position = np.arange(len(raw))
    broken = np.maximum.accumulate(np.where(~same, position, -1))
    start = np.maximum.accumulate(np.where(first, position, -1))
    inside = broken >= start
    count = np.where(inside, position - broken, position - start + 1 + runs.count[sensor])
    last = np.concatenate([sensor[1:] != sensor[:-1], [True]])
    value, number, since = runs.last.copy(), runs.count.copy(), runs.since.copy()
    value[sensor[last]], number[sensor[last]] = raw[last], count[last]
    begun = np.where(inside, time[np.maximum(broken, 0)], runs.since[sensor])
    since[sensor[last]] = begun[last]
    likely = count * np.log(traits.repeat[sensor])
    weight = 1.0 / (1.0 + STICKING_PROBABILITY * np.exp(np.minimum(-likely, 100.0)))
    weight = np.where((weight > 0.99) | (traits.repeat[sensor] >= 1.0), 1.0, weight)
    return np.where(weight < 0.01, 0.0, weight), begun, Runs(value, number, since)


def log_chance(traits: Traits, runs: Runs) -> np.ndarray:
    """Log probabilities [c] of the runs given the noise of the sensors' table."""
    return runs.count * np.log(traits.repeat)


def is_stuck(traits: Traits, runs: Runs) -> np.ndarray:
    """Which sensors' runs are too long for their noise, [c]: they are stuck or saturated, unless what they read is held."""
    return log_chance(traits, runs) < np.log(STUCK_PROBABILITY)


def _crowds(traits: Traits, sensor: np.ndarray, time: np.ndarray, value: np.ndarray, weight: np.ndarray):
    """Robust means of crowds (readings sorted by sensor): sensor, time, value, number, weight, and a twelfth of the time they span (s),
    each [crowds]; and outliers per sensor [c]."""
    count = len(traits.variance)
    first = np.flatnonzero(np.concatenate([[True], sensor[1:] != sensor[:-1]]))
    size = np.diff(np.concatenate([first, [len(sensor)]]))
    group = np.repeat(np.arange(len(first)), size)
    index = sensor[first]

    def median(of: np.ndarray) -> np.ndarray:
        ranked = of[np.lexsort((of, group))]
        return 0.5 * (ranked[first + (size - 1) // 2] + ranked[first + size // 2])

    centre = median(value)
    deviation = np.abs(value - centre[group])
    expected_std = np.sqrt(traits.variance[index] + traits.rounding[index])
    spread = np.maximum(expected_std, 1.4826 * median(deviation))
    good = deviation <= CROWD_OUTLIER_SIGMAS * spread[group]
    kept_count = np.bincount(group[good], minlength=len(first))
    start = time[first]
    share = good / kept_count[group]
    mean = np.bincount(group, weights=share * (value - centre[group]), minlength=len(first)) + centre
    mean_time = start + np.round(
        np.bincount(group, weights=share * (time - start[group]), minlength=len(first))
    ).astype(np.int64)
    certainty = np.minimum.reduceat(weight, first)
    outliers = np.zeros(count, dtype=int)
    outliers[index] = size - kept_count
    # a random walk's mean over a time differs from its value at the middle by a twelfth of its variance over that time
    duration = (time[first + size - 1] - start) * 1e-9 / 12.0
    return (index, mean_time, mean, kept_count.astype(float), certainty, duration), outliers
