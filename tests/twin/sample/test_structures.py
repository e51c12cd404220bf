"""Orthogonal cells and zone axes: density, distances, orientation, strain, and invalid input."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, mx2

from twin.sample.orthogonal import oriented, orthogonal, primitive, zone_axis
from twin.sample.specimen import Specimen, read_structure
from twin.sample.structures import SHEET_VACUUM, gap_along_z, load_structure, structure_of, with_occupancies


def graphite():
    scaled = [(0, 0, 0.25), (1 / 3, 2 / 3, 0.25), (0, 0, 0.75), (2 / 3, 1 / 3, 0.75)]
    return Atoms("C4", scaled_positions=scaled, cell=[2.46, 2.46, 6.71, 90, 90, 120], pbc=True)


def zirconia():
    """Baddeleyite: monoclinic, P2_1/c, all twelve atoms."""
    sites = {"Zr": [(0.2754, 0.0395, 0.2083)], "O": [(0.07, 0.3317, 0.3447), (0.4496, 0.7569, 0.4792)]}
    symbols, scaled = [], []
    for symbol, positions in sites.items():
        for x, y, z in positions:
            images = [(x, y, z), (-x, y + 0.5, 0.5 - z), (-x, -y, -z), (x, 0.5 - y, z + 0.5)]
            symbols += [symbol] * 4
            scaled += images
    return Atoms(symbols, scaled_positions=scaled, cell=[5.15, 5.21, 5.32, 90, 99.2, 90], pbc=True)


STRUCTURES = {
    "Si": lambda: bulk("Si"),
    "Si, cubic": lambda: bulk("Si", cubic=True),
    "graphite": graphite,
    "MoS2": lambda: mx2("MoS2", vacuum=5.0),
    "wurtzite": lambda: bulk("ZnO", "wurtzite", a=3.25, c=5.2),
    "monoclinic": zirconia,
    "gold": lambda: bulk("Au"),
}


def neighbourhood(atoms, cutoff=3.2):
    """Sorted distances to all neighbours, by element, padded: one row per atom, sorted."""
    from ase.neighborlist import neighbor_list

    crystal = atoms.copy()
    crystal.pbc = True
    first, distance = neighbor_list("id", crystal, cutoff)
    return [(crystal.symbols[atom], np.sort(distance[first == atom])) for atom in range(len(crystal))]


def same_neighbours(original, transformed, strain):
    """Every atom of ``transformed`` has the neighbours of some atom of ``original``, to the strain."""
    known = neighbourhood(original)
    for symbol, distances in neighbourhood(transformed):
        short = distances[distances < 3.0]
        assert any(
            other == symbol
            and len(reference) >= len(short)
            and np.all(np.abs(reference[: len(short)] - short) < 3.2 * strain + 1e-3)
            for other, reference in known
        )


@pytest.mark.parametrize("name", list(STRUCTURES))
def test_orthogonal_cells_keep_density_and_distances(name):
    atoms = STRUCTURES[name]()
    cell = orthogonal(atoms)
    assert np.allclose(cell.atoms.cell.array, np.diag(cell.atoms.cell.lengths()), atol=1e-9)
    density = len(atoms) / abs(np.linalg.det(atoms.cell.array))
    np.testing.assert_allclose(len(cell.atoms) / cell.atoms.get_volume(), density, rtol=1e-9)
    assert cell.strain < (5e-3 if name == "monoclinic" else 1e-9)
    same_neighbours(atoms, cell.atoms, cell.strain)
    assert len(Specimen.from_atoms(cell.atoms).symbols) == len(cell.atoms)
    assert len(cell.atoms) <= {"Si": 4, "graphite": 8, "MoS2": 6, "wurtzite": 8, "gold": 2}.get(name, 100)


def test_an_orthogonal_cell_stays_as_it_is():
    atoms = bulk("Si", cubic=True)
    cell = orthogonal(atoms)
    np.testing.assert_array_equal(np.abs(cell.matrix), np.eye(3))
    assert cell.strain < 1e-12


@pytest.mark.smoke
@pytest.mark.parametrize(
    "uvw,lengths",
    [
        ((0, 0, 1), (3.840, 3.840, 5.430)),
        ((1, 1, 0), (5.430, 3.840, 3.840)),
        ((1, 1, 1), (6.651, 3.840, 9.405)),
        ((1, 1, 2), (3.840, 9.405, 6.651)),
    ],
)
def test_zone_axes_of_silicon(uvw, lengths):
    """Known rectangular cells of diamond: sides a / sqrt(2), a, a sqrt(3), a sqrt(3/2), the same from both cells of it."""
    cell = zone_axis(bulk("Si", cubic=True), uvw)
    np.testing.assert_allclose(np.sort(cell.atoms.cell.lengths()[:2]), np.sort(lengths[:2]), atol=2e-3)
    np.testing.assert_allclose(cell.atoms.cell.lengths()[2], lengths[2], atol=2e-3)
    assert cell.strain < 1e-9
    np.testing.assert_allclose(len(cell.atoms) / cell.atoms.get_volume(), 8 / 5.43**3)
    same_neighbours(bulk("Si"), cell.atoms, 0.0)


def test_silicon_110_shows_dumbbells():
    """Two columns a / 4 apart along [001], the sign of the right projection."""
    cell = zone_axis(bulk("Si", cubic=True), (1, 1, 0), x=(0, 0, 1))
    np.testing.assert_allclose(cell.atoms.cell.lengths(), (5.43, 3.840, 3.840), atol=1e-3)
    plane = cell.atoms.get_positions()[:, :2]
    separation = plane[:, None] - plane[None]
    separation -= np.round(separation / cell.atoms.cell.lengths()[:2]) * cell.atoms.cell.lengths()[:2]
    distance = np.sort(np.hypot(separation[..., 0], separation[..., 1]), axis=1)[:, 1]
    np.testing.assert_allclose(distance, 5.43 / 4, atol=1e-3)


def test_requested_direction_becomes_x():
    atoms = bulk("Si", cubic=True)
    cell = zone_axis(atoms, (0, 0, 1), x=(1, 0, 0))
    np.testing.assert_allclose(cell.atoms.cell.lengths(), (5.43, 5.43, 5.43), atol=1e-6)
    rotated = zone_axis(atoms, (0, 0, 1), x=(1, 1, 0))
    np.testing.assert_allclose(rotated.matrix[0], (0.5, 0.5, 0.0), atol=1e-6)


@pytest.mark.parametrize(
    ("uvw", "x", "directions"),
    [
        ((0, 0, 1), None, ((1, 0, 0), (0, 1, 0), (0, 0, 1))),
        ((1, 0, 0), None, ((0, 1, 0), (0, 0, 1), (1, 0, 0))),
        ((0, 1, 0), None, ((1, 0, 0), (0, 0, -1), (0, 1, 0))),
        ((0, 0, -2), (0, 1, 0), ((0, 1, 0), (1, 0, 0), (0, 0, -1))),
    ],
)
def test_own_axes_are_kept_where_they_are_orthogonal(uvw, x, directions):
    """Gold's cube stays its cube along every axis of it: 4.08 angstrom, not 2.88, and right-handed."""
    cell = oriented(bulk("Au", cubic=True), uvw, x)
    assert cell.directions == directions
    np.testing.assert_allclose(cell.atoms.cell.lengths(), 4.08, atol=1e-9)
    assert len(cell.atoms) == 4
    np.testing.assert_allclose(np.linalg.det(cell.matrix), 1.0)
    same_neighbours(bulk("Au"), cell.atoms, 0.0)


