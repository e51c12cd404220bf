"""``emtwin instrument learn-sensors``: exit codes, JSON, the table it writes, and that a bad log gets a message and leaves nothing behind."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from scenarios.cli.main import BAD_INPUT, DONE, run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A gas cell that is heated: a noisy ramp in steps of 0.1 degC, a pressure that walks, one that stands still."""
    rng = np.random.default_rng(0)
    heat = np.round(25 + 0.05 * np.arange(150) + 0.2 * rng.normal(size=150), 1)
    gas = 730 + np.cumsum(rng.normal(size=150)) + 0.5 * rng.normal(size=150)
    notes = (
        "Date (yyyy.mm.dd) = 2014.12.15", "Time (hh:mm:ss.ms) = 19:07:04.165", "Time units = Milliseconds",
        "Temperature units = Degrees C", "Pressure units = Torr",
    )  # fmt: skip
    rows = [f"0,{note},{heat[0]},{gas[0]},700" for note in notes]
    rows += [f"{250 * n},,{t},{p:.6f},700" for n, (t, p) in enumerate(zip(heat, gas, strict=True))]
    path = tmp_path / "cell.csv"
    path.write_text("Time, Notes,Holder Temperature,Holder Pressure,Tank1 Pressure\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.slow
def test_json(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["instrument", "learn-sensors", str(log), "--json"]) == DONE
    result = json.loads(capsys.readouterr().out)
    assert result["schema"] == "emtwin.learn-sensors/2"
    assert result["classes"] == {"constant": 1, "quantised": 1, "periodic": 3}
    heat, gas, tank = result["channels"]
    assert [verdict["kind"] for verdict in heat["classes"]] == ["periodic", "quantised"]
    assert heat["unit"] == "kelvin"
    assert heat["step"]["value"] == pytest.approx(0.1)
    assert heat["noise"]["value"] == pytest.approx(0.2, rel=0.25)
    assert gas["process"] == "walk"
    assert gas["drift"]["unit"] == "pascal/√s"
    assert gas["drift"]["value"] == pytest.approx(2 * 133.3, rel=0.3)
    assert tank["noise"] == {"needed": 12, "present": 0, "what": "values that vary"}


@pytest.mark.slow
def test_on_a_terminal(log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert run(["instrument", "learn-sensors", str(log)]) == DONE
    output = capsys.readouterr().out
    assert "Protochips gas cell: 3 channels" in output
    assert "too few: 0 of 12 values that vary" in output
    assert "reported every 0.25 s" in output
    assert max(len(line) for line in output.splitlines()) <= 100


def test_the_table_is_written_once(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "table.toml"
    assert run(["instrument", "learn-sensors", str(log), "--out", str(out)]) == DONE
    before = out.read_bytes()
    table = tomllib.loads(before.decode())
    assert table["schema"] == "emtwin.sensors/2"
    assert [sensor["channel"] for sensor in table["sensor"]] == ["Holder Temperature", "Holder Pressure"]
    assert table["sensor"][0]["quantisation"] == pytest.approx(0.1)
    assert table["sensor"][1]["reports"] == "periodic"
    assert table["sensor"][1]["rate"] == pytest.approx(4.0)
    assert {name for sensor in table["sensor"] for name in sensor["expects"]} <= {
        entry["name"] for entry in table["entry"]
    }
    assert b"Tank1 Pressure" in before  # named, with what was missing
    capsys.readouterr()
    assert run(["instrument", "learn-sensors", str(log), "--out", str(out)]) == BAD_INPUT
    assert "exists already" in capsys.readouterr().err
    assert out.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.csv", None, "cannot be opened"),
        ("empty.xml", b"", "empty"),
        ("noise.xml.gz", bytes(range(256)), "not gzipped"),
        ("cut.xml", b"<HealthMonitor><Enumerations>", "ends in the middle"),
        ("wrong.csv", b"a,b,c\n1,2,3\n", "not a log of a Protochips holder"),
        ("log.dm3", b"1", "extension"),
    ],
)
def test_bad_logs_are_exit_code_2_and_leave_nothing(
    tmp_path: Path, name: str, content: bytes | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    before = sorted(tmp_path.iterdir())
    arguments = ["instrument", "learn-sensors", str(path), "--out", str(tmp_path / "table.toml")]
    assert run(arguments) == BAD_INPUT
    plain = capsys.readouterr()
    assert plain.out == ""
    assert message in plain.err
    assert "cure:" in plain.err
    assert "Traceback" not in plain.err
    assert run([*arguments, "--json"]) == BAD_INPUT
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["input"] == str(path)
    assert error["cure"]
    assert sorted(tmp_path.iterdir()) == before


def test_a_table_needs_a_folder(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["instrument", "learn-sensors", str(log), "--out", "absent/table.toml"]) == BAD_INPUT
    assert "--out" in capsys.readouterr().err


@pytest.mark.slow
def test_a_krios_hour(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = data / "sensors/krios-health-2025-07-28.xml.gz"
    assert run(["instrument", "learn-sensors", str(log), "--json"]) == DONE
    result = json.loads(capsys.readouterr().out)
    assert len(result["channels"]) == 391
    assert sum(result["combinations"].values()) == 391
    assert result["unknown_units"] == 9
    assert result["classes"]["silent"] == 163
    kinds = {item["name"]: [verdict["kind"] for verdict in item["classes"]] for item in result["channels"]}
    assert kinds["Value"] == ["constant", "periodic"]
    assert kinds["Tcartridge"] == ["on-change", "quantised"]
    assert kinds["ALX_MoveStopped_AxisPos"][0] == "event-triggered"
    assert kinds["HTTankMeasuredVoltage"] == ["too few"]


@pytest.mark.parametrize("name", ["thermo-healthmonitor", "protochips", "dens"])
def test_shipped_tables_hold_together(name: str) -> None:
    table = tomllib.loads((ROOT / "twin" / "tables" / f"{name}.toml").read_text(encoding="utf-8"))
    assert (table["schema"], table["name"]) == ("emtwin.sensors/2", name)
    entries = {entry["name"]: entry for entry in table["entry"]}
    assert len(entries) == len(table["entry"])
    for entry in entries.values():
        assert entry["moves"]["kind"] in {"walk", "relax", "follow", "integrate", "constant"}
        assert entry["moves"].get("of", entry["name"]) in entries
        assert entry["std"] > 0
    for sensor in table["sensor"]:
        assert sensor["source"] in table["sources"]
        assert set(sensor["expects"]) <= set(entries)
        assert sensor["kind"] in {"echo", "measured", "derived", "last-measured"}
        assert sensor["reports"] in {"periodic", "on-change", "event"}
        assert not (sensor["kind"] == "echo" and sensor["expects"])
        for entry in sensor["expects"]:
            assert entries[entry]["unit"] == sensor["unit"]
        assert min(sensor["noise"], sensor["quantisation"], sensor["lag"]) >= 0


def test_shipped_tables_name_channels_that_the_readers_give(data: Path) -> None:
    from instrument.readers import close_reader, read_log

    files = {
        "thermo-healthmonitor": ("sensors/krios-health-2025-07-28.xml.gz",),
        "protochips": tuple(f"holders/protochips_{kind}.csv" for kind in ("thermal", "gas_cell", "electrical")),
        "dens": ("holders/heating-1.dens",),
    }
    for name, paths in files.items():
        channels = {channel.name: channel for path in paths for channel in read_log(data / path).channels}
        table = tomllib.loads((ROOT / "twin" / "tables" / f"{name}.toml").read_text(encoding="utf-8"))
        for sensor in table["sensor"]:
            assert channels[sensor["channel"]].unit == sensor["unit"], sensor["channel"]
    close_reader()
