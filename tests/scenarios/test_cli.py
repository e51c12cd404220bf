"""The command line: exit codes, what goes where, and that bad input gets a message and leaves nothing behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import scenarios.acquire.job
from instrument.core.interface import InstrumentError, InstrumentLost
from scenarios.cli.main import BAD_INPUT, DISAGREES, DONE, FAULT, INTERRUPTED, LOST, run
from scenarios.io.atomic_output import write_whole
from tests.scenarios.synthetic import make_session

RESULT = {
    "schema": "emtwin.acquire/2",
    "requests": 2,
    "measured": 1,
    "rmse": np.float64(0.03),
    "rmse_always": float("nan"),
}


@pytest.fixture
def job(monkeypatch, tmp_path):
    """Replace the job of ``acquire`` by one that returns or raises ``outcome`` and records its arguments."""
    monkeypatch.chdir(tmp_path)
    received: dict = {}

    def stand_in(outcome, begin: bool = False):
        def run_acquire(**arguments):
            received.update(arguments)
            print("something chatty")
            if begin:
                arguments["out"].mkdir(parents=True)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr(scenarios.acquire.job, "run_acquire", run_acquire)
        return received

    return stand_in


def test_json_is_one_object_on_stdout(job, capsys):
    received = job(RESULT)
    assert run(["acquire", "--json", "--seed", "3", "--dose", "1000", "--out", "s"]) == DONE
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {**RESULT, "rmse": 0.03, "rmse_always": None}
    assert "chatty" in captured.err
    assert (received["seed"], received["scenario"].seed, received["scenario"].scan.dose) == (3, 3, 1000.0)
    assert received["out"] == Path("s")


def test_session_gets_a_new_folder_under_sessions(job):
    received = job(RESULT)
    assert run(["acquire"]) == DONE
    assert received["out"].parent == Path("sessions")
    assert not received["out"].exists()
    assert received["scenario"].name == "tune-and-map"


def test_distrust_is_exit_code_1(job, capsys):
    job({**RESULT, "model_distrusted": True})
    assert run(["acquire"]) == DISAGREES
    assert "distrusted" in capsys.readouterr().out


def test_instrument_lost_on_the_way(job, capsys):
    job(InstrumentLost("no heartbeat for 3 s"), begin=True)
    assert run(["acquire", "--out", "s"]) == LOST
    captured = capsys.readouterr()
    assert "no heartbeat" in captured.err
    assert "emtwin acquire --resume s" in captured.err


def test_instrument_that_never_answered_is_bad_input(job, capsys):
    job(InstrumentLost("no answer from tcp://127.0.0.1:1"))
    assert run(["acquire", "--out", "s", "--json"]) == BAD_INPUT
    assert "no answer" in json.loads(capsys.readouterr().out)["error"]["problem"]


def test_refusal_and_bad_values(job, capsys):
    job(InstrumentError("C10 is out of range.", "Ask for less."))
    assert run(["acquire", "--json"]) == BAD_INPUT
    assert json.loads(capsys.readouterr().out)["error"]["cure"] == "Ask for less."
    job(ValueError("the cell is too small for the probe; repeat it"))
    assert run(["acquire"]) == BAD_INPUT
    assert "the cell is too small" in capsys.readouterr().err


def test_interrupted(job, capsys):
    job(KeyboardInterrupt(), begin=True)
    assert run(["acquire", "--out", "s", "--json"]) == INTERRUPTED
    assert "--resume s" in json.loads(capsys.readouterr().out)["error"]["cure"]


def test_own_fault_is_not_called_bad_input(job, capsys):
    job(ZeroDivisionError("oops"))
    assert run(["acquire"]) == FAULT
    captured = capsys.readouterr()
    assert "Traceback" in captured.err
    assert "internal error" in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["acquire", "no-such-preset"], "no-such-preset"),
        (["acquire", "absent.toml"], "absent.toml"),
        (["acquire", "broken.toml"], "broken.toml"),
        (["acquire", "--out", "there"], "exists already"),
        (["acquire", "--out", "broken.toml/x"], "not a folder"),
        (["acquire", "--dose", "nan"], "--dose"),
        (["acquire", "--dose", "-1"], "--dose"),
        (["acquire", "--seed", "-1"], "--seed"),
        (["acquire", "--seed", "one"], "--seed"),
        (["acquire", "--resume", "absent"], "absent"),
        (["acquire", "--resume", "there"], "there"),
        (["acquire", "--resume", "there", "--seed", "1"], "--seed"),
        (["acquire", "--data", "there"], "--data"),
        (["acquire", "--colour"], "--colour"),
        (["dance"], "dance"),
        (["session"], "command"),
        (["session", "show", "absent"], "absent"),
        (["session", "show", "there"], "there"),
    ],
)
def test_bad_input_is_exit_code_2_and_leaves_nothing(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "broken.toml").write_text("name = ")
    before = sorted(tmp_path.rglob("*"))
    assert run(arguments) == BAD_INPUT
    plain = capsys.readouterr()
    assert plain.out == ""
    assert message in plain.err
    assert "Traceback" not in plain.err
    assert run([*arguments, "--json"]) == BAD_INPUT
    error = json.loads(capsys.readouterr().out)["error"]
    assert set(error) == {"input", "problem", "cure"}
    assert message in " ".join(error.values())
    assert sorted(tmp_path.rglob("*")) == before


def test_session_show(tmp_path, capsys):
    folder = make_session(tmp_path / "s", count=8)
    assert run(["session", "show", str(folder), "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["requests"] == 8
    assert run(["session", "show", str(folder)]) == DONE
    assert "intact" in capsys.readouterr().out


def test_damaged_record_is_exit_code_1(tmp_path, capsys):
    folder = make_session(tmp_path / "s", count=8)
    chunks = [path for path in (folder / "frames.zarr").rglob("*") if path.is_file() and path.name != "zarr.json"]
    with chunks[0].open("r+b") as chunk:
        chunk.seek(-8, os.SEEK_END)
        chunk.write(b"\xff" * 8)
    assert run(["session", "show", str(folder)]) == DISAGREES
    assert "damaged" in capsys.readouterr().out


def test_help_and_version(capsys):
    assert run([]) == DONE
    assert run(["--help"]) == DONE
    assert run(["acquire", "--help"]) == DONE
    assert run(["--version"]) == DONE
    output = capsys.readouterr().out
    assert "acquire" in output
    assert "emtwin " in output.splitlines()[-1]


@pytest.mark.smoke
def test_as_a_process_of_its_own(tmp_path):
    """The installed command's path: python -m, real stdout and stderr, no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "scenarios.cli.main", "acquire", "absent.toml", "--json"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )  # fmt: skip
    assert done.returncode == BAD_INPUT
    assert json.loads(done.stdout)["error"]["input"] == "absent.toml"
    assert done.stderr == ""


def test_a_file_that_cannot_be_written_whole_leaves_the_old_one(tmp_path, monkeypatch):
    write_whole(b"old", tmp_path / "report.html")
    write_whole(b"new", tmp_path / "report.html")
    assert (tmp_path / "report.html").read_bytes() == b"new"

    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(b"newer", tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_bytes() == b"new"
