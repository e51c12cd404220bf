"""``emtwin validate FOLDER --follow``: files are validated as they land, beside the session so far and the logs as they grow."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

from instrument.readers import read_vendor
from instrument.readers.signals import VendorError
from reconstruct.validation.recording import Validated
from reconstruct.validation.sensors.tracks import SensorTracks
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.validate.files import READING_TIME, ReadFile, listed
from scenarios.validate.job import ValidatedSession, labelled, session_of, tasks_of
from scenarios.validate.options import ValidateOptions
from scenarios.validate.pool import Task, Validators
from scenarios.validate.sensors import open_tracks

POLL = 0.1
"""Seconds between two looks at the folder."""
SETTLED = 0.4
"""Seconds for which a file's size and time must not change before it is read: its writer may not be done."""
PATIENCE = 30.0
"""Seconds for which a file that cannot be read is tried again: it may be written in pieces with pauses."""


class Landing:
    """Files of the folders as they settle. A file that changes later lands again."""

    def __init__(self, paths: tuple[Path, ...], clock: Callable[[], float] = time.monotonic):
        self._paths, self._clock = paths, clock
        self._seen: dict[Path, tuple[tuple[int, int], float]] = {}
        self._done: dict[Path, tuple[int, int]] = {}

    def settled(self) -> list[Path]:
        """Files that have not changed for `SETTLED` seconds and have not been returned as they are."""
        now, result = self._clock(), []
        for path in listed(self._paths):
            stamp = _stamp(path)
            if stamp is None or self._done.get(path) == stamp:
                continue
            before = self._seen.get(path)
            if before is None or before[0] != stamp:
                self._seen[path] = (stamp, now)
            elif now - before[1] >= SETTLED:
                self._done[path] = stamp
                result.append(path)
        return result

    def again(self, path: Path) -> bool:
        """Let a file that could not be read land again; False where it has not changed for `PATIENCE` seconds."""
        since = self._seen.get(path)
        if since is None or self._clock() - since[1] > PATIENCE:
            return False
        self._done.pop(path, None)
        return True


class FollowedSession:
    """A session while its files land: what was read, what was found, and what is being measured."""

    def __init__(self, options: ValidateOptions, validators: Validators, progress: Progress):
        self.options, self.validators, self.progress = options, validators, progress
        self.landing = Landing(options.paths)
        self.reads: dict[Path, ReadFile] = {}
        self.results: dict[str, Validated | BadInput] = {}
        self._running: dict[str, tuple[Task, Future[Validated]]] = {}
        self._tracks: dict[Path, tuple[tuple[int, int] | None, SensorTracks]] = {}

    def look(self) -> list[str]:
        """One look at the folder; names of the recordings whose verdicts are new."""
        self._refresh_logs()
        for path in self.landing.settled():
            self._read(path)
        new = []
        for name, (task, future) in list(self._running.items()):
            if future.done():
                self.results[name] = self.validators.finished(task, future)
                del self._running[name]
                new.append(name)
        return new

    @property
    def busy(self) -> bool:
        """Whether a recording is being measured."""
        return bool(self._running)

    def session(self, interrupted: bool = False) -> ValidatedSession:
        """All files so far."""
        logs = [tracks for _, tracks in self._tracks.values()]
        return session_of(list(self.reads.values()), self.results, logs, interrupted)

    def _read(self, path: Path) -> None:
        try:
            read = ReadFile(path, tuple(read_vendor(path, timeout=READING_TIME)))
        except VendorError as error:
            if self.landing.again(path):
                return
            read = ReadFile(path, (), error)
        self.reads[path] = read
        if read.signals:
            self._begin({name for name, _ in labelled(read)})

    def _begin(self, names: set[str]) -> None:
        """Measure these recordings, beside all others so far."""
        tracks = [tracks for _, tracks in self._tracks.values()]
        for task in tasks_of(list(self.reads.values()), tracks, self.progress):
            if task.name in names:
                self._running[task.name] = (task, self.validators.begin(task))

    def _refresh_logs(self) -> None:
        """Read the logs that have grown, where a file waits for them or none was read yet; files that were not covered are judged again."""
        for path in self.options.sensors:
            stamp = _stamp(path)
            known = self._tracks.get(path)
            if known is not None and (known[0] == stamp or not self._uncovered()):
                continue
            tracks = open_tracks(path, self.options.columns, self.options.zone, self.options.table, self.progress)
            self._tracks[path] = (stamp, tracks)
            if known is not None:
                self._begin(self._uncovered())

    def _uncovered(self) -> set[str]:
        """Recordings of which a log said that it does not cover them."""
        return {
            name for name, result in self.results.items()
            if isinstance(result, Validated) and any(gap.why.startswith("not covered") for gap in result.gaps)
        }  # fmt: skip


def follow(followed: FollowedSession, duration: float | None, tell: Callable[[list[str]], None]) -> Iterator[None]:
    """Look again and again until ``duration`` (s) is over and nothing is being measured; ``tell`` is given the names of new verdicts. Yields after each."""
    begun = time.monotonic()
    while duration is None or time.monotonic() - begun < duration or followed.busy:
        new = followed.look()
        if new:
            tell(new)
        yield
        time.sleep(POLL)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of change of a file, or of all that is in a folder; None where it is not there."""
    try:
        if path.is_dir():
            stats = [item.stat() for item in path.rglob("*")]
            return sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
