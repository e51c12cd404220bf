"""4D-STEM -> rotation and flip between scan and camera, from the field of centres of mass.

In a phase object the centre of mass of a pattern is the gradient of the phase, smeared by the probe's intensity whatever its aberrations (Lazic et al.,
Ultramicroscopy 160, 265, 2016), so it has no curl: a vector g of the scan's axes is seen on the camera as R(rotation) diag(1, -1)^flip g, rotation from +x
towards +y (down), and at each spatial frequency q the part along q is signal and noise, the part across it noise alone. The signal's power is unknown
in each ring of |q|, that of the noise in each of a few bands, where it is at least that of counting. The likelihood has the period pi: that atoms
attract electrons, so that the field points to them, distinguishes the two ends. A specimen that drifts shears the scan and turns what has no curl: whether it
does is compared by evidence.
"""

import math

import numpy as np

from reconstruct.measurement.measurement import Component, FitPlot, Measurement, withhold
from reconstruct.measurement.outcome import Defect
from reconstruct.measurement.rotation.centres import Centres, Cleaned, centres_of_mass
from reconstruct.measurement.rotation.checks import curl_check, halves_check
from reconstruct.measurement.rotation.ends import end_probabilities
from reconstruct.measurement.rotation.likelihood import Peak, directions, find_peaks
from reconstruct.measurement.rotation.spectrum import Spectrum, field_of, spectrum_of

KIND = "scan rotation"
NAMES = ("rotation", "flip")
UNITS = ("radian", "1")
FLIP_SPREAD = 1e-3
"""Spread of 0 and 1: a flip is one or the other, and a component must have a variance."""
MIN_WEIGHT = 1e-3
"""Components of less weight are left out."""
DETERMINED_WEIGHT = 0.95
"""Weight of a direction from which it is determined."""
MAX_ROTATION_SPREAD = 0.3
"""Spread in radian from which the rotation is not determined."""


def measure_rotation(patterns: np.ndarray | Cleaned, bright: np.ndarray | None = None) -> Measurement:
    """Rotation (radian, in (-pi, pi]) and flip (0 or 1) of ``patterns`` [ny, nx, ky, kx] in counts, or what `clean_patterns` left of them, scanned with
    pixels as wide as high.

    ``bright`` [ny, nx] is an image taken with them that is bright at atoms (dark field at high angles); without one the phase's own peaks decide
    between the ends. Components are the readings left: either flip, either end, with and without a drift of the specimen; the flip's probability is its mean.
    See `centres_of_mass` for what is refused.
    """
    centres = centres_of_mass(patterns)
    if bright is not None and bright.shape != centres.electrons.shape:
        raise ValueError(
            f"bright has shape {bright.shape} but the scan {centres.electrons.shape}; give one value a pattern"
        )
    electrons = float(centres.electrons.sum())
    known = np.asarray(np.isfinite(centres.field).all(axis=0))
    if known.mean() < 0.5 or electrons <= 0.0:
        return _prior_only("most patterns hold no electrons", electrons)
    spectrum = spectrum_of(centres, known)
    if np.abs(spectrum.field).max() == 0.0:
        return _prior_only("the centre of mass is the same everywhere: no field that determines directions", electrons)
    peaks = [peak for flip in (0, 1) for peak in find_peaks(spectrum, flip)]
    highest = max(peak.log for peak in peaks)
    components, weights = [], []
    for peak in peaks:
        for end, share in end_probabilities(spectrum, peak.flip, peak.position, bright, known):
            weights.append(math.exp(peak.log - highest) * share)
            components.append(
                (np.array([(end + np.pi) % (2.0 * np.pi) - np.pi, float(peak.flip)]), peak.covariance[0, 0])
            )
    shares = np.array(weights) / np.sum(weights)
    shares = np.where(shares > MIN_WEIGHT, shares, 0.0) / shares[shares > MIN_WEIGHT].sum()
    readings = tuple(
        Component(float(weight), mean, np.diag([variance, FLIP_SPREAD**2]))
        for weight, (mean, variance) in zip(shares, components, strict=True)
        if weight > 0.0
    )
    return _report(spectrum, centres, readings, peaks, known, electrons)


