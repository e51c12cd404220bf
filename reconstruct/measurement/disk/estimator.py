"""The bright-field disk of a convergent-beam pattern -> radius, centre, ellipticity, edge; with it semi-angle or camera length.

The disk's edge is r(phi) = R (1 + a cos 2 phi + b sin 2 phi) about its centre, phi from +x towards +y (down). What is inside and outside is not modelled:
every sector of the edge has levels and a slope of its own (crystals put lines and overlapping disks there), and an edge of common rms width between them, by
the likelihood of counts. The scatter of edge positions beyond counting noise is estimated and included in the error.
With R = semiangle camera_length / pixel one pattern determines only the product of semi-angle and camera length.
"""

import numpy as np
from scipy.fft import next_fast_len
from scipy.ndimage import gaussian_filter

from reconstruct.measurement.disk.edge import Edges, fit_edges
from reconstruct.measurement.measurement import Component, FitPlot, Measurement

KIND = "disk"
NAMES = ("radius", "centre_x", "centre_y", "ellipse_a", "ellipse_b", "edge", "semiangle", "camera_length")
UNITS = ("pixel", "pixel", "pixel", "1", "1", "pixel", "radian", "angstrom")
DEFAULT_SEMIANGLE = (20e-3, 20e-3)
"""Mean and spread in radian of the semi-angle of a probe of which nothing is known."""
ELLIPTICITY_SPREAD = 0.03
"""Prior rms of each part of the ellipticity: projector lenses leave a few percent at most."""
EDGE_ITERATIONS = 4
MIN_ARC = 0.15
"""Share of the edge that must be in the frame."""
COARSE_PIXELS = 128
"""Pixels along a side of what the disk is first looked for in."""
MODEL_ERROR = 0.02
"""Pixels that places are off because real edges are no error functions and pixels no points."""
TAIL_FREEDOM = 3.0
"""Degrees of freedom of the t distribution of where the edges of sectors are."""
SATURATED_SHARE = 0.2
"""Share of the disk's pixels that read the very same, highest value in a saturated pattern."""

Known = tuple[float, float]
"""Mean and standard deviation."""


def measure_disk(
    pattern: np.ndarray,
    pixel: float,
    camera_length: Known | None = None,
    semiangle: Known | None = None,
) -> Measurement:
    """Disk of ``pattern`` [ny, nx] in counts, NaN where it is not known, on a detector of ``pixel`` angstrom (1 micrometre is 1e4).

    ``camera_length`` (angstrom) and ``semiangle`` (radian) are what is known of them, mean and standard deviation; None is nothing. ``radius``,
    ``centre_x``, ``centre_y`` (of pixel (0, 0)'s middle) and ``edge`` (rms width, the pixel's own included) are in pixels. What is saturated, cut off by
    the frame or empty is widened, with a reason. ValueError for a pattern that is none.
    """
    known = _known_pixels(pattern, pixel, camera_length, semiangle)
    filled = np.where(known, pattern, 0.0).astype(float)
    total = float(filled.sum())
    if total <= 0.0:
        return _prior_only(pattern.shape, pixel, camera_length, semiangle, "no electrons: the pattern is empty", total)
    disk = _coarse_search(filled, known)
    if isinstance(disk, str):
        return _prior_only(pattern.shape, pixel, camera_length, semiangle, disk, total)
    if _saturated(filled, known, disk):
        reason = "the disk is saturated: where its intensity falls to half, which is its edge, cannot be seen"
        return _prior_only(pattern.shape, pixel, camera_length, semiangle, reason, total, disk)
    shape = np.array([disk[2], disk[0], disk[1], 0.0, 0.0])
    edges, covariance, width = None, np.eye(5), max(1.0, 0.02 * disk[2])
    for _ in range(EDGE_ITERATIONS):
        edges = fit_edges(filled, known, shape, width)
        width = edges.width
        if edges.arc < MIN_ARC:
            reason = f"only {100 * edges.arc:.0f} % of the disk's edge is in the frame with contrast across it"
            return _prior_only(pattern.shape, pixel, camera_length, semiangle, reason, total, disk)
        shape, covariance = _fit_ellipse(edges, shape)
    assert edges is not None
    return _report(filled, known, shape, covariance, edges, pixel, camera_length, semiangle, total)


