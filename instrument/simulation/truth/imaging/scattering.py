"""Detector Gram matrices of all plane waves in the aperture, propagated through the true specimen by abTEM, and their
cache.

Waves are held [x, y], as abTEM does; only beam indices and Grams leave this module.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from instrument.core.result_cache import load_or_compute
from instrument.simulation.truth.config import SimulatedConfig, generator
from instrument.simulation.truth.imaging.specimen import (
    amorphous,
    cell_depth,
    crystal,
    depths_in_cells,
    true_tilt,
    unit_cell,
    wavelength,
)

VERSION = 3
"""Version of the numbers that `build` computes: part of the key of stored specimens. Raise it with every change, here or in what it calls, that alters
them by more than rounding."""
_BATCH = 32  # waves carried together: 160^2 x 32 x 8 bytes stays near the processor's cache
_KEYS = (
    *("structure", "cif", "lattice", "repeats_xy", "cells", "thickness_scale", "gpts", "slices_per_cell"),
    *("phonon_configs", "thermal_b", "tilt", "tilt_sigma", "bend", "wedge_swing", "energy", "semiangle"),
    *("amorphous_entrance", "amorphous_exit", "amorphous_density", "haadf_inner", "haadf_outer", "haadf_inner_error"),
    *("haadf_outer_error", "detector_scale", "response_azimuthal", "response_radial"),
)

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class TruthGram:
    """G[depth, k, k'] = sum over detector pixels of D conj(S_k) S_k', as a fraction of the incident beam, mean of the
    configurations.

    ``beams`` int [n, 2] are (x, y) indices in the reciprocal grid of ``extent`` (A); ``aperture`` [n] amplitudes with
    unit sum of squares; ``depths`` [d] A of crystal; ``grams`` complex64 [d, n, n]; ``tilt`` the mean specimen tilt
    in rad.
    """

    beams: np.ndarray
    aperture: np.ndarray
    extent: np.ndarray
    depths: np.ndarray
    grams: np.ndarray
    tilt: np.ndarray


def load_or_build(config: SimulatedConfig, seed: int, cache: Path | None, progress: Progress) -> TruthGram:
    """The Gram matrices of this specimen, from ``cache`` if they are there and intact, else built (and stored)."""
    inputs = {name: getattr(config, name) for name in _KEYS} | {"seed": seed, "abtem": metadata.version("abtem")}
    if config.cif is not None:
        unit_cell(config)  # ValueError for a file that cannot be used
        inputs["cif"] = Path(config.cif).read_bytes()
    arrays = load_or_compute(cache, "truth", VERSION, inputs, lambda: vars(build(config, seed, progress)), progress)
    return TruthGram(**arrays)


def detector_weights(config: SimulatedConfig, seed: int, kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
    """True response of the HAADF detector at spatial frequencies (1/A): its angles, soft over half a milliradian, and
    its map.
    """
    lam = wavelength(config.energy)
    theta, phi = lam * np.hypot(kx, ky), np.arctan2(ky, kx)
    inner = (config.haadf_inner + config.haadf_inner_error) * config.detector_scale
    outer = (config.haadf_outer + config.haadf_outer_error) * config.detector_scale
    edge = np.clip((theta - inner) / 5e-4 + 0.5, 0, 1) * np.clip((outer - theta) / 5e-4 + 0.5, 0, 1)
    azimuth = generator(seed, "response").uniform(0, 2 * np.pi)
    radial = (theta - 0.5 * (inner + outer)) / (0.5 * (outer - inner))
    return edge * (1 + config.response_azimuthal * np.cos(phi - azimuth) + config.response_radial * radial)


def potential(atoms: Any, config: SimulatedConfig, slices: int) -> Any:
    """abTEM's PotentialArray of ``atoms`` in equal slices: Kirkland's potentials, each atom projected into its slice.

    The structure factors are summed exactly, atom by atom. abTEM's own projection spreads each atom linearly over the
    four nearest pixels, which costs an atom between pixels a third of its amplitude at 95 mrad on this grid.
    """
    import abtem
    from abtem.parametrizations import KirklandParametrization

    lengths, n = np.asarray(atoms.cell.lengths()), config.gpts
    index = np.fft.fftfreq(n, 1 / n)
    k2 = (index[:, None] / lengths[0]) ** 2 + (index[None, :] / lengths[1]) ** 2
    positions, symbols = atoms.get_positions() / lengths[None, :], np.array(atoms.get_chemical_symbols())
    layer = np.clip((positions[:, 2] * slices).astype(int), 0, slices - 1)
    factors = {s: KirklandParametrization().projected_scattering_factor(s)(k2) for s in np.unique(symbols)}
    phase_x, phase_y = (np.exp(-2j * np.pi * positions[:, axis][:, None] * index[None, :]) for axis in (0, 1))
    array = np.empty((slices, n, n), dtype=np.float32)
    for number in range(slices):
        spectrum = np.zeros((n, n), dtype=np.complex128)
        for symbol, factor in factors.items():
            selected = (layer == number) & (symbols == symbol)
            spectrum += factor * (phase_x[selected].T @ phase_y[selected])
        array[number] = np.fft.ifft2(spectrum).real * (n * n / (lengths[0] * lengths[1]))
    size = (float(lengths[0]), float(lengths[1]))
    return abtem.PotentialArray(array, slice_thickness=float(lengths[2]) / slices, extent=size)


def _transmissions(atoms: Any, config: SimulatedConfig, slices: int) -> list[Any]:
    """abTEM transmission functions of ``atoms`` cut into ``slices`` equal slices, band limited."""
    from abtem.antialias import AntialiasAperture

    functions = potential(atoms, config, slices).transmission_function(config.energy)
    functions = AntialiasAperture().bandlimit(functions, in_place=False)
    return list(functions.generate_slices())


def aperture_beams(config: SimulatedConfig, extent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices [n, 2] of the plane waves in the aperture and their amplitudes [n]; the edge is one grid step soft, as
    in abTEM.
    """
    lam = wavelength(config.energy)
    reach = math.ceil(config.semiangle / lam * extent.max()) + 1
    grid = np.stack(
        np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1), indexing="ij"), axis=-1
    ).reshape(-1, 2)
    theta = lam * np.hypot(grid[:, 0] / extent[0], grid[:, 1] / extent[1])
    amplitude = np.clip((config.semiangle - theta) / (lam / extent.mean()) + 0.5, 0, 1)
    inside = amplitude > 0
    return grid[inside], amplitude[inside] / np.sqrt((amplitude[inside] ** 2).sum())


