"""The local estimate of a channel without a model: intervals at gaps cover what they say, and the error grows with the gap."""

import numpy as np
import pytest
from scipy.signal import lfilter

from reconstruct.validation.sensors.local_level import LocalLevel, fit_local_level

Z90 = 1.6449


def _walk(seed: int, walk: float, noise: float, count: int = 120, step: float = 0.0) -> tuple[np.ndarray, ...]:
    """Readings of a random walk at random times with gaps, and the truth at four times that are not read."""
    rng = np.random.default_rng(seed)
    spacing = rng.exponential(2.0, count)
    spacing[rng.integers(count, size=4)] += rng.uniform(20.0, 200.0, 4)
    read = np.cumsum(spacing)
    longest = np.argsort(spacing)[-3:]
    asked = np.append(read[longest] - spacing[longest] * rng.uniform(0.2, 0.8, 3), read[-1] + rng.uniform(1.0, 100.0))
    every = np.concatenate([read, asked])
    order = np.argsort(every)
    steps = np.diff(every[order], prepend=every[order[0]])
    level = np.empty(len(every))
    level[order] = 300.0 + np.cumsum(rng.normal(0.0, np.sqrt(walk * steps)))
    values = level[:count] + rng.normal(0.0, np.sqrt(noise), count)
    values = np.round(values / step) * step if step else values
    return read, values, asked, level[count:]


def _covered(walk: float, noise: float, cases: int, step: float = 0.0, count: int = 120) -> tuple[float, float]:
    """Shares of truths at gaps within the 90 % interval, as it is and with the variance times 0.6; the priors are off by ten in rate and noise."""
    away = []
    for seed in range(cases):
        read, values, asked, truth = _walk(seed, walk, noise, count, step)
        mean, std = fit_local_level(read, values, 10.0 * walk, 0.1 * noise).at(asked)
        away += (np.abs(truth - mean) / std).tolist()
    return float(np.mean(np.array(away) <= Z90)), float(np.mean(np.array(away) <= Z90 * np.sqrt(0.6)))


@pytest.mark.parametrize(
    ("walk", "noise", "step", "most", "sharp"),
    # of 1,000 gaps the share scatters by about 0.011; where noise hides the walk its rate is not well known, and intervals are the wider
    [(0.01, 1e-4, 0.0, 0.94, True), (1e-3, 0.04, 0.0, 0.96, False), (0.01, 1e-4, 0.5, 0.94, True)],
)
@pytest.mark.slow
def test_intervals_at_gaps_cover_what_they_say(
    walk: float, noise: float, step: float, most: float, sharp: bool
) -> None:
    covered, control = _covered(walk, noise, 250, step)
    assert 0.86 <= covered <= most
    assert control < (0.86 if sharp else covered)


