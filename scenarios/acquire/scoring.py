"""Scoring against the hidden truth, in a process of its own after the microscope was sealed: the process of the twin never reads the ticket."""

import subprocess
import sys
from pathlib import Path

from instrument.remote.launch import Launched
from scenarios.io.progress import Progress

LONGEST = 300.0
"""Seconds."""


def scored_by(module: str, folder: Path, launched: Launched, progress: Progress) -> bytes:
    """What ``python -m module SESSION TICKET`` prints. RuntimeError with the end of its stderr where it fails."""
    progress.stage("scoring against the truth")
    command = [sys.executable, "-m", module, str(folder), str(launched.ticket)]
    done = subprocess.run(command, capture_output=True, timeout=LONGEST, check=False)
    if done.returncode:
        raise RuntimeError(f"scoring failed: {done.stderr.decode(errors='replace').strip()[-2000:]}")
    return done.stdout
