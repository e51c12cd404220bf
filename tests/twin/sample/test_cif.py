"""CIFs: published structures in every Bravais lattice and setting, and files that are incomplete, contradict themselves or are of another kind."""

import numpy as np
import pytest

from tests.twin.sample.crystals import CRYSTALS, cif, cube, hexagon, named, notes_text, tetragon
from twin.sample.specimen import Specimen
from twin.sample.structures import read_cif

FILES = {
    "origin-choice-2": ({"Si": 8}, 2.352),
    "rhombohedral-axes": ({"Ni": 3, "S": 2}, 2.26),
    "shared-site": ({"Te": 1.8, "Sb": 1.2, "Ge": 1}, 2.12),
    "three-decimals": ({"Mo": 2, "S": 4}, 2.417),
    "unknown-occupancy": ({"Al": 4}, 2.864),
}
"""Contents of the cell and shortest distance in angstrom."""
SALT = "Na1 Na 0 0 0\nCl1 Cl 0.5 0.5 0.5"


@pytest.mark.parametrize("name", list(CRYSTALS))
def test_published_structures(name):
    crystal = CRYSTALS[name]
    structure = read_cif(cif(crystal.cell, crystal.symmetry, crystal.sites))
    assert structure.content == pytest.approx(dict(crystal.atoms))
    assert len(structure.atoms) == sum(crystal.atoms.values())
    assert structure.density == pytest.approx(crystal.density, rel=0.01)
    assert structure.shortest == pytest.approx(crystal.shortest, abs=0.015)
    assert structure.contradictions == ()
    if "unnamed" in name or "by number" in name:
        assert "does not say which setting" in notes_text(structure)


def test_every_bravais_lattice_is_among_them():
    assert {crystal.lattice for crystal in CRYSTALS.values()} == {
        "aP", "mP", "mC", "oP", "oC", "oI", "oF", "tP", "tI", "hP", "hR", "cP", "cI", "cF",
    }  # fmt: skip


@pytest.mark.parametrize("name", list(FILES))
def test_files_that_other_readers_get_wrong(name, data):
    atoms, shortest = FILES[name]
    structure = read_cif(data / "structures" / f"{name}.cif")
    assert structure.content == pytest.approx(atoms)
    assert structure.shortest == pytest.approx(shortest, abs=0.005)
    assert ("taken as 1" in notes_text(structure)) == (name == "unknown-occupancy")
    assert ("rounded special positions" in notes_text(structure)) == (name == "three-decimals")


def test_an_overfull_site_names_site_elements_and_sum(data):
    with pytest.raises(ValueError, match=r"site Na1 .* overfull.*Na 0\.8.*K 0\.5.*sum to 1\.3"):
        read_cif(data / "structures" / "overfull-site.cif")


def test_both_settings_of_a_rhombohedral_crystal_are_one_crystal():
    """A hexagonal cell holds three of the rhombohedral one, and all neighbours are the same."""
    six, two = (CRYSTALS[f"calcite, {axes} unnamed"] for axes in ("hexagonal", "rhombohedral"))
    hexagonal, rhombohedral = (read_cif(cif(setting.cell, setting.symmetry, setting.sites)) for setting in (six, two))
    assert hexagonal.volume == pytest.approx(3 * rhombohedral.volume, rel=1e-3)
    assert (hexagonal.formula, hexagonal.units, rhombohedral.units) == ("C Ca O3", 6, 2)
    assert hexagonal.shortest == pytest.approx(rhombohedral.shortest, abs=2e-3)


def test_an_origin_that_nothing_decides_is_refused():
    """Cuprite's places make Cu2O in one origin and CuO2 in the other, with the same distances."""
    sites = "Cu1 Cu 0 0 0\nO1 O 0.25 0.25 0.25"
    with pytest.raises(ValueError, match=r"nothing in the file decides.*Cu4 O2.*P n -3 m:2|name the setting") as caught:
        read_cif(cif(cube(4.2696), named("P n -3 m"), sites))
    assert "_chemical_formula_sum" in str(caught.value)
    assert read_cif(cif(cube(4.2696), named("P n -3 m :2"), sites)).formula == "Cu2 O"
    assert (
        read_cif(cif(cube(4.2696), named("P n -3 m"), sites, extra="_chemical_formula_sum 'Cu2 O'")).formula == "Cu2 O"
    )


