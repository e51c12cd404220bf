"""Other specimens for the best option of a plan."""

import json
from pathlib import Path

import numpy as np
import pytest

from learn.feasibility.assessment import DOSES
from scenarios.cli.main import DONE, run

QUESTION = """
name = "small"
kind = "detect"
[specimen]
structure = "SrTiO3"
thickness = 16
[defect]
kind = "substitution"
element = "Sr"
by = "La"
[instrument]
semiangle_mrad = 12
[[option]]
technique = "4d-stem"
reach_mrad = 30
pixel_mrad = 4
[compute]
cells = 2
phonons = 2
depths = 1
[what_if]
thickness = [16, 24]
"""


@pytest.mark.slow
def test_the_best_option_on_other_specimens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.toml"
    path.write_text(QUESTION)
    assert run(["plan", "small.toml", "--json", "--out", "page.html"]) == DONE
    result = json.loads(capsys.readouterr().out)
    (option,) = result["options"]
    same, thicker = result["what_if"]
    assert (same["what"], same["option"]) == ("at 16 Å instead of 16 Å", "4D-STEM")
    # the specimen as it is
    assert same["dose"] == pytest.approx(option["dose"])
    assert same["power"] == pytest.approx(0.95, abs=0.02)
    path.write_text(
        QUESTION.replace("thickness = 16\n[defect]", "thickness = 24\n[defect]").replace("[16, 24]", "[24]")
    )
    assert run(["plan", "small.toml", "--json"]) == DONE
    whole = json.loads(capsys.readouterr().out)["options"][0]
    assert thicker["dose"] == pytest.approx(whole["dose"])
    expected = float(np.interp(np.log(option["dose"]), np.log(DOSES), whole["powers"]))
    assert thicker["power"] == pytest.approx(expected, abs=1e-3)
    assert "at 24 Å instead of 16 Å: power" in (tmp_path / "page.html").read_text()
    path.write_text(QUESTION.replace("thickness = [16, 24]", "tilt_mrad = [4]"))
    assert run(["plan", "small.toml", "--json"]) == DONE
    (tilted,) = json.loads(capsys.readouterr().out)["what_if"]
    assert tilted["what"] == "tilted by 4 mrad more along x"
    assert tilted["dose"] != pytest.approx(option["dose"], rel=1e-3)
