"""Evidence from sensor logs at a file's time: real logs, simulated ones with coverage, and why there is none."""

import math
from pathlib import Path

import numpy as np
import pytest

from instrument.readers import close_reader, read_log, read_vendor
from reconstruct.api.models import load_model
from reconstruct.validation.evidence import Evidence
from reconstruct.validation.rules.file_times import SECOND, Span, span_of
from reconstruct.validation.sensors.evidence import evidence_of_sensors, prepare_files
from reconstruct.validation.sensors.logs import tracks_of
from reconstruct.validation.sensors.records import LoggedSensor, SensorRecord
from reconstruct.validation.sensors.tracks import SensorTracks
from twin.records import Claim
from twin.sensors import read_table

T0 = 1_750_000_000 * SECOND
KRIOS = "sensors/krios-health-2025-07-28.xml.gz"
TABLE = """
schema = "emtwin.sensors/2"
name = "one-thermometer"
[[entry]]
name = "holder.T"
unit = "kelvin"
mean = 300.0
std = 5.0
moves = { kind = "walk", rate = 0.1 }
[[sensor]]
channel = "thermometer"
unit = "kelvin"
kind = "measured"
rate = 1.0
expects = { "holder.T" = 1.0 }
noise = 0.05
field = "temperature"
"""


@pytest.fixture(scope="module")
def krios(data: Path) -> SensorTracks:
    return tracks_of(read_log(data / KRIOS))


def teardown_module() -> None:
    close_reader()


def _claims(time: int, zone: str = "UTC", **fields: tuple[float, str]) -> dict[str, Claim]:
    claims = {"time.start": Claim(time, "nanosecond", "start", "", zone, 1e9), "exposure": Claim(1.0, "second", "")}
    return claims | {name.replace("__", "."): Claim(value, unit, name) for name, (value, unit) in fields.items()}


def _away(evidence: Evidence, value: float) -> float:
    """Standard deviations by which ``value`` of the one field disagrees."""
    (statement,), (part,) = evidence.statements, evidence.components
    said = statement.of(dict.fromkeys(statement.terms, value))
    return float((said - part.mean[0]) / math.sqrt(part.covariance[0, 0]))


def _said(tracks: SensorTracks, claims: dict[str, Claim]):
    return evidence_of_sensors(tracks, claims, span_of(claims, {}))


@pytest.mark.slow
def test_high_tension_of_a_krios(krios: SensorTracks) -> None:
    claims = _claims(krios.record.start + 1800 * SECOND, high_tension=(3e5, "volt"))
    evidence, contradictions, _ = _said(krios, claims)
    (tension,) = (item for item in evidence if item.fields == ("high_tension",))
    assert (tension.source, contradictions) == ("sensors", [])
    assert "HTTankMeasuredVoltage" in tension.words  # and not its echo, HTTankSettingVoltage
    assert abs(_away(tension, 3e5)) < 1.0  # 299,378 V measured: the divider's constant error, no finding
    assert abs(_away(tension, 299_378.0)) < 2.0
    assert min(abs(_away(tension, value)) for value in (2e5, 80e3, 280e3)) > 10.0
    (picture,) = tension.pictures
    assert (picture.kind, picture.content.claim) == ("track", 3e5)
    assert picture.content.times.shape == picture.content.mean.shape == picture.content.std.shape


@pytest.mark.slow
def test_why_a_krios_tells_nothing(krios: SensorTracks) -> None:
    at = krios.record.start + 1800 * SECOND
    claims = _claims(at, temperature=(90.0, "kelvin"), screen_current=(1e-9, "ampere"), stage__alpha=(0.0, "radian"))
    _, _, gaps = _said(krios, claims)
    why = {gap.fields: gap.why for gap in gaps}
    assert "no reading" in why["temperature",]
    assert "no reading" in why["stage.alpha",]
    assert "measured last" in why["screen_current",] and "stale" in why["screen_current",]  # noqa: PT018


def test_files_of_2020_are_not_covered_by_a_log_of_2025(krios: SensorTracks, data: Path) -> None:
    for name in ("themis-haadf.emd", "themis-ceta-imaging.emd", "themis-ceta-diffraction.emd"):
        signal = read_vendor(data / "images" / name)[0]
        evidence, contradictions, gaps = evidence_of_sensors(
            krios, signal.claims, span_of(signal.claims, signal.repeated)
        )
        assert (evidence, contradictions) == ([], [])
        (gap,) = gaps
        assert "high_tension" in gap.fields
        assert "not covered" in gap.why and "2025-07-28" in gap.why and "2020-07-29 16:" in gap.why  # noqa: PT018


