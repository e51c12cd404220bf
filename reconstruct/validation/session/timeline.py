"""The timeline of a session: what its files claim and its logs tell in time, drifts, and faults with the files that they touch."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np

from reconstruct.validation.recording import Validated
from reconstruct.validation.sensors.drifts import Drift, drifts_of
from reconstruct.validation.sensors.tracks import SensorTracks
from reconstruct.validation.session.entries import Entry, moved_between_files, time_of, zone_of
from twin.channels import field
from twin.units import moment, period


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault in time: ``field``, its ``cause`` and ``status``, from the ``first`` to the ``last`` time (ns) of the ``files`` that it touches; ``since``: when
    it began at the earliest. Times are of clocks in ``zone`` and ``since_zone``."""

    field: str
    cause: str
    status: str
    first: int
    last: int
    files: tuple[str, ...]
    since: int | None = None
    zone: str = "UTC"
    since_zone: str = "UTC"

    @property
    def words(self) -> str:
        """In a sentence."""
        return together([self])


def together(faults: Sequence[Fault]) -> str:
    """Faults that differ in their fields alone, in a sentence: "pixel.x and pixel.y disagree (pixel size), at 2026-03-01 12:00:00 UTC: a.emd"."""
    first, names = faults[0], [fault.field for fault in faults]
    span = (
        f"at {moment(first.first, first.zone)}"
        if first.first == first.last
        else period(first.first, first.last, first.zone)
    )
    begun = "" if first.since is None else f", true until {moment(first.since, first.since_zone)}"
    subject = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    status = {"stale": "is stale", "disagrees": "disagrees"}[first.status]
    if len(names) > 1:
        status = {"stale": "are stale", "disagrees": "disagree"}[first.status]
    return f"{subject} {status} ({first.cause or 'cause not known'}), {span}{begun}: {', '.join(first.files)}"


def alike(faults: Sequence[Fault]) -> list[list[Fault]]:
    """Faults that differ in their fields alone, together."""
    groups: dict[Fault, list[Fault]] = {}
    for fault in faults:
        groups.setdefault(dataclasses.replace(fault, field=""), []).append(fault)
    return list(groups.values())


@dataclasses.dataclass(frozen=True)
class TrackAlong:
    """What a ``channel`` tells along a session: ``mean`` and ``std`` [t], its constant error included, at ``times`` [t] (ns, of the files' clock)."""

    channel: str
    times: np.ndarray
    mean: np.ndarray
    std: np.ndarray


@dataclasses.dataclass(frozen=True)
class LogAlong:
    """A log along a session: its ``title``, what it covers from ``first`` to ``last`` (ns, of its own clock in ``zone``), and the files ``outside`` of that.

    ``shift`` (ns) added to the files' times gives the log's; None where that is not known.
    """

    title: str
    first: int
    last: int
    zone: str
    shift: int | None
    outside: tuple[str, ...]

    @property
    def words(self) -> str:
        """In a sentence, without the files outside."""
        return f"{self.title} covers {period(self.first, self.last, self.zone)}"


@dataclasses.dataclass(frozen=True)
class Lane:
    """A field along a session: at ``times`` [n] (ns) what the ``files`` claimed, the ``status`` of each, what the evidence says, and ``tracks`` by logs."""

    field: str
    times: tuple[int, ...]
    claimed: tuple[float, ...]
    status: tuple[str, ...]
    files: tuple[str, ...]
    evidence: tuple[tuple[float, float] | None, ...]
    tracks: tuple[TrackAlong, ...] = ()


@dataclasses.dataclass(frozen=True)
class Timeline:
    """A session in time: ``lanes`` of the fields that changed, have findings or are followed by a log; ``faults`` with their windows; ``untimed`` files have
    no time. ``logs`` say what they cover, ``drifts`` what moved in them, with the names of the files that were recorded meanwhile. ``zone`` is of the files."""

    lanes: tuple[Lane, ...]
    faults: tuple[Fault, ...]
    untimed: tuple[str, ...]
    logs: tuple[LogAlong, ...] = ()
    drifts: tuple[tuple[Drift, tuple[str, ...]], ...] = ()
    zone: str = "UTC"


Timed = Sequence[tuple[int, Validated]]


