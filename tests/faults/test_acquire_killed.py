"""A session whose microscope is killed and which is interrupted: reported, readable, and resumed to the same result.

Each step is a command in a process of its own and continues from the files of the step before.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instrument.core.journal import Journal, Row
from scenarios.cli.main import BAD_INPUT, DONE, INTERRUPTED, LOST, run
from tests.once import run_folder
from tests.waiting import ended, stderr_until

pytestmark = pytest.mark.slow

SCENARIO = """
name = "small"
kind = "tune-and-map"
tolerance = 0.1
audit_share = 0.2
alignment = 1
max_dose_share = 0.9

[instrument.config]
repeats_xy = 2
cells = 7
wedge_swing = 1.0
gpts = 96
phonon_configs = 1
slices_per_cell = 2
specimen_seed = 0
haadf_outer = 90e-3

[twin.priors]
thickness = [28.0, 3.0]

[requests]
count = 4
sites = 2
duration = 100.0
spacing = 2.0
"""


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    """The command line in a folder, with the caches of this test run."""
    root = str(Path(__file__).resolve().parents[2])
    environment = {
        **os.environ,
        "EMTWIN_CACHE": str(run_folder("specimens")),
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": root,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.small_emtwin", *arguments],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("acquire")
    (folder / "small.toml").write_text(SCENARIO)
    return folder


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict[str, Any]:
    """The result of a session that nothing happened to."""
    code, out, err = ended(start(folder, "acquire", "small.toml", "--seed", "1", "--out", "whole", "--json"))
    assert code in (0, 1), err
    return json.loads(out)


@pytest.fixture(scope="module")
def killed(folder: Path) -> tuple[int, str]:
    """Exit code and last words of the same session, ``broken``, whose microscope was killed."""
    process = start(folder, "acquire", "small.toml", "--seed", "1", "--out", "broken")
    stderr_until(process, "request   2 of 4")
    os.kill(microscope_of(process), signal.SIGKILL)
    code, _, words = ended(process)
    return code, words


@pytest.fixture(scope="module")
def interrupted(folder: Path, killed) -> tuple[int, str]:
    """Exit code and last words of ``broken``, gone on with and interrupted."""
    process = start(folder, "acquire", "--resume", "broken")
    stderr_until(process, "request   3 of 4")
    process.send_signal(signal.SIGINT)
    code, _, words = ended(process)
    return code, words


@pytest.fixture(scope="module")
def resumed(folder: Path, interrupted) -> tuple[int, dict[str, Any]]:
    """Exit code and result of ``broken``, gone on with to its end."""
    code, out, err = ended(start(folder, "acquire", "--resume", "broken", "--json"))
    assert code in (0, 1), err
    return code, json.loads(out)


def session_summary(folder: Path, capsys) -> dict[str, Any]:
    """Output of ``emtwin session show`` for ``broken``, whose record is intact."""
    assert run(["session", "show", str(folder / "broken"), "--json"]) == DONE
    summary = json.loads(capsys.readouterr().out)
    assert summary["problems"] == []
    return summary


def answers(session: Path) -> dict[int, Row]:
    """Each request's row as it stands at the end of a session."""
    with Journal.open(session) as journal:
        return {row.payload["index"]: row for row in journal.rows("request")}


def test_a_session_that_nothing_happens_to_is_complete(folder, undisturbed):
    assert undisturbed["requests"] == undisturbed["measured"] + undisturbed["simulated"] == 4
    assert 0.0 < undisturbed["rmse"] < 1.0
    assert (folder / "whole" / "report.html").stat().st_size > 10_000
    assert set(answers(folder / "whole")) == set(range(4))


def test_a_killed_microscope_is_reported_and_finished_requests_are_recorded(folder, killed, capsys):
    code, words = killed
    assert code == LOST
    assert "emtwin: instrument" in words
    assert "problem:" in words
    assert "emtwin acquire --resume broken" in words
    summary = session_summary(folder, capsys)
    assert summary["resumable"]
    assert not summary["complete"]
    assert 2 <= summary["requests"] < 4


def test_an_interruption_is_reported_without_a_traceback(interrupted):
    code, words = interrupted
    assert code == INTERRUPTED
    assert "emtwin acquire --resume broken" in words
    assert "Traceback" not in words


def test_resumed_it_ends_as_if_nothing_had_been(folder, undisturbed, resumed, capsys):
    code, result = resumed
    assert code == int(undisturbed["model_distrusted"])
    assert {**result, "seconds": 0.0} == {**undisturbed, "seconds": 0.0}
    summary = session_summary(folder, capsys)
    assert summary["complete"]
    assert summary["requests"] == 4
    assert summary["measured"] == undisturbed["measured"]
    assert summary["result"]["rmse"] == undisturbed["rmse"]
    complete, broken = answers(folder / "whole"), answers(folder / "broken")
    assert complete.keys() == broken.keys() == set(range(4))
    for index, row in complete.items():
        same = broken[index]
        assert {**same.payload, "frame_row": None} == {**row.payload, "frame_row": None}
        assert same.arrays.keys() == row.arrays.keys()
        for name, values in row.arrays.items():
            np.testing.assert_array_equal(same.arrays[name], values)
    assert run(["acquire", "--resume", str(folder / "broken")]) == BAD_INPUT
    assert "complete" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_before_its_first_request_it_can_only_start_anew(folder):
    process = start(folder, "acquire", "small.toml", "--seed", "1", "--out", "early")
    stderr_until(process, "simulated microscope")
    os.kill(microscope_of(process), signal.SIGKILL)
    code, _, words = ended(process)
    assert code in (BAD_INPUT, LOST)
    assert "Traceback" not in words
    assert "problem:" in words
