"""Claims that a sensor's log shows to have been true earlier: stale where it rested there, else one error among others, and never a finding by themselves."""

import math

import numpy as np
import pytest

from reconstruct.validation.evidence import Evidence
from reconstruct.validation.judgement.verdict import Verdict, judge
from reconstruct.validation.rules.file_times import SECOND, span_of
from reconstruct.validation.sensors.evidence import evidence_of_sensors
from reconstruct.validation.sensors.records import LoggedSensor, SensorRecord
from reconstruct.validation.sensors.since import RECENT, stale_since
from reconstruct.validation.sensors.tracks import SensorTracks
from twin.records import Claim

T0 = 1_750_000_000 * SECOND
RATE = 0.01
RESTS, RAMPS = 300, 500
"""Seconds at 300 K, and of the ramp to 800 K."""


def tracks_of(channel: str, unit: str, values: np.ndarray, noise: float, seed: int = 0) -> SensorTracks:
    """A log of one reading a second."""
    times = T0 + np.arange(len(values)) * SECOND
    read = values + noise * np.random.default_rng(seed).standard_normal(len(values))
    logged = LoggedSensor(channel, unit, times, read, "measured")
    return SensorTracks(SensorRecord("holder's log", (logged,), int(times[0]), int(times[-1])))


def ramp(seed: int = 0) -> SensorTracks:
    values = np.interp(np.arange(RESTS + RAMPS + 60), [0, RESTS, RESTS + RAMPS], [300.0, 300.0, 800.0])
    return tracks_of("holder.temperature", "kelvin", values, 0.2, seed)


def judged(tracks: SensorTracks, at: int, name: str, value: float, unit: str) -> tuple[Verdict, list[Evidence]]:
    """The verdict on one claim of a file that was recorded ``at`` seconds after the log's start."""
    claims = {
        "time.start": Claim(T0 + at * SECOND, "nanosecond", "t", zone="UTC"),
        "exposure": Claim(1.0, "second", "e"),
        name: Claim(value, unit, name),
    }
    evidence, contradictions, gaps = evidence_of_sensors(tracks, claims, span_of(claims, {}))
    result = judge(claims, evidence, contradictions, gaps, RATE)
    return next(item for item in result.verdicts if item.field == name), evidence


@pytest.mark.smoke
@pytest.mark.parametrize("seed", range(3))
def test_a_value_of_before_a_ramp_is_stale_since_its_beginning(seed: int):
    item, (evidence,) = judged(ramp(seed), RESTS + RAMPS + 30, "temperature", 300.0, "kelvin")
    assert item.status == "stale"
    assert item.causes[0][0] == "stale value"
    assert item.causes[0][1] > 0.95
    assert item.since is not None
    assert abs((item.since - T0) / SECOND - RESTS) < 8.0
    assert item.suggested == pytest.approx(800.0, abs=1.0)
    assert "The claim was last true at 2025-06-15 15:1" in item.words
    assert evidence.since is not None
    assert (evidence.since.field, evidence.since.zone) == ("temperature", "UTC")


def test_a_value_that_never_was_or_was_only_passed_disagrees():
    for value in (350.0, 250.0, 900.0):
        item, (evidence,) = judged(ramp(), RESTS + RAMPS + 30, "temperature", value, "kelvin")
        assert item.status == "disagrees"
        assert item.since is None
        assert item.suggested == pytest.approx(800.0, abs=1.0)
        assert (evidence.since is not None) == (value == 350.0)
    item, _ = judged(ramp(), RESTS + RAMPS + 30, "temperature", 350.0, "kelvin")
    assert item.causes[0][0] == "stale value", "350 K was passed: it may be stale, and may as well be wrong"
    assert item.causes[0][1] < 0.9
    assert "last true" in item.words


def test_a_value_just_before_is_likelier_stale_than_one_long_ago():
    densities = []
    for value in (400.0, 600.0, 780.0):
        _, (evidence,) = judged(ramp(), RESTS + RAMPS, "temperature", value, "kelvin")
        assert evidence.since is not None
        assert abs((evidence.since.time - T0) / SECOND - (RESTS + value - 300.0)) < 3.0
        densities.append(evidence.since.density)
    assert densities[1] > 1.5 * densities[0]
    assert densities[2] > 2.0 * densities[1]


def test_what_is_right_agrees_whatever_the_log_shows_earlier():
    """Since when a claim is stale is no ground for a finding: of right claims as many disagree as without it."""
    tracks, generator = ramp(1), np.random.default_rng(3)
    alarms = 0
    for number in range(200):
        at = int(generator.integers(10, RESTS + RAMPS))
        true = float(np.interp(at, [0, RESTS, RESTS + RAMPS], [300.0, 300.0, 800.0]))
        item, _ = judged(tracks, at, "temperature", true + 0.2 * generator.standard_normal(), "kelvin")
        alarms += item.status != "agrees"
        assert number or item.since is None
    assert alarms <= 6  # 2 are expected at 1 %


def test_other_errors_keep_their_names_where_the_log_has_a_history():
    item, _ = judged(ramp(), RESTS + RAMPS + 30, "temperature", 800.0 - 273.15, "kelvin")
    assert item.status == "disagrees"
    assert item.causes[0][0] == "Celsius for kelvin"
    steps = np.where(np.arange(900) < 400, 0.02, 0.3)
    tilts = tracks_of("stage.alpha", "radian", steps, 2e-5)
    item, _ = judged(tilts, 800, "stage.alpha", math.degrees(0.3), "radian")
    assert item.causes[0][0] == "degrees for radians"
    item, _ = judged(tilts, 800, "stage.alpha", 0.02, "radian")
    assert (item.status, item.causes[0][0]) == ("stale", "stale value")
    assert item.since is not None
    assert abs((item.since - T0) / SECOND - 400) < 3.0


def test_the_density_of_stale_values_is_one():
    """Over all values that the claim may have, the density of stale ones adds up to one."""
    tracks, at = ramp(), RESTS + RAMPS + 30
    (track,) = tracks.tracks["temperature"]
    shown = [
        stale_since(tracks, track, value, 0.0, T0 + at * SECOND) for value in np.arange(298.0, 798.0, 0.25).tolist()
    ]
    total = 0.25 * sum(since.density for since in shown if since is not None)
    # what is missing are ages at which the ramp was over
    over = math.log((at - RESTS - RAMPS + RECENT) / RECENT) / math.log((at + RECENT) / RECENT)
    assert total == pytest.approx(1.0 - over, abs=0.02)
