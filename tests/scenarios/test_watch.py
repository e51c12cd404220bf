"""``emtwin watch``: logs, sessions and live instruments followed to the end; refusals; what is left when it is cut short."""

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instrument.core.journal import Journal
from instrument.remote.client import RemoteInstrument
from instrument.remote.launch import launch
from reconstruct.api.models import load_table, table_names
from scenarios.cli.main import BAD_INPUT, DISAGREES, DONE, INTERRUPTED, LOST, run
from scenarios.io.progress import SilentProgress
from scenarios.watch.sources import Recorded
from scenarios.watch.text import spark
from tests.once import run_folder
from tests.waiting import ended, stderr_until
from twin.records import Readings
from twin.sensors import SCHEMA

ROOT = Path(__file__).resolve().parents[2]
START = 1_700_000_000 * 10**9
TABLE = f"""
schema = "{SCHEMA}"
name = "small"
[[entry]]
name = "coil"
unit = "kelvin"
mean = 300
std = 5
part = "heat"
moves = {{ kind = "walk", rate = 0.02 }}
[[sensor]]
channel = "coil.temperature"
unit = "kelvin"
kind = "measured"
rate = 1
expects = {{ coil = 1 }}
noise = 0.05
part = "heat"
[[sensor]]
channel = "coil.commanded"
unit = "kelvin"
kind = "echo"
rate = 1
[[quantity]]
name = "coil.above.room"
unit = "kelvin"
part = "heat"
terms = [{{ entry = "coil" }}, {{ coefficient = -295.0 }}]
"""
TINY = {
    "repeats_xy": 2, "cells": 2, "wedge_swing": 1.0, "gpts": 96, "phonon_configs": 1, "slices_per_cell": 3, "specimen_seed": 0,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(TABLE)
    return path


def holder_log(path: Path, noise: float = 0.05) -> Path:
    """A Protochips log of a minute: a heater that warms by a kelvin, a pressure of the gas in the cell."""
    rng = np.random.default_rng(0)
    heat = 25 + np.linspace(0, 1, 240) + noise * rng.normal(size=240)
    notes = (
        "Date (yyyy.mm.dd) = 2014.12.15", "Time (hh:mm:ss.ms) = 19:07:04.165", "Time units = Milliseconds",
        "Temperature units = Degrees C", "Pressure units = Torr",
    )  # fmt: skip
    rows = [f"0,{note},{heat[0]},733,12" for note in notes]
    rows += [f"{250 * n},,{t:.5f},{733 + rng.normal():.5f},12" for n, t in enumerate(heat)]
    path.write_text("Time, Notes,Holder Temperature,Holder Pressure,Tank9 Pressure\n" + "\n".join(rows) + "\n")
    return path


def session(folder: Path, count: int = 60, complete: bool = True, begin: int = START) -> Path:
    rng = np.random.default_rng(1)
    with Journal.create(folder) as journal:
        journal.append("scenario", {"scenario": {"kind": "tune-and-map"}, "seed": 0, "start": begin}, begin)
        for first in range(0, count, 20):
            times = begin + np.arange(first, first + 20) * 10**9
            journal.append("command", {"name": "apply", "args": {"changes": {"C10": 1.0 * first}}}, int(times[0]))
            journal.append_readings(
                [
                    Readings("coil.temperature", first, times, 300 + 0.05 * rng.normal(size=20)),
                    Readings("coil.commanded", first, times, np.full(20, 300.0)),
                    Readings("elsewhere", first, times, np.zeros(20)),
                ]
            )
        if complete:
            journal.append("result", {}, None)
    return folder


@pytest.mark.slow
def test_a_log_of_columns_and_a_zone(tmp_path: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(2)
    rows = [f"28.07.2025 13:{n // 60:02d}:{n % 60:02d};{300 + 0.05 * rng.normal():.3f}" for n in range(120)]
    (tmp_path / "coil.txt").write_text("\n".join(["when;coil", *rows, ""]).replace(".", ",").replace(",07,", ".07."))
    columns = tmp_path / "coil.toml"
    columns.write_text(
        'schema = "emtwin.columns/1"\n[time]\ncolumns = ["when"]\nformat = "%d.%m.%Y %H:%M:%S"\n'
        '[[column]]\ncolumn = "coil"\nchannel = "coil.temperature"\nunit = "K"\ncustom = true\n'
    )
    assert run(["watch", "coil.txt", "--table", str(table), "--columns", str(columns), "--log-zone", "Europe/Berlin", "--json"]) == DONE  # fmt: skip
    result = printed(capsys)
    assert result["entries"]["coil"]["mean"] == pytest.approx(300.0, abs=0.1)
    assert abs(result["start_ns"] - 1753700400 * 10**9) < 10**9
    assert "Europe/Berlin" in result["note"]
    session(tmp_path / "s")
    assert run(["watch", "s", "--table", str(table), "--log-zone", "UTC", "--json"]) == BAD_INPUT
    assert printed(capsys)["error"]["problem"] == "is of a log, and this is none"


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out)


def test_a_session(tmp_path: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session(tmp_path / "s")
    assert run(["watch", "s", "--table", str(table), "--json"]) == DONE
    result = printed(capsys)
    assert result["schema"] == "emtwin.watch/2"
    assert (result["ended"], result["table"], result["readings"]) == ("end", "small", 180)
    quantity = result["quantities"]["coil.above.room"]
    assert quantity["mean"] == pytest.approx(5.0, abs=0.1)
    assert 0.01 < quantity["std"] < 0.1
    assert quantity["unit"] == "kelvin"
    assert result["verdicts"] == {"coil.temperature": "ok", "coil.commanded": "no evidence", "elsewhere": "no evidence"}
    assert result["not_modelled"] == ["elsewhere"]
    assert result["clocks"] == {"coil": None}
    assert result["monitors"]["distrust"] is None
    assert result["monitors"]["parts"]["heat"]["slow"]["ratio"] == pytest.approx(1.0, abs=0.5)
    sensor = result["sensors"][0]
    assert abs(sensor["last"] - sensor["expected"]) == pytest.approx(abs(sensor["innovation"]) * sensor["expected_std"])
    assert sensor["counts"]["used"] == 60
    assert Path(result["figure"]).read_bytes().startswith(b"\x89PNG")
    assert run(["watch", "s", "--table", str(table)]) == DONE
    assert "figure: watch-2.png" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.glob("watch*")) == ["watch-2.png", "watch.png"]


@pytest.mark.smoke
@pytest.mark.slow
def test_a_log_with_its_own_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    holder_log(tmp_path / "cell.csv")
    code = run(["watch", "cell.csv", "--json", "--out", "cell.svg", "--speed", "60"])
    result = printed(capsys)
    assert result["table"] == "protochips"
    assert code == (DISAGREES if result["disagrees"] else DONE)
    assert result["entries"]["holder.T"]["mean"] == pytest.approx(299.15, abs=2.0)
    assert result["not_modelled"] == ["Tank9 Pressure"]
    assert result["wall_seconds"] > 0.9
    assert b"<svg" in Path("cell.svg").read_bytes()[:500]


NOTES = (
    "Date (yyyy.mm.dd) = 2014.12.15", "Time (hh:mm:ss.ms) = 19:07:04.165", "Time units = Milliseconds", "Temperature units = Degrees C",
)  # fmt: skip


@pytest.mark.slow
def test_a_clipped_sensor_is_reported_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A ramp of 0.2 K/s clipped at 50 degC after 30 s."""
    heat = 44 + 0.02 * np.arange(600) + 0.02 * np.random.default_rng(0).normal(size=600)
    rows = [f"{100 * n}, , {min(value, 50.0):.3f}" for n, value in enumerate(heat)]
    head = ["Time, Notes, Channel A Temperature", *(f"0, {note}, 44" for note in NOTES)]
    (tmp_path / "clipped.csv").write_text("\n".join([*head, *rows]) + "\n")
    assert run(["watch", "clipped.csv", "--json"]) == DISAGREES
    result = printed(capsys)
    assert [(event["kind"], event["name"]) for event in result["events"]] == [
        ("saturated_sensor", "Channel A Temperature")
    ]
    assert result["verdicts"]["Channel A Temperature"] == "saturated"
    end = result["entries"]["holder.T"]
    assert abs(end["mean"] - 329.15) < 1.645 * end["std"]
    assert run(["watch", "clipped.csv"]) == DISAGREES
    assert capsys.readouterr().out.count("saturated sensor") == 1


def test_a_log_without_readings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["Time, Notes, Channel A Temperature", *(f"0, {note}, 44" for note in NOTES)]
    (tmp_path / "header.csv").write_text("\n".join(lines) + "\n")
    assert run(["watch", "header.csv"]) == BAD_INPUT
    assert "no reading" in capsys.readouterr().err
    assert not list(tmp_path.glob("watch*"))


def test_what_disagrees_is_exit_code_1(tmp_path: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.write_text(TABLE.replace("noise = 0.05", "noise = 0.002").replace("rate = 0.02", "rate = 1e-5"))
    session(tmp_path / "s")
    assert run(["watch", "s", "--table", str(table), "--json"]) == DISAGREES
    assert printed(capsys)["disagrees"] is True


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.csv"], "absent.csv"),
        (["wrong.csv"], "not a log of a Protochips holder"),
        (
            ["s", "--table", "nothing"],
            "Name a TOML file, or a table: dens, probe, protochips, simulated, thermo-healthmonitor",
        ),
        (["s", "--table", "broken.toml"], "broken.toml"),
        (["s", "--table", "unit.toml"], "furlong"),
        (["cell.csv", "--table", "volts.toml"], "'Holder Temperature' is in kelvin"),
        (["s", "--out", "there.png"], "exists already"),
        (["s", "--out", "figure.txt"], ".png or .svg"),
        (["s", "--out", "none/figure.png"], "not a folder"),
        (["s", "--duration", "0"], "--duration"),
        (["s", "--speed", "nan"], "--speed"),
        (["empty"], "journal.db"),
        (["tcp://127.0.0.1:1", "--duration", "1"], "answers"),
    ],
)
def test_refusals(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("scenarios.watch.sources.RemoteInstrument", functools.partial(RemoteInstrument, timeout=0.3))
    session(tmp_path / "s")
    holder_log(tmp_path / "cell.csv")
    Path("empty").mkdir()
    Path("wrong.csv").write_text("a,b,c\n1,2,3\n")
    Path("there.png").write_bytes(b"mine")
    Path("broken.toml").write_text("[[entry")
    Path("unit.toml").write_text(TABLE.replace('unit = "kelvin"', 'unit = "furlong"'))
    Path("volts.toml").write_text(
        TABLE.replace("coil.temperature", "Holder Temperature").replace('unit = "kelvin"', 'unit = "volt"')
    )
    before = sorted(tmp_path.iterdir())
    assert run(["watch", *arguments, "--json"]) == BAD_INPUT
    error = printed(capsys)["error"]
    assert words in " ".join(error.values())
    assert error["cure"]
    assert sorted(tmp_path.iterdir()) == before
    assert Path("there.png").read_bytes() == b"mine"


def start(*arguments: str, folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "scenarios.cli.main", "watch", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_interrupted_it_leaves_a_figure(tmp_path: Path, table: Path) -> None:
    session(tmp_path / "s", 200)
    process = start("s", "--table", str(table), "--speed", "1", "--json", folder=tmp_path)
    stderr_until(process, "readings")
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
    assert code == INTERRUPTED, err
    result = json.loads(out)
    assert result["ended"] == "interrupted"
    assert result["readings"] < 600
    assert (tmp_path / result["figure"]).stat().st_size > 1000
    assert "Traceback" not in err


def test_what_is_written_already_is_not_waited_for(tmp_path: Path) -> None:
    folder = session(tmp_path / "s", 40, complete=False)
    with Journal.open(folder, write=True) as journal:
        source = Recorded(folder, SilentProgress())
        pieces = source.pieces(10**8)
        received = []
        while not source.idle:
            received.append(next(pieces))
        # tenths of a second between readings are empty, and nobody waits there
        assert sum(len(batch.values) for piece in received for batch in piece.batches) == 120
        assert sum(not piece.batches for piece in received) > 200
        assert next(pieces).batches == []
        assert source.idle
        journal.append("result", {}, None)
        assert list(pieces) == []
        assert not source.live
        source.close()


@pytest.mark.slow
def test_a_session_that_is_being_written(tmp_path: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = session(tmp_path / "s", 40, complete=False)
    with Journal.open(folder, write=True) as journal:
        process = start("s", "--table", str(table), "--json", folder=tmp_path)
        stderr_until(process, "readings")
        times = START + np.arange(40, 60) * 10**9
        journal.append_readings([Readings("coil.temperature", 40, times, np.full(20, 300.0) + 0.05 * np.sin(times))])
        journal.append("result", {}, None)
        code, out, err = ended(process)
    assert code == DONE, err
    assert json.loads(out)["sensors"][0]["counts"]["used"] == 60


@pytest.mark.slow
def test_a_served_microscope(capsys: pytest.CaptureFixture[str]) -> None:
    with launch("simulated", seed=3, config=TINY, cache=run_folder("specimens"), rate=1.0) as launched:
        code = run(["watch", launched.address, "--duration", "5", "--json", "--out", "live.png"])
        result = printed(capsys)
        assert result["ended"] == "time"
        assert code == (DISAGREES if result["disagrees"] else DONE)
        assert result["table"] == "simulated"
        assert result["readings"] > 500
        assert result["clocks"]["gun"]["std"] < 1.0
        assert result["quantities"]["defocus.C10"]["unit"] == "angstrom"
        assert Path("live.png").is_file()


@pytest.mark.slow
def test_a_microscope_that_is_lost(tmp_path: Path) -> None:
    with launch("simulated", seed=3, config=TINY, cache=run_folder("specimens"), rate=1.0) as launched:
        process = start(launched.address, "--json", folder=tmp_path)
        stderr_until(process, "readings")
        launched.kill()
        code, out, err = ended(process)
    assert code == LOST, err
    lost = json.loads(out)
    assert lost["ended"] == "lost"
    assert "silent" in lost["error"]["problem"]
    assert (tmp_path / lost["figure"]).is_file()


@pytest.mark.slow
def test_a_stepped_clock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with launch("simulated", seed=3, config=TINY, cache=run_folder("specimens")) as launched:
        assert run(["watch", launched.address, "--duration", "0.5", "--json"]) == DONE
        result = printed(capsys)
    assert result["readings"] == 0
    assert set(result["clocks"].values()) == {None}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "name_of_table", "channel", "verdict"),
    [
        ("sensors/krios-health-2025-07-28.xml.gz", "thermo-healthmonitor", "Tcartridge", "ok"),
        # the log ends in a hold at its set temperature
        ("holders/protochips_thermal.csv", "protochips", "Channel A Temperature", "held"),
        ("holders/heating-1.dens", "dens", "Tmeas", "ok"),
    ],
)
def test_real_logs(
    data: Path, name: str, name_of_table: str, channel: str, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["watch", str(data / name), "--json"])
    result = printed(capsys)
    assert code == (DISAGREES if result["disagrees"] else DONE)
    assert result["table"] == name_of_table
    assert result["ended"] == "end"
    assert result["verdicts"][channel] == verdict
    assert Path(result["figure"]).is_file()


def test_tables_that_ship_can_be_loaded() -> None:
    assert [load_table(name).name for name in table_names()] == table_names()


def test_a_line_of_blocks_spans_at_least_its_error() -> None:
    assert spark(np.array([0.0, 1.0, 2.0]), 0.1, 8) == "▁▅█"
    assert set(spark(np.array([0.0, 1.0, 2.0]), 100.0, 8)) <= {"▄", "▅"}