def test_other_directions_take_the_smallest_cell():
    gold = bulk("Au", cubic=True)
    for uvw, x in (((1, 1, 0), None), ((0, 0, 1), (1, 1, 0)), ((1, 1, 1), None)):
        chosen, small = oriented(gold, uvw, x), zone_axis(gold, uvw, x)
        np.testing.assert_allclose(chosen.atoms.get_volume(), small.atoms.get_volume())
    rotated = oriented(gold, (0, 0, 1), (1, 1, 0))
    assert rotated.directions == ((1, 1, 0), (-1, 1, 0), (0, 0, 1))
    assert rotated.described.startswith("2.885 x 2.885 x 4.080 Å, x along [1 1 0]")
    # hexagonal: of equally small cells the one with x along a
    assert oriented(mx2("MoS2", vacuum=5.0), (0, 0, 1)).directions == ((1, 0, 0), (1, 2, 0), (0, 0, 1))


def test_a_cell_that_is_orthogonal_by_its_decimals_keeps_its_axes():
    nearly = Atoms(
        "Au4", scaled_positions=bulk("Au", cubic=True).get_scaled_positions(), cell=[4.08, 4.08, 4.08, 90.01, 90, 90]
    )
    cell = oriented(nearly, (0, 0, 1))
    np.testing.assert_array_equal(cell.matrix, np.eye(3))
    assert 1e-5 < cell.strain < 1e-3


