"""No detector tells more than the quantum limit, and an ideal phase plate reaches it for a weak phase object."""

import numpy as np
import pytest

from learn.information import classical_distance, distinguishability, fisher_information, quantum_fisher_information

COUNT = 64


def weak_phase(strength: float) -> np.ndarray:
    """A plane wave behind a weak phase object, [1, COUNT]."""
    x = 2.0 * np.pi * np.arange(COUNT) / COUNT
    return (np.exp(1j * strength * (np.cos(3.0 * x) + 0.5 * np.sin(5.0 * x))) / np.sqrt(COUNT))[None]


def imaged(wave: np.ndarray, plate: complex) -> np.ndarray:
    """Intensity of the image with the undiffracted beam's phase shifted by ``plate``."""
    spectrum = np.fft.fft(wave, axis=1)
    spectrum[:, 0] *= plate
    return np.abs(np.fft.ifft(spectrum, axis=1)) ** 2


def test_a_phase_plate_reaches_the_limit_and_focus_does_not() -> None:
    before, after = weak_phase(0.0), weak_phase(1e-3)
    limit = distinguishability(before, after)
    reached = classical_distance(imaged(before, 1j), imaged(after, 1j))
    assert reached == pytest.approx(limit, rel=0.02)
    assert classical_distance(imaged(before, 1.0), imaged(after, 1.0)) < 1e-4 * limit
    derivative = ((weak_phase(1e-5) - weak_phase(-1e-5)) / 2e-5).T
    information = quantum_fisher_information(before[0], derivative)
    assert information[0, 0] * 1e-6 == pytest.approx(limit, rel=1e-3)
    slope = ((imaged(weak_phase(1e-5), 1j) - imaged(weak_phase(-1e-5), 1j)) / 2e-5).T
    fisher = fisher_information(slope, imaged(before, 1j)[0], 1.0)
    assert fisher[0, 0] == pytest.approx(information[0, 0], rel=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_no_measurement_tells_more(seed: int) -> None:
    """Random states, lost electrons, and measurements in random bases with outcomes summed."""
    rng = np.random.default_rng(seed)

    def states(count: int) -> np.ndarray:
        drawn = rng.normal(size=(count, 12)) + 1j * rng.normal(size=(count, 12))
        return drawn / np.linalg.norm(drawn, axis=1, keepdims=True) * rng.uniform(0.8, 1.0, (count, 1))

    before = states(5)
    after = before + 0.1 * states(5)
    after *= (np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1))[:, None]
    basis = np.linalg.qr(rng.normal(size=(12, 12)) + 1j * rng.normal(size=(12, 12)))[0]
    rates = [np.abs(part @ basis) ** 2 for part in (before, after)]
    limit = distinguishability(before, after)
    whole = classical_distance(*rates)
    summed = classical_distance(*(part.reshape(5, 4, 3).sum(2) for part in rates))
    averaged = classical_distance(*(part.mean(0, keepdims=True) for part in rates))
    assert summed <= whole <= limit
    assert averaged <= whole
    assert whole > 0.0
