"""The column from its currents, and images as sensors: every part in a process of its own, two at a time.

Lenses and columns against closed forms and integrated rays; three files of a Themis; calibration on columns of another form; lattices, disks, rotation and
Thon rings; HAADF images; position-averaged CBED; aberrations of films and crystals, and the choice of exposures;
the walking twin with chosen alignment images.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.benchmarks._belief_judge import case
from tests.benchmarks._runs import ONE_THREAD, ROOT

PARTS = ("aberrations", "walk", "thickness", "haadf", "lattice", "calibration", "themis", "lenses")
"""The longest first."""


def cases(short: bool, progress: Callable[..., None], jobs: int | None = None) -> list[dict[str, Any]]:
    """All numbers; if ``short`` a few trials of each part, and no bars that need many. ``jobs`` parts at a time, as many as cores if None."""
    begun = time.monotonic()
    together = jobs or min(2, len(os.sched_getaffinity(0)))
    found: dict[str, list[dict[str, Any]]] = {}
    with ThreadPoolExecutor(together) as pool:
        running = {name: pool.submit(_part, name, short) for name in PARTS}
        for number, (name, part) in enumerate(running.items()):
            found[name] = part.result()
            progress(f"{name} is done", (number + 1) / len(PARTS))
    spent, bar = time.monotonic() - begun, 300.0 if short else 3600.0
    told = [one for name in reversed(PARTS) for one in found[name]]
    return [*told, case("time of the whole", spent, "s", f"<= {bar:g}", spent <= bar)]


def _part(name: str, short: bool) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.benchmarks._column_part", name, *(["--short"] if short else [])]
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    if ended.returncode:
        raise RuntimeError(f"the part {name!r} ended with {ended.returncode}; its own words are above")
    return json.loads(ended.stdout.splitlines()[-1])
