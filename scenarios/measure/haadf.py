"""HAADF images of a known crystal to optics, scan and detector: the crystal's Gram model for the detector, then `reconstruct.measure.haadf.estimator`."""

import math
from typing import TYPE_CHECKING

import numpy as np

from reconstruct.measure.haadf.estimator import HaadfPrior, measure_haadf
from reconstruct.measure.haadf.prior import ABERRATIONS
from reconstruct.measure.preparation import shape_text
from reconstruct.measure.projection import project
from scenarios.io.errors import BadInput, from_twin
from scenarios.io.progress import Progress
from scenarios.measure.data.checks import finite, in_range, parse_pair, positive
from scenarios.measure.data.crystals import orient_crystal, symmetry
from scenarios.measure.data.inputs import Recording, claimed_sides, square_pixel
from scenarios.measure.data.prepared import prepared_image, require_electrons
from scenarios.measure.data.several import c10_changes
from scenarios.measure.kinds import HaadfOptions
from scenarios.measure.output.comparison import Claim, FileMeasurement
from twin.detection.scan import ELEMENTARY_CHARGE
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


def haadf(recordings: tuple[Recording, ...], options: HaadfOptions, progress: Progress) -> FileMeasurement:
    """C10, astigmatism, source, detector, thickness, map and drift; several files are of one scan and detector."""
    first = recordings[0]
    for recording in recordings:
        _require_single_scan(recording)
    stack = np.stack(
        [_check_shape(prepared_image(recording, 32, levels=False), recording, first) for recording in recordings]
    )
    offsets = c10_changes(recordings, options)
    atoms = orient_crystal(first, options.structure, options.zone, options.x)
    side = square_pixel(first, options.pixel, 0.03)
    energy, semiangle = first.beam_energy(options.energy), first.semiangle(options.semiangle)
    detector = _detector_angles(first, options.detector)
    thickness = first.require("thickness", "--thickness-nm", options.thickness, first.claim("thickness"))
    thickness_error = 10.0 * positive("--thickness-error-nm", options.thickness_error)
    scan = _scan_record(first, options, stack.shape[1:], side)
    # the fit has dark level and gain of its own
    require_electrons(first)
    gain, black = options.gain or 1.0, options.black or 0.0
    if options.gain is not None:
        first.add_setting("counts per electron", gain, "1", "--gain")
    if black:
        first.add_setting("counts without a beam", black, "count", "--black")
    calibration = Calibration(
        energy=energy, gain=gain, black=black, readout=positive("--readout", options.readout, zero=True)
    )
    prior = HaadfPrior(
        aberrations=_aberration_prior(options),
        thickness=(thickness, thickness_error),
        source=_source_prior(first, options),
        gain=positive("--gain-error-percent", options.gain_error) / 100.0,
        black=positive("--black-error", options.black_error),
    )
    model = _gram_model(atoms, thickness, thickness_error, energy, semiangle, detector, progress)
    progress.stage("fitting the unit cell")
    try:
        measurement = measure_haadf(
            stack if len(stack) > 1 else stack[0], model, project(atoms), scan, calibration, prior, offsets=offsets, seed=options.seed
        )  # fmt: skip
    except ValueError as error:
        raise from_twin(str(first.path), error, "") from error
    claimed = claimed_sides(first)
    claims = () if claimed is None else tuple(
        Claim(f"pixel_{axis}", value, f"a pixel along {axis}") for axis, value in zip("xy", claimed, strict=True)
    )  # fmt: skip
    return FileMeasurement("haadf", recordings, measurement, claims)


def _require_single_scan(recording: Recording) -> None:
    """BadInput for sums of frames or pixels: the fit follows the probe along the lines of one scan."""
    if recording.preparation.bin > 1:
        raise BadInput(
            f"--bin {recording.preparation.bin}",
            "the fit follows each pixel of a scan as it was recorded",
            "Leave --bin out.",
        )
    if any(isinstance(index, slice) for index in recording.preparation.frame):
        problem = "is a sum, and the fit follows the drift of one scan"
        raise BadInput(f"--frame {recording.data.frame}", problem, "Choose one frame, or give several files.")


def _check_shape(data: np.ndarray, recording: Recording, first: Recording) -> np.ndarray:
    shape = tuple(axis.size for axis in first.axes)
    if data.shape != shape:
        problem = f"has {shape_text(data.shape)} pixels, {first.path} {shape_text(shape)}"
        raise BadInput(str(recording.path), problem, "Give images of one scan.")
    return data