def test_sheets_and_their_vacuum():
    """A sheet without a cell across gets vacuum; its gap is the same where the sheet lies across the cell's border."""
    sheet = mx2("MoS2")
    assert not sheet.cell.array[2].any()
    structure = structure_of(sheet)
    assert "vacuum" in structure.notes[0]
    np.testing.assert_allclose(gap_along_z(oriented(structure.atoms, (0, 0, 1)).atoms)[0], 2 * SHEET_VACUUM, atol=1e-6)
    wrapped = mx2("MoS2", vacuum=8.0)
    wrapped.positions[:, 2] -= wrapped.positions[0, 2]
    wrapped.wrap()
    gap, end = gap_along_z(oriented(wrapped, (0, 0, 1)).atoms)
    np.testing.assert_allclose((gap, end), (16.0, 16.0 + 1.595), atol=1e-2)
    assert gap_along_z(bulk("Si", cubic=True))[0] < 2.0


def test_files_that_ase_reads(tmp_path):
    bulk("Cu", cubic=True).write(tmp_path / "POSCAR.vasp")
    structure = load_structure(tmp_path / "POSCAR.vasp")
    assert (structure.formula, structure.units, len(structure.symbols)) == ("Cu", 4, 4)
    assert structure.density == pytest.approx(8.98, rel=0.01)
    (tmp_path / "broken.vasp").write_text("nonsense")
    with pytest.raises(ValueError, match="cannot be read as a structure"):
        load_structure(tmp_path / "broken.vasp")


@pytest.mark.parametrize(
    "name,uvw", [("graphite", (1, 1, 0)), ("wurtzite", (1, 0, 0)), ("monoclinic", (0, 1, 0)), ("monoclinic", (0, 0, 1))]
)
def test_zone_axes_of_other_systems(name, uvw):
    atoms = STRUCTURES[name]()
    cell = zone_axis(atoms, uvw)
    direction = np.asarray(uvw) @ atoms.cell.array
    np.testing.assert_allclose(cell.atoms.cell.lengths()[2], np.linalg.norm(direction), rtol=cell.strain + 1e-9)
    np.testing.assert_allclose(cell.matrix[2], uvw, atol=1e-9)
    density = len(atoms) / abs(np.linalg.det(atoms.cell.array))
    np.testing.assert_allclose(len(cell.atoms) / cell.atoms.get_volume(), density, rtol=1e-9)
    assert cell.strain < 0.01
    same_neighbours(atoms, cell.atoms, cell.strain)


