"""Preprocessing of readings: stuck sensors, averages, repeats, and time bins filled in any order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconstruct.stream.readings.preprocess import (
    MAX_SINGLE_READINGS,
    Runs,
    ScalarReadings,
    is_stuck,
    no_runs,
    preprocess,
    traits,
)
from reconstruct.stream.readings.time_bins import TimeBins
from tests.reconstruct.stream.instruments import SECOND, START
from twin.dynamics.inputs import Inputs
from twin.sensors import Model, read_table

SENSOR = """
[[sensor]]
channel = "{}"
unit = "1"
kind = "{}"
reports = "{}"
rate = {}
expects = {{ level = 1.0{} }}
noise = {}
quantisation = {}
valid = "{}"
"""
HEAD = """
schema = "emtwin.sensors/2"
name = "levels"
[[entry]]
name = "level"
unit = "1"
mean = 0.0
std = 1.0
moves = {{ kind = "walk", rate = {} }}
"""


def sensor_model(*sensors: tuple, walk: float = 0.0, extra_tables: str = "") -> Model:
    """Sensors of (noise, step), and if need be (reports, rate, kind, valid, input's share)."""
    text = HEAD.format(walk) + extra_tables
    for number, options in enumerate(sensors):
        noise, step, reports, rate, kind, valid, share = (
            *options,
            *("periodic", 1.0, "measured", "", "")[len(options) - 2 :],
        )
        text += SENSOR.format(f"s{number}", kind, reports, rate, share, noise, step, valid)
    return read_table(text, "levels.toml").model()


RATIOS = (0.1, 0.5, 1.0, 2.0, 4.0)
MODEL = sensor_model(*((0.1, 0.1 * ratio) for ratio in RATIOS), (0.1, 0.0), (0.1, 0.2, "on-change"))
TRAITS = traits(MODEL)
FINE, CHANGE = len(RATIOS), len(RATIOS) + 1


def fed(values, sensor: int, runs: Runs | None = None, every: float = 1.0, of=TRAITS, begin: int = 0) -> ScalarReadings:
    values = np.asarray(values, dtype=float)
    times = START + begin + np.round(np.arange(len(values)) * every * 1e9).astype(np.int64)
    sensors = np.full(len(values), sensor)
    return preprocess(of, sensors, times, values, values, no_runs(len(of.variance)) if runs is None else runs)


# --- stuck sensors


def test_the_probability_of_a_repeat():
    """A reading stays in the step of its level, where that is likeliest: with the level in the middle. Wherever it lies, no repeat is likelier."""
    generator = np.random.default_rng(0)
    for sensor, ratio in enumerate(RATIOS):
        noise = generator.standard_normal((2, 400_000)) / ratio
        assert TRAITS.repeat[sensor] == pytest.approx(float((np.round(noise[0]) == 0).mean()), abs=0.004)
        for phase in (0.0, 0.2, 0.5):
            first, second = np.round(phase + noise)
            assert float((first == second).mean()) <= TRAITS.repeat[sensor] + 0.004
    assert TRAITS.repeat[FINE] == 1e-3  # printed with few digits
    assert TRAITS.repeat[CHANGE] == 1.0  # repeats say nothing
    assert TRAITS.coarse.tolist() == [False, False, False, False, True, False, False]
    np.testing.assert_allclose(TRAITS.variance, 0.01)
    np.testing.assert_allclose(TRAITS.rounding[:5], (0.1 * np.array(RATIOS)) ** 2 / 12)


def simulated_readings(sensor: int, count: int, seed: int, phase: float = 0.25) -> np.ndarray:
    """A steady level, ``phase`` of a step off a step, as a sensor reads it."""
    step = MODEL.evidence[sensor].quantisation
    values = phase * step + 0.1 * np.random.default_rng(seed).standard_normal(count)
    return np.round(values / step) * step if step else values


@pytest.mark.parametrize("sensor", [0, 1, 2, FINE, CHANGE])
def test_a_sound_sensor_is_not_called_stuck(sensor):
    """Twenty thousand readings of a level that does not move."""
    runs, stuck_count = no_runs(len(TRAITS.variance)), 0
    for part in np.split(simulated_readings(sensor, 20_000, sensor), 200):
        readings = fed(part, sensor, runs)
        runs, stuck_count = readings.runs, stuck_count + int(readings.stuck[sensor])
        assert not is_stuck(TRAITS, runs)[sensor]
    assert stuck_count == 0


def test_a_coarse_sensor_of_a_steady_level_is_not_called_stuck():
    model = sensor_model((0.1, 1.0))
    of = traits(model)
    readings = fed(np.round(0.1 * np.random.default_rng(0).standard_normal(2000)), 0, of=of)
    assert readings.stuck[0] == 0
    assert not is_stuck(of, readings.runs)[0]


@pytest.mark.parametrize(("sensor", "soon"), [(FINE, 4), (0, 9), (1, 16), (2, 24), (3, 56)])
def test_a_stuck_sensor_is_found_soon_and_its_readings_left_out(sensor, soon):
    values = simulated_readings(sensor, 100, 1)
    values[40:] = values[39]
    runs = fed(values[: 40 + soon], sensor).runs
    assert is_stuck(TRAITS, runs)[sensor]
    readings = fed(values, sensor)
    assert 60 - soon <= readings.stuck[sensor] <= 60
    assert readings.taken[sensor] == 100 - readings.stuck[sensor]
    assert not is_stuck(TRAITS, fed(values[:40], sensor).runs)[sensor]
    next_readings = fed([7.7], sensor, readings.runs)
    assert not is_stuck(TRAITS, next_readings.runs)[sensor]  # a new value, and it is trusted again
    assert next_readings.taken[sensor] == 1


def test_a_run_continues_across_bins():
    whole = fed([1.0] * 20, FINE)
    first = fed([1.0] * 7, FINE)
    second = fed([1.0] * 13, FINE, first.runs)
    assert second.runs.count[FINE] == whole.runs.count[FINE] == 19
    assert second.runs.last[FINE] == 1.0
    assert second.stuck[FINE] == 13
    assert np.isnan(whole.runs.last[0])


def test_the_first_repeats_of_a_run_count_less():
    readings = fed([0.3, 0.3, 0.3], FINE)
    assert len(readings.value) == 3
    assert readings.variance[2] > 5 * readings.variance[1] >= 5 * readings.variance[0]


# --- crowds


def test_a_few_readings_are_taken_one_by_one():
    assert MAX_SINGLE_READINGS == 3
    readings = fed([0.1, 0.5, 0.2], FINE, every=0.1)
    assert readings.value.tolist() == [0.1, 0.5, 0.2]
    np.testing.assert_allclose(readings.variance, 0.01)
    assert not readings.floor.any()


def test_many_readings_become_their_mean_with_its_variance():
    generator = np.random.default_rng(0)
    values = generator.standard_normal((1000, 25)) * 0.1
    means = []
    for crowd in values:
        readings = fed(crowd, FINE, every=0.01)
        assert readings.variance.tolist() == pytest.approx([0.01 / 25])
        assert readings.time[0] == START + 120_000_000
        means.append(readings.value[0])
    assert np.std(means) == pytest.approx(0.1 / 5, rel=0.1)
    assert np.mean(means) == pytest.approx(0.0, abs=0.003)


def test_outliers_are_left_out_of_the_mean():
    values = 0.1 * np.random.default_rng(0).standard_normal(21)
    clean = fed(values, FINE)
    spoilt = values.copy()
    spoilt[[3, 9, 15]] = [50.0, -40.0, 9.0]
    readings = fed(spoilt, FINE)
    assert readings.outliers[FINE] == 3
    assert readings.taken[FINE] == 18
    assert abs(readings.value[0] - clean.value[0]) < 0.05
    assert readings.variance[0] == pytest.approx(0.01 / 18)


def test_a_mean_over_a_random_walk_has_at_least_the_variance_of_the_walk():
    of = traits(sensor_model((0.1, 0.0), walk=0.3))
    assert of.diffusion.tolist() == pytest.approx([0.09])
    readings = fed(np.zeros(11) + 0.1 * np.arange(11), 0, every=0.1, of=of)
    assert readings.variance[0] - 0.01 / 11 >= WALKED


def test_a_mean_over_a_random_walk_has_no_more_than_the_variance_of_the_walk():
    readings = fed(np.zeros(11) + 0.1 * np.arange(11), 0, every=0.1, of=traits(sensor_model((0.1, 0.0), walk=0.3)))
    assert readings.variance[0] - 0.01 / 11 == pytest.approx(WALKED, rel=0.15)


def _walked() -> float:
    """Variance of the mean of a walk of 0.3/sqrt(s) over a second about where it is in the middle."""
    steps = 0.3 * np.sqrt(0.01) * np.random.default_rng(0).standard_normal((5000, 101))
    walks = np.cumsum(steps, axis=1)
    return float(np.var(walks.mean(axis=1) - walks[:, 50]))


WALKED = _walked()


def test_rounding_is_averaged_only_where_noise_dithers_it():
    fine = fed(simulated_readings(2, 16, 0), 2, every=0.01)
    assert fine.variance[0] == pytest.approx((0.01 + 0.01 / 12) / fine.taken[2])
    assert fine.floor.tolist() == [0.0]
    coarse = fed([0.4, 0.0] * 8, 4, every=0.01)
    assert coarse.variance[0] == pytest.approx(0.01 / 16 + 0.16 / 12)
    assert coarse.floor.tolist() == pytest.approx([0.16 / 12])


# --- repeats and order


def test_what_was_sent_twice_counts_once():
    values, times = np.array([1.0, 2.0, 2.0, 3.0, 2.0]), START + np.array([0, 5, 5, 5, 9]) * 10**6
    readings = preprocess(TRAITS, np.full(5, FINE), times, values, values, no_runs(len(TRAITS.variance)))
    assert readings.repeated[FINE] == 1
    assert readings.taken[FINE] == 4


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_readings_makes_no_difference(seed):
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 60))
    sensor = generator.integers(0, len(TRAITS.variance), count)
    times = START + generator.integers(0, 40, count) * 10**7
    values = np.round(generator.standard_normal(count), 1)
    order = generator.permutation(count)
    same(
        *(preprocess(TRAITS, sensor[o], times[o], values[o], values[o], no_runs(7)) for o in (np.arange(count), order))
    )


