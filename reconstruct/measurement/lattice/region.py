"""Where in an image the lattice is: local power of its two strong reflections, over about a period.

Vacuum, a hole, the edge of a specimen, another grain or a thick contamination show nothing of the lattice; they would count as an image of it that is known.
"""

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter, zoom

WIDTH = 1.0
"""Standard deviation of the neighbourhood that is looked at, in periods."""
BEAT = 0.56
"""Standard deviations of the neighbourhood in wavelengths of a beat that it is to leave nothing of (e^-6)."""
ABSENT, FAINT, NOISES = 0.03, 0.15, 6.0
"""Share of the typical power of the reflections below which the lattice is absent, or, where it is not above so many times the noise, below the second."""
MIN_SIGNAL = 4.0
"""Typical power over that limit of noise from which an absence can be seen."""
MIN_ABSENT = 0.02
"""Share of an image from which an absence is one: less are chance and scan distortion."""


def lattice_region(image: np.ndarray, known: np.ndarray, strong: np.ndarray, noise_variance: float) -> np.ndarray:
    """Where the lattice of the frequencies ``strong`` [2, 2] is seen in the filled ``image`` [ny, nx] with ``noise_variance`` a pixel, of which ``known`` were
    recorded: [ny, nx]; everywhere where that cannot be said, or nearly everywhere."""
    everywhere = np.ones(image.shape, bool)
    period = 1.0 / float(np.linalg.norm(strong, axis=1).min())
    # frequencies that are seen near to one another beat, unless the neighbourhood is as wide as the beat
    first, second = strong
    beats = np.array([first, second, 2.0 * first, 2.0 * second, first - second, first + second])
    nearest = float(np.hypot(*(beats - np.round(beats)).T).min())
    width_pixels = max(WIDTH * period, BEAT / max(nearest, 1e-9))
    if width_pixels > min(image.shape) / 5.0:
        return everywhere
    size = max(1, int(0.25 * period))
    ny, nx = image.shape[0] // size * size, image.shape[1] // size * size
    width = width_pixels / size

    def coarse(values: np.ndarray) -> np.ndarray:
        means = values[:ny, :nx].reshape(ny // size, size, nx // size, size).mean(axis=(1, 3))
        return gaussian_filter(means, width, mode="constant")

    share = np.maximum(coarse(known.astype(float)), 1e-3)
    mean = coarse(np.where(known, image, 0.0)) / share
    level = np.pad(
        mean.repeat(size, axis=0).repeat(size, axis=1),
        ((0, image.shape[0] - ny), (0, image.shape[1] - nx)),
        mode="edge",
    )
    deviation = np.where(known, image - level, 0.0)
    power = np.zeros_like(share)
    for wave in strong:
        beat = np.exp(-2j * np.pi * wave[1] * np.arange(image.shape[0]))[:, None]
        beat = beat * np.exp(-2j * np.pi * wave[0] * np.arange(image.shape[1]))[None]
        product = deviation * beat
        power += (coarse(product.real) ** 2 + coarse(product.imag) ** 2) / share**2
    usable = share > 0.3
    if not usable.any():
        return everywhere
    noise = 2.0 * noise_variance / (4.0 * np.pi * width_pixels**2)
    typical = float(np.quantile(power[usable], 0.8))
    if typical < MIN_SIGNAL * NOISES * noise:
        return everywhere
    limit = max(ABSENT * typical, min(FAINT * typical, NOISES * noise))
    # what is narrower than the neighbourhood is chance; the lattice ends half its width before its power does
    absent = gaussian_filter(((power < limit) & usable).astype(float), width) > 0.5
    absent = maximum_filter(absent, 2 * round(0.5 * width_pixels / size) + 1)
    if absent.mean() < MIN_ABSENT:
        return everywhere
    fine = np.asarray(zoom(absent.astype(float), size, order=1, grid_mode=True, mode="nearest")) < 0.5
    return np.pad(fine, ((0, image.shape[0] - ny), (0, image.shape[1] - nx)), mode="edge")
