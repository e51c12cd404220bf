"""Atoms, bound states and continuum waves against closed forms."""

import numpy as np
import pytest

from tests.twin.eels.atoms.one_electron import SLOW, nucleus
from twin.eels.atoms.oscillator import levels, pair, radial
from twin.eels.atoms.solver.angular import coupling, multipoles, spherical_bessel, three_j
from twin.eels.atoms.solver.atom import Atom, solve_atom
from twin.eels.atoms.solver.bound import bound_state, density
from twin.eels.atoms.solver.configurations import SYMBOLS, Orbital, configuration, subshells
from twin.eels.atoms.solver.potential import HARTREE, LIGHT


def dirac(charge: int, n: int, kappa: int) -> float:
    """Energy of the relativistic one-electron atom, hartree, without the rest energy."""
    gamma = np.sqrt(kappa**2 - (charge / LIGHT) ** 2)
    return LIGHT**2 * (1 / np.sqrt(1 + (charge / LIGHT / (n - abs(kappa) + gamma)) ** 2) - 1)


@pytest.mark.parametrize(("n", "l"), [(1, 0), (2, 0), (2, 1), (3, 2), (4, 0), (5, 3)])
def test_levels_of_hydrogen(n, l):  # noqa: E741
    wave = bound_state(nucleus(1, SLOW), n, l)
    assert wave is not None
    assert abs(wave.energy * 2 * n**2 + 1) < 1e-7


def test_a_level_beyond_the_grid_is_none():
    assert bound_state(nucleus(1, SLOW), 12, 0) is None


@pytest.mark.parametrize("charge", [10, 40, 80])
def test_s_levels_are_diracs(charge):
    """For l = 0 there is no spin-orbit term to leave out."""
    for n in (1, 2, 3):
        wave = bound_state(nucleus(charge, LIGHT), n, 0)
        assert wave is not None
        assert abs(wave.energy / dirac(charge, n, -1) - 1) < 2e-6


def test_p_levels_are_the_mean_of_diracs_and_split_as_they_are():
    charge = 30
    field = nucleus(charge, LIGHT)
    wave = bound_state(field, 2, 1)
    assert wave is not None
    lower, upper = dirac(charge, 2, 1), dirac(charge, 2, -2)
    assert abs(wave.energy - (lower + 2 * upper) / 3) < 0.02 * (upper - lower)
    atom = Atom("Zn", field, {Orbital(2, 1, 6): wave})
    split = atom.binding(Orbital(2, 1, 6), 1) - atom.binding(Orbital(2, 1, 6), 3)
    assert abs(split / (upper - lower) - 1) < 0.03


def test_states_are_orthogonal_and_normalised_with_their_small_components():
    atom = solve_atom("Kr")
    shell = atom.shell(1, 0)
    step = np.log(atom.potential.radii[1] / atom.potential.radii[0])
    assert abs(step * (density(atom.potential, 0, atom.shells[shell]) * atom.potential.radii).sum() - 1) < 1e-12
    waves = pair(atom, shell, np.array([1.0, 20.0, 400.0]), 1.0)
    ones = np.ones((1, waves.potential.radii.size))
    with_continuum = radial(waves, 0, 0, 0, ones)[:, 0]
    large_alone = (waves.large[:, 0] * waves.bound.large * waves.weights).sum(1)
    assert np.abs(with_continuum).max() < 1e-5
    assert np.abs(large_alone).max() > 30 * np.abs(with_continuum).max()


def test_continuum_waves_do_not_depend_on_the_mesh():
    atom = solve_atom("O")
    shell, energies = atom.shell(1, 0), np.array([0.05, 2.0])
    dipole = []
    for largest in (0.5, 60.0):
        waves = pair(atom, shell, energies, largest)
        dipole.append(radial(waves, 0, 1, 1, waves.potential.radii[None, :])[:, 0])
    np.testing.assert_allclose(*dipole, rtol=2e-5)


def test_configurations_hold_all_electrons():
    for number, element in enumerate(SYMBOLS, 1):
        shells = configuration(element)
        assert sum(shell.electrons for shell in shells) == number
        for shell in shells:
            assert sum(count for _, _, count in subshells(*shell)) == shell.electrons <= 4 * shell.l + 2
    assert Orbital(3, 2, 10) in configuration("Cu")
    assert subshells(2, 1, 6) == (("L2", 1, 2), ("L3", 3, 4))
    assert subshells(4, 3, 14) == (("N6", 5, 6), ("N7", 7, 8))


def test_binding_energies_are_those_of_the_relativistic_hartree_fock_slater_atom():
    """O K 537.28, Ti L3 465.18 and L2 471.22 eV, with which Bote and Salvat's cross-sections were computed (NIST)."""
    assert abs(HARTREE * solve_atom("O").binding(Orbital(1, 0, 2), 1) - 537.28) < 0.1
    titanium = solve_atom("Ti")
    assert abs(HARTREE * titanium.binding(Orbital(2, 1, 6), 3) - 465.18) < 0.2
    assert abs(HARTREE * titanium.binding(Orbital(2, 1, 6), 1) - 471.22) < 0.2


def test_room_for_electrons():
    vacancies = {(level.n, level.l): level.vacancy for level in levels(solve_atom("O"), 2)}
    assert vacancies[1, 0] == 0.0
    assert abs(vacancies[2, 1] - 1 / 3) < 1e-12
    assert vacancies[3, 2] == 1.0


def test_an_element_or_a_shell_that_is_not_there():
    with pytest.raises(ValueError, match="'Xx' is not known; give a chemical symbol"):
        solve_atom("Xx")
    with pytest.raises(ValueError, match="O has no electrons with n = 3, l = 1; it has 1s, 2s, 2p"):
        solve_atom("O").shell(3, 1)


def test_spherical_bessel_functions():
    from scipy.special import spherical_jn

    x = np.concatenate([[0.0, 1e-9, 1e-3, np.pi], np.geomspace(0.01, 300, 400)])
    expected = np.stack([spherical_jn(order, x) for order in range(41)])
    np.testing.assert_allclose(spherical_bessel(40, x), expected, atol=1e-14)


def test_three_j_symbols():
    assert abs(three_j(1, 1, 0, 0, 0, 0) + 3**-0.5) < 1e-15
    assert abs(three_j(2, 1, 1, 0, 1, -1) - 30**-0.5) < 1e-15
    assert three_j(1, 1, 1, 0, 0, 0) == 0.0
    # the shares of all multipoles and final l of a plane wave's expansion: sum over l' of a multipole is 2 lambda + 1
    for order in range(5):
        finals = [final for final in range(9) if order in multipoles(2, final)]
        assert abs(sum(coupling(2, final, order) for final in finals) - (2 * order + 1)) < 1e-12
