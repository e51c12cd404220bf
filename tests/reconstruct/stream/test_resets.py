"""Detection of reset zeros, as distinct from commands and drift, for echoes with jitter and any frequency of calls."""

import numpy as np
import pytest

from reconstruct.stream.resets import ECHO_WINDOW, Event, Resets
from tests.reconstruct.stream.instruments import SECOND, START, toy
from twin.dynamics.inputs import Inputs

MODEL = toy()


def echoes(shown, actual, looks=(100.0,)) -> list[Event]:
    """Resets found in (time in s, value) pairs of the console's display and of the lens, looked for when settled up to each of ``looks``."""
    inputs, resets = Inputs(MODEL.inputs), Resets(MODEL, START)
    for channel, pairs in (("focus.commanded", shown), ("lens.echo", actual)):
        for time, value in [(0.1, 0.0), *pairs]:
            inputs.tell(channel, START + round(time * SECOND), value)
    return [event for until in looks for event in resets.detect(inputs, START + round(until * SECOND))]


def test_a_command_moves_both_and_is_no_reset():
    assert echoes([(10.0, 50.0)], [(10.0, 50.0)]) == []


def test_a_reset_moves_only_what_is_shown():
    (event,) = echoes([(10.0, 50.0), (40.0, 0.0)], [(10.0, 50.0)])
    assert event == Event("zero_reset", "focus", START + 40 * SECOND, -50.0)


def test_drift_moves_neither_and_the_lens_alone_is_no_reset():
    assert echoes([], []) == []
    assert echoes([], [(10.0, 50.0)]) == []


def test_a_reset_with_a_command():
    (event,) = echoes([(10.0, 50.0), (40.0, 20.0)], [(10.0, 50.0), (40.0, 70.0)])
    assert (event.size, event.note) == (-50.0, "with a command")


@pytest.mark.parametrize("late", [-0.65, -0.2, 0.3, 0.65])
def test_echoes_of_one_command_may_come_apart(late):
    assert echoes([(10.0, 50.0)], [(10.0 + late, 50.0)]) == []
    assert echoes([(10.0, 20.0), (10.3, 50.0)], [(10.0 + late, 50.0)]) == []


def test_further_apart_they_are_two_things():
    (event,) = echoes([(10.0, 50.0)], [(10.8, 50.0)])
    assert event.size == 50.0


def test_within_the_tolerance_it_is_rounding():
    assert echoes([(10.0, 50.0)], [(10.0, 50.9)]) == []
    assert len(echoes([(10.0, 50.0)], [(10.0, 51.1)])) == 1


@pytest.mark.parametrize("gone", [0.5, 3.0, 20.0])
def test_echoes_that_fall_silent_make_no_reset(gone):
    """Both are silent over a command and come back with what it made of them, an echo's period apart."""
    times = np.arange(0.2, 60.0, 0.2)
    value = np.where(times < 30.0, 0.0, 80.0)
    heard = (times < 30.0 - gone / 2) | (times > 30.0 + gone / 2)
    shown, actual = times[heard], times[heard & (np.arange(len(times)) % 3 != 0)]
    pairs = [
        [(t, float(v)) for t, v in zip(echo_times, np.interp(echo_times, times, value), strict=True)]
        for echo_times in (shown, actual)
    ]
    assert np.isin(value, [0.0, 80.0]).all()
    assert echoes(*pairs) == []


def test_looked_at_often_or_once_is_the_same():
    generator = np.random.default_rng(0)
    for _ in range(20):
        times = np.cumsum(generator.uniform(2.0, 6.0, 12))
        reset = generator.random(12) < 0.4
        shown, actual, pairs = 0.0, 0.0, ([], [])
        sizes = {}
        for time, zero in zip(times, reset, strict=True):
            if zero:
                sizes[round(START + time * 1e9)] = -shown
                shown = 0.0
            else:
                step = generator.uniform(20, 90)
                shown, actual = shown + step, actual + step
            pairs[0].append((time, shown))
            pairs[1].append((time + generator.uniform(-0.6, 0.6), actual))
        once = echoes(*pairs)
        assert echoes(*pairs, looks=np.arange(0.5, 100.5, 0.5)) == once
        assert [event.size for event in once] == pytest.approx([size for size in sizes.values() if abs(size) > 1.0])


def test_a_command_shown_in_two_steps_is_no_reset_wherever_one_looks():
    shown, actual = [(10.0, 20.0), (10.4, 50.0)], [(10.0, 50.0)]
    assert echoes(shown, actual) == []
    for look in np.arange(10.0, 12.0, 0.1):
        assert echoes(shown, actual, looks=(look, look + 5.0)) == []


@pytest.mark.parametrize(("every", "late"), [(0.5, 0.1), (0.9, 0.3), (1.2, 0.6)])
def test_focusing_through_in_quick_steps_is_no_reset(every, late):
    times = 10.0 + every * np.arange(15)
    assert ECHO_WINDOW == 700_000_000
    pairs = [(float(time), 30.0 * (number + 1)) for number, time in enumerate(times)]
    assert echoes(pairs, [(time + late, value) for time, value in pairs]) == []
