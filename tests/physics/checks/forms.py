"""The same signal by every algorithm and every way of batching, compared with direct multislice of each probe.

Sizes are arguments: small ones for tests, those of the benchmarks by default (3 x 3 x 20 cells of SrTiO3 on 162 x 162 points, 349 beams).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from twin.detection.detectors import Annular
from twin.grid import frequencies
from twin.optics.aberrations import coefficients
from twin.optics.electrons import wavelength
from twin.optics.illumination import Illumination
from twin.optics.probe import aperture, probe
from twin.sample.specimen import Specimen, srtio3
from twin.scattering.multislice import intensities, multislice, propagator
from twin.scattering.signals import Prepared, patterns, prepared, scanned
from twin.scattering.stem.beams import beams, gram_matrices
from twin.scattering.stem.crystal import crystal_grams
from twin.scattering.stem.grams import Grams, image_spectrum, raster, whole
from twin.scattering.stem.smatrix import exit_waves, scattering_matrix

ENERGY, SEMIANGLE = 200e3, 21.4e-3
BEAM = Illumination(
    coefficients({"C10": -30.0, "C12a": 15.0, "C12b": -8.0, "C21b": 300.0, "C23a": 250.0, "C30": 1e4}),
    ENERGY,
    SEMIANGLE,
)
TILT = (4e-3, -2e-3)
CELLS, POINTS = (3, 3, 20), 54
"""Cells (x, y, z) and points along one cell."""


def _response(kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
    """An annular detector from 40 to 70 mrad with an edge of 2 mrad."""
    with jax.ensure_compile_time_eval():
        return np.asarray(Annular(40e-3, 70e-3, 2e-3).weights(kx, ky, wavelength(ENERGY)))


def _double(dtype: Any) -> Any:
    return np.float64 if np.dtype(dtype) == np.complex128 else np.float32


def _ready(
    cells: tuple[int, int, int], points: int, dtype: Any, seed: int | None = 5, tilt: tuple[float, float] = TILT
) -> tuple[Specimen, Prepared]:
    """SrTiO3 (displaced, unless ``seed`` is None) as waves meet it."""
    specimen = srtio3(cells)
    displacements = None if seed is None else specimen.displacements(seed)
    shape = (cells[1] * points, cells[0] * points)
    return specimen, prepared(specimen.slices(shape, 2 * cells[2], displacements, _double(dtype)), ENERGY, tilt, dtype)


def _spots(extent: tuple[float, float], count: int) -> np.ndarray:
    """Positions [count, 2] (x, y) in angstrom all over the cell."""
    return np.random.default_rng(1).uniform(0.0, 1.0, (count, 2)) * np.asarray(extent)[None, :]


def _window(ready: Prepared) -> np.ndarray:
    return aperture(ready.gpts, ready.extent, ENERGY, SEMIANGLE, BEAM.soft)


def _detected(ready: Prepared, spots: np.ndarray) -> np.ndarray:
    """Share of the beam on the detector for each of ``spots``, by direct multislice."""
    kx, ky = frequencies(ready.gpts, ready.extent)
    weights = jnp.asarray(_response(kx[None, :], ky[:, None]), ready.kernel.real.dtype)
    run = jax.jit(
        lambda positions: jnp.sum(patterns(positions, BEAM, _window(ready), ready) * weights[None], axis=(-1, -2))
    )
    return np.asarray(run(spots))


def _worst(computed: Array | np.ndarray, expected: Array | np.ndarray) -> float:
    """Largest difference, of the largest value expected."""
    return float(np.abs(np.asarray(computed) - np.asarray(expected)).max() / np.abs(np.asarray(expected)).max())


def prism(
    cells: tuple[int, int, int] = CELLS, points: int = POINTS, dtype: Any = jnp.complex64, spots: int = 16
) -> tuple[float, int]:
    """The scattering matrix without interpolation: largest difference of any exit wave from direct multislice, of the largest amplitude, and the
    number of beams. Tilted, frozen phonons."""
    _, ready = _ready(cells, points, dtype)
    positions = _spots(ready.extent, spots)
    wave = probe(BEAM.coefficients, positions, _window(ready), ready.extent, ENERGY, dtype)
    expected = jax.jit(multislice)(wave, ready.transmissions, ready.kernel)
    matrix = scattering_matrix(ready.transmissions, ready.kernel, ready.extent, ENERGY, SEMIANGLE, soft=BEAM.soft)
    return _worst(exit_waves(matrix, BEAM.coefficients, positions), expected), len(matrix.indices)


def general_gram(
    cells: tuple[int, int, int] = CELLS, points: int = POINTS, dtype: Any = jnp.complex64, spots: int = 5
) -> float:
    """The Gram matrix of all beams, frozen phonons and tilt: largest difference of an image (``spots``^2 pixels) from direct multislice, of the
    largest value."""
    _, ready = _ready(cells, points, dtype)
    bundle = beams(ready.extent, ENERGY, SEMIANGLE, BEAM.soft)
    kx, ky = frequencies(ready.gpts, ready.extent)
    weights = _response(kx[None, :], ky[:, None])[None]
    matrix = gram_matrices(bundle.indices, ready.transmissions, ready.kernel, weights, (2 * cells[2],))[0, 0]
    return _image_error(whole(bundle, ready.extent, ENERGY, matrix), ready, spots)


def crystal_gram(cells: tuple[int, int, int] = CELLS, points: int = POINTS, spots: int = 5) -> float:
    """The Gram matrices of one unit cell of a perfect, tilted crystal: the same against direct multislice of the supercell in float32."""
    _, ready = _ready(cells, points, jnp.complex64, None)
    cell = srtio3((1, 1, 1)).slices(points, 2)
    (grams,), _ = crystal_grams(cell, cells[2], cells[:2], ENERGY, SEMIANGLE, [_response], TILT, BEAM.soft, finer=1)
    return _image_error(grams, ready, spots)


def _image_error(grams: Grams, ready: Prepared, spots: int) -> float:
    x, y = (np.sort(axis) for axis in _spots(ready.extent, spots).T)
    image = raster(image_spectrum(grams, BEAM.coefficients), grams.extent, x, y)
    columns, rows = np.meshgrid(x, y)
    expected = _detected(ready, np.stack([columns.ravel(), rows.ravel()], axis=-1)).reshape(len(y), len(x))
    return _worst(image, expected)


def ways_of_mapping(
    cells: tuple[int, int, int] = (2, 2, 2), points: int = 32, dtype: Any = jnp.complex128, spots: int = 3
) -> dict[str, float]:
    """Largest relative difference between patterns made one by one without jit, and the same by `jax.jit`, by `jax.vmap` over positions, aberrations, tilts
    and configurations, and by multislice in pieces of any size."""
    specimen, ready = _ready(cells, points, dtype)
    window, positions = _window(ready), _spots(ready.extent, spots)

    def single_pattern(position: Any, beam: Illumination = BEAM, stack: Prepared = ready) -> Any:
        return patterns(jnp.asarray(position)[None], beam, window, stack)[0]

    expected = np.stack([single_pattern(position) for position in positions])
    errors = {
        "jit": _worst(_each(single_pattern, positions), expected),
        "vmap over positions": _worst(jax.vmap(single_pattern)(jnp.asarray(positions)), expected),
        "jit of vmap over positions": _worst(jax.jit(jax.vmap(single_pattern))(jnp.asarray(positions)), expected),
        "a batch of positions": _worst(patterns(positions, BEAM, window, ready), expected),
    }
    wave = probe(BEAM.coefficients, positions, window, ready.extent, ENERGY, dtype)
    for size in (1, 2, 64):
        pieces = intensities(multislice(wave, ready.transmissions, ready.kernel, size=size))
        errors[f"multislice, {size} at a time"] = _worst(pieces, expected)

    vectors = jnp.stack([BEAM.coefficients * share for share in (0.0, 0.5, 1.3)])

    def aberrated(vector: Any) -> Any:
        return single_pattern(positions[0], eqx.tree_at(lambda beam: beam.coefficients, BEAM, vector))

    errors["vmap over aberrations"] = _worst(jax.vmap(aberrated)(vectors), _each(aberrated, vectors))
    tilts = jnp.asarray([[0.0, 0.0], [3e-3, -6e-3], [1e-2, 2e-3]])

    def tilted(tilt: Any) -> Any:
        spacing = specimen.thickness / (2 * cells[2])
        kernel = propagator(ready.gpts, ready.extent, ENERGY, spacing, tilt, dtype)
        return single_pattern(positions[0], BEAM, Prepared(ready.transmissions, kernel, ready.extent))

    errors["vmap over tilts"] = _worst(jax.vmap(tilted)(tilts), _each(tilted, tilts))
    stacks = [_ready(cells, points, dtype, seed)[1].transmissions for seed in (1, 2, 3)]

    def frozen(functions: Any) -> Any:
        return single_pattern(positions[0], BEAM, Prepared(functions, ready.kernel, ready.extent))

    errors["vmap over configurations"] = _worst(jax.vmap(frozen)(jnp.stack(stacks)), _each(frozen, stacks))
    return errors


def _each(function: Any, items: Any) -> np.ndarray:
    """What the compiled function gives for each of the items, one after the other."""
    run = jax.jit(function)
    return np.stack([np.asarray(run(item)) for item in items])


def ways_of_batching(cells: tuple[int, int, int] = (2, 2, 2), points: int = 32, spots: int = 7) -> dict[str, float]:
    """The same of `scanned`, float32, averaged over two configurations and three foci: in pieces of any size, on one and two workers and within little
    memory, against the average of patterns made one by one."""
    specimen = srtio3(cells)
    shape = (cells[1] * points, cells[0] * points)
    stacks = [lambda seed=seed: specimen.slices(shape, 2 * cells[2], specimen.displacements(seed)) for seed in (1, 2)]
    beam = eqx.tree_at(lambda light: light.focal_spread, BEAM, jnp.asarray(20.0))
    positions = _spots(specimen.extent, spots)
    expected = np.zeros((spots, *shape))
    window = aperture(shape, specimen.extent, ENERGY, SEMIANGLE, BEAM.soft)
    single = jax.jit(lambda position, light, ready: patterns(position[None], light, window, ready)[0])
    for make in stacks:
        ready = prepared(make(), ENERGY, TILT)
        for light, weight in beam.foci(3):
            expected += 0.5 * weight * np.stack([np.asarray(single(position, light, ready)) for position in positions])
    little = 3 * 8 * stacks[0]().array.size
    errors = {}
    ways: tuple[dict[str, Any], ...] = (
        {},
        {"size": 1, "workers": 1},
        {"size": 2, "workers": 2},
        {"memory": little, "workers": 1},
    )
    for options in ways:
        averaged = np.zeros_like(expected)
        for part, values in scanned(stacks, beam, positions, tilt=TILT, focal_nodes=3, **options):
            averaged[part] = values
        name = ", ".join(f"{key} {value}" for key, value in options.items()) or "default"
        errors[f"scanned, {name}"] = _worst(averaged, expected)
    return errors
