"""The true specimen: atoms, their frozen motion, and the detector Gram matrices of all plane waves in the aperture, by abTEM.

Specimen coordinates: a corner column of the unit cell stands at (0, 0) of the entrance face. A specimen tilt of t moves the columns by
+t z with depth z (it equals a beam tilt of -t). Waves are held [x, y], as abTEM does; only beam indices and Grams leave this module.
"""

import hashlib
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from instrument.truth.config import SimulatedConfig, generator

VERSION = "truth-gram/1"
_BATCH = 32  # waves carried together: 160^2 x 32 x 8 bytes stays near the processor's cache
_KEYS = (
    "structure cif lattice repeats_xy cells thickness_scale gpts slices_per_cell phonon_configs thermal_b tilt tilt_sigma bend wedge_swing "
    "amorphous_entrance amorphous_exit amorphous_density energy semiangle haadf_inner haadf_outer haadf_inner_error haadf_outer_error "
    "detector_scale response_azimuthal response_radial"
).split()

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class TruthGram:
    """G[depth, k, k'] = sum over detector pixels of D conj(S_k) S_k', as a fraction of the incident beam, mean of the configurations.

    ``beams`` int [n, 2] are (x, y) indices in the reciprocal grid of ``extent`` (A); ``aperture`` [n] amplitudes with unit sum of
    squares; ``depths`` [d] A of crystal; ``grams`` complex64 [d, n, n]; ``tilt`` the mean specimen tilt in rad.
    """

    beams: np.ndarray
    aperture: np.ndarray
    extent: np.ndarray
    depths: np.ndarray
    grams: np.ndarray
    tilt: np.ndarray


def wavelength(energy: float) -> float:
    """Relativistic wavelength in A of an electron of ``energy`` eV (h c and m c^2 of CODATA 2018)."""
    return 12398.419843320026 / math.sqrt(energy * (2.0 * 510998.95 + energy))


def true_tilt(config: SimulatedConfig, seed: int) -> np.ndarray:
    """The mean tilt [2] of this specimen in rad."""
    if config.tilt is not None:
        return np.asarray(config.tilt, dtype=np.float64)
    return config.tilt_sigma * generator(seed, "tilt").standard_normal(2)


def unit_cell(config: SimulatedConfig) -> Any:
    """ASE atoms of one cell. ValueError naming the file, the problem and the cure for a CIF that cannot be used."""
    import ase
    import ase.io

    a = config.lattice
    if config.cif is None:
        if config.structure == "NiO":
            sites = [
                (0, 0, 0),
                (0.5, 0.5, 0),
                (0.5, 0, 0.5),
                (0, 0.5, 0.5),
                (0.5, 0, 0),
                (0, 0.5, 0),
                (0, 0, 0.5),
                (0.5, 0.5, 0.5),
            ]
            return ase.Atoms("Ni4O4", scaled_positions=sites, cell=[a, a, a], pbc=True)
        sites = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
        return ase.Atoms(config.structure, scaled_positions=sites, cell=[a, a, a], pbc=True)
    if not Path(config.cif).is_file():
        raise ValueError(f"CIF {config.cif}: no such file; give the path of a CIF, or a structure")
    try:
        atoms = ase.io.read(config.cif, format="cif", index=0)
    except Exception as error:  # ASE raises whatever its parser stumbles over; the file is named and the cause kept
        raise ValueError(f"CIF {config.cif}: cannot be read ({error}); give a valid CIF with one structure") from error
    if not isinstance(atoms, ase.Atoms) or len(atoms) == 0:
        raise ValueError(f"CIF {config.cif}: holds no atoms; give a CIF with one structure")
    if (
        np.abs(atoms.cell.array - np.diag(np.diag(atoms.cell.array))).max() > 1e-3
        or np.diag(atoms.cell.array).min() <= 1.0
    ):
        raise ValueError(f"CIF {config.cif}: its cell is not orthogonal; give an orthogonal cell with the beam along c")
    return atoms


def depths_in_cells(config: SimulatedConfig) -> np.ndarray:
    """Depths, in whole cells, that cover all thicknesses of this specimen."""
    nominal = config.cells * config.thickness_scale
    first = max(1, math.floor(nominal - config.wedge_swing))
    last = max(math.ceil(nominal + config.wedge_swing), first + 1)
    return np.arange(first, last + 1)


def cell_depth(config: SimulatedConfig) -> float:
    """Length in A of one cell along the beam."""
    return float(unit_cell(config).cell.lengths()[2]) if config.cif else config.lattice


def load_or_build(config: SimulatedConfig, seed: int, cache: Path | None, progress: Progress) -> TruthGram:
    """The Grams of this specimen, from ``cache`` if they are there and whole, else built (and stored)."""
    key = {name: getattr(config, name) for name in _KEYS} | {"seed": seed, "version": VERSION}
    if config.cif is not None:
        unit_cell(config)
        key["cif"] = hashlib.sha256(Path(config.cif).read_bytes()).hexdigest()
    digest = hashlib.sha256(json.dumps(msgspec.to_builtins(key), sort_keys=True).encode()).hexdigest()[:24]
    path = None if cache is None else Path(cache) / f"truth-{digest}.npz"
    if path is not None and path.is_file():
        try:
            with np.load(path, allow_pickle=False) as stored:
                return TruthGram(**{name: stored[name] for name in TruthGram.__dataclass_fields__})
        except (OSError, KeyError, ValueError, EOFError) as error:
            progress(f"cached specimen {path.name} is broken ({error}); building it anew", 0.0)
    gram = build(config, seed, progress)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **{name: getattr(gram, name) for name in TruthGram.__dataclass_fields__})
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    return gram


