"""Starting points: every defocus, sign, astigmatism and phase within the span has one near it."""

import numpy as np
import pytest

from reconstruct.measurement.thon.flatten import flatten
from reconstruct.measurement.thon.search import starting_points
from reconstruct.measurement.thon.spectrum import power_plane, used
from tests.synthetic.films import WAVELENGTH

C30 = 1.2e7


def power_with_rings(c10: float, c12: tuple[float, float], psi: float, ring: float = 1.0):
    generator = np.random.default_rng(7)
    image = flatten(generator.standard_normal((256, 256)))
    assert image is not None
    plane = power_plane(image, 1.0, 100.0)
    azimuth, square = plane.azimuth, plane.frequency**2
    defocus = c10 + c12[0] * np.cos(2.0 * azimuth) + c12[1] * np.sin(2.0 * azimuth)
    chi = np.pi * WAVELENGTH * square * defocus + 0.5 * np.pi * WAVELENGTH**3 * C30 * square**2
    power = generator.exponential(0.5 + np.sin(chi - psi) ** 2)
    return used(plane._replace(power=power * np.where(np.abs(plane.frequency - 0.27) < 0.006, ring, 1.0)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "c10, c12, psi, ring",
    [
        (-8000.0, (2000.0, 1000.0), 0.05, 1.0),
        (700.0, (-300.0, 100.0), 0.05, 1.0),
        (-1500.0, (100.0, 2500.0), 0.05, 1.0),
        (3000.0, (0.0, 0.0), 0.05, 6.0),
        (-4000.0, (200.0, 0.0), 1.2, 1.0),
    ],
)
def test_a_start_lies_near_the_truth(c10, c12, psi, ring):
    known = psi if psi < 1.0 else None
    starts = starting_points(power_with_rings(c10, c12, psi, ring), WAVELENGTH, C30, 10000.0, known)
    assert len(starts) <= 8
    # low frequencies alone do not tell the sign
    best = min(starts, key=lambda start: np.abs(start.values - [c10, *c12]).max())
    assert np.abs(best.values - [c10, *c12]).max() < 160.0
    assert best.ratio > 0.9 * max(start.ratio for start in starts)
    if known is None:
        assert abs((best.psi - psi + 0.5 * np.pi) % np.pi - 0.5 * np.pi) < 0.6