def ellipticity(measurement: Measurement) -> tuple[float, float]:
    """Magnitude of the ellipticity (half the difference of the axes over their mean) and azimuth in radian of the long axis, within +-pi / 2."""
    a, b = measurement.value("ellipse_a")[0], measurement.value("ellipse_b")[0]
    return float(np.hypot(a, b)), float(0.5 * np.arctan2(b, a))


def _known_pixels(
    pattern: np.ndarray, pixel: float, camera_length: Known | None, semiangle: Known | None
) -> np.ndarray:
    if pattern.ndim != 2 or min(pattern.shape) < 16:
        raise ValueError(f"pattern has shape {pattern.shape}; give [ny, nx], at least 16 pixels each way")
    if not (np.isfinite(pixel) and pixel > 0.0):
        raise ValueError(f"pixel is {pixel} angstrom; give the detector's pixel, above 0 (1e4 is a micrometre)")
    for name, value in (("camera_length", camera_length), ("semiangle", semiangle)):
        if value is not None and not (np.isfinite(value).all() and value[0] > 0.0 and value[1] > 0.0):
            raise ValueError(f"{name} is {value}; give its mean and standard deviation, both above 0, or None")
    known = np.isfinite(pattern)
    if known.mean() < 0.3:
        raise ValueError(f"{100 * (1 - known.mean()):.0f} % of the pattern is not a number; mask less of it")
    if pattern[known].min() < 0.0 and pattern[known].min() < -0.1 * pattern[known].max():
        raise ValueError("the pattern has large negative counts; subtract less dark current")
    return known


