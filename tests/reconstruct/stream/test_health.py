"""Verdicts on sensors: each from what it stands for, the worst that holds, and none from too little."""

import dataclasses

import pytest

from reconstruct.stream.readings.health import ENOUGH, VERDICTS, Health

SECOND = 10**9


@pytest.mark.parametrize(
    ("health", "verdict"),
    [
        (Health(), "silent"),
        (Health(used=100), "ok"),
        (Health(ignored=50), "no evidence"),
        (Health(used=1, ignored=50), "ok"),
        (Health(used=10, standing="stuck"), "stuck"),
        (Health(used=10, future=11), "clock off"),
        (Health(used=11, future=10), "ok"),
        (Health(used=10, late=11), "late"),
        (Health(used=10, late=9), "ok"),
        (Health(used=7, not_a_number=3), "spiking"),
        (Health(used=9, not_a_number=1), "ok"),
        (Health(used=50, far=0.3, weighed=50), "spiking"),
        (Health(used=20, far=0.3, weighed=ENOUGH - 1), "ok"),
        (Health(used=50, square=3.5, weighed=50), "noisy"),
        (Health(used=50, square=2.5, weighed=50), "ok"),
        (Health(used=20, square=9.0, weighed=ENOUGH - 1), "ok"),
        (Health(used=50, square=9.0, far=0.5, weighed=50), "spiking"),
        (Health(used=50, square=9.0, far=0.5, weighed=50, standing="stuck"), "stuck"),
    ],
)
def test_verdicts(health, verdict):
    assert health.verdict() == verdict
    assert verdict in VERDICTS


def test_a_periodic_sensor_that_has_not_been_heard_of_is_silent():
    one = Health(used=10, heard=100 * SECOND, standing="stuck")
    assert one.verdict(100 * SECOND, rate=2.0) == "stuck"
    assert one.verdict(104 * SECOND, rate=2.0) == "stuck"
    assert one.verdict(105 * SECOND, rate=2.0) == "silent"
    assert one.verdict(10**6 * SECOND, rate=0.0) == "stuck"  # on change: silence says nothing


def test_what_never_counts_is_no_fault_even_when_silent():
    assert Health(ignored=10, heard=0).verdict(1000 * SECOND, rate=1.0) == "no evidence"


def test_all_fates_but_repeats_are_counted_as_seen():
    one = Health()
    fates = ["used", "ignored", "outlier", "stuck", "not_a_number", "invalid", "late", "future"]
    for number, name in enumerate(fates):
        setattr(one, name, 10**number)
    one.repeated = 5
    assert one.seen == 11_111_111
    counts = {field.name for field in dataclasses.fields(Health) if field.type is int or field.type == "int"}
    assert counts == {*fates, "repeated", "weighed"}


def test_running_means_forget_in_a_hundred_readings_however_they_come():
    one, other = Health(), Health()
    one.weigh(4.0, 1.0, 100)
    for _ in range(100):
        other.weigh(4.0, 1.0, 1)
    assert one.square == pytest.approx(other.square) == pytest.approx(1 + 3 * (1 - 0.99**100))
    assert one.far == pytest.approx(other.far) == pytest.approx(1 - 0.99**100)
    assert one.weighed == other.weighed == 100
    assert one.verdict() == "silent"  # nothing seen yet, only weighed
    one.used = 100
    assert one.verdict() == "spiking"
    one.weigh(1.0, 0.0, 300)
    assert one.verdict() == "ok"
