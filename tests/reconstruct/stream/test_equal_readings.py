"""Runs of equal readings: held, stuck or saturated, by noise, extrapolation, the model and other sensors."""

import functools
from pathlib import Path

import numpy as np
import pytest

import twin
from instrument.readers import close_reader, read_log
from reconstruct.stream.readings.equal_readings import EqualRun, explanation, led_beyond, scatter_excess
from reconstruct.stream.stream import Stream
from tests.reconstruct.stream.instruments import SECOND, START, holder
from twin.records import Readings
from twin.sensors import Model, read_table

STEP, LIMIT = 0.001, 323.15


def rounded(values: np.ndarray) -> np.ndarray:
    return np.round(values / STEP) * STEP


def times_of(seconds: float, jitter: float = 0.0, seed: int = 0) -> np.ndarray:
    """Seconds of readings, ten a second, each late by up to ``jitter`` (rms)."""
    regular = np.arange(0.0, seconds, 0.1)
    return regular + jitter * np.abs(np.random.default_rng(seed).standard_normal(len(regular)))


def ns(seconds: np.ndarray) -> np.ndarray:
    return START + np.round(seconds * 1e9).astype(np.int64)


def followed(model: Model, channels: dict[str, tuple[np.ndarray, np.ndarray]], until: float):
    """Readings by channel (s, K), handed over every half second: the stream, and mean and standard deviation of T every half second."""
    stream, beliefs = Stream(model, START), []
    for end in np.arange(0.5, until + 0.25, 0.5):
        batches = []
        for name, (times, values) in channels.items():
            here = (times >= end - 0.5) & (times < end)
            batches.append(Readings(name, 0, ns(times[here]), values[here]))
        stream.push(batches)
        belief = stream.belief(START + round(end * 1e9))
        beliefs.append((end, belief.mean[0], belief.std[0]))
    stream.settle(stream.now + stream.span)
    return stream, np.array(beliefs)


def ramp_and_hold(times: np.ndarray) -> np.ndarray:
    """Held at 298 K for 5 s, up by 1 K/s for 20 s, held at 318 K for 25 s, down by 1 K/s."""
    return np.interp(times, [0.0, 5.0, 25.0, 50.0, 60.0], [298.0, 298.0, 318.0, 318.0, 308.0])


def kinds(stream: Stream) -> list[str]:
    return [event.kind for event in stream.events if event.kind != "prior_reset"]


# --- the evidence


def test_sensor_noise_is_separated_from_motion_rounding_and_clock_error():
    rng = np.random.default_rng(0)
    regular = np.arange(0.0, 6.4, 0.1)
    late = times_of(6.4, 0.003)
    quiet = rounded(300.0 + 1.0 * late)
    assert scatter_excess(ns(regular), quiet, STEP) == 0.0
    assert scatter_excess(ns(regular), rounded(300.0 + 0.0 * regular), STEP) == 0.0
    for slope in (0.0, 0.2):
        noisy = rounded(300.0 + slope * regular + 0.02 * rng.standard_normal(64))
        assert scatter_excess(ns(regular), noisy, STEP) > 15.0
    spikes = quiet.copy()
    spikes[[10, 30]] += 5.0
    assert scatter_excess(ns(regular), spikes, STEP) == 0.0
    assert scatter_excess(ns(regular[:4]), quiet[:4], STEP) == 0.0  # too few to tell


def test_a_line_leads_beyond_a_value_by_its_own_errors():
    """Standard normal for readings that do stand at the value, whatever their noise; large where they lead past it."""
    times, rng = ns(np.arange(0.0, 6.4, 0.1)), np.random.default_rng(1)
    score = [led_beyond(times, 5.0 + 0.3 * rng.standard_normal(64), START + 7 * SECOND, 5.0) for _ in range(500)]
    # the mean's error and a reading's together, of which only the first is there
    assert abs(np.mean(score)) < 0.05
    assert np.std(score) < 0.5
    rising = 5.0 + 0.2 * (times - START) * 1e-9 + 0.02 * rng.standard_normal(64)
    assert led_beyond(times, rising, START + 7 * SECOND, float(rising[-1])) > 3.0
    assert led_beyond(times, 10.0 - rising, START + 7 * SECOND, float(10.0 - rising[-1])) < -3.0


@pytest.mark.parametrize(
    ("changed", "right"),
    [
        ({}, "held"),
        ({"excess": 30.0}, "stuck"),
        ({"excess": 30.0, "beyond": 5.0, "high": 9.9}, "saturated"),
        ({"excess": 30.0, "beyond": -5.0, "low": 10.1}, "saturated"),
        ({"excess": 30.0, "beyond": 5.0}, "stuck"),  # larger values were read before
        ({"excess": 30.0, "beyond": -5.0, "high": 9.9}, "stuck"),  # they lead away from it
        ({"away": 50.0}, "held"),  # brought to rest without a word
        ({"excess": 30.0, "count": 3.0, "repeat": 0.7}, ""),  # no more than chance
        ({"refused": 1, "count": 600.0}, "held"),  # one reading far off in a long run
        ({"refused": 5, "count": 600.0}, "stuck"),
    ],
)
def test_the_likeliest_explanation(changed, right):
    run = EqualRun(count=20.0, repeat=0.07, value=10.0, excess=0.0, low=0.0, high=20.0, away=0.0, beyond=0.0, refused=0)
    assert explanation(run._replace(**changed)) == right


# --- streams