def timeline(recordings: Sequence[Validated], logs: Sequence[SensorTracks] = ()) -> Timeline:
    """What the ``recordings`` of a session claim in time beside its ``logs``.

    The window of a fault ends where a file says that the field agrees, or claims another value. Drifts are of fields that files claim,
    in logs that cover a file, or of claims between files.
    """
    timed = [(when, item) for item in recordings if (when := time_of(item.claims)) is not None]
    timed.sort(key=lambda pair: pair[0])
    names = list(dict.fromkeys(name for _, item in timed for name in item.claims))
    along = [_log(log, timed) for log in logs]
    lanes = [_lane(name, timed, list(zip(logs, along, strict=True))) for name in names if is_shown(name)]
    instruments = list(dict.fromkeys(_instrument(item) for _, item in timed))
    groups = [[pair for pair in timed if _instrument(pair[1]) == instrument] for instrument in instruments]
    faults = [fault for name in names for group in groups for fault in _faults(name, group)]
    untimed = tuple(item.name for item in recordings if time_of(item.claims) is None)
    near = [log for log, item in zip(logs, along, strict=True) if len(item.outside) < len(timed)]
    drifts = [(drift, _files(drift, timed)) for log in near for drift in drifts_of(log, names)]
    entries = [Entry(item.name, item.claims, when) for when, item in timed]
    drifts += [(drift, (name,)) for drift, name in moved_between_files(entries)]
    return Timeline(
        tuple(lane for lane in lanes if lane is not None), tuple(sorted(faults, key=lambda fault: fault.first)), untimed, tuple(along),
        tuple(sorted(drifts, key=lambda pair: pair[0].first)), "UTC" if all(zone_of(item.claims) == "UTC" for _, item in timed) else "local",
    )  # fmt: skip


def is_shown(name: str) -> bool:
    """Whether a field is drawn along a session: numbers but those of the recording's own size."""
    return field(name).form in ("scale", "signed", "angle") and not name.startswith(("pixel.", "field_of_view."))


def _instrument(item: Validated) -> str:
    claim = item.claims.get("instrument")
    return "" if claim is None else str(claim.value)


def _log(log: SensorTracks, timed: Timed) -> LogAlong:
    """A log beside the files: the shift is that of most of them."""
    record = log.record
    places = [(item.name, where) for _, item in timed for where in item.placed if where.log == record.title]
    shifts = Counter(where.shift for _, where in places if where.shift is not None)
    outside = tuple(name for name, where in places if not where.covered)
    shift = shifts.most_common(1)[0][0] if shifts else None
    return LogAlong(record.title, record.start, record.end, record.zone, shift, outside)


def _files(drift: Drift, timed: Timed) -> tuple[str, ...]:
    """Files that were recorded during a drift."""
    return tuple(
        item.name
        for when, item in timed
        if any(
            where.log == drift.log and where.shift is not None and drift.first <= when + where.shift <= drift.last
            for where in item.placed
        )
    )


def _lane(name: str, timed: Timed, logs: Sequence[tuple[SensorTracks, LogAlong]]) -> Lane | None:
    """The lane of a field; None where it is always the same, nothing is found and no log follows it."""
    rows = [
        (when, item.name, item.verdict(name))
        for when, item in timed
        if name in item.claims and not isinstance(item.claims[name].value, str)
    ]
    covered = [(log, along) for log, along in logs if along.shift is not None and len(along.outside) < len(timed)]
    tracks = tuple(
        _track(log, along, index, name) for log, along in covered for index in range(len(log.tracks.get(name, ())))
    )
    values = {float(verdict.claim.value) for _, _, verdict in rows}
    quiet = len(values) < 2 and all(verdict.status in ("agrees", "unverifiable") for _, _, verdict in rows)
    if not rows or (quiet and not tracks):
        return None
    evidence = tuple(
        None if verdict.suggested is None or verdict.error is None else (verdict.suggested, verdict.error)
        for _, _, verdict in rows
    )
    return Lane(
        name, tuple(when for when, _, _ in rows), tuple(float(verdict.claim.value) for _, _, verdict in rows),
        tuple(verdict.status for _, _, verdict in rows), tuple(file for _, file, _ in rows), evidence, tracks,
    )  # fmt: skip


def _track(log: SensorTracks, along: LogAlong, index: int, name: str) -> TrackAlong:
    track, grid = log.tracks[name][index], log.grid()
    mean, std = track.at(grid)
    return TrackAlong(track.channel, np.array(grid, np.int64) - (along.shift or 0), mean, np.hypot(std, track.bias))


def _faults(name: str, timed: Timed) -> list[Fault]:
    windows: list[Fault] = []
    running: Fault | None = None
    for when, item in timed:
        if name not in item.claims:
            continue
        verdict = item.verdict(name)
        if verdict.status not in ("disagrees", "stale"):
            if running is not None and verdict.status == "agrees":
                windows.append(running)
                running = None
            continue
        cause = verdict.causes[0][0] if verdict.causes else ""
        if running is not None and (running.cause, running.status) == (cause, verdict.status):
            running = dataclasses.replace(running, last=when, files=(*running.files, item.name))
        else:
            windows += [running] if running is not None else []
            zones = (zone_of(item.claims), verdict.since_zone)
            running = Fault(name, cause, verdict.status, when, when, (item.name,), verdict.since, *zones)
    return [*windows, *([running] if running is not None else [])]
