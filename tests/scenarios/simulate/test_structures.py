"""``emtwin simulate``: orientation of the specimen in the picture, the report on the structure that was read, and sheets."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from rich.console import Console

from scenarios.io.errors import BadInput
from scenarios.io.progress import SilentProgress
from scenarios.simulate.job import run_simulate
from scenarios.simulate.output.show import print_simulated
from tests.twin.sample.crystals import cif, cube, hexagon, named
from twin.simulation.plan.reading import from_dict
from twin.simulation.plan.tables import Simulation
from twin.simulation.provenance import caption_of
from twin.simulation.ready import make_ready
from twin.simulation.specimen import make_specimen


def plan_of(folder: Path, **specimen: Any) -> Simulation:
    """An exit wave of a small specimen from a file in ``folder``."""
    plain = {
        "name": "small", "kind": "simulate", "signal": "exit-wave", "specimen": specimen, "folder": str(folder),
        "beam": {"energy_keV": 200.0}, "grid": {"gpts": [64, 64]}, "compute": {"workers": 1},
    }  # fmt: skip
    return from_dict(plain, "test")


@pytest.mark.slow
def test_gold_along_its_cube_axis_keeps_the_cube(tmp_path):
    """4.08 angstrom a cell and x along a, and the cell, its directions and what was read stand in result, provenance and picture's caption."""
    (tmp_path / "gold.cif").write_text(cif(cube(4.0786), named("F m -3 m"), "Au1 Au 0 0 0"))
    plan = plan_of(tmp_path, structure="gold.cif", cells=1, repeats=[2, 3])
    result = run_simulate(plan, tmp_path / "gold.zarr", False, SilentProgress())
    np.testing.assert_allclose(result["cell"]["lengths"], 4.0786)
    assert result["cell"]["directions"] == {"x": [1, 0, 0], "y": [0, 1, 0], "z": [0, 0, 1]}
    assert result["cell"]["repeats"] == [2, 3, 1]
    assert result["structure"]["formula"] == "Au"
    assert result["structure"]["atoms"] == 4
    assert "F m -3 m (225)" in result["structure"]["described"]
    kept = dict(zarr.open_group(tmp_path / "gold.zarr", mode="r").attrs)
    assert (kept["structure"], kept["cell"]) == (result["structure"], result["cell"])
    assert kept["extent"] == pytest.approx([2 * 4.0786, 3 * 4.0786])
    shown = io.StringIO()
    print_simulated(result, Console(file=shown, width=200))
    assert "Au: 4 atoms in the cell, F m -3 m (225)" in shown.getvalue()
    assert "4.079 x 4.079 x 4.079 Å, x along [1 0 0]" in shown.getvalue()
    assert "2 x 3 x 1 of this cell" in shown.getvalue()
    assert caption_of(make_ready(plan)) == "Au, x along [1 0 0], y along [0 1 0], beam along [0 0 1], 4.1 Å thick"


def test_a_sheet_needs_no_thickness_and_stays_whole(tmp_path):
    """MoS2 with molybdenum at the cell's border: its sulphur planes would lie 13 angstrom of vacuum apart."""
    sites = "Mo1 Mo 0.3333 0.6667 0\nS1 S 0.6667 0.3333 0.0978"
    (tmp_path / "sheet.cif").write_text(cif(hexagon(3.16, 16.0), named("P -6 m 2"), sites))
    made = make_specimen(plan_of(tmp_path, structure="sheet.cif"))
    assert made.structure.formula == "Mo S2"
    assert made.repeats[2] == 1
    z = made.specimen.positions[:, 2]
    assert z.max() - z.min() == pytest.approx(2 * 0.0978 * 16.0, abs=1e-6)
    assert z.min() > 4.0
    assert z.max() < 12.0
    assert min(made.specimen.extent) >= 20.0
    assert "a sheet, 3.13 angstrom" in made.notes[0]
    with pytest.raises(BadInput, match="neither thickness nor cells"):
        make_specimen(plan_of(tmp_path, structure="SrTiO3"))


def test_what_was_done_to_read_a_structure_is_noted(tmp_path):
    extra = "_chemical_formula_sum 'Cl Na'\n_cell_formula_units_Z 2"
    text = cif(cube(5.64), named("F m -3 m"), "Na1 Na 0 0 0 ?\nCl1 Cl 0.5 0.5 0.5 1", "_atom_site_occupancy", extra)
    (tmp_path / "salt.cif").write_text(text)
    notes = make_ready(plan_of(tmp_path, structure="salt.cif", cells=1)).notes
    assert any("structure: occupancy not known (?), taken as 1: Na1" in note for note in notes)
    assert any("contradicts itself: 2 formula units" in note for note in notes)
