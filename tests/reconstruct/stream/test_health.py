"""Verdicts on sensors from their counts and innovations."""

import dataclasses

import pytest

from reconstruct.stream.readings.health import MIN_READINGS, VERDICTS, Health

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
        (Health(used=50, outlier_fraction=0.3, innovations=50), "spiking"),
        (Health(used=20, outlier_fraction=0.3, innovations=MIN_READINGS - 1), "ok"),
        (Health(used=50, mean_square=3.5, innovations=50), "noisy"),
        (Health(used=50, mean_square=2.5, innovations=50), "ok"),
        (Health(used=20, mean_square=9.0, innovations=MIN_READINGS - 1), "ok"),
        (Health(used=50, mean_square=9.0, outlier_fraction=0.5, innovations=50), "spiking"),
        (Health(used=50, mean_square=9.0, outlier_fraction=0.5, innovations=50, standing="stuck"), "stuck"),
    ],
)
def test_verdicts(health, verdict):
    assert health.verdict() == verdict
    assert verdict in VERDICTS


def test_a_periodic_sensor_that_has_not_been_heard_of_is_silent():
    health = Health(used=10, heard=100 * SECOND, standing="stuck")
    assert health.verdict(100 * SECOND, rate=2.0) == "stuck"
    assert health.verdict(104 * SECOND, rate=2.0) == "stuck"
    assert health.verdict(105 * SECOND, rate=2.0) == "silent"
    assert health.verdict(10**6 * SECOND, rate=0.0) == "stuck"  # on change: silence says nothing


def test_an_ignored_sensor_is_not_a_fault_even_when_silent():
    assert Health(ignored=10, heard=0).verdict(1000 * SECOND, rate=1.0) == "no evidence"


def test_all_fates_but_repeats_are_counted_as_seen():
    health = Health()
    fates = ["used", "ignored", "outlier", "stuck", "not_a_number", "invalid", "late", "future"]
    for number, name in enumerate(fates):
        setattr(health, name, 10**number)
    health.repeated = 5
    assert health.seen == 11_111_111
    counts = {field.name for field in dataclasses.fields(Health) if field.type is int or field.type == "int"}
    assert counts == {*fates, "repeated", "innovations"}


def test_running_means_forget_in_a_hundred_readings_however_they_come():
    health, other = Health(), Health()
    health.add_innovations(4.0, 1.0, 100)
    for _ in range(100):
        other.add_innovations(4.0, 1.0, 1)
    assert health.mean_square == pytest.approx(other.mean_square) == pytest.approx(1 + 3 * (1 - 0.99**100))
    assert health.outlier_fraction == pytest.approx(other.outlier_fraction) == pytest.approx(1 - 0.99**100)
    assert health.innovations == other.innovations == 100
    assert health.verdict() == "silent"  # nothing seen yet, only weighed
    health.used = 100
    assert health.verdict() == "spiking"
    health.add_innovations(1.0, 0.0, 300)
    assert health.verdict() == "ok"
