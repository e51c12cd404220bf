"""Files that land in a folder while ``emtwin validate FOLDER --follow`` runs: how long after each its verdicts are told."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.benchmarks.validate.folder import write_recording
from tests.benchmarks.validate.recordings.images import image
from tests.benchmarks.validate.recordings.others import core
from tests.benchmarks.validate.recordings.patterns import spots

FILES = (24, 8, 4)
"""Files of the whole, short and smoke form: images, patterns, spectra and large images in turn."""
LARGE = 1024
"""Pixels along each side of every fourth file."""
LIMIT = 2.0
EVERY = 2.5
"""Seconds between two files, as of a fast user."""
START, LONGEST = 120.0, 60.0
"""Seconds within which the command says that it follows, and within which a file is told."""


def cases(short: Form) -> list[Case]:
    """Median and longest time from the landing of a file (renamed into the folder) to its line on the terminal."""
    with tempfile.TemporaryDirectory() as folder:
        waiting, landing = Path(folder, "waiting"), Path(folder, "landing")
        waiting.mkdir()
        landing.mkdir()
        names = _make(waiting, FILES[short])
        latencies = _follow(waiting, landing, names)
    worst = float(np.max(latencies))
    return [
        case(f"{len(names)} files that land, until told, median", float(np.median(latencies)), "s", "", None),
        case("longest", worst, "s", f"< {LIMIT:g}", worst < LIMIT if short is Form.WHOLE else None),
    ]


def _make(folder: Path, count: int) -> list[str]:
    makers = (
        lambda seed: image(3 * seed),
        lambda seed: spots(3 * seed),
        core,
        lambda seed: image(3 * seed, pixels=LARGE),
    )
    names = []
    for number in range(count):
        name = f"{number:03d}.hspy"
        write_recording(makers[number % len(makers)](4000 + number), folder / name)
        names.append(name)
    return names


def _follow(waiting: Path, landing: Path, names: list[str]) -> list[float]:
    """Seconds from the landing of each file to the line that tells of it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "scenarios.cli.main", "validate", str(landing), "--follow", "--specimen", "SrTiO3"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    told: dict[str, float] = {}
    news = threading.Condition()

    def read() -> None:
        assert running.stdout is not None
        for line in running.stdout:
            with news:
                if "waiting for files" in line:
                    told.setdefault("", time.monotonic())
                told.update({name: time.monotonic() for name in names if name in line and name not in told})
                news.notify_all()

    threading.Thread(target=read, daemon=True).start()

    def wait(name: str, seconds: float) -> None:
        with news:
            if not news.wait_for(lambda: name in told, seconds):
                raise TimeoutError(f"nothing was told of {name or 'the start'} within {seconds:g} s")

    try:
        wait("", START)
        latencies = []
        for name in names:
            landed = time.monotonic()
            shutil.move(waiting / name, landing / name)
            wait(name, LONGEST)
            latencies.append(told[name] - landed)
            time.sleep(max(EVERY - latencies[-1], 0.0))
        return latencies
    finally:
        running.terminate()
        running.wait()
