"""Clocks of files against a log: shared offsets, time zones and stale timestamps by what the files claim; since when a claim is stale."""

import math
from pathlib import Path

import numpy as np
import pytest

from instrument.readers import close_reader, read_log
from reconstruct.validation.rules.file_times import SECOND, Span
from reconstruct.validation.sensors.clock_offset import ClockOffset, FileClaims, estimate_clock_offset, stale_timestamp
from reconstruct.validation.sensors.evidence import evidence_of_sensors
from reconstruct.validation.sensors.logs import tracks_of
from reconstruct.validation.sensors.records import LoggedSensor, SensorRecord
from reconstruct.validation.sensors.session import SessionFile, evidence_of_session
from reconstruct.validation.sensors.since import stale_since
from reconstruct.validation.sensors.tracks import SensorTracks
from twin.records import Claim

T0 = 1_750_000_000 * SECOND
LENGTH = 3600
HOUR = 3600 * SECOND


class Session:
    """An hour of a heater and a stage that drift, with a log of both, and files that repeat their values to a step."""

    def __init__(self, seed: int):
        rng = np.random.default_rng(seed)
        seconds = np.arange(LENGTH)
        self.temperature: np.ndarray = 300.0 + np.cumsum(rng.normal(0.0, 0.2, LENGTH))
        self.stage: np.ndarray = 1e5 + np.cumsum(rng.normal(0.0, 300.0, LENGTH))
        read = seconds[::5]
        times = T0 + read * SECOND
        sensors = (
            LoggedSensor("holder.temperature", "kelvin", times, self.temperature[::5] + rng.normal(0.0, 0.05, len(read)), "measured"),
            LoggedSensor("stage.x", "angstrom", times, self.stage[::5], "measured", 50.0),
        )  # fmt: skip
        self.tracks = SensorTracks(SensorRecord("log", sensors, T0, T0 + (LENGTH - 1) * SECOND))
        self.rng = rng

    def file(self, second: int, clock: int = 0, zone: str = "UTC", stage: bool = True) -> FileClaims:
        """A file of that second whose clock is ``clock`` ns ahead."""
        temperature = round(float(self.temperature[second]) + self.rng.normal(0.0, 0.05), 1)
        time = T0 + second * SECOND + clock
        claims = {
            "time.start": Claim(time, "nanosecond", ""),
            "temperature": Claim(temperature, "kelvin", "", step=0.1),
        }
        if stage:
            claims["stage.x"] = Claim(float(self.stage[second]), "angstrom", "")
        return FileClaims(claims, Span(time, time + SECOND, "UTC" if zone == "UTC" else "local", ""))


@pytest.mark.parametrize("seconds", [137.0, -412.0, 35.0])
def test_the_offset_that_the_files_of_a_session_share(seconds: float) -> None:
    away = []
    for seed in range(4):
        session = Session(seed)
        files = [session.file(int(at), round(seconds * SECOND), stage=False) for at in session.rng.integers(500, 3100, 15)]  # fmt: skip
        shown = estimate_clock_offset(session.tracks, files)
        assert shown is not None
        assert shown.probability > 0.999
        assert shown.error < 5 * SECOND
        away.append((shown.offset + seconds * SECOND) / shown.error)
        assert abs(shown.beyond - shown.offset) < SECOND
        right = [estimate_clock_offset(session.tracks, [FileClaims(file.claims, shown.applied(file.span)) for file in files])]  # fmt: skip
        assert right == [None]
    assert np.abs(away).max() < 3.5


def test_a_right_clock_is_let_be_even_with_wrong_claims() -> None:
    for seed in range(12):
        session = Session(seed)
        files = [session.file(int(at)) for at in session.rng.integers(100, 3500, 6)]
        assert estimate_clock_offset(session.tracks, files) is None
        wrong = FileClaims(dict(files[0].claims) | {"temperature": Claim(float(session.temperature[2000]), "kelvin", "")}, files[0].span)  # fmt: skip
        assert estimate_clock_offset(session.tracks, [wrong, *files[1:]]) is None
        assert all(stale_timestamp(session.tracks, file) is None for file in files)