def same(first: ScalarReadings, second: ScalarReadings) -> None:
    for name in ("sensor", "time", "taken", "stuck", "outliers", "repeated"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    for name in ("value", "variance", "floor"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), rtol=1e-12, atol=1e-12, err_msg=name)
    np.testing.assert_array_equal(first.runs.last, second.runs.last)
    np.testing.assert_array_equal(first.runs.count, second.runs.count)


# --- time bins

DRIVEN = sensor_model(
    (0.1, 0.1),
    (0.1, 0.0, "periodic", 200.0),
    (0.1, 0.0, "periodic", 2.0, "measured", "beam"),
    (0.1, 0.0, "periodic", 2.0, "measured", "", ', "input:lens" = 0.5'),
    (0.1, 0.0, "periodic", 1.0, "last-measured"),
    (0.1, 0.1, "on-change"),
    extra_tables="""
[[input]]
name = "lens"
kind = "commanded"
of = "echo"
[[sensor]]
channel = "echo"
unit = "1"
kind = "echo"
[[sensor]]
channel = "beam"
unit = "1"
kind = "echo"
""",
)
SPAN, SPANS = SECOND // 2, 4


class Fed:
    """Time bins that are filled as `Ingest` fills them."""

    def __init__(self):
        self.inputs = Inputs(DRIVEN.inputs)
        self.bins = TimeBins(DRIVEN, traits(DRIVEN), START, SPAN, self.inputs)

    def take(self, sensors, times, values) -> None:
        plain = []
        for sensor, time, value in zip(sensors, times, values, strict=True):
            if sensor == 6:  # an echo
                since = self.inputs.tell("echo", int(time), float(value))
                if since is not None:
                    self.bins.change(since)
            elif sensor == 7:
                self.bins.add_dependency("beam", np.array([time]), np.array([float(value > 0)]))
            elif sensor == 4:
                self.bins.add_dependency("s4", np.array([time]), np.array([value]))
            else:
                plain.append((sensor, time, value))
        if plain:
            where, times_, values_ = zip(*plain, strict=True)
            self.bins.add(np.array(where), np.array(times_), np.array(values_, dtype=float))

    def preprocessed(self, until: int | None = None) -> list[ScalarReadings]:
        runs, readings = no_runs(len(DRIVEN.evidence)), []
        for span in range(SPANS):
            end = START + (span + 1) * SPAN
            reading = self.bins.preprocess(span, end if until is None else min(end, until), runs)
            runs = reading.runs
            readings.append(reading)
        return readings