def build(config: SimulatedConfig, seed: int, progress: Progress) -> TruthGram:
    """Propagate every plane wave of the aperture through every configuration and reduce to Gram matrices at each depth."""
    import abtem

    started = time.monotonic()
    settings = {"diagnostics.progress_bar": False, "dask.lazy": False, "precision": "float32", "device": "cpu"}
    with abtem.config.set(settings):
        counts, n = depths_in_cells(config), config.gpts
        extent = np.asarray(crystal(config, seed, 0).cell.lengths()[:2], dtype=np.float64)
        beams, amplitude = aperture_beams(config, extent)
        weights = _weights_on_grid(config, seed, extent)
        lit = np.flatnonzero(weights > 0)
        root = np.sqrt(weights[lit]).astype(np.float32) / n**2
        layers = []
        for label, thickness in (("entrance", config.amorphous_entrance), ("exit", config.amorphous_exit)):
            layer = amorphous(config, seed, thickness, extent, label) if thickness > 0 else None
            layers.append(_transmissions(layer, config, max(1, round(thickness / 2.5))) if thickness > 0 else [])
        grams = np.zeros((len(counts), len(beams), len(beams)), dtype=np.complex64)
        scattered = np.empty((len(counts), len(beams), len(lit)), dtype=np.complex64)
        for phonon in range(config.phonon_configs):
            slices = _transmissions(crystal(config, seed, phonon), config, int(counts[-1]) * config.slices_per_cell)
            cuts = np.split(np.arange(len(slices)), counts[:-1] * config.slices_per_cell)
            stack = [[slices[i] for i in cut] for cut in cuts]
            for start in range(0, len(beams), _BATCH):
                part = slice(start, min(start + _BATCH, len(beams)))
                for row, spectrum in enumerate(_leaving(config, beams[part], extent, layers[0], stack, layers[1])):
                    scattered[row, part] = spectrum[:, lit] * root[None, :]
                share = (phonon + part.stop / len(beams)) / config.phonon_configs
                progress(f"specimen: configuration {phonon + 1} of {config.phonon_configs}", 0.98 * share)
            for row in range(len(counts)):
                grams[row] += (scattered[row].conj() @ scattered[row].T) / config.phonon_configs
    progress(f"specimen: ready after {time.monotonic() - started:.0f} s", 1.0)
    return TruthGram(beams, amplitude, extent, counts * cell_depth(config), grams, true_tilt(config, seed))


