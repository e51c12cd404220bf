"""Evidence of shadow images of amorphous films in a convergent beam (Ronchigrams out of focus): defocus by their rings."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from reconstruct.measurement.measurement import Component
from reconstruct.measurement.ronchigram.estimator import Reading, ShadowImage, measure_shadow
from reconstruct.validation.data.diffraction.patterns import ANGLE, FREQUENCY
from reconstruct.validation.data.films import FLOOR, SQUARE, claimed_spherical
from reconstruct.validation.data.options import AMORPHOUS, Known, Tell
from reconstruct.validation.evidence import Evidence, Gap, Picture, Statement
from reconstruct.validation.judgement.likelihood import derived
from twin.records import Signal

FIELDS = ("C10",)
NEEDED = ("C10", "convergence_semiangle", "high_tension")
MOST_FRAMES = 32
"""Images of a stack above which it is a scan."""
MODEL_ERROR = 4e-3
"""Relative rms by which C10 is off for other reasons than counting: a projector distorts by 0.2 %, of which the square counts."""
VERIFY = "Record the shadow image of a thin amorphous film, 1 µm or more out of focus, with the disk within the frame."


def shadow_image(
    signal: Signal, values: Mapping[str, float], known: Known, tell: Tell
) -> tuple[list[Evidence], list[Gap]]:
    """C10, but for its sign; a gap where the lens is not known or the image is not that of a film out of focus."""
    pixels = _pixels(values)
    sides = values[pixels[0]], values[pixels[1]]
    spherical = known.spherical if known.spherical is not None else claimed_spherical(signal, values)
    if abs(sides[0] / sides[1] - 1.0) > SQUARE:
        return [], [Gap(FIELDS, "the pixels are not square", VERIFY)]
    if spherical is None:
        why = "the spherical aberration of the lens is not known"
        return [], [Gap(FIELDS, why, "Give --cs-mm (0 for a corrected lens).")]
    full = derived(values)
    angle = math.sqrt(sides[0] * sides[1]) * (1.0 if pixels is ANGLE else full["wavelength"])
    measured = measure_shadow(_middle(signal), angle, values["high_tension"], spherical, values["C10"], tell)
    if isinstance(measured, str):
        return [], [Gap(FIELDS, f"no rings of a shadow image were measured: {measured}", VERIFY)]
    return [_evidence(measured, full, pixels, spherical)], []


def _evidence(measured: ShadowImage, full: Mapping[str, float], pixels: tuple[str, str], spherical: float) -> Evidence:
    """The readings as C10 with the change that pixel and wavelength make in that of the claimed sign: a claim of the other sign is found by its size."""
    own = measured.readings[0].value
    # C10 angle^2 / wavelength is what the rings give; an angle is a frequency times the wavelength
    terms = {"C10": 1.0, "wavelength": (-own if pixels is ANGLE else own) / full["wavelength"]}
    terms |= {side: own / full[side] for side in pixels}
    statement = Statement("defocus by the shadow image", terms, "linear")
    parts = []
    for reading in measured.readings:
        mean = statement.of({**full, "C10": reading.value})
        parts.append(Component(1.0 / len(measured.readings), np.array([mean]), np.array([[_variance(reading)]])))
    words = (
        f"Rings of the shadow image make C10 {0.1 * own:.1f} or {-0.1 * own:.1f} nm with a spherical aberration of {1e-7 * spherical:g} mm; "
        "they do not tell the sign, and the file's counts from the user's zero."
    )
    picture = Picture("fit", measured.plot, "Rings of the shadow image and the fit")
    rests = ("spherical_aberration",) if "spherical_aberration" in full else ()
    return Evidence(
        "shadow image", "data", (statement,), tuple(parts), words, ("lens settings",), rests, pictures=(picture,)
    )


def _variance(reading: Reading) -> float:
    return reading.error**2 + (MODEL_ERROR * reading.value) ** 2 + FLOOR**2


def _middle(signal: Signal) -> np.ndarray:
    """The image, or the middle one of a few."""
    data: Any = signal.data
    while data.ndim > 2:
        data = data[len(data) // 2]
    return np.asarray(data, np.float64)


def _pixels(values: Mapping[str, float]) -> tuple[str, str]:
    return ANGLE if set(ANGLE) <= set(values) else FREQUENCY


def may_be_shadow(signal: Signal, values: Mapping[str, float], known: Known) -> bool:
    """Whether a recording may be the shadow image of a film: one pattern or a few of a convergent beam, of no crystal that is known."""
    few = signal.data.ndim == 2 or (signal.data.ndim == 3 and len(signal.data) <= MOST_FRAMES)
    pattern = {*_pixels(values), *NEEDED} <= set(values)
    return few and pattern and values["C10"] != 0.0 and known.specimen in (None, AMORPHOUS)
