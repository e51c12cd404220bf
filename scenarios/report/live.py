"""The report of a session while it runs: drawn by a process of its own beside it, so that there is something to look at soon."""

import subprocess
import sys
import time
from pathlib import Path

from scenarios.io.cache import cores

EVERY, EVERY_ALONE = 20.0, 60.0
"""Seconds between two drawings, each of which takes some seconds of a core; and where the session has but one."""
MAX_DRAWING_SHARE = 0.2
"""At most this share of the time is spent drawing: on a slow or busy machine drawings are further apart."""


class LiveReport:
    """Keeps ``folder/report.html`` up to date from the session's journal. Use as a context manager; at its end no drawing is under way.

    A drawing that fails leaves the last one in place: the report at the end of the session says what is wrong.
    """

    def __init__(self, folder: Path, every: float | None = None):
        self.folder = folder
        self.every = (EVERY if cores() > 1 else EVERY_ALONE) if every is None else every
        self._process: subprocess.Popen[bytes] | None = None
        self._begun, self._next = 0.0, -float("inf")

    def refresh(self) -> None:
        """Draw it anew, unless that is being done, or was done a short while ago."""
        now = time.monotonic()
        if self._process is not None:
            if self._process.poll() is None:
                self._next = self._begun + max(self.every, (now - self._begun) / MAX_DRAWING_SHARE)
                return
            if now < self._next:
                return
        self._begun, self._next = now, now + self.every
        command = [sys.executable, "-m", "scenarios.report.page", str(self.folder)]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, process_group=0)

    def close(self) -> None:
        """End a drawing that is under way."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> "LiveReport":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
