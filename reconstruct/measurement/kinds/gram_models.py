"""Gram models of crystals for the images that are measured: their grid, depths and phonons, and the models made last, for the images that follow."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import next_fast_len

from reconstruct.measurement.kinds.crystals import symmetry
from twin.optics.electrons import wavelength
from twin.scattering.gram.crystal import build_gram
from twin.scattering.gram.model import GramModel

if TYPE_CHECKING:
    from ase import Atoms

MAX_DEPTHS, DEGREE = 10, 8
"""Thicknesses at which a model is made, at most, and degree of the polynomial through them."""
THINNEST = 0.4
"""Share of the stated thickness down to which a model reaches, so that a thinner crystal is recognised: the waves pass there anyhow."""
APERTURE_MARGIN = 0.2
"""Share of the stated semi-angle up to which larger ones can be recognised."""
MIN_CELL_SIDE = 11.5
"""Side in angstrom that the crystal of the model has at least, so that probes of some nanometres of defocus fit."""
MAX_SAMPLING = 0.12
"""Angstrom between points of the model's waves, at most."""
MAX_MODEL_BYTES = 2**28
"""Bytes of a model's Gram matrices, at most."""
KEPT_MODELS = 16
"""Models that are kept in memory, of up to some ten megabytes each."""
PHONON_SEEDS = (0, 1, 2, 3)


@dataclasses.dataclass(frozen=True)
class _Request:
    """What a model depends on (`key` has the crystal), and what only building it takes."""

    key: bytes
    depth: tuple[float, float]
    energy: float
    semiangle: float
    detector: tuple[float, float]
    atoms: "Atoms" = dataclasses.field(compare=False)
    progress: Callable[[str, float], None] | None = dataclasses.field(compare=False)


def gram_model(
    atoms: "Atoms",
    depth: tuple[float, float],
    energy: float,
    semiangle: float,
    detector: tuple[float, float],
    progress: Callable[[str, float], None] | None = None,
) -> GramModel:
    """The Gram model of the crystal with the orthogonal cell ``atoms`` for all thicknesses within three errors of ``depth`` (mean, error) in angstrom,
    thinner ones down to `THINNEST` of it, and semi-angles up to `APERTURE_MARGIN` larger.

    ``energy`` in eV, ``semiangle`` and ``detector`` (inner, outer) in radian. ValueError for a cell or angles that cannot be.
    """
    occupancy = np.asarray(atoms.arrays.get("occupancy", np.ones(len(atoms))), dtype=np.float64)
    parts = (atoms.numbers, atoms.get_positions(), atoms.cell.array, occupancy)
    key = b"".join(np.ascontiguousarray(part, dtype=np.float64).tobytes() for part in parts)
    return _build(_Request(key, depth, energy, semiangle, detector, atoms, progress))


@functools.lru_cache(maxsize=KEPT_MODELS)
def _build(request: _Request) -> GramModel:
    thickness, thickness_error = request.depth
    width, height, period = (float(side) for side in np.diag(np.asarray(request.atoms.cell.array)))
    low = max(1, math.floor(min(thickness - 3.0 * thickness_error, THINNEST * thickness) / period))
    high = max(low + 1, math.ceil((thickness + 3.0 * thickness_error) / period))
    depths = tuple(sorted({round(count) for count in np.linspace(low, high, min(MAX_DEPTHS, high - low + 1))}))
    repeats = (max(2, math.ceil(MIN_CELL_SIDE / width)), max(2, math.ceil(MIN_CELL_SIDE / height)))
    longest = max(repeats[0] * width, repeats[1] * height)
    beams = math.pi * ((1.0 + APERTURE_MARGIN) * request.semiangle / wavelength(request.energy)) ** 2
    beams *= repeats[0] * width * repeats[1] * height
    if 8.0 * beams**2 * len(depths) > MAX_MODEL_BYTES:
        raise ValueError(
            f"the cell that repeats across the beam is {width:.3g} x {height:.3g} angstrom, too large for a model of the {beams:.3g} beams in its aperture; "
            "give a structure or a zone axis with a smaller cell"
        )
    carried = 3.1 * max(request.detector[1], request.semiangle) * longest / wavelength(request.energy)
    points = 2 * math.ceil(0.5 * max(carried, longest / MAX_SAMPLING) + 2.0)
    while next_fast_len(points) != points:
        points += 2
    return build_gram(
        request.atoms, repeats, high, depths, tilt_step=0.0, seeds=PHONON_SEEDS, untilted_seeds=(), energy=request.energy,
        semiangle=request.semiangle, detector=request.detector, gpts=points, slices_per_cell=max(1, round(period / 2.0)),
        symmetry=symmetry(request.atoms), degree=min(DEGREE, len(depths) - 1), progress=request.progress,
        margin=APERTURE_MARGIN,
    )  # fmt: skip
