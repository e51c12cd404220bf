"""HAADF images of a known crystal to optics, scan and detector: the crystal's Gram model, and the inputs of `reconstruct.measurement.haadf.estimator`."""

import math
from typing import TYPE_CHECKING

import numpy as np

from reconstruct.measurement.haadf.estimator import HaadfPrior, measure_haadf
from reconstruct.measurement.haadf.prior import ABERRATIONS
from reconstruct.measurement.kinds.crystals import orient_crystal, symmetry
from reconstruct.measurement.preparation.prepare import shape_text
from reconstruct.measurement.projection import project
from reconstruct.measurement.recorded.claims import Claimed
from reconstruct.measurement.recorded.prepared import prepared_image, require_electrons
from reconstruct.measurement.recorded.recording import Recording, c10_changes
from reconstruct.measurement.recorded.result import RecordedMeasurement, Tell
from reconstruct.measurement.recorded.sizes import claimed_sides, square_pixel
from twin.detection.scan import ELEMENTARY_CHARGE
from twin.errors import BadInput, from_twin
from twin.image.microscope import Calibration
from twin.optics.electrons import wavelength
from twin.records import Scan
from twin.scattering.gram.crystal import build_gram
from twin.scattering.gram.model import GramModel

if TYPE_CHECKING:
    from ase import Atoms

MAX_DEPTHS = 7
"""Thicknesses at which a model is made, at most."""
MIN_CELL_SIDE = 11.5
"""Side in angstrom that the crystal of the model has at least, so that probes of some nanometres of defocus fit."""
MAX_SAMPLING = 0.12
"""Angstrom between points of the model's waves, at most."""
SIMULATED_DWELL = 1e-5
"""Dwell in seconds taken for a simulated scan, which took none."""


def haadf(recordings: tuple[Recording, ...], tell: Tell) -> RecordedMeasurement:
    """C10, astigmatism, source, detector, thickness, map and drift; several recordings are of one scan and detector."""
    first = recordings[0]
    inputs = first.inputs
    for recording in recordings:
        _require_single_scan(recording)
    stack = np.stack(
        [_check_shape(prepared_image(recording, 32, levels=False), recording, first) for recording in recordings]
    )
    offsets = c10_changes(recordings)
    atoms = orient_crystal(first)
    side = square_pixel(first, 0.03)
    energy, semiangle = first.beam_energy(), first.semiangle()
    detector = _detector_angles(first)
    thickness = first.require("thickness", "thickness", first.claim("thickness"))
    thickness_error = inputs.positive("thickness_error")
    scan = _scan_record(first, stack.shape[1:], side)
    # the fit has dark level and gain of its own
    require_electrons(first)
    gain, black = inputs.known.gain or 1.0, inputs.known.black or 0.0
    if inputs.known.gain is not None:
        first.add_given("counts per electron", "gain", gain, "1")
    if black:
        first.add_given("counts without a beam", "black", black, "count")
    calibration = Calibration(energy=energy, gain=gain, black=black, readout=inputs.positive("readout", zero=True))
    prior = HaadfPrior(
        aberrations=_aberration_prior(first),
        thickness=(thickness, thickness_error),
        source=_source_prior(first),
        gain=inputs.positive("gain_error"),
        black=inputs.positive("black_error"),
    )
    model = _gram_model(first, atoms, (thickness, thickness_error), energy, semiangle, detector, tell)
    tell("fitting the unit cell", None)
    try:
        measurement = measure_haadf(
            stack if len(stack) > 1 else stack[0], model, project(atoms), scan, calibration, prior, offsets=offsets, seed=inputs.known.seed
        )  # fmt: skip
    except ValueError as error:
        raise from_twin(first.name, error, "") from error
    claimed = claimed_sides(first)
    claims = () if claimed is None else tuple(
        Claimed(f"pixel_{axis}", value, f"a pixel along {axis}") for axis, value in zip("xy", claimed, strict=True)
    )  # fmt: skip
    return RecordedMeasurement("haadf", recordings, measurement, claims)


def _require_single_scan(recording: Recording) -> None:
    """BadInput for sums of frames or pixels: the fit follows the probe along the lines of one scan."""
    words = recording.inputs.words
    if recording.preparation.bin > 1:
        problem = "the fit follows each pixel of a scan as it was recorded"
        raise BadInput(words.given("bin", recording.preparation.bin), problem, f"Leave {words.label('bin')} out.")
    if any(isinstance(index, slice) for index in recording.preparation.frame):
        problem = "is a sum, and the fit follows the drift of one scan"
        label = words.given("frame", recording.inputs.known.frame)
        raise BadInput(label, problem, "Choose one frame, or give several files.")


def _check_shape(data: np.ndarray, recording: Recording, first: Recording) -> np.ndarray:
    shape = tuple(axis.size for axis in first.axes)
    if data.shape != shape:
        problem = f"has {shape_text(data.shape)} pixels, {first.name} {shape_text(shape)}"
        raise BadInput(recording.name, problem, "Give images of one scan.")
    return data


