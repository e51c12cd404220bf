"""4D-STEM -> rotation and flip between scan and camera, from the field of centres of mass.

In a phase object the centre of mass of a pattern is the gradient of the phase, smeared by the probe's intensity whatever its aberrations (Lazic et al.,
Ultramicroscopy 160, 265, 2016), so it has no curl: a vector g of the scan's axes is seen on the camera as R(rotation) diag(1, -1)^flip g, rotation from +x
towards +y (down), and at each spatial frequency q the part along q is signal and noise, the part across it noise alone. The signal's power is unknown
in each ring of |q|, that of the noise in each of a few bands, where it is at least that of counting. The likelihood has the period pi: that atoms
attract electrons, so that the field points to them, distinguishes the two ends, by an image that is bright at atoms or by the phase's own peaks.
"""

from typing import NamedTuple

import numpy as np
from scipy.signal.windows import tukey
from scipy.special import log_ndtr

from reconstruct.measurement.measurement import Component, FitPlot, Measurement

KIND = "scan rotation"
NAMES = ("rotation", "flip")
UNITS = ("radian", "1")
TAPER = 0.25
"""Share of the scan that is faded in and out, so that its far ends need not fit together."""
MIN_RING_FREQUENCIES = 24
"""Spatial frequencies in a ring, at least."""
NOISE_BANDS = 3
"""Bands of |q| in each of which the noise has one power."""
FLIP_SPREAD = 1e-3
"""Spread of 0 and 1: a flip is one or the other, and a component must have a variance."""
MIN_WEIGHT = 1e-3
"""Components of less weight are left out."""
DETERMINED_WEIGHT = 0.95
"""Weight of a direction from which it is determined."""
MAX_ROTATION_SPREAD = 0.3
"""Spread in radian from which the rotation is not determined."""


class Centres(NamedTuple):
    """Centres of mass (x, y) of patterns in camera pixels [2, ny, nx] from the middle, electrons [ny, nx] (NaN and 0 where there is none), and the
    variance of one part of a centre [ny, nx] from counting alone."""

    field: np.ndarray
    electrons: np.ndarray
    variance: np.ndarray


class Spectrum(NamedTuple):
    """Fourier coefficients (x, y) of the field [2, m], directions ``towards`` their frequencies [2, m], rings and bands [m], the power that counting
    leaves in each part, by how much tapering ties coefficients, and frequencies (x, y) with the scan's size [4, m]."""

    field: np.ndarray
    towards: np.ndarray
    ring: np.ndarray
    band: np.ndarray
    counting: float
    tied: float
    wave: np.ndarray


def centres_of_mass(patterns: np.ndarray) -> Centres:
    """First moments of ``patterns`` [ny, nx, ky, kx] in counts; NaN pixels of the camera (dead) are left out."""
    if patterns.ndim != 4 or min(patterns.shape[:2]) < 6 or min(patterns.shape[2:]) < 4:
        raise ValueError(
            f"patterns have shape {patterns.shape}; give [ny, nx, ky, kx], at least 6 x 6 patterns of 4 x 4 pixels"
        )
    counts = np.where(np.isfinite(patterns), patterns, 0.0)
    y = np.arange(counts.shape[2]) - 0.5 * (counts.shape[2] - 1)
    x = np.arange(counts.shape[3]) - 0.5 * (counts.shape[3] - 1)
    total = counts.sum(axis=(2, 3))
    moments = np.stack([counts.sum(axis=2) @ x, counts.sum(axis=3) @ y])
    with np.errstate(divide="ignore", invalid="ignore"):
        field = np.where(total > 0, moments / total, np.nan)
        second = (counts.sum(axis=2) @ x**2 + counts.sum(axis=3) @ y**2) / total - (field**2).sum(axis=0)
        return Centres(field, total, 0.5 * second / total)


