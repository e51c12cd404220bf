"""A session whose microscope is killed, and whose user interrupts it: told at once, readable, and resumed to the very same end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCENARIO = """
name = "small"
kind = "tune-and-map"
tolerance = 0.1
audit_share = 0.2
focusing = 1
max_dose_share = 0.9

[instrument.config]
repeats_xy = 2
cells = 6
wedge_swing = 1.0
gpts = 96
phonon_configs = 1
slices_per_cell = 2
specimen_seed = 0

[twin.priors]
thickness = [23.4, 4.0]

[requests]
count = 5
sites = 2
duration = 120.0
spacing = 2.0
"""


class Emtwin:
    """Runs the command in a folder, with caches of its own that all runs share."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "small.toml").write_text(SCENARIO)
        cache = folder / "cache"
        self.environment = {
            **os.environ,
            "EMTWIN_CACHE": str(cache),
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(cache / "jax"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        }

    def start(self, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "tests.faults.small_emtwin", *arguments]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=240)
        return process.returncode, out, err


@pytest.fixture(scope="module")
def emtwin(tmp_path_factory):
    return Emtwin(tmp_path_factory.mktemp("acquire"))


@pytest.fixture(scope="module")
def undisturbed(emtwin):
    code, out, err = emtwin.run("acquire", "small.toml", "--seed", "1", "--out", "whole", "--json")
    assert code in (0, 1), err
    return json.loads(out)


def until(process: subprocess.Popen, text: str) -> str:
    """Read its stderr up to a line with ``text``; returns what was read."""
    assert process.stderr is not None
    heard = ""
    for line in process.stderr:
        heard += line
        if text in line:
            return heard
    raise AssertionError(f"{text!r} never came:\n{heard}")


def microscope_of(process: subprocess.Popen) -> int:
    """The process number of the simulated microscope that it started."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                command = (entry / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(parent) == process.pid and b"simulated" in command:
                return int(entry.name)
    raise AssertionError("no simulated microscope among its children")


def test_killed_interrupted_and_resumed_it_ends_as_if_nothing_had_been(emtwin, undisturbed):
    with emtwin.start("acquire", "small.toml", "--seed", "1", "--out", "broken") as process:
        until(process, "request   2 of 5")
        os.kill(microscope_of(process), signal.SIGKILL)
        killed = time.monotonic()
        until(process, "emtwin: instrument")
        assert time.monotonic() - killed < 5.0
        said = process.stderr.read()
        assert process.wait(timeout=30) == 3
    assert "problem:" in said
    assert "emtwin acquire --resume broken" in said

    code, out, _ = emtwin.run("session", "show", "broken", "--json")
    shown = json.loads(out)
    assert code == (1 if shown["problems"] else 0)
    assert shown["problems"] == []
    assert shown["resumable"]
    assert not shown["complete"]
    assert 2 <= shown["requests"] < 5

    with emtwin.start("acquire", "--resume", "broken") as process:
        until(process, "request   4 of 5")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
    assert "emtwin acquire --resume broken" in said
    assert "Traceback" not in said

    code, out, err = emtwin.run("acquire", "--resume", "broken", "--json")
    assert code == int(undisturbed["model_distrusted"]), err
    found = json.loads(out)
    assert {**found, "seconds": 0.0} == {**undisturbed, "seconds": 0.0}

    code, out, _ = emtwin.run("session", "show", "broken", "--json")
    shown = json.loads(out)
    assert (code, shown["problems"], shown["complete"]) == (0, [], True)
    assert shown["requests"] == 5
    assert shown["measured"] == undisturbed["measured"]
    assert shown["result"]["rmse"] == undisturbed["rmse"]

    code, _, err = emtwin.run("acquire", "--resume", "broken")
    assert code == 2
    assert "complete" in err


def test_killed_before_its_first_request_it_can_only_start_anew(emtwin, undisturbed):
    with emtwin.start("acquire", "small.toml", "--seed", "1", "--out", "early") as process:
        until(process, "simulated microscope")
        os.kill(microscope_of(process), signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    assert process.returncode in (2, 3)
    assert "Traceback" not in said
    assert "problem:" in said
