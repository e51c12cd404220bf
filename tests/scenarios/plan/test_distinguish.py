"""`emtwin plan` for questions of kind "distinguish": answered by both doors, and questions that cannot be."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scenarios.cli.main import DISAGREES, DONE, run
from scenarios.question.reading import PRESETS

QUESTION = f"""
name = "small"
kind = "distinguish"
[specimen]
structure = "{PRESETS / "gan.cif"}"
zone = [1, 1, 0]
thickness = 12
[[candidate]]
name = "Ga-polar"
[[candidate]]
name = "N-polar"
turn = 180
[instrument]
semiangle_mrad = 15
[[option]]
technique = "annular"
name = "ABF"
inner_mrad = 8
outer_mrad = 15
[[option]]
technique = "hrtem"
[[option]]
technique = "cbed"
reach_mrad = 30
[compute]
cells = 1
phonons = 2
"""


@pytest.mark.slow
def test_a_polarity_is_planned(question: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "small.toml", "--json", "--out", "page.html"]) == DONE
    result = json.loads(capsys.readouterr().out)
    assert result["asked"] == {"name": "error", "value": 0.01, "unit": ""}
    by_name = {option["name"]: option for option in result["options"]}
    assert set(by_name) == {"ABF", "HRTEM", "CBED"}
    for option in result["options"]:
        assert 0.0 < option["share_of_quantum_limit"] <= 1.0
        assert option["errors"] == sorted(option["errors"], reverse=True)
    page = (question.parent / "page.html").read_text()
    assert "Ga-polar" in page
    assert "N-polar" in page
    # a structure turned by nothing is the same: it cannot be told apart
    question.write_text(QUESTION.replace("turn = 180", "turn = 0"))
    assert run(["plan", "small.toml", "--json"]) == DISAGREES
    assert all(option["dose"] is None or option["dose"] == float("inf") for option in json.loads(capsys.readouterr().out)["options"])  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('[[candidate]]\nname = "N-polar"\nturn = 180\n', "", "candidate needs two"),
        ('name = "N-polar"', 'name = "Ga-polar"', "candidate.name"),
        ("turn = 180", "turn = 90", "candidate[1].turn"),
        ("turn = 180", 'structure = "SrTiO3"\nzone = [0, 0, 1]', "does not fit"),
        ('technique = "hrtem"', 'technique = "eels"', "option[1].technique"),
    ],
)
def test_questions_that_cannot_be(refused: Callable[[str, str, str], None], old: str, new: str, message: str) -> None:
    refused(old, new, message)
