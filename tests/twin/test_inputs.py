"""Inputs from commanded values in any order of arrival: the same at any time; hysteresis and creep."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.dynamics.inputs import Input, Inputs

SECOND = 10**9
SPECS = (
    Input("lens", "commanded", "echo", scale=2.0, offset=1.0),
    Input("stage", "commanded", "stage.echo"),
    Input("heater", "commanded", "heater.echo", offset=-300.0, least=0.0),
    Input("normalised", "commanded", "control:normalise"),
    Input("play", "play", "lens", width=10.0, reset="normalised"),
    Input("wide", "play", "lens", width=40.0),
    Input("creep", "creep", "stage", time=2.5),
)


def inputs_of(pairs, of: str = "echo", inputs: Inputs | None = None) -> Inputs:
    filled = Inputs(SPECS) if inputs is None else inputs
    for time, value in pairs:
        filled.tell(of, round(time * SECOND), value)
    return filled


def path(values, name: str = "wide", interval: float = 1.0) -> list[float]:
    """An input after each of these positions of the lens (scale and offset undone), one after the other."""
    inputs = inputs_of((interval * i, (value - 1.0) / 2.0) for i, value in enumerate(values))
    return [inputs.value(name, round(interval * i * SECOND)) for i in range(len(values))]


# --- any order of arrival

tellings = st.lists(
    st.tuples(
        st.sampled_from(["echo", "stage.echo", "control:normalise"]),
        st.integers(0, 40),
        st.integers(-3, 3).map(lambda step: 20.0 * step),
    ),
    min_size=1,
    max_size=25,
)


def everything(inputs: Inputs, since: int = -1) -> list:
    times = [since + 1 + SECOND * second for second in range(46)]
    values = [inputs.at(time) for time in times]
    steps = [inputs.steps(name, since, 45 * SECOND) for name in ("lens", "stage", "heater", "normalised")]
    return [[None if math.isnan(v) else v for inputs_at in values for v in inputs_at.values()], steps]


@settings(max_examples=30, deadline=None)
@given(tellings, st.randoms(use_true_random=False))
def test_the_order_of_arrival_makes_no_difference(given_, random):
    first, second = Inputs(SPECS), Inputs(SPECS)
    shuffled = list(given_)
    random.shuffle(shuffled)
    for inputs, order in ((first, given_), (second, shuffled + shuffled[:3])):
        for of, time, value in order:
            inputs.tell(of, time * SECOND, value)
    assert everything(first) == everything(second)


@settings(max_examples=30, deadline=None)
@given(tellings, st.integers(0, 45))
def test_settling_does_not_change_later_values(given_, until):
    settled, unsettled = Inputs(SPECS), Inputs(SPECS)
    for of, time, value in given_:
        for inputs in (settled, unsettled):
            inputs.tell(of, time * SECOND, value)
    settled.settle(until * SECOND)
    assert everything(settled, until * SECOND - 1) == everything(unsettled, until * SECOND - 1)
    for of, time, value in given_:  # nor does it change later values
        for inputs in (settled, unsettled):
            inputs.tell(of, (until + time) * SECOND + 7, value)
    assert everything(settled, until * SECOND - 1) == everything(unsettled, until * SECOND - 1)


def test_tell_returns_the_time_of_the_change():
    inputs = Inputs(SPECS)
    assert inputs.tell("echo", 10, 5.0)
    assert not inputs.tell("echo", 20, 5.0)
    assert not inputs.tell("echo", 10, 5.0)
    assert inputs.tell("echo", 15, 6.0)
    assert inputs.steps("lens", 0, 100) == [(15, 2.0), (20, -2.0)]
    assert inputs.steps("lens", 15, 19) == []


def test_settling_forgets_repeats():
    inputs = inputs_of((i, float(i // 10)) for i in range(40))
    before = len(inputs.to_state()["echo"][0])
    inputs.settle(40 * SECOND)
    assert before == 40
    assert inputs.to_state()["echo"][0] == [0, 10 * SECOND, 20 * SECOND, 30 * SECOND]


def test_state_and_restore():
    inputs = inputs_of([(1, 5.0), (3, 7.0)])
    inputs.tell("control:normalise", 2 * SECOND, 1.0)
    again = Inputs(SPECS)
    again.from_state(inputs.to_state())
    assert everything(again) == everything(inputs)


# --- before the first value


def test_unset_channels_are_nan_and_unset_controls_are_zero():
    inputs = Inputs(SPECS)
    at = inputs.at(5 * SECOND)
    assert {name for name, value in at.items() if math.isnan(value)} == {"lens", "stage", "heater", "play", "wide"}
    assert at["normalised"] == at["creep"] == 0.0
    assert inputs.sources == {"echo", "stage.echo", "heater.echo", "control:normalise"}
    assert np.isnan(inputs.series("lens", np.array([1, 2]))).all()


def test_the_first_value_holds_before_it_and_a_control_steps_from_zero():
    inputs = inputs_of([(10, 5.0)])
    assert inputs.value("lens", 0) == 11.0
    assert inputs.steps("lens", -SECOND, 20 * SECOND) == []
    inputs.tell("control:normalise", 3 * SECOND, 1.0)
    assert inputs.steps("normalised", 0, 5 * SECOND) == [(3 * SECOND, 1.0)]
    assert inputs.value("normalised", 3 * SECOND - 1) == 0.0


def test_least_clips_value_and_step():
    inputs = inputs_of([(0, 20.0), (1, 280.0), (2, 310.0), (3, 305.0), (4, 100.0)], "heater.echo")
    assert [inputs.value("heater", i * SECOND) for i in range(5)] == [0.0, 0.0, 10.0, 5.0, 0.0]
    assert inputs.steps("heater", -1, 9 * SECOND) == [(2 * SECOND, 10.0), (3 * SECOND, -5.0), (4 * SECOND, -5.0)]


def test_a_series_is_one_value_after_the_other():
    inputs = inputs_of([(0, 0.0), (1, 30.0), (2, -30.0)])
    inputs.tell("stage.echo", 0, 0.0)
    inputs.tell("stage.echo", SECOND, 50.0)
    times = np.arange(0, 4 * SECOND, SECOND // 3)
    for name in (*inputs.names[:2], "play", "wide", "creep"):
        assert inputs.series(name, times).tolist() == [inputs.value(name, int(time)) for time in times]
    assert inputs.series("lens", times[:0]).shape == (0,)


# --- play


def test_a_play_lags_by_its_width_and_no_more():
    assert path([0, 30, 39]) == [0.0, -30.0, -39.0]
    assert path([0, 30, 41, 100]) == [0.0, -30.0, -40.0, -40.0]
    # on the way back it stays behind on the other side once the play is used up
    assert path([0, 100, 90, 60, 20, 0])[1:] == [-40.0, -30.0, 0.0, 40.0, 40.0]


def follower(values) -> list[float]:
    """The output of the play: the lens value plus its lag."""
    return [value + lag for value, lag in zip(values, path(values), strict=True)]


def test_a_small_loop_closes():
    outer = [0.0, 200.0, -150.0]
    loop = [*outer, -20.0, -90.0, -20.0, -150.0]
    focus = follower(loop)
    assert focus[5] == focus[3]  # the same turning point gives the same lag
    assert focus[-1] == focus[2]  # and the loop leaves nothing behind when it is left
    assert focus[3] != follower([0.0, -20.0])[-1]  # while the lag does depend on the path


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-200, 200), min_size=1, max_size=12), st.integers(201, 400))
def test_a_larger_excursion_resets_the_hysteresis(values, size):
    """After an excursion beyond all earlier ones nothing but it counts (Madelung's rule)."""
    focus = path([*map(float, values), float(size), -float(size), 33.0])[-1]
    assert focus == path([0.0, float(size), -float(size), 33.0])[-1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-200, 200), min_size=1, max_size=12), st.integers(1, 5), st.floats(0.01, 100.0))