def test_strain_is_the_largest_change_of_length():
    """A cell 2 degrees off: the shear strains lengths along its diagonals by half its angle."""
    atoms = Atoms("Cu", cell=[3.0, 3.0, 3.0, 90, 90, 88], pbc=True)
    cell = orthogonal(atoms, bound=1, strain=0.05)
    assert len(cell.atoms) == 1
    assert abs(cell.strain - np.radians(1.0)) < 1e-3


def test_a_left_handed_cell_keeps_its_handedness():
    """A chiral molecule in a cell whose vectors are a left-handed set: the triple product of its bonds keeps its sign."""
    positions = [(3.0, 3.0, 3.0), (4.5, 3.2, 3.1), (3.1, 4.6, 3.3), (3.2, 2.7, 4.7)]
    right_handed = Atoms("SiGeSnC", positions=positions, cell=np.diag([8.0, 8.5, 9.0]), pbc=True)
    left_handed = Atoms(
        right_handed.symbols, right_handed.get_positions(), cell=right_handed.cell.array[[1, 0, 2]], pbc=True
    )
    assert np.linalg.det(left_handed.cell.array) < 0.0

    def bonds(atoms):
        order = [list(atoms.symbols).index(symbol) for symbol in ("Si", "Ge", "Sn", "C")]
        return np.linalg.det(atoms.get_distances(order[0], order[1:], mic=True, vector=True))

    for cell in (orthogonal(left_handed), zone_axis(left_handed, (0, 0, 1)), zone_axis(left_handed, (1, 0, 0))):
        assert np.linalg.det(cell.atoms.cell.array) > 0.0
        np.testing.assert_allclose(bonds(cell.atoms), bonds(right_handed), rtol=1e-6)


def test_primitive_cells():
    basis, unit = primitive(bulk("Si", cubic=True) * (2, 1, 1))
    assert len(unit) == 2
    np.testing.assert_allclose(abs(np.linalg.det(basis)), 1 / 8)
    basis, unit = primitive(zirconia())
    assert len(unit) == 12
    dented = bulk("Si", cubic=True)
    dented.positions[3, 0] += 0.2
    assert len(primitive(dented)[1]) == 8


def test_structures_without_an_orthogonal_cell():
    with pytest.raises(ValueError, match="set the cell"):
        orthogonal(Atoms("Si", positions=[(0, 0, 0)]))
    with pytest.raises(ValueError, match="no direction"):
        zone_axis(bulk("Si"), (0, 0, 0))
    with pytest.raises(ValueError, match="raise bound"):
        orthogonal(Atoms("Cu", cell=[3.0, 3.1, 3.3, 80, 75, 70], pbc=True), bound=1)


def test_a_shared_site_of_a_file_is_two_atoms(tmp_path):
    path = tmp_path / "mixed.cif"
    path.write_text(
        "data_x\n_cell_length_a 3.95\n_cell_length_b 3.95\n_cell_length_c 3.95\n_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90\n"
        "_symmetry_space_group_name_H-M 'P m -3 m'\n_symmetry_Int_Tables_number 221\nloop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n"
        "_atom_site_fract_y\n_atom_site_fract_z\n_atom_site_occupancy\nSr1 Sr 0 0 0 0.6\nBa1 Ba 0 0 0 0.4\nTi1 Ti 0.5 0.5 0.5 1\nO1 O 0.5 0.5 0 0.9\n"
    )
    atoms = read_structure(path)
    specimen = Specimen.from_atoms(atoms * (2, 1, 1))
    shares = {symbol: specimen.occupancy[np.array(specimen.symbols) == symbol] for symbol in ("Sr", "Ba", "Ti", "O")}
    np.testing.assert_allclose(shares["Sr"], [0.6, 0.6])
    np.testing.assert_allclose(shares["Ba"], [0.4, 0.4])
    np.testing.assert_allclose(shares["Ti"], [1.0, 1.0])
    np.testing.assert_allclose(shares["O"], [0.9] * 6)
    assert with_occupancies(bulk("Si")) == bulk("Si")
