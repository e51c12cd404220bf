"""Bad readings and observations: named, counted, and without effect on the belief."""

import numpy as np
import pytest

from reconstruct.inference.belief import Belief
from reconstruct.stream.observation import Observation
from reconstruct.stream.stream import Stream
from tests.reconstruct.stream.instruments import SECOND, START, batch, drawn, heard, toy
from twin.records import Readings

MODEL = toy()
SECONDS = np.arange(0.1, 30.0, 0.2)
STATES = drawn(MODEL, SECONDS, 11)
GOOD = heard(MODEL, SECONDS, STATES, 11)


def followed(batches, every: float = 0.5, until: float = 30.0, **options) -> Stream:
    """Readings handed over every half second, with arrival times."""
    stream = Stream(MODEL, START, **options)
    for number in range(round(until / every)):
        end = (number + 1) * every
        in_step = []
        for sensor_readings in batches:
            taken = (sensor_readings.times - START) * 1e-9
            inside = (taken >= end - every) & (taken < end)
            if inside.any():
                in_step.append(
                    Readings(sensor_readings.channel, 0, sensor_readings.times[inside], sensor_readings.values[inside])
                )
        stream.push(in_step, START + round((end + 0.02) * 1e9))
    return stream


def same(first: Stream, second: Stream, at: float = 30.0):
    first_belief, other_belief = first.belief(START + round(at * 1e9)), second.belief(START + round(at * 1e9))
    np.testing.assert_allclose(first_belief.means, other_belief.means, rtol=1e-12)
    np.testing.assert_allclose(first_belief.cov_sqrt, other_belief.cov_sqrt, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted_and_change_nothing(value):
    bad = batch("encoder", np.arange(0.15, 30.0, 1.0), np.full(30, value))
    stream = followed([*GOOD, bad])
    same(stream, followed(GOOD))
    assert stream.health["encoder"].not_a_number == 30


def test_unknown_channels_are_reported():
    stream = followed([*GOOD, batch("no.such.channel", [1.0, 2.0], [1.0, np.nan])])
    same(stream, followed(GOOD))
    assert stream.verdicts()["no.such.channel"] == "no evidence"
    assert stream.health["no.such.channel"].ignored == 2


def test_times_and_values_that_do_not_belong_together_are_left_out():
    stream = Stream(MODEL, START)
    stream.push([Readings("encoder", 0, np.array([START], dtype=np.int64), np.zeros(3))])
    stream.push([Readings("encoder", 0, np.array([1.5, 2.5]), np.zeros(2))])
    assert stream.health["encoder"].ignored == 5
    assert stream.health["encoder"].used == 0


def test_readings_older_than_the_lag_are_counted():
    stream = followed(GOOD)
    stream.push([batch("encoder", [3.0], [1e6])], START + 30 * SECOND)
    assert stream.health["encoder"].late == 1
    same(stream, followed(GOOD))


def test_a_clock_that_jumps_by_hours_is_found_and_its_readings_count_again():
    """From 10 s on the clock of the encoder's source is three hours ahead."""
    moved = []
    for sensor_readings in GOOD:
        jumped = (sensor_readings.channel in ("encoder", "pole.temperature")) & (
            sensor_readings.times > START + 10 * SECOND
        )
        moved.append(
            Readings(
                sensor_readings.channel, 0, sensor_readings.times + jumped * 3 * 3600 * SECOND, sensor_readings.values
            )
        )
    stream = Stream(MODEL, START)
    for number in range(60):
        end = (number + 1) * 0.5
        in_step = []
        for sensor_readings, true in zip(moved, GOOD, strict=True):
            taken = (true.times - START) * 1e-9
            inside = (taken >= end - 0.5) & (taken < end)
            if inside.any():
                in_step.append(
                    Readings(sensor_readings.channel, 0, sensor_readings.times[inside], sensor_readings.values[inside])
                )
        stream.push(in_step, START + round((end + 0.02) * 1e9))
    health = stream.health["encoder"]
    assert health.future > 0
    assert stream.clock("room").jumps == 1
    assert stream.clock("room").offset(30.0)[0] == pytest.approx(3 * 3600, abs=0.2)
    stream.settle(START + 30 * SECOND)
    index = MODEL.layout.index("x")
    belief = stream.belief(START + 30 * SECOND)
    assert abs(belief.mean[index] - STATES[-1, index]) < 4 * belief.std[index]
    assert health.used + health.outlier + health.future + health.late == len(SECONDS)


def test_a_log_without_arrivals_is_not_led_astray_by_one_clock():
    ahead = batch("encoder", [5 * 3600.0], [0.0])
    stream = Stream(MODEL, START)
    stream.push(GOOD)
    now = stream.now
    stream.push([ahead])
    assert stream.now == now
    assert stream.health["encoder"].future == 1


@pytest.mark.parametrize(
    ("value", "noise", "factor"),
    [
        ([np.nan, 0.0], [1.0, 1.0], None),
        ([0.0, 0.0], [1.0, np.inf], None),
        ([0.0, 0.0], [1.0, 0.0], None),
        ([0.0, 0.0], [0.0, 0.0], [[1.0], [1.0]]),
    ],
)
def test_observations_without_a_covariance_are_refused_and_counted(value, noise, factor):
    stream = followed(GOOD)
    factor = None if factor is None else np.array(factor)
    image = Observation("image", START + 29 * SECOND, ("place", "C10"), np.array(value), np.array(noise), factor)
    assert not stream.observe(image)
    assert stream.health["image"].not_a_number == 1
    same(stream, followed(GOOD))


def test_an_unknown_quantity_is_refused():
    stream = Stream(MODEL, START)
    with pytest.raises(ValueError, match="no entry 'focus'"):
        stream.observe(Observation("image", START + SECOND, ("focus",), np.zeros(1), np.ones(1)))
    stream.belief(START + 2 * SECOND)


def test_invalid_priors_and_settings_are_refused():
    n = len(MODEL.layout)
    with pytest.raises(ValueError, match="finite"):
        Belief(MODEL.layout, START, np.ones(1), np.zeros((1, n)), np.full((1, n, n), np.nan))
    short_belief = Belief(MODEL.layout, START, np.ones(2) / 2, np.zeros((2, n)), np.stack([np.eye(n)] * 2))
    with pytest.raises(ValueError, match="one component"):
        Stream(MODEL, START, prior=short_belief)
    with pytest.raises(ValueError, match="probability below one"):
        Stream(MODEL, START, outliers=1.0)


def test_a_wrong_first_reading_is_overruled_by_later_ones():
    """With a wide prior the first reading is accepted; later readings contradict it and reset the belief."""
    spoilt = [
        Readings(
            sensor_readings.channel,
            0,
            sensor_readings.times,
            np.concatenate([[sensor_readings.values[0] + 6.0], sensor_readings.values[1:]]),
        )
        if sensor_readings.channel == "coil.temperature"
        else sensor_readings
        for sensor_readings in GOOD
    ]
    stream = followed(spoilt)
    stream.settle(START + 30 * SECOND)
    index = MODEL.layout.index("T.bias")
    belief = stream.belief(START + 30 * SECOND)
    whole = MODEL.rows[0]
    assert abs(whole @ (belief.mean - STATES[-1])) < 5 * np.sqrt(whole @ belief.covariance @ whole)
    assert abs(belief.mean[index] - STATES[-1, index]) < 4 * belief.std[index]


@pytest.mark.parametrize("away", [300.0, -1e4, 1e12])
def test_an_absurd_first_reading_is_refused(away):
    """A first reading far outside the prior is an outlier."""
    bad = batch("encoder", [0.05], [away])
    stream, plain = Stream(MODEL, START), Stream(MODEL, START)
    stream.push([bad])
    until = START + SECOND
    belief, plain_belief = stream.belief(until), plain.belief(until)
    np.testing.assert_allclose(belief.mean, plain_belief.mean, atol=1e-9)
    np.testing.assert_allclose(belief.std, plain_belief.std, rtol=1e-9)
    stream.settle(START + 10 * SECOND)
    assert stream.health["encoder"].outlier == 1


def test_readings_of_a_stuck_sensor_are_withdrawn():
    values = {sensor_readings.channel: sensor_readings.values.copy() for sensor_readings in GOOD}
    values["encoder"][80:] = values["encoder"][80]
    stuck = [
        Readings(sensor_readings.channel, 0, sensor_readings.times, values[sensor_readings.channel])
        for sensor_readings in GOOD
    ]
    until = [
        Readings(sensor_readings.channel, 0, sensor_readings.times[:81], sensor_readings.values[:81])
        if sensor_readings.channel == "encoder"
        else sensor_readings
        for sensor_readings in GOOD
    ]
    stream = followed(stuck)
    stuck_belief, short_belief = (
        followed_stream.belief(START + 30 * SECOND) for followed_stream in (stream, followed(until))
    )
    # except for the information of its times on the shared clock
    assert (np.abs(stuck_belief.mean - short_belief.mean) / short_belief.std).max() < 0.05
    np.testing.assert_allclose(stuck_belief.std, short_belief.std, rtol=0.03)
    stream.settle(START + 30 * SECOND)
    assert stream.verdicts()["encoder"] == "stuck"
    assert [event.name for event in stream.events if event.kind == "stuck_sensor"] == ["encoder"]


def test_an_uncommanded_jump_is_detected_by_an_image():
    stream = followed(GOOD)
    before = stream.belief(START + 29 * SECOND).mean[MODEL.layout.index("x")]
    image = Observation("image", START + 29 * SECOND, ("place",), np.array([before + 400.0]), np.array([0.5]))
    assert stream.observe(image)
    after = stream.belief(START + 29 * SECOND)
    index = MODEL.layout.index("x")
    assert after.mean[index] == pytest.approx(before + 400.0, abs=1.0)
    stream.settle(START + 30 * SECOND)
    assert [event.kind for event in stream.events] == ["uncommanded_jump"]


def test_the_part_that_does_not_fit_is_named():
    wild = np.random.default_rng(0)
    noisy = [
        Readings(
            sensor_readings.channel,
            0,
            sensor_readings.times,
            sensor_readings.values + 0.5 * wild.standard_normal(len(sensor_readings.values)),
        )
        if sensor_readings.channel == "high.tension"
        else sensor_readings
        for sensor_readings in GOOD
    ]
    for batches, named in ((GOOD, None), (noisy, "gun")):
        stream = followed(batches)
        stream.settle(START + 30 * SECOND)
        distrust = stream.monitors.distrust
        assert (None if distrust is None else distrust.part) == named
