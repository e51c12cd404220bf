"""A question of kind "map" answered as a whole: the command, its page, an interruption in between, and a recorded scan as what is there."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from instrument.core.journal import Journal
from scenarios.acquire.maps.job import run_map
from scenarios.cli.main import BAD_INPUT, DONE, run
from scenarios.io.progress import SilentProgress
from scenarios.question.reading import question_of, read_question
from tests.scenarios.acquire.maps.test_wanted import changed

pytestmark = pytest.mark.slow

QUESTION = """name = "film"
kind = "map"
[specimen]
structure = "Si"
[quantity]
kind = "map"
name = "t/lambda"
[area]
nx = 12
ny = 10
pixel = 10
thickness = [300, 700]
[asked]
std = 0.02
[instrument]
energy_keV = 200
semiangle_mrad = 10
current_pA = 5
flyback = 1e-5
[[option]]
technique = "eels"
collection_mrad = 20
offset = -10
dispersion = 0.5
channels = 200
seconds = 2e-5
"""
TIMES = (
    "seconds",
    "until_first_map_seconds",
    "decision_seconds",
    "longest_fit_seconds",
    "fit_seconds",
    "first_answer_seconds",
)


class Interrupting(SilentProgress):
    """Ctrl-C after so many exposures."""

    def __init__(self, after: int):
        self.to_go = after

    def request(self, event: dict[str, Any]) -> None:
        self.to_go -= 1
        if self.to_go == 0:
            raise KeyboardInterrupt


def test_a_map_is_answered_and_an_interrupted_one_ends_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "film.toml"
    file.write_text(QUESTION)
    assert run(["acquire", str(file), "--seed", "2", "--out", str(tmp_path / "whole"), "--json"]) == DONE
    whole = json.loads(capsys.readouterr().out)
    assert whole["schema"] == "emtwin.map/1"
    assert whole["reached"]
    assert whole["std"] <= whole["bound"] <= whole["asked"] == 0.02
    assert whole["rmse"] < 1.5 * whole["asked"]
    assert whole["electrons"] == pytest.approx(sum(whole["electrons_by_purpose"].values()))
    assert whole["even_electrons_true_noise"] == pytest.approx(whole["even_electrons"], rel=0.3)
    page = (tmp_path / "whole" / "report.html").read_text()
    assert "banner good" in page
    assert page.count("data:image") == 3
    with Journal.open(tmp_path / "whole") as journal:
        assert journal.verify() == []
        frames = [row.payload["exposure"] for row in journal.rows("frame")]
    assert sum(sum(frame.values()) for frame in frames) == pytest.approx(whole["electrons"])
    assert run(["session", "show", str(tmp_path / "whole")]) == DONE
    assert "reached with" in " ".join(capsys.readouterr().out.split())
    question = read_question(str(file))
    question = msgspec.structs.replace(question, seed=2)
    with pytest.raises(KeyboardInterrupt):
        run_map(question, tmp_path / "half", None, Interrupting(23))
    with Journal.open(tmp_path / "half") as journal:
        assert len(list(journal.rows("frame"))) == 24
    assert run(["acquire", "--resume", str(tmp_path / "half"), "--json"]) == DONE
    again = json.loads(capsys.readouterr().out)
    assert {key: value for key, value in again.items() if key not in TIMES} == {
        key: value for key, value in whole.items() if key not in TIMES
    }
    with Journal.open(tmp_path / "half") as journal, Journal.open(tmp_path / "whole") as other:
        assert [str(row.payload) for row in journal.rows("exposure")] == [
            str(row.payload) for row in other.rows("exposure")
        ]
    assert run(["acquire", "--resume", str(tmp_path / "half")]) == BAD_INPUT


def test_a_limit_ends_it_and_the_page_is_not_green(tmp_path: Path) -> None:
    question = changed(area={"thickness": [300, 700]}, asked={"std": 1e-4}, limits={"time": 0.1})
    result = run_map(question, tmp_path / "s", None, SilentProgress())
    assert (result["reached"], result["ended"]) == (False, "time")
    assert result["instrument_seconds"] <= 0.1
    assert "banner bad" in (tmp_path / "s" / "report.html").read_text()


def test_a_simulated_scan_of_patterns_is_what_is_there(tmp_path: Path) -> None:
    """The centre of mass over a cell of SrTiO3, from a noise-free 4D-STEM scan that the product makes."""
    from twin import Microscope, Pixelated, Sample, simulate
    from twin import Scan as Raster

    made = simulate(
        Sample.crystal("SrTiO3", cells=2), Microscope(energy=200e3, semiangle=21e-3), "4d-stem", scan=Raster((8, 8), fov=3.905),
        detectors=[Pixelated((16, 16), 5e-3)],
    )  # fmt: skip
    made.to_zarr(tmp_path / "scan.zarr", consolidated=False)
    values = {
        "name": "com", "kind": "map", "specimen": {"structure": "SrTiO3"}, "quantity": {"kind": "map", "name": "centre of mass x"}, "asked": {"std": 1.0},
        "area": {"expected": "scan.zarr", "pixel": 0.39}, "instrument": {"current_pA": 5, "flyback": 1e-5},
        "option": [{"technique": "4d-stem", "frames_per_second": 5e4}],
        "folder": str(tmp_path),
    }  # fmt: skip
    result = run_map(question_of(values, "test"), tmp_path / "s", None, SilentProgress())
    assert result["reached"]
    assert result["unit"] == "radian"
    assert result["asked"] == pytest.approx(1e-3)
    assert result["rmse"] < 1.5 * result["asked"]
    with Journal.open(tmp_path / "s") as journal:
        truth = next(iter(journal.rows("score"))).arrays["truth"]
    # antisymmetric about the columns: as much to the left as to the right
    assert abs(truth.mean()) < 0.1 * np.ptp(truth)
