"""What one electron can tell of a quantity at most, whatever detector follows: quantum Fisher information of its wave."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex

from learn.feasibility.imaged import spectra_of
from learn.feasibility.matrices import Matrices
from learn.feasibility.measuring.ends import Ends, windows_of
from learn.feasibility.scans import Probe, Window, incident_of, waves_of
from learn.information import quantum_fisher_information
from twin.optics.aberrations import basis, index
from twin.optics.electrons import wavelength


def mean_information(waves: Complex[np.ndarray, "n m"], derivatives: Complex[np.ndarray, "n m"]) -> float:
    """Mean of the quantum Fisher information over n waves. Waves lose electrons beyond the reach; that their number changes tells something, too."""
    total = 0.0
    for wave, derivative in zip(waves.astype(np.complex128), derivatives.astype(np.complex128), strict=True):
        change = 2.0 * np.vdot(wave, derivative).real
        total += quantum_fisher_information(wave, derivative[:, None])[0, 0] + change**2 / np.vdot(wave, wave).real
    return float(total / len(waves))


def probe_limit(base: Matrices, ends: Ends, window: Window, probe: Probe) -> float:
    """Of a quantity of the specimen, for probes over the ``window``."""
    waves, slopes = _probes(base, ends, window, probe)
    return mean_information(waves, slopes)


def probe_aberration_limit(base: Matrices, name: str, window: Window, probe: Probe) -> float:
    """Of an aberration of the probe."""
    incident = np.asarray(incident_of(base, window, probe.coefficients))
    slope = jnp.asarray(incident * (-1j * _row(base.bundle.k, base.energy, name)), jnp.complex64)
    slopes = np.stack([np.asarray(slope @ jnp.asarray(each)) for each in base.amplitudes])
    waves = waves_of(base, window, probe)
    return mean_information(waves.reshape(-1, waves.shape[-1]), slopes.reshape(-1, waves.shape[-1]))


def plane_limit(ends: Ends) -> float:
    """Of a quantity of the specimen, for the plane wave along the axis."""
    return mean_information(
        *_between(spectra_of(ends.less.amplitudes, ends.less), spectra_of(ends.more.amplitudes, ends.more), ends.step)
    )


def lens_limit(base: Matrices, name: str) -> float:
    """Of an aberration of the objective lens, for the exit wave of the plane wave along the axis."""
    waves = spectra_of(base.amplitudes, base)
    return mean_information(waves, waves * (-1j * _row(base.k, base.energy, name)))


def _probes(base: Matrices, ends: Ends, window: Window, probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """Waves [n, pixels] of probes in the middle between both ends, and their derivatives, in the frame that is stretched along."""
    first, second = windows_of(window, base, ends)
    return _between(waves_of(ends.less, first, probe), waves_of(ends.more, second, probe), ends.step)


def _between(less: np.ndarray, more: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Waves [n, m] in the middle, and their derivatives."""
    flat = [part.reshape(-1, part.shape[-1]) for part in (less, more)]
    return 0.5 * (flat[0] + flat[1]), (flat[1] - flat[0]) / step


def _row(k: np.ndarray, energy: float, name: str) -> np.ndarray:
    return np.asarray(basis(k[:, 0], k[:, 1], wavelength(energy)))[index(name)]


class Dilated(NamedTuple):
    """``waves`` [n, pixels] of probes, their derivatives in a strain about each probe's place (``own``), and in a shift of the crystal below the probe."""

    waves: np.ndarray
    own: np.ndarray
    shifts: np.ndarray


def dilated(base: Matrices, ends: Ends, window: Window, probe: Probe, axis: int) -> Dilated:
    """Of probes over the ``window``, for a strain along ``axis``.

    In the frame that is stretched along, the waves change by the matrices' difference. Back in the microscope's frame the wave is stretched about its probe.
    """
    waves, slopes = _probes(base, ends, window, probe)
    places = np.tile(window.positions[:, axis], len(base.amplitudes))
    changes = np.array([_stretched(wave, base, axis, about) for wave, about in zip(waves, places, strict=True)])
    # stretched, a wave keeps its electrons: a half of it is taken away, or less where its tails pass the border of the cell
    kept = np.einsum("nm,nm->n", waves.conj(), changes).real / np.einsum("nm,nm->n", waves.conj(), waves).real
    incident, k = np.asarray(incident_of(base, window, probe.coefficients)), base.k[:, axis]
    turned = jnp.asarray(incident * (2j * np.pi * base.bundle.k[:, axis]), jnp.complex64)
    moved = np.concatenate([np.asarray(turned @ jnp.asarray(each)) for each in base.amplitudes])
    return Dilated(waves, slopes + changes - kept[:, None] * waves, moved - 2j * np.pi * k * waves)


def dilation_limit(base: Matrices, ends: Ends, window: Window, probe: Probe, axis: int, spread: float) -> float:
    """Of a strain along ``axis`` about the window's middle, for probes over the ``window`` in cells whose middles are ``spread`` (rms) away from the field's:
    below a probe the crystal is shifted by the strain times the distance from the middle."""
    waves, own, shifts = dilated(base, ends, window, probe, axis)
    away = np.tile(window.positions[:, axis] - middle_of(window)[axis], len(base.amplitudes))
    return mean_information(waves, own + away[:, None] * shifts) + spread**2 * mean_information(waves, shifts)


def plane_dilation_limit(base: Matrices, ends: Ends, axis: int, middle: float, spread: float) -> float:
    """Of a strain about ``middle``, for the plane wave along the axis."""
    waves, slopes = _between(
        spectra_of(ends.less.amplitudes, ends.less), spectra_of(ends.more.amplitudes, ends.more), ends.step
    )
    own = np.stack([slope + _stretched(wave, base, axis, middle) for wave, slope in zip(waves, slopes, strict=True)])
    shifts = -2j * np.pi * base.k[:, axis] * waves
    return mean_information(waves, own) + spread**2 * mean_information(waves, shifts)


def middle_of(window: Window) -> np.ndarray:
    """Place (x, y) in the middle of a window."""
    return window.positions.reshape(*window.shape, 2)[window.shape[0] // 2, window.shape[1] // 2]


def _stretched(wave: np.ndarray, matrices: Matrices, axis: int, about: float) -> np.ndarray:
    """-(x - ``about``) d/dx of a wave [pixels] in reciprocal space, x within half the cell of ``about``."""
    ny, nx = matrices.gpts
    flat = np.zeros(ny * nx, np.complex128)
    flat[matrices.pixels] = -2j * np.pi * matrices.k[:, axis] * wave
    count, side = (nx, ny)[axis], matrices.extent[axis]
    away = (np.arange(count) * side / count - about + 0.5 * side) % side - 0.5 * side
    real = np.fft.ifft2(flat.reshape(ny, nx)) * (away[None, :] if axis == 0 else away[:, None])
    return np.fft.fft2(real).ravel()[matrices.pixels]
