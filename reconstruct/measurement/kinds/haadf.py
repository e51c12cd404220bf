"""HAADF images of a known crystal to optics, scan and detector: the crystal's Gram model, and the inputs of `reconstruct.measurement.haadf.estimator`."""

from typing import Any

import numpy as np

from reconstruct.measurement.haadf.estimator import HaadfPrior, measure_haadf
from reconstruct.measurement.haadf.prior import ABERRATIONS
from reconstruct.measurement.kinds.crystals import multislice_energy, orient_crystal
from reconstruct.measurement.kinds.gram_models import gram_model
from reconstruct.measurement.preparation.checks import shape_text
from reconstruct.measurement.projection import project
from reconstruct.measurement.recorded.claims import Claimed
from reconstruct.measurement.recorded.prepared import prepared_image, require_electrons
from reconstruct.measurement.recorded.recording import Recording, c10_changes
from reconstruct.measurement.recorded.result import RecordedMeasurement, Tell
from reconstruct.measurement.recorded.sizes import claimed_sides, square_pixel
from twin.errors import BadInput, from_twin
from twin.image.microscope import Calibration
from twin.optics.electrons import ELEMENTARY_CHARGE
from twin.records import Scan

SIMULATED_DWELL = 1e-5
"""Dwell in seconds taken for a simulated scan, which took none."""
FOCAL_SPREAD_ERROR = 0.2
"""Relative error of a focal spread that is given."""


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
    energy, semiangle = multislice_energy(first), first.semiangle()
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
        semiangle=inputs.positive("semiangle_error"),
        gain=inputs.positive("gain_error"),
        black=inputs.positive("black_error"),
        **_beam_prior(first),
    )
    try:
        model = gram_model(atoms, (thickness, thickness_error), energy, semiangle, detector, tell)
    except ValueError as error:
        raise from_twin(inputs.words.label("structure"), error, "") from error
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
    known |= {part: (0.0, inputs.positive("astigmatism")) for part in ("C12a", "C12b")}
    if inputs.known.spherical is not None:
        known["C30"] = (inputs.finite("spherical"), ABERRATIONS["C30"][1])
    return known


def _source_prior(recording: Recording) -> tuple[float, float]:
    claimed = recording.provenance_number("scenario.beam.source")
    source = recording.optional("source", "source", claimed if claimed is not None and claimed > 0 else None)
    return HaadfPrior().source if source is None else (source, 0.3 * source)


def _beam_prior(recording: Recording) -> dict[str, Any]:
    """Focal spread and tails of the source: as given, or as a simulation has them, whose source has no tails; empty where nothing is known."""
    given = recording.inputs.known.focal_spread
    if given is not None:
        spread = recording.add_given(
            "focal spread", "focal_spread", recording.inputs.positive("focal_spread", zero=True), "angstrom"
        )
    elif recording.simulated:
        claimed = recording.provenance_number("scenario.beam.focal_spread") or 0.0
        spread = recording.add_setting("focal spread", claimed, "angstrom", recording.inputs.words.origin)
    else:
        return {}
    known = {"focal_spread": (spread, max(FOCAL_SPREAD_ERROR * spread, 1.0))}
    return known | ({"tail": (0.0, 0.0)} if recording.simulated else {})
