"""Evidence from logs of sensors about the fields of a file, at the time of the file.

    tracks = SensorTracks(record, load_model("protochips"))        # once a log; the model runs over it once
    prepare_files([tracks], [span_of(...), ...])                   # the times of all files in one pass (not needed for one file)
    evidence, contradictions, gaps = evidence_of_sensors(tracks, signal.claims, span_of(signal.claims, signal.repeated))

Each `Evidence` (source "sensors") makes one statement on one field: a logarithm for positive fields whose error is small, else the value itself. Its variance
is that of the track at the file's time, of its change within the file's span, of one reading's noise (the claim is such a reading) and of the channel's
constant error; ``tolerance`` is half the last digit of the claim. `Gap`s say why a log tells nothing of a claimed field. The contradictions are stale
timestamps: claims that fit the log together at another time. Those between the file's own clocks are in its `Span`. Where the files of a session share a clock
that is off, or whose zone is not known, `estimate_clock_offset` finds by how much, and its ``applied(span)`` is the span to give here.

Where a claim is not what a track says at the file's time, but was earlier, the evidence has ``since``. The picture of each is of kind "track", its content a
`TrackPicture`.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from reconstruct.measurement.measurement import Component
from reconstruct.validation.evidence import Contradiction, Evidence, Gap, Picture, Since, Statement
from reconstruct.validation.rules.file_times import SECOND, Span
from reconstruct.validation.sensors.clock_offset import FileClaims, stale_timestamp
from reconstruct.validation.sensors.since import stale_since
from reconstruct.validation.sensors.tracks import SensorTracks, Track
from twin.records import Claim
from twin.units import age, moment, period, shown, value_text

SPAN_POINTS = 9
"""Times at which a track is looked at within a file's span."""
FRESH = 60.0
"""Age (s) up to which a last-measured value counts as measured with the file: assumed."""
SMALL = 0.2
"""Largest error of a logarithm that is taken as Gaussian; above it the statement is on the value itself."""

READINGS_SHOWN = 1000
"""Readings that a picture holds, about."""

Logs = SensorTracks | Sequence[SensorTracks]
Found = tuple[list[Evidence], list[Contradiction], list[Gap]]


@dataclasses.dataclass(frozen=True)
class TrackPicture:
    """A track to draw: ``mean`` and ``std`` [t] at ``times`` [t] (ns) in ``unit``, and ``readings`` (times, values less the constant error expected).

    ``span`` is that of the file (ns, on the log's clock), ``claim`` what it claims (None: nothing), ``since`` when that is stale (None: it agrees, or never
    did).
    """

    field: str
    unit: str
    channel: str
    times: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    readings: tuple[np.ndarray, np.ndarray]
    span: tuple[int, int]
    claim: float | None
    since: Since | None
    zone: str = "UTC"


def prepare_files(logs: Logs, spans: Iterable[Span | None]) -> None:
    """Know the tracks at the times of all files and for pictures, in one pass of each log's smoother."""
    known = [span for span in spans if span is not None]
    for log in _several(logs):
        times = [
            time
            for span in known
            for window in _places(log, span)
            if _covers(log, *window)
            for time in _points(*window)
        ]
        log.prepare(times)
        log.grid()


def evidence_of_sensors(logs: Logs, claims: Mapping[str, Claim], span: Span | None) -> Found:
    """What logs say of a file's fields at its time.

    Fields that a log tells of and the file does not claim have evidence too. Gaps are of claimed fields alone.
    """
    said: Found = ([], [], [])
    for log in _several(logs):
        for part, more in zip(said, _of_log(log, claims, span), strict=True):
            part.extend(more)  # type: ignore[arg-type]  # both lists are of one kind
    covered = {field for evidence in said[0] for field in evidence.fields}
    gaps = [dataclasses.replace(gap, fields=left) for gap in said[2] if (left := tuple(field for field in gap.fields if field not in covered))]  # fmt: skip
    return said[0], said[1], gaps


