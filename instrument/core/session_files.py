"""Files of a session folder: the database opened, the writer's lock, and the error of a folder that cannot be used."""

import fcntl
import os
import sqlite3
from pathlib import Path


class SessionError(ValueError):
    """A session folder that cannot be used; the message names it, what is wrong, and what to do."""

    def __init__(self, path: Path, problem: str, cure: str):
        super().__init__(f"session {path}: {problem}; {cure}")
        self.path, self.problem, self.cure = path, problem, cure


def connect_database(path: Path, write: bool) -> sqlite3.Connection:
    mode = "rw" if write else "ro"
    if not write and not os.access(path.parent, os.W_OK) and not path.with_name("journal.db-wal").exists():
        mode = "ro&immutable=1"  # SQLite would make its shared-memory file, and may not; without a log nobody writes
    database = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=10.0
    )
    database.execute("PRAGMA synchronous = FULL")
    return database


def lock_writer(folder: Path) -> int:
    """Hold the writer's lock for as long as the descriptor is open; it falls with the process, however that ends."""
    try:
        descriptor = os.open(folder / "writer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise SessionError(folder, f"it cannot be written ({error.strerror})", "check who may write to it") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise SessionError(
            folder, f"process {holder or '(unknown)'} is writing to it", "wait for its end, or open it for reading"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
