"""Gram matrices in blocks: the unit cell's algorithm equals the supercell's, and both give the images of exact multislice."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.detection.detectors import annular
from twin.grid import band_limit, frequencies
from twin.optics.aberrations import coefficients, index
from twin.optics.electrons import wavelength
from twin.optics.probe import aperture, probe
from twin.sample.specimen import srtio3
from twin.scattering.multislice import intensities, multislice, propagator, transmission
from twin.scattering.stem.beams import beams, gram_matrices
from twin.scattering.stem.crystal import crystal_grams
from twin.scattering.stem.grams import Grams, image_spectrum, raster, whole

ENERGY, SEMIANGLE, CELLS, REPEATS, POINTS = 200e3, 21.4e-3, 3, 3, 36
TILT = (4e-3, -2e-3)
ABERRATIONS = coefficients({"C10": -30.0, "C12a": 15.0, "C21b": 300.0, "C30": 1e4})


def response(kx, ky):
    return annular(kx, ky, wavelength(ENERGY), 40e-3, 70e-3, edge=2e-3)


@pytest.fixture(scope="module")
def crystal() -> Grams:
    cell = srtio3((1, 1, 1)).slices(POINTS, 2)
    (grams,), _ = crystal_grams(cell, CELLS, (REPEATS, REPEATS), ENERGY, SEMIANGLE, [response], TILT)
    return grams


@pytest.fixture(scope="module")
def supercell():
    """Transmission functions, propagator and extent of the same crystal as a supercell whose grid holds the cell's."""
    specimen = srtio3((REPEATS, REPEATS, CELLS))
    shape = (REPEATS * POINTS, REPEATS * POINTS)
    slices = specimen.slices(shape, 2 * CELLS)
    limit = band_limit(shape, slices.extent)
    kernel = propagator(shape, slices.extent, ENERGY, slices.spacing, TILT)
    return transmission(slices.array, ENERGY, limit, finer=2), kernel, slices.extent


@pytest.fixture(scope="module")
def exact(supercell):
    """Fractions of the beam on the detector, probe by probe."""
    functions, kernel, extent = supercell
    shape = kernel.shape
    kx, ky = frequencies(shape, extent)
    x, y = np.meshgrid(X, Y)
    window = aperture(shape, extent, ENERGY, SEMIANGLE)
    waves = probe(ABERRATIONS, np.stack([x.ravel(), y.ravel()], axis=-1), window, extent, ENERGY)
    patterns = intensities(multislice(waves, functions, kernel))
    return np.asarray((patterns * response(kx[None, :], ky[:, None])[None]).sum(axis=(1, 2))).reshape(len(Y), len(X))


X, Y = np.array([0.0, 0.7, 1.9, 3.1]), np.array([0.2, 1.4, 5.0])


def test_the_crystals_form_equals_exact_multislice(crystal, exact):
    images = raster(image_spectrum(crystal, ABERRATIONS), crystal.extent, X, Y)
    np.testing.assert_allclose(images, exact, rtol=2e-4)
    assert np.ptp(exact) > 0.3 * exact.mean()


def test_the_general_form_equals_exact_multislice(supercell, exact):
    functions, kernel, extent = supercell
    bundle = beams(extent, ENERGY, SEMIANGLE)
    kx, ky = frequencies(kernel.shape, extent)
    weights = response(kx[None, :], ky[:, None])[None]
    matrix = gram_matrices(bundle.indices, functions, kernel, weights, (2 * CELLS,))[0, 0]
    general = whole(bundle, extent, ENERGY, matrix)
    images = raster(image_spectrum(general, ABERRATIONS), extent, X, Y)
    np.testing.assert_allclose(images, exact, rtol=2e-4)


def test_the_crystals_image_has_the_crystals_period(crystal):
    spectrum = np.asarray(image_spectrum(crystal, ABERRATIONS))
    gx = np.arange(spectrum.shape[1]) - spectrum.shape[1] // 2
    gy = np.arange(spectrum.shape[0]) - spectrum.shape[0] // 2
    elsewhere = (gx[None, :] % REPEATS != 0) | (gy[:, None] % REPEATS != 0)
    assert np.abs(spectrum[elsewhere]).max() == 0.0
    np.testing.assert_allclose(spectrum, np.conj(spectrum[::-1, ::-1]), atol=1e-7 * np.abs(spectrum).max())


