"""Partial coherence: quadratures against the spectra of the same distributions, and figures of real microscopes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import j0

from twin.optics.electrons import kappa
from twin.optics.source import (
    blur,
    chromatic_c10,
    focal_spread,
    gauss_hermite,
    joint,
    phase_quadrature,
    plane,
    source_offsets,
    source_spectrum,
    tail_offsets,
    tailed_source_offsets,
    vibration_offsets,
    vibration_spectrum,
)

ENERGY = 200e3
K = np.array([[0.0, 0.0], [0.2, 0.0], [0.0, -0.3], [0.25, 0.15]])


def average(quadrature, k=K):
    """The quadrature's average of exp(2 pi i k.r) at every k."""
    offsets, weights = quadrature
    return np.exp(2j * np.pi * k @ offsets.T) @ weights


def test_round_source():
    computed = average(source_offsets(0.5, 11))
    np.testing.assert_allclose(computed, source_spectrum(K[:, 0], K[:, 1], 0.5), atol=1e-9)
    np.testing.assert_allclose(computed[1], np.exp(-2 * np.pi**2 * 0.25 * 0.04), atol=1e-9)


@pytest.mark.parametrize("nodes,phase", [(1, 0.0), (5, 1.4), (11, 3.3), (15, 6.5), (31, 17.0)])
def test_phase_quadrature_follows_phases(nodes, phase):
    """It averages exp(i a x) as a Gaussian does, to 1e-3, up to the phase stated; rms and symmetry are exact."""
    offsets, weights = phase_quadrature(2.0, nodes)
    a = np.linspace(0.0, phase / 2.0, 50)
    np.testing.assert_allclose(np.exp(1j * a[:, None] * offsets[None]) @ weights, np.exp(-2.0 * a**2), atol=1e-3)
    np.testing.assert_allclose(weights @ offsets**2, 4.0 if nodes > 1 else 0.0, rtol=1e-12)
    np.testing.assert_allclose([weights.sum(), weights @ offsets], [1.0, 0.0], atol=1e-12)


def test_vibration_is_strong_along_its_direction():
    along = average(vibration_offsets(0.6, 0.1, 0.4, 13))
    np.testing.assert_allclose(along, vibration_spectrum(K[:, 0], K[:, 1], 0.6, 0.1, 0.4), atol=1e-9)
    offsets, weights = vibration_offsets(0.6, 0.1, 0.4, 9)
    covariance = (offsets * weights[:, None]).T @ offsets
    axis = np.array([np.cos(0.4), np.sin(0.4)])
    np.testing.assert_allclose(axis @ covariance @ axis, 0.36, rtol=1e-12)
    np.testing.assert_allclose(np.trace(covariance), 0.37, rtol=1e-12)


@pytest.mark.parametrize("k", [0.05, 0.2, 0.35])
def test_tail_is_a_cut_cauchy_distribution(k):
    """The quadrature against the integral of the density over the disc; the whole distribution's transform is exp(-2 pi width k)."""
    width, cut = 0.8, 12.0
    enclosed = 1.0 - width / np.hypot(cut, width)

    def hankel(r):
        return r * width / (r * r + width * width) ** 1.5 * j0(2 * np.pi * k * r)

    integral = quad(hankel, 0.0, cut, limit=200)[0]
    computed = average(tail_offsets(width, cut, 40), np.array([[k * 0.6, k * 0.8]]))[0]
    np.testing.assert_allclose(computed, integral / enclosed, atol=1e-7)
    uncut = quad(hankel, 0.0, 3000.0, limit=5000)[0]
    np.testing.assert_allclose(source_spectrum(np.asarray(k), np.asarray(0.0), 0.5, 1.0, width), uncut, atol=1e-4)
    offsets, weights = tail_offsets(width, 1e4 * width, 60)
    inside = np.hypot(offsets[:, 0], offsets[:, 1]) < np.sqrt(3.0) * width
    assert abs(weights[inside].sum() - 0.5) < 0.02


def test_source_with_tails_is_the_mixture():
    computed = average(tailed_source_offsets(0.3, 0.2, 0.8, 12.0, 40))
    core, tail = average(source_offsets(0.3, 40)), average(tail_offsets(0.8, 12.0, 40))
    np.testing.assert_allclose(computed, 0.8 * core + 0.2 * tail, atol=1e-12)
    spectrum = source_spectrum(K[:, 0], K[:, 1], 0.3, 0.2, 0.8)
    expected = 0.8 * np.exp(-2 * np.pi**2 * 0.09 * (K**2).sum(1)) + 0.2 * np.exp(-2 * np.pi * 0.8 * np.hypot(*K.T))
    np.testing.assert_allclose(spectrum, expected, rtol=1e-12)


def test_joint_spreads_multiply_their_spectra():
    first, second = source_offsets(0.3, 7), vibration_offsets(0.4, 0.0, 1.0, 7)
    combined = joint(first, second)
    np.testing.assert_allclose(average(combined), average(first) * average(second), atol=1e-12)