def _detector_angles(recording: Recording) -> tuple[float, float]:
    """Inner and outer angle in radian."""
    inputs = recording.inputs
    words, (unit, size) = inputs.words, inputs.words.unit("detector")
    claimed = _claimed_angles(recording)
    if inputs.known.detector is not None:
        inner, outer = inputs.pair("detector")
    elif claimed is not None:
        inner, outer = claimed
    else:
        problem = "does not say which angles its detector takes in"
        raise BadInput(recording.name, problem, words.add("detector"))
    inputs.in_range("detector", outer)
    if not 0.0 < inner < outer:
        cure = f"Give inner and outer angle, in {unit}."
        raise BadInput(f"{words.label('detector')} {inner / size:g},{outer / size:g}", "is no ring", cure)
    described = f"{1e3 * inner:g} to {1e3 * outer:g} mrad"
    source = words.origin if inputs.known.detector is None else words.source("detector")
    recording.add_setting("detector", described, "", source)
    return inner, outer


def _claimed_angles(recording: Recording) -> tuple[float, float] | None:
    """Inner and outer angle in radian of the detector that a simulation's image is of, or None."""
    label = recording.inputs.known.frame
    if label is not None and str(label).isdecimal():
        labels = recording.signal.axes[0].labels
        label = labels[int(label)] if int(label) < len(labels) else None
    keys = (f"scenario.detectors.{label}.{name}" for name in ("inner_mrad", "outer_mrad"))
    inner, outer = (recording.provenance_number(key) for key in keys)
    return None if inner is None or outer is None else (1e-3 * inner, 1e-3 * outer)


def _scan_record(recording: Recording, shape: tuple[int, ...], side: float) -> Scan:
    inputs = recording.inputs
    words = inputs.words
    dwell = recording.optional("dwell", "dwell", recording.claim("dwell"))
    if dwell is None and not recording.simulated:
        raise BadInput(recording.name, "does not say its dwell time", words.add("dwell"))
    if dwell is None:
        dwell = recording.add_setting("dwell", SIMULATED_DWELL, "second", "taken: a simulated scan takes no time")
    dose = recording.provenance_number("scenario.dose.per_area")
    probe_electrons = recording.provenance_number("scenario.dose.electrons")
    if probe_electrons is not None:
        dose = probe_electrons / side**2
    if inputs.known.current is not None and inputs.known.dose is not None:
        problem = f"says the dose that {words.label('dose')} says, too"
        raise BadInput(words.label("current"), problem, "Give one of them.")
    if inputs.known.current is not None:
        dose = inputs.positive("current") * dwell / ELEMENTARY_CHARGE / side**2
    dose_per_area = recording.optional("electrons per square angstrom", "dose", dose)
    if dose_per_area is None:
        raise BadInput(recording.name, "does not say its dose", words.add("dose", f" or {words.label('current')}"))
    # between two lines of a part the probe scans what is left of the whole lines, too
    outside = recording.signal.axes[-1].size - shape[1]
    flyback = inputs.positive("flyback", zero=True) + outside * dwell
    return Scan(shape=(shape[0], shape[1]), pixel=side, dwell=dwell, flyback=flyback, dose=dose_per_area)


def _aberration_prior(recording: Recording) -> dict[str, tuple[float, float]]:
    inputs = recording.inputs
    known = {"C10": (inputs.finite("c10"), inputs.positive("c10_error"))}
    if inputs.known.spherical is not None:
        known["C30"] = (inputs.finite("spherical"), ABERRATIONS["C30"][1])
    return known


def _source_prior(recording: Recording) -> tuple[float, float]:
    claimed = recording.provenance_number("scenario.beam.source")
    source = recording.optional("source", "source", claimed if claimed is not None and claimed > 0 else None)
    return HaadfPrior().source if source is None else (source, 0.3 * source)


def _gram_model(
    recording: Recording, atoms: "Atoms", depth: tuple[float, float], energy: float, semiangle: float, detector: tuple[float, float], tell: Tell
) -> GramModel:  # fmt: skip
    """The Gram model of the crystal for all thicknesses within three errors of ``depth`` (mean, error) in angstrom."""
    thickness, thickness_error = depth
    width, height, period = (float(side) for side in np.diag(np.asarray(atoms.cell.array)))
    low = max(1, math.floor((thickness - 3.0 * thickness_error) / period))
    high = max(low + 1, math.ceil((thickness + 3.0 * thickness_error) / period))
    depths = tuple(sorted({round(count) for count in np.linspace(low, high, min(MAX_DEPTHS, high - low + 1))}))
    repeats = (max(2, math.ceil(MIN_CELL_SIDE / width)), max(2, math.ceil(MIN_CELL_SIDE / height)))
    longest = max(repeats[0] * width, repeats[1] * height)
    carried = 3.1 * max(detector[1], semiangle) * longest / wavelength(energy)
    points = 2 * math.ceil(0.5 * max(carried, longest / MAX_SAMPLING) + 2.0)
    try:
        return build_gram(
            atoms, repeats, high, depths, tilt_step=0.0, seeds=(0, 1, 2, 3), untilted_seeds=(), energy=energy, semiangle=semiangle,
            detector=detector, gpts=points, slices_per_cell=max(1, round(period / 2.0)), symmetry=symmetry(atoms),
            degree=min(3, len(depths) - 1), progress=tell,
        )  # fmt: skip
    except ValueError as error:
        raise from_twin(recording.inputs.words.label("structure"), error, "") from error
