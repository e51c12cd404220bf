"""Waiting for other processes and threads. The time limit is only reached by a program that hangs."""

import subprocess
import time
from collections.abc import Callable

PATIENCE = 300.0
"""Seconds after which something counts as hung, on however slow a machine."""


def until(condition: Callable[[], object], expectation: str) -> None:
    """Wait until ``condition`` holds; AssertionError, saying that ``expectation`` never came, if that takes longer than `PATIENCE`."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, f"{expectation} never came"
        time.sleep(0.01)


def stderr_until(process: subprocess.Popen, text: str) -> str:
    """The stderr of a process up to a line with ``text``; AssertionError if it ends before."""
    assert process.stderr is not None
    output = ""
    for line in process.stderr:
        output += line
        if text in line:
            return output
    raise AssertionError(f"{text!r} never came:\n{output}")


def ended(process: subprocess.Popen) -> tuple[int, str, str]:
    """Exit code, stdout and stderr (what of it is not read yet) of a process, once it has ended."""
    with process:
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except BaseException:
            process.kill()
            raise
    return process.returncode, out, err


def is_running(pid: int) -> bool:
    """Whether there is such a process, one that has ended and waits for its parent left out."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
