"""Specimens: invalid input, slicing, thermal motion."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from twin.sample.specimen import Specimen, check_probe_fits, srtio3, srtio3_unit


@pytest.mark.smoke
def test_the_default_cell():
    specimen = srtio3()
    assert len(specimen.symbols) == 5 * 3 * 3 * 20
    np.testing.assert_allclose(specimen.cell, (11.715, 11.715, 78.1))
    members, elements = specimen.members(40)
    assert elements == ("O", "Sr", "Ti")
    counts = (members >= 0).sum(axis=2)
    np.testing.assert_array_equal(counts[0::2], [[9, 9, 0]] * 20)
    np.testing.assert_array_equal(counts[1::2], [[18, 0, 9]] * 20)


def test_every_atom_goes_into_the_slice_of_its_displaced_z():
    specimen = srtio3((2, 2, 3))
    displacements = specimen.displacements(4) * 6.0
    members, elements = specimen.members(6, displacements)
    assert sorted(members[members >= 0].tolist()) == list(range(len(specimen.symbols)))
    z = (specimen.positions[:, 2] + displacements[:, 2]) % specimen.thickness
    for number in range(6):
        for kind, element in enumerate(elements):
            inside = members[number, kind][members[number, kind] >= 0]
            assert all(specimen.symbols[atom] == element for atom in inside)
            assert np.all(np.floor(z[inside] / specimen.thickness * 6) == number)


def test_thermal_motion_is_fixed_by_its_seed_and_has_its_size():
    specimen = srtio3((6, 6, 20))
    first, again, other = specimen.displacements(1), specimen.displacements(1), specimen.displacements(2)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01
    oxygen = np.array([symbol == "O" for symbol in specimen.symbols])
    np.testing.assert_allclose(first[oxygen].var(axis=0), 0.00927, rtol=0.1)
    np.testing.assert_allclose(first[~oxygen].var(axis=0), (0.00787 + 0.00556) / 2, rtol=0.1)


def test_potential_is_periodic_and_follows_its_atoms():
    specimen = srtio3((2, 2, 1))
    slices = specimen.slices(64, 2)
    assert slices.array.dtype == np.float32
    array = np.asarray(slices.array)
    np.testing.assert_allclose(array, np.roll(array, 32, axis=1), atol=2e-3)
    assert np.unravel_index(array[0].argmax(), (64, 64)) in [(0, 0), (0, 32), (32, 0), (32, 32)]
    assert array[1, 16, 16] > 0.9 * array[1].max()
    shift = np.zeros_like(specimen.positions)
    shift[:, 0] = 5 * 7.81 / 64
    shifted = np.asarray(specimen.slices(64, 2, shift).array)
    np.testing.assert_allclose(shifted, np.roll(array, 5, axis=2), atol=2e-3)


def test_rectangular_grids_are_y_then_x():
    atoms = Atoms("Au", positions=[(2.0, 6.0, 1.0)], cell=[8.0, 12.0, 2.0], pbc=True)
    slices = Specimen.from_atoms(atoms).slices((96, 64), 1)
    assert slices.array.shape == (1, 96, 64)
    assert np.unravel_index(np.asarray(slices.array[0]).argmax(), (96, 64)) == (48, 16)


@pytest.mark.parametrize(
    "atoms,problem",
    [
        (bulk("Si"), "not orthogonal"),
        (Atoms(cell=[4, 4, 4]), "no atoms"),
        (Atoms("Si", positions=[(0, 0, 0)]), "not orthogonal"),
        (Atoms("Si", positions=[(0, float("nan"), 0)], cell=[4, 4, 4]), "not numbers"),
    ],
)
def test_a_cell_that_will_not_do(atoms, problem):
    with pytest.raises(ValueError, match=problem):
        Specimen.from_atoms(atoms)


def test_thermal_motion_must_be_known_for_every_element():
    with pytest.raises(ValueError, match="O, Ti"):
        Specimen.from_atoms(srtio3_unit(), {"Sr": 0.01})
    with pytest.raises(ValueError, match="not negative"):
        Specimen.from_atoms(srtio3_unit(), {"Sr": -0.01, "Ti": 0.0, "O": 0.0})


def test_unknown_element_and_bad_grid():
    lone = Specimen.from_atoms(Atoms("X", positions=[(1, 1, 1)], cell=[4, 4, 4]))
    with pytest.raises(ValueError, match="'X'"):
        lone.slices(32, 1)
    with pytest.raises(ValueError, match="gpts"):
        srtio3((1, 1, 1)).slices(0, 1)
    with pytest.raises(ValueError, match="displacements"):
        srtio3((1, 1, 1)).slices(16, 2, np.zeros((3, 3)))


def test_probe_must_fit_in_the_cell():
    check_probe_fits((11.715, 11.715), 200e3, 21.4e-3, C10=100.0, thickness=78.0)
    with pytest.raises(ValueError, match=r"3\.9\d x 3\.9\d angstrom is too small.*repeat the cell"):
        check_probe_fits((3.905, 3.905), 200e3, 21.4e-3, C10=100.0)
    with pytest.raises(ValueError, match="too small"):
        check_probe_fits((11.715, 11.715), 200e3, 21.4e-3, C10=-1000.0)


def test_atoms_that_overlap_are_refused():
    atoms = Atoms("SiSi", positions=[(1.0, 1.0, 0.1), (1.0, 1.2, 3.9)], cell=[4, 4, 4], pbc=True)
    with pytest.raises(ValueError, match=r"atoms 0 \(Si\) and 1 \(Si\) are 0\.283 angstrom apart.*remove duplicates"):
        Specimen.from_atoms(atoms)
    shared = Specimen.from_atoms(atoms, occupancy=np.array([0.25, 0.75]))
    np.testing.assert_array_equal(shared.occupancy, [0.25, 0.75])
    with pytest.raises(ValueError, match="sum to at most 1"):
        Specimen.from_atoms(atoms, occupancy=np.array([0.5, 0.75]))
    Specimen.from_atoms(atoms, occupancy=np.array([0.0, 1.0]))


def test_many_atoms_are_checked_quickly_and_one_duplicate_is_found():
    unit = srtio3_unit() * (26, 26, 26)
    many = Specimen.from_atoms(unit)
    assert len(many.symbols) == 87880
    doubled = unit + unit[[41]]
    with pytest.raises(ValueError, match=r"atoms 41 .* and 87880 .* are 0\.000 angstrom apart"):
        Specimen.from_atoms(doubled)


@pytest.mark.parametrize(
    "changes,problem",
    [
        ({"occupancy": np.array([1.2])}, "from 0"),
        ({"occupancy": np.array([float("nan")])}, "from 0"),
        ({"occupancy": np.ones(3)}, "one value for each of the 1 atoms"),
        ({"u2": np.array([-0.01])}, "not negative"),
        ({"u2": np.array([float("nan")])}, "not negative"),
        ({"u2": np.ones(2)}, "one value for each"),
        ({"cell": (4.0, 4.0, float("nan"))}, "three positive lengths"),
        ({"cell": (4.0, 0.0, 4.0)}, "three positive lengths"),
        ({"positions": np.array([[0.0, float("inf"), 0.0]])}, "not numbers"),
        ({"positions": np.zeros((0, 3)), "symbols": ()}, "no atoms"),
        ({"symbols": ("Si", "Si")}, "one for every atom"),
    ],
)
def test_a_specimen_that_will_not_do(changes, problem):
    good = {"positions": np.ones((1, 3)), "u2": np.full(1, 0.01), "symbols": ("Si",), "cell": (4.0, 4.0, 4.0)}
    Specimen(**good)
    with pytest.raises(ValueError, match=problem):
        Specimen(**{**good, **changes})


@pytest.mark.parametrize(
    "options,problem",
    [
        ({"parametrization": "peng"}, "lobato' or 'kirkland"),
        ({"projection": "half"}, "'infinite' or 'finite'"),
        ({"thermal": "hot"}, "debye-waller"),
        ({"thermal": "absorptive"}, "give energy"),
        ({"thermal": "debye-waller", "displacements": np.zeros((5, 3))}, "twice"),
        ({"displacements": np.full((5, 3), np.nan)}, "not numbers"),
        ({"slices": 0}, "at least one"),
    ],
)
def test_slices_that_cannot_be_made(options, problem):
    with pytest.raises(ValueError, match=problem):
        srtio3((1, 1, 1)).slices(**{"gpts": 16, "slices": 2, **options})


def test_thermal_motion_per_atom():
    specimen = Specimen.from_atoms(srtio3_unit(), np.array([0.01, 0.02, 0.0, 0.03, 0.04]))
    np.testing.assert_array_equal(specimen.u2, [0.01, 0.02, 0.0, 0.03, 0.04])
    displacements = specimen.displacements(3)
    assert np.all(displacements[2] == 0.0)
    np.testing.assert_allclose(
        displacements / np.sqrt(specimen.u2 + 1e-30)[:, None],
        np.random.default_rng(3).normal(size=(5, 3)) * (specimen.u2 > 0)[:, None],
    )
    assert specimen.slices(16, 2).damped is False
    assert specimen.slices(16, 2, thermal="debye-waller").damped is True
