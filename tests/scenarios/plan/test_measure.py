"""`emtwin plan` for questions of kind "measure": answered by both doors, and questions that cannot be."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from scenarios.cli.main import DISAGREES, DONE, run
from scenarios.library.plans import read_planned

QUESTION = """
name = "small"
kind = "measure"
[specimen]
structure = "SrTiO3"
thickness = 16
[quantity]
kind = "thickness"
[asked]
std = 2
[instrument]
semiangle_mrad = 15
[unknown]
gain = 0.05
[[option]]
technique = "annular"
name = "ADF"
inner_mrad = 20
outer_mrad = 40
[[option]]
technique = "4d-stem"
reach_mrad = 40
[[option]]
technique = "cbed"
reach_mrad = 40
[[option]]
technique = "hrtem"
[compute]
cells = 2
phonons = 2
"""


@pytest.mark.slow
def test_a_thickness_is_planned(question: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "small.toml", "--json", "--out", "page.html"]) == DONE
    printed = capsys.readouterr().out
    result = json.loads(printed)
    assert result["asked"] == {"name": "std", "value": 2.0, "unit": "angstrom"}
    by_name = {option["name"]: option for option in result["options"]}
    assert set(by_name) == {"ADF", "4D-STEM", "CBED", "HRTEM"}
    camera = by_name["4D-STEM"]
    assert 0.0 < camera["share_of_quantum_limit"] < 1.0
    finite = [std for std in camera["stds"] if std is not None and math.isfinite(std)]
    assert finite == sorted(finite, reverse=True)
    # an annular detector tells a thickness by its signal, which the gain changes as well: 5 % of 16 angstrom
    assert by_name["ADF"]["dose"] > camera["dose"]
    page = (question.parent / "page.html").read_text()
    assert "Feasible: thickness to 2 Å with" in page
    assert "Least standard deviation of thickness" in page
    (question.parent / "plan.json").write_text(printed)
    assert read_planned(question.parent / "plan.json") == {"dose": by_name[result["best"]]["dose"], "std": 2.0}
    question.write_text(QUESTION.replace("[unknown]", "[limits]\ndose = 0.001\n[unknown]"))
    assert run(["plan", "small.toml"]) == DISAGREES
    told = capsys.readouterr().out
    assert "Not feasible: no option reaches thickness to 2 Å" in " ".join(told.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("quantity", "std"),
    [
        ('kind = "composition"\nelement = "Sr"\nby = "La"', 0.05),
        ('kind = "tilt"\naxis = "y"', 1.0),
        ('kind = "position"\nelement = "O"\ncolumn = 2', 0.05),
        ('kind = "strain"', 0.01),
        ('kind = "aberration"\nname = "C21b"', 100.0),
    ],
)
def test_quantities_have_options_that_measure_them(
    question: Path, quantity: str, std: float, capsys: pytest.CaptureFixture[str]
) -> None:
    made = QUESTION.replace('kind = "thickness"', quantity).replace("std = 2", f"std = {std}")
    question.write_text(made.replace("gain = 0.05", "gain = 0.05\ntilt = 1"))
    assert run(["plan", "small.toml", "--json"]) in (DONE, DISAGREES)
    result = json.loads(capsys.readouterr().out)
    shares = [option["share_of_quantum_limit"] for option in result["options"]]
    assert all(0.0 <= share < 1.0 for share in shares)
    assert max(shares) > 0.0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[quantity]\n", "[quality]\n", "quality"),
        ('[quantity]\nkind = "thickness"\n', "", "quantity"),
        ('kind = "thickness"', 'kind = "hardness"', "quantity.kind"),
        ("std = 2", "std = 0", "asked.std"),
        ("[asked]\nstd = 2\n", "", "asked.std"),
        ('kind = "thickness"', 'kind = "occupancy"\nelement = "O"', "quantity.column"),
        ('kind = "thickness"', 'kind = "occupancy"\nelement = "O"\ncolumn = 7', "quantity.column"),
        ('kind = "thickness"', 'kind = "occupancy"\nelement = "Fe"\ncolumn = 0', "quantity.element"),
        ('kind = "thickness"', 'kind = "occupancy"\nelement = "O"\ncolumn = -1', "quantity.column"),
        ('kind = "thickness"', 'kind = "composition"\nelement = "Sr"', "quantity.by"),
        ('kind = "thickness"', 'kind = "aberration"\nname = "Cs"', "quantity.name"),
        ("thickness = 16", "thickness = 4", "specimen.thickness"),
        ("gain = 0.05", "tilt = -1", "unknown.tilt"),
    ],
)
def test_questions_that_cannot_be(refused: Callable[[str, str, str], None], old: str, new: str, message: str) -> None:
    refused(old, new, message)
