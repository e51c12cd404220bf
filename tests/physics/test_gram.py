"""The Gram model against exact multislice of the same frozen atoms, and its use of lattice and symmetry."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twin.grid import band_limit, frequencies
from twin.optics.aberrations import coefficients, index
from twin.optics.electrons import wavelength
from twin.optics.probe import aperture, gauss_hermite, probe, source_offsets
from twin.sample.specimen import Specimen, srtio3_unit
from twin.scattering.gram.crystal import build_gram, centred_in_slices
from twin.scattering.gram.model import harmonics, image
from twin.scattering.multislice import intensities, multislice, propagator, transmission
from twin.scattering.stem.beams import beams, gram_matrices

ENERGY, SEMIANGLE, DETECTOR = 200e3, 21.4e-3, (30e-3, 55e-3)
GPTS, CELLS, SEED = 96, 4, 7
A = 3.905
VECTOR = coefficients({"C10": 35.0, "C12a": 20.0, "C12b": -11.0, "C21a": 800.0, "C23b": 400.0, "C30": 3e4})
SPOTS = np.array([[0.3, 1.1], [4.2, 7.7], [1.95, 1.95], [11.0, 0.2]])
OPTIONS: dict[str, Any] = {
    "untilted_seeds": (),
    "cells_z": CELLS,
    "detector": DETECTOR,
    "gpts": GPTS,
    "semiangle": SEMIANGLE,
    "energy": ENERGY,
}


@pytest.fixture(scope="module")
def exact():
    """Direct multislice of probes at (positions, coefficients, cells, tilt): share of the beam on the detector."""
    unit = centred_in_slices(srtio3_unit(), 2)
    specimen = Specimen.from_atoms(unit * (3, 3, CELLS))
    shape, extent = (GPTS, GPTS), specimen.extent
    slices = specimen.slices(GPTS, 2 * CELLS, specimen.displacements(SEED))
    functions = transmission(slices.array, ENERGY, band_limit(shape, extent))
    kx, ky = frequencies(shape, extent)
    angle = wavelength(ENERGY) * np.hypot(kx[None, :], ky[:, None])
    step = wavelength(ENERGY) / extent[0]
    ring = np.clip((angle - DETECTOR[0]) / step + 0.5, 0, 1) * np.clip((DETECTOR[1] - angle) / step + 0.5, 0, 1)
    window = aperture(shape, extent, ENERGY, SEMIANGLE)

    @jax.jit
    def share(positions, vector, tilt):
        waves = probe(vector, positions, window, extent, ENERGY)
        kernel = propagator(shape, extent, ENERGY, slices.spacing, tilt)
        depths = multislice(waves, functions, kernel, exits=tuple(2 * cell for cell in range(1, CELLS + 1)))
        return jnp.sum(intensities(depths) * jnp.asarray(ring, jnp.float32)[None, None], axis=(-1, -2))

    def call(positions, vector, cells, tilt=(0.0, 0.0)):
        return np.asarray(share(jnp.asarray(positions), jnp.asarray(vector), jnp.asarray(tilt)))[cells - 1]

    return call


@pytest.fixture(scope="module")
def general():
    return build_gram(
        srtio3_unit(),
        depths=(2, 3, 4),
        tilt_step=0.0,
        seeds=(SEED,),
        symmetry=None,
        periodic=False,
        degree=2,
        **OPTIONS,
    )


@pytest.fixture(scope="module")
def crystal():
    return build_gram(srtio3_unit(), depths=(2, 3, 4), tilt_step=0.0, seeds=(SEED,), symmetry=None, degree=2, **OPTIONS)


@pytest.mark.parametrize("cells", [2, 3, 4])
def test_general_form_is_exact(exact, general, cells):
    computed = image(general, harmonics(general, VECTOR, cells * A, np.zeros(2)), SPOTS)
    expected = exact(SPOTS, VECTOR, cells)
    assert expected.max() > 3 * expected.min()
    np.testing.assert_allclose(computed, expected, rtol=1e-4)


def test_focal_spread_is_the_average_over_defocus(exact, general):
    offsets, weights = gauss_hermite(30.0, 9)
    expected = sum(
        weight * exact(SPOTS, VECTOR + offset * np.eye(25)[index("C10")], 4)
        for offset, weight in zip(offsets, weights, strict=True)
    )
    computed = image(general, harmonics(general, VECTOR, 4 * A, np.zeros(2), 30.0), SPOTS)
    np.testing.assert_allclose(computed, expected, rtol=3e-4)
    sharp = image(general, harmonics(general, VECTOR, 4 * A, np.zeros(2)), SPOTS)
    assert np.abs(np.asarray(sharp) / expected - 1.0).max() > 5e-3


def test_source_size_is_the_average_over_positions(exact, general):
    spot = SPOTS[2]
    offsets, weights = source_offsets(0.35, 11)
    expected = weights @ exact(spot[None, :] + offsets, VECTOR, 3)
    computed = image(general, harmonics(general, VECTOR, 3 * A, np.zeros(2)), spot, 0.35)
    np.testing.assert_allclose(computed, expected, rtol=1e-3)
    sharp = image(general, harmonics(general, VECTOR, 3 * A, np.zeros(2)), spot)
    assert abs(float(sharp) / expected - 1.0) > 0.02


def test_periodic_form_is_the_average_over_lattice_translations(general, crystal):
    cells = A * np.array([(i, j) for i in range(3) for j in range(3)])
    spots = SPOTS[:3, None, :] + cells[None, :, :]
    expected = image(general, harmonics(general, VECTOR, 3 * A, np.zeros(2)), spots).mean(axis=1)
    computed = image(crystal, harmonics(crystal, VECTOR, 3 * A, np.zeros(2)), SPOTS[:3])
    np.testing.assert_allclose(computed, expected, rtol=1e-4)
    assert len(crystal.g) < len(general.g) / 8


def test_several_detectors_add_up():
    specimen = Specimen.from_atoms(centred_in_slices(srtio3_unit(), 2) * (2, 2, 2))
    shape = (64, 64)
    slices = specimen.slices(64, 4, specimen.displacements(0))
    functions = transmission(slices.array, ENERGY, band_limit(shape, specimen.extent))
    kernel = propagator(shape, specimen.extent, ENERGY, slices.spacing)
    kx, ky = frequencies(shape, specimen.extent)
    angle = wavelength(ENERGY) * np.hypot(kx[None, :], ky[:, None])
    maps = np.stack([angle < 20e-3, (angle >= 20e-3) & (angle < 55e-3), angle < 55e-3]).astype(float)
    bundle = beams(specimen.extent, ENERGY, SEMIANGLE)
    matrices = gram_matrices(bundle.indices, functions, kernel, maps, (2, 4))
    assert matrices.shape == (2, 3, len(bundle.k), len(bundle.k))
    np.testing.assert_allclose(matrices[:, 0] + matrices[:, 1], matrices[:, 2], atol=2e-6)
    np.testing.assert_allclose(matrices, np.conj(np.swapaxes(matrices, -1, -2)), atol=1e-7)
    assert 0.5 < matrices[1, 2].diagonal().real.mean() < 1.0


@pytest.fixture(scope="module")
def still():
    """A crystal without thermal motion, with all tilts computed, and with symmetry."""
    options = {
        **OPTIONS,
        "gpts": 64,
        "seeds": (0,),
        "degree": 2,
        "depths": (2, 3, 4),
        "u2": {"Sr": 0.0, "Ti": 0.0, "O": 0.0},
    }
    return [
        build_gram(srtio3_unit(), (2, 2), tilt_step=5e-3, symmetry=kind, **options) for kind in (None, "4mm", "2mm")
    ]


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (5e-3, 0.0), (0.0, -5e-3), (-5e-3, 5e-3), (2e-3, -3e-3)])
def test_symmetry_gives_the_other_tilts_for_nothing(still, tilt):
    images = [image(model, harmonics(model, VECTOR, 3.4 * A, np.asarray(tilt)), SPOTS) for model in still]
    np.testing.assert_allclose(images[1], images[0], rtol=2e-4)
    np.testing.assert_allclose(images[2], images[0], rtol=2e-4)


def test_tilt_and_thickness_against_exact_multislice(exact):
    """Frozen atoms of one supercell in general form: at the nodes, and between them, in tilt and thickness."""
    model = build_gram(
        srtio3_unit(),
        depths=(2, 3, 4),
        tilt_step=5e-3,
        seeds=(SEED,),
        symmetry=None,
        periodic=False,
        degree=2,
        **OPTIONS,
    )
    at_node = image(model, harmonics(model, VECTOR, 4 * A, np.array([5e-3, -5e-3])), SPOTS)
    np.testing.assert_allclose(at_node, exact(SPOTS, VECTOR, 4, (5e-3, -5e-3)), rtol=1e-3)
    between = image(model, harmonics(model, VECTOR, 4 * A, np.array([2.5e-3, 1e-3])), SPOTS)
    np.testing.assert_allclose(between, exact(SPOTS, VECTOR, 4, (2.5e-3, 1e-3)), rtol=2e-3)
    straight = exact(SPOTS, VECTOR, 4)
    assert np.abs(np.asarray(at_node) / straight - 1.0).max() > 0.02


def test_further_configurations_without_tilt():
    """At zero tilt they count like the others, near it nearly so; the same configuration again changes nothing at any tilt."""
    options = {**OPTIONS, "gpts": 64, "depths": (2, 3), "degree": 1, "repeats_xy": (2, 2)}

    def pictures(tilt, **seeds):
        model = build_gram(srtio3_unit(), **{**options, **seeds})
        return np.asarray(image(model, harmonics(model, VECTOR, 3 * A, np.asarray(tilt)), SPOTS))

    split = pictures((0.0, 0.0), seeds=(0,), untilted_seeds=(1, 2))
    np.testing.assert_allclose(split, pictures((0.0, 0.0), seeds=(0, 1, 2)), rtol=1e-4)
    tilted = pictures((5e-3, 0.0), seeds=(0,))
    np.testing.assert_allclose(pictures((5e-3, 0.0), seeds=(0,), untilted_seeds=(0, 0)), tilted, rtol=1e-4)
    little = (1e-3, 0.0)
    exact, first_only = pictures(little, seeds=(0, 1, 2)), pictures(little, seeds=(0,))
    further = pictures(little, seeds=(0,), untilted_seeds=(1, 2))
    assert np.linalg.norm(further - exact) < 0.5 * np.linalg.norm(first_only - exact)
