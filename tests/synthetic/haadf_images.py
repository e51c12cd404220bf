"""HAADF images of a thin SrTiO3 crystal by multislice of every probe, independent of the Gram model: other code, atoms and phonons."""

import functools

import numpy as np

from reconstruct.measurement.projection import Projection, project
from twin.detection.detectors import annular
from twin.detection.scan import line_time, times
from twin.grid import band_limit, frequencies
from twin.image.microscope import Calibration
from twin.optics.aberrations import coefficients
from twin.optics.electrons import wavelength
from twin.optics.probe import aperture, probe
from twin.records import Scan
from twin.sample.specimen import Specimen, srtio3_unit
from twin.scattering.gram.crystal import build_gram, centred_in_slices
from twin.scattering.gram.model import GramModel
from twin.scattering.multislice import intensities, multislice, propagator, transmission

ENERGY, SEMIANGLE, DETECTOR = 200e3, 21.4e-3, (30e-3, 55e-3)
GPTS, CELLS, A = 96, 5, 3.905
DEPTH = CELLS * A
POINTS = 15
"""Probes along either side of a cell: its band is 6 periods wide."""
CALIBRATION = Calibration(energy=ENERGY, gain=20.0, black=100.0, readout=5.0)
SOURCE = 0.35
THERMAL = {"Sr": 0.0085, "Ti": 0.0053, "O": 0.0098}


@functools.cache
def gram() -> GramModel:
    """The model that is fitted, with the twin's potentials and constants."""
    return build_gram(
        srtio3_unit(), cells_z=CELLS + 1, depths=(1, 2, CELLS - 1, CELLS, CELLS + 1), tilt_step=0.0, seeds=(0, 1, 2, 3), untilted_seeds=(), degree=3,
        energy=ENERGY, semiangle=SEMIANGLE, detector=DETECTOR, gpts=GPTS, margin=0.1,
    )  # fmt: skip


def crystal() -> Projection:
    return project(srtio3_unit())


@functools.cache
def cell(optics: tuple[tuple[str, float], ...], cells: int = CELLS) -> np.ndarray:
    """Share of the beam at POINTS x POINTS places of a unit cell, for aberrations in the crystal's axes: Kirkland's atoms, four frozen configurations."""
    import jax
    import jax.numpy as jnp

    atoms = centred_in_slices(srtio3_unit(), 2) * (3, 3, cells)
    specimen = Specimen.from_atoms(atoms, THERMAL)
    shape, extent, vector = (GPTS, GPTS), specimen.extent, coefficients(dict(optics))
    limit, window = band_limit(shape, extent), aperture(shape, extent, ENERGY, SEMIANGLE)
    kx, ky = frequencies(shape, extent)
    ring = annular(kx[None, :], ky[:, None], wavelength(ENERGY), *DETECTOR, edge=wavelength(ENERGY) / extent[0])
    kernel = propagator(shape, extent, ENERGY, specimen.thickness / (2 * cells))
    side = np.arange(POINTS) * A / POINTS
    y, x = np.meshgrid(side, side, indexing="ij")
    spots = np.stack([x.ravel(), y.ravel()], axis=-1)

    @jax.jit
    def share(functions, positions):
        waves = probe(vector, positions, window, extent, ENERGY)
        return jnp.sum(
            intensities(multislice(waves, functions, kernel)) * jnp.asarray(ring, jnp.float32)[None], axis=(-1, -2)
        )

    total = np.zeros(len(spots))
    for seed in range(100, 104):
        slices = specimen.slices(shape, 2 * cells, specimen.displacements(seed), parametrization="kirkland")
        functions = transmission(slices.array, ENERGY, limit)
        # another cell of the supercell every time
        displaced = spots + A * np.array([seed % 3, seed % 2])
        total += np.concatenate(
            [np.asarray(share(functions, jnp.asarray(part))) for part in np.array_split(displaced, 5)]
        )
    return total.reshape(POINTS, POINTS) / 4.0


def scan(pixels: int = 96, pixel: float = 0.3, dose: float = 2e4) -> Scan:
    return Scan(shape=(pixels, pixels), pixel=pixel, dwell=1e-5, flyback=5e-4, dose=dose)


def drawn(
    seed: int,
    optics: dict[str, float],
    requested: Scan | None = None,
    cells: int = CELLS,
    matrix: np.ndarray | None = None,
    drift: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
) -> np.ndarray:
    """Counts: the scan's actual ``matrix`` [2, 2] (angstrom per pixel; default: as requested), drift in angstrom per second, a Gaussian source, Poisson
    electrons. The crystal's axes are the scan's; ``scale`` is the gain over its nominal value."""
    generator = np.random.default_rng(seed)
    actual = requested or scan()
    ny, nx = actual.shape
    x, y = np.meshgrid(np.arange(nx) - 0.5 * nx, np.arange(ny) - 0.5 * ny)
    matrix = matrix if matrix is not None else actual.pixel * np.eye(2)
    positions = (
        np.stack([x, y], axis=-1) @ matrix.T + np.array(drift) * times(actual)[..., None] + generator.uniform(0, A, 2)
    )
    spectrum = np.fft.fft2(cell(tuple(sorted(optics.items())), cells)) / POINTS**2
    index = np.fft.fftfreq(POINTS, 1.0 / POINTS)
    spectrum = spectrum * np.exp(-2.0 * (np.pi * SOURCE / A) ** 2 * (index[:, None] ** 2 + index[None, :] ** 2))
    across, down = (np.exp(2j * np.pi * positions[..., axis, None] * index / A) for axis in (0, 1))
    fraction = np.maximum(np.einsum("yxk,kh,yxh->yx", down, spectrum, across).real, 0.0)
    electrons = generator.poisson(actual.dose * actual.pixel**2 * fraction)
    noise = float(CALIBRATION.readout) * generator.standard_normal(actual.shape)
    return scale * float(CALIBRATION.gain) * electrons + float(CALIBRATION.black) + noise


def drifted(matrix: np.ndarray, drift: tuple[float, float], raster: Scan) -> np.ndarray:
    """The map with the drift in it."""
    return matrix + np.outer(drift, [raster.dwell, line_time(raster)])
