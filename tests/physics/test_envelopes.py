"""Envelopes of partial coherence against explicit averages and textbook formulas."""

import numpy as np

from twin.optics.aberrations import coefficients, phase
from twin.optics.coherence import spatial_envelope, temporal_envelope
from twin.optics.electrons import wavelength
from twin.optics.source import tilt_offsets

LENGTH = wavelength(200e3)
_LOW = {"C10": -500.0, "C12a": 60.0, "C12b": -40.0, "C21a": 900.0, "C21b": -500.0, "C23a": 700.0, "C30": 1.0e7}
GENERAL = _LOW | {"C32b": 3e5, "C34a": -4e5, "C41a": 2e7, "C45b": 3e7, "C50": 5e8, "C56a": 4e8}


def test_temporal_envelope_has_a_half_with_an_rms():
    """The average of exp(-i pi lambda C10 k^2) over defoci drawn with rms 35, and the trap: a 1/4 belongs to a 1/e half-width."""
    k, spread = 0.45, 35.0
    defocus = np.linspace(-8 * spread, 8 * spread, 20001)
    weight = np.exp(-0.5 * (defocus / spread) ** 2)
    expected = np.sum(weight * np.cos(np.pi * LENGTH * defocus * k**2)) / weight.sum()
    computed = float(temporal_envelope(np.asarray(k), np.asarray(0.0), LENGTH, spread))
    np.testing.assert_allclose(computed, expected, rtol=1e-9)
    assert abs(np.exp(-0.25 * (np.pi * LENGTH * spread * k**2) ** 2) / expected - 1.0) > 0.05
    half_width = np.sqrt(2.0) * spread
    np.testing.assert_allclose(computed, np.exp(-0.25 * (np.pi * LENGTH * half_width * k**2) ** 2), rtol=1e-12)


def test_spatial_envelope_is_the_average_over_tilts():
    """Directly: the phase between the direct and a scattered beam, averaged over tilts; with every kind of aberration, on and off the axis."""
    vector, spread = coefficients(GENERAL | {"C10": -4000.0}), 7e-5
    tilts, weights = tilt_offsets(spread, 25)
    for start in ((0.0, 0.0), (2e-3, -1e-3)):
        kx, ky = np.array([0.3, -0.2, 0.1, 0.55]), np.array([0.1, 0.4, -0.5, 0.2])
        k0 = (np.asarray(start)[None] + tilts) / LENGTH
        far = phase(vector, kx[None] + k0[:, :1], ky[None] + k0[:, 1:], LENGTH)
        near = phase(vector, k0[:, 0], k0[:, 1], LENGTH)
        phases = np.asarray(far) - np.asarray(near)[:, None]
        expected = np.abs(weights @ np.exp(-1j * phases))
        computed = np.asarray(spatial_envelope(vector, kx, ky, LENGTH, spread, start))
        np.testing.assert_allclose(computed, expected, atol=3e-3)
        assert computed.min() < 0.9


def test_spatial_envelope_is_the_textbooks_for_a_round_lens():
    """exp(-2 (pi s / lambda)^2 (C10 theta + C30 theta^3)^2), s the rms along one axis."""
    k, spread = np.linspace(0.0, 0.6, 7), 3e-4
    theta = LENGTH * k
    expected = np.exp(-0.5 * (2 * np.pi * (-600.0 * theta + 1.2e7 * theta**3) * spread / LENGTH) ** 2)
    computed = spatial_envelope(coefficients({"C10": -600.0, "C30": 1.2e7}), k, np.zeros(7), LENGTH, spread)
    np.testing.assert_allclose(computed, expected, rtol=1e-12)
