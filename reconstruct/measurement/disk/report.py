"""The measurement of a disk out of its fit; and what is left of one that cannot be fitted."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from reconstruct.measurement.disk.outline import ELLIPTICITY_SPREAD
from reconstruct.measurement.disk.search import Found
from reconstruct.measurement.disk.statements import DEFAULT_SEMIANGLE, Scale, angles_of
from reconstruct.measurement.measurement import Component, FitPlot, Measurement, withhold
from reconstruct.measurement.outcome import Defect, FitCheck

if TYPE_CHECKING:
    from reconstruct.measurement.disk.estimator import Fitted

KIND = "disk"
NAMES = ("radius", "centre_x", "centre_y", "ellipse_a", "ellipse_b", "edge", "semiangle", "camera_length")
UNITS = ("pixel", "pixel", "pixel", "1", "1", "pixel", "radian", "angstrom")
PRINCIPAL = ("radius", "centre_x", "centre_y")
MODEL_ERROR, WIDTH_ERROR = 0.01, 0.02
"""Pixels by which positions, and the width of the edge, are off that counting and the scatter of sectors do not tell. Another form of the edge and pixels of
finite size make 0.001 and 0.008 of it (16 patterns without a crystal, 3 10^9 electrons); the rest is of crystals whose lines and disks pull many neighbouring
sectors: at 10^8 electrons positions are off by up to 0.02 pixels where sectors hardly scatter."""
MAX_EDGE_ERROR = 0.3
"""Standard error of the edge's width over the width from which it is not determined."""
MAX_RIVAL = 0.8
"""How strongly another disk may stand out, over how strongly the one that is measured does."""
NOISE_FACTOR = 2.0
"""By how much noise may differ from that of electrons before it is noted."""


class Seen(NamedTuple):
    """Of a pattern: its ``total`` counts, ``hot`` pixels that were left out, how strongly a ``rival`` of the disk stands out, and counts of one ``electron`` by
    their noise, where a count should be one."""

    total: float
    hot: int
    rival: float
    electron: float | None


def report(
    filled: np.ndarray,
    known: np.ndarray,
    fitted: "Fitted",
    scale: Scale,
    seen: Seen,
    checks: tuple[FitCheck, ...],
) -> Measurement:
    """The measurement, out of what was ``seen`` of the pattern and ``fitted`` to it."""
    outline, fit = fitted.fit.outline, fitted.fit
    arcs = float(np.mean((fit.arc_deviation / fit.arc_error) ** 2)) if len(fit.arc_error) > 3 else 1.0
    # arcs that lie farther off what the others say than their errors make all errors larger: lines and disks of a crystal pull several sectors at a time
    covariance = fit.covariance * max(arcs, 1.0)
    covariance = covariance + MODEL_ERROR**2 * np.diag([1.0, 1.0, 1.0, outline.radius**-2, outline.radius**-2])
    shrunk, shrunk_error = _shrinkage(outline.radius, outline.width)
    radius = outline.radius + shrunk
    covariance[0, 0] += shrunk_error**2
    angles = angles_of(radius, float(np.sqrt(covariance[0, 0])), scale)
    sizes = np.diag([radius, *angles.mean])
    joint = sizes @ angles.covariance @ sizes
    whole = np.zeros((8, 8))
    whole[:5, :5] = covariance
    # what moves the edges of sectors also widens them
    whole[5, 5] = fitted.width[1] ** 2 + fit.scatter**2 + WIDTH_ERROR**2
    whole[6:, 6:] = joint[1:, 1:]
    # the rest goes with semi-angle and camera length as it goes with the radius
    whole[6:, :5] = np.outer(joint[1:, 0] / covariance[0, 0], covariance[0])
    whole[:5, 6:] = whole[6:, :5].T
    mean = np.array([radius, outline.x, outline.y, outline.a, outline.b, fitted.width[0], *angles.mean])
    undetermined = dict(angles.undetermined)
    if fitted.width[1] > MAX_EDGE_ERROR * fitted.width[0]:
        undetermined["edge"] = "too few electrons at the edge to tell its width"
    notes, defects = [], []
    if seen.rival > MAX_RIVAL:
        reason = "another disk stands out as strongly: which is the direct beam is not known; give the part of the pattern with it"
        undetermined |= dict.fromkeys(("centre_x", "centre_y"), reason)
    if seen.hot:
        defects.append(Defect("hot pixels", seen.hot, "masked", f"{seen.hot} hot pixel{'s' * (seen.hot > 1)}"))
    if fitted.arc < 0.95:
        notes.append(f"{100 * fitted.arc:.0f} % of the edge is in the frame with contrast across it")
    electron = seen.electron
    if electron is not None and not 1.0 / NOISE_FACTOR < electron < NOISE_FACTOR:
        notes.append(
            f"the noise is {electron:.2g} times that of electrons: the counts of an electron may be others, or the camera spreads each over its neighbours"
        )
    if outline.motion != (0.0, 0.0):
        defects.append(Defect("descan", None, "fitted", _motion_text(outline.motion)))
    measurement = Measurement(
        KIND, NAMES, UNITS, (Component(1.0, mean, whole),), undetermined, fitted.edges.dispersion, seen.total, (_plot(filled, known, fitted),), tuple(notes),
        checks, tuple(defects), angles.contradictions, PRINCIPAL,
    )  # fmt: skip
    candidate = Found(outline.x, outline.y, outline.radius)
    return withhold(measurement, no_disk(filled.shape, scale, "", seen.total, candidate).components[0])