@pytest.mark.slow
def test_a_file_without_a_time_or_with_local_time(krios: SensorTracks) -> None:
    at = krios.record.start + 1800 * SECOND
    claims = _claims(at, high_tension=(3e5, "volt"))
    (gap,) = evidence_of_sensors(krios, claims, None)[2]
    assert "states no time" in gap.why
    evidence, _, (gap,) = _said(krios, _claims(at, "local", high_tension=(3e5, "volt")))
    assert evidence == []
    assert "unknown time zone" in gap.why
    fixed = span_of(claims, {"time.start": (Claim(at + 7200 * SECOND, "nanosecond", "start", "", "local", 1e9),)})
    assert len(evidence_of_sensors(krios, claims, fixed)[0]) >= 1


@pytest.mark.parametrize("name", ["holders/protochips_thermal.csv", "spoiled/protochips-bom.csv"])
@pytest.mark.slow
def test_temperatures_of_a_holder(data: Path, name: str) -> None:
    tracks = tracks_of(read_log(data / name))
    (track,) = tracks.tracks["temperature"]
    readings, times = track.logged.values, track.logged.times
    index = int(np.argmax(np.abs(np.diff(readings)))) + 40  # on a ramp
    at = int(times[index])
    zone = "local"  # as the log's: taken as one
    claims = _claims(at, zone, temperature=(float(readings[index]), "kelvin"), exposure=(0.05, "second"))
    (evidence,), _, gaps = _said(tracks, claims)
    assert gaps == []
    assert abs(_away(evidence, float(readings[index]))) < 2.0
    assert abs(_away(evidence, float(readings[index]) - 20.0)) > 5.0
    assert "zones that they do not state" in evidence.words
    _, _, (gap,) = _said(tracks, _claims(at, "UTC", temperature=(300.0, "kelvin")))
    assert "--log-zone" in gap.verify
    placed = tracks_of(read_log(data / name, zone="America/New_York"))
    (evidence,), _, _ = _said(placed, _claims(at + 5 * 3600 * SECOND, temperature=(300.0, "kelvin")))
    assert abs(_away(evidence, float(readings[index]))) < 2.0


@pytest.mark.slow
def test_a_saturated_holder_is_no_evidence(data: Path) -> None:
    tracks = tracks_of(read_log(data / "spoiled/protochips-saturated.csv", zone="UTC"))
    (track,) = tracks.tracks["temperature"]
    end = tracks.record.end
    evidence, _, (gap,) = _said(tracks, _claims(end - 10 * SECOND, temperature=(323.15, "kelvin")))
    assert evidence == []
    assert "saturated since" in gap.why
    (early,), _, _ = _said(tracks, _claims(int(track.logged.times[100]), temperature=(323.15, "kelvin")))
    assert abs(_away(early, float(track.logged.values[105]))) < 3.0


def test_a_step_that_a_table_does_not_know_of(data: Path) -> None:
    for name in ("heating-1.dens", "heating-2.dens"):  # from 13 to 50 degC within one reading
        tracks = tracks_of(read_log(data / "holders" / name))
        assert tracks.echoes == {"temperature": "Tset"}
        claims = _claims(tracks.record.end - SECOND, "local", temperature=(323.15, "kelvin"), exposure=(0.1, "second"))
        (evidence,), _, _ = _said(tracks, claims)
        assert abs(_away(evidence, 323.13)) < 2.0
        assert "does not follow there" in evidence.words


def test_a_command_is_no_evidence_for_itself() -> None:
    times = T0 + np.arange(10) * SECOND
    echo = LoggedSensor("gun.high_tension.commanded", "volt", times, np.full(10, 2e5), "echo")
    other = LoggedSensor("lens.objective", "1", times, np.full(10, 0.9), "echo")
    tracks = SensorTracks(SensorRecord("console", (echo, other), T0, T0 + 9 * SECOND))
    claims = _claims(T0, lens__objective=(0.8, "1"), high_tension=(3e5, "volt"))
    evidence, _, gaps = _said(tracks, claims)
    assert evidence == []
    assert [gap.fields for gap in gaps] == [("lens.objective",)]
    assert "echo" in gaps[0].why


