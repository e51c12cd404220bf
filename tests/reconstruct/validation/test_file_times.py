"""When a file was recorded: windows of claimed times, time zones by two clocks, and clocks that contradict each other."""

import pytest

from instrument.readers import close_reader, read_vendor
from reconstruct.validation.rules.file_times import SECOND, span_of
from twin.records import Claim

T = 1_700_000_000 * SECOND
HOUR = 3600 * SECOND


def _time(seconds: float, zone: str = "UTC", step: float = 1.0) -> Claim:
    return Claim(T + round(seconds * SECOND), "nanosecond", "Time", "", zone, step * SECOND)


def _seconds(value: float, unit: str = "second") -> Claim:
    return Claim(value, unit, "Exposure")


def test_a_start_and_an_exposure_bound_the_recording() -> None:
    span = span_of({"time.start": _time(0), "exposure": _seconds(2.0), "frames": _seconds(5, "1")}, {})
    assert span is not None
    assert (span.earliest - T, span.latest - T) == (0, 11 * SECOND)
    span = span_of({"time.end": _time(0), "exposure": _seconds(2.0)}, {})
    assert span is not None
    assert (span.earliest - T, span.latest - T) == (-2 * SECOND, SECOND)
    span = span_of({"time.start": _time(0), "time.end": _time(50)}, {})
    assert span is not None
    assert (span.earliest - T, span.latest - T) == (0, 51 * SECOND)
    assert span_of({"exposure": _seconds(2.0)}, {}) is None


def test_a_time_of_unstated_meaning_widens() -> None:
    stated, unstated, saved = (
        span_of({f"time.{meaning}": _time(0), "exposure": _seconds(1.0)}, {})
        for meaning in ("start", "unstated", "saved")
    )
    assert stated
    assert unstated
    assert saved
    widths = [span.latest - span.earliest for span in (stated, unstated, saved)]
    assert widths == sorted(widths)
    assert unstated.earliest < T < unstated.latest
    assert saved.latest == T + SECOND


def test_two_clocks_fix_the_zone() -> None:
    for hours in (-7.0, 1.0, 5.75, -3.5, 14.0):
        claims = {"time.unstated": _time(0), "dwell": _seconds(1e-5)}
        span = span_of(claims, {"time.unstated": (_time(hours * 3600 + 2.1, "local"),)})
        assert span is not None
        assert (span.zone, span.offset, span.contradictions) == ("UTC", round(hours * HOUR), ())
        assert span.shifts("local") == (round(hours * HOUR),)
    local = span_of({"time.start": _time(0, "local")}, {})
    assert local is not None
    assert (local.zone, local.offset, len(local.shifts("UTC"))) == ("local", None, 26 * 4 + 1)
    assert max(local.shifts("UTC")) == 12 * HOUR
    assert local.shifts("local") == (0,)


@pytest.mark.parametrize(
    ("claims", "field", "words"),
    [
        ({"time.start": [_time(0)], "time.end": [_time(-30)]}, "time.end", "before its start"),
        ({"time.start": [_time(0)], "time.saved": [_time(-30)]}, "time.saved", "before the recording began"),
        ({"time.unstated": [_time(0), _time(3600 * 2 + 450, "local")], "exposure": [_seconds(1)]}, "time.unstated", "127.5 min apart"),
        ({"time.unstated": [_time(0), _time(-3600 * 15, "local")], "exposure": [_seconds(1)]}, "time.unstated", "-900.0 min apart"),
        ({"time.start": [_time(0)], "time.unstated": [_time(-3600)], "exposure": [_seconds(1)]}, "time.unstated", "-1 h, so one of the two is a local time"),
        ({"time.start": [_time(0), _time(-5000)], "exposure": [_seconds(1)]}, "time.start", "Time says"),
    ],
)  # fmt: skip
def test_clocks_that_contradict_each_other(claims: dict[str, list[Claim]], field: str, words: str) -> None:
    first = {name: values[0] for name, values in claims.items()}
    span = span_of(first, {name: tuple(values[1:]) for name, values in claims.items() if values[1:]})
    assert span is not None
    (contradiction,) = span.contradictions
    assert (contradiction.field, contradiction.cause) == (field, "stale timestamp")
    assert words in contradiction.words
    assert span.earliest <= T <= span.latest


def test_clocks_of_a_long_recording_do_not_fix_the_zone() -> None:
    claims = {"time.start": _time(0), "exposure": _seconds(1000.0)}
    span = span_of(claims, {"time.unstated": (_time(3600 + 500, "local"),)})
    assert span is not None
    assert (span.offset, span.contradictions) == (None, ())


@pytest.mark.parametrize(
    ("name", "zone", "hours", "longest"),
    [
        ("images/sto-titan80.emi", "UTC", -7.0, 200),
        ("images/dm-diffraction-pattern.dm3", "UTC", 2.0, 5),
        ("images/dm-stem-image.dm3", "UTC", 1.0, 130),
        ("images/themis-haadf.emd", "UTC", None, 2),
        ("images/themis-ceta-imaging.emd", "UTC", None, 2),
        ("images/fei_example_tem_stack.emd", "UTC", None, 70),
        ("spectra/titanate-si-survey.dm3", "UTC", -5.0, 130),
        ("spectra/al-low-loss.dm3", "local", None, 122),
    ],
)
def test_real_files(data, name: str, zone: str, hours: float | None, longest: float) -> None:
    signal = read_vendor(data / name)[0]
    span = span_of(signal.claims, signal.repeated)
    assert span is not None
    assert span.zone == zone
    assert span.offset == (None if hours is None else round(hours * HOUR))
    assert (span.latest - span.earliest) / SECOND <= longest
    assert span.contradictions == ()


def teardown_module() -> None:
    close_reader()