def _of_log(log: SensorTracks, claims: Mapping[str, Claim], span: Span | None) -> Found:
    title = log.record.title
    told = tuple(name for name in dict.fromkeys((*log.tracks, *log.echoes, *log.empty)) if name in claims)
    if span is None:
        why = f"the file states no time, so {title} tells nothing of it"
        return [], [], [Gap(told, why, "Give the file in a format that keeps its time.")] if told else []
    placed = _placed(log, span)
    if isinstance(placed, Gap):
        return [], [], [dataclasses.replace(placed, fields=told)] if told else []
    gaps = [_untold(log, name) for name in told if name not in log.tracks]
    times = sorted({time for window in placed for time in _points(*window)})
    log.prepare(times)
    evidence: list[Evidence] = []
    for name, tracks in log.tracks.items():
        for track in tracks:
            said = _of_track(log, track, claims.get(name), placed, span)
            if isinstance(said, Evidence):
                evidence.append(said)
            elif name in claims:
                gaps.append(said)
    stale = stale_timestamp(log, FileClaims(claims, span)) if len(placed) == 1 else None
    return evidence, ([] if stale is None else [stale]), gaps


def _untold(log: SensorTracks, name: str) -> Gap:
    """Why a log tells nothing of a field that it has channels for."""
    title = log.record.title
    if name in log.echoes:
        why = f"{log.echoes[name]} in {title} repeats the command: an echo is no evidence for it"
        return Gap((name,), why, f"Give a log of a sensor of {name}.")
    return Gap((name,), f"{log.empty[name]} has no reading in {title}", "Give a log with readings of it.")


def _several(logs: Logs) -> Sequence[SensorTracks]:
    return [logs] if isinstance(logs, SensorTracks) else logs


def _places(log: SensorTracks, span: Span) -> list[tuple[int, int]]:
    """Begin and end of the file (ns) on the log's clock: one pair, or one for each time zone that is possible."""
    return [(span.earliest + shift, span.latest + shift) for shift in span.shifts(log.record.zone)]


def _covers(log: SensorTracks, first: int, last: int) -> bool:
    return first <= log.record.end and last >= log.record.start


def placement(log: SensorTracks, span: Span) -> tuple[int | None, bool]:
    """What is added (ns) to the times of a file to be on the log's clock (None: not known), and whether the log covers it at any place that is possible."""
    shifts = span.shifts(log.record.zone)
    covered = any(_covers(log, *window) for window in _places(log, span))
    return (shifts[0] if len(shifts) == 1 else None), covered


def _placed(log: SensorTracks, span: Span) -> list[tuple[int, int]] | Gap:
    """Where the file lies in the log, or why it does not."""
    record = log.record
    places = _places(log, span)
    inside = [window for window in places if _covers(log, *window)]
    covers = f"{record.title} covers {_period(record.start, record.end, record.zone)}"
    if len(places) == 1 and inside:
        return inside
    if not inside:
        of = _period(span.earliest, span.latest, span.zone)
        whatever = "" if len(places) == 1 else ", whatever the time zone"
        return Gap((), f"not covered: {covers}, the file is of {of}{whatever}", "Give a log of that time.")
    if len(inside) == len(places):
        return inside
    if record.zone == "local":
        why = f"unknown time zone: {covers}, and the file is in UTC"
        return Gap((), why, "Give the zone of the log's clock (--log-zone).")
    why = f"unknown time zone: the file has local time without its offset, and {covers}"
    return Gap((), why, "Give a file that states its time with its offset.")


def _period(first: int, last: int, zone: str) -> str:
    return f"{period(first, last, zone)}{'' if zone == 'UTC' else ' of a zone that is not stated'}"


