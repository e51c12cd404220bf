"""Clocks of sources: calibrated estimates from stamps and arrivals, in any order, also after a reset of the clock."""

import numpy as np
import pytest

from reconstruct.stream.readings.clocks import EPOCH_CLOSING_DELAY, SourceClock
from twin.sensors.model import Clock

CLOCK = Clock(offset_std=1.0, rate_std=1e-4, latency=0.05, latency_std=0.02)
TAILS = {
    "none": lambda generator, count: np.zeros(count),
    "exponential": lambda generator, count: generator.exponential(0.1, count),
    "uniform": lambda generator, count: generator.uniform(0.0, 0.5, count),
    "gamma": lambda generator, count: np.minimum(generator.gamma(2.0, 0.1, count), 1.9),
    "heavy": lambda generator, count: np.minimum(generator.lognormal(-3.0, 1.0, count), 1.9),
}


def stamps_and_arrivals(
    seed: int, tail: str = "exponential", length: float = 120.0, latency: float | None = None, rate: float = 5.0
):
    """A source drawn from the prior: offset, rate, and (stamps, arrivals) in order of arrival."""
    generator = np.random.default_rng(seed)
    offset, drift = CLOCK.offset_std * generator.standard_normal(), CLOCK.rate_std * generator.standard_normal()
    least = max(CLOCK.latency + CLOCK.latency_std * generator.standard_normal(), 0.0) if latency is None else latency
    taken = np.arange(0.05, length, 1.0 / rate)
    arrivals = taken + least + TAILS[tail](generator, len(taken))
    order = np.argsort(arrivals)
    return offset, drift, (taken + offset + drift * taken)[order], arrivals[order]


def listened(stamps, arrivals, clock: SourceClock | None = None) -> SourceClock:
    source_clock = SourceClock(CLOCK) if clock is None else clock
    for stamp, arrival in zip(stamps, arrivals, strict=True):
        source_clock.add(float(arrival), np.array([stamp]))
    return source_clock


@pytest.mark.parametrize("tail", list(TAILS))
def test_offset_and_rate_are_found(tail):
    offset, drift, stamps, arrivals = stamps_and_arrivals(3, tail, length=1500.0)
    clock = listened(stamps, arrivals)
    estimate, std = clock.offset(1500.0)
    assert abs(estimate - offset - drift * 1500.0) < 3 * std
    assert std < 1.2 * CLOCK.latency_std  # which no number of readings averages away
    estimate, std = clock.rate
    assert abs(estimate - drift) < 3 * std
    assert std < 0.1 * CLOCK.rate_std
    aligned = clock.aligned(stamps[-50:], arrivals[-1])
    np.testing.assert_allclose(aligned, (stamps[-50:] - offset) / (1 + drift), atol=0.08)


def errors(tail: str, latency: float | None = None, seeds: int = 200) -> np.ndarray:
    normalised_errors = []
    for seed in range(seeds):
        offset, drift, stamps, arrivals = stamps_and_arrivals(seed, tail, length=60.0, latency=latency, rate=4.0)
        value, std = listened(stamps, arrivals).offset(60.0)
        normalised_errors.append((value - offset - drift * 60.0) / std)
    return np.array(normalised_errors)


@pytest.mark.parametrize("tail", ["exponential", "uniform", "heavy"])
def test_intervals_hold_the_offset_as_often_as_they_say(tail):
    error = np.abs(errors(tail))
    assert 0.85 < (error < 1.645).mean() < 0.98
    assert error.max() < 4.0


