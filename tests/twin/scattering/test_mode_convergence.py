"""Convergence of modes: with specimens that reach the error bound, and with one far below it."""

import numpy as np
import pytest

from tests.twin.scattering.test_modes import BUNDLE, light, modes, number
from twin.scattering.stem.mode_convergence import CHECK_RATIO, DECISION_INTERVAL, ModeConvergence

ALONG = np.linspace(9.0, 13.0, 40)
ALLOWED = 1e-2


def followed(amplitudes, weights):
    """Number of modes used, and the error of images of the checked probes, as a share of a detector's mean."""
    basis = modes([light(-40.0), light(20.0)], ALONG, ALONG)
    amplitudes = amplitudes(basis)
    convergence = ModeConvergence(basis, weights(amplitudes), ALLOWED)
    count = next((n for n in range(1, len(amplitudes) + 1) if convergence.converged(amplitudes[:n])), len(amplitudes))

    def images(n):
        waves = np.tensordot(basis.probes[:n], amplitudes[:n], axes=(0, 0))
        return np.einsum("...p,dp->d...", np.abs(waves) ** 2, weights(amplitudes))[..., 0]

    exact = images(len(amplitudes))
    error = np.abs(images(count) - exact).max(axis=(1, 2)) / exact.mean(axis=(1, 2))
    return basis, count, error.max(), convergence


def vacuum(basis):
    """Amplitudes of the plane waves themselves."""
    return basis.waves.astype(np.complex64)


@pytest.mark.slow
def test_an_incoherent_signal_needs_fewer_modes_than_the_bound():
    """A detector that sees the probe's intensity about one place, as a heavy atom there would."""

    def at(basis):
        positions = np.stack(np.meshgrid([10.0, 10.4, 12.0], [9.5, 11.5, 12.6]), axis=-1).reshape(-1, 2)
        return (basis.waves @ np.exp(2j * np.pi * (BUNDLE.k @ positions.T))).astype(np.complex64)

    basis, count, error, convergence = followed(at, lambda amplitudes: np.ones((1, amplitudes.shape[1]), np.float32))
    rigorous = number(basis, ALLOWED)
    assert count % DECISION_INTERVAL == 0
    assert count < rigorous
    assert error < ALLOWED
    # the followed images are those of the modes so far
    waves = np.tensordot(basis.probes[:count], at(basis)[:count], axes=(0, 0))
    np.testing.assert_allclose(convergence.intensities[0], (np.abs(waves) ** 2).sum(axis=-1), rtol=1e-3, atol=1e-5)
    gram = at(basis)[:count].conj() @ at(basis)[:count].T
    scale = np.abs(gram).max()
    np.testing.assert_allclose(convergence.matrices[0, :count, :count], gram, atol=1e-5 * scale)


def test_a_coherent_signal_gets_enough_modes():
    """One pixel of the bright field interferes with all that is missing, as the bound fears."""

    def pixel(amplitudes):
        weight = np.zeros((1, amplitudes.shape[1]), np.float32)
        weight[0, amplitudes.shape[1] // 3] = 1.0
        return weight

    _, count, error, _ = followed(vacuum, pixel)
    assert count > DECISION_INTERVAL
    assert error < ALLOWED


def test_no_convergence_before_two_images():
    """A detector that sees nothing at first: no change is no evidence while the bound has not halved."""
    basis = modes([light(-40.0), light(20.0)], ALONG, ALONG)
    dark = np.zeros((len(basis.waves), 3), np.complex64)
    convergence = ModeConvergence(basis, np.ones((1, 3), np.float32), ALLOWED)
    count = next(n for n in range(1, len(dark) + 1) if convergence.converged(dark[:n]))
    looked = [bound for bound, _ in convergence.known]
    assert looked[0] <= CHECK_RATIO * ALLOWED
    assert looked[-1] <= 0.5 * looked[0]
    assert basis.error[count] == looked[-1]