def _points(first: int, last: int) -> list[int]:
    """Times (ns) of a span to look at a track, the middle among them. Whole numbers: a float holds a time of today to 256 ns."""
    return list(dict.fromkeys(first + (last - first) * index // (SPAN_POINTS - 1) for index in range(SPAN_POINTS)))


def _of_track(
    log: SensorTracks, track: Track, claim: Claim | None, placed: list[tuple[int, int]], span: Span
) -> Evidence | Gap:
    """Evidence of one track at the places where the file may be, or why there is none."""
    name, record = track.field.name, log.record
    first, last = min(window[0] for window in placed), max(window[1] for window in placed)
    fault = track.fault(first, last)
    if fault is not None:
        why = f"{track.channel} in {record.title} is {fault.kind} since {moment(fault.since, record.zone)}"
        return Gap((name,), why, "Give a log of another sensor.")
    gap = track.nearest((first + last) // 2)
    if track.logged.kind == "last-measured" and gap > FRESH:
        why = f"{track.channel} in {record.title} keeps what was measured last, {age(gap)} away from the file: stale"
        return Gap((name,), why, "Measure it with the file.")
    times = [time for window in placed for time in _points(*window)]
    mean, std = track.at(times)
    value = float(mean.mean())
    variance = float((std**2).mean() + mean.var()) + track.noise**2 + track.bias**2
    error = math.sqrt(variance)
    number = _number(claim)
    in_log = track.field.form == "scale" and value > 0 and error < SMALL * value
    tolerance = 0.5 * (claim.step if claim is not None else 0.0)
    if in_log:
        value_in, error_in, tolerance = math.log(value), error / value, tolerance / value
    else:
        value_in, error_in = value, error
    statement = Statement(f"{track.channel} at the file's time", {name: 1.0}, "log" if in_log else "linear")
    words = _words(track, (value, error), gap, times, span, record.zone)
    since = None
    if claim is not None and number is not None and len(placed) == 1:
        since = stale_since(log, track, number, claim.step, (first + last) // 2)
    picture = _picture(log, track, number, (first, last), since)
    return Evidence(
        f"{track.channel} ({record.title})", "sensors", (statement,),
        (Component(1.0, np.array([value_in]), np.array([[max(error_in, 1e-12 * max(abs(value_in), 1e-3)) ** 2]])),), words,
        ("data", "lens settings"), (), (Picture("track", picture, _caption(picture, number)),), (tolerance,), since,
    )  # fmt: skip


def _number(claim: Claim | None) -> float | None:
    value = None if claim is None else claim.value
    return float(value) if isinstance(value, (int, float)) and math.isfinite(float(value)) else None


def _words(track: Track, said: tuple[float, float], gap: float, times: list[int], span: Span, zone: str) -> str:
    (value, error), unit = said, track.field.unit
    how = "smoothed by its sensor table's model"
    if track.kind == "local":
        how = "random walk through its readings"
    elif track.local(times):
        how = "random walk through its readings, which the sensor table's model does not follow there"
    middle = moment((times[0] + times[-1]) // 2, zone)
    words = f"By {track.channel} it was {shown(value, error, unit)} at {middle} ({how}; nearest reading {age(gap)} away"
    if track.shift:
        words += f"; less a constant error of {value_text(track.shift, unit)} that its table expects"
    if track.bias > 0:
        words += f"; constant error of {value_text(track.bias, unit, track.bias)} included"
    words += ")"
    if span.zone == "local" and zone == "local":
        words += "; file and log have local times of zones that they do not state, taken as one"
    return f"{words}."


def _picture(
    log: SensorTracks, track: Track, number: float | None, span: tuple[int, int], since: Since | None
) -> TrackPicture:
    grid = log.grid()
    mean, std = track.at(grid)
    times, values = track.logged.times, track.logged.values
    every = slice(None, None, max(len(times) // READINGS_SHOWN, 1))
    return TrackPicture(
        track.field.name, track.field.unit, track.channel, np.array(grid, np.int64), mean, np.hypot(std, track.bias),
        (times[every], values[every] - track.shift),
        span, number, since, log.record.zone,
    )  # fmt: skip


def _caption(picture: TrackPicture, number: float | None) -> str:
    caption = f"{picture.field} by {picture.channel}, with its readings and the file's time"
    if number is not None:
        caption += f"; the file claims {value_text(number, picture.unit)}"
    if picture.since is not None:
        caption += (
            f", true until {moment(picture.since.time, picture.since.zone)} ± {age(picture.since.error / SECOND)}"
        )
    return caption
