"""The library on disk: one SQLite file, which several processes may write.

The file is ``--library``, else ``EMTWIN_LIBRARY``, else ``emtwin/library.db`` in the user's data folder. Writers take
turns: each change is one transaction that waits for the others (write-ahead log, `WAIT` seconds), and either all
recordings of a file come in or none.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from scenarios.io.errors import BadInput
from scenarios.library.record import Record

_APPLICATION, _VERSION = 0x656D6C69, 1  # "emli"
WAIT = 30.0
"""Seconds that a writer waits for others."""
_TABLE = """CREATE TABLE IF NOT EXISTS records ( id INTEGER PRIMARY KEY AUTOINCREMENT, identity TEXT NOT NULL, part
         INTEGER NOT NULL, digest TEXT NOT NULL, added_ns INTEGER NOT NULL, technique TEXT NOT NULL, elements TEXT NOT
         NULL, dose REAL, content TEXT NOT NULL, reached TEXT NOT NULL, planned TEXT, UNIQUE (identity, part) )
         """
Change = Literal["added", "updated", "known"]


def library_file() -> Path:
    """The library's file where none is named."""
    if named := os.environ.get("EMTWIN_LIBRARY"):
        return Path(named)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "emtwin" / "library.db"


class Library:
    """A library; made where it is missing, if ``create``. BadInput for a file that is none, is damaged, or cannot be
    written.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with Library(Path(folder.name) / "library.db", create=True) as library:
    ...     library.records()
    []
    >>> folder.cleanup()
    """

    def __init__(self, path: Path | None = None, create: bool = False):
        self.path = Path(path) if path is not None else library_file()
        if not self.path.exists() and not create:
            raise BadInput(str(self.path), "there is no library", "Add a session or a file first: emtwin library add.")
        with self._refusals():
            if create:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)
            try:
                self._prepare(create)
            except BaseException:
                self._database.close()
                raise

    def _prepare(self, create: bool) -> None:
        """Check that the file is a library, and make it one where it is empty."""
        application = self._database.execute("PRAGMA application_id").fetchone()[0]
        tables = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application not in (0, _APPLICATION) or (application == 0 and tables):
            raise BadInput(str(self.path), "is a database of something else", "Name another file with --library.")
        if application == 0 and not create:
            raise BadInput(str(self.path), "is empty", "Add a session or a file first: emtwin library add.")
        if application == 0:
            self._write_ahead()
            with self._transaction():
                self._database.execute(_TABLE)
                self._database.execute(f"PRAGMA application_id = {_APPLICATION}")
                self._database.execute(f"PRAGMA user_version = {_VERSION}")
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version != _VERSION:
            raise BadInput(
                str(self.path),
                f"is of version {version}, not {_VERSION}",
                "Use the emtwin that wrote it, or another file.",
            )

    def _write_ahead(self) -> None:
        """Switch to the write-ahead log. SQLite does not wait here for another process that does the same, so that it
        is asked again.
        """
        until = time.monotonic() + WAIT
        while True:
            try:
                self._database.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        """What SQLite and the file system refuse, as BadInput."""
        try:
            yield
        except sqlite3.OperationalError as error:
            cure = "Wait for the other process, or check that the file may be written."
            raise BadInput(str(self.path), f"cannot be used ({error})", cure) from None
        except sqlite3.DatabaseError as error:
            raise BadInput(
                str(self.path), f"is no library, or damaged ({error})", "Name another file with --library."
            ) from None
        except OSError as error:
            raise BadInput(
                str(self.path), f"cannot be made ({error.strerror or error})", "Name another file with --library."
            ) from None

    def add(self, records: Sequence[Record]) -> list[Change]:
        """Store all ``records``, or none. What is stored already is "known"; a session that has gone on since, or
        another plan or outcome, is "updated".
        """
        with self._refusals(), self._transaction():
            return [self._put(record) for record in records]

    def _put(self, record: Record) -> Change:
        key = (record.identity, record.part)
        query = "SELECT digest, reached, planned FROM records WHERE identity = ? AND part = ?"
        stored = self._database.execute(query, key).fetchone()
        reached, planned = dict(record.reached), record.planned
        if stored is not None:
            before = msgspec.json.decode(stored[2]) if stored[2] is not None else None
            # What was added later stays: a plan, and outcomes that the session itself does not state.
            reached, planned = msgspec.json.decode(stored[1]) | reached, before if planned is None else planned
            if stored[0] == record.digest and planned == before and reached == msgspec.json.decode(stored[1]):
                return "known"
        content = record.as_dict()
        for name in ("id", "reached", "planned", "identity", "digest", "part"):
            content.pop(name, None)
        values = (
            *key, record.digest, time.time_ns(), record.technique, " ".join(record.elements), record.dose,
            _json(content), _json(reached), None if planned is None else _json(planned),
        )  # fmt: skip
        columns = "identity, part, digest, added_ns, technique, elements, dose, content, reached, planned"
        update = ", ".join(f"{name} = excluded.{name}" for name in columns.split(", ")[2:])
        self._database.execute(
            f"INSERT INTO records ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (identity, part) DO UPDATE SET {update}",
            values,
        )
        return "added" if stored is None else "updated"

    def records(self) -> list[Record]:
        """All records, in the order in which they came in."""
        query = "SELECT id, identity, part, digest, content, reached, planned FROM records ORDER BY id"
        with self._refusals():
            rows = self._database.execute(query).fetchall()
        try:
            return [_record(row) for row in rows]
        except msgspec.MsgspecError as error:
            raise BadInput(
                str(self.path), f"holds a record that cannot be read ({error})", "Make a new library."
            ) from None

    def remove(self, ids: Sequence[int]) -> int:
        """Remove records by their numbers; returns how many. BadInput, and nothing is removed, where one of them does
        not exist.
        """
        with self._refusals(), self._transaction():
            for number in ids:
                if not self._database.execute("DELETE FROM records WHERE id = ?", (number,)).rowcount:
                    raise BadInput(str(number), f"no record of {self.path} has this number", "See emtwin library list.")
        return len(ids)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> "Library":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _record(row: tuple[int, str, int, str, str, str, str | None]) -> Record:
    number, identity, part, digest, content, reached, planned = row
    record = msgspec.json.decode(content)
    record |= {
        "id": number,
        "identity": identity,
        "part": part,
        "digest": digest,
        "reached": msgspec.json.decode(reached),
    }
    record["planned"] = None if planned is None else msgspec.json.decode(planned)
    return msgspec.convert(record, Record)