def crystal(config: SimulatedConfig, seed: int, phonon: int) -> Any:
    """ASE atoms of the crystal with the frozen motion of configuration ``phonon``, bent and tilted, deep enough for every depth."""
    unit = unit_cell(config)
    nx, ny = repeats(config)
    atoms = unit * (nx, ny, int(depths_in_cells(config)[-1]))
    lengths = atoms.cell.lengths()
    b = np.array([config.thermal_b.get(symbol, 0.5) for symbol in atoms.get_chemical_symbols()])
    moved = np.sqrt(b / (8 * np.pi**2))[:, None] * generator(seed, "phonon", phonon).standard_normal((len(atoms), 3))
    positions = atoms.get_positions()
    # planes into the middle of their slices, so that no thermal motion carries an atom over the faces
    z = positions[:, 2] + cell_depth(config) / (2 * config.slices_per_cell)
    nominal = config.cells * config.thickness_scale * cell_depth(config)
    azimuth = generator(seed, "bend").uniform(0, 2 * np.pi)
    bent = config.bend * np.array([np.cos(azimuth), np.sin(azimuth)])
    lean = true_tilt(config, seed)[None, :] * z[:, None] + 0.5 * bent[None, :] * (z * (z - nominal))[:, None]
    positions[:, :2] = (positions[:, :2] + lean + moved[:, :2]) % lengths[None, :2]
    positions[:, 2] = np.clip(z + moved[:, 2], 1e-3, lengths[2] - 1e-3)
    atoms.set_positions(positions)
    return atoms


def repeats(config: SimulatedConfig) -> tuple[int, int]:
    """How many cells the field is wide: as configured, or (for a CIF) enough for about the same width."""
    if config.cif is None:
        return config.repeats_xy, config.repeats_xy
    width = config.repeats_xy * config.lattice
    lengths = unit_cell(config).cell.lengths()
    return max(1, round(width / lengths[0])), max(1, round(width / lengths[1]))


def amorphous(config: SimulatedConfig, seed: int, thickness: float, extent: np.ndarray, label: str) -> Any:
    """ASE atoms of a layer of amorphous carbon: random places no nearer than 1.35 A to each other, periodic in x and y."""
    import ase

    rng = generator(seed, "amorphous", label)
    size = np.array([extent[0], extent[1], thickness])
    wanted = max(1, round(config.amorphous_density * float(np.prod(size))))
    places = np.empty((0, 3))
    for _ in range(200 * wanted):
        if len(places) == wanted:
            break
        place = rng.uniform(0, 1, 3) * size
        apart = np.abs(places - place[None, :])
        apart[:, :2] = np.minimum(apart[:, :2], size[None, :2] - apart[:, :2])
        if len(places) == 0 or (apart**2).sum(axis=1).min() > 1.35**2:
            places = np.concatenate([places, place[None, :]])
    return ase.Atoms(f"C{len(places)}", positions=places, cell=size, pbc=True)