def _gapped(seed: int, gaps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A random walk of 0.1 K/sqrt(s) read with 0.05 K: times and values of readings, and times and truths within long gaps."""
    rng = np.random.default_rng(seed)
    spacing = np.where(np.arange(8 * gaps) % 8 == 0, rng.uniform(20.0, 90.0, 8 * gaps), 1.0)
    read = np.cumsum(spacing)
    asked = (read - spacing * rng.uniform(0.1, 0.9, 8 * gaps))[8::8]
    every = np.sort(np.concatenate([read, asked]))
    level = dict(zip(every.tolist(), (300.0 + np.cumsum(rng.normal(0.0, 0.1 * np.sqrt(np.diff(every, prepend=every[0]))))).tolist(), strict=True))  # fmt: skip
    values = np.array([level[time] for time in read.tolist()]) + rng.normal(0.0, 0.05, len(read))
    truth = np.array([level[time] for time in asked.tolist()])
    return read, values, asked, truth


def _sizes(seed: int, modelled: bool) -> list[float]:
    """By how many standard deviations right claims disagree at 319 gaps of one log."""
    read, values, asked, truth = _gapped(seed, 320)
    claimed = truth + np.random.default_rng(seed + 100).normal(0.0, 0.05, len(truth))  # a file repeats one reading
    channel = "thermometer" if modelled else "holder.temperature"
    times = T0 + np.round(read * 1e9).astype(np.int64)
    logged = LoggedSensor(channel, "kelvin", times, values, "measured")
    model = read_table(TABLE, "test").model() if modelled else None
    tracks = SensorTracks(SensorRecord("log", (logged,), int(times[0]), int(times[-1])), model)
    spans = [Span(moment, moment, "UTC", "") for moment in (T0 + np.round(asked * 1e9).astype(np.int64)).tolist()]
    prepare_files(tracks, spans)
    sizes = []
    for span, value in zip(spans, claimed.tolist(), strict=True):
        (evidence,), _, _ = evidence_of_sensors(tracks, {"temperature": Claim(value, "kelvin", "")}, span)
        assert ("model" in evidence.words) == modelled
        sizes.append(abs(_away(evidence, value)))
    return sizes


@pytest.mark.parametrize("modelled", [True, False])
@pytest.mark.slow
def test_claims_at_gaps_are_covered(modelled: bool) -> None:
    sizes = np.array([size for seed in (2, 3) for size in _sizes(seed, modelled)])
    # of 638 gaps the share scatters by 0.012
    assert 0.865 <= float((sizes <= 1.645).mean()) <= 0.935
    assert float((sizes <= 1.645 * math.sqrt(0.6)).mean()) < 0.865  # the negative control


def test_a_change_within_the_span_of_a_file_widens() -> None:
    times = T0 + np.arange(600) * SECOND
    values = 300.0 + 0.5 * np.arange(600)
    logged = LoggedSensor("holder.temperature", "kelvin", times, values, "measured")
    tracks = SensorTracks(SensorRecord("log", (logged,), int(times[0]), int(times[-1])))
    short, long = (
        evidence_of_sensors(tracks, {}, Span(T0 + (300 - half) * SECOND, T0 + (300 + half) * SECOND, "UTC", ""))[0][0]
        for half in (0, 60)
    )
    assert abs(_away(short, 480.0)) > 5.0
    assert abs(_away(long, 480.0)) < 2.0


def test_a_constant_error_that_a_column_table_states() -> None:
    times = T0 + np.arange(60) * SECOND
    rng = np.random.default_rng(0)
    values = 300.0 + rng.normal(0.0, 0.05, 60)
    for bias, disagrees in ((0.0, True), (5.0, False)):
        logged = LoggedSensor("holder.temperature", "kelvin", times, values, "measured", bias)
        tracks = SensorTracks(SensorRecord("log", (logged,), int(times[0]), int(times[-1])))
        (evidence,), _, _ = _said(tracks, _claims(T0 + 30 * SECOND, temperature=(304.0, "kelvin")))
        assert (abs(_away(evidence, 304.0)) > 5.0) == disagrees


def test_what_a_table_states_of_metadata_is_checked() -> None:
    for wrong, message in (("temprature", "not known"), ("high_tension", "is in volt")):
        with pytest.raises(ValueError, match=message):
            read_table(TABLE.replace('"temperature"', f'"{wrong}"'), "test")
    with pytest.raises(ValueError, match="does not expect"):
        read_table(TABLE + 'bias = "other"\n', "test")
    with pytest.raises(ValueError, match="do not rise"):
        LoggedSensor("a", "kelvin", np.array([1, 1], np.int64), np.zeros(2))
    fields = {sensor.field for name in ("protochips", "dens", "thermo-healthmonitor") for sensor in load_model(name).sensors}  # fmt: skip
    assert {"temperature", "high_tension", "emission", "stage.alpha", "screen_current", ""} == fields
