"""Physical laws without adjustable parameters: each function measures the deviation of the waves from one, in float64.

Reversal, reciprocity and flux conservation follow from the factors of multislice: pointwise transmissions t and a propagator P that is diagonal in
Fourier space, A = P t_n ... P t_1. Then A^T = t_1 P^T ... t_n P^T, the specimen reversed in z with its tilt reversed, and A^H undoes A as far as
P and t are unitary. They hold for any band limit and any potential, absorptive ones included.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from jaxtyping import Array, Complex

from twin.grid import frequencies
from twin.optics.aberrations import NAMES, coefficients, index
from twin.optics.electrons import interaction_constant, wavelength
from twin.optics.illumination import Illumination
from twin.optics.probe import aperture, plane_wave, probe
from twin.optics.transfer import Imaging, quasi_coherent_image
from twin.sample.specimen import Slices, Specimen, srtio3
from twin.scattering.multislice import intensities, multislice, propagator, transmission
from twin.scattering.signals import Prepared, patterns, prepared

ENERGY = 200e3
GENERAL = coefficients(
    {"C10": 35.0, "C12a": 20.0, "C12b": -11.0, "C21a": 800.0, "C23b": 400.0, "C30": 3e4, "C34a": 3e4, "C45b": 5e5}
)
"""Aberrations of even and odd orders, in angstrom."""

_through = jax.jit(multislice)

KIRKLANDS_SIGMA = {10e3: 2.599, 60e3: 1.1356, 100e3: 0.9244, 200e3: 0.7288, 300e3: 0.6526, 800e3: 0.5503}
"""Interaction constant in 1e-3 / (V angstrom): Kirkland, Advanced Computing in Electron Microscopy, table of sigma."""


def constants() -> dict[str, tuple[float, float]]:
    """Deviations of the wavelength (angstrom) and of sigma (1 / (V angstrom)) from published figures, and how much they may be: half a unit of the last
    figure, but a whole one of Kirkland's, who had an older rest energy (his 1.1356 at 60 keV is 1.13569)."""
    deviations = {
        "wavelength at 200 keV": (abs(wavelength(200e3) - 0.0250793), 5e-8),
        "sigma at 200 keV": (abs(interaction_constant(200e3) - 7.28840e-4), 5e-9),
    }
    for energy, sigma in KIRKLANDS_SIGMA.items():
        unit = 1e-6 if energy == 10e3 else 1e-7
        deviations[f"Kirkland's sigma at {energy / 1e3:.0f} keV"] = (
            abs(interaction_constant(energy) - 1e-3 * sigma),
            unit,
        )
    return deviations


def kirkland_row(gpts: int = 512) -> tuple[float, float, float]:
    """Least and largest intensity, and the x in angstrom of the least, of Kirkland's Fig. 5.12 (Advanced Computing in Electron Microscopy): C, Si, Cu, Au
    and U in a row, one slice of his own potentials in infinite projection, 200 kV, C10 -700 angstrom, Cs 1.3 mm, 10.37 mrad.

    The book's image goes from 0.72 to 1.03.
    """
    positions = [(5.0 + 10.0 * n, 25.0, 1.0) for n in range(5)]
    row = Atoms(["C", "Si", "Cu", "Au", "U"], positions=positions, cell=[50.0, 50.0, 2.0], pbc=True)
    slices = Specimen.from_atoms(row).slices(gpts, 1, dtype=np.float64, parametrization="kirkland")
    wave = prepared(slices, ENERGY, dtype=jnp.complex128).transmissions[0]
    lens = Imaging(coefficients({"C10": -700.0, "C30": 1.3e7}), ENERGY, semiangle=10.37e-3)
    picture = np.asarray(quasi_coherent_image(wave, slices.extent, lens))
    darkest = np.unravel_index(picture.argmin(), picture.shape)
    return float(picture.min()), float(picture.max()), float(darkest[1]) * slices.extent[0] / gpts


def crystal(cells: tuple[int, int, int] = (2, 3, 3), gpts: tuple[int, int] = (96, 64), **options) -> Slices:
    """Slices of SrTiO3 without symmetry: atoms displaced unless ``options`` of `Specimen.slices` say otherwise."""
    specimen = srtio3(cells)
    displacements = None if "thermal" in options else specimen.displacements(2)
    return specimen.slices(gpts, 2 * cells[2], displacements, np.float64, **options)


