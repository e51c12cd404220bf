"""Electron energy-loss spectra drawn from power laws, steps, white lines and peaks on a known energy axis, with counting noise that channels share."""

import dataclasses

import numpy as np
from scipy.special import expit

from twin.records import Axis, Claim, Signal, axis_claims, collect

EDGES: dict[str, tuple[tuple[float, float, float], ...]] = {
    "Ti": ((456.8, 0.5, 1.6), (462.3, 0.25, 1.4)),
    "O": ((530.8, 0.2, 0.3),),
    "Mn": ((640.3, 0.25, 1.2), (651.0, 0.12, 0.7)),
    "Fe": ((708.0, 0.25, 1.2), (721.0, 0.12, 0.7)),
    "La": ((832.0, 0.3, 1.6), (848.8, 0.2, 1.4)),
}
"""Of each element: steepest rise in eV, step and white line as shares of the background."""


@dataclasses.dataclass(frozen=True)
class Axes:
    """The true energy axis: ``dispersion`` in eV and energy of the first channel, for so many ``channels``."""

    dispersion: float = 0.5
    offset: float = 350.0
    channels: int = 1024

    @property
    def energies(self) -> np.ndarray:
        """[channels]"""
        return self.offset + self.dispersion * np.arange(self.channels)


def core_loss(
    elements: tuple[str, ...], axis: Axes, seed: int, counts: float = 2e5, shift: float = 1.0, shared: float = 0.3
) -> np.ndarray:
    """Counts [channels] with edges of ``elements``, each moved by a chemical shift of rms ``shift`` eV; ``shared``: part of a channel's noise that goes to the
    next."""
    rng = np.random.default_rng(seed)
    energies = axis.energies
    background = (energies / energies[0]) ** -3.0
    total = background.copy()
    for element in elements:
        moved = shift * rng.standard_normal()
        for position, step, line in EDGES[element]:
            onset = position + moved
            local = (onset / energies[0]) ** -3.0
            rise = expit((energies - onset) / 0.5)
            total += local * rise * step * (np.maximum(energies, onset) / onset) ** -3.0
            total += local * line * np.exp(-0.5 * ((energies - onset - 1.2) / 1.0) ** 2)
    noise = rng.standard_normal(axis.channels + 1)
    noise = (1.0 - shared) * noise[:-1] + shared * noise[1:]
    expected = counts * total
    return np.maximum(expected + np.sqrt(10.0 * expected) * noise, 0.0)


def low_loss(axis: Axes, seed: int, plasmon: float = 15.0, width: float = 0.6, counts: float = 1e6) -> np.ndarray:
    """Counts [channels] with a zero loss of ``width`` eV (full, at half maximum) and a ``plasmon`` 4 eV wide."""
    rng = np.random.default_rng(seed)
    energies = axis.energies
    zero = np.exp(-4.0 * np.log(2.0) * (energies / width) ** 2) + 2e-3 * expit(energies / 0.3) * np.exp(
        -np.maximum(energies, 0.0) / 5.0
    )
    positive = np.maximum(energies, 1e-6)
    loss = positive * 4.0 * plasmon**2 / ((positive**2 - plasmon**2) ** 2 + (4.0 * positive) ** 2) * (energies > 0.0)
    return rng.poisson(counts * (zero + 0.05 * loss / loss.max())).astype(float)


def signal_of_spectrum(counts: np.ndarray, dispersion: float, offset: float, name: str = "Energy loss") -> Signal:
    """A recording that claims an energy axis."""
    axes = (Axis(name, counts.shape[-1], dispersion, offset, "electronvolt"),)
    claims, _ = collect([*axis_claims(axes, "spectrum"), ("high_tension", Claim(200e3, "volt", "high_tension"))])
    return Signal(counts, axes, "spectrum", "", "", "synthetic", claims)