def measure_rotation(patterns: np.ndarray, bright: np.ndarray | None = None) -> Measurement:
    """Rotation (radian, in (-pi, pi]) and flip (0 or 1) of ``patterns`` [ny, nx, ky, kx] in counts, scanned with pixels as wide as high.

    ``bright`` [ny, nx] is an image taken with them that is bright at atoms (dark field at high angles); without one the phase's own peaks decide
    between the ends. Components are the readings left: either flip, either end; the flip's probability is its mean. See `centres_of_mass` for what is refused.
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
    spectrum = _spectrum(centres, known)
    if np.abs(spectrum.field).max() == 0.0:
        return _prior_only("the centre of mass is the same everywhere: no field that determines directions", electrons)
    maxima = []
    for flip in (0, 1):
        for angle, log, std in _maxima(spectrum, flip):
            maxima.append((flip, angle, log, std))
    max_log = max(log for _, _, log, _ in maxima)
    components, weights = [], []
    for flip, angle, log, std in maxima:
        for end, share in _end_probabilities(spectrum, flip, angle, bright, known):
            weights.append(float(np.exp(log - max_log)) * share)
            components.append((np.array([(end + np.pi) % (2.0 * np.pi) - np.pi, float(flip)]), std))
    shares = np.array(weights) / np.sum(weights)
    shares = np.where(shares > MIN_WEIGHT, shares, 0.0) / shares[shares > MIN_WEIGHT].sum()
    readings = tuple(
        Component(float(weight), mean, np.diag([std**2, FLIP_SPREAD**2]))
        for weight, (mean, std) in zip(shares, components, strict=True)
        if weight > 0.0
    )
    return _report(spectrum, centres, readings, known, electrons)


def _report(
    spectrum: Spectrum, centres: Centres, readings: tuple[Component, ...], known: np.ndarray, electrons: float
) -> Measurement:
    undetermined, notes = {}, []
    best = max(readings, key=lambda component: component.weight)
    flipped = sum(component.weight for component in readings if component.mean[1] > 0.5)
    differences = [(component.mean[0] - best.mean[0] + 0.5 * np.pi) % np.pi - 0.5 * np.pi for component in readings]
    same = [
        abs(turn) < 0.1 and abs(component.mean[1] - best.mean[1]) < 0.5
        for turn, component in zip(differences, readings, strict=True)
    ]
    direction = sum(component.weight for component, matches in zip(readings, same, strict=True) if matches)
    if np.sqrt(best.covariance[0, 0]) > MAX_ROTATION_SPREAD or direction < DETERMINED_WEIGHT:
        undetermined["rotation"] = "the field's curl hardly depends on the rotation: no specimen, or too few electrons"
    elif best.weight < DETERMINED_WEIGHT * direction:
        notes.append(
            "rotation and rotation + 180 degrees are both possible: an image that is bright at atoms would decide"
        )
    if 0.05 < flipped < 0.95:
        undetermined["flip"] = f"the field has as little curl either way: flipped with a probability of {flipped:.2f}"
    forward = _camera_matrix(best.mean[0], round(float(best.mean[1])))
    along = forward @ spectrum.towards
    model = _field((spectrum.field * along).sum(axis=0), along, spectrum.wave)
    data = np.where(known, centres.field, np.nan)
    data = data - np.nanmean(data, axis=(1, 2), keepdims=True)
    residual = data[0] - model[0]
    scale = float(np.nanstd(residual)) or 1.0
    ny, nx = known.shape
    plot = FitPlot(
        "centre of mass along x", data[0], model[0], residual / scale, (-0.5, nx - 0.5, ny - 0.5, -0.5), "pixel"
    )
    return Measurement(
        KIND, NAMES, UNITS, readings, undetermined, electrons=electrons, plots=(plot,), notes=tuple(notes)
    )


def _camera_matrix(angle: float, flip: int) -> np.ndarray:
    """R(angle) diag(1, -1)^flip, [2, 2]."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]]) @ np.diag([1.0, -1.0 if flip else 1.0])


