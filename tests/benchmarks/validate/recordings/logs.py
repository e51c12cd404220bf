"""Recordings with a log of the instrument's sensors: high tension, tilts, position and temperature of the holder."""

import functools

import numpy as np

from reconstruct.validation.recording import Further
from reconstruct.validation.rules.file_times import SECOND, span_of
from reconstruct.validation.sensors.evidence import evidence_of_sensors
from reconstruct.validation.sensors.records import LoggedSensor, SensorRecord
from reconstruct.validation.sensors.tracks import SensorTracks
from tests.benchmarks.validate.recordings.made import Made
from twin.records import Signal

START = 1_700_000_000 * SECOND
LENGTH = 3600
APART = {"stage.alpha": 1e-3, "stage.beta": 1e-3, "stage.x": 2000.0, "stage.y": 2000.0}
"""Rms by which a specimen is elsewhere than the stage's encoders say, as the evidence assumes."""
BIAS = 2e-3
"""Relative rms of the divider of the high tension."""


@functools.lru_cache(maxsize=4)
def _session(seed: int) -> tuple[SensorTracks, dict[str, np.ndarray]]:
    """An hour of sensors, and what is true at each second [LENGTH]: ramps and steps of temperature and stage, a steady high tension."""
    generator = np.random.default_rng([seed, 55])
    second = np.arange(LENGTH, dtype=np.float64)

    def moves(step: float, count: int) -> np.ndarray:
        values = np.zeros(LENGTH)
        for at in generator.integers(60, LENGTH - 60, count):
            values[at:] += step * generator.standard_normal()
        return values

    tension = float(generator.choice([80e3, 200e3, 300e3]))
    ramps = np.interp(second, [0, 900, 1500, 2700, 3600], 300.0 + np.cumsum(generator.uniform(-60.0, 120.0, 5)))
    truth = {
        "high_tension": np.full(LENGTH, tension), "temperature": ramps, "stage.alpha": 0.05 + moves(0.08, 6), "stage.beta": -0.03 + moves(0.05, 4),
        "stage.x": 1e5 * generator.standard_normal() + moves(2e5, 8), "stage.y": 1e5 * generator.standard_normal() + moves(2e5, 8),
    }  # fmt: skip
    noise = {
        "high_tension": 2.0,
        "temperature": 0.2,
        "stage.alpha": 2e-5,
        "stage.beta": 2e-5,
        "stage.x": 20.0,
        "stage.y": 20.0,
    }
    interval = {"high_tension": 10, "temperature": 1, "stage.alpha": 5, "stage.beta": 5, "stage.x": 5, "stage.y": 5}
    channels = {
        "high_tension": ("gun.high_tension", "volt"), "temperature": ("holder.temperature", "kelvin"), "stage.alpha": ("stage.alpha", "radian"),
        "stage.beta": ("stage.beta", "radian"), "stage.x": ("stage.x", "angstrom"), "stage.y": ("stage.y", "angstrom"),
    }  # fmt: skip
    sensors = []
    for name, (channel, unit) in channels.items():
        at = np.arange(0, LENGTH, interval[name])
        values = truth[name][at] + noise[name] * generator.standard_normal(len(at))
        bias = 0.0
        if name == "high_tension":
            bias = BIAS * tension
            values = values + bias * generator.standard_normal()
        sensors.append(LoggedSensor(channel, unit, START + at * SECOND, values, "measured", bias))
    record = SensorRecord("log", tuple(sensors), START, START + (LENGTH - 1) * SECOND)
    return SensorTracks(record), truth


def logged(seed: int) -> Made:
    """A recording at a time of the hour, that claims what its sensors read then."""
    tracks, truth = _session(seed // 4)
    generator = np.random.default_rng([seed, 56])
    at = int(generator.integers(120, LENGTH - 120))
    # nothing moves while it is recorded
    while any(np.ptp(truth[name][at - 6 : at + 7]) > 0 for name in ("stage.alpha", "stage.beta", "stage.x", "stage.y")):
        at = int(generator.integers(120, LENGTH - 120))
    noise = {"temperature": 0.2, "stage.alpha": 2e-5, "stage.beta": 2e-5, "stage.x": 20.0, "stage.y": 20.0}
    true = {name: float(series[at]) for name, series in truth.items()}
    written = {name: value + noise.get(name, 0.0) * float(generator.standard_normal()) for name, value in true.items()}
    # the specimen is not where the encoders say
    true = {name: value + APART.get(name, 0.0) * float(generator.standard_normal()) for name, value in true.items()}
    more = {"pixel.x": 2.0, "pixel.y": 2.0, "exposure": 1.0, "time.start": START + at * SECOND}
    data = generator.poisson(3.0, (16, 16)).astype(np.float64)

    def outside(signal: Signal) -> Further:
        span = span_of(signal.claims, signal.repeated)
        evidence, contradictions, gaps = evidence_of_sensors(tracks, signal.claims, span)
        own = () if span is None else span.contradictions
        return Further(tuple(evidence), (*own, *contradictions), tuple(gaps))

    def tells_time(time: float) -> bool:
        """Whether two quantities were elsewhere at another time, far beyond the evidence's error."""
        then = min(max(round((time - START) / SECOND), 0), LENGTH - 1)
        moved = [
            abs(truth[name][then] - truth[name][at]) > 12.0 * max(APART.get(name, 0.0), noise[name]) for name in noise
        ]
        return sum(moved) >= 2 and 0 <= round((time - START) / SECOND) < LENGTH

    return Made("image", data, {**true, **more}, outside=outside, written={**written, **more}, tells_time=tells_time)
