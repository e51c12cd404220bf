"""Fourier-ratio deconvolution: plural scattering taken out of an edge by a low-loss spectrum of the same place.

c(f) = k(f) j(f) / I0, with c, k and j the Fourier transforms of the recorded edge, of the edge by single core loss, and of the low loss with zero-loss area I0.
R. F. Egerton, Electron Energy-Loss Spectroscopy in the Electron Microscope (3rd ed., 2011), section 4.3.2. Returned with the zero loss's resolution, c z / j.
"""

import numpy as np

from reconstruct.eels.habit.fourier_log import PADDING, continued


def fourier_ratio(edge: np.ndarray, low_loss: np.ndarray, zero_loss: np.ndarray, zero_channel: int) -> np.ndarray:
    """An ``edge`` [channels] (background subtracted) without plural scattering. ``low_loss`` and its ``zero_loss`` [n] share the edge's dispersion, with
    zero loss in ``zero_channel``; in any unit of intensity. ValueError for other shapes or a low loss without counts.

    The single-core-loss intensity that is returned is that of all electrons I0 of the zero loss: exp(-t/lambda) of those of the specimen.
    """
    edge, low_loss, zero_loss = (np.asarray(values, np.float64) for values in (edge, low_loss, zero_loss))
    if edge.ndim != 1 or low_loss.ndim != 1 or zero_loss.shape != low_loss.shape:
        shapes = f"{edge.shape}, {low_loss.shape} and {zero_loss.shape}"
        raise ValueError(f"edge, low loss and zero loss have {shapes} channels; give one spectrum each")
    if not low_loss.sum() > 0.0 or not zero_loss.sum() > 0.0:
        raise ValueError("the low loss holds no counts")
    size = PADDING * max(len(edge), len(low_loss))
    recorded = np.fft.rfft(continued(edge, -1, size))
    plural, elastic = (
        np.fft.rfft(np.roll(np.pad(values, (0, size - len(values))), -zero_channel)) for values in (low_loss, zero_loss)
    )
    # beyond the resolution of the zero loss both are noise, and their ratio says nothing
    least = 1e-6 * float(zero_loss.sum())
    ratio = np.where(np.abs(elastic) > least, elastic / np.where(np.abs(plural) > least, plural, least), 0.0)
    return np.fft.irfft(recorded * ratio, size)[: len(edge)]