def test_a_hold_is_followed_and_not_called_stuck():
    late = times_of(60.0, 0.003)
    values = rounded(ramp_and_hold(late))
    regular = np.arange(0.0, 60.0, 0.1)
    stream, beliefs = followed(holder(0.0055), {"s0": (regular, values)}, 60.0)
    at, mean, std = beliefs.T
    assert kinds(stream) == []
    assert stream.health["s0"].stuck == 0
    off = np.abs(mean - ramp_and_hold(at))
    held = (at > 25.5) & (at < 50.0)
    assert (off[held] < 1.645 * std[held]).all()
    assert off[(at > 26.5) & (at < 50.0)].max() < 0.01
    assert off[(at > 52.0)].max() < 0.05  # and it is followed when it moves again
    assert off.max() < 1.0


def test_a_clipped_sensor_is_saturated_and_the_state_goes_on():
    times = np.arange(0.0, 60.0, 0.1)
    truth = 318.15 + 0.2 * times
    values = rounded(np.minimum(truth + 0.02 * np.random.default_rng(3).standard_normal(600), LIMIT))
    assert (values[300:] == rounded(np.array([LIMIT]))).all()
    stream, beliefs = followed(holder(0.0055), {"s0": (times, values)}, 60.0)
    assert stream.verdicts()["s0"] == "saturated"
    assert kinds(stream) == ["saturated_sensor"]
    event = next(event for event in stream.events if event.kind == "saturated_sensor")
    assert event.size == pytest.approx(LIMIT)
    assert 24.0 < (event.time - START) * 1e-9 < 26.5
    at, mean, std = beliefs.T
    later = at > 27.0
    assert (np.abs(mean - 318.15 - 0.2 * at)[later] < 1.645 * std[later]).all()
    assert std[-1] > 1.0
    assert stream.health["s0"].stuck > 330


def test_a_recovered_sensor_is_used_again():
    times = np.arange(0.0, 40.0, 0.1)
    truth = 318.15 + np.interp(times, [0, 30, 40], [0.0, 6.0, 0.0])
    values = rounded(np.minimum(truth + 0.02 * np.random.default_rng(4).standard_normal(400), LIMIT))
    stream, beliefs = followed(holder(0.0055), {"s0": (times, values)}, 40.0)
    assert kinds(stream) == ["saturated_sensor", "sensor_recovered"]
    assert stream.verdicts()["s0"] not in ("saturated", "stuck")
    assert abs(beliefs[-1, 1] - 318.15) < 0.2


def test_a_sensor_that_sticks_away_from_its_extremes_is_stuck():
    times = np.arange(0.0, 40.0, 0.1)
    values = rounded(300.0 + 0.0055 * np.random.default_rng(5).standard_normal(400))
    values[200:] = 300.0
    stream, _ = followed(holder(0.0055), {"s0": (times, values)}, 40.0)
    assert stream.verdicts()["s0"] == "stuck"
    assert kinds(stream) == ["stuck_sensor"]


def test_a_hold_contradicted_by_another_sensor_is_rejected():
    """A noiseless sensor stops at 300 K while a noisy one sees the quantity rise further."""
    times = np.arange(0.0, 40.0, 0.1)
    truth = np.interp(times, [0, 20, 40], [300.0, 300.0, 304.0])
    quiet = rounded(np.where(times < 20, truth, 300.0))
    other = rounded(truth + 0.02 * np.random.default_rng(6).standard_normal(400))
    stream, beliefs = followed(holder(0.0055, 0.02), {"s0": (times, quiet), "s1": (times, other)}, 40.0)
    assert stream.verdicts()["s0"] == "stuck"
    assert stream.verdicts()["s1"] == "ok"
    assert [event.name for event in stream.events if event.kind == "stuck_sensor"] == ["s0"]
    at, mean, _ = beliefs.T
    late = at > 25.0
    assert np.abs(mean - np.interp(at, times, truth))[late].max() < 0.1


# --- logs


@pytest.fixture(scope="module")
def real(data: Path):
    """A log followed by the table of its kind: seconds, mean and standard deviation of the temperature, and the stream."""
    model = read_table((Path(twin.__file__).parent / "tables/protochips.toml").read_text(), "protochips").model()

    @functools.cache
    def follow(name: str):
        (channel,) = read_log(data / name).channels
        start, seconds = int(channel.times[0]), (channel.times - channel.times[0]) * 1e-9
        stream, beliefs = Stream(model, start), []
        for end in np.arange(0.5, seconds[-1], 0.5):
            here = (seconds >= end - 0.5) & (seconds < end)
            stream.push([Readings(channel.name, 0, channel.times[here], channel.values[here])])
            belief = stream.belief(start + round(end * 1e9))
            beliefs.append((end, belief.mean[0], belief.std[0]))
        stream.settle(stream.now + stream.span)
        return stream, np.array(beliefs).T

    yield follow
    close_reader()


@pytest.mark.slow
def test_a_real_hold(real):
    """120 degC held for 63 s: it had been called stuck, and the estimate had gone on to 449 K."""
    stream, (at, mean, std) = real("holders/protochips_thermal.csv")
    assert kinds(stream) == []
    assert stream.health["Channel A Temperature"].stuck == 0
    held = (at > 100.0) & (at < 162.0)
    off = np.abs(mean - 393.15)
    assert (off[held] < 1.645 * std[held]).all()
    assert off[(at > 101.0) & (at < 162.0)].max() < 0.01
    assert np.abs(mean).max() < 394.5


def test_a_real_log_that_is_clipped(real):
    """50 degC for 75 s while the truth went on to 65: it had been known to 5 mK."""
    stream, (at, mean, std) = real("spoiled/protochips-saturated.csv")
    assert kinds(stream) == ["saturated_sensor"]
    assert stream.verdicts()["Channel A Temperature"] == "saturated"
    truth = 298.15 + 0.2 * (at + 0.1)
    later = at > 127.0
    assert (np.abs(mean - truth)[later] < 1.645 * std[later]).all()
    assert std[-1] > 10.0