def test_source_and_focal_spread_are_averages(crystal):
    """Against sums over positions and over defocus."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    weights = weights / weights.sum()
    spectrum = image_spectrum(crystal, ABERRATIONS)
    blurred = raster(spectrum, crystal.extent, X, Y, 0.3)
    spots = [
        raster(spectrum, crystal.extent, X + 0.3 * a, Y + 0.3 * b) * u * v
        for (a, u), (b, v) in itertools.product(zip(nodes, weights, strict=True), repeat=2)
    ]
    np.testing.assert_allclose(blurred, sum(spots), rtol=1e-4)
    spread = raster(image_spectrum(crystal, ABERRATIONS, 25.0), crystal.extent, X, Y)
    foci = [
        raster(image_spectrum(crystal, ABERRATIONS + 25.0 * a * coefficients({"C10": 1.0})), crystal.extent, X, Y) * w
        for a, w in zip(nodes, weights, strict=True)
    ]
    np.testing.assert_allclose(spread, sum(foci), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["C10", "C12b", "C30"])
def test_derivatives_against_differences(crystal, name):
    double = Grams(
        crystal.matrices.astype(np.complex128),
        crystal.members,
        crystal.indices,
        crystal.amplitude,
        crystal.extent,
        ENERGY,
    )

    def signal(values, spread, source):
        return raster(image_spectrum(double, values, spread), double.extent, X, Y, source)[1, 2]

    start = (jnp.asarray(ABERRATIONS), jnp.asarray(20.0), jnp.asarray(0.3))
    gradient = jax.grad(signal, (0, 1, 2))(*start)
    step = {"C30": 10.0}.get(name, 0.01)
    ends = [signal(start[0].at[index(name)].add(sign * step), *start[1:]) for sign in (1, -1)]
    np.testing.assert_allclose(gradient[0][index(name)], (ends[0] - ends[1]) / (2 * step), rtol=1e-5)
    for argument, step in ((1, 0.01), (2, 1e-4)):
        ends = [signal(*(value + sign * step * (n == argument) for n, value in enumerate(start))) for sign in (1, -1)]
        np.testing.assert_allclose(gradient[argument], (ends[0] - ends[1]) / (2 * step), rtol=1e-5)


def total(kx, ky):
    """All that there is."""
    return np.ones(np.broadcast_shapes(kx.shape, ky.shape))


def _diagonal(grams: Grams) -> np.ndarray:
    """What the detector has of each incident beam alone."""
    diagonal = np.zeros(len(grams.indices))
    for members, matrix in zip(grams.members, np.asarray(grams.matrices), strict=True):
        diagonal[members[members >= 0]] = np.real(np.diag(matrix))[members >= 0]
    return diagonal


def test_symmetry_spares_blocks_and_changes_nothing(monkeypatch):
    """The same Gram matrices whether blocks are computed or follow from others; and nothing follows where the detector breaks the symmetry."""
    import twin.scattering.stem.crystal as crystal

    cell = srtio3((1, 1, 1)).slices(POINTS, 2)
    arguments = (cell, CELLS, (REPEATS, REPEATS), ENERGY, SEMIANGLE)
    (spared, _), transmitted_share = crystal_grams(*arguments, [response, total])
    members = spared.members
    group = crystal.point_group(cell, jnp.asarray(cell.array), spared.indices, spared.extent, [response], (0.0, 0.0))
    assert len(group) == 8
    assert len(crystal.block_plan(spared.indices, members, group)) == 3  # (0, 0), (1, 0) and (1, 1) of 3 x 3

    def half(kx, ky):
        return response(kx, ky) * (kx > 0)

    assert (
        len(
            crystal.point_group(
                cell, jnp.asarray(cell.array), spared.indices, spared.extent, [response, half], (0.0, 0.0)
            )
        )
        == 2
    )
    assert len(crystal.point_group(cell, jnp.asarray(cell.array), spared.indices, spared.extent, [response], TILT)) == 1
    monkeypatch.setattr(crystal, "symmetries", lambda *_: [np.eye(2, dtype=int)])
    (computed, everything), all_through = crystal_grams(*arguments, [response, total])
    assert transmitted_share == pytest.approx(all_through, rel=1e-5)
    transmitted = everything.amplitude**2 @ _diagonal(everything)
    assert transmitted_share == pytest.approx(float(transmitted), rel=1e-4)
    pairs = (members[:, :, None] >= 0) & (members[:, None, :] >= 0)
    difference = np.abs(spared.matrices - computed.matrices)[pairs]
    assert difference.max() < 1e-5 * np.abs(computed.matrices).max()
