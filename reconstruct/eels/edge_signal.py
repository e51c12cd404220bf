"""Net counts of an ionisation edge in EEL spectra, with their variance from the camera's noise.

The background below an edge is a power law A (E/E0)^-r fitted to a window before it and subtracted from a window over it: Egerton,
Electron Energy-Loss Spectroscopy in the Electron Microscope, ch. 4.4. Spectra are arrays [..., channels] in camera counts.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from reconstruct.eels.habit.power_law import fit_power_law


class Edge(NamedTuple):
    """Two windows in eV: the background is fitted in one and the edge summed in the other (both ends included)."""

    name: str
    background: tuple[float, float]
    signal: tuple[float, float]


TITANIUM_L = Edge("Ti L2,3", (395.0, 450.0), (455.0, 475.0))

COUNTS_PER_ELECTRON = 28.0
"""Noise variance over mean, in counts, of sums over 16 channels and more, for the Enfinium of the titanate recording (24 to 33 there).

Neighbouring channels share noise, so that single channels look two to three times quieter: use it for sums only.
"""


class EdgeSignal(NamedTuple):
    """Per spectrum [...]: the edge's net counts and their variance (counts^2) from counting noise alone, fitted background included.

    ``level`` (counts per channel at the geometric mean of the background window) and ``exponent`` describe the background.
    """

    net: Float[np.ndarray, "..."]
    variance: Float[np.ndarray, "..."]
    level: Float[np.ndarray, "..."]
    exponent: Float[np.ndarray, "..."]


def edge_signal(
    energies: Float[np.ndarray, " channels"],
    spectra: Float[np.ndarray, "*batch channels"],
    edge: Edge = TITANIUM_L,
    counts_per_electron: float = COUNTS_PER_ELECTRON,
) -> EdgeSignal:
    """Net counts of an edge. ``energies`` (eV, rising). Raises ValueError for windows off the spectrum, values not finite, no counts.

    The power law is fitted by weighted least squares with the weights of the fit itself (Fisher scoring), so that noise does not bias it; the variance is
    counting noise in the window plus that of the extrapolated background.
    """
    before, over = _windows(energies, edge)
    flat = np.asarray(spectra, dtype=np.float64).reshape(-1, energies.size)
    if not np.isfinite(flat[:, before | over]).all():
        raise ValueError(f"a spectrum holds values that are not finite around {edge.name}; leave such spectra out")
    if not np.isfinite(counts_per_electron) or counts_per_electron <= 0:
        raise ValueError(f"counts_per_electron = {counts_per_electron!r} must be a positive number")
    reference = np.sqrt(edge.background[0] * edge.background[1])
    log_before, log_over = np.log(energies[before] / reference), np.log(energies[over] / reference)
    level, exponent, covariance = fit_power_law(flat[:, before], log_before, counts_per_electron, edge.name)
    under = level[:, None] * np.exp(-exponent[:, None] * log_over[None, :])
    slope = np.stack(
        [under.sum(1), -(under * log_over[None, :]).sum(1)], axis=1
    )  # d background / d (log level, exponent)
    counted = flat[:, over].sum(1)
    extrapolated = np.einsum("ni,nij,nj->n", slope, covariance, slope)
    variance = counts_per_electron * np.maximum(counted, 0.0) + extrapolated
    shape = np.shape(spectra)[:-1]
    net = counted - under.sum(1)
    return EdgeSignal(net.reshape(shape), variance.reshape(shape), level.reshape(shape), exponent.reshape(shape))


def _windows(energies: Float[np.ndarray, " channels"], edge: Edge) -> tuple[np.ndarray, np.ndarray]:
    before = (energies >= edge.background[0]) & (energies <= edge.background[1])
    over = (energies >= edge.signal[0]) & (energies <= edge.signal[1])
    complete = energies[0] <= edge.background[0] and energies[-1] >= edge.signal[1]
    if not complete or before.sum() < 3 or not over.any():
        span = f"{energies[0]:g} to {energies[-1]:g} eV"
        raise ValueError(
            f"the windows of {edge.name} ({edge.background}, {edge.signal} eV) do not lie within {span}; give others"
        )
    return before, over
