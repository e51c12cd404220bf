"""Sources for ``emtwin watch``: a live instrument, a recorded session, or a log of sensors, each as a series of pieces in time."""

import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from instrument.core.journal import Journal, Row
from instrument.readers import close_reader, read_log
from instrument.readers.logs.log import SensorLog
from instrument.remote.client import RemoteInstrument
from reconstruct.validation.sensors.logs import table_of_log
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.replay.scenario import KINDS as REPLAYS
from twin.records import Readings

SECOND = 10**9
POLL = 0.25
"""Seconds between two requests to a live instrument."""
PROMPT = 0.5
"""A reading received later than this (seconds of the instrument's time) says nothing about its clock."""
BEFORE = 5 * SECOND
"""Nanoseconds by which a stream starts before a session, since clocks may be off."""


class Piece(NamedTuple):
    """New data: the instrument's time (ns) reached, time of arrival (ns; None: unknown), readings, and commands (ns, changes)."""

    until: int
    arrival: int | None
    batches: list[Readings]
    commands: list[tuple[int, dict[str, float]]]


class Source(Protocol):
    """A source of readings. ``table``: its sensor table, if known; ``units`` of its channels; ``end`` (ns) if it has one."""

    title: str
    table: str | None
    units: dict[str, str | None]
    start: int
    end: int | None
    live: bool
    note: str

    def pieces(self, step: int) -> Iterator[Piece]:
        """The data in pieces of ``step`` ns if recorded; an empty piece if there is nothing new. Ends with the source."""
        ...

    def rest(self) -> list[Piece]:
        """Readings of a live source that were received but not yet returned."""
        ...

    def close(self) -> None: ...


def open_source(name: str, progress: Progress, columns: Path | None = None, log_zone: str | None = None) -> Source:
    """The source of that name; ``columns`` and ``log_zone`` of a log: see `instrument.readers.read_log`.

    BadInput, or the reader's own ValueError, where it cannot be used; InstrumentError where nobody answers.
    """
    if "://" in name:
        return Live(name, progress)
    path = Path(name)
    if path.is_dir():
        return Recorded(path, progress)
    progress.stage(f"reading {path.name}")
    try:
        return Logged(read_log(path, columns=columns, zone=log_zone))
    finally:
        close_reader()


class Logged:
    """A log of sensors, read at once."""

    live = False

    def __init__(self, log: SensorLog):
        if not any(len(channel.times) for channel in log.channels):
            raise BadInput(log.path, "holds no values", "Export a longer time.")
        self.title = ", ".join(filter(None, (log.kind, log.name)))
        self.note = "; ".join([f"times: {log.clock}", *log.notes])
        self.table = table_of_log(log.kind)
        self.units = {channel.name: channel.unit for channel in log.channels if len(channel.times)}
        self._batches = [
            Readings(channel.name, 0, channel.times, channel.values) for channel in log.channels if len(channel.times)
        ]
        self.start = min(int(batch.times[0]) for batch in self._batches)
        self.end: int | None = max(int(batch.times[-1]) for batch in self._batches)

    def pieces(self, step: int) -> Iterator[Piece]:
        return _cut(self._batches, [], self.start, step)

    def rest(self) -> list[Piece]:
        return []

    def close(self) -> None:
        pass


class Recorded:
    """A session folder, read at once and then followed while it is being written. ``idle``: everything written so far was returned."""

    def __init__(self, folder: Path, progress: Progress):
        progress.stage(f"reading {folder}")
        self._journal = Journal.open(folder)
        self._last, self._ended, self._kind, begun = 0, False, "", None
        self._batches: list[tuple[int, Readings]] = []
        self._commands: list[tuple[int, int, dict[str, float]]] = []
        for row in self._journal.rows():
            begun = row.payload.get("start", row.time) if row.kind == "scenario" else begun
            self._take(row)
        self.live = not self._ended and _written(folder)
        self.idle = False
        if not self._batches and not self.live:
            self._journal.close()
            raise BadInput(str(folder), "holds no readings", "Name a session that got as far as its first ones.")
        self._folder = folder
        self.title = f"session {folder.name}" + (" (being written)" if self.live else "")
        self.table = None if self._kind in ("", *REPLAYS) else "simulated"
        self.units: dict[str, str | None] = {}
        self.note = "readings of a session bear no arrival times: clocks stay as the table has them"
        times = [int(batch.times[0]) for _, batch in self._batches if len(batch.times)]
        times += [] if begun is None else [int(begun)]
        self.start = (min(times) if times else time.time_ns()) - BEFORE
        self.end = max((int(batch.times.max()) for _, batch in self._batches if len(batch.times)), default=None)

    def _take(self, row: Row) -> None:
        self._last = row.id
        if row.kind == "readings":
            batch = Readings(row.payload["channel"], row.payload["first"], row.arrays["times"], row.arrays["values"])
            self._batches.append((row.id, batch))
        elif row.kind == "command" and row.payload.get("name") == "apply" and row.time is not None:
            self._commands.append((row.id, row.time, dict(row.payload["args"]["changes"])))
        elif row.kind == "scenario":
            self._kind = str(row.payload.get("scenario", row.payload).get("kind", ""))
        elif row.kind == "result":
            self._ended = True
        elif row.kind == "resumed" and row.payload.get("rewound"):
            # what was done after the checkpoint was done again
            last = row.payload["checkpoint"]
            self._batches = [entry for entry in self._batches if entry[0] <= last]
            self._commands = [entry for entry in self._commands if entry[0] <= last]

    def pieces(self, step: int) -> Iterator[Piece]:
        until = self.start
        while True:
            batches, commands = [batch for _, batch in self._batches], [(at, what) for _, at, what in self._commands]
            self._batches, self._commands = [], []
            for piece in _cut(batches, commands, until, step):
                until = max(until, piece.until)
                yield piece
            if not self.live:
                return
            # asked first: what is written until its writer lets go is read below
            written = _written(self._folder)
            for row in self._journal.rows(after_id=self._last):
                self._take(row)
            self.live = written and not self._ended
            if self.live and not self._batches:
                self.idle = True
                yield Piece(until, None, [], [])
                self.idle = False

    def rest(self) -> list[Piece]:
        return []

    def close(self) -> None:
        self._journal.close()