def _heated(seed: int) -> Session:
    """A session whose heater ramps by 0.02 K/s and whose stage goes to another place every 200 s."""
    session = Session(seed)
    rng, seconds = session.rng, np.arange(LENGTH)
    session.temperature = 300.0 + 0.02 * seconds
    session.stage = np.repeat(rng.uniform(-5e5, 5e5, LENGTH // 200), 200)
    times = T0 + seconds[::2] * SECOND
    sensors = (
        LoggedSensor("holder.temperature", "kelvin", times, session.temperature[::2] + rng.normal(0.0, 0.05, len(times)), "measured"),
        LoggedSensor("stage.x", "angstrom", times, session.stage[::2], "measured", 50.0),
    )  # fmt: skip
    session.tracks = SensorTracks(SensorRecord("log", sensors, T0, T0 + (LENGTH - 1) * SECOND))
    return session


def test_a_file_with_a_stale_timestamp_is_told_from_one_with_a_stale_parameter() -> None:
    told = 0
    for seed in range(10):
        session = _heated(100 + seed)
        stale = session.file(2850, -1500 * SECOND)  # stamped 25 min too early
        assert stale.span.earliest == T0 + 1350 * SECOND
        evidence, contradictions, gaps = evidence_of_sensors(session.tracks, stale.claims, stale.span)
        assert gaps == []
        assert len(evidence) == 2
        for contradiction in contradictions:
            told += 1
            assert (contradiction.field, contradiction.status, contradiction.cause) == ("time.start", "stale", "stale timestamp")  # fmt: skip
            assert contradiction.suggested is not None
            assert contradiction.error is not None
            assert abs(contradiction.suggested - (T0 + 2850 * SECOND)) < 3 * contradiction.error + 2 * SECOND
        parameter = FileClaims(
            dict(session.file(1350).claims) | {"temperature": stale.claims["temperature"]}, stale.span
        )
        assert stale_timestamp(session.tracks, parameter) is None
        assert stale_timestamp(session.tracks, session.file(2850)) is None
    assert told == 10


def test_the_zone_of_a_session_by_what_its_files_claim() -> None:
    session = Session(7)
    files = [session.file(at, -7 * HOUR, "local") for at in (700, 1500, 2300, 3000)]
    shown = estimate_clock_offset(session.tracks, files)
    assert isinstance(shown, ClockOffset)
    assert (shown.offset, shown.beyond, shown.zone) == (7 * HOUR, 0, "UTC")
    evidence, _, gaps = evidence_of_sensors(session.tracks, files[0].claims, files[0].span)
    assert evidence == []
    assert "unknown time zone" in gaps[0].why
    evidence, _, gaps = evidence_of_sensors(session.tracks, files[0].claims, shown.applied(files[0].span))
    assert (len(evidence), gaps) == (2, [])
    off = [session.file(at, -7 * HOUR + 130 * SECOND, "local") for at in range(400, 3400, 400)]
    shown = estimate_clock_offset(session.tracks, off)
    assert shown is not None
    assert shown.beyond == pytest.approx(-130 * SECOND, abs=5 * SECOND)


def test_a_session_with_one_clock_and_one_stale_parameter() -> None:
    session = _heated(3)
    clock = 95 * SECOND
    moments = [int(at) for at in np.linspace(300, 3300, 12)]
    files = [SessionFile(str(at), file.claims, file.span) for at in moments for file in [session.file(at, clock)]]
    old = Claim(float(session.temperature[1200]), "kelvin", "", step=0.1)
    files[7] = SessionFile(files[7].name, dict(files[7].claims) | {"temperature": old}, files[7].span)
    by_file = evidence_of_session([session.tracks], files)
    for file, at in zip(files, moments, strict=True):
        evidence, contradictions, gaps, _ = by_file[file.name]
        assert gaps == []
        (contradiction,) = contradictions
        assert contradiction.suggested is not None
        assert contradiction.error is not None
        assert abs(contradiction.suggested - (T0 + at * SECOND)) < 3 * contradiction.error + SECOND
        assert "ahead" in contradiction.words
        for item in evidence:
            (part,), (statement,) = item.components, item.statements
            claimed = float(file.claims[item.fields[0]].value)
            said = math.log(claimed) if statement.form == "log" else claimed
            away = abs(said - part.mean[0]) / math.sqrt(part.covariance[0, 0])
            assert (away > 5.0) == (at == moments[7] and item.fields == ("temperature",))


def test_a_session_that_a_log_does_not_cover_or_covers_in_part() -> None:
    session = _heated(4)

    def file(name: str, second: int, time: int) -> SessionFile:
        claims = dict(session.file(second).claims) | {"time.start": Claim(time, "nanosecond", "")}
        return SessionFile(name, claims, Span(time, time + SECOND, "UTC", ""))

    other_year = [file(str(at), 5, T0 - 90 * 86_400 * SECOND + at * SECOND) for at in (400, 900, 2000)]
    for evidence, contradictions, gaps, _ in evidence_of_session([session.tracks], other_year).values():
        assert (evidence, contradictions) == ([], [])
        assert "not covered" in gaps[0].why
    # half of the files are of before the log: no clock is off for that
    early = [file(f"before {at}", 5, T0 - at * SECOND) for at in (100, 300, 500, 700)]
    within = [file(f"in {at}", at, T0 + at * SECOND) for at in (300, 900, 1500)]
    for name, (evidence, contradictions, _, _) in evidence_of_session([session.tracks], [*early, *within]).items():
        assert contradictions == []
        assert len(evidence) == (2 if name.startswith("in") else 0)


@pytest.mark.slow
def test_an_image_series_stamped_on_a_holder_log(data: Path) -> None:
    tracks = tracks_of(read_log(data / "holders/protochips_thermal.csv"))
    (track,) = tracks.tracks["temperature"]
    times, values = track.logged.times, track.logged.values
    clock = 21 * SECOND
    moments = np.linspace(200, len(times) - 200, 12).astype(int)

    def file(index: int, value: float, ahead: int) -> FileClaims:
        time = int(times[index]) + ahead
        claims = {
            "time.start": Claim(time, "nanosecond", "", "", "local"),
            "temperature": Claim(round(value, 1), "kelvin", "", step=0.1),
        }
        return FileClaims(claims, Span(time, time, "local", ""))

    series = [file(index, float(values[index]), clock) for index in moments.tolist()]
    shown = estimate_clock_offset(tracks, series)
    assert shown is not None
    assert shown.offset == pytest.approx(-clock, abs=3 * shown.error + 1e8)
    assert shown.error < SECOND
    series[4] = file(int(moments[4]), float(values[moments[4]]) - 40.0, clock)  # one that kept an older temperature
    sizes = []
    for item in series:
        (evidence,), _, _ = evidence_of_sensors(tracks, item.claims, shown.applied(item.span))
        (part,) = evidence.components
        said = math.log(float(item.claims["temperature"].value))
        away = max(abs(said - part.mean[0]) - evidence.tolerance[0], 0.0)
        sizes.append(away / math.sqrt(part.covariance[0, 0]))
    assert int(np.argmax(sizes)) == 4
    assert sizes[4] > 10.0
    assert sorted(sizes)[-2] < 3.0


@pytest.mark.parametrize("rate", [0.02, 0.5])
def test_since_when_a_claim_is_stale(rate: float) -> None:
    """A heater that ramps from 600 s on: the claim of before is left when the ramp has gone beyond two standard deviations of a reading."""
    away = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        seconds = np.arange(0, 1800, 2)
        truth = 300.0 + rate * np.maximum(seconds - 600.0, 0.0)
        times = T0 + seconds * SECOND
        logged = LoggedSensor(
            "holder.temperature", "kelvin", times, truth + rng.normal(0.0, 0.05, len(seconds)), "measured"
        )
        tracks = SensorTracks(SensorRecord("log", (logged,), T0, int(times[-1])))
        (track,) = tracks.tracks["temperature"]
        since = stale_since(tracks, track, 300.0, 0.1, T0 + 1500 * SECOND)
        assert since is not None
        mean, std = track.at(tracks.grid())
        band = 2.0 * float(np.hypot(np.median(std), track.noise)) + 0.05
        left = 600.0 + band / rate
        away.append(((since.time - T0) / SECOND - left) / (since.error / SECOND))
        assert stale_since(tracks, track, 300.0, 0.1, T0 + 500 * SECOND) is None  # it agrees there
        assert stale_since(tracks, track, 250.0, 0.1, T0 + 1500 * SECOND) is None  # it never did
        claims = {"temperature": Claim(300.0, "kelvin", "", step=0.1)}
        (evidence,), _, _ = evidence_of_sensors(tracks, claims, Span(T0 + 1500 * SECOND, T0 + 1500 * SECOND, "UTC", ""))
        content = evidence.pictures[0].content
        assert content.since == since
        assert "true until" in evidence.pictures[0].caption
        assert mean.shape == content.mean.shape
    assert np.abs(away).max() < 3.0


def test_a_step_is_dated_to_the_readings_around_it() -> None:
    seconds = np.arange(0, 1800, 10)
    values = np.where(seconds < 905, 300.0, 350.0)
    logged = LoggedSensor("holder.temperature", "kelvin", T0 + seconds * SECOND, values, "measured")
    tracks = SensorTracks(SensorRecord("log", (logged,), T0, T0 + 1790 * SECOND))
    (track,) = tracks.tracks["temperature"]
    since = stale_since(tracks, track, 300.0, 1.0, T0 + 1700 * SECOND)
    assert since is not None
    assert abs((since.time - T0) / SECOND - 905.0) < 10.0
    assert since.error < 10 * SECOND


def teardown_module() -> None:
    close_reader()
