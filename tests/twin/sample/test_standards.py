"""Crystals that are known by name."""

import gemmi
import numpy as np
import pytest

from twin.sample.standards import STANDARDS
from twin.simulation.specimen import structure_named

DENSITIES = {"Al": 2.699, "Au": 19.28, "Si": 2.329, "W": 19.26, "MgO": 3.585, "GaAs": 5.318, "CeO2": 7.215, "Fe": 7.874, "C": 3.515, "NaCl": 2.163, "Ge": 5.323,
             "SrTiO3": 5.11, "Ni": 8.91, "Cu": 8.935, "Pd": 12.0, "Ag": 10.50, "Pt": 21.45, "Mo": 10.22}  # fmt: skip
"""g/cm3 at room temperature (CRC Handbook of Chemistry and Physics), which no lattice parameter was computed from."""
DALTON = 1.66053907


@pytest.mark.parametrize("name", STANDARDS)
def test_a_cell_has_the_density_of_the_substance(name):
    atoms = structure_named("structure", name).atoms
    density = DALTON * atoms.get_masses().sum() / atoms.get_volume()
    assert density == pytest.approx(DENSITIES[name], rel=5e-3)


@pytest.mark.parametrize("name", STANDARDS)
def test_every_operation_of_the_space_group_maps_the_cell_onto_itself(name):
    atoms = structure_named("structure", name).atoms
    group = gemmi.SpaceGroup(STANDARDS[name].space_group.split("(")[0])
    assert group.number == int(STANDARDS[name].space_group.split("(")[1].rstrip(")"))
    if name in ("Si", "Ge", "C"):  # the tables' first origin, as the prototype has it
        group = gemmi.SpaceGroup("F d -3 m:1")
    places = {
        (number, *site) for number, site in zip(atoms.numbers, rounded(atoms.get_scaled_positions()), strict=True)
    }
    for operation in group.operations():
        moved = np.array([operation.apply_to_xyz(list(site)) for site in atoms.get_scaled_positions()])
        assert {(number, *site) for number, site in zip(atoms.numbers, rounded(moved), strict=True)} == places


def rounded(fractions: np.ndarray) -> list[tuple[int, ...]]:
    """Fractions of the cell in twenty-fourths, modulo the cell."""
    return [tuple(site) for site in (np.rint(24 * np.asarray(fractions)).astype(int) % 24).tolist()]
