"""A film seen through the window of a scan, by pixels that see it displaced: the covariance of the likelihood against that of films drawn."""

import numpy as np
import pytest

from reconstruct.measurement.film.blocks import block, filled, prepare
from reconstruct.measurement.film.exposure import Exposure, Optics, Setting, Spectra, scan_frequencies, spectra
from twin.optics.aberrations import phase_gradient
from twin.optics.electrons import wavelength
from twin.optics.weak import THIRD, displacements, response, sidebands

OPTICS = Optics(200e3, 25e-3)
ANGLES = 1e-3 * np.array([[0.0, 0.0], [9.0, 3.0], [-7.0, 7.0], [4.0, -9.0], [-9.0, -4.0], [8.0, -5.0]])
CHI = np.array([180.0, 40.0, -30.0, *np.zeros(THIRD - 3)])
HIGHEST = 0.5
"""Scan frequency (1/angstrom) up to which no overlap crosses the rim of the aperture."""
POINTS, STEP, REPEATS = 20, 0.8, 3


def setting(periodic: bool) -> Setting:
    return Setting((POINTS, POINTS), STEP, ANGLES, 1e-5, 1e6, periodic=periodic)


def covariances(periodic: bool) -> np.ndarray:
    """Of a thin film of power 1, [q, pixels, pixels], by the model."""
    q, _ = scan_frequencies(setting(False), OPTICS)
    q = q[np.hypot(*q.T) < HIGHEST]
    empty = Spectra(np.zeros((len(q), len(ANGLES)), np.complex64), q, np.ones(len(ANGLES)), ANGLES, setting(periodic))
    bands = block(prepare(empty, OPTICS), CHI).bands
    lower, upper = (
        np.exp(1j * (less @ CHI))[..., None] * weight
        for less, weight in ((bands.minus, bands.lower), (bands.plus, bands.upper))
    )
    modes = (lower - upper)[:, : len(ANGLES)]
    return np.einsum("qpm,qrm->qpr", modes, modes.conj())


def drawn_covariances(films: int) -> np.ndarray:
    """The same from scans over parts of random films, through the window that `spectra` takes."""
    generator = np.random.default_rng(0)
    size = POINTS * REPEATS
    ky, kx = np.meshgrid(*[np.fft.fftfreq(size, STEP)] * 2, indexing="ij")
    q = np.stack([kx.ravel(), ky.ravel()], axis=-1)
    bands = sidebands(q, ANGLES, (0.0, 0.0), OPTICS.energy, OPTICS.semiangle, 1e-5)
    t = np.asarray(response(bands, CHI, 0.0)).reshape(size, size, -1)
    total, count = 0.0, 0
    for _ in range(films):
        spectrum = np.fft.fft2(generator.normal(size=(size, size))) * STEP
        images = np.fft.ifft2(t * spectrum[..., None], axes=(0, 1)).real / STEP**2
        for row in range(0, size, POINTS):
            for column in range(0, size, POINTS):
                part = 1e6 * (1.0 + 1e-3 * images[row : row + POINTS, column : column + POINTS])
                seen = spectra(Exposure(part, setting(False)), OPTICS)
                z = seen.z / (1e-3 * seen.strength)
                total, count = total + z[:, :, None] * z[:, None, :].conj(), count + 1
    return (np.asarray(total) / count)[np.hypot(*seen.q.T) < HIGHEST]


@pytest.mark.slow
def test_films_seen_displaced_in_a_window_are_as_alike_as_the_likelihood_says():
    drawn, windowed, repeating = drawn_covariances(50), covariances(False), covariances(True)
    scale = np.linalg.norm(drawn)
    assert np.linalg.norm(windowed - drawn) / scale < 0.09
    assert np.linalg.norm(repeating - drawn) / scale > 0.2


def test_displacements_are_the_places_of_the_rays():
    q = np.array([[0.1, 0.2], [-0.3, 0.05]])
    lower, upper = displacements(CHI, q, ANGLES, (1e-3, -2e-3), OPTICS.energy)
    length = wavelength(OPTICS.energy)
    k = (ANGLES[3] + [1e-3, -2e-3]) / length
    for move, ray in ((lower, k - q[1]), (upper, k + q[1])):
        slope = np.asarray(phase_gradient(CHI, ray[:1], ray[1:], length))[:, 0]
        np.testing.assert_allclose(np.asarray(move)[1, 3], slope / (2.0 * np.pi), rtol=1e-12)


@pytest.mark.parametrize("count", [1, 32, 33])
def test_pixels_are_filled_up_with_zeros(count: int):
    values = filled(np.ones((2, count)), 1)
    assert values.shape == (2, -(-count // 32) * 32)
    assert values.sum() == 2 * count