def test_a_density_or_a_number_of_units_decides_between_origins():
    """Silicon at the origin: 8 atoms in origin 1, 16 in origin 2, which the file's density asks for."""
    text = cif(cube(5.4309), named("F d -3 m"), "Si1 Si 0 0 0", extra="_exptl_crystal_density_diffrn 4.66")
    assert read_cif(text).content == {"Si": 16}
    assert read_cif(text.replace("4.66", "2.33")).content == {"Si": 8}
    units = text.replace("_exptl_crystal_density_diffrn 4.66", "_chemical_formula_sum Si\n_cell_formula_units_Z 16")
    assert read_cif(units).content == {"Si": 16}


def test_a_setting_that_is_named_but_contradicted_by_the_formula():
    """The name states the first origin, formula and number of units imply the second, which the group's number allows."""
    extra = "_space_group_IT_number 227\n_chemical_formula_sum Si\n_cell_formula_units_Z 8"
    structure = read_cif(cif(cube(5.4309), named("F d -3 m:1"), "Si1 Si 0.125 0.125 0.125", extra=extra))
    assert structure.content == {"Si": 8}
    assert "does not fit the file" in notes_text(structure)


def test_operations_against_the_name():
    listed = "loop_\n_space_group_symop_operation_xyz\n'x, y, z'"
    with pytest.raises(ValueError, match=r"list of 1 operations.*Na Cl|nothing in the file decides"):
        read_cif(cif(cube(5.64), named("F m -3 m"), SALT, extra=listed))
    structure = read_cif(
        cif(
            cube(5.64),
            named("F m -3 m"),
            SALT,
            extra=listed + "\n_chemical_formula_sum 'Na Cl'\n_cell_formula_units_Z 4",
        )
    )
    assert structure.content == {"Na": 4, "Cl": 4}
    assert "taken from its name" in notes_text(structure)
    # all atoms listed, and the name of the group that they have: the same atoms either way
    positions = [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]
    rows = [f"Na{n} Na {x} {y} {z}\nCl{n} Cl {x} {y} {(z + 0.5) % 1}" for n, (x, y, z) in enumerate(positions)]
    complete = read_cif(cif(cube(5.64), named("F m -3 m"), "\n".join(rows), extra=listed))
    assert complete.content == {"Na": 4, "Cl": 4}
    assert complete.contradictions == ()
    assert "the atoms are the same" in notes_text(complete)
    # and without the list: the name makes each atom of every one, counted once
    doubled = read_cif(cif(cube(5.64), named("F m -3 m"), "\n".join(rows)))
    assert doubled.content == {"Na": 4, "Cl": 4}
    assert "counted once" in notes_text(doubled)


def test_a_list_of_operations_that_is_no_group():
    listed = "loop_\n_space_group_symop_operation_xyz\nx,y,z\n-y,x,z"
    with pytest.raises(ValueError, match=r"no group: .* missing"):
        read_cif(cif(cube(5.64), {}, SALT, extra=listed))
    structure = read_cif(cif(cube(5.64), named("F m -3 m"), SALT, extra=listed))
    assert structure.content == {"Na": 4, "Cl": 4}
    assert "no group" in notes_text(structure)
    with pytest.raises(ValueError, match="'x,y' cannot be read"):
        read_cif(cif(cube(5.64), {}, SALT, extra=listed.replace("-y,x,z", "x,y")))


def test_a_setting_outside_the_tables_by_its_operations():
    """Silicon with its origin on an atom's neighbour: the operations are followed, whatever they are called."""
    shifted = "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n-x+1/4,-y+1/4,-z+1/4"
    structure = read_cif(cif((4, 5, 6, 90, 90, 90), {}, "Si1 Si 0.1 0.2 0.3", extra=shifted))
    assert structure.content == {"Si": 2}
    assert "not in the tables" in structure.space_group


def test_name_against_number():
    text = cif(cube(5.6402), named("F m -3 m") | {"_space_group_IT_number": "221"}, SALT)
    with pytest.raises(ValueError, match="nothing in the file decides"):
        read_cif(text)
    structure = read_cif(text.replace("loop_", "_exptl_crystal_density_diffrn 2.165\nloop_", 1))
    assert structure.content == {"Na": 4, "Cl": 4}
    assert any("its name 'F m -3 m' is of" in note for note in structure.contradictions)


