"""`emtwin acquire` on a recording, through the wire: whole, interrupted and resumed, and with input that cannot be used."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

import scenarios.replay.session
from instrument.core.journal import Journal
from scenarios.cli.main import BAD_INPUT, DONE, INTERRUPTED, run
from scenarios.replay.drawings import deviations, figures
from scenarios.replay.recording import map_arrays

SCENARIO = """
name = "few-spectra"
kind = "replay"
data = "titanate-si-eels.dm3"
survey = "titanate-si-haadf.dm3"
quantity = "Ti L"
tolerance = 0.001
budget = 23
"""
MOST = 23


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    path = tmp_path / "few.toml"
    path.write_text(SCENARIO)
    return str(path)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patterns of 6 x 6 places as ``emtwin simulate`` stores them: a disk that moves along x."""
    y, x = np.mgrid[:16, :16] - 7.5
    shifts = np.sin(np.arange(36.0).reshape(6, 6) / 6.0)
    disks = np.exp(-((x - shifts[..., None, None]) ** 2 + y**2) / 20.0)
    counts = np.random.default_rng(0).poisson(50.0 * disks).astype(np.float32)
    angles = 1e-3 * (np.arange(16) - 7.5)
    places = 2.0 * np.arange(6)
    coordinates: dict[str, Any] = {
        "y": ("y", places, {"units": "angstrom"}), "x": ("x", places, {"units": "angstrom"}),
        "theta_y": ("theta_y", angles, {"units": "rad"}), "theta_x": ("theta_x", angles, {"units": "rad"}),
    }  # fmt: skip
    array = xarray.DataArray(counts, coordinates, tuple(coordinates), attrs={"units": "electrons"})
    path = tmp_path_factory.mktemp("scan") / "patterns.zarr"
    xarray.Dataset({"data": array}, attrs={"provenance": json.dumps({"scenario": {"name": "x"}})}).to_zarr(
        path, consolidated=False
    )
    return path