def reciprocity(
    slices: Slices,
    tilt: tuple[float, float] = (0.0, 0.0),
    beam: tuple[int, int] = (0, 0),
    stride: int = 6,
    semiangle: float = 18e-3,
    reversed_in_z: bool = True,
) -> float:
    """STEM with a point detector against TEM with a plane wave: largest difference of the two images, as a share of the mean.

    The STEM image at a probe position r by the beam q, number ``beam`` (x, y) of the grid, is the TEM image at r of the specimen reversed in z
    illuminated from -q, with the same aperture and chi(-k). Two things are left to account for, since a slice is transmitted first and
    propagated then: the TEM wave is one slice spacing behind the specimen's last potential while the probe is focused on its first, so C10 is
    less by the spacing; and over that distance a tilted wave has moved by spacing tan(tilt). Every ``stride``-th pixel is compared. The band limit
    does not matter as long as it passes the aperture whole.
    """
    ready = prepared(slices, ENERGY, tilt, jnp.complex128)
    ny, nx = ready.gpts
    step = np.asarray(slices.extent) / (nx, ny)
    rows, columns = np.arange(0, ny, stride), np.arange(0, nx, stride)
    x, y = np.meshgrid(columns * step[0], rows * step[1])
    spots = np.stack([x.ravel(), y.ravel()], axis=-1) - slices.spacing * np.tan(np.asarray(tilt))[None, :]
    window = aperture(ready.gpts, slices.extent, ENERGY, semiangle, soft=False)
    stem = jax.jit(
        lambda positions: patterns(positions, Illumination(GENERAL, ENERGY, semiangle), window, ready)[:, *beam[::-1]]
    )
    signal = np.asarray(stem(spots)).reshape(len(rows), len(columns)) * np.count_nonzero(window)

    # chi(-k): the coefficients of odd multiplicity change sign
    signs = np.array([-1.0 if int(name[2]) % 2 else 1.0 for name in NAMES])
    lens = Imaging((signs * GENERAL).copy(), ENERGY, semiangle=semiangle)
    lens = eqx.tree_at(
        lambda optics: optics.coefficients, lens, lens.coefficients.at[index("C10")].add(-slices.spacing)
    )
    from_there = tuple(-wavelength(ENERGY) * n / side for n, side in zip(beam, slices.extent, strict=True))
    wave = plane_wave(ready.gpts, slices.extent, ENERGY, (from_there[0], from_there[1]), jnp.complex128)
    order = slice(None, None, -1) if reversed_in_z else slice(None)
    kernel = propagator(ready.gpts, slices.extent, ENERGY, slices.spacing, (-tilt[0], -tilt[1]), dtype=jnp.complex128)
    behind = _through(wave, ready.transmissions[order], kernel)
    image = np.asarray(quasi_coherent_image(behind, slices.extent, lens))[np.ix_(rows, columns)]
    return float(np.abs(signal - image).max() / image.mean())


def backward(
    wave: Complex[Array, "*batch y x"], functions: Complex[Array, "slices y x"], kernel: Complex[Array, "y x"]
) -> Complex[Array, "*batch y x"]:
    """A^H of a wave behind at least two slices: conjugate propagator and conjugate transmissions in reverse order."""
    undo = jnp.conj(kernel)
    wave = _through(wave, jnp.ones((1, *kernel.shape), wave.dtype), undo)
    wave = _through(wave, jnp.conj(functions[:0:-1]), undo)
    return wave * jnp.conj(functions[0]).reshape(*(1,) * (wave.ndim - 2), *kernel.shape)


class Return(NamedTuple):
    """A wave propagated forward and back: ``residual``, the norm of the difference between the returned and the initial wave, and ``lost``, the share of
    the beam lost on the way forward, for a wave of norm 1; ``overlap``, the difference between Re <initial, returned> and the share kept, which
    are equal in theory; ``changed``, the norm of the change by the specimen.
    """

    residual: float
    lost: float
    overlap: float
    changed: float


def there_and_back(slices: Slices, tilt: tuple[float, float] = (3e-3, -2e-3), semiangle: float = 15e-3) -> Return:
    """A probe through ``slices``, no band limit on their transmission, and back again.

    Since 0 <= A^H A <= 1, |psi - A^H A psi|^2 is at most the share that was lost.
    """
    shape = (slices.array.shape[-2], slices.array.shape[-1])
    window = aperture(shape, slices.extent, ENERGY, semiangle)
    wave = probe(GENERAL, np.array([2.1, 3.3]), window, slices.extent, ENERGY, jnp.complex128)
    functions = transmission(slices.array, ENERGY)
    kernel = propagator(shape, slices.extent, ENERGY, slices.spacing, tilt, jnp.complex128)
    exit_wave = _through(wave, functions, kernel)
    returned = backward(exit_wave, functions, kernel)
    vacuum = _through(wave, jnp.ones_like(functions), kernel)

    def inner(bra: Array, ket: Array) -> complex:
        return complex(jnp.vdot(bra, ket)) / (shape[0] * shape[1])

    kept_share = inner(exit_wave, exit_wave).real
    return Return(
        abs(inner(returned - wave, returned - wave)) ** 0.5,
        1.0 - kept_share,
        abs(inner(wave, returned) - kept_share),
        abs(inner(exit_wave - vacuum, exit_wave - vacuum)) ** 0.5,
    )


