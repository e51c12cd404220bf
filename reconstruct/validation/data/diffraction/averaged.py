"""Evidence of a position-averaged pattern of a known crystal whose disks overlap: pixel, semi-angle and thickness, by multislice. It takes up to a minute."""

import math
from collections.abc import Mapping

import numpy as np

from reconstruct.api.measure import measure
from reconstruct.measurement.measurement import Component
from reconstruct.measurement.outcome import DETERMINED
from reconstruct.measurement.recorded.result import RecordedMeasurement
from reconstruct.validation.data.diffraction.patterns import ANGLE, FREQUENCY
from reconstruct.validation.data.diffraction.spots import LARGEST, binned_pattern
from reconstruct.validation.data.options import Known, Tell
from reconstruct.validation.data.specimen import name_of
from reconstruct.validation.evidence import Evidence, Gap, Picture, Statement
from reconstruct.validation.judgement.likelihood import derived
from twin.errors import BadInput
from twin.records import Signal

MODEL_ERROR = 5e-3
"""Relative rms by which pixel and semi-angle are off for other reasons than those of the fit: distortion, shape of the aperture."""
NEEDED = ("high_tension", "convergence_semiangle")
VERIFY = "Record a pattern whose disks do not overlap (a smaller aperture), of a known crystal."


def averaged(signal: Signal, values: Mapping[str, float], known: Known, tell: Tell) -> tuple[list[Evidence], list[Gap]]:
    """Pixel, semi-angle and thickness by the interference of overlapping disks; a gap where the crystal does not account for the pattern."""
    pixels = ANGLE if ANGLE[0] in values else FREQUENCY
    fields = (*pixels, *NEEDED, "thickness")
    pattern, factor = binned_pattern(signal)
    if max(signal.data.shape[-2:]) > LARGEST:
        return [], [Gap(fields, f"the pattern is larger than {LARGEST} pixels", VERIFY)]
    claimed = math.sqrt(values[pixels[0]] * values[pixels[1]])
    claimed *= factor * (1.0 if pixels is ANGLE else derived(values)["wavelength"])
    try:
        fit = measure(
            "pacbed", pattern, structure=known.specimen, zone=known.zone, x=known.x, energy=values["high_tension"],
            semiangle=values["convergence_semiangle"], pixel=claimed, gain=values.get("gain", 1.0), progress=tell,
        )  # fmt: skip
    except BadInput as error:
        return [], [Gap(fields, f"the averaged pattern was not measured: {error.problem}", error.cure or VERIFY)]
    if fit.outcome != DETERMINED or {"scale", "semiangle"} & set(fit.undetermined):
        failed = [check.finding for check in fit.checks if not check.passed]
        reason = (failed or list(fit.undetermined.values()) or [fit.outcome])[0]
        return [], [Gap(fields, f"the averaged pattern was not measured: {reason}", VERIFY)]
    return [_evidence(fit, values, known, pixels)], []


def _evidence(fit: RecordedMeasurement, values: Mapping[str, float], known: Known, pixels: tuple[str, str]) -> Evidence:
    """The pixel, and the thickness where it is claimed. The semi-angle is that of the disk's radius, which is evidence by itself."""
    measured, part = fit.measurement, fit.readings[0]
    # the crystal has frequencies: of angles the wavelength is a part
    terms = dict.fromkeys(pixels, 0.5) | ({"wavelength": -1.0} if pixels is ANGLE else {})
    statements = [Statement("scale of the averaged pattern", terms)]
    # measured is how many times too large the pixel was taken
    means, signs = [statements[0].of(derived(values)) - math.log(part.mean[measured.index("scale")])], [-1.0]
    told = ["scale"]
    if "thickness" in values and "thickness" not in fit.undetermined:
        statements.append(Statement("thickness by the averaged pattern", {"thickness": 1.0}))
        means.append(math.log(part.mean[measured.index("thickness")]))
        signs.append(1.0)
        told.append("thickness")
    indices = [measured.index(name) for name in told]
    slopes = np.array(signs) / part.mean[indices]
    covariance = part.covariance[np.ix_(indices, indices)] * np.outer(slopes, slopes)
    covariance[0, 0] += MODEL_ERROR**2 + known.cell_error**2
    thickness, semiangle = (fit[name][0] for name in ("thickness", "semiangle"))
    words = f"The averaged pattern of {name_of(known)} is that of {0.1 * thickness:.3g} nm with a semi-angle of {1e3 * semiangle:.4g} mrad."
    pictures = tuple(Picture("fit", plot, "The averaged pattern and its model") for plot in measured.plots[:1])
    parts = (Component(1.0, np.array(means), covariance),)
    independent, rests = ("camera length", "lens settings"), ("high_tension",) if "thickness" in told else ()
    return Evidence("averaged pattern", "data", tuple(statements), parts, words, independent, rests, pictures)


def may_be_averaged(signal: Signal, values: Mapping[str, float], known: Known) -> bool:
    """Whether a recording is a pattern, or a scan of them, with the claims that a fit needs, and the user has time."""
    pattern = any(set(pair) <= set(values) for pair in (ANGLE, FREQUENCY))
    return known.thorough and known.specimen is not None and pattern and set(NEEDED) <= set(values)