def _result(text: str) -> dict[str, Any]:
    result = json.loads(text)
    return {name: value for name, value in result.items() if name != "seconds"}


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--model", "compared", "--rule", "confidence"]])
def test_interrupted_and_resumed_it_comes_to_the_same_end(options, data, scenario, tmp_path, capsys, monkeypatch):
    whole, half = str(tmp_path / "whole"), str(tmp_path / "half")
    assert run(["acquire", scenario, "--data", str(data), *options, "--out", whole, "--json"]) == DONE
    expected = _result(capsys.readouterr().out)
    assert expected["measured"] == MOST
    asked = dict(zip(options[::2], options[1::2], strict=True))
    assert expected["model"] == asked.get("--model", "plain")
    assert expected["rule"] == asked.get("--rule", "variance")
    assert any("nats for the deep one by 7 values" in note for note in expected["notes"]) == bool(options)
    assert (tmp_path / "whole" / "report.html").stat().st_size > 10_000

    true_run = scenarios.replay.session.acquire_map

    def interrupted(source, survey, name, quantity, plan, progress):
        class Stopping:
            def stage(self, text, fraction=None):
                progress.stage(text, fraction)

            def request(self, event):
                if event["index"] == 18:
                    raise KeyboardInterrupt

        return true_run(source, survey, name, quantity, plan, Stopping())

    with monkeypatch.context() as patch:
        patch.setattr(scenarios.replay.session, "acquire_map", interrupted)
        assert run(["acquire", scenario, "--data", str(data), *options, "--out", half, "--json"]) == INTERRUPTED
    assert f"--resume {half}" in json.loads(capsys.readouterr().out)["error"]["cure"]
    assert run(["session", "show", half, "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["resumable"]

    other = str(data / "spectra" / "titanate-si-eels.dm3")
    assert run(["acquire", "--resume", half, "--data", other, "--survey", other, "--json"]) == BAD_INPUT
    capsys.readouterr()
    assert run(["acquire", "--resume", half, "--json"]) == DONE
    assert _result(capsys.readouterr().out) == expected
    assert run(["acquire", "--resume", half, "--json"]) == BAD_INPUT


@pytest.mark.slow
def test_patterns_with_options_that_override_the_scenario(scan, tmp_path, capsys):
    out = tmp_path / "s"
    options = ["--quantity", "centre of mass x", "--tolerance", "0.2", "--budget", "30", "--seed", "3"]
    assert run(["acquire", "replay", "--data", str(scan), *options, "--out", str(out), "--json"]) == DONE
    result = json.loads(capsys.readouterr().out)
    assert (result["schema"], result["seed"], result["tolerance"]) == ("emtwin.replay/1", 3, 0.2)
    assert result["measured"] <= 30
    assert result["unit"] == "radian"
    assert result["survey_is_virtual"]
    assert result["dose_saved"] is None
    with Journal.open(out) as journal:
        assert journal.verify() == []
        arrays = map_arrays(journal)
        kinds = [row.kind for row in journal.rows()]
    assert kinds.count("measurement") == kinds.count("frame") - 1 == result["measured"]
    assert "frame" not in kinds[kinds.index("sealed") :]  # what is read to score is no measurement
    assert np.isnan(deviations(arrays)).sum() == result["measured"]
    assert [picture.content[:5] for picture in figures(arrays, result)] == [b"\x89PNG\r", b"<?xml", b"<?xml"]
    page = (out / "report.html").read_text()
    assert ("good" if result["tolerance_reached"] else "hold") in page
    assert "virtual dark-field" in page or "total counts" in page


def _refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    assert run(["acquire", *arguments, "--json"]) == BAD_INPUT
    return json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["replay", "--quantity", "Ti L"], "--data"),
        (["replay", "--data", "absent.dm3", "--quantity", "Ti L"], "no such file"),
        (["replay", "--data", ".", "--quantity", "Ti L"], "is a folder"),
        (["replay", "--data", "SCAN"], "names no quantity"),
        (["replay", "--data", "SCAN", "--quantity", "foo"], "is no quantity"),
        (["replay", "--data", "SCAN", "--quantity", "com x", "--survey", "absent.dm3"], "no such file"),
        (["replay", "--data", "SCAN", "--quantity", "com x", "--tolerance", "0"], "--tolerance"),
        (["replay", "--data", "SCAN", "--quantity", "com x", "--budget", "0"], "--budget"),
        (["replay", "--data", "SCAN", "--quantity", "com x", "--dose", "10"], "--dose"),
        (["replay", "--data", "SCAN", "--quantity", "com x", "--model", "deeper"], "--model"),
        (["replay", "--data", "SCAN", "--quantity", "com x", "--model", "host"], "needs a crystal"),
        (["replay", "--data", "SCAN", "--quantity", "com x", "--rule", "curiosity"], "--rule"),
        (["tune-and-map", "--quantity", "com x"], "--quantity"),
        (["tune-and-map", "--data", "SCAN"], "--data"),
        (["replay-titanate", "--data", "."], "titanate-si-eels.dm3"),
    ],
)
def test_what_is_asked_wrongly_is_refused_at_once(arguments, text, scan, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [str(scan) if word == "SCAN" else word for word in arguments]
    error = _refused([*arguments, "--out", "s"], capsys)
    assert text in " ".join(error.values())
    assert error["cure"]
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--quantity", "Ti L"], "holds a scan of patterns"),
        (["--quantity", "com x", "--budget", "3"], "too few"),
        (["--quantity", "100-200 mrad"], "no pixel of the camera"),
        (["--quantity", "com x", "--bin", "2"], "of which the first 16"),
    ],
)
def test_what_the_recording_does_not_hold_is_refused_without_a_trace(arguments, text, scan, tmp_path, capsys):
    out = tmp_path / "made" / "s"
    error = _refused(["replay", "--data", str(scan), *arguments, "--out", str(out)], capsys)
    assert text in error["problem"]
    assert error["cure"]
    assert not out.parent.exists()