def gratings(gpts: tuple[int, int] = (96, 128), extent: tuple[float, float] = (16.0, 12.0), slices: int = 12) -> Slices:
    """Weak and smooth potentials (30 V angstrom a slice) that send nothing past the band limit: harmonics fall as (phase / 2)^n / n!."""
    x = np.arange(gpts[1])[None, :] / gpts[1]
    y = np.arange(gpts[0])[:, None] / gpts[0]
    waves = np.cos(2 * np.pi * x) * np.cos(4 * np.pi * y), np.sin(2 * np.pi * (x + y)), np.cos(2 * np.pi * (2 * x - y))
    array = np.stack([30.0 * waves[n % 3] for n in range(slices)])
    return Slices(jnp.asarray(array), 3.0, extent)


def nothing(gpts: tuple[int, int] = (96, 128), extent: tuple[float, float] = (16.0, 12.0), slices: int = 12) -> Slices:
    """Vacuum."""
    return Slices(jnp.zeros((slices, *gpts)), 3.0, extent)


class Flux(NamedTuple):
    """The balance of a beam of intensity 1: ``kept``, the sum over all beams behind the specimen; ``past``, removed by the band limit of the
    propagators; ``filtered``, removed by the band limit of the transmissions; ``absorbed``, removed by an absorptive potential.
    ``unaccounted`` is the largest gap in the balance of any slice, and ``unexplained`` the largest difference, in any slice, between the loss in
    a transmission without band limit and the loss that Im V predicts.
    """

    kept: float
    past: float
    filtered: float
    absorbed: float
    unaccounted: float
    unexplained: float


def flux(slices: Slices, limited: bool, tilt: tuple[float, float] = (0.0, 0.0)) -> Flux:
    """The balance of a probe's intensity, slice by slice: 1 = kept + past + filtered + absorbed.

    Each term comes from its own formula: past = sum_k |F(t psi)|^2 (1 - window^2), absorbed = mean |psi|^2 (1 - exp(-2 sigma Im V)), filtered the rest of
    what ``limited`` transmissions take, mean |psi|^2 (1 - |t|^2) - absorbed.
    """
    shape = (slices.array.shape[-2], slices.array.shape[-1])
    ready = prepared(slices, ENERGY, tilt, jnp.complex128)
    if not limited:
        ready = Prepared(transmission(slices.array, ENERGY), ready.kernel, ready.extent)
    window = aperture(shape, slices.extent, ENERGY, 20e-3)
    wave = probe(GENERAL, np.array([2.1, 3.3]), window, slices.extent, ENERGY, jnp.complex128)
    cut = 1.0 - np.abs(np.asarray(ready.kernel)) ** 2
    stays = np.exp(-2.0 * interaction_constant(ENERGY) * np.imag(np.asarray(slices.array)))
    arrived = float(intensities(wave).sum())
    past, filtered, absorbed, gaps, unexplained = 0.0, 0.0, 0.0, [abs(arrived - 1.0)], [0.0]
    for function, stay in zip(ready.transmissions, stays, strict=True):
        density = np.abs(np.asarray(wave)) ** 2
        taken = float(np.mean(density * (1.0 - np.abs(np.asarray(function)) ** 2)))
        lost = float(np.mean(density * (1.0 - stay)))
        outside_band = float(np.sum(np.asarray(intensities(wave * function)) * cut))
        wave = _through(wave, function[None], ready.kernel)
        outgoing = float(intensities(wave).sum())
        gaps.append(abs(arrived - taken - outside_band - outgoing))
        unexplained.append(abs(taken - lost))
        past, filtered, absorbed, arrived = past + outside_band, filtered + taken - lost, absorbed + lost, outgoing
    gaps.append(abs(1.0 - arrived - past - filtered - absorbed))
    return Flux(arrived, past, filtered, absorbed, max(gaps), max(unexplained))


def beyond_the_band(slices: Slices) -> float:
    """Largest amplitude behind ``slices`` at any frequency that multislice does not keep: no wave wraps around the grid."""
    shape = (slices.array.shape[-2], slices.array.shape[-1])
    ready = prepared(slices, ENERGY, dtype=jnp.complex128)
    wave = _through(plane_wave(shape, slices.extent, ENERGY, dtype=jnp.complex128), ready.transmissions, ready.kernel)
    kx, ky = frequencies(shape, slices.extent)
    outside = np.hypot(kx[None, :], ky[:, None]) > 2.0 / 3.0 * min(np.abs(kx).max(), np.abs(ky).max())
    return float(np.sqrt(np.asarray(intensities(wave))[outside].max()))