def test_a_play_knows_no_speed(values, halts, interval):
    """Neither the speed nor halts on a straight path matter."""
    slow = [float(values[0])]
    for value in values[1:]:
        slow += np.linspace(slow[-1], value, halts + 1)[1:].tolist()
    assert path(slow, interval=interval)[-1] == pytest.approx(path([float(value) for value in values])[-1], abs=1e-9)
    assert max(abs(focus) for focus in path(slow)) <= 40.0 + 1e-9


def test_normalising_wipes_the_path_out():
    inputs = inputs_of([(0, -0.5), (1, 49.5), (3, 44.5)])
    assert inputs.value("play", 2 * SECOND) == -10.0
    inputs.tell("control:normalise", 2 * SECOND, 1.0)
    assert inputs.value("play", 2 * SECOND - 1) == -10.0
    assert inputs.value("play", 2 * SECOND) == 0.0
    assert inputs.value("play", 3 * SECOND) == 10.0
    assert inputs.value("wide", 2 * SECOND) == -40.0  # which has no reset


# --- creep


def test_creep_follows_the_last_move_with_the_logarithm_of_time():
    inputs = inputs_of([(0, 0.0), (10, 100.0), (30, 60.0)], "stage.echo")
    assert inputs.value("creep", 10 * SECOND - 1) == 0.0
    assert inputs.value("creep", 10 * SECOND) == 0.0
    for delay in (0.001, 2.5, 19.0):
        creep = inputs.value("creep", round((10 + delay) * SECOND))
        assert creep == pytest.approx(100.0 * math.log(1 + delay / 2.5))
    assert inputs.value("creep", 35 * SECOND) == pytest.approx(-40.0 * math.log(3.0))
