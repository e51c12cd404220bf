"""Sizes of what is measured, given or claimed: sides of pixels, angles of pixels, distances of probes."""

import math

from reconstruct.measurement.recorded.recording import Recording
from twin.errors import BadInput
from twin.optics.electrons import wavelength
from twin.units import symbol


def pixel_sides(recording: Recording) -> tuple[float, float]:
    """Sides (x, y) in angstrom of the pixels of what is measured; BadInput if they are neither given nor claimed, or it is a pattern."""
    y, x = recording.axes
    words = recording.inputs.words
    if x.unit in ("radian", "1/angstrom"):
        raise BadInput(recording.name, f"is a diffraction pattern, with axes in {symbol(x.unit)}", "Give an image.")
    known = claimed_sides(recording)
    if recording.inputs.known.pixel is not None:
        side = recording.inputs.positive("pixel") * recording.preparation.bin
        recording.add_given("pixel", "pixel", side, "angstrom")
        return side, side
    if known is None:
        units = ", ".join(dict.fromkeys(axis.claimed_unit for axis in (y, x) if axis.claimed_unit))
        detail = f" (its axes are in {units!r}, which is no length)" if units else ""
        raise BadInput(recording.name, f"does not say how large its pixels are{detail}", words.add("pixel"))
    recording.inputs.in_range("pixel", math.sqrt(known[0] * known[1]))
    recording.add_setting("pixel", math.sqrt(x.scale * y.scale), "angstrom", words.origin)
    return known


def square_pixel(recording: Recording, tolerance: float) -> float:
    """Side of an image's square pixels in angstrom; BadInput as `pixel_sides`, and where the sides differ by more than the share ``tolerance``."""
    x, y = pixel_sides(recording)
    if abs(x - y) > tolerance * min(x, y):
        problem = f"has pixels of {x:g} x {y:g} angstrom, which are not square"
        raise BadInput(recording.name, problem, f"Resample it, or {_give(recording, 'pixel')} if the file is wrong.")
    return math.sqrt(x * y)


def claimed_sides(recording: Recording) -> tuple[float, float] | None:
    """Sides (x, y) of an image's pixels as its axes claim them, in angstrom, or None."""
    y, x = recording.axes
    known = x.unit == y.unit == "angstrom" and x.scale > 0 and y.scale > 0
    return (x.scale, y.scale) if known else None


def pixel_angle(recording: Recording, energy: float | None) -> float | None:
    """Angle that a pixel of a pattern spans, in radian, given or by its axes (angles, or 1/length with an energy); None where there is neither."""
    y, x = recording.axes
    given, claimed = recording.inputs.known.pixel is not None, None
    if x.unit == y.unit and x.scale > 0 and y.scale > 0:
        if x.unit == "radian":
            claimed = math.sqrt(x.scale * y.scale)
        elif x.unit == "1/angstrom" and energy is not None:
            claimed = math.sqrt(x.scale * y.scale) * wavelength(energy)
        if claimed is not None and not given and abs(x.scale - y.scale) > 0.01 * min(x.scale, y.scale):
            cure = f"Resample it, or {_give(recording, 'pixel')}."
            raise BadInput(recording.name, "has pixels that are not square", cure)
    if given:
        angle = recording.inputs.positive("pixel") * recording.preparation.bin
        return recording.add_given("angle of a pixel", "pixel", angle, "radian")
    if claimed is None:
        return None
    return recording.add_setting("angle of a pixel", claimed, "radian", recording.inputs.words.origin)


def pattern_pixel(recording: Recording, energy: float | None) -> float:
    """As `pixel_angle`; BadInput where there is neither."""
    angle = pixel_angle(recording, energy)
    if angle is None:
        words = recording.inputs.words
        lengths = recording.axes[1].unit == "1/angstrom"
        more = f", since its axes are in 1/length, or {words.label('pixel')}"
        cure = words.add("energy", more) if lengths else words.add("pixel")
        raise BadInput(recording.name, "does not say its angle of a pixel", cure)
    return angle


def probe_step(recording: Recording) -> float:
    """Distance of a scan's probes in angstrom; BadInput where it is neither given nor claimed, or the claimed steps are not square."""
    claimed = None
    if recording.inputs.known.step is None:
        y, x = recording.steps
        if x.unit == y.unit == "angstrom" and x.scale > 0 and y.scale > 0:
            claimed = math.sqrt(y.scale * x.scale)
        check_square(recording)
    return recording.require("distance of the probes", "step", claimed)


def check_square(recording: Recording) -> None:
    """BadInput where a scan's steps along y and x differ by more than a hundredth."""
    y, x = recording.steps
    if abs(abs(y.scale) - abs(x.scale)) > 0.01 * abs(x.scale):
        unit = f" {symbol(x.unit)}" if x.unit else ""
        problem = f"is scanned with steps of {x.scale:g} x {y.scale:g}{unit}, which are not square"
        cure = recording.inputs.words.add("step", " if the file is wrong, or give a scan with steps alike")
        raise BadInput(recording.name, problem, cure)


def _give(recording: Recording, name: str) -> str:
    """What to do where an input is missing, within a sentence."""
    text = recording.inputs.words.add(name).rstrip(".")
    return f"{text[:1].lower()}{text[1:]}"
