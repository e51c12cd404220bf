"""Checks of a film's fit against its data, on what the fit was not free to absorb.

- Each camera pixel is predicted from the others: the share of the signal that is not (`residuals`).
- Shells and sectors of scan frequencies, and exposures, must each say the same C10 and C12 as all together: with the score S_g of a part, its information
  I_g and the covariance B of the whole, the part would move the coefficients by d = B S_g, of variance B (I_g - I_g B I_g) B where the model is right,
  and that times the scatter of the scores over what is expected where it is only nearly right.
- What is stated of the scan and the aperture, and that the aberrations end with third order (`geometry`).

Limits: a film of 5 nm scatters more than once, which alone makes deviations of half the limits; 4 standard deviations are added.
"""

import numpy as np

from reconstruct.measurement.film.fitting import FilmFit, few_pixels
from reconstruct.measurement.film.geometry import PHASE_RADII, deviation
from reconstruct.measurement.film.orientation import Orientation, rotation_between
from reconstruct.measurement.outcome import FitCheck

SIGMAS = 4.0
MAX_UNEXPLAINED, MAX_OF_ONE = 0.2, 0.4
"""Of all exposures together, and of one, which shells of scan frequencies tell less well."""
MAX_DISAGREEMENT = 6.0
"""Chi square over its 3 degrees of freedom of the part that disagrees most; chance alone makes more in one part of 2,500."""
MAX_SCALE, MAX_SEMIANGLE, MAX_PHASE = 0.035, 0.04, 0.1
"""Logs of ratios, and radian."""
MAX_TURN = 20.0
"""Degrees of rotation that are fitted without a word of the user."""
SHELLS, SECTORS = 4, 4
JUDGED = 3
"""C10 and both parts of C12."""


def fit_checks(fit: FilmFit, stated: Orientation) -> tuple[FitCheck, ...]:
    """All checks, none for a few pixels; ``stated``: how the scan was said to lie."""
    if few_pixels(fit.data):
        return ()
    return (
        _orientation(fit, stated),
        _unexplained(fit),
        _worst_exposure(fit),
        _scale(fit),
        _semiangle(fit),
        *_phases(fit),
        _parts(fit),
    )


def _orientation(fit: FilmFit, stated: Orientation) -> FitCheck:
    measured = fit.orientation
    turn = np.degrees(rotation_between(measured, stated))
    mirrored = measured.mirrored != stated.mirrored
    what = f"a scan rotated by {np.degrees(measured.rotation):.1f} degrees against the camera"
    cure = f"state {{rotation}}, {np.degrees(measured.rotation):.1f} degrees"
    if mirrored:
        what += " and mirrored"
        cure = f"exchange the axes of the scan ({{axes}} 1,0,2,3) and state {{rotation}}, {exchanged_rotation(measured):.1f} degrees"
    if abs(turn) > 150.0 and not mirrored:
        cure += ", or state the changes of C10 with the other sign"
    finding = (
        f"the data are of {what}, not by {np.degrees(stated.rotation):.1f} degrees: `measure rotation` tells; {cure}"
    )
    value = 180.0 if mirrored else abs(float(turn))
    return FitCheck("rotation of the scan, degrees", value, MAX_TURN, finding)


def exchanged_rotation(mirrored: Orientation) -> float:
    """Rotation (degrees within +-180) of a ``mirrored`` scan once its axes are exchanged: its x points where its y pointed."""
    return float((np.degrees(mirrored.rotation) + 90.0) % 360.0 - 180.0)


def _unexplained(fit: FilmFit) -> FitCheck:
    left = fit.residuals
    finding = (
        f"{left.unexplained:.0%} of the signal in a camera pixel is not predicted from the other pixels: the film may be thick (plural scattering), partly "
        "crystalline, or the scan distorted, or the descan off; use a thinner, amorphous place and look at the scan"
    )
    limit = MAX_UNEXPLAINED + SIGMAS * left.std
    return FitCheck("signal that other pixels do not predict", left.unexplained, limit, finding)


def _worst_exposure(fit: FilmFit) -> FitCheck:
    left = fit.residuals
    limits = [MAX_OF_ONE + SIGMAS * std for std in left.stds]
    worst = max(range(len(limits)), key=lambda number: left.shares[number] / limits[number])
    finding = (
        f"{left.shares[worst]:.0%} of the signal of exposure {worst + 1} is not predicted, which the others may fit: "
        "the changes of C10 may be of other size, sign or order than stated; check them"
    )
    return FitCheck(
        "signal of one exposure that other pixels do not predict", left.shares[worst], limits[worst], finding
    )


