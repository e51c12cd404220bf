"""Energy-loss spectra in `emtwin plan`: as an option of detection, as measurements, and questions that cannot be."""

import json
from pathlib import Path

import pytest

from learn.feasibility.spectra.image import CROSS_SECTION
from scenarios.cli.main import BAD_INPUT, DISAGREES, DONE, run
from scenarios.plan.costs import costs_of
from scenarios.plan.spectra.edges import edge_of
from scenarios.question.options import SpectrumOption
from scenarios.question.reading import read_question

DETECT = """
name = "small"
kind = "detect"
[specimen]
structure = "SrTiO3"
thickness = 12
[defect]
kind = "vacancy"
element = "O"
column = 1
[instrument]
semiangle_mrad = 15
[compute]
cells = 2
phonons = 2
depths = 1
[[option]]
technique = "eels"
channels = 64
dispersion = 2.0
"""
MEASURE = """
name = "small"
kind = "measure"
[specimen]
structure = "SrTiO3"
thickness = 100
[quantity]
kind = "t_over_lambda"
[asked]
std = 0.01
"""
DISTINGUISH = """
name = "small"
kind = "distinguish"
[specimen]
structure = "SrTiO3"
thickness = 40
[[candidate]]
name = "up"
[[candidate]]
name = "down"
turn = 180
[[option]]
technique = "eels"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answered(text: str, capsys: pytest.CaptureFixture[str], code: int = DONE) -> dict:
    Path("question.toml").write_text(text)
    assert run(["plan", "question.toml", "--json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_a_vacancy_is_seen_by_its_edge(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = answered(DETECT, capsys)
    option = result["options"][0]
    assert option["technique"] == "eels"
    assert 1e5 < option["dose"] < 1e10
    assert option["powers"] == sorted(option["powers"])
    assert 0.0 < option["share_of_quantum_limit"] < 1e-2
    noisy = answered(DETECT + "readout = 20\n", capsys)["options"][0]
    assert noisy["dose"] > option["dose"]
    # against the prediction, which is wrong by the strengths of edges and by the local potential
    alone = answered(DETECT + "[asked]\nreferences = false\n", capsys)["options"][0]
    assert any(name.startswith(CROSS_SECTION) for name in alone["costs_of_unknowns"])
    assert not any(name.startswith(CROSS_SECTION) for name in option["costs_of_unknowns"])


@pytest.mark.slow
def test_t_over_lambda_is_measured(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = answered(MEASURE, capsys)
    assert result["asked"] == {"name": "std", "value": 0.01, "unit": ""}
    option = result["options"][0]
    # sqrt((1 - p) / (p n)) = 0.01 of p = exp(-0.08)
    field = (3 * 3.905) ** 2
    assert option["dose"] * field == pytest.approx(0.083 / 1e-4, rel=0.2)
    assert option["stds"] == sorted(option["stds"], reverse=True)


@pytest.mark.slow
def test_the_valence_of_titanium_and_a_composition(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "valence-ti", "--json", "--out", "page.html"]) == DONE
    result = json.loads(capsys.readouterr().out)
    assert result["asked"]["unit"] == "electronvolt"
    assert {option["technique"] for option in result["options"]} == {"eels"}
    assert "shift of Ti L to 0.1 eV" in (folder / "page.html").read_text()
    ratio = MEASURE.replace("0.01", "0.06").replace('"t_over_lambda"', '"composition"\nelement = "Ti"\nover = "O"')
    held = answered(ratio + "[[option]]\ntechnique = 'eels'\n", capsys)["options"][0]
    assert any(name.startswith(CROSS_SECTION) for name in held["costs_of_unknowns"])
    exact = answered(ratio + "[unknown]\ncross_section = 0\n[[option]]\ntechnique = 'eels'\n", capsys)["options"][0]
    assert exact["dose"] < held["dose"]
    absolute = ratio.replace('over = "O"', "") + "[[option]]\ntechnique = 'eels'\n"
    assert "the gain" in answered(absolute, capsys, DISAGREES)["options"][0]["obstacles"][0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        (DETECT + 'edge = "O Q"\n', "option[0].edge", "no edge 'Q'"),
        (DETECT + 'edge = "Fe L"\n', "option[0].edge", "no element"),
        (DETECT + "offset = 600\n", "option[0].offset", "O K at 532 eV"),
        (DETECT.replace('kind = "vacancy"', 'kind = "adatom"\nby = "H"\nposition = [0.1, 0.2]').replace('element = "O"\n', ""),
         "option[0].edge", "no edge of H"),
        (DETECT + '[edges."O Q"]\nshift = 1\n', "edges.O Q", "no such edge"),
        (MEASURE.replace("t_over_lambda", "edge_shift"), "quantity.edge", "missing"),
        (MEASURE.replace('"t_over_lambda"', '"edge_shift"\nedge = "Fe L"'), "option[0].edge", "no element"),
        (MEASURE + '[[option]]\ntechnique = "4d-stem"\n', "question.toml", "option[0].technique"),
        (MEASURE.replace("t_over_lambda", "strain") + '[[option]]\ntechnique = "eels"\n', "question.toml", "option[0].technique"),
        (DISTINGUISH, "question.toml", "option[0].technique"),
        (MEASURE.replace('"t_over_lambda"', '"composition"\nelement = "Fe"') + '[[option]]\ntechnique = "eels"\n', "quantity.element", "no Fe"),
        (MEASURE.replace('"t_over_lambda"', '"composition"\nelement = "Ti"\nover = "O"') + '[[option]]\ntechnique = "eels"\noffset = 600\n',
         "option[0].offset", "no edge"),
    ],
)  # fmt: skip
def test_questions_that_cannot_be(
    folder: Path, text: str, key: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = answered(text, capsys, BAD_INPUT)["error"]
    assert key in error["input"]
    assert problem in error["problem"]
    assert error["cure"]


def test_an_edge_is_chosen_by_what_is_seen_of_an_atom(folder: Path) -> None:
    Path("question.toml").write_text(DETECT)
    question = read_question("question.toml")
    areal = {"Sr": 0.2, "Ti": 0.2, "O": 0.6}
    for elements, label in ((["O"], "O K"), (["Ti"], "Ti L")):
        assert edge_of(question, SpectrumOption(), areal, 12.0, elements) == label


def test_a_spectrum_takes_its_exposure(folder: Path) -> None:
    Path("question.toml").write_text(DETECT)
    question = read_question("question.toml")
    costs = costs_of(question, SpectrumOption(seconds=0.01), 1e3, (10.0, 10.0), 400.0, 64)
    assert costs.dwell == 0.01
    assert costs.megabytes == pytest.approx(400 * 64 * 4e-6)