def _shrinkage(radius: float, width: float) -> tuple[float, float]:
    """(mean, standard error) of how far inside the edge of an aperture half of its level lies, in pixels: nowhere if the edge itself is soft, and by
    ``width`` ** 2 / (2 ``radius``) if the pattern is spread in two dimensions, by camera or source; which of both is not known."""
    largest = width**2 / (2.0 * radius)
    return 0.5 * largest, largest / np.sqrt(12.0)


def _motion_text(motion: tuple[float, float]) -> str:
    """A motion in words: "descan of ±2.5 pixels along x"."""
    length, angle = float(np.hypot(*motion)), float(np.degrees(np.arctan2(motion[1], motion[0]))) % 180.0
    along = (
        "x"
        if min(angle, 180.0 - angle) < 5.0
        else "y"
        if abs(angle - 90.0) < 5.0
        else f"{angle:.0f} degrees from x towards y"
    )
    return f"descan of ±{0.5 * length:.1f} pixels along {along}"


def _plot(filled: np.ndarray, known: np.ndarray, fitted: "Fitted") -> FitPlot:
    model = np.full(filled.shape, np.nan)
    used = fitted.ring.complete[fitted.ring.sector]
    model.ravel()[fitted.ring.index[used]] = fitted.edges.model[used]
    noise = np.sqrt(np.maximum(model, 1e-3 * np.nanmax(model)) * fitted.edges.dispersion)
    residual = np.where(known, (filled - model) / noise, np.nan)
    ny, nx = filled.shape
    return FitPlot("disk", np.where(known, filled, np.nan), model, residual, (-0.5, nx - 0.5, ny - 0.5, -0.5), "pixel")


def no_disk(size: tuple[int, ...], scale: Scale, reason: str, total: float, disk: Found | None = None) -> Measurement:
    """What was known before, and of a disk that is seen but has no edge to measure its outline to within a tenth."""
    width = 0.5 * max(size)
    candidate = disk or Found(0.5 * size[1], 0.5 * size[0], 0.5 * width)
    spread = 0.1 * candidate.radius if disk is not None else width
    angle = scale.semiangle or DEFAULT_SEMIANGLE
    lengths = scale.lengths or [(float(np.log(candidate.radius * scale.pixel / angle[0])), 2.0)]
    length = float(np.exp(lengths[0][0]))
    mean = np.array([candidate.radius, candidate.x, candidate.y, 0.0, 0.0, 1.0, angle[0], length])
    errors = [spread, spread, spread, ELLIPTICITY_SPREAD, ELLIPTICITY_SPREAD, 0.2 * candidate.radius]
    std = np.array([*errors, angle[1], lengths[0][1] * length])
    component = Component(1.0, mean, np.diag(std**2))
    return Measurement(
        KIND, NAMES, UNITS, (component,), dict.fromkeys(NAMES, reason), electrons=total, principal=PRINCIPAL
    )
