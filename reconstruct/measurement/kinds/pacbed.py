"""A position-averaged pattern to a crystal's thickness and tilt: the library of patterns, and the inputs of the fit."""

import collections
import dataclasses
import hashlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from reconstruct.measurement.kinds.crystals import multislice_energy, orient_crystal
from reconstruct.measurement.measurement import Measurement
from reconstruct.measurement.outcome import NO_FIT
from reconstruct.measurement.pacbed.estimator import Geometry, ModelError, measure_pacbed
from reconstruct.measurement.recorded.claims import Claimed
from reconstruct.measurement.recorded.prepared import prepared_pattern, require_electrons
from reconstruct.measurement.recorded.recording import Recording
from reconstruct.measurement.recorded.result import RecordedMeasurement, Tell
from reconstruct.measurement.recorded.sizes import pattern_pixel
from twin.detection.camera import Camera
from twin.errors import BadInput, from_twin
from twin.optics.electrons import wavelength
from twin.sample.specimen import Specimen
from twin.scattering.gram.crystal import centred_in_slices
from twin.scattering.pacbed.patterns import Library, library

FINEST_STEP, COARSEST_STEP = 0.45e-3, 0.9e-3
"""Steps in radian between the directions of a library."""
LEAST_REACH = 35e-3
"""Radian that are fitted where the camera shows them: a small disk alone confuses thickness, thermal motion and camera length."""
MAX_SAMPLING = 0.12
"""Angstrom between points of a library's waves, at most."""
MAX_POINTS = 2**16
"""Points of a library's waves, at most."""
CONFIGURATIONS = 4
"""Frozen phonon configurations of a library's diffuse scattering."""
MAX_KEPT = 1 << 29
"""Bytes of the libraries that are kept."""
SPECKLE = 0.3
"""Relative error of a simulated pattern with one column of cells in one frozen configuration: of SrTiO3, 8 nm thick; as the root of their number falls."""
BEYOND, THICKEST = 2.5, 1000.0
"""Where no thickness fits, up to so many times the largest is looked at, and up to so many angstrom."""
COARSER = 2.0
"""Steps of the library for that, in those of the fit's, and errors of its patterns likewise."""
CLEARLY = 0.5
"""A pattern fits far better with so much of the error or less."""


_kept: collections.OrderedDict[bytes, Library] = collections.OrderedDict()
"""Libraries that were made last, by what they were made of: patterns of one crystal are often measured one after the other."""


def _library(cell: Specimen, sizes: tuple[Any, ...], tell: Tell) -> Library:
    """The library of a ``cell``: `library` with ``sizes``, kept while the memory for it suffices."""
    made_of = (
        cell.symbols,
        cell.cell,
        sizes,
        *(array.tobytes() for array in (cell.positions, cell.u2, cell.occupancy)),
    )
    key = hashlib.sha256(repr(made_of).encode()).digest()
    if key not in _kept:
        _kept[key] = library(cell, *sizes, progress=tell)
        while len(_kept) > 1 and sum(kept.nbytes for kept in _kept.values()) > MAX_KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key]


