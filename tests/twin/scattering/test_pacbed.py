"""Position-averaged patterns: rocking curves against scanned probes, mean transmission against sampled phonons, tilt against a tilted propagator."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from twin.grid import band_limit
from twin.optics.electrons import wavelength
from twin.optics.probe import aperture
from twin.sample.specimen import Specimen, srtio3
from twin.scattering.multislice import intensities, multislice, propagator, transmission
from twin.scattering.pacbed import patterns
from twin.scattering.pacbed.coherent import mean_transmission
from twin.scattering.pacbed.diffuse import diffuse
from twin.scattering.pacbed.rocking import rocking
from twin.scattering.stem.beams import plane_waves

ENERGY = 200e3


@functools.cache
def small() -> patterns.Library:
    return patterns.library(
        srtio3((1, 1, 1)), 2, (32, 32), ENERGY, 8e-3, 30e-3, 3e-3, 60.0, step=0.9e-3, configurations=2, workers=1
    )


def test_scanned_probes_average_to_the_rocking_curves():
    cell, repeats, cells = srtio3((1, 1, 1)), 5, 6
    functions = jnp.asarray(np.tile(mean_transmission(cell, 2, (32, 32), ENERGY), (cells, repeats, repeats)))
    extent, gpts = (repeats * 3.905, repeats * 3.905), (160, 160)
    kernel = propagator(gpts, extent, ENERGY, 3.905 / 2)
    shape = aperture(gpts, extent, ENERGY, 8e-3, soft=False)
    kx, ky = np.meshgrid(*[np.fft.fftfreq(160, extent[0] / 160)] * 2)
    total = np.zeros(gpts)
    # two disks meet at most 2 semi-angles apart: four positions along each axis of the cell cancel all of g up to 3
    for x in range(4):
        for y in range(4):
            at = np.exp(-2j * np.pi * (kx * x + ky * y) * 3.905 / 4)
            wave = jnp.fft.ifft2(jnp.asarray(shape * at)) * 160 * 160
            total += np.asarray(intensities(multislice(wave.astype(jnp.complex64)[None], functions, kernel)))[0] / 16
    step = wavelength(ENERGY) / extent[0]
    curves = rocking(cell, 2, (32, 32), ENERGY, 8e-3, 25e-3, cells * 3.905, step=step, every=1, workers=1)
    assert curves.step[0] == pytest.approx(step)
    illuminated = (np.hypot(*(curves.k * step).T) <= 8e-3).astype(float)
    computed = np.bincount(
        curves.outgoing,
        curves.table[cells - 1][curves.pair] * illuminated[curves.incident] / illuminated.sum(),
        np.prod(curves.shape),
    ).reshape(curves.shape)
    half = curves.shape[0] // 2
    inside = np.fft.fftshift(total)[80 - half : 80 + half + 1, 80 - half : 80 + half + 1]
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    lit = np.hypot(x, y) * step <= 25e-3
    assert np.abs(computed - inside)[lit].max() < 2e-3 * inside.max()


@pytest.mark.slow
def test_mean_transmission_is_the_mean_over_displacements():
    cell = Specimen(np.array([[2.0, 2.0, 1.0]]), np.array([0.008]), ("Au",), (4.0, 4.0, 2.0))
    fine, limit = (128, 128), band_limit((128, 128), (4.0, 4.0))
    nodes, weights = np.polynomial.hermite_e.hermegauss(13)
    weights, total = weights / weights.sum(), np.zeros(fine, complex)
    for x, share in zip(nodes, weights, strict=True):
        for y, other in zip(nodes, weights, strict=True):
            displacement = np.array([[x, y, 0.0]]) * np.sqrt(0.008)
            total += (
                share * other * np.asarray(transmission(cell.slices(fine, 1, displacement).array, ENERGY, limit, 2))[0]
            )
    exact = mean_transmission(cell, 1, fine, ENERGY)[0]
    damped = cell.slices(fine, 1, thermal="absorptive", energy=ENERGY)
    second = np.asarray(transmission(damped.array, ENERGY, limit, 2))[0]
    scale = np.abs(total - 1.0).max()
    assert np.abs(exact - total).max() < 0.03 * scale
    assert np.abs(second - total).max() > 0.06 * scale


def test_a_tilted_crystal_is_a_moved_aperture():
    cell, tilt, cells = srtio3((1, 1, 1)), (1.2e-3, -0.7e-3), 12
    length = wavelength(ENERGY)
    curves = rocking(cell, 2, (32, 32), ENERGY, 3e-3, 20e-3, cells * 3.905, step=0.1e-3, every=cells, workers=1)
    functions = jnp.asarray(np.tile(mean_transmission(cell, 2, (32, 32), ENERGY), (cells, 1, 1)))
    kernel = propagator((32, 32), cell.extent, ENERGY, 3.905 / 2, tilt)
    direct = np.asarray(intensities(multislice(plane_waves(np.array([[0, 0]]), (32, 32)), functions, kernel)))[0]
    shift = np.rint(-np.asarray(tilt) / np.asarray(curves.step)).astype(int)
    direction = int(np.flatnonzero((curves.k == shift).all(axis=1))[0])
    selected = curves.incident == direction
    values = curves.table[0][curves.pair[selected]]
    y, x = np.divmod(curves.outgoing[selected], curves.shape[1])
    period = round(length / cell.extent[0] / curves.step[0])
    g = np.stack([x - curves.shape[1] // 2 - shift[0], y - curves.shape[0] // 2 - shift[1]], axis=-1) // period
    deviation = np.abs(values - direct[g[:, 1] % 32, g[:, 0] % 32])
    assert deviation.max() < 0.02 * direct.max()  # the tilt is rounded to the lattice of directions
    assert values.max() < 0.9


def test_diffuse_scattering_is_the_loss_of_bragg_beams():
    cell = srtio3((1, 1, 1))
    curves = rocking(cell, 2, (32, 32), ENERGY, 1e-3, 66e-3, 80.0, step=2e-3, every=10, workers=1)
    thermal = diffuse(cell, 2, (32, 32), ENERGY, 1e-3, 66e-3, 80.0, (3, 3), 12, spacing=39.05, workers=1)
    bragg = curves.table[:, curves.pair].sum(axis=1)
    lost = thermal.table[:, 0].sum(axis=(1, 2))
    assert thermal.depths == pytest.approx(curves.depths)
    assert np.all(np.diff(lost) > 0.0)
    # and no more: intensity scattered beyond the grid's band, up to a half at these angles, is lost
    total = bragg + lost
    assert np.all(total < 1.005)
    assert np.all(1.0 - total < 0.6 * (1.0 - bragg))


def test_slopes_are_differences_of_patterns():
    curves = small()
    at = (41.0, (0.8e-3, -1.3e-3), 8e-3, 1.05)
    pattern = patterns.pattern(curves, *at)

    def difference(parameter: int, step: float) -> tuple[np.ndarray, np.ndarray]:
        numbers = [at[0], *at[1], at[2], at[3]]
        shifted = []
        for sign in (1.0, -1.0):
            changed = list(numbers)
            changed[parameter] += sign * step
            shifted.append(patterns.pattern(curves, changed[0], (changed[1], changed[2]), changed[3], changed[4]))
        return tuple((getattr(shifted[0], n) - getattr(shifted[1], n)) / (2.0 * step) for n in ("bragg", "diffuse"))

    # shorter steps are lost in the rounding of single precision
    for parameter, step in enumerate((0.05, 3e-6, 3e-6, 3e-6)):
        bragg, thermal = difference(parameter, step)
        assert np.abs(pattern.bragg_slopes[parameter] - bragg).max() < 5e-3 * np.abs(bragg).max()
        assert np.abs(pattern.diffuse_slopes[parameter] - thermal).max() < 5e-3 * np.abs(thermal).max()
    assert pattern.thermal_slope == pytest.approx(difference(4, 0.01)[0], abs=1e-5 * np.abs(pattern.bragg).max())


def test_the_coarse_look_is_the_pattern_in_larger_pixels():
    curves, tilt = small(), (1e-3, 2e-3)
    row = 8
    look = patterns.coarse(curves, tilt, np.array([row]), 2e-3, 12)[0]
    fine_pattern = patterns.pattern(curves, float(curves.rocking.depths[row]), tilt, curves.semiangle).bragg
    assert look.sum() == pytest.approx(fine_pattern.sum(), rel=0.02)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"reach": 9e-3}, "reach"),
        ({"semiangle": -1.0}, "semiangle"),
        ({"thickness": 5.0}, "four cells"),
        ({"reach": 0.3}, "gpts"),
    ],
)
def test_a_library_that_cannot_be(change, message):
    options = {"semiangle": 8e-3, "reach": 30e-3, "tilted": 3e-3, "thickness": 60.0} | change
    with pytest.raises(ValueError, match=message):
        patterns.library(srtio3((1, 1, 1)), 2, (32, 32), ENERGY, **options)
