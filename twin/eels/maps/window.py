"""An energy window of an edge as transition modes: the few waves that make up what all its transitions scatter into the window.

A map is linear in M(x, x') = sum over transitions and losses of V*(x) V(x'), whatever the waves. M has few large eigenvalues, for potentials of
neighbouring losses, of both spin-orbit partners and of an atom that is moved a little by heat are alike; its eigenvectors are the modes.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float
from numpy.polynomial.legendre import leggauss

from twin.checks import require
from twin.eels.atoms import (
    Subshell,
    differential_cross_section,
    edges_of,
    ionisation_threshold,
    transition_potentials,
)
from twin.eels.atoms.kinematics import overlap
from twin.eels.atoms.transitions import WIDTHS, reach
from twin.eels.spectrum.atomic_edges import PARTNERS, names_of
from twin.grid import frequencies
from twin.optics.electrons import interaction_constant, wavelength
from twin.optics.source import gauss_hermite

SHARE = 0.995
"""Of the cross-section, what the final states that are kept hold."""
TOLERANCE = 2e-3
"""Share of the cross-section that the modes which are left out hold."""
LOSSES = 3
"""Quadrature points of the losses within a window, above the threshold of ionisation."""
FINE = 128
"""Points at which the spectrum's cross-section is summed over a window."""
PLACES = 4
"""Momenta along each side of a cell of the reciprocal lattice, at most."""
HEAT = 3
"""Quadrature points of an atom's thermal displacement along each axis."""


class EdgeWindow(NamedTuple):
    """What a spectrometer counts of one edge: that of ``element`` called ``name`` ("K"; "L": L3 and L2), losses ``low`` to ``high`` in eV, angles up
    to ``collection`` in rad. Its electrons alone: other edges and the background below are not in it."""

    element: str
    name: str
    low: float
    high: float
    collection: float

    @property
    def label(self) -> str:
        """For example "Ti L"."""
        return f"{self.element} {self.name}"

    def subshells(self) -> tuple[Subshell, ...]:
        """Those whose edge begins below ``high``; ValueError that says which edges and energies there are."""
        require(
            0.0 <= self.low < self.high < np.inf,
            f"the window of {self.label} is {self.low:g} to {self.high:g} eV; give losses in eV that rise",
        )
        require(
            0.0 < self.collection <= 0.3,
            f"collection is {self.collection} rad; give a semi-angle in radian, up to 0.3",
        )
        wanted = PARTNERS.get(self.name, (self.name,))
        there = [shell for shell in edges_of(self.element, high=np.inf) if shell.name in wanted]
        listed = ", ".join(names_of(self.element, 0.0, np.inf)) or "none here: edges are those of Li to U"
        require(len(there) > 0, f"{self.element} has no edge {self.name!r}; it has {listed}")
        inside = tuple(shell for shell in there if shell.energy < self.high)
        onset = min(shell.energy for shell in there)
        require(len(inside) > 0, f"{self.label} begins at {onset:g} eV, above the window's end; move the window up")
        return inside

    def cross_section(self, high_tension: float, convergence: float = 0.0) -> float:
        """Integral of the spectrum's d sigma / dE over the window, into the aperture, angstrom^2."""
        total = 0.0
        for shell in self.subshells():
            low = max(self.low, shell.energy)
            losses = low + (np.arange(FINE) + 0.5) * (self.high - low) / FINE
            values = differential_cross_section(shell, losses, high_tension, self.collection, convergence)
            total += float(values.sum()) * (self.high - low) / FINE
        return total


class Modes(NamedTuple):
    """Modes ``values`` [n, y, x] of a window, in radian: a wave psi leaves -i values psi behind, each for itself. The atom is in the corner [0, 0] of the
    periodic grid over ``extent`` (x, y) in angstrom. ``missing``: share of the cross-section that was left out with the smallest modes."""

    values: Complex[np.ndarray, "n y x"]
    extent: tuple[float, float]
    missing: float


@lru_cache(maxsize=16)
def window_modes(
    window: EdgeWindow,
    shape: tuple[int, int],
    extent: tuple[float, float],
    high_tension: float,
    convergence: float = 0.0,
    u2: float = 0.0,
    tolerance: float = TOLERANCE,
) -> Modes:
    """Modes of ``window`` on a grid ``shape`` (ny, nx) over ``extent`` (x, y) angstrom, for electrons of ``high_tension`` V.

    Sum of |values|^2 dx dy is the cross-section of all angles on the grid. On a narrow grid momenta between its own stand for it, too
    (``shift`` of `transition_potentials`), so that the periodic images of an atom do not interfere: see `least_width`. ``u2`` in angstrom^2 smears
    the atom. ``convergence`` in rad only weighs the excitations to bound levels, which have the potentials of the threshold and the strength of the
    spectrum's table.
    """
    sampling = (extent[1] / shape[0], extent[0] / shape[1])
    sigma, parts, powers, lacking = interaction_constant(high_tension), [], [], []
    shifts = _shifts(window, extent, high_tension)
    for shell in window.subshells():
        for ejected, weight in _losses(window, shell, high_tension, convergence):
            rows = [
                transition_potentials(shell, ejected, shape, sampling, high_tension, SHARE, shift=shift).values
                for shift in shifts
            ]
            made, left_out = compressed(np.concatenate(rows), tolerance / 4)
            parts.append((sigma * np.sqrt(weight / len(shifts))) * made)
            powers.append(float(np.sum(np.abs(parts[-1]) ** 2)) / (1.0 - left_out))
            lacking.append(left_out)
    values, missing = compressed(np.concatenate(parts).astype(np.complex64), tolerance / 4)
    missing += float(np.average(lacking, weights=powers))
    if u2 > 0.0:
        values, more = compressed(_smeared(values, shape, extent, u2), tolerance / 2)
        missing += more
    return Modes(values, extent, missing)


