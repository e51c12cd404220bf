"""Evidence of images of amorphous films: defocus and astigmatism by Thon rings."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from reconstruct.api.measure import measure
from reconstruct.measurement.measurement import Component
from reconstruct.measurement.outcome import DETERMINED, SEVERAL
from reconstruct.measurement.recorded.result import RecordedMeasurement
from reconstruct.measurement.thon.checks import SPHERICAL
from reconstruct.validation.data.options import AMORPHOUS, Known, Tell
from reconstruct.validation.evidence import Evidence, Gap, Picture, Statement
from reconstruct.validation.judgement.likelihood import derived
from twin.errors import BadInput
from twin.records import Signal

FIELDS = ("C10", "astigmatism")
LEAST_PIXELS, LARGEST = 128, 256
"""Rows and columns that are needed, and of the part that is measured: more adds little and costs time."""
SPAN, BEYOND = 1e4, 3.0
"""Angstrom of defocus that are looked through at least, and times the claimed one."""
LONGEST = 1e5
FLOOR = 50.0
"""Angstrom rms by which the film's middle is off the specimen's plane: thickness and tilt."""
SQUARE = 0.01
LEAST_ASTIGMATISM = 4.0
"""Standard deviations from which a size of astigmatism is told."""
RESOLVED, LENS_ERROR = 5.0, 0.1
"""Standard deviations from which the rings tell C30, and the relative rms by which it differs from what is stated: lenses
do by 5 %, and fits to the few rings of a small overfocus by 10 % (drawn films, 26 of them)."""
VERIFY = "Record an amorphous film at this defocus, with its rings resolved (--specimen amorphous)."


def thon(signal: Signal, values: Mapping[str, float], known: Known, tell: Tell) -> tuple[list[Evidence], list[Gap]]:
    """C10 and astigmatism by the Thon rings of an image; a gap where the lens is not known or no rings are seen."""
    spherical = known.spherical if known.spherical is not None else claimed_spherical(signal, values)
    if spherical is None:
        return [], [
            Gap(FIELDS, "the spherical aberration of the lens is not known", "Give --cs-mm (0 for a corrected lens).")
        ]
    sides = values["pixel.x"], values["pixel.y"]
    if abs(sides[0] / sides[1] - 1.0) > SQUARE:
        return [], [Gap(FIELDS, "the pixels are not square", VERIFY)]
    image = _middle(signal)
    if min(image.shape) < LEAST_PIXELS:
        return [], [
            Gap(FIELDS, f"the image has {image.shape[1]} x {image.shape[0]} pixels: too few for Thon rings", VERIFY)
        ]
    span = min(max(SPAN, BEYOND * abs(values["C10"])), LONGEST)
    tell("looking for Thon rings", None)
    try:
        fit = measure(
            "thon",
            image,
            pixel=math.sqrt(sides[0] * sides[1]),
            energy=values["high_tension"],
            spherical=spherical,
            span=span,
        )
    except BadInput as error:
        return [], [Gap(FIELDS, f"no Thon rings were measured: {error.problem}", VERIFY)]
    scale = _scale(fit, values)
    if fit.outcome not in (DETERMINED, SEVERAL) or "C10" in fit.undetermined:
        failed = [check.finding for check in fit.checks if not check.passed]
        reason = (failed or [fit.undetermined.get("C10", fit.outcome)])[0]
        rings = all(check.passed for check in fit.checks if check.name != SPHERICAL) and bool(failed)
        return scale if rings else [], [Gap(FIELDS, f"no Thon rings were measured: {reason}", VERIFY)]
    return [_evidence(fit, values, spherical), *scale], []


def _scale(fit: RecordedMeasurement, values: Mapping[str, float]) -> list[Evidence]:
    """What the distances of the rings from one another say: C30 wavelength^3 / pixel^4, where the file claims C30 and the rings tell it."""
    check = next((check for check in fit.checks if check.name == SPHERICAL and check.measured), None)
    claimed = values.get("spherical_aberration", 0.0)
    if (
        check is None
        or check.measured is None
        or not claimed > 0.0
        or not check.measured[0] > RESOLVED * check.measured[1]
    ):
        return []
    value, error = check.measured
    statement = Statement(
        "distances of Thon rings", {"spherical_aberration": 1.0, "wavelength": 3.0, "pixel.x": -2.0, "pixel.y": -2.0}
    )
    mean = statement.of({**derived(values), "spherical_aberration": value})
    part = Component(1.0, np.array([mean]), np.array([[(error / value) ** 2 + LENS_ERROR**2]]))
    words = f"With the pixels and the high tension of the file the distances of the Thon rings make C30 {1e-7 * value:.3g} mm."
    return [Evidence("distances of Thon rings", "data", (statement,), (part,), words, ("lens settings", "defocus"))]


def _evidence(fit: RecordedMeasurement, values: Mapping[str, float], spherical: float) -> Evidence:
    measured = fit.measurement
    which = [measured.index(name) for name in ("C10", "C12a", "C12b")]
    parts = fit.readings[:1] if fit.outcome == DETERMINED else fit.readings
    total = sum(part.weight for part in parts)
    defocus = [float(part.mean[which[0]]) for part in parts]
    full = derived(values)
    terms = {"C10": 1.0}
    if len(parts) == 1:  # C10 is in proportion to the area of a pixel over the wavelength
        terms |= {"wavelength": defocus[0] / full["wavelength"]}
        terms |= {side: -defocus[0] / values[side] for side in ("pixel.x", "pixel.y")}
    statements = [Statement("defocus by Thon rings", terms, "linear")]
    components = []
    size, size_error = _astigmatism(parts[0], which)
    told = size > LEAST_ASTIGMATISM * size_error and values.get("astigmatism", 0.0) > 0.0
    if told:
        statements.append(Statement("astigmatism by Thon rings", {"astigmatism": 1.0}))
    for part, value in zip(parts, defocus, strict=True):
        mean = [statements[0].of({**full, "C10": value})]
        variance = [float(part.covariance[which[0], which[0]]) + FLOOR**2]
        if told:
            size, size_error = _astigmatism(part, which)
            mean.append(math.log(size))
            variance.append((size_error / size) ** 2)
        components.append(Component(part.weight / total, np.array(mean), np.diag(variance)))
    said = " or ".join(f"{0.1 * value:.1f}" for value in defocus)
    words = f"Thon rings make C10 {said} nm with a spherical aberration of {1e-7 * spherical:g} mm; the file's counts from the user's zero."
    if len(parts) > 1:
        words += " The rings do not tell the sign."
    pictures = tuple(Picture("fit", plot, "Thon rings and the fit") for plot in measured.plots[:1])
    rests = (
        ("spherical_aberration",) if len(parts) == 1 else ("spherical_aberration", "pixel.x", "pixel.y", "high_tension")
    )
    return Evidence(
        "Thon rings", "data", tuple(statements), tuple(components), words, ("lens settings",), rests, pictures
    )


def _astigmatism(part: Component, which: list[int]) -> tuple[float, float]:
    vector = part.mean[which[1:]]
    size = float(np.hypot(*vector))
    along = vector / max(size, 1e-9)
    return size, math.sqrt(float(along @ part.covariance[np.ix_(which[1:], which[1:])] @ along))


def claimed_spherical(signal: Signal, values: Mapping[str, float]) -> float | None:
    """As claimed; 0 of a vendor's file says that it was not set. emtwin's own recordings leave a corrected one out."""
    claimed = values.get("spherical_aberration", 0.0)
    return claimed if claimed != 0.0 else 0.0 if "emtwin.scenario.name" in signal.raw else None


def _middle(signal: Signal) -> np.ndarray:
    """The middle of an image, or of the first of a stack, at most `LARGEST` pixels each way."""
    data: Any = signal.data
    while data.ndim > 2:
        data = data[0]
    rows, columns = (max((size - LARGEST) // 2, 0) for size in data.shape)
    return np.asarray(data[rows : rows + LARGEST, columns : columns + LARGEST], np.float64)


def may_be_film(signal: Signal, values: Mapping[str, float], known: Known) -> bool:
    """Whether a recording may be a camera's image of a film: not scanned, with the claims that rings need, and of no crystal that is known."""
    needed = {"C10", "pixel.x", "pixel.y", "high_tension"} <= set(values)
    scanned = any(name in signal.claims for name in ("dwell", "line_time", "convergence_semiangle"))
    scanned = scanned and "exposure" not in signal.claims
    plain = signal.kind in ("image", "image-stack") and signal.data.ndim < 4 and not np.iscomplexobj(signal.data)
    return needed and plain and not scanned and known.specimen in (None, AMORPHOUS)
