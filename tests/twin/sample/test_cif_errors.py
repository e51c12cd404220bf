"""CIFs that cannot be read: each is refused with the reason."""

import pytest

from tests.twin.sample.crystals import cif, cube, named, rhomb
from twin.sample.structures import read_cif


@pytest.mark.parametrize(
    ("cell", "name", "message"),
    [
        ((5.4, 5.4, 6.0, 90, 90, 90), "F m -3 m", "contradicts F m -3 m"),
        ((5.15, 5.21, 5.32, 90, 90, 99.2), "P 21/c", "contradicts P 1 21/c 1"),
        ((4.9, 4.9, 17, 90, 90, 90), "R -3 c", "contradicts R -3 c"),
        (rhomb(4.0, 130), "R -3 c", "close no cell"),
        ((5.4, 5.4, 0, 90, 90, 90), "P 1", "_cell_length_c"),
    ],
)
def test_cells_that_contradict_their_space_group(cell, name, message):
    with pytest.raises(ValueError, match=message):
        read_cif(cif(cell, named(name), "Fe1 Fe 0 0 0"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no atoms"),
        ("not a cif", "cannot be read as a CIF"),
        ("data_a\n_cell_length_a 3\n", "holds no atoms"),
        ("#\\#CIF_2.0\ndata_a\n_x [1 2 3]\n_y {'a':1}\n", "CIF 2"),
        (cif(cube(4), named("Q q q"), "Fe1 Fe 0 0 0"), "'Q q q' is not known"),
        (cif(cube(4), {"_space_group_IT_number": "999"}, "Fe1 Fe 0 0 0"), "from 1 to 230"),
        (cif(cube(4), {}, "Fe1 Fe 0 zero 0"), "y of atom Fe1 is 'zero'"),
        (cif(cube(4), {}, "Qq1 Qq 0 0 0"), "'Qq', which is no element"),
        (cif(cube(4), {}, "FE1 ? 0 0 0"), "may be Fe or F"),
        (cif(cube(4), {}, "Fe1 Fe ? ? ?"), "none of its 1 atoms"),
        (cif(cube(4), {}, "Fe1 Fe 0 0 0 1.2", "_atom_site_occupancy"), r"site Fe1 \(Fe\) .* is 1\.2"),
        (cif(cube(4), {}, "Fe1 Fe 0 0 0 -0.2", "_atom_site_occupancy"), "share from 0 to 1"),
        (cif(cube(4), {}, "Fe1 Fe 0 0 0\nFe2 Fe 0 0 0.05"), "overlap"),
        (cif(cube(4), named("P m -3 m"), "Fe1 Fe 0.04 0.001 0"), "more decimals|overlap"),
        ("data_a\n_entry.id A\nloop_\n_atom_site.id\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n1 2.0 3.0\n", "mmCIF"),
        (cif(cube(4), {"_space_group_magn.number_BNS": "'1.1'"}, "Fe1 Fe 0 0 0"), "magnetic CIF"),
        (cif(cube(4), {"_cell_modulation_dimension": "1"}, "Fe1 Fe 0 0 0"), "modulated"),
    ],
)
def test_unreadable_files_are_refused_with_a_reason(text, message):
    with pytest.raises(ValueError, match=message):
        read_cif(text + "\n")