def _spectrum(centres: Centres, known: np.ndarray) -> Spectrum:
    """The field's Fourier coefficients; a plane through each component goes first, as descan is not the specimen's."""
    ny, nx = known.shape
    y, x = np.mgrid[:ny, :nx]
    columns = np.column_stack([np.ones(ny * nx), x.ravel() - 0.5 * nx, y.ravel() - 0.5 * ny])
    window = tukey(ny + 2, TAPER)[1:-1, None] * tukey(nx + 2, TAPER)[None, 1:-1]
    flat = []
    for part in centres.field:
        values = part[known]
        plane = np.linalg.lstsq(columns[known.ravel()], values, rcond=None)[0]
        flat.append(np.where(known, part - (columns @ plane).reshape(ny, nx), 0.0) * window)
    ky, kx = np.meshgrid(np.fft.fftfreq(ny), np.fft.fftfreq(nx), indexing="ij")
    size = np.hypot(kx, ky)
    # one of each pair of opposite frequencies; those of half a cycle a pixel have no direction
    use = ((ky > 0) | ((ky == 0) & (kx > 0))) & (np.abs(kx) < 0.5) & (np.abs(ky) < 0.5)
    order = np.argsort(size[use], kind="stable")
    ring = np.empty(use.sum(), int)
    ring[order] = np.minimum(
        np.arange(use.sum()) // MIN_RING_FREQUENCIES, max(use.sum() // MIN_RING_FREQUENCIES - 1, 0)
    )
    spectra = np.stack([np.fft.fft2(part)[use] for part in flat])
    towards = np.stack([kx[use], ky[use]]) / size[use]
    tied = np.prod(
        [len(w) * (w**4).sum() / (w**2).sum() ** 2 for w in (tukey(ny + 2, TAPER)[1:-1], tukey(nx + 2, TAPER)[1:-1])]
    )
    wave = np.stack([kx[use], ky[use], np.full(use.sum(), nx), np.full(use.sum(), ny)])
    counting = float((np.where(known, centres.variance, 0.0) * window**2).sum())
    band = ring * NOISE_BANDS // (ring.max() + 1)
    return Spectrum(spectra, towards, ring, band, counting, float(tied), wave)


def _log_likelihood(spectrum: Spectrum, flip: int, angle: float) -> float:
    """Log likelihood at the likeliest powers of signal and noise."""
    along = _camera_matrix(angle, flip) @ spectrum.towards
    across = np.stack([-along[1], along[0]])
    part = [np.abs((spectrum.field * direction).sum(axis=0)) ** 2 for direction in (along, across)]
    noise = np.maximum(np.bincount(spectrum.band, part[1]) / np.bincount(spectrum.band), spectrum.counting)[
        spectrum.band
    ]
    count = np.bincount(spectrum.ring)
    power = np.maximum((np.bincount(spectrum.ring, part[0]) / count)[spectrum.ring], noise)
    return -float((np.log(noise) + part[1] / noise + np.log(power) + part[0] / power).sum()) / spectrum.tied


def _maxima(spectrum: Spectrum, flip: int) -> list[tuple[float, float, float]]:
    """(angle, log of the integral, std) of the likelihood's maxima in [0, pi), by Laplace's method about the largest and what rivals it."""
    angles = np.linspace(0.0, np.pi, 360, endpoint=False)
    logs = np.array([_log_likelihood(spectrum, flip, float(angle)) for angle in angles])
    peak = (logs >= np.roll(logs, 1)) & (logs > np.roll(logs, -1)) & (logs > logs.max() - 12.0)
    indices = np.flatnonzero(peak) if peak.any() else np.array([int(np.argmax(logs))])
    maxima = []
    for index in indices[np.argsort(-logs[indices])][:4]:
        angle, step = float(angles[index]), float(angles[1])
        top, curvature = float(logs[index]), 1e-3
        for _ in range(12):
            top = _log_likelihood(spectrum, flip, angle)
            up, down = (_log_likelihood(spectrum, flip, angle + sign * step) for sign in (1.0, -1.0))
            curvature = -(up - 2.0 * top + down) / step**2
            if curvature <= 0.0:
                step *= 0.5
                continue
            change = float(np.clip(0.5 * (up - down) / step / curvature, -step, step))
            angle += change
            width = 1.0 / np.sqrt(curvature)
            if abs(change) < 0.02 * width and 0.3 < step / width < 3.0:
                break
            step = float(np.clip(width, 0.1 * step, 0.1))
        std = float(1.0 / np.sqrt(max(curvature, 1.0 / (np.pi**2 / 3.0))))
        maxima.append((angle, top + np.log(std), std))
    return maxima


