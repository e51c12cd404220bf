"""`emtwin acquire` run as a command: time and memory with an empty cache, and a run whose simulated microscope is killed."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks._code import ROOT


def emtwin(arguments: list[str], cache: Path | None = None) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | ({"EMTWIN_CACHE": str(cache)} if cache else {})
    command = [sys.executable, "-m", "scenarios.cli.main", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, env=environment)


def _tree_memory(process: int) -> int:
    """Resident bytes of a process and all its descendants."""
    import psutil

    total = 0
    try:
        parent = psutil.Process(process)
        for member in [parent, *parent.children(recursive=True)]:
            try:
                total += member.memory_info().rss
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
    except psutil.NoSuchProcess:
        return total
    return total


def timed(arguments: list[str], cache: Path) -> tuple[float, float, dict[str, Any]]:
    """Seconds, peak memory of all processes together (GiB), and the JSON result. RuntimeError unless it ends with 0 or 1."""
    start, peak, over = time.monotonic(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.2):
            peak = max(peak, _tree_memory(process.pid))

    process = emtwin(arguments, cache)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        stdout, stderr = process.communicate(timeout=1800)
    finally:
        process.kill()
        over.set()
        watcher.join()
    seconds = time.monotonic() - start
    if process.returncode not in (0, 1):
        raise RuntimeError(
            f"emtwin {' '.join(arguments)} ended with {process.returncode}: {stdout[-500:]} {stderr[-1500:]}"
        )
    return seconds, peak / 2**30, json.loads(stdout)


def _microscope(process: int) -> Any:
    import psutil

    for child in psutil.Process(process).children(recursive=True):
        if "instrument.remote.launch" in child.cmdline():
            return child
    raise RuntimeError("emtwin acquire has no simulated microscope among its processes")


def _requests(folder: Path) -> int:
    from instrument.core.journal import Journal, SessionError

    try:
        with Journal.open(folder) as journal:
            return sum(1 for _ in journal.rows(kind="checkpoint"))
    except SessionError:
        return 0


def _requests_of(folder: Path) -> dict[int, Any]:
    from instrument.core.journal import Journal

    with Journal.open(folder) as journal:
        return {row.payload["index"]: row for row in journal.rows(kind="request")}


def killed_and_resumed(scenario: str, requests_before_kill: int) -> dict[str, Any]:
    """The simulated microscope killed once ``requests_before_kill`` requests are done: seconds until the command ended saying so, its exit code and
    message, problems of the session left behind, and the largest difference of the resumed session from an uninterrupted one.
    """
    with tempfile.TemporaryDirectory(prefix="emtwin-killed-") as scratch:
        folder = Path(scratch)
        (folder / "scenario.toml").write_text(scenario)
        complete, broken = folder / "whole", folder / "broken"
        process = emtwin(["acquire", str(folder / "scenario.toml"), "--out", str(broken), "--json"])
        try:
            while _requests(broken) < requests_before_kill:
                if process.poll() is not None:
                    raise RuntimeError(f"emtwin ended too early with {process.returncode}: {process.communicate()}")
                time.sleep(0.02)
            _microscope(process.pid).kill()
            start = time.monotonic()
            stdout, stderr = process.communicate(timeout=120)
        finally:
            process.kill()
        seconds = time.monotonic() - start
        summary_command = emtwin(["session", "show", str(broken), "--json"])
        summary = json.loads(summary_command.communicate(timeout=120)[0])
        resuming = emtwin(["acquire", "--resume", str(broken), "--json"])
        straight = emtwin(["acquire", str(folder / "scenario.toml"), "--out", str(complete), "--json"])
        try:
            resumed, complaint = resuming.communicate(timeout=900)
            expected, _ = straight.communicate(timeout=900)
        finally:
            resuming.kill()
            straight.kill()
        if resuming.returncode not in (0, 1) or straight.returncode not in (0, 1):
            raise RuntimeError(f"resuming ended with {resuming.returncode}: {resumed[-500:]} {complaint[-1500:]}")
        return {
            "seconds": seconds,
            "code": process.returncode,
            "message": stdout.strip() or stderr.strip(),
            "readable": summary_command.returncode == 0
            and summary["resumable"]
            and summary["requests"] >= requests_before_kill,
            "problems": summary["problems"],
            "same": _same_result(json.loads(resumed), json.loads(expected)),
            "difference": _difference(_requests_of(broken), _requests_of(complete)),
        }


def _same_result(resumed: dict[str, Any], expected: dict[str, Any]) -> bool:
    return all(resumed[key] == expected[key] for key in expected if key != "seconds")


def _difference(resumed: dict[int, Any], expected: dict[int, Any]) -> float:
    """Largest difference of any array of any request, relative to the array's largest value; inf where decisions differ."""
    worst = 0.0
    if resumed.keys() != expected.keys():
        return float("inf")
    for index, row in resumed.items():
        reference = expected[index]
        if row.payload["decision"] != reference.payload["decision"] or row.arrays.keys() != reference.arrays.keys():
            return float("inf")
        for name, values in row.arrays.items():
            scale = max(float(np.abs(reference.arrays[name]).max()), 1e-300)
            worst = max(worst, float(np.abs(values - reference.arrays[name]).max()) / scale)
    return worst
