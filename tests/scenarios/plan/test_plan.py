"""`emtwin plan`: a small question answered by both doors, its page, and questions that cannot be."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from learn.feasibility.assessment import DOSES
from scenarios.cli.main import BAD_INPUT, DISAGREES, DONE, run
from scenarios.io.errors import BadInput
from scenarios.library.record import Record
from scenarios.library.store import Library
from scenarios.plan.costs import costs_of
from scenarios.plan.damage import damage_of
from scenarios.plan.job import plan_question
from scenarios.plan.report.past import past_lines, past_of
from scenarios.plan.scenario import scenario_of
from scenarios.question.options import PatternOption
from scenarios.question.reading import question_names, question_of, read_question
from twin.damage import knock_on
from twin.sample.specimen import srtio3

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
semiangle_mrad = 15
[[option]]
technique = "annular"
inner_mrad = 20
outer_mrad = 40
[[option]]
technique = "4d-stem"
reach_mrad = 40
[compute]
cells = 2
phonons = 2
depths = 1
"""


@pytest.mark.slow
def test_a_question_is_answered(question: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "small.toml", "--json", "--out", "page.html"]) == DONE
    result = json.loads(capsys.readouterr().out)
    assert result["schema"] == "emtwin.plan/1"
    assert result["best"] == "4D-STEM"
    by_name = {option["name"]: option for option in result["options"]}
    ring, camera = by_name["annular 20-40 mrad"], by_name["4D-STEM"]
    assert camera["dose"] < ring["dose"]
    assert 0.0 < ring["share_of_quantum_limit"] < camera["share_of_quantum_limit"] < 1.0
    powers = ring["powers"]
    assert powers == sorted(powers)
    assert powers[0] < 0.2 < 0.99 < powers[-1]
    text = (question.parent / "page.html").read_text()
    assert "Feasible with 4D-STEM" in text
    assert text.count("data:image") == 3
    question.write_text(QUESTION + "[limits]\ndose = 1.0\n")
    assert run(["plan", "small.toml"]) == DISAGREES
    told = capsys.readouterr().out
    assert "Not feasible" in told
    assert "times the limit" in told


def test_costs_follow_the_dose_and_the_slowest_part() -> None:
    question, extent = read_question("la-in-srtio3"), (10.0, 20.0)
    annular, *_, camera, image = question.options()
    slow = costs_of(question, annular, 1e4, extent, 400.0, 1)
    assert slow.electrons == 2e6
    # 30 pA bring 187 electrons a microsecond
    assert slow.dwell == pytest.approx(2e6 / 400 / 1.8725e8, rel=1e-3)
    assert slow.seconds == pytest.approx(60.0 + 400 * slow.dwell + 20 * 5e-4)
    framed = costs_of(question, camera, 1e4, extent, 400.0, 1000)
    assert framed.dwell == 1 / 2000
    assert framed.megabytes == pytest.approx(400 * 1000 * 2e-6)
    assert costs_of(question, image, 2e4, extent, 400.0, 1).seconds == pytest.approx(60.0 + 300.0 + 20.0)
    resting = costs_of(question, PatternOption(), 1e6, extent, 8.0, 100)
    assert resting.seconds == pytest.approx(60.0 + 8 * max(2e8 / 8 / 1.8725e8, 0.01), rel=1e-3)
    assert math.isnan(costs_of(question, annular, math.inf, extent, 400.0, 1).seconds)


@pytest.mark.parametrize(
    ("limits", "energy", "words"),
    [
        ("", 300.0, "displaces 1 % of O"),
        ("[limits]\ndisplaced = 0.2\n", 300.0, "displaces 20 % of O"),
        ("", 80.0, None),
        ('[limits]\nradiolysis = "protein"\n', 80.0, "by ionisation"),
    ],
)
def test_damage_bounds_the_dose(question: Path, limits: str, energy: float, words: str | None) -> None:
    question.write_text(QUESTION.replace("semiangle_mrad = 15", f"semiangle_mrad = 15\nenergy_keV = {energy}") + limits)
    damages = damage_of(read_question("small.toml"), srtio3((1, 1, 1)).symbols)
    assert [str(words) in damage.words for damage in damages] == ([True] if words else [])
    if words and "%" in words:
        oxygen = min(
            knock_on({"Sr": 1, "Ti": 1, "O": 3}, 1e3 * energy, 1.0, displaced=0.2 if limits else 0.01),
            key=lambda row: row.dose,
        )
        assert damages[0].dose == oxygen.dose
    question.write_text(QUESTION + '[limits]\nradiolysis = "cheese"\n')
    with pytest.raises(BadInput, match=r"limits\.radiolysis"):
        damage_of(read_question("small.toml"), srtio3((1, 1, 1)).symbols)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('element = "Sr"', 'element = "Fe"', "defect.element"),
        ('technique = "annular"', 'technique = "haadf"', "option[0].technique"),
        ("thickness = 16", "thickness = -1", "specimen.thickness"),
        ("thickness = 16", "size = [9, 9]\nthickness = 16", "compute.cells"),
        ("inner_mrad = 20", "inner = 20", "option[0].inner"),
        ("thickness = 16", "", "specimen.thickness"),
        ('kind = "detect"', 'kind = "guess"', "kind"),
        ("inner_mrad = 20", "inner_mrad = 50", "option[0].inner_mrad"),
        ("cells = 2", "cells = 20", "compute.cells"),
        ("depths = 1", "depths = 1\nthicknesses = 3\n[unknown]\nthickness = 0", "unknown.thickness"),
        ("depths = 1", "depths = 1\nthicknesses = 3\n[unknown]\nthickness = 50", "unknown.thickness"),
        ("semiangle_mrad = 15", 'semiangle_mrad = 15\ntechniques = ["hrtem"]', "option[0].technique"),
    ],
)
def test_questions_that_cannot_be(refused: Callable[[str, str, str], None], old: str, new: str, message: str) -> None:
    refused(old, new, message)