def _shifts(window: EdgeWindow, extent: tuple[float, float], high_tension: float) -> list[tuple[float, float]]:
    """Places (y, x) in the cells of the reciprocal lattice that stand for it: the middle alone on a wide grid."""
    loss = max(window.low, min(shell.energy for shell in window.subshells()))
    count = min(math.ceil(WIDTHS * reach(loss, high_tension) / min(extent)), PLACES)
    along = (np.arange(count) + 0.5) / count - 0.5
    return [(float(y), float(x)) for y in along for x in along]


def least_width(window: EdgeWindow, high_tension: float) -> float:
    """Width of a grid in angstrom from which on the modes of ``window`` have its cross-section to a per cent."""
    loss = max(window.low, min(shell.energy for shell in window.subshells()))
    return WIDTHS * reach(loss, high_tension) / PLACES


def _losses(window: EdgeWindow, shell: Subshell, high_tension: float, convergence: float) -> list[tuple[float, float]]:
    """Energies of the ejected electron and the weights, in eV, by which the potentials at them stand for the window."""
    threshold, low = ionisation_threshold(shell), max(window.low, shell.energy)

    def area(start: float, stop: float) -> float:
        """The spectrum's, without a point on the threshold."""
        losses = start + (np.arange(FINE) + 0.5) * (stop - start) / FINE
        return float(density(losses).sum()) * (stop - start) / FINE

    def density(losses: np.ndarray) -> np.ndarray:
        return differential_cross_section(shell, losses, high_tension, window.collection, convergence)

    made = []
    if low < min(threshold, window.high):
        at_threshold = float(density(np.array([threshold * (1.0 + 1e-9)]))[0])
        made.append((0.0, area(low, min(threshold, window.high)) / at_threshold))
    if window.high > threshold:
        start = max(low, threshold)
        nodes, shares = leggauss(LOSSES)
        losses, weights = start + (window.high - start) * (nodes + 1) / 2, shares * (window.high - start) / 2
        weights *= area(start, window.high) / float(weights @ density(losses))
        made += [(float(loss - threshold), float(weight)) for loss, weight in zip(losses, weights, strict=True)]
    return made


def compressed(rows: Complex[np.ndarray, "m y x"], tolerance: float) -> tuple[Complex[np.ndarray, "n y x"], float]:
    """Fewer rows with the same sum of V*(x) V(x'), but for a share of its trace up to ``tolerance``, and the share that is missing."""
    flat = rows.reshape(len(rows), -1)
    power, turn = np.linalg.eigh((flat @ flat.conj().T).astype(np.complex128))
    falling, turn = np.maximum(power[::-1], 0.0), turn[:, ::-1]
    held = np.cumsum(falling) / falling.sum()
    count = min(1 + int(np.searchsorted(held, 1.0 - tolerance)), len(falling))
    kept = (turn[:, :count].conj().T.astype(rows.dtype) @ flat).reshape(count, *rows.shape[1:])
    return kept, float(1.0 - held[count - 1])


def _smeared(
    values: Complex[np.ndarray, "n y x"], shape: tuple[int, int], extent: tuple[float, float], u2: float
) -> Complex[np.ndarray, "m y x"]:
    """``values`` of an atom at each of its displacements, weighed."""
    kx, ky = frequencies(shape, extent)
    offsets, shares = gauss_hermite(np.sqrt(u2), HEAT)
    spectra, rows = np.fft.fft2(values), []
    for x, share_x in zip(np.asarray(offsets), np.asarray(shares), strict=True):
        for y, share_y in zip(np.asarray(offsets), np.asarray(shares), strict=True):
            turned = np.exp(-2j * np.pi * (kx[None, :] * x + ky[:, None] * y))
            rows.append(np.sqrt(share_x * share_y) * np.fft.ifft2(spectra * turned))
    return np.concatenate(rows).astype(np.complex64)


def collected(
    shape: tuple[int, int], extent: tuple[float, float], high_tension: float, collection: float, convergence: float
) -> Float[np.ndarray, "y x"]:
    """Share [ky, kx] of a probe's electrons that are collected when a transition turns them by the grid's frequencies."""
    kx, ky = frequencies(shape, extent)
    return overlap(wavelength(high_tension) * np.hypot(kx[None, :], ky[:, None]), collection, convergence)


def local_potential(
    modes: Modes, high_tension: float, collection: float, convergence: float = 0.0
) -> Float[np.ndarray, "y x"]:
    """The effective local potential W of a window: |psi|^2 W dx dy is the probability of an electron in the aperture, the atom in the corner [0, 0].

    W = Re sum_n V_n* (D V_n), with D the aperture in reciprocal space, weighed over the directions of the probe (`collected`): exact for a plane wave
    of any of them on average, and for any wave where the aperture takes all. Its integral is the cross-section into the aperture. Where interference
    within the aperture counts, W may be below 0 in places.
    """
    passed = collected(modes.values.shape[-2:], modes.extent, high_tension, collection, convergence)
    behind = np.fft.ifft2(np.fft.fft2(modes.values) * passed)
    return (modes.values.conj() * behind).real.sum(axis=0, dtype=np.float64)
