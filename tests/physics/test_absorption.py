"""Absorptive potentials against numerical integrals and against the scattering of frozen phonons."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms

from twin.grid import band_limit, frequencies
from twin.optics.electrons import interaction_constant
from twin.sample.potential.absorption import absorptive_factor
from twin.sample.potential.factors import projected_factor
from twin.sample.potential.projected import potential
from twin.sample.specimen import Specimen
from twin.sample.thermal import displaced, normals
from twin.scattering.multislice import multislice, propagator

pytestmark = pytest.mark.filterwarnings("default")

ENERGY = 200e3


def test_absorptive_factor_by_brute_force():
    """The integral on a plain Cartesian lattice of k instead of polar pieces."""
    step, reach, u2 = 0.1, 60.0, 0.007
    axis = np.arange(-reach, reach + step / 2, step)
    ky = axis[:, None]
    for q in (0.0, 1.2, 4.0):
        kx = axis[None, :] + q / 2.0
        incoming, outgoing = kx**2 + ky**2, (q - kx) ** 2 + ky**2
        product = projected_factor("Ti", incoming) * projected_factor("Ti", outgoing)
        lost = np.exp(-2.0 * np.pi**2 * u2 * q**2) - np.exp(-2.0 * np.pi**2 * u2 * (incoming + outgoing))
        expected = 0.5 * interaction_constant(ENERGY) * np.sum(product * lost) * step**2
        computed = absorptive_factor("Ti", np.array([q]), u2, ENERGY)[0]
        scale = absorptive_factor("Ti", np.zeros(1), u2, ENERGY)[0]
        assert abs(computed - expected) < 1e-3 * scale


@pytest.mark.slow
@pytest.mark.parametrize("symbol,tolerance", [("O", 0.02), ("Si", 0.02), ("Ti", 0.04)])
def test_absorption_equals_diffuse_scattering_of_one_atom(symbol, tolerance):
    """A plane wave through one atom: the absorption equals the incoherent scattering by frozen phonons, and the transmitted wave
    is the mean wave."""
    shape, side = (96, 96), 6.0
    atoms = Atoms(symbol, positions=[(2.1, 3.3, 1.0)], cell=[side, side, 2.0], pbc=True)
    specimen = Specimen.from_atoms(atoms, {symbol: 0.007})
    slices = specimen.slices(shape, 1, dtype=np.float64, thermal="absorptive", energy=ENERGY)
    assert slices.damped
    assert slices.absorptive
    sigma = interaction_constant(ENERGY)
    coherent = np.exp(1j * sigma * np.asarray(slices.array)[0])
    absorbed = 1.0 - np.mean(np.abs(coherent) ** 2)
    plan = specimen.plan(shape, 1, dtype=np.float64)
    count = 500
    unit = np.random.default_rng(5).normal(size=(count // 2, 1, 3))
    waves = [
        np.exp(
            1j
            * sigma
            * np.asarray(
                potential(plan, displaced(specimen.positions, specimen.u2, displacement), np.ones(1), specimen.u2)
            )[0]
        )
        for displacement in np.concatenate([unit, -unit])
    ]
    mean = np.mean(waves, axis=0)
    scattered = (1.0 - np.mean(np.abs(mean) ** 2)) * count / (count - 1)
    assert abs(absorbed / scattered - 1.0) < tolerance + 0.03
    assert np.mean(np.abs(coherent - mean) ** 2) < 0.02 * scattered + scattered / count * 2


@pytest.mark.slow
def test_absorption_of_a_crystal_equals_scattering_by_frozen_phonons():
    """A plane wave through 11 angstrom of silicon [001]: the absorption against the scattering by frozen phonons out of
    the mean wave. The grid carries a known share of single diffuse scattering, sum F^2 (1 - exp(-4 pi^2 u2 k^2)); the absorptive potential all."""
    from ase.build import bulk

    atoms = bulk("Si", cubic=True) * (1, 1, 2)
    atoms.translate((0.0, 0.0, 5.43 / 8.0))
    specimen = Specimen.from_atoms(atoms)
    shape, count, configurations = (90, 90), 8, 300
    kernel = propagator(shape, specimen.extent, ENERGY, specimen.thickness / count, dtype=jnp.complex128)
    limit = band_limit(shape, specimen.extent)
    sigma = interaction_constant(ENERGY)

    def exit_wave(array):
        wave = jnp.fft.ifft2(jnp.fft.fft2(jnp.exp(1j * sigma * array)) * limit[None])
        return multislice(jnp.ones(shape, jnp.complex128), wave, kernel)

    slices = specimen.slices(shape, count, dtype=np.float64, thermal="absorptive", energy=ENERGY)
    absorbed = 1.0 - np.mean(np.abs(np.asarray(exit_wave(slices.array))) ** 2)
    damped = specimen.slices(shape, count, dtype=np.float64, thermal="debye-waller")
    assert 1.0 - np.mean(np.abs(np.asarray(exit_wave(damped.array))) ** 2) < 1e-4 * absorbed
    plan = specimen.plan(shape, count, dtype=np.float64)

    @jax.jit
    def frozen(unit):
        where = displaced(specimen.positions, specimen.u2, unit)
        return exit_wave(potential(plan, where, specimen.occupancy, specimen.u2))

    waves = [np.asarray(frozen(normals(seed, len(specimen.symbols)))) for seed in range(configurations)]
    coherent = np.mean(np.abs(np.mean(waves, axis=0)) ** 2)
    flux = np.mean(np.abs(waves) ** 2)
    scattered = (flux - coherent) * configurations / (configurations - 1) + 1.0 - flux
    kx, ky = frequencies(shape, specimen.extent)
    k_squared = kx[None, :] ** 2 + ky[:, None] ** 2
    u2 = float(specimen.u2[0])
    single = projected_factor("Si", k_squared) ** 2 * (1.0 - np.exp(-4.0 * np.pi**2 * u2 * k_squared))
    everywhere = absorptive_factor("Si", np.zeros(1), u2, ENERGY)[0] * 2.0 / sigma
    carried = np.sum(single) / (specimen.extent[0] * specimen.extent[1]) / everywhere
    assert 0.95 < carried < 1.0
    assert abs(carried * absorbed / scattered - 1.0) < 0.05