def test_fast_sensors_have_several_bins_a_span():
    assert Fed().bins.per_span == 4


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.sampled_from(["all", "some", "none"]), min_size=1, max_size=6))
def test_batches_give_the_same_as_all_at_once(seed, looks):
    """Batches in any order, preprocessed in between, compared with all readings at once."""
    generator = np.random.default_rng(seed)
    count = int(generator.integers(5, 150))
    sensors = generator.integers(0, 8, count)
    times = START + generator.integers(0, SPANS * SPAN // 10**7, count) * 10**7
    values = np.round(
        generator.choice([0.0, 0.1, 0.3, 5.0], count) + (generator.random(count) < 0.5) * generator.random(count), 2
    )
    piecemeal, whole = Fed(), Fed()
    for bins in (piecemeal, whole):  # inputs before the first report: see below
        bins.take([6, 7, 4], [START - 1] * 3, [2.0, 1.0, -0.7])
    whole.take(sensors, times, values)
    for part, look in zip(np.array_split(generator.permutation(count), len(looks)), looks, strict=True):
        piecemeal.take(sensors[part], times[part], values[part])
        if look == "all":
            piecemeal.preprocessed()
        elif look == "some":
            piecemeal.preprocessed(START + int(generator.integers(0, SPANS * SPAN)))
    for first, second in zip(piecemeal.preprocessed(), whole.preprocessed(), strict=True):
        same(first, second)


@pytest.mark.parametrize("known", [[], [(1.2, 4.0)]])
def test_the_first_input_also_holds_before_it(known):
    cells = Fed()
    cells.take([6 for _ in known], [START + round(at * SECOND) for at, _ in known], [value for _, value in known])
    cells.take([3], [START + 10], [5.0])
    assert cells.preprocessed()[0].value.tolist() == [5.0 - 0.5 * value for _, value in known]
    cells.take([6], [START + SECOND], [8.0])
    assert cells.preprocessed()[0].value.tolist() == [1.0]


def test_spans_with_readings_and_those_settled():
    cells = Fed()
    cells.take([0, 0, 4], START + np.array([0, 3, 5]) * SPAN // 2, [1.0, 2.0, 3.0])
    assert cells.bins.spans(0, 9) == {0, 1, 2}
    cells.bins.settle(0)
    assert cells.bins.spans(0, 9) == {1, 2}


def test_readings_depend_on_inputs_and_validity():
    cells = Fed()
    cells.take([3, 2], [START + 10, START + 20], [5.0, 1.0])
    assert cells.preprocessed()[0].sensor.tolist() == []  # no report of the lens or the beam
    cells.take([6, 7], [START, START], [4.0, 1.0])
    readings = cells.preprocessed()[0]
    assert readings.sensor.tolist() == [3, 2]
    assert readings.value.tolist() == [5.0 - 0.5 * 4.0, 1.0]
    cells.take([7], [START + 15], [0.0])
    assert cells.preprocessed()[0].sensor.tolist() == [3]
