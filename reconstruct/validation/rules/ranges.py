"""Claims that cannot be: values outside of what exists, and values that the file's own mode rules out."""

import math
from collections.abc import Iterator, Mapping

from reconstruct.validation.evidence import Contradiction
from reconstruct.validation.judgement.faults import PAIRS
from twin.channels import field
from twin.records import Claim
from twin.units import CELSIUS, value_text

_IMAGE_MODES = {"2", "imaging", "image", "image mag", "mag", "mag1", "mag2", "lowmag", "low mag", "samag", "sa"}
_PATTERN_MODES = {"1", "diffraction", "diff", "diffraction 1", "saed"}
"""How programs call the projection system's mode. Numbers are those of Thermo's scripting (files of one instrument in both modes say so)."""
MAX_RATIO = 1.25
"""Largest ratio of an image's pixels along x and y; scan calibrations that differ by more than a tenth are not used."""
FACTORS = (
    (1e-3, "thousandths"), (1e3, "thousands"), (math.pi / 180.0, "degrees"), (1e10, "metres"), (1e-10, "angstrom"), (1e-6, "millionths"),
)  # fmt: skip
"""What brings a number into its range that was taken to be in the inside unit, and what it then is given in."""


def impossible(claims: Mapping[str, Claim]) -> Iterator[Contradiction]:
    """Claims outside the range of their field, negative or not finite where none can be. Zero of a scale is no claim."""
    for name, claim in claims.items():
        item = field(name)
        if isinstance(claim.value, (str, bool)) or item.form in ("text", "time"):
            continue
        value = float(claim.value)
        if item.form == "scale" and value < 0.0:
            words = f"{value_text(value, item.unit)} is negative; a {name.replace('_', ' ')} cannot be"
            kelvin = value + CELSIUS.offset
            if item.unit == "kelvin" and kelvin > 0.0:
                words += f"; as degrees Celsius it is {value_text(kelvin, item.unit)}"
                yield Contradiction(name, "disagrees", words, "Celsius for kelvin", kelvin)
            else:
                yield Contradiction(name, "disagrees", words)
        elif math.isnan(value) or (value != 0.0 and not item.low <= value <= item.high):
            low, high = (value_text(bound, item.unit) for bound in (item.low, item.high))
            words = f"{value_text(value, item.unit)} is outside of what microscopes have, {low} to {high}"
            inside = [hint for factor, hint in FACTORS if item.low <= value * factor <= item.high]
            if inside:
                words += f"; it may be given in {' or '.join(inside)}"
            yield Contradiction(name, "disagrees", words, "unit or prefix" if inside else "", weighed=True)


def out_of_mode(claims: Mapping[str, Claim], repeated: Mapping[str, tuple[Claim, ...]]) -> Iterator[Contradiction]:
    """Values of a mode that the recording was not made in: a camera length in a camera's image, a magnification in a camera's diffraction pattern.

    They were true when the other mode was used last; programs go on writing them. Scanned images are made in diffraction, so that both hold there.
    """
    scanned = any(name in claims for name in ("dwell", "line_time"))
    mode = projection(claims)
    image, pattern = "pixel.x" in claims, "pixel.kx" in claims or "pixel.angle.x" in claims
    if scanned or not (image or pattern):
        return
    if image and mode != "diffraction" and _positive(claims, "camera_length"):
        words = "the recording is an image of a camera: this camera length is of the last use of diffraction"
        yield Contradiction("camera_length", "stale", words, "stale value")
    if pattern and mode != "image" and _positive(claims, "magnification"):
        words = "the recording is a diffraction pattern of a camera: this magnification is of the last use of imaging"
        yield Contradiction("magnification", "stale", words, "stale value")


def unlike_pixels(claims: Mapping[str, Claim]) -> Iterator[Contradiction]:
    """Pixels along x and y that differ more than those of any camera or scan of an image do: one of them is likely of another unit or axis."""
    for x, y in PAIRS:
        if not (_positive(claims, x) and _positive(claims, y)):
            continue
        sizes = [float(claims[name].value) for name in (x, y)]
        ratio = max(sizes) / min(sizes)
        if ratio > MAX_RATIO:
            written = " and ".join(f"{claims[name].text} along {name[-1]}" for name in (x, y))
            words = (
                f"the file claims pixels of {written}, {ratio:.3g} to 1: cameras and scans of images record square ones"
            )
            yield Contradiction(x, "disagrees", words, "non-square pixels")
            yield Contradiction(y, "disagrees", words, "non-square pixels")


def projection(claims: Mapping[str, Claim]) -> str:
    """ "image" or "diffraction" as the file states its projection system; "" where it does not, or in words that are not known."""
    claim = claims.get("projection_mode")
    text = str(claim.value).strip().lower() if claim is not None else ""
    return "image" if text in _IMAGE_MODES else "diffraction" if text in _PATTERN_MODES else ""


def _positive(claims: Mapping[str, Claim], name: str) -> bool:
    claim = claims.get(name)
    return claim is not None and not isinstance(claim.value, str) and float(claim.value) > 0.0