def test_shared_sites_through_symmetry():
    """Elements given at different but equivalent places share the site, and sums are checked there."""
    text = cif(
        cube(4.24), named("P m -3 m"), "Te1 Te 0.5 0 0 0.6\nSb1 Sb 0 0.5 0 0.4\nGe1 Ge 0 0 0 1", "_atom_site_occupancy"
    )
    structure = read_cif(text)
    assert structure.content == pytest.approx({"Te": 1.8, "Sb": 1.2, "Ge": 1.0})
    assert len(structure.atoms) == 7
    assert len(np.unique(structure.fractions.round(6), axis=0)) == 4
    with pytest.raises(ValueError, match=r"Te 0\.6.*Sb 0\.5.*1\.1"):
        read_cif(text.replace("0.4", "0.5"))


def test_occupancies_that_sum_to_one_by_rounding():
    for share, scaled in (("0.333", False), ("0.334", True)):
        rows = "\n".join(f"{element}1 {element} 0 0 0 {share}" for element in ("Fe", "Co", "Ni"))
        structure = read_cif(cif(cube(3.6), named("F m -3 m"), rows, "_atom_site_occupancy"))
        assert sum(structure.content.values()) == pytest.approx(4.0 if scaled else 3.996)
        assert ("scaled to 1" in notes_text(structure)) == scaled
        assert structure.occupancies.max() < 1.0


def test_occupancies_that_sum_to_one_within_their_uncertainty():
    text = cif(cube(3.6), named("F m -3 m"), "Fe1 Fe 0 0 0 0.7(1)\nCo1 Co 0 0 0 0.35(2)", "_atom_site_occupancy")
    assert sum(read_cif(text).content.values()) == pytest.approx(4.0)
    for overfull in (text.replace("0.7(1)", "0.7"), text.replace("0.7(1)", "0.8(1)")):
        with pytest.raises(ValueError, match=r"Fe 0\.[78] \(Fe1\) \+ Co 0\.35"):
            read_cif(overfull)


def test_all_atoms_of_a_cell_listed_under_its_own_name_are_counted_once():
    """As programs write them that keep the name and list the cell: the same structure as by P 1."""
    for name in ("spinel, origin 2 unnamed", "calcite, rhombohedral unnamed", "zircon, by number", "quartz"):
        crystal = CRYSTALS[name]
        structure = read_cif(cif(crystal.cell, crystal.symmetry, crystal.sites))
        atoms = zip(structure.symbols, structure.fractions, strict=True)
        rows = "\n".join(f"{symbol}{n} {symbol} {x:.6f} {y:.6f} {z:.6f}" for n, (symbol, (x, y, z)) in enumerate(atoms))
        for symmetry in (crystal.symmetry, named("P 1")):
            again = read_cif(cif(crystal.cell, symmetry, rows))
            assert again.content == structure.content
            assert again.shortest == pytest.approx(structure.shortest, abs=1e-3)


def test_mixed_valence_on_one_site_is_one_atom():
    """Magnetite: Fe2+ and Fe3+ share the octahedral site, 24 iron and 32 oxygen in the cell."""
    sites = "Fe1 Fe3+ 0.125 0.125 0.125 1\nFe2 Fe3+ 0.5 0.5 0.5 0.5\nFe3 Fe2+ 0.5 0.5 0.5 0.5\nO1 O2- 0.2549 0.2549 0.2549 1"
    structure = read_cif(cif(cube(8.3941), named("F d -3 m:2"), sites, "_atom_site_occupancy"))
    assert structure.content == {"Fe": 24, "O": 32}
    assert len(structure.atoms) == 56
    assert "Fe2 and Fe3 are Fe on one site" in notes_text(structure)
    assert structure.density == pytest.approx(5.2, rel=0.01)


def test_entries_that_repeat_others_count_once():
    structure = read_cif(cif(cube(5.64), named("F m -3 m"), SALT + "\nNa2 Na 0.5 0.5 0\nCl2 Cl -0.5 1.5 0.5"))
    assert structure.content == {"Na": 4, "Cl": 4}
    assert "Na2 repeats Na1" in notes_text(structure)


