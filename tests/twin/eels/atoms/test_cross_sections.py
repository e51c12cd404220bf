"""Cross-sections: independent totals, kinematics, aperture, and messages."""

import csv

import numpy as np
import pytest

from twin.eels.atoms import (
    differential_cross_section,
    edges_of,
    excitation_cross_section,
    generalised_oscillator_strength,
    ionisation_threshold,
    subshell,
    total_cross_section,
)
from twin.eels.atoms.kinematics import overlap


@pytest.mark.parametrize(("element", "name"), [("C", "K"), ("O", "K"), ("Si", "L3"), ("Fe", "L3"), ("Ba", "M5")])
def test_ionisation_cross_sections_are_bote_and_salvats(data, element, name):
    edge = subshell(element, name)
    number = {"C": "6", "O": "8", "Si": "14", "Fe": "26", "Ba": "56"}[element]
    with (data / "spectra" / "ionisation-cross-sections.csv").open(encoding="utf-8") as file:
        (row,) = (row for row in csv.DictReader(file) if (row["Z"], row["subshell"]) == (number, name))
    edge = edge._replace(energy=float(row["edge_eV"]))
    for energy in (60, 200, 300):
        ours = total_cross_section(edge, 1e3 * energy, bound=False)
        assert abs(ours / (1e-8 * float(row[f"sigma_barn_{energy}keV"])) - 1) < 0.015


def test_nothing_below_the_edge_and_all_bound_strength_above_it():
    edge = subshell("Ti", "L3")
    losses = np.array([-20.0, 0.0, 455.9, 456.1])
    density = differential_cross_section(edge, losses, 200e3, 0.03)
    assert density[:3].tolist() == [0.0, 0.0, 0.0]
    assert density[3] > 1e-7
    inside = np.linspace(edge.energy, ionisation_threshold(edge), 4001)
    summed = np.trapezoid(differential_cross_section(edge, inside, 200e3, 0.03), inside)
    assert abs(summed / excitation_cross_section(edge, 200e3, 0.03) - 1) < 1e-3
    free = differential_cross_section(edge, inside + 1.0, 200e3, 0.03, bound=False)
    assert free[0] == 0.0
    assert free[-1] == differential_cross_section(edge, inside[-1:] + 1.0, 200e3, 0.03)[0]


def test_smooth_in_the_loss():
    """Inside the continuum a finite difference of half the step has a quarter of the error: no kinks between nodes."""
    edge = subshell("O", "K")
    at = np.linspace(560.0, 800.0, 40)

    def slope(step: float) -> np.ndarray:
        ahead, behind = (differential_cross_section(edge, at + d, 200e3, 0.03) for d in (step, -step))
        return (ahead - behind) / (2 * step)

    coarse, fine, finest = slope(2.0), slope(1.0), slope(0.01)
    assert np.abs(fine - finest).max() < 1e-3 * np.abs(finest).max()
    assert np.abs(fine - finest).max() < 0.3 * np.abs(coarse - finest).max()


def test_small_angles_follow_the_dipole_formula():
    """4 pi a0^2 R^2 / (E T) df/dE ln(1 + (beta / theta_E)^2), T = m v^2 / 2 (R. F. Egerton), well inside theta_E, where the transverse term vanishes."""
    edge = subshell("C", "K")
    losses = np.array([300.0, 400.0])
    optical = generalised_oscillator_strength(edge, losses, np.array([1e-3]))[:, 0]
    gamma = 1 + 100e3 / 510998.95
    kinetic = 510998.95 * (1 - 1 / gamma**2) / 2
    theta = losses / (2 * gamma * kinetic)
    expected = 4 * np.pi * 0.529177**2 * 13.605693**2 / (losses * kinetic) * optical * np.log1p((3e-4 / theta) ** 2)
    np.testing.assert_allclose(differential_cross_section(edge, losses, 100e3, 3e-4), expected, rtol=0.01)


def test_a_wide_aperture_collects_the_total():
    edge = subshell("Si", "L3")
    excess = np.geomspace(1e-3, 6e4, 4000)
    losses = ionisation_threshold(edge) + excess
    density = differential_cross_section(edge, losses, 200e3, 0.3)
    total = total_cross_section(edge, 200e3) - excitation_cross_section(edge, 200e3, 0.3)
    assert abs(np.trapezoid(density, losses) / total - 1) < 5e-3


@pytest.mark.parametrize(("collection", "convergence"), [(0.03, 0.02), (0.02, 0.03), (0.03, 0.03)])
def test_overlap_of_disks_by_drawing(collection, convergence):
    rng = np.random.default_rng(1)
    radius, angle = convergence * np.sqrt(rng.random(200_000)), 2 * np.pi * rng.random(200_000)
    turns = np.array([0.0, 0.004, 0.013, 0.031, 0.047, 0.07])
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    drawn = [float((np.hypot(x + turn, y) <= collection).mean()) for turn in turns]
    np.testing.assert_allclose(overlap(turns, collection, convergence), drawn, atol=4e-3)


def test_convergence_loses_electrons():
    edge, losses = subshell("O", "K"), np.array([560.0, 700.0])
    wide = differential_cross_section(edge, losses, 200e3, 0.03, 0.02)
    assert (wide < differential_cross_section(edge, losses, 200e3, 0.03)).all()
    assert (wide > differential_cross_section(edge, losses, 200e3, 0.01)).all()
    thin = differential_cross_section(edge, losses, 200e3, 0.03, 1e-6)
    np.testing.assert_allclose(thin, differential_cross_section(edge, losses, 200e3, 0.03), rtol=1e-4)


def test_edges_in_a_range():
    names = [edge.name for edge in edges_of("Ti", 100.0, 1000.0)]
    assert names == ["L3", "L2", "L1"]
    energies = [edge.energy for edge in edges_of("Ba")]
    assert energies == sorted(energies)
    assert all("1983" in edge.source or "2009" in edge.source for edge in edges_of("Ba"))
    assert edges_of("H") == ()


def test_messages():
    with pytest.raises(ValueError, match=r"Ti has no edge 'K' here; it has .*L3 \(456 eV\)"):
        subshell("Ti", "K")
    with pytest.raises(ValueError, match="'ti' is not known"):
        edges_of("ti")
    edge = subshell("C", "K")
    with pytest.raises(ValueError, match="C has no electrons 'M5'; its subshells are K, L1, L2, L3"):
        total_cross_section(edge._replace(name="M5"), 200e3)
    with pytest.raises(
        ValueError, match="no strengths of Ti 1s are tabulated; there are those of M2, M3, M1, L3, L2, L1"
    ):
        total_cross_section(subshell("Ti", "L3")._replace(name="K"), 200e3)
    with pytest.raises(ValueError, match="give radians"):
        differential_cross_section(edge, np.array([300.0]), 200e3, 30.0)
    with pytest.raises(ValueError, match="below the energy"):
        differential_cross_section(edge, np.array([300e3]), 200e3, 0.03)
    with pytest.raises(ValueError, match="electronvolts"):
        differential_cross_section(edge, np.array([300.0]), 200.0, 0.03)
    with pytest.raises(ValueError, match="losses must be a one-dimensional array of finite numbers"):
        differential_cross_section(edge, np.array([np.nan]), 200e3, 0.03)
