"""Scans by reciprocity against multislice of each probe."""

import jax.numpy as jnp
import numpy as np
import pytest

from twin.optics.aberrations import coefficients
from twin.optics.electrons import wavelength
from twin.optics.illumination import Illumination
from twin.optics.probe import aperture
from twin.sample.specimen import Specimen, srtio3_unit
from twin.scattering.reciprocity import crystal_rows, rows, scan_images
from twin.scattering.signals import patterns, prepared

ENERGY, SEMIANGLE = 200e3, 25e-3
CHI = coefficients({"C10": 40.0, "C12b": 20.0, "C21a": 300.0, "C30": 1e4})


@pytest.mark.slow
def test_reciprocal_waves_through_a_tilted_specimen_agree_with_probes():
    generator = np.random.default_rng(1)
    cell = (8.0, 8.0, 8.0)
    x, y, z = np.meshgrid(*[np.arange(3)] * 3)
    atoms = np.stack([x, y, z], axis=-1).reshape(-1, 3) * 8.0 / 3 + generator.uniform(-0.4, 0.4, (27, 3)) + 1.0
    specimen = Specimen(atoms, np.full(27, 0.01), ("Si",) * 27, cell)
    ready = prepared(specimen.slices(48, 4), ENERGY, (5e-3, -3e-3))
    indices = np.array([[0, 0], [3, -2], [-5, 4]])
    amplitude = aperture((48, 48), (8.0, 8.0), ENERGY, SEMIANGLE)
    images = scan_images(rows(indices, ready.transmissions, ready.kernel), CHI, amplitude, (8.0, 8.0), ENERGY, (6, 4))
    spots = np.array([[i * 8.0 / 4, j * 8.0 / 6] for j in range(6) for i in range(4)])
    probes = np.asarray(patterns(spots, Illumination(CHI, ENERGY, SEMIANGLE), amplitude, ready))
    np.testing.assert_allclose(
        np.asarray(images).reshape(3, -1),
        probes[:, indices[:, 1], indices[:, 0]].T,
        atol=2e-6 * probes.max(),
        rtol=2e-4,
    )


@pytest.mark.slow
def test_a_crystal_in_one_cell_has_the_rows_of_its_supercell():
    unit = Specimen.from_atoms(srtio3_unit())
    cell = unit.slices(24, 2)
    repeats, cells = 3, 2
    extent = (unit.extent[0] * repeats, unit.extent[1] * repeats)
    supercell = prepared(
        cell._replace(array=jnp.tile(cell.array, (cells, repeats, repeats)), extent=extent), ENERGY, finer=2
    )
    indices = np.array([[0, 0], [4, -1], [-2, 5]])
    big = np.asarray(rows(indices, supercell.transmissions, supercell.kernel))
    small = np.asarray(crystal_rows(cell, cells, indices / np.array(extent), ENERGY))
    for number, (h, k) in enumerate(indices):
        for gy, gx in ((0, 0), (1, 2), (-3, 1)):
            near = big[number, k + repeats * gy, h + repeats * gx]
            assert abs(small[number, gy, gx] - near) < 2e-4


def test_points_beyond_the_grid_are_refused():
    ready = jnp.ones((1, 8, 8), jnp.complex64)
    with pytest.raises(ValueError, match="finer grid"):
        rows(np.array([[4, 0]]), ready, ready[0])
    assert wavelength(ENERGY) < 0.03