def test_a_split_site_keeps_its_halves():
    """An atom 0.2 angstrom off a mirror plane, half filled: two places, not one and not refused."""
    structure = read_cif(
        cif(
            (4, 5, 6, 90, 90, 90), named("P m m m"), "O1 O 0 0 0.0167 0.5\nFe1 Fe 0.5 0.5 0.5 1", "_atom_site_occupancy"
        )
    )
    assert structure.content == pytest.approx({"O": 1.0, "Fe": 1.0})
    assert len(structure.atoms) == 3
    assert "split sites" in notes_text(structure)
    Specimen.from_atoms(structure.atoms)


def test_disorder_groups_are_kept_with_their_occupancies():
    rows = "C1 C 0.5 0.5 0.5 1 .\nO1 O 0.5 0.5 0.7 0.7 1\nO2 O 0.5 0.52 0.75 0.3 2"
    structure = read_cif(cif((5, 5, 6, 90, 90, 90), {}, rows, "_atom_site_occupancy _atom_site_disorder_group"))
    assert structure.content == pytest.approx({"C": 1.0, "O": 1.0})
    assert "disorder group 1" in notes_text(structure)
    assert structure.shortest == pytest.approx(
        1.2
    )  # C1 to O1: the alternatives' 0.3 angstrom is no distance between atoms


def test_dummies_and_markers_in_lists_of_atoms():
    rows = "Q1 X 0.1 0.1 0.1 dum\nTi1 TI4+ 0 0 0 d\nO1 O2- 0.5 1.5 -0.25 d\nH1 H ? ? ? d\nD1 D 0.25 0.25 0.25 d"
    structure = read_cif(cif((4, 4, 4, 90, 90, 90), {}, rows, "_atom_site_calc_flag"))
    assert structure.content == {"Ti": 1, "O": 1, "H": 1}
    assert np.all((structure.fractions >= 0.0) & (structure.fractions < 1.0))
    np.testing.assert_allclose(structure.fractions[1], (0.5, 0.5, 0.75))
    for words in (
        "dummy atoms, left out: Q1",
        "no place stated, left out: H1",
        "scatters electrons as hydrogen: D1",
        "P 1",
    ):
        assert words in notes_text(structure)


def test_labels_replace_missing_symbols():
    text = cif(cube(4), {}, "Fe1 ? 0 0 0\nOW2 ? 0.5 0.5 0.5\nCA3 ? 0.5 0.5 0\nCo4 ? 0 0.5 0.5")
    assert read_cif(text.replace("CA3", "Ca3")).content == {"Fe": 1, "O": 1, "Ca": 1, "Co": 1}
    assert read_cif(text.replace("loop_", "_chemical_formula_sum 'C Co Fe O'\nloop_", 1)).content == {
        "Fe": 1,
        "O": 1,
        "C": 1,
        "Co": 1,
    }


def test_formula_density_and_volume_of_the_file_are_checked():
    right = cif(
        cube(5.6402),
        named("F m -3 m"),
        SALT,
        extra="_chemical_formula_sum 'Cl Na'\n_cell_formula_units_Z 4\n_cell_volume 179.43(2)",
    )
    assert read_cif(right).contradictions == ()
    for old, new, words in (
        ("Z 4", "Z 2", "2 formula units of Cl Na are Cl2 Na2, but the atoms in the cell are Cl4 Na4"),
        ("Cl Na", "Cl2 Na", "Cl2 Na"),
        ("Cl Na", "Cl K", "Na is not in it; K is missing"),
        ("179.43(2)", "190", "the file states 190"),
        ("_cell_volume 179.43(2)", "_exptl_crystal_density_diffrn 4.3", "the file states 4.3"),
    ):
        assert words in " ".join(read_cif(right.replace(old, new)).contradictions)


def test_missing_hydrogen_is_noted():
    """Brucite without its hydrogen."""
    extra = "_chemical_formula_sum 'H2 Mg O2'\n_cell_formula_units_Z 1\n_exptl_crystal_density_diffrn 2.38"
    structure = read_cif(
        cif(hexagon(3.142, 4.766), named("P -3 m 1"), "Mg1 Mg 0 0 0\nO1 O 0.3333 0.6667 0.2216", extra=extra)
    )
    assert structure.content == {"Mg": 1, "O": 2}
    assert structure.contradictions == ()
    assert "hydrogen is missing: the formula has 2 in the cell, the atoms 0" in notes_text(structure)


