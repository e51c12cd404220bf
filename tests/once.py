"""Files shared by tests and costly to compute: made once in a test run, by the first process that needs them."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

FOLDER = "EMTWIN_TEST_RUN"
"""Environment variable with the folder of this test run, which `conftest.py` makes and takes away again."""


def run_folder(name: str) -> Path:
    """A folder that all processes of this test run share."""
    folder = Path(os.environ[FOLDER]) / name
    folder.mkdir(exist_ok=True)
    return folder


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """The file ``name`` of this test run. ``make`` writes it to the path it is given; others who ask meanwhile wait for that."""
    path = run_folder("once") / name
    with path.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            part = path.with_name(f"part-{name}")
            make(part)
            part.rename(path)
    return path
