"""What a question asks of the instrument, and what it does not have."""

from pathlib import Path

import numpy as np
import pytest

from reconstruct.api.models import load_model
from scenarios.acquire.question.wanted import bounded, scenario_for, wanted_of
from scenarios.cli.main import BAD_INPUT, run
from scenarios.io.errors import BadInput
from scenarios.question.reading import is_question, question_of, read_question
from twin.image.microscope import Calibration

VALUES = {
    "name": "q", "kind": "measure", "specimen": {"structure": "SrTiO3", "thickness": 78}, "quantity": {"kind": "defocus"}, "asked": {"std": 3},
    "instrument": {"energy_keV": 200, "semiangle_mrad": 21.4}, "unknown": {"thickness": 8},
}  # fmt: skip


def changed(**tables):
    values = {name: dict(value) if isinstance(value, dict) else value for name, value in VALUES.items()}
    for name, value in tables.items():
        values[name] = {**values.get(name, {}), **value} if isinstance(value, dict) else value
    return question_of(values, "test")


@pytest.mark.parametrize(
    ("quantity", "entry", "unit", "value"),
    [
        ({"kind": "defocus"}, "C10", "angstrom", -1.0),
        ({"kind": "aberration", "name": "C12b"}, "C12b", "angstrom", 1.0),
        ({"kind": "thickness"}, "thickness", "angstrom", 1.0),
        ({"kind": "tilt", "axis": "y"}, "tilt.y", "mrad", 1e3),
    ],
)
def test_quantities_are_numbers_of_the_state(quantity: dict, entry: str, unit: str, value: float) -> None:
    layout = load_model("probe").layout
    (wanted,) = wanted_of(changed(quantity=quantity))
    row = wanted.row(layout, Calibration())
    assert wanted.unit == unit
    assert row[layout.index(entry)] == pytest.approx(value)
    if entry == "C10":  # with what a wrong high tension does to the focus
        assert row[layout.index("HT")] != 0.0
    else:
        assert np.count_nonzero(row) == 1


def test_the_specimen_is_drawn_and_the_twin_told_the_belief() -> None:
    scenarios = [scenario_for(changed(seed=seed)) for seed in range(30)]
    cells = np.array([each.instrument.config["cells"] for each in scenarios])
    assert 19.0 < cells.mean() < 21.0
    assert 1.2 < cells.std() < 3.0
    assert {each.twin.priors["thickness"] for each in scenarios} == {(78.0, 8.0)}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"quantity": {"kind": "occupancy", "element": "O", "column": 0}}, r"quantity\.kind.*no occupancy"),
        ({"instrument": {"energy_keV": 300}}, r"instrument\.energy_keV.*300"),
        ({"instrument": {"semiangle_mrad": 10}}, r"instrument\.semiangle_mrad"),
        ({"specimen": {"thickness": 300}}, r"specimen\.thickness.*300"),
        ({"specimen": {"zone": [1, 1, 0]}}, r"specimen.*zone"),
        ({"unknown": {"thickness": 0}}, r"unknown\.thickness"),
        ({"option": [{"technique": "4d-stem"}]}, r"option.*annular detector of 60 to 95"),
        ({"option": [{"technique": "annular", "inner_mrad": 10, "outer_mrad": 20}]}, r"option.*annular detector"),
    ],
)
def test_what_the_instrument_does_not_have_is_said_first(tables: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        scenario_for(changed(**tables))


def test_tolerances_are_told_with_the_probability_that_is_asked() -> None:
    values = {name: value for name, value in VALUES.items() if name not in ("quantity", "asked")}
    tuned = question_of(
        {**values, "kind": "tune", "tolerance": {"C10": 10, "C12b": 4}, "asked": {"power": 0.95}}, "test"
    )
    wanted = wanted_of(tuned)
    assert [(each.parameter, each.tolerance) for each in wanted] == [("C10", 10.0), ("C12b", 4.0)]
    assert [each.asked for each in wanted] == pytest.approx([10.0 / 1.95996, 4.0 / 1.95996], rel=1e-5)
    none = question_of({**values, "kind": "tune"}, "test")
    with pytest.raises(BadInput, match=r"tolerance.*C12a"):
        wanted_of(none)
    with pytest.raises(BadInput, match=r"C21a"):
        question_of({**values, "kind": "tune", "tolerance": {"C21a": 10}}, "test")


def test_limits_are_those_of_the_specimen_and_no_less_than_an_image() -> None:
    free, _ = bounded(changed(), scenario_for(changed()))
    assert free.dose is None  # 200 kV displaces no atom of SrTiO3
    asked = changed(limits={"dose": 1e6, "radiolysis": "quartz"})
    limits, words = bounded(asked, scenario_for(asked))
    assert limits.dose is not None
    assert 0.0 < limits.dose < 1e6
    assert "ionisation" in words
    own = changed(limits={"dose": 2e4, "radiolysis": None})
    assert bounded(own, scenario_for(own)) == (own.limits, "")
    small = changed(limits={"dose": 10})
    with pytest.raises(BadInput, match=r"limits\.dose.*first image"):
        bounded(small, scenario_for(small))


def test_questions_are_told_from_scenarios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_question("focus-srtio3")
    assert not is_question("tune-and-map")
    Path("a.toml").write_text('name = "a"\nkind = "tune-and-map"\n')
    Path("b.toml").write_text("kind = [")
    assert not is_question("a.toml")
    assert not is_question("b.toml")
    assert run(["acquire", "focus-srtio3", "--dose", "100"]) == BAD_INPUT
    assert run(["acquire", "polarity-gan"]) == BAD_INPUT
    assert "emtwin plan" in capsys.readouterr().err
    assert run(["plan", "tune-srtio3"]) == BAD_INPUT
    assert "emtwin acquire" in capsys.readouterr().err
    assert not Path("sessions").exists()
    assert read_question("focus-srtio3").kind == "measure"
