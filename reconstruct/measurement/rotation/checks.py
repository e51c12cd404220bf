"""Tests of a rotation against what it was not free to absorb: counting noise across the field, and the halves of the scan by themselves."""

import numpy as np

from reconstruct.measurement.outcome import FitCheck
from reconstruct.measurement.rotation.centres import Centres
from reconstruct.measurement.rotation.likelihood import Peak, directions, log_likelihood, parts
from reconstruct.measurement.rotation.spectrum import Spectrum, spectrum_of

MAX_CURL = 0.15
"""Share of the field's power, counting noise left out, that may have a curl."""
MAX_HALF_DEVIATION = 5.0
"""Standard errors by which the rotations of two halves of a scan may differ."""
MODEL_SPREAD = 0.03
"""Radian by which halves differ since a scan's far ends do not fit together, and its field is no gradient to the last percent."""


def curl_check(spectrum: Spectrum, peak: Peak) -> FitCheck:
    """Whether what lies across the field is the noise of counting."""
    along, across = parts(spectrum, directions(spectrum, peak.flip, peak.position))
    excess, signal = (
        float(across.sum()) - spectrum.counting * len(across),
        float(along.sum()) - spectrum.counting * len(along),
    )
    # powers of noise are as uncertain as they are large
    error = np.sqrt(spectrum.tied * len(across)) * spectrum.counting
    share = float(max(excess - 3.0 * error, 0.0) / max(signal, error))
    finding = (
        f"{100 * share:.0f} % of the field's power has a curl that counting does not explain: the specimen may be too thick for its field to be a gradient, "
        "lines of the scan may be displaced, or pixels of the camera do not count electrons; use a thinner part, or mask them ({mask})"
    )
    return FitCheck("share of the field that has a curl", share, MAX_CURL, finding)


def halves_check(centres: Centres, known: np.ndarray, peak: Peak) -> FitCheck:
    """Whether halves of the scan, each by itself, tell the same rotation."""
    ny, nx = known.shape
    values = []
    for axis, size in ((0, ny), (1, nx)):
        if size < 12:
            continue
        halves = [
            _half(centres, known, peak, axis, part) for part in (slice(0, size // 2), slice(size - size // 2, size))
        ]
        if all(half is not None for half in halves):
            (first, first_std), (second, second_std) = halves  # type: ignore[misc]
            difference = (first - second + 0.5 * np.pi) % np.pi - 0.5 * np.pi
            values.append(abs(difference) / np.sqrt(first_std**2 + second_std**2 + 2.0 * MODEL_SPREAD**2))
    value = float(max(values, default=0.0))
    finding = (
        f"halves of the scan tell rotations that are {value:.1f} standard errors apart: the specimen may have drifted unevenly, or is bent; use a part of the "
        "scan ({frame})"
    )
    return FitCheck("halves of the scan: difference in standard errors", value, MAX_HALF_DEVIATION, finding)


def _half(centres: Centres, known: np.ndarray, peak: Peak, axis: int, part: slice) -> tuple[float, float] | None:
    """Rotation of a half near that of the whole, drift and flip as of the whole, and its standard error; None where it does not tell one."""
    index = (part, slice(None)) if axis == 0 else (slice(None), part)
    own = known[index]
    if own.mean() < 0.5:
        return None
    half = Centres(centres.field[(slice(None), *index)], centres.electrons[index], centres.variance[index])
    spectrum = spectrum_of(half, own)
    turns = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 181)
    logs = np.array([
        log_likelihood(spectrum, peak.flip, peak.position + np.array([turn, 0.0, 0.0])) for turn in turns
    ])  # fmt: skip
    shares = np.exp(logs - logs.max())
    shares /= shares.sum()
    best = turns[int(np.argmax(logs))]
    distance = (turns - best + 0.5 * np.pi) % np.pi - 0.5 * np.pi
    mean = float(shares @ distance)
    std = float(np.sqrt(shares @ (distance - mean) ** 2))
    return (float(best + mean), max(std, 0.01)) if std < 0.25 else None