def _report(
    spectrum: Spectrum,
    centres: Centres,
    readings: tuple[Component, ...],
    peaks: list[Peak],
    known: np.ndarray,
    electrons: float,
) -> Measurement:
    undetermined, notes = _open_quantities(readings)
    best = max(peaks, key=lambda peak: peak.log)
    drifting = _drift_probability(peaks, best)
    defects = list(centres.defects)
    if drifting > 0.5:
        with_drift = max((peak for peak in peaks if peak.covariance[1, 1] > 1e-11), key=lambda peak: peak.log)
        across, down = with_drift.position[1:]
        words = f"drift of ({across:.2f}, {down:.2f}) steps along (x, y) in the time of a row"
        defects.append(Defect("drift", None, "fitted", words))
    checks = (curl_check(spectrum, best), halves_check(centres, known, best)) if not undetermined else ()
    measurement = Measurement(
        KIND, NAMES, UNITS, readings, undetermined, electrons=electrons, plots=(_plot(spectrum, centres, best, known),), notes=tuple(notes), checks=checks,
        defects=tuple(defects), principal=("rotation",), periods={"rotation": 2.0 * np.pi},
    )  # fmt: skip
    return withhold(measurement, Component(1.0, np.array([0.0, 0.5]), np.diag([np.pi**2 / 3.0, 0.25])))


def _open_quantities(readings: tuple[Component, ...]) -> tuple[dict[str, str], list[str]]:
    """What is undetermined with its reason, and notes on the ends."""
    undetermined, notes = {}, []
    best = max(readings, key=lambda component: component.weight)
    flipped = sum(component.weight for component in readings if component.mean[1] > 0.5)
    near, ends = 0.0, 0.0
    for component in readings:
        turn = (component.mean[0] - best.mean[0] + np.pi) % (2.0 * np.pi) - np.pi
        spread = math.sqrt(best.covariance[0, 0] + component.covariance[0, 0])
        same = abs((turn + 0.5 * np.pi) % np.pi - 0.5 * np.pi) < 0.1 + 3.0 * spread
        if same and abs(component.mean[1] - best.mean[1]) < 0.5:
            near += component.weight
            ends += component.weight if abs(turn) > 0.5 * np.pi else 0.0
    if math.sqrt(best.covariance[0, 0]) > MAX_ROTATION_SPREAD or near < DETERMINED_WEIGHT:
        undetermined["rotation"] = "the field's curl hardly depends on the rotation: no specimen, or too few electrons"
    elif ends > MIN_WEIGHT * near:
        notes.append(
            "rotation and rotation + 180 degrees are both possible: an image that is bright at atoms would decide"
        )
    if 0.05 < flipped < 0.95:
        undetermined["flip"] = f"the field has as little curl either way: flipped with a probability of {flipped:.2f}"
    return undetermined, notes


def _drift_probability(peaks: list[Peak], best: Peak) -> float:
    """That the specimen drifts, of peaks with the flip of the best."""
    own = [(math.exp(peak.log - best.log), peak.covariance[1, 1] > 1e-11) for peak in peaks if peak.flip == best.flip]
    return sum(weight for weight, drifts in own if drifts) / sum(weight for weight, _ in own)


def _plot(spectrum: Spectrum, centres: Centres, best: Peak, known: np.ndarray) -> FitPlot:
    along = directions(spectrum, best.flip, best.position)
    model = field_of((spectrum.field * along).sum(axis=0), along, spectrum.wave)
    data = np.where(known, centres.field, np.nan)
    data = data - np.nanmean(data, axis=(1, 2), keepdims=True)
    residual = data[0] - model[0]
    scale = float(np.nanstd(residual)) or 1.0
    ny, nx = known.shape
    extent = (-0.5, nx - 0.5, ny - 0.5, -0.5)
    return FitPlot("centre of mass along x", data[0], model[0], residual / scale, extent, "pixel")


def _prior_only(reason: str, electrons: float) -> Measurement:
    components = tuple(
        Component(0.5, np.array([0.0, float(flip)]), np.diag([np.pi**2 / 3.0, FLIP_SPREAD**2])) for flip in (0, 1)
    )
    return Measurement(
        KIND, NAMES, UNITS, components, dict.fromkeys(NAMES, reason), electrons=electrons, principal=("rotation",)
    )
