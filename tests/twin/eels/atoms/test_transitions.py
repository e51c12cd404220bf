"""Transition potentials: their sum is the spectrum's cross-section; symmetry, retardation, messages."""

import numpy as np
import pytest

from tests.benchmarks.eels.transitions import Trial, summed
from twin.eels.atoms import subshell, transition_potentials


def test_their_sum_is_the_spectrums_cross_section():
    """To 1 %; with larger grids and other shells in the benchmark."""
    ratio, count = summed(Trial("O", "K", 20.0, 200e3, 0.03, 0.15), 128)
    assert abs(ratio - 1) < 0.01
    assert count >= 3


def test_selection_rules_and_symmetry():
    edge = subshell("C", "K")
    made = transition_potentials(edge, 10.0, (33, 33), (0.3, 0.3), 100e3, share=0.9)
    assert made.labels == ((1, -1, 0), (1, 0, 0), (1, 1, 0))
    assert made.values.shape == (3, 33, 33)
    assert 0.9 <= made.share <= 1.0
    squared = np.abs(made.values) ** 2
    # dipoles along x and y turn in opposite senses; each alone is as symmetric as the grid
    np.testing.assert_allclose(squared[0], squared[2], rtol=1e-3, atol=1e-4 * squared.max())
    np.testing.assert_allclose(squared.sum(0), squared.sum(0).T, rtol=1e-3, atol=1e-5 * squared.max())
    mirrored = np.roll(squared[1][::-1], 1, axis=0)
    np.testing.assert_allclose(squared[1], mirrored, rtol=1e-3, atol=1e-5 * squared.max())
    # the dipole across the beam vanishes on the atom, the one along it does not
    assert squared[0, 0, 0] < 1e-6 * squared[0].max()
    assert squared[1, 0, 0] == squared[1].max()


def test_retardation_is_fanos_transverse_term():
    """Without it the sum lacks the term, several per cent at 300 kV."""
    edge = subshell("C", "K")
    areas = [
        (np.abs(transition_potentials(edge, 10.0, (64, 64), (0.3, 0.3), 300e3, retarded=flag).values) ** 2).sum()
        for flag in (True, False)
    ]
    assert 1.02 < areas[0] / areas[1] < 1.2


def test_occupancy_scales_subshells_of_one_shell():
    grid = ((24, 24), (0.2, 0.2), 200e3)
    third, second = (transition_potentials(subshell("Ti", name), 10.0, *grid) for name in ("L3", "L2"))
    ratio = (np.abs(third.values) ** 2).sum() / (np.abs(second.values) ** 2).sum()
    assert abs(ratio - 2) < 0.05


def test_messages():
    edge = subshell("C", "K")
    with pytest.raises(ValueError, match="above the threshold"):
        transition_potentials(edge, -1.0, (8, 8), (0.3, 0.3), 200e3)
    with pytest.raises(ValueError, match="give all above 0"):
        transition_potentials(edge, 1.0, (8, 8), (0.3, 0.0), 200e3)
