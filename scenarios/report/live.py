"""The report of a running session, updated by a separate process."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

from twin.cache_folder import cores

EVERY, EVERY_ALONE = 20.0, 60.0
"""Seconds between two updates, each of which takes some seconds of a core; and on a machine with a single core."""
MAX_DRAWING_SHARE = 0.2
"""Largest share of the time spent drawing: on a slow or busy machine updates are less frequent."""
LOW_PRIORITY = 15
"""Niceness of the drawing process: the session goes first."""


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
        """Start an update, unless one is running or was done recently."""
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
        with contextlib.suppress(OSError):  # it has ended already
            os.setpriority(os.PRIO_PROCESS, self._process.pid, LOW_PRIORITY)

    def close(self) -> None:
        """End a drawing that is under way."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> "LiveReport":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
