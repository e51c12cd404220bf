"""Which columns of a field a question looks at, and what it must not ask."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenarios.acquire.detect.wanted import field_for, wanted_of
from scenarios.cli.main import BAD_INPUT, run
from scenarios.io.errors import BadInput
from scenarios.question.reading import PRESETS, question_of, read_question

VALUES: dict[str, Any] = {
    "name": "q", "kind": "detect", "specimen": {"structure": "SrTiO3", "thickness": 40}, "defect": {"kind": "vacancy", "element": "O"},
    "option": [{"technique": "annular", "inner_mrad": 10, "outer_mrad": 20, "name": "ABF"}, {"technique": "4d-stem"}], "folder": str(PRESETS),
}  # fmt: skip


def changed(**tables: Any):
    values = {name: dict(value) if isinstance(value, dict) else value for name, value in VALUES.items()}
    for name, value in tables.items():
        values[name] = {**values.get(name, {}), **value} if isinstance(value, dict) else value
    return question_of(values, "test")


def test_columns_are_those_about_which_the_crystal_is_the_same() -> None:
    """Of the O columns of SrTiO3 [001] two are of O alone and alike but for a turn, and one has Ti: each is like none of the others in its cell."""
    for column in range(3):
        wanted = wanted_of(changed(defect={"column": column}, asked={"field": [4, 3]}))
        assert len(wanted.alike) == 1
        assert len(wanted.places) == 12
        assert wanted.sides == pytest.approx((4 * 3.905, 3 * 3.905))
    layer = wanted_of(read_question("se-vacancy-wse2"))
    assert len(layer.places) == 18
    np.testing.assert_allclose(layer.alike[1] * 2.0, layer.made.unit[:2], rtol=1e-5)


def test_the_site_is_where_the_twin_changes_an_atom() -> None:
    from scenarios.plan.kinds.detect import hypotheses

    for name in ("se-vacancy-wse2", "s-vacancy-mos2", "la-in-srtio3", "oxygen-vacancy"):
        question = read_question(name)
        wanted = wanted_of(question)
        cell = wanted.made.cell_specimen
        assert cell is not None
        location = hypotheses(question, wanted.made).location
        off = (cell.positions[wanted.site, :2] - np.array(location)) / np.array(cell.extent)
        np.testing.assert_allclose(off, np.rint(off), atol=1e-4, err_msg=name)
        assert cell.symbols[wanted.site] == question.defect.element if question.defect else False


def test_errors_are_shared_among_the_columns() -> None:
    known, anywhere = (
        wanted_of(changed(asked={"where": where, "false_alarms": 0.1, "field": [5, 2]}))
        for where in ("known", "anywhere")
    )
    assert known.errors.false_alarms == 0.1
    assert 1.0 - (1.0 - anywhere.errors.false_alarms) ** 10 == pytest.approx(0.1)


def test_the_field_is_made_of_what_is_believed() -> None:
    question = changed(unknown={"thickness": 8, "jitter": 0.03}, instrument={"defocus": 20})
    config = field_for(question, wanted_of(question), {"share": 0.5})
    assert (config["depth"], config["by"], config["c10"], config["jitter"], config["share"]) == (
        10,
        0,
        -20.0,
        0.03,
        0.5,
    )
    assert config["thickness_std"] == 8
    assert config["numbers"][config["site"]] == 8
    assert config["detectors"] == {"ABF": [0.01, 0.02]}
    with pytest.raises(BadInput, match="nonsense"):
        field_for(question, wanted_of(question), {"nonsense": 1})


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"defect": {"kind": "adatom", "by": "O", "position": [0.5, 0.5]}}, r"defect\.kind.*adatom"),
        ({"defect": {"element": "Fe"}}, r"defect\.element.*no Fe"),
        ({"defect": {"column": 7}}, r"defect\.column"),
        ({"asked": {"references": False}}, r"asked\.references"),
        ({"asked": {"field": [1, 2]}}, r"asked\.field.*2 like columns"),
        ({"asked": {"field": [60, 2]}}, r"asked\.field.*angstrom"),
        ({"asked": {"power": 0.01, "false_alarms": 0.05}}, r"asked\.power"),
        ({"option": [{"technique": "4d-stem"}]}, r"option.*annular"),
        ({"unknown": {"layers": [5, 5]}}, r"unknown\.layers"),
        ({"specimen": {"tilt_mrad": [1, 0]}}, r"specimen\.tilt_mrad"),
        ({"compute": {"thicknesses": 3}, "unknown": {"thickness": 5}}, r"compute\.thicknesses"),
    ],
)
def test_what_cannot_be_answered_is_said_first(tables: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        wanted_of(changed(**tables))


def test_the_command_line_refuses_before_anything_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "q.toml"
    path.write_text(
        'name = "q"\nkind = "detect"\n[specimen]\nstructure = "SrTiO3"\nthickness = 40\n[defect]\nkind = "vacancy"\nelement = "Fe"\n'
    )
    assert run(["acquire", str(path), "--out", str(tmp_path / "s")]) == BAD_INPUT
    assert "no Fe" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "s").exists()
    assert run(["acquire", "se-vacancy-wse2", "--dose", "10", "--out", str(tmp_path / "s")]) == BAD_INPUT
