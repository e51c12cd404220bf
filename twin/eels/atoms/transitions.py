"""Transition potentials for multislice: what a fast electron meets where it ejects an electron of an atom.

An electron that passes (x, y) leaves the atom in the state eps l' m' with the amplitude -i sigma V(x, y), with sigma the interaction constant of elastic
scattering (rad / (V angstrom)) and V the projected potential of the transition's charge, for V per square root of eV of the ejected energy:
sum over the transitions of |sigma V|^2 dx dy over all positions, or over all angles, is d sigma / dE of the spectrum (`differential_cross_section`).
In reciprocal space

    V(Q) = -(e / epsilon_0) rho(Q*) / (Q_perp^2 + q_z^2 / gamma^2),   rho(Q) = integral of psi_f* exp(-i Q r) psi_i.

Small-angle, high-energy approximation: the momentum lost along the beam is q_z = W / v for all angles, which is exact to theta W / 2 T; sums over angles
go over Q_perp as if the sphere of final momenta were a plane, which is exact to theta^2 / 2, 0.5 % at 100 mrad. Both are far below the error of the waves.
With retardation, charge and current of the transition act through the relativistic propagator: 1 / (Q^2 - (W / c)^2) = 1 / (Q_perp^2 + q_z^2 / gamma^2), and
with the equation of continuity the dipole's rho - v j_z / c^2 is rho at Q* = (Q_perp, -q_z / gamma^2). That is Fano's transverse term, wave by wave.
"""

from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import sph_harm_y

from twin.checks import electron_energy
from twin.eels.atoms.edges import Subshell, shell_table
from twin.eels.atoms.oscillator import Pair, pair, radial
from twin.eels.atoms.solver.angular import multipoles, spherical_bessel, three_j
from twin.eels.atoms.solver.atom import solve_atom
from twin.eels.atoms.solver.potential import BOHR, HARTREE, LIGHT

RADIAL = 240
"""Momenta at which radial matrix elements are computed; between them they are interpolated."""


class TransitionPotentials(NamedTuple):
    """``values``: V [transition, y, x] in V angstrom / sqrt(eV), the atom in the corner [0, 0] of the periodic grid; ``labels``: (l', m', m) of each;
    ``loss``: energy in eV that the fast electron loses; ``share``: of the cross-section within the grid's momenta, what these transitions hold."""

    values: np.ndarray
    labels: tuple[tuple[int, int, int], ...]
    loss: float
    share: float


def transition_potentials(
    of: Subshell,
    ejected: float,
    shape: tuple[int, int],
    sampling: tuple[float, float],
    high_tension: float,
    share: float = 0.99,
    retarded: bool = True,
) -> TransitionPotentials:
    """The potentials of all transitions from the subshell to electrons of ``ejected`` eV above the threshold of ionisation.

    ``shape`` (ny, nx) and ``sampling`` (angstrom a pixel, y and x) of the grid, ``high_tension`` in V. The l' that matter most are taken until they
    hold ``share`` of the cross-section on this grid. ``retarded=False``: the Coulomb potential alone, as non-relativistic codes have it.
    """
    if not (np.isfinite(ejected) and ejected >= 0):
        raise ValueError(f"energy of the ejected electron is {ejected} eV; give it above the threshold, from 0 on")
    if min(shape) < 1 or not min(sampling) > 0 or not 0 < share <= 1:
        raise ValueError(f"shape {shape}, sampling {sampling} and share {share}: give all above 0, and a share up to 1")
    kinetic = electron_energy(high_tension) / HARTREE
    loss = of.energy / HARTREE + shell_table(of.element, of.orbital).window + ejected / HARTREE
    gamma = 1 + kinetic / LIGHT**2
    along = loss / (LIGHT * np.sqrt(1 - 1 / gamma**2))
    squeeze = gamma**2 if retarded else 1.0
    qy, qx = (2 * np.pi * np.fft.fftfreq(n, d / BOHR) for n, d in zip(shape, sampling, strict=True))
    perp2 = qy[:, None] ** 2 + qx**2
    q = np.sqrt(perp2 + (along / squeeze) ** 2)
    angles = np.arccos(-along / squeeze / q), np.broadcast_to(np.arctan2(qy[:, None], qx), q.shape)
    factor = -4 * np.pi / (perp2 + along**2 / squeeze)

    orbital = of.orbital
    momenta = np.geomspace(q.min() * 0.999, q.max() * 1.001, RADIAL)
    waves = pair(solve_atom(of.element), orbital, np.array([ejected / HARTREE]), momenta[-1])
    finals = waves.large.shape[1]
    elements = _elements(waves, orbital.l, momenta)
    strength = np.zeros(finals)
    for (final, order), element in elements.items():
        weight = (2 * order + 1) * (2 * final + 1) * three_j(orbital.l, order, final, 0, 0, 0) ** 2
        strength[final] += weight * np.sum((factor * CubicSpline(np.log(momenta), element)(np.log(q))) ** 2)
    order_of = np.argsort(strength)[::-1]
    held = np.cumsum(strength[order_of]) / strength.sum()
    chosen = sorted(order_of[: int(np.searchsorted(held, share - 1e-12)) + 1].tolist())
    kept = float(strength[chosen].sum() / strength.sum())

    scale = np.sqrt(of.occupancy / (2 * orbital.l + 1) * HARTREE) * BOHR**3 / (sampling[0] * sampling[1])
    harmonics: dict[tuple[int, int], np.ndarray] = {}
    values, labels = [], []
    for final in chosen:
        between = {o: CubicSpline(np.log(momenta), elements[final, o])(np.log(q)) for o in multipoles(orbital.l, final)}
        for m in range(-orbital.l, orbital.l + 1):
            for m_final in range(-final, final + 1):
                rho = _charge(between, harmonics, angles, orbital.l, m, final, m_final)
                values.append((scale * np.fft.ifft2(factor * rho)).astype(np.complex64))
                labels.append((final, m_final, m))
    return TransitionPotentials(np.stack(values), tuple(labels), loss * HARTREE, kept)


def _elements(waves: Pair, l: int, momenta: np.ndarray) -> dict[tuple[int, int], np.ndarray]:  # noqa: E741
    """R of (l', multipole) at ``momenta``."""
    finals = waves.large.shape[1]
    bessel = spherical_bessel(finals - 1 + l, momenta[:, None] * waves.potential.radii)
    return {
        (final, order): radial(waves, l, final, order, bessel[order] - (order == 0))[0]
        for final in range(finals)
        for order in multipoles(l, final)
    }


def _charge(
    elements: dict[int, np.ndarray],
    harmonics: dict[tuple[int, int], np.ndarray],
    angles: tuple[np.ndarray, np.ndarray],
    l: int,  # noqa: E741
    m: int,
    final: int,
    m_final: int,
) -> np.ndarray:
    """rho of l m -> l' m' on the grid: 4 pi sum_lambda (-i)^lambda R Y*_lambda,m'-m(Q) and Gaunt's integral."""
    total = np.zeros(angles[0].shape, complex)
    mu = m_final - m
    for order, element in elements.items():
        gaunt = (-1) ** m_final * three_j(final, order, l, 0, 0, 0) * three_j(final, order, l, -m_final, mu, m)
        if gaunt == 0.0:
            continue
        gaunt *= np.sqrt((2 * final + 1) * (2 * order + 1) * (2 * l + 1) / (4 * np.pi))
        if (order, mu) not in harmonics:
            harmonics[order, mu] = sph_harm_y(order, mu, *angles).conj()
        total += 4 * np.pi * (-1j) ** order * gaunt * element * harmonics[order, mu]
    return total