class Live:
    """A served instrument, read only. Its clock is the local clock; it is never commanded."""

    live = True
    end: int | None = None

    def __init__(self, address: str, progress: Progress):
        progress.stage(f"connecting to {address}")
        self._remote = RemoteInstrument(address, progress=progress.stage)
        try:
            described = self._remote.describe()
            self._settings = self._remote.settings()
            self.start = self._remote.now() - BEFORE
        except BaseException:
            self._remote.close()
            raise
        self.title = f"{described.name} at {address}"
        self.table = "simulated" if described.kind == "simulated" else None
        self.units: dict[str, str | None] = {channel.name: channel.unit for channel in described.channels}
        self._running = described.clock == "running"
        self._prompt = self._running and described.rate * POLL <= PROMPT
        self._heard: queue.SimpleQueue[Piece | Exception] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._ear = threading.Thread(target=self._listen, name="watch", daemon=True)
        clock = f"running at {described.rate:g} times" if self._running else "stepped: time moves with its commands"
        self.note = f"clock {clock}" + ("" if self._prompt else "; arrivals say nothing of the sources' clocks")

    def pieces(self, step: int) -> Iterator[Piece]:
        del step
        self._ear.start()
        now = self.start
        while True:
            try:
                piece = self._heard.get(timeout=POLL)
            except queue.Empty:
                piece = Piece(now, None, [], [])
            if isinstance(piece, Exception):
                raise piece
            now = piece.until
            yield piece

    def _listen(self) -> None:
        """Look again and again, in a thread of its own: when readings arrived must not hang on how busy a filter is."""
        try:
            while not self._closing.wait(POLL):
                before = self._remote.now()
                batches = self._remote.readings()
                settings, now = self._remote.settings(), self._remote.now()
                changes = {name: value for name, value in settings.items() if value != self._settings.get(name)}
                self._settings = settings
                arrival = now if self._prompt and now - before < PROMPT * SECOND else None
                self._heard.put(Piece(now, arrival, batches, [(before, changes)] if changes else []))
        except Exception as error:
            self._heard.put(error)

    def rest(self) -> list[Piece]:
        pieces: list[Piece] = []
        while not self._heard.empty():
            piece = self._heard.get()
            if isinstance(piece, Piece):
                pieces.append(piece)
        return pieces

    def close(self) -> None:
        self._closing.set()
        if self._ear.is_alive():
            self._ear.join(timeout=5.0)
        self._remote.close()


def _cut(
    batches: list[Readings], commands: list[tuple[int, dict[str, float]]], start: int, step: int
) -> Iterator[Piece]:
    """Recorded readings and commands, ``step`` ns at a time."""
    by_channel: dict[str, list[Readings]] = {}
    for batch in batches:
        by_channel.setdefault(batch.channel, []).append(batch)
    joined: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, parts in by_channel.items():
        times, values = np.concatenate([part.times for part in parts]), np.concatenate([part.values for part in parts])
        order = np.argsort(times, kind="stable")
        if len(times):
            joined[name] = times[order], values[order]
    if not joined and not commands:
        return
    commands = sorted(commands, key=lambda command: command[0])
    last = max([*(int(times[-1]) for times, _ in joined.values()), *(at for at, _ in commands)])
    first, sent = dict.fromkeys(joined, 0), 0
    while start <= last:
        until = start + step
        batches_before = []
        for name, (times, values) in joined.items():
            stop = int(np.searchsorted(times, until))
            if stop > first[name]:
                batches_before.append(
                    Readings(name, first[name], times[first[name] : stop], values[first[name] : stop])
                )
                first[name] = stop
        now: list[tuple[int, dict[str, float]]] = []
        while sent < len(commands) and commands[sent][0] < until:
            now.append(commands[sent])
            sent += 1
        yield Piece(min(until, last), None, batches_before, now)
        start = until


def _written(folder: Path) -> bool:
    """Whether a process of this machine holds the lock of the session."""
    try:
        inode = (folder / "writer.lock").stat().st_ino
        lines: Any = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return False
    return any("FLOCK" in line and f":{inode} " in line for line in lines)
