"""Potentials against abTEM in float64, numerical integrals of the potential in real space, sum rules, and frozen phonons."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms

from twin.grid import frequencies
from twin.sample.potential.factors import factors, projected_beyond, projected_factor
from twin.sample.potential.projected import potential
from twin.sample.specimen import Specimen, srtio3
from twin.sample.thermal import displaced, normals

pytestmark = pytest.mark.filterwarnings("default")

TABLES = ("lobato", "kirkland")
ENERGY = 200e3


def by_abtem(name):
    from abtem.parametrizations import KirklandParametrization, LobatoParametrization

    return LobatoParametrization() if name == "lobato" else KirklandParametrization()


@pytest.mark.parametrize("symbol", ["H", "O", "Ti", "Sr", "Au", "U"])
def test_kirklands_factor_is_abtems(symbol):
    """In three dimensions, where abTEM has the plain formula, and projected."""
    from twin.sample.potential.factors import scattering_factor

    k_squared = np.linspace(0.0, 36.0, 50).reshape(5, 10)
    theirs = by_abtem("kirkland").scattering_factor(symbol)(k_squared.ravel()).reshape(5, 10)
    np.testing.assert_allclose(
        scattering_factor(symbol, k_squared, "kirkland"), theirs, rtol=1e-6
    )  # abTEM reckons k in single precision
    projected = by_abtem("kirkland").projected_scattering_factor(symbol)(k_squared.ravel()).reshape(5, 10)
    np.testing.assert_allclose(projected_factor(symbol, k_squared, "kirkland"), projected, rtol=3e-5)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("symbol", ["O", "Sr", "U"])
def test_part_of_an_atom_beyond_a_plane(table, symbol):
    """The closed form against the potential in real space (abTEM's function) integrated over all points beyond the plane, in spherical
    coordinates about the atom: 2 pi R^2 V(R) J0(2 pi k R sin(theta)) dR d(cos(theta))."""
    from scipy.special import j0

    function = by_abtem(table).potential(symbol)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    for k in (0.0, 0.4, 1.7):
        for s in (1e-6, 0.15, 0.9, 2.5):
            t = 0.5 * (nodes + 1.0)
            radius = s + 14.0 * t**3
            cosine = s / radius[:, None] + (1.0 - s / radius)[:, None] * t[None, :]
            sine = np.sqrt(1.0 - cosine**2)
            over_angle = np.sum(0.5 * weights[None, :] * j0(2.0 * np.pi * k * radius[:, None] * sine), axis=1)
            shell = 2.0 * np.pi * radius**2 * function(radius) * (1.0 - s / radius) * over_angle
            expected = np.sum(0.5 * weights * 42.0 * t**2 * shell)
            computed = projected_beyond(symbol, np.array([k**2]), np.array([s]), table)[0]
            total = projected_factor(symbol, np.array([k**2]), table)[0]
            assert abs(computed - expected) < 1e-4 * total, (k, s)


@pytest.mark.parametrize("table", TABLES)
def test_half_of_an_atom_lies_beyond_its_middle(table):
    k_squared = np.linspace(0.0, 100.0, 40)
    for symbol in ("H", "Si", "Fm"):
        half_factor = projected_beyond(symbol, k_squared, np.zeros(1), table)
        np.testing.assert_allclose(2.0 * half_factor, projected_factor(symbol, k_squared, table), rtol=1e-12)


@pytest.mark.parametrize("table", TABLES)
def test_expansion_in_distance(table):
    """The error of the separable form, over distances, frequencies up to 12 / angstrom, and elements."""
    from twin.sample.potential.finite_projection import shares, tails

    symbols = ("H", "C", "O", "Ti", "Sr", "Ac", "Lr")
    expansion = tails(symbols, (4, 96), (4.0, 4.0), table)
    k_squared = frequencies((4, 96), (4.0, 4.0))[0] ** 2
    distance = np.concatenate([np.linspace(0.0, 0.3, 61), np.linspace(0.31, expansion.reach, 80)])
    for number, symbol in enumerate(symbols):
        computed = (
            np.asarray(shares(jnp.asarray(distance), expansion.basis[number])) @ expansion.tables[number][:, 0, :]
        )
        exact = projected_beyond(symbol, k_squared[None, :], distance[:, None], table)
        total = projected_factor(symbol, k_squared, table)
        assert np.abs((computed - exact) / total[None, :]).max() < 1e-5


def crystal(seed=3):
    specimen = srtio3((1, 1, 2))
    return specimen, specimen.displacements(seed)


@pytest.mark.slow
@pytest.mark.parametrize("table,periodic", [("lobato", True), ("kirkland", False)])
def test_finite_slices_add_up_to_the_infinite_projection(table, periodic):
    specimen, displacements = crystal()
    options = {"dtype": np.float64, "parametrization": table}
    infinite = np.asarray(specimen.slices(48, 1, displacements, **options).array)[0]
    for count in (7,):
        slices = specimen.slices(48, count, displacements, projection="finite", periodic=periodic, **options)
        assert np.abs(np.asarray(slices.array).sum(axis=0) - infinite).max() < 1e-9 * np.abs(infinite).max()


@pytest.mark.parametrize("table", ["kirkland"])
def test_finite_slices_are_integrals_over_their_own_depths(table):
    """Every Fourier component of every slice against the closed form, atom by atom, image by image."""
    specimen, displacements = crystal()
    shape, count = (24, 32), 8
    computed = np.fft.fft2(
        specimen.slices(shape, count, displacements, np.float64, parametrization=table, projection="finite").array
    )
    computed = computed * specimen.extent[0] * specimen.extent[1] / (shape[0] * shape[1])
    kx, ky = frequencies(shape, specimen.extent)
    k_squared = kx[None, :] ** 2 + ky[:, None] ** 2
    positions = specimen.positions + displacements
    spacing = specimen.thickness / count

    def up_to(symbol, z):
        remainder = projected_beyond(symbol, k_squared, np.full((1, 1), abs(z)), table)
        return remainder if z < 0.0 else projected_factor(symbol, k_squared, table) - remainder

    expected = np.zeros((count, *shape), dtype=complex)
    for symbol, (x, y, z) in zip(specimen.symbols, positions, strict=True):
        wave = np.exp(-2j * np.pi * (kx[None, :] * x + ky[:, None] * y))
        planes = [
            sum(up_to(symbol, i * spacing - z + n * specimen.thickness) for n in range(-3, 4)) for i in range(count + 1)
        ]
        expected += np.diff(np.stack(planes), axis=0) * wave[None]
    inside = (np.abs(kx)[None, :] < kx.max()) & (np.abs(ky)[:, None] < ky.max())
    assert np.abs(computed - expected)[:, inside].max() < 2e-5 * np.abs(expected).max()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("projection", ["infinite", "finite"])
def test_slices_are_abtems(table, projection):
    """One atom of each element of SrTiO3 on points of the grid, off the middle of its slice, both projections."""
    import abtem

    side, gpts, depth, count = 12.0, 240, 8.0, 8
    step = side / gpts
    positions = np.array([[60, 60, 0], [180, 100, 0], [90, 190, 0]]) * step + np.array([0.0, 0.0, 4.3])[None, :]
    atoms = Atoms("SrTiO", positions, cell=[side, side, depth], pbc=True)
    ours = np.asarray(
        Specimen.from_atoms(atoms)
        .slices(gpts, count, dtype=np.float64, parametrization=table, projection=projection, periodic=False)
        .array
    )
    with abtem.config.set({"precision": "float64", "device": "cpu"}):
        reference = abtem.Potential(
            atoms,
            gpts=gpts,
            slice_thickness=depth / count,
            projection=projection,
            parametrization=table,
            periodic=projection == "infinite",
        )
        theirs = np.asarray(reference.build(lazy=False).array).transpose(0, 2, 1)
    assert theirs.shape == ours.shape
    kx, ky = frequencies((gpts, gpts), (side, side))
    k = np.hypot(kx[None, :], ky[:, None])
    low = (k < 3.0) & (k > 0.0)
    spectrum, expected = np.fft.fft2(ours)[:, low], np.fft.fft2(theirs)[:, low]
    radius = step * k[low]
    # abTEM divides its infinite projection by its pixel's sinc
    correction = np.sin(radius) / radius if projection == "infinite" else np.ones_like(radius)
    error = np.abs(spectrum - expected * correction[None, :]).max() / np.abs(spectrum).max()
    assert error < (1e-4 if projection == "infinite" else 2e-2)


def test_a_vacancy_and_a_dopant():
    """Occupancy 0 removes an atom; two atoms on one site are the mean of their potentials."""
    specimen = srtio3((2, 2, 1))
    args = ((48, 48), 2, None, np.float64)
    full = np.asarray(specimen.slices(*args).array)
    single_atom = Specimen(specimen.positions[:1], specimen.u2[:1], specimen.symbols[:1], specimen.cell)
    occupancy = np.ones(len(specimen.symbols))
    occupancy[0] = 0.0
    empty = Specimen(specimen.positions, specimen.u2, specimen.symbols, specimen.cell, occupancy)
    scale = np.abs(full).max()
    assert (
        np.abs(np.asarray(empty.slices(*args).array) - full + np.asarray(single_atom.slices(*args).array)).max()
        < 1e-12 * scale
    )
    occupancy[0] = 0.7
    doped = Specimen(
        np.concatenate([specimen.positions, specimen.positions[:1]]),
        np.append(specimen.u2, 0.01),
        (*specimen.symbols, "Ba"),
        specimen.cell,
        np.append(occupancy, 0.3),
    )
    barium = Specimen(specimen.positions[:1], specimen.u2[:1], ("Ba",), specimen.cell)
    expected = full + 0.3 * (np.asarray(barium.slices(*args).array) - np.asarray(single_atom.slices(*args).array))
    assert np.abs(np.asarray(doped.slices(*args).array) - expected).max() < 1e-12 * scale


def test_debye_waller_is_the_mean_over_frozen_phonons():
    """Fourier components fall by exp(-B k^2 / 4), B = 8 pi^2 u2, and so does the mean of many frozen configurations."""
    b = 0.9
    atoms = Atoms("Sr", positions=[(2.1, 3.3, 1.0)], cell=[6.0, 6.0, 2.0], pbc=True)
    specimen = Specimen.from_atoms(atoms, {"Sr": b / (8.0 * np.pi**2)})
    still = np.fft.fft2(specimen.slices(48, 1, dtype=np.float64).array)[0]
    slices = specimen.slices(48, 1, dtype=np.float64, thermal="debye-waller")
    assert slices.damped
    assert not slices.absorptive
    kx, ky = frequencies((48, 48), specimen.extent)
    k_squared = kx[None, :] ** 2 + ky[:, None] ** 2
    np.testing.assert_allclose(
        np.fft.fft2(slices.array)[0], still * np.exp(-b * k_squared / 4.0), atol=1e-9 * abs(still).max()
    )
    plan = specimen.plan(48, 1, dtype=np.float64)
    mean = np.mean(
        [
            np.asarray(potential(plan, specimen.positions + specimen.displacements(seed), np.ones(1), specimen.u2))
            for seed in range(400)
        ],
        axis=0,
    )[0]
    low = (k_squared < 4.0) & (k_squared > 0.3)
    ratio = np.abs(np.fft.fft2(mean)[low] / still[low])
    np.testing.assert_allclose(ratio, np.exp(-b * k_squared[low] / 4.0), atol=0.06)


@pytest.mark.slow
def test_debye_waller_smears_finite_slices_along_z_too():
    """One atom near a plane: the mean over displacements along z (trapezoids, since V has a kink at its atom) of still finite slices, times
    the factor in the plane; and derivatives in z and u2 against differences."""
    u2, z = 0.009, 2.05
    atoms = Atoms("Ti", positions=[(2.1, 3.3, z)], cell=[6.0, 6.0, 6.0], pbc=True)
    specimen = Specimen.from_atoms(atoms, {"Ti": u2})
    slices = specimen.slices(24, 6, dtype=np.float64, projection="finite", thermal="debye-waller")
    assert slices.damped
    nodes = np.linspace(-5.0, 5.0, 51)
    weights = np.exp(-0.5 * nodes**2)
    mean = np.zeros((6, 24, 24))
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        displacement = np.array([[0.0, 0.0, node * np.sqrt(u2)]])
        mean += weight * np.asarray(specimen.slices(24, 6, displacement, np.float64, projection="finite").array)
    kx, ky = frequencies((24, 24), specimen.extent)
    damping = np.exp(-2.0 * np.pi**2 * u2 * (kx[None, :] ** 2 + ky[:, None] ** 2))
    expected = np.fft.ifft2(np.fft.fft2(mean) * damping[None]).real
    assert np.abs(np.asarray(slices.array) - expected).max() < 1e-4 * np.abs(expected).max()
    plan = specimen.plan(24, 6, dtype=np.float64, projection="finite", thermal="debye-waller")
    functional = np.random.default_rng(2).normal(size=(6, 24, 24))

    @jax.jit
    @functools.partial(jax.value_and_grad, argnums=(0, 1))
    def value_and_gradient(height, motion):
        positions = jnp.stack([jnp.asarray(2.1), jnp.asarray(3.3), height])[None]
        return jnp.sum(potential(plan, positions, jnp.ones(1), motion[None]) * functional)

    def value(height, motion):
        return value_and_gradient(height, motion)[0]

    at = (jnp.asarray(z), jnp.asarray(u2))
    of_z, of_u2 = value_and_gradient(*at)[1]
    np.testing.assert_allclose(
        float(of_z), float(value(at[0] + 1e-5, at[1]) - value(at[0] - 1e-5, at[1])) / 2e-5, rtol=1e-5
    )
    np.testing.assert_allclose(
        float(of_u2), float(value(at[0], at[1] + 1e-6) - value(at[0], at[1] - 1e-6)) / 2e-6, rtol=1e-5
    )


@pytest.mark.parametrize("projection,table", [("infinite", "lobato"), ("finite", "kirkland")])
@pytest.mark.slow
def test_gradients_in_positions_and_occupancy(projection, table):
    """Against central differences, of a random linear functional of all slices; z where it matters."""
    specimen, displacements = crystal()
    start = specimen.positions + displacements
    plan = specimen.plan((20, 24), 8, displacements, np.float64, parametrization=table, projection=projection)
    weights = jnp.asarray(np.random.default_rng(0).normal(size=(8, 20, 24)))
    filled = np.linspace(0.5, 1.0, len(start))

    @jax.jit
    @functools.partial(jax.value_and_grad, argnums=(0, 1))
    def value_and_gradient(positions, occupancy):
        return jnp.sum(potential(plan, positions, occupancy, specimen.u2) * weights)

    def value(positions, occupancy):
        return value_and_gradient(positions, occupancy)[0]

    of_positions, of_occupancy = value_and_gradient(start, filled)[1]
    scale = float(jnp.abs(of_positions).max())
    for atom, axis in [(0, 0), (1, 1), (7, 2), (4, 2), (9, 2)]:
        step = np.zeros_like(start)
        step[atom, axis] = 1e-5
        change = (value(start + step, filled) - value(start - step, filled)) / 2e-5
        assert abs(float(of_positions[atom, axis] - change)) < 1e-6 * scale
    if projection == "infinite":
        assert float(jnp.abs(of_positions[:, 2]).max()) == 0.0
    else:
        assert float(jnp.abs(of_positions[:, 2]).max()) > 0.05 * scale
    step = np.zeros_like(filled)
    step[8] = 1e-4
    change = (value(start, filled + step) - value(start, filled - step)) / 2e-4
    np.testing.assert_allclose(float(of_occupancy[8]), float(change), rtol=1e-7)


@pytest.mark.parametrize("thermal", ["debye-waller", "absorptive"])
def test_gradient_in_u2(thermal):
    """Against central differences of the recomputed potential: of one atom among others of its element."""
    specimen = srtio3((1, 1, 1))
    u2 = specimen.u2 * np.linspace(0.7, 1.4, len(specimen.u2))
    options = {"dtype": np.float64, "thermal": thermal, "energy": ENERGY}
    weights = np.random.default_rng(0).normal(size=(2, 24, 24))
    plan = Specimen(specimen.positions, u2, specimen.symbols, specimen.cell).plan(24, 2, **options)

    def reduced(array):
        return jnp.sum(jnp.real(array) * weights) + 3.0 * jnp.sum(jnp.imag(array) * weights[::-1])

    @jax.jit
    @jax.grad
    def slope(motion):
        return reduced(potential(plan, specimen.positions, specimen.occupancy, motion))

    gradient = slope(jnp.asarray(u2))
    for atom in range(3):
        ends = []
        for sign in (1.0, -1.0):
            other = u2.copy()
            other[atom] += sign * 2e-5
            ends.append(
                float(
                    reduced(
                        Specimen(specimen.positions, other, specimen.symbols, specimen.cell)
                        .slices(24, 2, **options)
                        .array
                    )
                )
            )
        np.testing.assert_allclose(float(gradient[atom]), (ends[0] - ends[1]) / 4e-5, rtol=2e-3)


def test_gradient_in_the_amplitude_of_frozen_phonons():
    specimen = srtio3((1, 1, 1))
    unit = normals(4, len(specimen.symbols))
    np.testing.assert_allclose(
        np.asarray(displaced(specimen.positions, specimen.u2, unit)), specimen.positions + specimen.displacements(4)
    )
    plan = specimen.plan(24, 2, specimen.displacements(4), np.float64)
    weights = np.random.default_rng(0).normal(size=(2, 24, 24))

    @jax.jit
    @jax.value_and_grad
    def value_and_gradient(u2):
        positions = displaced(specimen.positions, u2, unit)
        return jnp.sum(potential(plan, positions, specimen.occupancy, u2) * weights)

    gradient = value_and_gradient(jnp.asarray(specimen.u2))[1]
    step = np.zeros(len(specimen.u2))
    step[2] = 1e-6
    change = (
        value_and_gradient(jnp.asarray(specimen.u2 + step))[0] - value_and_gradient(jnp.asarray(specimen.u2 - step))[0]
    ) / 2e-6
    np.testing.assert_allclose(float(gradient[2]), float(change), rtol=1e-5)
    assert np.all(np.isfinite(np.asarray(value_and_gradient(jnp.zeros(len(specimen.u2)))[1])))


def test_default_path_in_single_precision():
    specimen, displacements = crystal()
    fast = np.asarray(specimen.slices(64, 4, displacements).array)
    fine = np.asarray(specimen.slices(64, 4, displacements, np.float64).array)
    assert fast.dtype == np.float32
    assert np.abs(fast - fine).max() < 2e-6 * np.abs(fine).max()


def test_spectrum_is_the_sum_over_atoms():
    """The halved, real products against exp(-2 pi i k.r) summed in full, on grids with even and odd sides."""
    specimen, displacements = crystal()
    for shape in ((20, 27), (27, 20)):
        computed = np.fft.fft2(specimen.slices(shape, 1, displacements, np.float64).array)[0]
        kx, ky = frequencies(shape, specimen.extent)
        table = factors(specimen.elements, shape, specimen.extent)
        r = specimen.positions + displacements
        wave = np.exp(-2j * np.pi * (r[:, 0, None, None] * kx[None, None, :] + r[:, 1, None, None] * ky[None, :, None]))
        expected = (
            np.sum(table[specimen.kinds()] * wave, axis=0)
            * shape[0]
            * shape[1]
            / (specimen.extent[0] * specimen.extent[1])
        )
        inside = (np.abs(kx)[None, :] < kx.max() + 1e-9) & (np.abs(ky)[:, None] < ky.max() + 1e-9)
        np.testing.assert_allclose(computed[inside], expected[inside], atol=1e-10 * np.abs(expected).max())
