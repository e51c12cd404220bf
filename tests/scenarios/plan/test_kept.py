"""A plan that was made before is the same again, and not taken for another."""

from pathlib import Path

import numpy as np
import pytest

from scenarios.io.progress import SilentProgress
from scenarios.plan import kept
from scenarios.plan.job import plan_question, result_of
from scenarios.plan.kept import kept_plan
from scenarios.plan.planned import Planned
from scenarios.plan.report.page import page_of
from scenarios.plan.scenario import cif_of
from scenarios.question.reading import read_question
from twin.sample.specimen import srtio3

QUESTION = """
name = "small"
kind = "detect"
[specimen]
structure = "SrTiO3"
thickness = 8
[defect]
kind = "vacancy"
element = "Sr"
depth = 4
[instrument]
semiangle_mrad = 15
[[option]]
technique = "annular"
inner_mrad = 20
outer_mrad = 40
[compute]
cells = 2
phonons = 2
settings = 1
"""


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMTWIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def unmade() -> Planned:
    raise AssertionError("the plan is made again")


def test_a_plan_is_the_same_again(question: Path, cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = read_question("small.toml")
    first = plan_question(asked)
    again = kept_plan(asked, unmade, SilentProgress())
    told = [{**result_of(each), "seconds": 0.0} for each in (first, again)]
    assert told[0] == told[1]
    assert page_of(first._replace(seconds=0.0)) == page_of(again._replace(seconds=0.0))
    np.testing.assert_array_equal(first.hypotheses.perfect.positions, again.hypotheses.perfect.positions)
    assert first.best is not None
    assert again.best is not None
    assert again.best.option == first.best.option
    # another question, another file of a structure and other source code are no cause to read it
    question.write_text(QUESTION.replace("depth = 4", "depth = 2"))
    with pytest.raises(AssertionError, match="made again"):
        kept_plan(read_question("small.toml"), unmade, SilentProgress())
    monkeypatch.setattr(kept, "_source", lambda: "of another version")
    with pytest.raises(AssertionError, match="made again"):
        kept_plan(asked, unmade, SilentProgress())


def test_a_plan_depends_on_what_its_files_hold(question: Path, cached: Path) -> None:
    structure = Path("own.cif")
    structure.write_text(cif_of(srtio3((1, 1, 1)), "own"))
    question.write_text(QUESTION.replace('"SrTiO3"', '"own.cif"'))
    asked = read_question("small.toml")
    plan_question(asked)
    kept_plan(asked, unmade, SilentProgress())
    structure.write_text(structure.read_text() + "\n")
    with pytest.raises(AssertionError, match="made again"):
        kept_plan(asked, unmade, SilentProgress())


def test_a_spoiled_plan_is_made_again(question: Path, cached: Path) -> None:
    asked = read_question("small.toml")
    first = plan_question(asked)
    (stored,) = (cached / "plan").glob("plan-*.cache")
    stored.write_bytes(stored.read_bytes()[:-7])
    with pytest.raises(AssertionError, match="made again"):
        kept_plan(asked, unmade, SilentProgress())
    assert result_of(plan_question(asked))["options"] == result_of(first)["options"]
