"""`emtwin plan --search` and `--scenario`: settings that need less dose, and a scenario that `emtwin simulate` runs."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from scenarios.cli.main import BAD_INPUT, DONE, run
from scenarios.plan.scenario import cif_of, toml_of
from scenarios.plan.search.settings import given_of, inside, ranges_of, told, widened, with_settings
from scenarios.question.options import AnnularOption, CameraOption, ImageOption, SegmentedOption
from scenarios.question.parts import SearchPlan
from scenarios.question.reading import read_question
from twin.sample.specimen import Specimen, srtio3
from twin.sample.structures import read_cif

QUESTION = """
name = "small"
kind = "detect"
[specimen]
structure = "SrTiO3"
thickness = 16
[defect]
kind = "vacancy"
element = "O"
column = 1
[instrument]
semiangle_mrad = 15
[[option]]
technique = "annular"
inner_mrad = 8
outer_mrad = 15
[[option]]
technique = "4d-stem"
reach_mrad = 30
pixel_mrad = 4
[search]
starts = 2
vary = ["semiangle", "angles"]
semiangle_mrad = [12, 18]
[compute]
cells = 2
phonons = 2
depths = 1
"""


@pytest.mark.slow
def test_settings_are_advised_and_simulated(question: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "small.toml", "--json", "--out", "page.html", "--scenario", "advised.toml"]) == DONE
    result = json.loads(capsys.readouterr().out)
    doses = {option["name"]: option["dose"] for option in result["options"]}
    ring, camera = result["search"]["advices"]
    assert (ring["technique"], camera["technique"]) == ("annular", "4d-stem")
    for advice in (ring, camera):
        assert advice["given"]["dose"] == doses[advice["given"]["name"]]
        if advice["advised"] is not None:
            assert advice["factor"] == pytest.approx(advice["given"]["dose"] / advice["advised"]["dose"])
            assert 12.0 <= advice["advised"]["settings"]["semiangle_mrad"] <= 18.0
    # of a ring as narrow as the bright-field disk most of the signal is lost
    assert ring["factor"] > 1.5
    assert ring["advised"]["settings"]["inner_mrad"] < ring["advised"]["settings"]["outer_mrad"]
    front = result["search"]["front"]
    for candidate in front:
        assert not any(
            other != candidate and all(other[key] <= candidate[key] for key in ("dose", "seconds", "error"))
            for other in front
        )
    assert "times less" in (question.parent / "page.html").read_text()
    written = tomllib.loads((question.parent / "advised.toml").read_text())
    assert written["dose"]["per_area"] == pytest.approx(doses[result["best"]])
    structure = read_cif(question.parent / "advised.cif")
    assert structure.content["O"] == 2 * 2 * 4 * 3 - 1
    assert run(["simulate", "advised.toml", "--out", "made.zarr", "--json"]) == DONE
    capsys.readouterr()
    assert run(["plan", "small.toml", "--scenario", "advised.toml"]) == BAD_INPUT


def test_a_structure_comes_back_as_it_was_written() -> None:
    whole = srtio3((2, 1, 3))
    filled = np.ones(len(whole.symbols))
    filled[4] = 0.0
    specimen = Specimen(whole.positions, whole.u2, whole.symbols, whole.cell, filled)
    atoms = read_cif(cif_of(specimen, "a vacancy")).atoms
    kept = filled > 0.0
    assert tuple(atoms.get_chemical_symbols()) == tuple(np.array(whole.symbols)[kept])
    np.testing.assert_allclose(atoms.get_positions(), whole.positions[kept], atol=1e-6)
    np.testing.assert_allclose(atoms.arrays["u2"], whole.u2[kept], atol=1e-6)
    values = {"a": 1, "name": 'with "quotes"', "b": {"c": [1.5, 2.0], "d": {"e": True}}}
    assert tomllib.loads(toml_of(values)) == values


def test_settings_of_options_and_what_may_vary(question: Path) -> None:
    read = read_question("small.toml")
    ring, pixels = read.options()
    given = given_of(ring, read)
    assert given == pytest.approx({"semiangle": 15e-3, "defocus": 0.0, "inner": 8e-3, "outer": 15e-3})
    assert told(given) == {"semiangle_mrad": 15.0, "defocus": 0.0, "inner_mrad": 8.0, "outer_mrad": 15.0}
    assert inside(told(given)) == pytest.approx(given)
    search = SearchPlan()
    assert set(ranges_of(ring, search, 15.0, 30.0)) == {"semiangle", "defocus", "inner", "outer"}
    assert set(ranges_of(pixels, search, 15.0, 30.0)) == {"semiangle", "defocus"}
    assert set(ranges_of(ImageOption(), SearchPlan(vary=["cs", "aperture"]), 15.0, 30.0)) == {"c30", "aperture"}
    assert ranges_of(pixels, SearchPlan(vary=["reach"]), 15.0, 30.0)["reach"] == pytest.approx((7.5e-3, 30e-3))
    changed = with_settings(ring, {"inner_mrad": 20.0, "outer_mrad": 20.2, "semiangle_mrad": 9.0})
    assert isinstance(changed, AnnularOption)
    assert (changed.inner_mrad, changed.outer_mrad, changed.name) == (20.0, 21.0, "annular 20-21 mrad as advised")
    parted = with_settings(SegmentedOption(), {"inner_mrad": 1.0, "outer_mrad": 9.0}, 8)
    assert isinstance(parted, SegmentedOption)
    assert parted.sectors == 8
    wide = widened(read)
    assert wide.instrument.semiangle_mrad == 18.0
    assert wide.options()[0] == ring
    reach = wide.options()[1]
    assert isinstance(reach, CameraOption)
    assert reach.reach_mrad == 30.0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("semiangle_mrad = [12, 18]", "semiangle_mrad = [18, 12]", "search.semiangle_mrad"),
        ("semiangle_mrad = [12, 18]", "defocus = [5, 5]", "search.defocus"),
        ('"angles"', '"angel"', "search.vary"),
        ("starts = 2", "starts = 0", "search.starts"),
    ],
)
def test_searches_that_cannot_be(
    question: Path, old: str, new: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    question.write_text(QUESTION.replace(old, new, 1))
    assert run(["plan", "small.toml", "--json"]) == BAD_INPUT
    error = json.loads(capsys.readouterr().out)["error"]
    assert message in f"{error['input']} {error['problem']}"
    assert run(["plan", "thickness-srtio3", "--search"]) == BAD_INPUT
    assert run(["plan", "small.toml", "--scenario", "a.yaml"]) == BAD_INPUT