def test_blur_is_the_average_of_moved_images():
    shape, extent = (24, 32), (8.0, 6.0)
    kx, ky = plane(shape, extent)
    rng = np.random.default_rng(0)
    spectrum = np.fft.fft2(rng.standard_normal((2, *shape))) * (np.hypot(kx, ky) < 0.6)[None]
    images = np.fft.ifft2(spectrum).real
    offsets, weights = joint(source_offsets(0.4, 15), vibration_offsets(0.3, 0.1, 0.7, 9))
    turn = np.exp(-2j * np.pi * (kx[None] * offsets[:, 0, None, None] + ky[None] * offsets[:, 1, None, None]))
    expected = np.fft.ifft2(spectrum * np.tensordot(weights, turn, axes=1)[None]).real
    window = source_spectrum(kx, ky, 0.4) * vibration_spectrum(kx, ky, 0.3, 0.1, 0.7)
    np.testing.assert_allclose(blur(images, window), expected, atol=1e-9)
    assert blur(images.astype(np.float32), window).dtype == jnp.float32


def test_focal_spread_of_a_field_emission_gun():
    """Cc 1.2 mm, 0.7 eV FWHM at 200 kV: 1.2e7 x 1.164 x 0.297 / 2e5 = 20.8 angstrom; ripples of 1e-7 are small beside it, 1 ppm is not."""
    cc, rms = 1.2e7, 0.7 / 2.3548
    assert abs(float(focal_spread(cc, ENERGY, rms)) - cc * kappa(ENERGY) * rms / ENERGY) < 1e-9
    assert abs(float(focal_spread(cc, ENERGY, rms)) - 20.8) < 0.1
    parts = [
        focal_spread(cc, ENERGY, rms),
        focal_spread(cc, ENERGY, 0.0, 1e-6),
        focal_spread(cc, ENERGY, 0.0, 0.0, 5e-7),
    ]
    np.testing.assert_allclose(
        focal_spread(cc, ENERGY, rms, 1e-6, 5e-7), np.sqrt(sum(float(p) ** 2 for p in parts)), rtol=1e-12
    )
    np.testing.assert_allclose(parts[2], 2 * cc * 5e-7, rtol=1e-12)


def test_energies_averaged_give_the_focal_spread():
    deviations, weights = gauss_hermite(0.3, 9)
    c10 = np.asarray(chromatic_c10(1.2e7, ENERGY, deviations))
    np.testing.assert_allclose(np.sqrt(weights @ c10**2), focal_spread(1.2e7, ENERGY, 0.3), rtol=1e-12)
    assert float(chromatic_c10(1.2e7, ENERGY, 1.0)) < 0.0 < float(chromatic_c10(1.2e7, ENERGY, 0.0, 1e-6))


def test_gradients_in_the_source_are_differences():
    kx, ky = plane((16, 20), (6.0, 7.0))
    image = np.random.default_rng(2).standard_normal((16, 20))

    def loss(p):
        window = source_spectrum(kx, ky, p[0], p[1], p[2]) * vibration_spectrum(kx, ky, p[3], p[4], p[5])
        return jnp.sum(blur(image, window) ** 3) + focal_spread(1e5, ENERGY, p[0], p[1] * 1e-6, p[2] * 1e-6)

    start, step = jnp.asarray([0.3, 0.2, 0.5, 0.2, 0.1, 0.3]), 1e-4
    slope = jax.grad(loss)(start)
    for row in range(6):
        ends = [float(loss(start.at[row].add(sign * step))) for sign in (1, -1)]
        np.testing.assert_allclose(slope[row], (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-6)


def test_no_spread_has_a_slope_of_zero():
    slopes = jax.grad(lambda p: focal_spread(1e7, ENERGY, p[0], p[1], p[2]))(jnp.zeros(3))
    np.testing.assert_array_equal(slopes, 0.0)


@pytest.mark.parametrize(
    "call,match",
    [
        (lambda: gauss_hermite(-1.0, 5), "sigma"),
        (lambda: gauss_hermite(1.0, 0), "nodes"),
        (lambda: source_offsets(float("nan"), 5), "sigma"),
        (lambda: tail_offsets(0.0, 5.0, 5), "width"),
        (lambda: tail_offsets(1.0, -5.0, 5), "cut"),
        (lambda: tailed_source_offsets(0.3, 1.2, 1.0, 5.0, 5), "tail"),
        (lambda: source_spectrum(K[:, 0], K[:, 1], 0.3, -0.1, 1.0), "tail"),
        (lambda: vibration_spectrum(K[:, 0], K[:, 1], 0.3, -0.1), "minor"),
        (lambda: focal_spread(1e7, 200.0, 0.3), "electronvolts"),
        (lambda: focal_spread(1e7, ENERGY, -0.3), "energy_spread"),
        (lambda: focal_spread(float("inf"), ENERGY, 0.3), "cc"),
    ],
)
def test_impossible_spreads_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