def test_a_latency_other_than_assumed_makes_them_fail():
    assert (np.abs(errors("exponential", latency=0.15, seeds=50)) < 1.645).mean() < 0.3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_order_of_arrival_makes_no_difference_within_the_closing_delay(seed):
    *_, stamps, arrivals = stamps_and_arrivals(seed, "heavy")
    generator = np.random.default_rng(seed)
    order = np.argsort(arrivals + generator.uniform(0.0, 0.999 * EPOCH_CLOSING_DELAY, len(arrivals)))
    clock_a, clock_b = SourceClock(CLOCK), SourceClock(CLOCK)
    aligned = np.zeros((2, len(stamps)))
    for clock, sequence, row in ((clock_a, np.arange(len(stamps)), 0), (clock_b, order, 1)):
        for index in sequence:
            clock.add(float(arrivals[index]), stamps[index : index + 1])
            aligned[row, index] = clock.aligned(stamps[index : index + 1], float(arrivals[index]))[0]
    assert (order != np.arange(len(order))).mean() > 0.5
    np.testing.assert_array_equal(aligned[0], aligned[1])
    for clock in (clock_a, clock_b):
        clock.add(200.0, np.array([200.0]))
    assert clock_a.offset(200.0) == clock_b.offset(200.0)
    assert clock_a.rate == clock_b.rate
    # not so for what comes later than that: its epoch is closed
    last = listened(stamps, arrivals)
    before = last.to_state()
    last.add(1.0, np.array([-5.0]))
    assert last.to_state() == before


def stepped(size: float):
    """A clock that is reset at 93 s: its state, and the errors of aligned times as a function of time."""
    generator = np.random.default_rng(0)
    taken = np.arange(0.05, 300.0, 0.2)
    stamps = taken + 0.3 + np.where(taken > 93.0, size, 0.0)
    arrivals = taken + 0.05 + generator.exponential(0.1, len(taken))
    clock, error = SourceClock(CLOCK), np.zeros(len(taken))
    for index in np.argsort(arrivals):
        clock.add(float(arrivals[index]), stamps[index : index + 1])
        error[index] = clock.aligned(stamps[index : index + 1], float(arrivals[index]))[0] - taken[index]
    return clock, taken, error


@pytest.mark.parametrize("size", [-50.0, 50.0, -7200.0, 3600.0])
def test_a_clock_set_anew_is_noticed_and_found_again(size):
    clock, taken, error = stepped(size)
    assert clock.jumps == 1
    assert np.abs(error[(taken > 20) & (taken < 93)]).max() < 0.1
    assert np.abs(error[taken > 93 + 25]).max() < 0.1
    estimate, std = clock.offset(300.0)
    assert abs(estimate - 0.3 - size) < 3 * std
    assert abs(clock.rate[0]) < 3 * clock.rate[1]


@pytest.mark.parametrize("size", [-5.0, 5.0, 20.0])
def test_a_clock_corrected_by_seconds_is_found_again(size):
    clock, taken, error = stepped(size)
    assert np.abs(error[taken > 93 + 60]).max() < 0.2
    assert abs(clock.rate[0]) < 5 * clock.rate[1]


def test_a_clock_that_drifts_within_its_rate_makes_no_jump():
    for seed in range(20):
        *_, stamps, arrivals = stamps_and_arrivals(seed, "heavy")
        assert listened(stamps, arrivals).jumps == 0


@pytest.mark.parametrize("cut", [1, 40, 400])
def test_saved_and_restored_it_goes_on_as_before(cut):
    *_, stamps, arrivals = stamps_and_arrivals(5)
    whole = listened(stamps, arrivals)
    first = listened(stamps[:cut], arrivals[:cut])
    restored = SourceClock(CLOCK)
    restored.from_state(first.to_state())
    assert restored.to_state() == first.to_state()
    listened(stamps[cut:], arrivals[cut:], restored)
    assert restored.to_state() == whole.to_state()
    np.testing.assert_array_equal(restored.aligned(stamps, arrivals[-1]), whole.aligned(stamps, arrivals[-1]))


def test_before_any_reading_the_clock_offset_is_its_prior():
    clock = SourceClock(CLOCK)
    assert clock.offset(1000.0) == (0.0, CLOCK.offset_std)
    assert clock.rate == (0.0, CLOCK.rate_std)
    np.testing.assert_array_equal(clock.aligned(np.array([3.0]), 3.1), [3.0])
