"""Sessions of questions killed at a random moment, resumed, and compared with an undisturbed one.

The process is ended by SIGKILL; its microscope ends by itself. A session that was killed before its first image was done says that there is nothing to
resume, and is begun anew.
"""

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.benchmarks.acquire.processes import emtwin

QUESTIONS = ("focus-srtio3", "se-vacancy-wse2")
KILLS = {Form.WHOLE: 50, Form.SHORT: 6, Form.SMOKE: 1}
SEED = 0
LONGEST = 900.0
TIMES = ("seconds", "decision_seconds", "seconds_until_ready")
"""Of a result that no two sessions have alike."""


def cases(short: Form, progress: Callable[..., None], seeds: int | None = None) -> list[Case]:
    """Of each question, how many sessions end as the undisturbed one does."""
    rows: list[Case] = []
    for question in QUESTIONS[: 1 if short is Form.SMOKE else None]:
        rows += _cases(question, seeds or KILLS[short], progress)
    return rows


def _cases(question: str, count: int, progress: Callable[..., None]) -> list[Case]:
    with tempfile.TemporaryDirectory(prefix="emtwin-kills-") as scratch:
        progress(f"{question}: undisturbed")
        _ended(["acquire", question, "--seed", str(SEED), "--out", str(Path(scratch) / "warm")])
        start = time.monotonic()
        whole = _ended(["acquire", question, "--seed", str(SEED), "--out", str(Path(scratch) / "whole")])
        seconds = time.monotonic() - start
        same, anew, late = 0, 0, 0
        for number, moment in enumerate(seconds * np.random.default_rng(SEED).random(count)):
            progress(f"{question}: killed after {moment:.1f} s, {number + 1} of {count}")
            folder = Path(scratch) / f"killed-{number}"
            process = emtwin(["acquire", question, "--seed", str(SEED), "--out", str(folder), "--json"])
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=moment)
                late += 1  # it had ended already
            process.kill()
            process.communicate()
            again = _resumed(folder) if folder.exists() else None
            if again is None:
                anew += 1
                again = _ended(["acquire", question, "--seed", str(SEED), "--out", f"{folder}-anew"])
            same += _alike(again, whole)
    return [
        case(f"{question}: killed sessions whose end is the undisturbed one's", same, "", f"{count} of {count}", same == count),
        case(f"{question}: of these killed before there was anything to resume", anew),
        case(f"{question}: of these killed after their end", late),
        case(f"{question}: seconds of the undisturbed session", seconds, "s"),
    ]  # fmt: skip


def _ended(arguments: list[str]) -> dict[str, Any]:
    process = emtwin([*arguments, "--json"])
    try:
        stdout, stderr = process.communicate(timeout=LONGEST)
    finally:
        process.kill()
    if process.returncode not in (0, 1):
        raise RuntimeError(f"emtwin {' '.join(arguments)} ended with {process.returncode}: {stderr[-1500:]}")
    return json.loads(stdout)


def _resumed(folder: Path) -> dict[str, Any] | None:
    """The result of the session that goes on; None where it says that there is nothing to resume."""
    process = emtwin(["acquire", "--resume", str(folder), "--json"])
    try:
        stdout, stderr = process.communicate(timeout=LONGEST)
    finally:
        process.kill()
    if process.returncode in (0, 1):
        return json.loads(stdout)
    message = stdout + stderr
    if process.returncode == 2 and "complete" in message:
        shown = emtwin(["session", "show", str(folder), "--json"]).communicate(timeout=LONGEST)[0]
        return json.loads(shown)["result"]
    # before its first image, before its scenario was recorded, or before its journal was made
    if process.returncode == 2 and any(words in message for words in ("before its", "no journal", "not a session")):
        return None
    raise RuntimeError(f"resuming {folder.name} ended with {process.returncode}: {message[-1500:]}")


def _alike(resumed: dict[str, Any], whole: dict[str, Any]) -> bool:
    return all(resumed.get(key) == value for key, value in whole.items() if key not in TIMES)
