"""Tallies of normalised innovations: mean one for the right model, and the wrong part is named."""

import math

import numpy as np
import pytest

from reconstruct.stream.monitors import EXCESS, MEMORY, SCORE, Monitors, Tally
from reconstruct.stream.stream import Stream
from tests.reconstruct.stream.instruments import SECOND, START, drawn, heard, toy
from twin.records import Readings

MODEL = toy()
SENSORS = {sensor.channel: index for index, sensor in enumerate(MODEL.evidence)}


def fed(monitors: Monitors, seed: int, spans: int, sizes: dict[str, float] | None = None, each: int = 2) -> Monitors:
    """Spans of half a second with innovations of every sensor, those of some larger by a factor."""
    generator = np.random.default_rng(seed)
    sensor_index = np.repeat(np.arange(len(SENSORS)), each)
    size = np.ones(len(SENSORS))
    for name, factor in (sizes or {}).items():
        size[SENSORS[name]] = factor
    for _ in range(spans):
        monitors.add_readings(
            0.5,
            sensor_index,
            size[sensor_index] * generator.standard_normal(len(sensor_index)),
            np.ones(len(sensor_index)),
        )
    return monitors


def test_parts_are_those_of_sensors_and_quantities():
    assert set(Monitors(MODEL).tallies) == {"heat", "gun", "stage", "optics"}
    assert Monitors(MODEL).distrust is None
    assert math.isnan(Tally().ratio)


def test_where_the_model_holds_the_mean_square_is_one_and_the_score_standard():
    ratios, scores = [], []
    for seed in range(40):
        tally = fed(Monitors(MODEL), seed, 400).tallies["gun"]
        ratios.append([tally["fast"].ratio, tally["slow"].ratio])
        scores.append([tally["fast"].score, tally["slow"].score])
    assert np.mean(ratios, axis=0) == pytest.approx([1.0, 1.0], abs=0.08)
    assert np.std(scores, axis=0) == pytest.approx([1.0, 1.0], abs=0.35)
    assert np.mean(scores, axis=0) == pytest.approx([0.0, 0.0], abs=0.5)


def test_no_part_is_distrusted_without_cause():
    """Asked after every span of thirty sessions of five minutes."""
    for seed in range(30):
        monitors = Monitors(MODEL)
        for step in range(60):
            fed(monitors, 1000 * seed + step, 10)
            assert monitors.distrust is None


@pytest.mark.parametrize(
    ("channel", "part"), [("high.tension", "gun"), ("encoder", "stage"), ("coil.temperature", "heat")]
)
def test_a_part_that_is_off_is_named(channel, part):
    monitors = fed(Monitors(MODEL), 0, 200, {channel: 2.0})
    distrust = monitors.distrust
    assert distrust is not None
    assert distrust.part == part
    assert distrust.ratio > EXCESS
    assert distrust.score > SCORE
    assert distrust.memory in MEMORY


def test_a_little_off_for_long_is_not_distrusted():
    """However many readings there are: the assumed noise may be off by a fifth."""
    assert fed(Monitors(MODEL), 0, 4000, {"encoder": 1.1}).distrust is None


def test_the_fast_memory_forgets_a_fault_that_is_over():
    monitors = fed(Monitors(MODEL), 0, 100, {"high.tension": 3.0})
    assert monitors.tallies["gun"]["fast"].ratio > 4.0
    fed(monitors, 1, 400)
    assert monitors.tallies["gun"]["fast"].ratio < 1.5
    assert monitors.tallies["gun"]["slow"].ratio > monitors.tallies["gun"]["fast"].ratio


def test_readings_of_weight_zero_are_not_counted():
    monitors = Monitors(MODEL)
    monitors.add_readings(0.5, np.array([0, 1]), np.array([100.0, 1.0]), np.array([0.0, 0.5]))
    tally = monitors.tallies["heat"]["fast"]
    assert (tally.squares, tally.count) == (0.5, 0.5)


def test_images_are_monitored_too():
    monitors = Monitors(MODEL)
    for _ in range(60):
        monitors.add_observation(("defocus", "place"), 8.0)
    assert monitors.tallies["optics"]["slow"].ratio == pytest.approx(4.0)
    assert monitors.tallies["stage"]["slow"].ratio == pytest.approx(4.0)
    distrust = monitors.distrust
    assert distrust is not None
    assert distrust.part in ("optics", "stage")


def test_state_and_restore():
    monitors = fed(Monitors(MODEL), 0, 50, {"encoder": 2.0})
    restored = Monitors(MODEL)
    restored.from_state(monitors.to_state())
    assert restored.to_state() == monitors.to_state()
    assert restored.distrust == monitors.distrust
    assert fed(restored, 3, 20).to_state() == fed(monitors, 3, 20).to_state()


def streamed(batches: list[Readings]) -> Stream:
    stream = Stream(MODEL, START, span=1.0)
    stream.push(batches)
    stream.settle(stream.now + SECOND)
    return stream


def test_in_a_stream():
    """A session of the model itself is trusted; the same with a high tension three times as restless is not, and the gun is named."""
    seconds = np.arange(0.25, 40.0, 0.5)
    batches = heard(MODEL, seconds, drawn(MODEL, seconds, 0), 0)
    sound = streamed(batches).monitors
    assert sound.distrust is None
    for part in ("heat", "gun", "stage"):
        assert sound.tallies[part]["slow"].ratio == pytest.approx(1.0, abs=0.45)
    noise = 0.25 * np.random.default_rng(0).standard_normal(len(seconds))
    restless = [
        Readings(batch.channel, 0, batch.times, batch.values + noise) if batch.channel == "high.tension" else batch
        for batch in batches
    ]
    distrust = streamed(restless).monitors.distrust
    assert distrust is not None
    assert distrust.part == "gun"