def detector_weights(config: SimulatedConfig, seed: int, kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
    """True response of the HAADF detector at spatial frequencies (1/A): its angles, soft over half a milliradian, and its map."""
    lam = wavelength(config.energy)
    theta, phi = lam * np.hypot(kx, ky), np.arctan2(ky, kx)
    inner = (config.haadf_inner + config.haadf_inner_error) * config.detector_scale
    outer = (config.haadf_outer + config.haadf_outer_error) * config.detector_scale
    edge = np.clip((theta - inner) / 5e-4 + 0.5, 0, 1) * np.clip((outer - theta) / 5e-4 + 0.5, 0, 1)
    azimuth = generator(seed, "response").uniform(0, 2 * np.pi)
    radial = (theta - 0.5 * (inner + outer)) / (0.5 * (outer - inner))
    return edge * (1 + config.response_azimuthal * np.cos(phi - azimuth) + config.response_radial * radial)


def _transmissions(atoms: Any, config: SimulatedConfig, slices: int) -> list[Any]:
    """abTEM transmission functions of ``atoms`` cut into ``slices`` equal slices, Kirkland's potentials, band limited."""
    import abtem
    from abtem.antialias import AntialiasAperture

    thickness = float(atoms.cell.lengths()[2]) / slices
    builder = abtem.Potential(
        atoms, gpts=config.gpts, slice_thickness=thickness, parametrization="kirkland", projection="infinite"
    )
    array = builder.build(lazy=False)
    functions = AntialiasAperture().bandlimit(array.transmission_function(config.energy), in_place=False)
    return list(functions.generate_slices())


def aperture_beams(config: SimulatedConfig, extent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices [n, 2] of the plane waves in the aperture and their amplitudes [n]; the edge is one grid step soft, as in abTEM."""
    lam = wavelength(config.energy)
    reach = int(math.ceil(config.semiangle / lam * extent.max())) + 1
    grid = np.stack(
        np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1), indexing="ij"), axis=-1
    ).reshape(-1, 2)
    theta = lam * np.hypot(grid[:, 0] / extent[0], grid[:, 1] / extent[1])
    amplitude = np.clip((config.semiangle - theta) / (lam / extent.mean()) + 0.5, 0, 1)
    inside = amplitude > 0
    return grid[inside], amplitude[inside] / np.sqrt((amplitude[inside] ** 2).sum())


def build(config: SimulatedConfig, seed: int, progress: Progress) -> TruthGram:
    """Carry every plane wave of the aperture through every configuration by abTEM's multislice and reduce to Grams at each depth."""
    import abtem
    from abtem.antialias import AntialiasAperture
    from abtem.core.axes import OrdinalAxis
    from abtem.multislice import FresnelPropagator, conventional_multislice_step
    from scipy import fft

    started = time.monotonic()
    counts, n = depths_in_cells(config), config.gpts
    with abtem.config.set(
        {"diagnostics.progress_bar": False, "dask.lazy": False, "precision": "float32", "device": "cpu"}
    ):
        atoms = crystal(config, seed, 0)
        extent = np.asarray(atoms.cell.lengths()[:2], dtype=np.float64)
        beams, amplitude = aperture_beams(config, extent)
        index = np.fft.fftfreq(n, 1 / n)
        kx, ky = index[:, None] / extent[0], index[None, :] / extent[1]
        lam = wavelength(config.energy)
        limit = (2 / 3) * 0.5 * n / extent.max() * lam
        if (config.haadf_outer + config.haadf_outer_error) * config.detector_scale > limit:
            raise ValueError(
                f"simulated microscope: gpts = {n} reaches {limit * 1e3:.0f} mrad only; give more gpts or a smaller haadf_outer"
            )
        weights = detector_weights(config, seed, kx + 0 * ky, ky + 0 * kx)
        lit = np.nonzero(weights.ravel() > 0)[0]
        root = np.sqrt(weights.ravel()[lit]).astype(np.float32) / n**2
        layers = {}
        for label, thickness in (("entrance", config.amorphous_entrance), ("exit", config.amorphous_exit)):
            layers[label] = []
            if thickness > 0:
                layer = amorphous(config, seed, thickness, extent, label)
                layers[label] = _transmissions(layer, config, max(1, round(thickness / 2.5)))
        x = np.arange(n) / n
        grams = np.zeros((len(counts), len(beams), len(beams)), dtype=np.complex64)
        scattered = np.empty((len(counts), len(beams), len(lit)), dtype=np.complex64)
        step, limiter = FresnelPropagator(), AntialiasAperture()
        for phonon in range(config.phonon_configs):
            slices = _transmissions(crystal(config, seed, phonon), config, int(counts[-1]) * config.slices_per_cell)
            for start in range(0, len(beams), _BATCH):
                some = beams[start : start + _BATCH]
                # C10 refers to the crystal's entrance face: take the waves back through the layer above it
                k2 = (some[:, 0] / extent[0]) ** 2 + (some[:, 1] / extent[1]) ** 2
                back = np.exp(1j * np.pi * lam * config.amorphous_entrance * k2)
                across = back[:, None] * np.exp(2j * np.pi * some[:, :1] * x[None, :])
                array = (across[:, :, None] * np.exp(2j * np.pi * some[:, 1:] * x[None, :])[:, None, :]).astype(
                    np.complex64
                )
                axis = [OrdinalAxis(values=tuple(range(len(some))))]
                waves = abtem.Waves(array, energy=config.energy, extent=tuple(extent), ensemble_axes_metadata=axis)
                for one in layers["entrance"]:
                    waves = conventional_multislice_step(waves, one, step, limiter)
                done = 0
                for row, count in enumerate(counts):
                    for one in slices[done : int(count) * config.slices_per_cell]:
                        waves = conventional_multislice_step(waves, one, step, limiter)
                    done = int(count) * config.slices_per_cell
                    leaving = waves.copy()
                    for one in layers["exit"]:
                        leaving = conventional_multislice_step(leaving, one, step, limiter)
                    spectrum = fft.fft2(leaving.array).reshape(len(some), -1)
                    scattered[row, start : start + len(some)] = spectrum[:, lit] * root[None, :]
                share = (phonon + (start + len(some)) / len(beams)) / config.phonon_configs
                progress(f"specimen: configuration {phonon + 1} of {config.phonon_configs}", 0.98 * share)
            for row in range(len(counts)):
                grams[row] += (scattered[row].conj() @ scattered[row].T) / config.phonon_configs
    progress(f"specimen: ready after {time.monotonic() - started:.0f} s", 1.0)
    return TruthGram(beams, amplitude, extent, counts * cell_depth(config), grams, true_tilt(config, seed))