def _coarse_search(filled: np.ndarray, known: np.ndarray) -> tuple[float, float, float] | str:
    """Centre (x, y) and radius of the ring across which the pattern falls most, outwards, or why there is none.

    Falls are of the square root of counts, whose noise is the same everywhere, on at most `COARSE_PIXELS` pixels; rings may have their centre off the frame.
    """
    step = max(1, -(-max(filled.shape) // COARSE_PIXELS))
    ny, nx = (size // step for size in filled.shape)
    parts = [
        array[: ny * step, : nx * step].reshape(ny, step, nx, step).sum(axis=(1, 3)) for array in (filled, 1.0 * known)
    ]
    share = gaussian_filter(parts[1], 1.0) / step**2
    root_counts = np.sqrt(np.maximum(gaussian_filter(parts[0], 1.0) / np.maximum(share, 1e-2), 0.0))
    clear = share > 0.95
    fall = [np.where(clear, gradient, 0.0) for gradient in np.gradient(-root_counts)]
    size = tuple(int(next_fast_len(2 * count) or 2 * count) for count in (ny, nx))
    spectra = [np.fft.rfft2(array, size) for array in (*fall, 1.0 * clear)]
    y, x = np.meshgrid(*(np.fft.fftfreq(count) * count for count in size), indexing="ij")
    distance = np.maximum(np.hypot(x, y), 1e-9)
    best = (0.0, 0.0, 0.0, 0.0)
    for radius in np.geomspace(3.0, 0.95 * max(ny, nx), 60):
        ring = np.exp(-0.5 * ((distance - radius) / max(0.7, 0.025 * radius)) ** 2)
        kernels = [np.fft.rfft2(kernel) for kernel in (ring * y / distance, ring * x / distance, ring)]
        down, across, seen = (
            np.fft.irfft2(spectrum * kernel.conj(), size) for spectrum, kernel in zip(spectra, kernels, strict=True)
        )
        visible = seen > 0.15 * ring.sum()
        score = np.where(visible, (down + across) / np.sqrt(np.maximum(seen, 1e-9)), 0.0)
        index = np.unravel_index(int(np.argmax(score)), size)
        if score[index] > best[0]:
            best = (float(score[index]), float(x[index]), float(y[index]), float(radius))
    _, x0, y0, radius = best
    if radius == 0.0:
        return "no disk stands out: nothing falls outwards across a ring"
    y, x = np.mgrid[: filled.shape[0], : filled.shape[1]]
    x0, y0, radius = (x0 + 0.5) * step - 0.5, (y0 + 0.5) * step - 0.5, radius * step
    share = np.hypot(x - x0, y - y0) / radius
    inside, outside = filled[known & (share < 0.95) & (share > 0.7)], filled[known & (share > 1.05) & (share < 1.3)]
    if inside.size < 30 or outside.size < 30:
        return "no disk's edge is in the frame"
    contrast = (inside.mean() - outside.mean()) / np.sqrt(
        inside.var() / inside.size + outside.var() / outside.size + 1e-300
    )
    if contrast < 8.0 or inside.mean() < 1.3 * outside.mean():
        return "no disk stands out of what is around it: it is empty, or there are too few electrons"
    return float(x0), float(y0), float(radius)


def _saturated(filled: np.ndarray, known: np.ndarray, disk: tuple[float, float, float]) -> bool:
    y, x = np.mgrid[: filled.shape[0], : filled.shape[1]]
    inside = known & (np.hypot(x - disk[0], y - disk[1]) < disk[2])
    values = filled[inside]
    return bool(values.size and values.mean() > 5.0 and (values == values.max()).mean() > SATURATED_SHARE)


def _fit_ellipse(edges: Edges, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(R, x, y, a, b) and covariance from where edges are, their scatter beyond counting learnt."""
    phi, radius = edges.azimuth, shape[0]
    columns = np.column_stack(
        [np.ones_like(phi), np.cos(phi), np.sin(phi), radius * np.cos(2 * phi), radius * np.sin(2 * phi)]
    )
    positions = edges.position
    prior = np.diag([0.0, 0.0, 0.0, ELLIPTICITY_SPREAD**-2, ELLIPTICITY_SPREAD**-2])

    variance_factor = np.ones(len(phi))

    def solved(excess: float) -> tuple[float, np.ndarray, np.ndarray]:
        variance = (edges.variance + excess**2) * variance_factor
        information = (columns / variance[:, None]).T @ columns + prior
        parameters = np.linalg.solve(information, (columns / variance[:, None]).T @ positions)
        residual = positions - columns @ parameters
        # restricted likelihood: the fitted numbers are allowed for
        log_likelihood = -0.5 * (
            np.log(variance).sum() + (residual**2 / variance).sum() + np.linalg.slogdet(information)[1]
        )
        return log_likelihood - 0.5 * float(parameters @ prior @ parameters), parameters, np.linalg.inv(information)

    sizes = np.exp(np.linspace(np.log(1e-3), np.log(0.1 * radius), 40))
    for _ in range(4):
        # sectors that a line or another disk's edge crosses are outliers: weights of a t distribution
        likeliest = max(((*solved(float(size)), float(size)) for size in sizes), key=lambda fit: fit[0])
        square = (positions - columns @ likeliest[1]) ** 2 / (edges.variance + likeliest[3] ** 2)
        variance_factor = (TAIL_FREEDOM + square) / (TAIL_FREEDOM + 1.0)
    fits = [solved(float(size)) for size in sizes]
    logs = np.array([fit[0] for fit in fits])
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    parameters = np.einsum("s,sp->p", weights, np.array([fit[1] for fit in fits]))
    deviations = np.array([fit[1] for fit in fits]) - parameters
    covariance = np.einsum("s,spq->pq", weights, np.array([fit[2] for fit in fits]))
    covariance += np.einsum("s,sp,sq->pq", weights, deviations, deviations)
    # lines and disks of a crystal pull several neighbours at once
    residual = (positions - columns @ parameters) / np.sqrt((edges.variance + (weights @ sizes) ** 2) * variance_factor)
    correlation_factor = 1.0
    for lag in range(1, 6):
        share = float((residual[lag:] * residual[:-lag]).mean() / (residual**2).mean())
        if share < 1.0 / np.sqrt(len(residual)):
            break
        correlation_factor += 2.0 * share
    covariance = covariance * correlation_factor + MODEL_ERROR**2 * np.diag([1.0, 1.0, 1.0, radius**-2, radius**-2])
    return np.array(
        [parameters[0], shape[1] + parameters[1], shape[2] + parameters[2], parameters[3], parameters[4]]
    ), covariance


def _angles(
    radius: float, std: float, pixel: float, camera_length: Known | None, semiangle: Known | None
) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    """(semiangle, camera_length) with covariance and covariance with the radius [3, 3], in logarithms; and what is open."""
    angle = semiangle or DEFAULT_SEMIANGLE
    length = camera_length or (radius * pixel / angle[0], 2.0 * radius * pixel / angle[0])
    spread = np.array([angle[1] / angle[0], length[1] / length[0]])
    prior, centre = np.diag(spread**2), np.log([angle[0], length[0]])
    row, noise = np.array([1.0, 1.0]), std / radius
    gain = prior @ row / (row @ prior @ row + noise**2)
    mean = centre + gain * (np.log(radius * pixel) - row @ centre)
    covariance = prior - np.outer(gain, row @ prior)
    # the radius is measured: its logarithm goes with the two by the same gain
    joint = np.zeros((3, 3))
    joint[1:, 1:] = covariance
    joint[0, 0] = noise**2
    joint[0, 1:] = joint[1:, 0] = gain * noise**2
    reason = "one disk determines only semi-angle times camera length: give one of them"
    undetermined: dict[str, str] = (
        dict.fromkeys(NAMES[6:], reason) if camera_length is None and semiangle is None else {}
    )
    return np.exp(mean), joint, undetermined


def _report(
    filled: np.ndarray,
    known: np.ndarray,
    shape: np.ndarray,
    covariance: np.ndarray,
    edges: Edges,
    pixel: float,
    camera_length: Known | None,
    semiangle: Known | None,
    total: float,
) -> Measurement:
    angles, joint, undetermined = _angles(shape[0], float(np.sqrt(covariance[0, 0])), pixel, camera_length, semiangle)
    scale = np.diag([shape[0], *angles])
    joint = scale @ joint @ scale
    full_covariance = np.zeros((8, 8))
    full_covariance[:5, :5] = covariance
    full_covariance[5, 5] = edges.width_std**2 + (2.0 * MODEL_ERROR) ** 2
    full_covariance[6:, 6:] = joint[1:, 1:]
    # the rest goes with semi-angle and camera length as it goes with the radius
    full_covariance[6:, :5] = np.outer(joint[1:, 0] / covariance[0, 0], covariance[0])
    full_covariance[:5, 6:] = full_covariance[6:, :5].T
    mean = np.array([*shape, edges.width, *angles])
    notes = []
    if edges.arc < 0.95:
        notes.append(f"only {100 * edges.arc:.0f} % of the edge is in the frame")
    residual = np.where(
        known, (filled - edges.model) / np.sqrt(np.maximum(edges.model, 1.0) * edges.dispersion), np.nan
    )
    size = filled.shape
    shown = FitPlot(
        "disk",
        np.where(known, filled, np.nan),
        edges.model,
        residual,
        (-0.5, size[1] - 0.5, size[0] - 0.5, -0.5),
        "pixel",
    )
    component = Component(1.0, mean, full_covariance)
    return Measurement(KIND, NAMES, UNITS, (component,), undetermined, edges.dispersion, total, (shown,), tuple(notes))


def _prior_only(
    size: tuple[int, ...],
    pixel: float,
    camera_length: Known | None,
    semiangle: Known | None,
    reason: str,
    total: float,
    disk: tuple[float, float, float] | None = None,
) -> Measurement:
    """What was known before, and of a disk that is seen but has no edge to measure its outline to within a tenth."""
    width = 0.5 * max(size)
    x, y, radius = disk if disk is not None else (0.5 * size[1], 0.5 * size[0], 0.5 * width)
    spread = 0.1 * radius if disk is not None else width
    angle = semiangle or DEFAULT_SEMIANGLE
    length = camera_length or (radius * pixel / angle[0], 2.0 * radius * pixel / angle[0])
    mean = np.array([radius, x, y, 0.0, 0.0, 1.0, angle[0], length[0]])
    std = np.array([spread, spread, spread, ELLIPTICITY_SPREAD, ELLIPTICITY_SPREAD, 0.2 * radius, angle[1], length[1]])
    undetermined = dict.fromkeys(NAMES[:6], reason)
    undetermined |= {
        name: reason for name, given in (("semiangle", semiangle), ("camera_length", camera_length)) if given is None
    }
    return Measurement(KIND, NAMES, UNITS, (Component(1.0, mean, np.diag(std**2)),), undetermined, electrons=total)