def thickness(recording: Recording, tell: Tell) -> RecordedMeasurement:
    """Thickness and tilt from a position-averaged pattern."""
    inputs = recording.inputs
    energy, semiangle = multislice_energy(recording), recording.semiangle()
    atoms = orient_crystal(recording)
    data = prepared_pattern(recording, 24)
    angle = pattern_pixel(recording, energy)
    require_electrons(recording)
    tilt, tilt_error = inputs.pair("tilt"), inputs.positive("tilt_error")
    max_tilt = math.hypot(*tilt) + 1.6 * tilt_error
    max_thickness = inputs.positive("thickest")
    thickness_prior = None
    if inputs.known.thickness is not None:
        depth, depth_error = inputs.pair("thickness")
        thickness_prior = inputs.positive("thickness", depth), inputs.positive("thickness", depth_error)
        max_thickness = max(max_thickness, thickness_prior[0] + 3.0 * thickness_prior[1])
    span = 0.5 * angle * min(data.shape)
    reach = min(span, max(2.0 * semiangle, LEAST_REACH)) + max_tilt
    if reach <= 1.1 * semiangle + max_tilt:
        problem = f"shows {1e3 * span:.3g} mrad from its middle, the disk's radius is {1e3 * semiangle:.3g}"
        cure = "Give a pattern that shows the whole disk, or look at the angle of a pixel."
        raise BadInput(recording.name, problem, cure)
    slices = max(1, round(float(np.asarray(atoms.cell.array)[2, 2]) / 2.0))
    cell = Specimen.from_atoms(centred_in_slices(atoms, slices))
    geometry = Geometry(angle, rotation=inputs.finite("rotation"), rotation_error=inputs.positive("rotation_error"))
    # a grid carries two thirds of its highest frequency, and atoms must be sampled well besides
    grid = [
        2 * math.ceil(0.5 * max(3.1 * reach * side / wavelength(energy), side / MAX_SAMPLING) + 1.0)
        for side in cell.extent
    ]
    if math.prod(grid) > MAX_POINTS:
        width, height = cell.extent
        problem = (
            f"repeats across the beam after {width:.3g} x {height:.3g} angstrom, too large for a library of patterns"
        )
        cure = "Give a structure or a zone axis with a smaller cell."
        raise BadInput(inputs.words.label("structure"), problem, cure)
    step = min(max(0.5 * angle, FINEST_STEP), COARSEST_STEP)
    sizes = (slices, (grid[1], grid[0]), energy, semiangle, reach, max_tilt)
    error = with_frozen_phonons(ModelError(), recording.provenance_number, cell)
    options: dict[str, Any] = {
        "thickness": thickness_prior, "tilt": tilt, "tilt_error": tilt_error, "error": error, "precision": inputs.positive("precision"),
    }  # fmt: skip

    def fitted(deepest: float, coarser: float, configurations: int, text: str, **changes: Any) -> Measurement:
        made = _library(cell, (*sizes, deepest, coarser * step, configurations), tell)
        tell(text, None)
        return measure_pacbed(data, made, geometry, Camera(), **(options | changes))

    try:
        measurement = fitted(max_thickness, 1.0, CONFIGURATIONS, "fitting the pattern")
        if measurement.outcome == NO_FIT and max_thickness < THICKEST:
            rough = dataclasses.replace(error, relative=COARSER * error.relative)
            deepest = min(BEYOND * max_thickness, THICKEST)
            deeper = fitted(deepest, COARSER, 1, "looking for a thicker crystal", error=rough, precision=1.0)
            measurement = if_thicker(measurement, deeper, max_thickness)
    except ValueError as problem:
        raise from_twin(recording.name, problem, "") from problem
    claimed = recording.claim("thickness")
    claims = () if claimed is None else (Claimed("thickness", claimed, "a thickness"),)
    return RecordedMeasurement("pacbed", (recording,), measurement, claims)


def if_thicker(measurement: Measurement, deeper: Measurement, searched: float) -> Measurement:
    """A ``measurement`` that does not fit, of thicknesses up to ``searched`` angstrom; undetermined for that where a coarse and ``deeper`` one fits far better
    beyond."""
    size, coarse = (fit.checks[0].value if fit.checks else math.inf for fit in (measurement, deeper))
    best = deeper.value("thickness")[0]
    if deeper.failed_checks or best <= searched or coarse > CLEARLY * size:
        return measurement
    reason = f"the best thickness, about {best / 10:.0f} nm, is beyond the range that was searched, {searched / 10:.3g} nm: raise {{thickest}}"
    return dataclasses.replace(
        measurement, checks=(), contradictions=(), undetermined=dict.fromkeys(measurement.names, reason)
    )


def with_frozen_phonons(error: ModelError, number_of: Callable[[str], float | None], cell: Specimen) -> ModelError:
    """``error`` and that of a simulation with few frozen configurations: their columns are all that the electrons of a pattern meet, where those of a real
    one meet as many as they are. They lean at random between their faces, and diffuse scattering has speckles. ``number_of``: numbers of the provenance."""
    configurations = number_of("scenario.specimen.phonons.configurations")
    x, y, z = (number_of(f"cell.repeats.{axis}") for axis in range(3))
    if configurations is None or x is None or y is None or z is None:
        return error
    columns = x * y * configurations
    lean = math.sqrt(float(np.mean(cell.u2)) * 12.0 / z / columns)
    speckle = SPECKLE / math.sqrt(columns)
    return dataclasses.replace(
        error, lean=math.hypot(error.lean, lean), relative=math.hypot(error.relative, speckle), grain=math.hypot(error.grain, 0.5 * speckle)
    )  # fmt: skip