def _end_probabilities(
    spectrum: Spectrum, flip: int, angle: float, bright: np.ndarray | None, known: np.ndarray
) -> list[tuple[float, float]]:
    """Both ends of a direction with their probabilities, by the sign of the phase that the field along q makes."""
    along = _camera_matrix(angle, flip) @ spectrum.towards
    signal = (spectrum.field * along).sum(axis=0)
    across = np.abs((spectrum.field * np.stack([-along[1], along[0]])).sum(axis=0)) ** 2
    count = np.bincount(spectrum.ring)
    power = np.bincount(spectrum.ring, np.abs(signal) ** 2) / count
    noise = np.bincount(spectrum.ring, across) / count
    signal_share = np.maximum(1.0 - noise / np.maximum(power, 1e-300), 0.0)[spectrum.ring]
    kx, ky = spectrum.wave[:2]
    phase = -1j * signal * signal_share / np.hypot(kx, ky)
    ny, nx = known.shape
    if bright is not None:
        image = np.where(known & np.isfinite(bright), bright, np.nan)
        image = np.where(np.isfinite(image), image - np.nanmean(image), 0.0)
        window = tukey(ny + 2, TAPER)[1:-1, None] * tukey(nx + 2, TAPER)[None, 1:-1]
        other = np.fft.fft2(image * window)[np.round(ky * ny).astype(int), np.round(kx * nx).astype(int)]
        joint = np.real(phase * other.conj())
        evidence = joint.sum() / np.sqrt(0.5 * spectrum.tied * (np.abs(phase) ** 2 * np.abs(other) ** 2).sum() + 1e-300)
    else:
        image = _image(phase, spectrum.wave)
        powers = np.abs(phase) ** 2
        independent = powers.sum() ** 2 / max((powers**2).sum(), 1e-300) / spectrum.tied
        scatter = image.std()
        skewness = float((image**3).mean() / scatter**3) if scatter > 0.0 else 0.0
        evidence = skewness / np.sqrt(6.0 / max(independent, 1.0))
    log_probabilities = log_ndtr(evidence), log_ndtr(-evidence)
    first = float(1.0 / (1.0 + np.exp(np.clip(log_probabilities[1] - log_probabilities[0], -500.0, 500.0))))
    return [(angle, first), (angle + np.pi, 1.0 - first)]


def _image(coefficients: np.ndarray, wave: np.ndarray) -> np.ndarray:
    """The real image [ny, nx] of Fourier coefficients of half the frequencies."""
    nx, ny = int(wave[2, 0]), int(wave[3, 0])
    whole = np.zeros((ny, nx), complex)
    row, column = np.round(wave[1] * ny).astype(int), np.round(wave[0] * nx).astype(int)
    whole[row, column] = coefficients
    whole[-row, -column] = coefficients.conj()
    return np.fft.ifft2(whole).real


def _field(signal: np.ndarray, along: np.ndarray, wave: np.ndarray) -> np.ndarray:
    """The curl-free field (x, y) on the camera, [2, ny, nx], of its parts ``along`` q."""
    return np.stack([_image(signal * along[axis], wave) for axis in range(2)])


def _prior_only(reason: str, electrons: float) -> Measurement:
    components = tuple(
        Component(0.5, np.array([0.0, float(flip)]), np.diag([np.pi**2 / 3.0, FLIP_SPREAD**2])) for flip in (0, 1)
    )
    return Measurement(KIND, NAMES, UNITS, components, dict.fromkeys(NAMES, reason), electrons=electrons)