def _moving(kind: str, rng: np.random.Generator, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Times in steps of 0.25 s, and what moves there: a relaxing quantity, one whose rate walks, or ramps between set points."""
    times = np.arange(0.0, length, 0.25)
    steps = rng.normal(size=len(times))
    if kind == "relaxes":
        keep = np.exp(-0.25 / 60.0)
        return times, np.asarray(lfilter([np.sqrt(1.0 - keep**2)], [1.0, -keep], steps))
    if kind == "rate walks":
        return times, 0.25 * np.cumsum(np.cumsum(0.005 * steps))
    return times, np.interp(times, np.sort(rng.uniform(0.0, length, 6)), rng.uniform(0.0, 100.0, 6))


@pytest.mark.parametrize("kind", ["relaxes", "rate walks", "ramps"])
def test_gaps_of_quantities_that_are_no_walks(kind: str) -> None:
    inside = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        spacing = rng.exponential(2.0, 200)
        spacing[rng.integers(1, 200, size=4)] += rng.uniform(20.0, 200.0, 4)
        read = np.cumsum(spacing)
        longest = np.argsort(spacing)[-3:]
        asked = read[longest] - spacing[longest] * rng.uniform(0.2, 0.8, 3)
        times, level = _moving(kind, rng, read[-1] + 1.0)
        values = 300.0 + np.interp(read, times, level) + rng.normal(0.0, 0.03, len(read))
        mean, std = fit_local_level(read, values, 1e-4, 2.5e-3).at(asked)
        inside += (np.abs(300.0 + np.interp(asked, times, level) - mean) <= Z90 * std).tolist()
    assert np.mean(inside) >= 0.87  # never too narrow: what is not known to be smooth is not taken as smooth


@pytest.mark.slow
def test_few_readings_are_no_overconfidence() -> None:
    assert _covered(0.01, 1e-3, 300, count=8)[0] >= 0.87


def test_the_error_grows_with_the_gap() -> None:
    level = LocalLevel(
        np.array([0.0, 100.0]), np.array([1.0, 3.0]), np.array([0.0, 4.0]), np.zeros(1), np.array([0.04]), 1e-12, 0
    )
    mean, std = level.at(np.array([0.0, 25.0, 50.0, 200.0, -25.0]))
    assert mean == pytest.approx([1.0, 1.5, 2.0, 3.0, 1.0], abs=1e-6)
    # a bridge between two exact readings, and a walk beyond them
    expected = np.sqrt(0.04 * np.array([1e-12, 25 * 75 / 100, 25.0, 100.0, 25.0]))
    assert std == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_fit_finds_walk_and_noise() -> None:
    read, values, *_ = _walk(3, 0.01, 0.04, count=9000)
    level = fit_local_level(read, values, 1.0, 1.0)
    assert level.walk == pytest.approx(0.01, rel=0.3)
    assert level.noise == pytest.approx(0.04, rel=0.15)


def test_a_single_outlier_is_left_out_and_a_step_is_not() -> None:
    rng = np.random.default_rng(5)
    seconds = np.arange(100.0)
    values = 300.0 + 0.01 * rng.normal(size=100)
    values[40] += 50.0
    values[70:] += 5.0
    level = fit_local_level(seconds, values, 1e-4, 1e-4)
    assert level.outliers == 1
    mean, std = level.at(np.array([40.0, 20.0, 90.0]))
    assert np.abs(mean - [300.0, 300.0, 305.0]).max() < 0.1
    assert (np.abs(mean - [300.0, 300.0, 305.0]) < 3 * std).all()


def test_a_quantity_that_rests_between_steps() -> None:
    rng = np.random.default_rng(1)
    places = np.repeat(rng.uniform(-5e5, 5e5, 12), 100)
    seconds = 2.0 * np.arange(len(places))
    level = fit_local_level(seconds, places + rng.normal(0.0, 10.0, len(places)), 400.0, 100.0)
    mean, std = level.at(np.array([121.0, 199.0, 1500.0, seconds[-1] + 600.0]))
    assert np.abs(mean[[0, 2]] - places[[60, 750]]).max() < 20.0
    assert std[[0, 2]].max() < 15.0
    assert std[1] > 0.1 * abs(places[100] - places[99])  # within the jump itself
    assert std[3] > 1e5  # who knows where it went


def test_one_reading_has_the_error_that_is_assumed() -> None:
    level = fit_local_level(np.array([10.0]), np.array([5.0]), 1e-4, 1e-2)
    mean, std = level.at(np.array([10.0, 1010.0]))
    assert mean.tolist() == [5.0, 5.0]
    assert std[0] == pytest.approx(0.1)
    assert std[1] >= np.sqrt(1e-4 * 1000.0)


def test_noise_of_a_log_with_a_jump_and_a_ramp():
    """A jump beside a ramp of a seventh of the log: readings scatter by 1, and the walk is not taken to follow them."""
    seconds = np.arange(0.0, 3600.0, 2.0)
    ramp = np.interp(seconds, [2000.0, 2500.0], [0.0, 1000.0])
    values = np.where(seconds < 1200.0, 1e5, 0.0) + ramp + np.random.default_rng(3).standard_normal(len(seconds))
    level = fit_local_level(seconds, values, 1e-4, 1.0)
    assert 0.5 < level.noise < 2.0