def test_blocks_encodings_and_paths(tmp_path):
    text = "data_global\n_journal_year 2020\n" + cif(cube(3.1652), named("I m -3 m"), "W1 W 0 0 0").replace(
        "crystal", "first"
    )
    text += cif(cube(3.5), named("I m -3 m"), "Fe1 Fe 0 0 0").replace("crystal", "second")
    structure = read_cif(text)
    assert (structure.name, structure.formula) == ("first", "W")
    assert "block 'first' is read; second left out" in notes_text(structure)
    assert read_cif(text, "second").formula == "Fe"
    with pytest.raises(ValueError, match=r"no block 'third' with atoms: .* first, second"):
        read_cif(text, "third")
    for name, content in (
        ("mark", b"\xef\xbb\xbf" + text.encode()),
        ("utf16", text.encode("utf-16")),
        ("latin", ("# \xc5ngstr\xf6m\n" + text).encode("latin-1")),
    ):
        path = tmp_path / f"{name}.cif"
        path.write_bytes(content)
        assert read_cif(path).formula == read_cif(str(path)).formula == "W"


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("F 4/m -3 2/m", "F m -3 m"),
        ("F m -3 m #225", "F m -3 m"),
        ("FM-3M", "F m -3 m"),
        ("P 4/m 2/m 2/m", "P 4/m m m"),
        ("P 2/m 2/m 2/m", "P m m m"),
        ("P a 3", "P a -3"),
        ("P m -3 m Z", "P m -3 m"),
    ],
)
def test_ways_to_write_a_name(name, short):
    text = cif(cube(4), {"_space_group_name_H-M_alt": f"'{name}'"}, "Fe1 Fe 0 0 0")
    assert read_cif(text).space_group.startswith(f"{short} (")


@pytest.mark.parametrize("share", ["1", "0.3"])
@pytest.mark.parametrize("x", ["0.333", "0.33", "0.334"])
def test_special_positions_of_few_decimals(x, share):
    """Molybdenite's metal, whole or partly there, beside a sulphur of five decimals: one atom on its axis, not three about it."""
    sites = f"Mo1 Mo {x} 0.667 0.25 {share}\nS1 S 0.33333 0.66667 0.62100 1"
    structure = read_cif(cif(hexagon(3.16, 12.29), named("P 63/m m c"), sites, "_atom_site_occupancy"))
    assert structure.content == pytest.approx({"Mo": 2 * float(share), "S": 4.0})
    assert len(structure.atoms) == 6
    assert "rounded special positions" in notes_text(structure)


def test_new_tags_and_cif_2():
    """Tags with dots, as the newest dictionaries write them, in a file that calls itself CIF 2."""
    text = cif(tetragon(4.5937, 2.9587), named("P 42/m n m"), "Ti1 Ti 0 0 0\nO1 O 0.3053 0.3053 0")
    dotted = (
        text.replace("_atom_site_", "_atom_site.").replace("_cell_", "_cell.").replace("_space_group_", "_space_group.")
    )
    assert read_cif("#\\#CIF_2.0\n" + dotted).content == {"Ti": 2, "O": 4}


def test_values_with_uncertainties_and_a_cell_without_angles():
    text = cif(cube(5.43), named("F d -3 m:1"), "Si1 Si 0.0000(1) 0 0").replace(
        "_cell_length_a 5.43", "_cell_length_a 5.4309(1)"
    )
    text = "\n".join(line for line in text.splitlines() if "angle" not in line)
    assert read_cif(
        text.replace("length_b 5.43", "length_b 5.4309").replace("length_c 5.43", "length_c 5.4309")
    ).content == {"Si": 8}


def test_a_structure_shows_itself():
    crystal = CRYSTALS["pyrite"]
    structure = read_cif(cif(crystal.cell, crystal.symmetry, crystal.sites))
    assert structure.describe() == "Fe S2: 12 atoms in the cell, P a -3 (205), 5.01 g/cm³, shortest distance 2.16 Å"
    summary = structure.as_dict()
    assert (summary["formula"], summary["formula_units"], summary["atoms"], summary["space_group"]) == (
        "Fe S2",
        4,
        12,
        "P a -3 (205)",
    )
    assert structure.atoms.get_chemical_formula() == "Fe4S8"
