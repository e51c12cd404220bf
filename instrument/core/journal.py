"""The session on disk: one folder with an append-only, hash-chained SQLite log and the frames in Zarr. One process
writes, any may read.

A row's hash is SHA-256 over the previous row's hash and its own kind, time, payload and arrays. A frame's chunk is
written and synced first, then its row with the chunk's hash is committed; only then does `Journal.append_frame`
return. If the process is killed at any moment, no acknowledged row is lost: at worst a chunk without a row is left,
and the next frame overwrites it.
"""

import contextlib
import hashlib
import operator
import os
import shutil
import sqlite3
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np

from instrument.core.frames import FrameStore
from instrument.core.payload import PayloadError, pack, unpack
from instrument.core.session_files import SessionError, connect_database, lock_writer
from instrument.core.sync import sync
from twin.notebook import table
from twin.records import Frame, Readings
from twin.units import utc

FORMAT = "emtwin-session/1"
_APPLICATION = 0x656D7477  # "emtw"
_VERSION = 1
_GENESIS = hashlib.sha256(FORMAT.encode()).digest()
_SCHEMA = f"""
CREATE TABLE rows (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, time INTEGER,
  payload BLOB NOT NULL, arrays BLOB NOT NULL, hash BLOB NOT NULL
);
CREATE INDEX rows_kind ON rows (kind, id);
CREATE TRIGGER rows_keep BEFORE UPDATE ON rows BEGIN SELECT RAISE(ABORT, 'a session is append-only'); END;
CREATE TRIGGER rows_follow BEFORE INSERT ON rows WHEN NEW.id IS NOT (SELECT ifnull(max(id), 0) + 1 FROM rows)
  BEGIN SELECT RAISE(ABORT, 'a session is append-only'); END;
CREATE TRIGGER rows_stay BEFORE DELETE ON rows BEGIN SELECT RAISE(ABORT, 'a session is append-only'); END;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""


class Row(msgspec.Struct, frozen=True):
    """One entry. ``time`` is int64 ns UTC of whatever clock its writer means, or None; ``payload`` plain data,
    ``arrays`` by name.
    """

    id: int
    kind: str
    time: int | None
    payload: dict[str, Any]
    arrays: dict[str, np.ndarray]


class Journal:
    """A session folder; make one with `create` or `open`. Its methods may be called from any thread of the process.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with Journal.create(f"{folder.name}/session") as journal:
    ...     row = journal.append("note", {"text": "lens normalised"}, time=1_700_000_000_000_000_000)
    >>> with Journal.open(f"{folder.name}/session") as journal:
    ...     [(row.kind, row.payload.get("text")) for row in journal.rows()], journal.verify()
    ([('session', None), ('note', 'lens normalised')], [])
    >>> folder.cleanup()
    """

    def __init__(self, folder: Path, database: sqlite3.Connection, frames: FrameStore, lock: int | None):
        self.folder = folder
        self._database, self._frames, self._lock_file = database, frames, lock
        self._mutex = threading.RLock()
        self._last_id, self._last_hash = self._tail()
        self._counts: dict[str, int] = {}  # frames of each array that have a row
        if lock is not None:
            for row in self.rows("frame"):
                self._counts[row.payload["array"]] = row.payload["index"] + 1

    @classmethod
    def create(cls, folder: str | Path) -> "Journal":
        """A new session. SessionError (a ValueError) if the folder exists or cannot be created; then no files are left."""
        folder = Path(folder).absolute()
        if folder.exists() or folder.is_symlink():
            raise SessionError(folder, "it exists already", "choose another folder for the new session")
        draft = folder.with_name(f".{folder.name}.{os.getpid()}.draft")
        missing_parents = [parent for parent in folder.parents if not parent.exists()]
        try:
            draft.mkdir(parents=True)
            FrameStore.create(draft / "frames.zarr")
            with contextlib.closing(sqlite3.connect(draft / "journal.db", isolation_level=None)) as database:
                database.execute("PRAGMA journal_mode = WAL")
                database.executescript(_SCHEMA)
            (draft / "writer.lock").touch()
            sync(draft)
            os.rename(draft, folder)
            sync(folder.parent)
        except (OSError, sqlite3.Error) as error:
            shutil.rmtree(draft, ignore_errors=True)
            for parent in missing_parents:
                with contextlib.suppress(OSError):
                    parent.rmdir()
            raise SessionError(
                folder, f"it cannot be made ({error})", "choose a folder that you may write to"
            ) from error
        journal = cls.open(folder, write=True)
        journal.append("session", {"format": FORMAT, "created_ns": time.time_ns()})
        return journal

    @classmethod
    def open(cls, folder: str | Path, write: bool = False) -> "Journal":
        """An existing session. SessionError if it is missing, not a session, damaged, or (with ``write``) being
        written by another process.
        """
        folder = Path(folder).absolute()
        path = folder / "journal.db"
        if not folder.is_dir():
            raise SessionError(folder, "there is no such folder", "check the path")
        if not path.is_file():
            raise SessionError(folder, "it has no journal.db", "name a folder made by `emtwin acquire`")
        lock = lock_writer(folder) if write else None
        database = None
        try:
            database = connect_database(path, write)
            application = database.execute("PRAGMA application_id").fetchone()[0]
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if application != _APPLICATION:
                raise SessionError(
                    folder, "its journal.db is not an emtwin journal", "name a folder made by `emtwin acquire`"
                )
            if version != _VERSION:
                raise SessionError(
                    folder, f"it is of format {version}, this emtwin reads {_VERSION}", "use the emtwin that wrote it"
                )
            problems = [row[0] for row in database.execute("PRAGMA quick_check(3)") if row[0] != "ok"]
            if problems:
                raise SessionError(
                    folder, f"its journal.db is damaged ({'; '.join(problems)})", "restore it from a copy"
                )
            try:
                frames = FrameStore(folder / "frames.zarr", write)
            except ValueError as error:
                raise SessionError(folder, str(error), "restore the folder from a copy") from error
            return cls(folder, database, frames, lock)
        except BaseException as error:
            if database is not None:
                database.close()
            if lock is not None:
                os.close(lock)
            if isinstance(error, sqlite3.Error):
                raise SessionError(
                    folder, f"its journal.db cannot be read ({error})", "restore it from a copy"
                ) from error
            raise

    # --- writing

    def append(
        self, kind: str, payload: dict[str, Any], time: int | None = None, arrays: dict[str, np.ndarray] | None = None
    ) -> int:
        """Write one row; its id. ``payload`` is plain data (numbers, text, lists, dicts, msgspec Structs, numpy
        arrays); PayloadError if not.
        """
        return self._commit([(kind, _moment(time), pack(payload), pack(arrays or {}))])

    def append_readings(self, batches: Sequence[Readings]) -> int:
        """Write one row a batch, all in one commit; the id of the last row (of the newest row if there is no batch)."""
        return self._commit(
            [
                (
                    "readings",
                    int(batch.times[0]) if len(batch.times) else None,
                    pack({"channel": batch.channel, "first": batch.first}),
                    pack({"times": batch.times, "values": batch.values}),
                )
                for batch in batches
            ]
        )

    def append_frame(self, frame: Frame) -> int:
        """Write a frame's pixels, then its row of kind "frame"; the row's id. The pixels come back with `frame`."""
        with self._mutex:
            self._must_write()
            array = self._frames.array_for(frame.data)
            index = self._counts.get(array, 0)
            try:
                digest = self._frames.write(array, index, frame.data)
            except OSError as error:
                raise SessionError(self.folder, f"a frame cannot be written ({error})", "see to its disk") from error
            self._counts[array] = (
                index + 1
            )  # before the row: after an interruption the index is skipped, not used twice
            claims = {name: getattr(frame, name) for name in frame.__struct_fields__ if name != "data"}
            payload = pack({"array": array, "index": index, "sha256": digest, **claims})
            return self._commit([("frame", _moment(frame.start), payload, pack({}))])

    def _commit(self, items: list[tuple[str, int | None, bytes, bytes]]) -> int:
        with self._mutex:
            self._must_write()
            last_id, last_hash = self._last_id, self._last_hash
            rows = []
            for kind, time_ns, payload, arrays in items:
                last_id, last_hash = last_id + 1, _link(last_hash, kind, time_ns, payload, arrays)
                rows.append((last_id, kind, time_ns, payload, arrays, last_hash))
            if rows:
                try:
                    self._database.execute("BEGIN IMMEDIATE")
                    self._database.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", rows)
                    self._database.execute("COMMIT")
                    self._last_id, self._last_hash = last_id, last_hash
                except BaseException as error:
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
                    self._last_id, self._last_hash = self._tail()  # an interruption may come right after the commit
                    if isinstance(error, sqlite3.Error):
                        raise SessionError(self.folder, f"it cannot be written ({error})", "see to its disk") from error
                    raise
            return last_id

    def _must_write(self) -> None:
        if self._lock_file is None:
            raise SessionError(self.folder, "it was opened for reading", "open it with write=True")

    def _tail(self) -> tuple[int, bytes]:
        newest = self._database.execute("SELECT id, hash FROM rows ORDER BY id DESC LIMIT 1").fetchone()
        return newest or (0, _GENESIS)

    # --- reading

    def hashes(self) -> tuple[bytes, bytes]:
        """Hashes of the first row, which is a session's own, and of the last, which stands for all that was written until now."""
        first = self._database.execute("SELECT hash FROM rows WHERE id = 1").fetchone()
        return (bytes(first[0]) if first else _GENESIS), self._tail()[1]

    def rows(self, kind: str | None = None, after_id: int = 0) -> Iterator[Row]:
        """Rows in order, of one kind or all, with ids above ``after_id``. SessionError at one that cannot be read."""
        for number, name, time_ns, payload, arrays, _ in self._raw(kind, after_id):
            try:
                content, named_arrays = unpack(payload), unpack(arrays)
                if not isinstance(content, dict) or not isinstance(named_arrays, dict):
                    raise PayloadError("not a table")
            except PayloadError as error:
                raise SessionError(
                    self.folder, f"row {number} is damaged ({error})", "restore it from a copy"
                ) from error
            yield Row(number, name, time_ns, content, named_arrays)

    def readings(self, after_id: int = 0) -> Iterator[tuple[int, Readings]]:
        """Batches of readings as they were appended, each with its row's id."""
        for row in self.rows("readings", after_id):
            yield (
                row.id,
                Readings(row.payload["channel"], row.payload["first"], row.arrays["times"], row.arrays["values"]),
            )

    def frame(self, row: Row | int) -> Frame:
        """The frame of a row of kind "frame" (or of the row of that id), its pixels checked. SessionError if they are
        damaged or missing.
        """
        if isinstance(row, int):
            frame_row = next(iter(self.rows("frame", row - 1)), None)
            if frame_row is None or frame_row.id != row:
                raise SessionError(self.folder, f"row {row} is not a frame", "ask for a row of kind frame")
            row = frame_row
        claims = dict(row.payload)
        try:
            array, index, digest = claims.pop("array"), claims.pop("index"), claims.pop("sha256")
            data = self._frames.read(array, index, digest)
            return cast(Frame, msgspec.convert({**claims, "data": data}, Frame, dec_hook=lambda kind, item: item))
        except (KeyError, ValueError) as error:
            raise SessionError(
                self.folder, f"the frame of row {row.id} cannot be read: {error}", "restore the folder from a copy"
            ) from error

    def verify(self) -> list[str]:
        """Problems of the session as sentences: broken links of the hash chain, damaged or missing chunks. Empty if there
        are none.
        """
        problems = []
        expected_hash, expected_id = _GENESIS, 1
        try:
            for number, kind, time_ns, payload, arrays, stored_hash in self._raw(None, 0):
                if number != expected_id:
                    problems.append(f"rows {expected_id} to {number - 1} are missing")
                expected_hash, expected_id = _link(expected_hash, kind, time_ns, payload, arrays), number + 1
                if expected_hash != stored_hash:
                    problems.append(f"row {number} ({kind}) does not fit the chain: it or a row before it was changed")
                    expected_hash = stored_hash
                if kind == "frame":
                    problems.extend(self._verify_frame(number, payload))
        except (SessionError, sqlite3.Error) as error:
            problems.append(f"the log cannot be read beyond row {expected_id - 1} ({error})")
        return problems

    def _verify_frame(self, number: int, payload: bytes) -> list[str]:
        try:
            claims = unpack(payload)
            self._frames.check(claims["array"], claims["index"], claims["sha256"])
        except (KeyError, TypeError, ValueError) as error:
            return [f"the frame of row {number} is damaged: {error}"]
        return []

    def _raw(self, kind: str | None, after_id: int) -> Iterator[tuple[int, str, int | None, bytes, bytes, bytes]]:
        """Rows in pages of 32; the lock is released between pages."""
        while True:
            with self._mutex:
                condition, values = ("", ()) if kind is None else (" AND kind = ?", (kind,))
                query = f"SELECT id, kind, time, payload, arrays, hash FROM rows WHERE id > ?{condition} ORDER BY id LIMIT 32"
                try:
                    page = self._database.execute(query, (after_id, *values)).fetchall()
                except sqlite3.Error as error:
                    raise SessionError(
                        self.folder, f"its journal.db cannot be read ({error})", "restore it from a copy"
                    ) from error
            if not page:
                return
            yield from page
            after_id = page[-1][0]

    def __repr__(self) -> str:
        return f"<Journal {self.folder.name}, open for {'reading' if self._lock_file is None else 'writing'}>"

    def _repr_html_(self) -> str:
        """How many rows of each kind it holds, and from when to when."""
        query = "SELECT kind, count(*), min(time), max(time) FROM rows GROUP BY kind ORDER BY min(id)"
        try:
            with self._mutex:
                kinds = self._database.execute(query).fetchall()
        except sqlite3.Error as error:
            return table(repr(self)[1:-1], (), (), alerts=[str(error)])
        rows = [
            (kind, str(count), *("" if at is None else utc(at) for at in (first, last)))
            for kind, count, first, last in kinds
        ]
        return table(
            f"session {self.folder.name}",
            ("kind", "rows", "from (UTC)", "to (UTC)"),
            rows,
            [str(self.folder)],
            align="lrl",
        )

    def close(self) -> None:
        """Close the files; may be called twice."""
        with self._mutex:
            self._database.close()
            if self._lock_file is not None:
                os.close(self._lock_file)
                self._lock_file = None

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _moment(time_ns: Any) -> int | None:
    """A plain int that fits SQLite's 64 bits. ValueError."""
    if time_ns is None:
        return None
    if not -(2**63) <= (plain := operator.index(time_ns)) < 2**63:
        raise ValueError(f"time {plain} does not fit 64 bits; give nanoseconds UTC")
    return plain


def _link(previous: bytes, kind: str, time_ns: int | None, payload: bytes, arrays: bytes) -> bytes:
    name = kind.encode()
    moment = b"" if time_ns is None else struct.pack("<q", time_ns)
    digest = hashlib.sha256(previous)
    for part in (name, moment, payload, arrays):
        digest.update(struct.pack("<Q", len(part)))
        digest.update(part)
    return digest.digest()