def _weights_on_grid(config: SimulatedConfig, seed: int, extent: np.ndarray) -> np.ndarray:
    """The detector's response [n * n] at the grid's frequencies; ValueError if the grid does not reach its angles."""
    index = np.fft.fftfreq(config.gpts, 1 / config.gpts)
    limit = wavelength(config.energy) * config.gpts / (3 * extent.max())
    if (config.haadf_outer + config.haadf_outer_error) * config.detector_scale > limit:
        reach = f"gpts = {config.gpts} reaches only {limit * 1e3:.0f} mrad"
        raise ValueError(f"simulated microscope: {reach}; give more gpts, or a smaller haadf_outer")
    kx, ky = np.meshgrid(index / extent[0], index / extent[1], indexing="ij")
    return detector_weights(config, seed, kx, ky).ravel()


def _leaving(
    config: SimulatedConfig,
    beams: np.ndarray,
    extent: np.ndarray,
    entrance_layer: list,
    stack: list[list],
    exit_layer: list,
) -> Iterator[np.ndarray]:
    """Spectra [beams, n * n] of plane waves after ``entrance_layer``, the parts of ``stack`` so far, and ``exit_layer``."""
    import abtem
    from abtem.antialias import AntialiasAperture
    from abtem.core.axes import AxisMetadata, OrdinalAxis
    from abtem.multislice import FresnelPropagator, conventional_multislice_step
    from scipy import fft

    step, limiter, x = FresnelPropagator(), AntialiasAperture(), np.arange(config.gpts) / config.gpts
    # C10 refers to the crystal's entrance face: take the waves back through the layer above it
    k2 = (beams[:, 0] / extent[0]) ** 2 + (beams[:, 1] / extent[1]) ** 2
    phase = np.exp(1j * np.pi * wavelength(config.energy) * config.amorphous_entrance * k2[:, None])
    phase = phase * np.exp(2j * np.pi * beams[:, :1] * x[None, :])
    array = phase[:, :, None] * np.exp(2j * np.pi * beams[:, 1:] * x[None, :])[:, None, :]
    axes: list[AxisMetadata] = [OrdinalAxis(values=tuple(range(len(beams))))]
    size = (float(extent[0]), float(extent[1]))
    waves = abtem.Waves(array.astype(np.complex64), energy=config.energy, extent=size, ensemble_axes_metadata=axes)
    for transmission in entrance_layer:
        waves = conventional_multislice_step(waves, transmission, step, limiter)
    for crystal_part in stack:
        for transmission in crystal_part:
            waves = conventional_multislice_step(waves, transmission, step, limiter)
        leaving = waves.copy()
        for transmission in exit_layer:
            leaving = conventional_multislice_step(leaving, transmission, step, limiter)
        yield np.asarray(fft.fft2(leaving.array)).reshape(len(beams), -1)