def test_a_change_of_mode_and_the_hours_are_counted() -> None:
    question = read_question("la-in-srtio3")
    extent, (annular, *_, image) = (10.0, 20.0), question.options()
    tem = msgspec.structs.replace(question.instrument, mode="tem", mode_change=500.0, price_per_hour=72.0)
    inverse = msgspec.structs.replace(question, instrument=tem)
    for option, first in ((annular, 0.0), (image, 300.0)):
        seconds = [costs_of(each, option, 1e4, extent, 400.0, 1).seconds for each in (question, inverse)]
        assert seconds[1] - seconds[0] == pytest.approx((500.0 if option is annular else 0.0) - first)
    priced = costs_of(inverse, image, 1e4, extent, 400.0, 1)
    assert priced.price == pytest.approx(0.02 * priced.seconds)


def test_default_options_are_those_that_the_instrument_has() -> None:
    values = {"name": "small", "kind": "detect", "specimen": {"structure": "SrTiO3", "thickness": 20.0}}
    kept = question_of({**values, "instrument": {"techniques": ["hrtem", "dpc"]}}, "mine").options()
    assert [option.__struct_config__.tag for option in kept] == ["dpc", "hrtem"]
    with pytest.raises(BadInput, match=r"instrument\.techniques"):
        question_of({**values, "instrument": {"techniques": ["cbed"]}}, "mine")


@pytest.mark.slow
def test_energies_and_thicknesses_are_weighed(question: Path) -> None:
    """Each energy is one more option; power is the mean over thicknesses that are as likely."""
    energies = QUESTION.replace("semiangle_mrad = 15", "semiangle_mrad = 15\nenergies_keV = [80, 200]")
    question.write_text(energies)
    planned = plan_question(read_question("small.toml"))
    assert sorted(each.name for each in planned.options) == [
        f"{name} at {energy} kV" for name in ("4D-STEM", "annular 20-40 mrad") for energy in (200, 80)
    ]
    # the scenario has the energy, and the places of the scan, of the option that is written
    for energy in (80, 200):
        option = next(each for each in planned.options if each.name == f"4D-STEM at {energy} kV")
        assert scenario_of(planned, option, "structure.cif")["beam"]["energy_keV"] == energy
    best = planned.options[0].probe["energy_keV"]
    question.write_text(QUESTION.replace("semiangle_mrad = 15", f"semiangle_mrad = 15\nenergy_keV = {best}"))
    assert plan_question(read_question("small.toml")).window.shape == planned.window.shape
    alone = {}
    for thickness in (12, 16, 20):
        question.write_text(QUESTION.replace("thickness = 16", f"thickness = {thickness}"))
        alone[thickness] = plan_question(read_question("small.toml")).options[0].assessment.curve
    question.write_text(QUESTION + "thicknesses = 3\n[unknown]\nthickness = 4.2\n")
    mean = plan_question(read_question("small.toml")).options[0]
    # quantiles of 16 +- 4.2 angstrom are whole cells of these three
    np.testing.assert_allclose(mean.assessment.curve, np.mean(list(alone.values()), axis=0), atol=1e-6)
    assert np.interp(np.log(mean.assessment.dose), np.log(DOSES), mean.assessment.curve) == pytest.approx(
        0.95, abs=1e-3
    )


def test_presets_are_read_and_pages_are_pages(question: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in question_names():
        assert read_question(name).name == name
    assert run(["plan", "small.toml", "--out", "page.pdf"]) == BAD_INPUT
    assert run(["plan"]) == BAD_INPUT
    assert run(["plan", "absent"]) == BAD_INPUT
    assert run(["plan", "--keys"]) == DONE
    assert "[defect]" in capsys.readouterr().out


@pytest.mark.slow
def test_layers_and_other_settings_ask_for_more(question: Path) -> None:
    """What columns differ by at random, and one test for settings that are not known, cost dose."""
    camera = QUESTION.replace('[[option]]\ntechnique = "annular"\ninner_mrad = 20\nouter_mrad = 40\n', "")
    question.write_text(camera)
    alone = plan_question(read_question("small.toml")).options[0].assessment
    question.write_text(camera + "layers = 6\n[unknown]\nlayers = [4, 4]\n")
    covered = plan_question(read_question("small.toml")).options[0].assessment
    assert covered.dose > 1.1 * alone.dose
    assert covered.curve[-1] <= alone.curve[-1]
    question.write_text(camera + "settings = 4\n[unknown]\ndefocus = 60\n")
    assert plan_question(read_question("small.toml")).options[0].assessment.dose > alone.dose
    question.write_text(camera.replace("cells = 2", "cells = 1") + "[unknown]\nlayers = [4, 4]\n")
    with pytest.raises(BadInput, match=r"compute\.cells"):
        plan_question(read_question("small.toml"))


def test_the_library_tells_of_the_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMTWIN_LIBRARY", str(tmp_path / "library.db"))
    assert past_of("la-in-srtio3") is None
    elements = ("O", "Sr", "Ti")
    record = Record(
        kind="simulation", identity="mine", part=0, digest="1", name="earlier", path="", technique="stem", elements=elements,
        planned={"power": 0.9, "dose": 1e4}, reached={"detected": 1.0},
    )  # fmt: skip
    with Library(tmp_path / "library.db", create=True) as library:
        library.add([record])
    lines = past_lines(past_of("la-in-srtio3"))
    assert "earlier" in lines[0]
    assert "mean power of 0.90; reached were 1.00 (of 1)" in lines[1]