def _detector_angles(recording: Recording, option_value: str | None) -> tuple[float, float]:
    """Inner and outer angle in radian."""
    label = recording.data.frame
    if label is not None and label.isdecimal():
        labels = recording.signal.axes[0].labels
        label = labels[int(label)] if int(label) < len(labels) else None
    file_angles = [recording.provenance(f"scenario.detectors.{label}.{name}") for name in ("inner_mrad", "outer_mrad")]
    if option_value is not None:
        inner, outer = parse_pair("--detector-mrad", option_value)
    elif all(isinstance(value, (int, float)) for value in file_angles):
        inner, outer = (float(value) for value in file_angles)
    else:
        problem = "does not say which angles its detector takes in"
        raise BadInput(str(recording.path), problem, "Add --detector-mrad INNER,OUTER.")
    in_range("--detector-mrad", outer)
    if not 0.0 < inner < outer:
        raise BadInput(f"--detector-mrad {inner:g},{outer:g}", "is no ring", "Give inner and outer angle, in mrad.")
    recording.add_setting(
        "detector", f"{inner:g} to {outer:g} mrad", "", "the file" if option_value is None else "--detector-mrad"
    )
    return 1e-3 * inner, 1e-3 * outer


def _scan_record(recording: Recording, options: HaadfOptions, shape: tuple[int, ...], side: float) -> Scan:
    simulated = recording.provenance("scenario.name") is not None
    dwell = recording.optional("dwell", "--dwell-us", options.dwell, recording.claim("dwell"))
    if dwell is None and not simulated:
        raise BadInput(str(recording.path), "does not say its dwell time", "Add --dwell-us.")
    if dwell is None:
        dwell = recording.add_setting("dwell", SIMULATED_DWELL, "second", "taken: a simulated scan takes no time")
    file_dose = recording.provenance("scenario.dose.per_area")
    probe_electrons = recording.provenance("scenario.dose.electrons")
    if isinstance(probe_electrons, (int, float)):
        file_dose = float(probe_electrons) / side**2
    dose = float(file_dose) if isinstance(file_dose, (int, float)) else None
    if options.current is not None and options.dose is not None:
        raise BadInput("--current-pA", "says the dose that --dose says, too", "Give one of them.")
    if options.current is not None:
        dose = 1e-12 * positive("--current-pA", options.current) * dwell / ELEMENTARY_CHARGE / side**2
    dose_per_area = recording.optional("electrons per square angstrom", "--dose", options.dose, dose)
    if dose_per_area is None:
        raise BadInput(str(recording.path), "does not say its dose", "Add --dose (electrons per Å²) or --current-pA.")
    # between two lines of a part the probe scans what is left of the whole lines, too
    outside = recording.signal.axes[-1].size - shape[1]
    flyback = 1e-6 * positive("--flyback-us", options.flyback, zero=True) + outside * dwell
    return Scan(shape=(shape[0], shape[1]), pixel=side, dwell=dwell, flyback=flyback, dose=dose_per_area)


def _aberration_prior(options: HaadfOptions) -> dict[str, tuple[float, float]]:
    c10 = (10.0 * finite("--c10-nm", options.c10), 10.0 * positive("--c10-error-nm", options.c10_error))
    known = {"C10": c10}
    if options.spherical is not None:
        known["C30"] = (1e7 * finite("--cs-mm", options.spherical), ABERRATIONS["C30"][1])
    return known


def _source_prior(recording: Recording, options: HaadfOptions) -> tuple[float, float]:
    file_value = recording.provenance("scenario.beam.source")
    known = float(file_value) if isinstance(file_value, (int, float)) and file_value > 0 else None
    source = recording.optional("source", "--source-angstrom", options.source, known)
    return HaadfPrior().source if source is None else (source, 0.3 * source)


def _gram_model(
    atoms: "Atoms",
    thickness: float,
    thickness_error: float,
    energy: float,
    semiangle: float,
    detector: tuple[float, float],
    progress: Progress,
) -> GramModel:
    """The Gram model of the crystal for all thicknesses within three errors of ``thickness``."""
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
            degree=min(3, len(depths) - 1), progress=progress.stage,
        )  # fmt: skip
    except ValueError as error:
        raise from_twin("--structure", error, "") from error
