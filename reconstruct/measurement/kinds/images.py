"""Images to quantities: a crystal's lattice, the Thon rings of an amorphous film. Here are the inputs of their estimators."""

import dataclasses
import math

from reconstruct.measurement.kinds.crystals import orient_crystal
from reconstruct.measurement.lattice.estimator import measure_lattice
from reconstruct.measurement.projection import project
from reconstruct.measurement.recorded.claims import Claimed
from reconstruct.measurement.recorded.prepared import has_electrons, prepared_image
from reconstruct.measurement.recorded.recording import Recording
from reconstruct.measurement.recorded.result import RecordedMeasurement, Tell
from reconstruct.measurement.recorded.sizes import claimed_sides, pixel_sides, square_pixel
from reconstruct.measurement.thon.estimator import measure_thon
from reconstruct.measurement.thon.spectrum import HIGHEST, LOWEST
from twin.errors import BadInput, from_twin
from twin.optics.electrons import wavelength

MAX_ANGLE = 0.1
"""Radian: Thon rings are at smaller angles in any lens."""


def lattice(recording: Recording, tell: Tell) -> RecordedMeasurement:
    """Pixel sizes, shear and rotation of an image of a known crystal."""
    inputs = recording.inputs
    data = prepared_image(recording, 32)
    nominal = math.sqrt(math.prod(pixel_sides(recording)))
    claimed = claimed_sides(recording)
    atoms = orient_crystal(recording)
    hum = None if inputs.known.mains is None else _cycles_of_mains(recording)
    spread = recording.add_given("error of the pixel", "pixel_error", inputs.positive("pixel_error"), "1")
    askew = inputs.positive("skew")
    try:
        measurement = measure_lattice(data, project(atoms), nominal, spread, askew, hum, tell)
    except ValueError as error:
        raise from_twin(recording.name, error, "") from error
    claims = ()
    if claimed is not None:
        names = ("pixel_x", "pixel_y")
        claims = tuple(Claimed(n, side, f"a pixel along {n[-1]}") for n, side in zip(names, claimed, strict=True))
    return RecordedMeasurement("lattice", (recording,), measurement, claims)


def _cycles_of_mains(recording: Recording) -> float:
    """Cycles of the mains while a pixel is scanned; BadInput without a dwell time."""
    inputs = recording.inputs
    mains, words = inputs.positive("mains"), inputs.words
    dwell = recording.claim("dwell") if inputs.known.dwell is None else inputs.positive("dwell")
    if dwell is None:
        label = words.label("mains")
        cure = words.add("dwell") if words.takes("dwell") else f"Leave {label} out."
        raise BadInput(label, f"{recording.name} does not say its dwell time", cure)
    cycles = recording.preparation.bin * dwell * mains
    return recording.add_given("cycles of the mains in a pixel", "mains", cycles, "1")


def thon(recording: Recording, tell: Tell) -> RecordedMeasurement:
    """Defocus and astigmatism of an image of an amorphous film, by its rings."""
    inputs = recording.inputs
    words = inputs.words
    data = prepared_image(recording, 64)
    side = square_pixel(recording, 0.01)
    energy = recording.beam_energy()
    names = (f"scenario.beam.aberrations.{name}" for name in ("C30", "C3"))
    claimed = next((value for value in map(recording.provenance_number, names) if value is not None), None)
    given = inputs.known.spherical is not None
    if not given and claimed is None and not recording.simulated:
        cure = words.add("spherical", " (0 for a corrected one)")
        raise BadInput(recording.name, "does not say the spherical aberration of its lens", cure)
    if given:
        c30 = recording.add_given("C30", "spherical", inputs.finite("spherical"), "angstrom")
    else:
        c30 = recording.add_setting("C30", claimed or 0.0, "angstrom", words.origin)
    span, astigmatism = inputs.positive("span"), inputs.positive("astigmatism")
    focal_spread = inputs.positive("focal_spread", zero=True)
    _check_frequencies(recording, side, min(data.shape), wavelength(energy), span)
    free = inputs.known.phase_shift == "free"
    phase_shift = None if free else inputs.finite("phase_shift")
    if free or phase_shift:
        recording.add_given(
            "phase shift", "phase_shift", "free" if phase_shift is None else phase_shift, "" if free else "radian"
        )
    contrast = inputs.finite("amplitude_contrast"), inputs.positive("amplitude_contrast_error")
    try:
        measurement = measure_thon(
            data, side, energy, c30, span, astigmatism, focal_spread, phase_shift, contrast, tell
        )
    except ValueError as error:
        raise from_twin(recording.name, error, "") from error
    if not has_electrons(recording):
        measurement = dataclasses.replace(measurement, electrons=math.nan)
    return RecordedMeasurement("thon", (recording,), measurement)


def _check_frequencies(recording: Recording, side: float, pixels: int, length: float, span: float) -> None:
    """BadInput where the first ring of the largest defocus is beyond the frequencies of pixels of ``side`` angstrom that are used, or all of these are beyond
    what a lens passes (``length``: the wavelength)."""
    words = recording.inputs.words
    largest = HIGHEST * math.sqrt(length * span)
    if side > largest:
        problem = f"has pixels of {side:.3g} angstrom, too large for rings of {0.1 * span:g} nm defocus"
        needed = 0.1 * (side / HIGHEST) ** 2 / length
        cure = f"Record it with pixels of at most {largest:.2g} angstrom, or raise {words.label('span')} above {needed:.2g} nm."
        raise BadInput(recording.name, problem, cure)
    lowest = length * LOWEST / (pixels * side)
    if lowest > MAX_ANGLE:
        problem = f"is {pixels * side:.3g} angstrom wide: its frequencies begin at {1e3 * lowest:.0f} mrad, beyond what a lens passes"
        needed = length * LOWEST / MAX_ANGLE
        cure = f"Check {words.label('pixel')} and {words.label('energy')}, or give an image at least {needed:.2g} angstrom wide."
        raise BadInput(recording.name, problem, cure)