def _scale(fit: FilmFit) -> FitCheck:
    total = fit.log_scale + fit.scale.value
    finding = (
        f"the shifts of the disk by the scan's frequencies are {np.exp(total):.3f} of what is stated: step or wavelength is off by so much, or "
        "the camera's pixel by its inverse; check the step, the energy and the pixel"
    )
    limit = MAX_SCALE + SIGMAS * fit.scale.std
    return FitCheck("scale of scan against camera", abs(total), limit, finding)


def _semiangle(fit: FilmFit) -> FitCheck:
    measured = deviation("semiangle", fit.data, fit.evaluated, fit.maxima[0].parameters, fit.information)
    finding = (
        f"the overlaps are those of a semi-angle of {np.exp(np.clip(measured.value, -2.0, 2.0)):.2f} times that stated: "
        "check the semi-angle and the camera's pixel, with `measure disk`"
    )
    return FitCheck("semi-angle by the overlaps", abs(measured.value), MAX_SEMIANGLE + SIGMAS * measured.std, finding)


def _phases(fit: FilmFit) -> list[FitCheck]:
    checks = []
    for name in PHASE_RADII:
        measured = deviation(name, fit.data, fit.evaluated, fit.maxima[0].parameters, fit.information)
        finding = (
            f"the aperture has a {name} of its radius, of {measured.value:.2f} ± {measured.std:.2f} radian, beyond aberrations of third order: a phase plate, "
            "charging, or aberrations of fifth order; use a smaller aperture without a plate"
        )
        limit = MAX_PHASE + SIGMAS * measured.std
        checks.append(FitCheck(f"{name} of the aperture's radius, radian", abs(measured.value), limit, finding))
    return checks


def _parts(fit: FilmFit) -> FitCheck:
    each = list(zip(fit.evaluated.exposures, fit.informations, strict=True))
    inverse = np.linalg.inv(fit.information)
    worst, where = 0.0, ""
    for name, score, information in _groups(fit, each):
        move = (inverse @ score)[:JUDGED]
        variance = (inverse @ (information - information @ inverse @ information) @ inverse)[:JUDGED, :JUDGED]
        scale = np.sqrt(np.maximum(np.diag(variance), 1e-300))
        values, vectors = np.linalg.eigh(variance / np.outer(scale, scale))
        # a part that determines a combination alone does not test it
        tested = values > 1e-3
        statistic = float((((vectors.T @ (move / scale)) ** 2)[tested] / values[tested]).sum()) / JUDGED
        if statistic > worst:
            worst, where = statistic, name
    worst /= _scatter(fit, inverse)
    finding = (
        f"{where} say other values of C10 and C12 than all together (chi square {worst:.0f} per quantity): step, pixel, energy or changes of C10 are not as "
        "stated, the scan is distorted, or the film is thick or partly crystalline"
    )
    return FitCheck("disagreement of parts of the scan frequencies", worst, MAX_DISAGREEMENT, finding)


def _scatter(fit: FilmFit, inverse: np.ndarray) -> float:
    """How much the scores of C10 and C12 scatter from frequency to frequency over what the model says, at least 1."""
    moves = (fit.evaluated.scores @ inverse)[:, :JUDGED]
    expected = (inverse @ np.sum([part.sum(axis=0) for part in fit.informations], axis=0) @ inverse)[:JUDGED, :JUDGED]
    scale = np.sqrt(np.diag(expected))
    ratio = np.linalg.solve(expected / np.outer(scale, scale), (moves.T @ moves) / np.outer(scale, scale))
    return max(1.0, float(np.trace(ratio)) / JUDGED)


def _groups(fit: FilmFit, each: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(name, score [n], information [n, n]) of parts of the data."""
    groups = [(f"exposure {i + 1}", rows.sum(axis=0), parts.sum(axis=0)) for i, (rows, parts) in enumerate(each)]
    groups = groups if len(each) > 1 else []
    q = [part.spectra.q for part in fit.data]
    radii = np.quantile(np.hypot(*q[0].T), np.linspace(0.0, 1.0, SHELLS + 1)[1:-1])
    for number in range(SHELLS):
        chosen = [np.searchsorted(radii, np.hypot(*values.T)) == number for values in q]
        groups.append((f"scan frequencies of shell {number + 1} of {SHELLS}", *_summed(each, chosen)))
    for number in range(SECTORS):
        chosen = [
            ((np.arctan2(values[:, 1], values[:, 0]) % np.pi) / np.pi * SECTORS).astype(int) % SECTORS == number
            for values in q
        ]
        name = f"scan frequencies near {180.0 * (number + 0.5) / SECTORS:.0f} degrees"
        groups.append((name, *_summed(each, chosen)))
    return groups


def _summed(each: list[tuple[np.ndarray, np.ndarray]], chosen: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    pairs = list(zip(each, chosen, strict=True))
    return (
        np.sum([rows[use].sum(axis=0) for (rows, _), use in pairs], axis=0),
        np.sum([parts[use].sum(axis=0) for (_, parts), use in pairs], axis=0),
    )
