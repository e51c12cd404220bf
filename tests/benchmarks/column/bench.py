"""Benchmark of the column model and of measurements from images: every part in a process of its own, two at a time.

Lenses and columns against closed forms and integrated rays; three files of a Themis; calibration on columns of another form; lattices, disks, rotation and
Thon rings; HAADF images; position-averaged CBED; aberrations of films and crystals, and the choice of exposures;
`emtwin acquire` with chosen alignment images.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tests.benchmarks._case import case
from tests.benchmarks._code import PACKAGES, ROOT, code_key
from tests.benchmarks._form import Form
from tests.benchmarks.acquire.runs import ONE_THREAD

HERE = Path(__file__).resolve().parent
PARTS = ("alignment", "aberrations", "thickness", "haadf", "lattice", "calibration", "themis", "lenses")
"""The longest first."""


def cases(
    short: Form,
    progress: Callable[..., None],
    jobs: int | None = None,
    work: Path | None = None,
    parts: Sequence[str] = PARTS,
) -> list[dict[str, Any]]:
    """All numbers of these ``parts``; if ``short`` a few trials of each part, and no bars that need many. ``jobs`` parts at a time, as many as cores if
    None. ``work`` keeps what each part found, and parts that an interrupted run of the same form and code kept there are not run again."""
    start = time.monotonic()
    if work is not None:
        work = work / f"{code_key(*sorted(HERE.glob('*.py')), *PACKAGES)}-{short.name.lower()}"
    workers = jobs or min(2, len(os.sched_getaffinity(0)))
    reused = [name for name in parts if work is not None and (work / f"{name}.json").is_file()]
    cases_by_part: dict[str, list[dict[str, Any]]] = {}
    with ThreadPoolExecutor(workers) as pool:
        running = {pool.submit(_part, name, short, work): name for name in parts}
        for number, future in enumerate(as_completed(running)):
            name = running[future]
            cases_by_part[name] = future.result()
            missed = [row["case"] for row in cases_by_part[name] if row["holds"] is False]
            progress(f"{name} is done{', missed: ' if missed else ''}{'; '.join(missed)}", (number + 1) / len(parts))
    seconds, bar = time.monotonic() - start, 300.0 if short else 3600.0
    rows = [row for name in reversed(parts) for row in cases_by_part[name]]
    total = case("time of the whole", seconds, "s", f"<= {bar:g}", seconds <= bar)
    if reused:
        total = case("time of the whole", None, "s", f"not measured: kept from before: {', '.join(reused)}", None)
    return [*rows, total]


def _part(name: str, short: Form, work: Path | None) -> list[dict[str, Any]]:
    file = None if work is None else work / f"{name}.json"
    if file is not None and file.is_file():
        return json.loads(file.read_text())
    command = [sys.executable, "-m", "tests.benchmarks.column.part", name, f"--{short.name.lower()}"]
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    if ended.returncode:
        raise RuntimeError(f"the part {name!r} ended with {ended.returncode}; its own words are above")
    output = ended.stdout.splitlines()[-1]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".part").write_text(output)
        file.with_suffix(".part").replace(file)
    return json.loads(output)
