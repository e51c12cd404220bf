"""The bright-field disk of a convergent-beam pattern -> radius, centre, ellipticity, edge; with it semi-angle or camera length.

The disk's edge is r(phi) = R (1 + a cos 2 phi + b sin 2 phi) about its centre, phi from +x towards +y (down). What is inside and outside is not modelled:
every sector of the edge has levels and a slope of its own (crystals put lines and overlapping disks there), and an edge of common rms width between them, by
the likelihood of counts. How much more the places of edges scatter than counting explains is learnt and is part of the error.
With R = semiangle camera_length / pixel one pattern tells only the product of semi-angle and camera length.
"""

import numpy as np
from scipy.fft import next_fast_len
from scipy.ndimage import gaussian_filter

from reconstruct.measure.disk.edge import Edges, fit_edges
from reconstruct.measure.measurement import Component, Measurement, Shown

KIND = "disk"
NAMES = ("radius", "centre_x", "centre_y", "ellipse_a", "ellipse_b", "edge", "semiangle", "camera_length")
UNITS = ("pixel", "pixel", "pixel", "1", "1", "pixel", "radian", "angstrom")
SEMIANGLE = (20e-3, 20e-3)
"""Mean and spread in radian of the semi-angle of a probe of which nothing is known."""
OVAL = 0.03
"""Prior rms of each part of the ellipticity: projector lenses leave a few percent at most."""
ROUNDS = 4
LEAST_ARC = 0.15
"""Share of the edge that must be in the frame."""
COARSE = 128
"""Pixels along a side of what the disk is first looked for in."""
IMPERFECT = 0.02
"""Pixels that places are off because real edges are no error functions and pixels no points."""
TAILS = 3.0
"""Degrees of freedom of the t distribution of where the edges of sectors are."""
FULL = 0.2
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
    the frame or empty is widened and said. ValueError for a pattern that is none.
    """
    known = _checked(pattern, pixel, camera_length, semiangle)
    filled = np.where(known, pattern, 0.0).astype(float)
    total = float(filled.sum())
    if total <= 0.0:
        return _open(pattern.shape, pixel, camera_length, semiangle, "no electrons: the pattern is empty", total)
    found = _coarse(filled, known)
    if isinstance(found, str):
        return _open(pattern.shape, pixel, camera_length, semiangle, found, total)
    if _saturated(filled, known, found):
        why = "the disk is saturated: where its intensity falls to half, which is its edge, cannot be seen"
        return _open(pattern.shape, pixel, camera_length, semiangle, why, total, found)
    shape = np.array([found[2], found[0], found[1], 0.0, 0.0])
    edges, covariance, width = None, np.eye(5), max(1.0, 0.02 * found[2])
    for _ in range(ROUNDS):
        edges = fit_edges(filled, known, shape, width)
        width = edges.width
        if edges.arc < LEAST_ARC:
            why = f"only {100 * edges.arc:.0f} % of the disk's edge is in the frame with contrast across it"
            return _open(pattern.shape, pixel, camera_length, semiangle, why, total, found)
        shape, covariance = _ellipse(edges, shape)
    assert edges is not None
    return _measured(filled, known, shape, covariance, edges, pixel, camera_length, semiangle, total)


def ellipticity(measurement: Measurement) -> tuple[float, float]:
    """Magnitude of the ellipticity (half the difference of the axes over their mean) and azimuth in radian of the long axis, within +-pi / 2."""
    a, b = measurement.value("ellipse_a")[0], measurement.value("ellipse_b")[0]
    return float(np.hypot(a, b)), float(0.5 * np.arctan2(b, a))


def _checked(pattern: np.ndarray, pixel: float, camera_length: Known | None, semiangle: Known | None) -> np.ndarray:
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


def _coarse(filled: np.ndarray, known: np.ndarray) -> tuple[float, float, float] | str:
    """Centre (x, y) and radius of the ring across which the pattern falls most, outwards, or why there is none.

    Falls are of the square root of counts, whose noise is the same everywhere, on at most `COARSE` pixels; rings may have their centre off the frame.
    """
    step = max(1, -(-max(filled.shape) // COARSE))
    ny, nx = (size // step for size in filled.shape)
    parts = [
        array[: ny * step, : nx * step].reshape(ny, step, nx, step).sum(axis=(1, 3)) for array in (filled, 1.0 * known)
    ]
    share = gaussian_filter(parts[1], 1.0) / step**2
    root = np.sqrt(np.maximum(gaussian_filter(parts[0], 1.0) / np.maximum(share, 1e-2), 0.0))
    clear = share > 0.95
    fall = [np.where(clear, one, 0.0) for one in np.gradient(-root)]
    size = tuple(int(next_fast_len(2 * count) or 2 * count) for count in (ny, nx))
    spectra = [np.fft.rfft2(one, size) for one in (*fall, 1.0 * clear)]
    y, x = np.meshgrid(*(np.fft.fftfreq(count) * count for count in size), indexing="ij")
    distance = np.maximum(np.hypot(x, y), 1e-9)
    best = (0.0, 0.0, 0.0, 0.0)
    for radius in np.geomspace(3.0, 0.95 * max(ny, nx), 60):
        ring = np.exp(-0.5 * ((distance - radius) / max(0.7, 0.025 * radius)) ** 2)
        kernels = [np.fft.rfft2(one) for one in (ring * y / distance, ring * x / distance, ring)]
        down, across, seen = (
            np.fft.irfft2(one * other.conj(), size) for one, other in zip(spectra, kernels, strict=True)
        )
        there = seen > 0.15 * ring.sum()
        score = np.where(there, (down + across) / np.sqrt(np.maximum(seen, 1e-9)), 0.0)
        place = np.unravel_index(int(np.argmax(score)), size)
        if score[place] > best[0]:
            best = (float(score[place]), float(x[place]), float(y[place]), float(radius))
    _, x0, y0, radius = best
    if radius == 0.0:
        return "no disk stands out: nothing falls outwards across a ring"
    y, x = np.mgrid[: filled.shape[0], : filled.shape[1]]
    x0, y0, radius = (x0 + 0.5) * step - 0.5, (y0 + 0.5) * step - 0.5, radius * step
    share = np.hypot(x - x0, y - y0) / radius
    within, without = filled[known & (share < 0.95) & (share > 0.7)], filled[known & (share > 1.05) & (share < 1.3)]
    if within.size < 30 or without.size < 30:
        return "no disk's edge is in the frame"
    apart = (within.mean() - without.mean()) / np.sqrt(
        within.var() / within.size + without.var() / without.size + 1e-300
    )
    if apart < 8.0 or within.mean() < 1.3 * without.mean():
        return "no disk stands out of what is around it: it is empty, or there are too few electrons"
    return float(x0), float(y0), float(radius)


def _saturated(filled: np.ndarray, known: np.ndarray, found: tuple[float, float, float]) -> bool:
    y, x = np.mgrid[: filled.shape[0], : filled.shape[1]]
    inside = known & (np.hypot(x - found[0], y - found[1]) < found[2])
    values = filled[inside]
    return bool(values.size and values.mean() > 5.0 and (values == values.max()).mean() > FULL)


def _ellipse(edges: Edges, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(R, x, y, a, b) and covariance from where edges are, their scatter beyond counting learnt."""
    phi, radius = edges.azimuth, shape[0]
    columns = np.column_stack(
        [np.ones_like(phi), np.cos(phi), np.sin(phi), radius * np.cos(2 * phi), radius * np.sin(2 * phi)]
    )
    wanted = edges.place
    prior = np.diag([0.0, 0.0, 0.0, OVAL**-2, OVAL**-2])

    doubt = np.ones(len(phi))

    def solved(excess: float) -> tuple[float, np.ndarray, np.ndarray]:
        variance = (edges.variance + excess**2) * doubt
        information = (columns / variance[:, None]).T @ columns + prior
        found = np.linalg.solve(information, (columns / variance[:, None]).T @ wanted)
        off = wanted - columns @ found
        # restricted likelihood: the fitted numbers are allowed for
        log = -0.5 * (np.log(variance).sum() + (off**2 / variance).sum() + np.linalg.slogdet(information)[1])
        return log - 0.5 * float(found @ prior @ found), found, np.linalg.inv(information)

    sizes = np.exp(np.linspace(np.log(1e-3), np.log(0.1 * radius), 40))
    for _ in range(4):
        # sectors that a line or another disk's edge crosses are outliers: weights of a t distribution
        likeliest = max(((*solved(float(size)), float(size)) for size in sizes), key=lambda one: one[0])
        square = (wanted - columns @ likeliest[1]) ** 2 / (edges.variance + likeliest[3] ** 2)
        doubt = (TAILS + square) / (TAILS + 1.0)
    tried = [solved(float(size)) for size in sizes]
    logs = np.array([one[0] for one in tried])
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    found = np.einsum("s,sp->p", weights, np.array([one[1] for one in tried]))
    apart = np.array([one[1] for one in tried]) - found
    covariance = np.einsum("s,spq->pq", weights, np.array([one[2] for one in tried]))
    covariance += np.einsum("s,sp,sq->pq", weights, apart, apart)
    # lines and disks of a crystal pull several neighbours at once
    off = (wanted - columns @ found) / np.sqrt((edges.variance + (weights @ sizes) ** 2) * doubt)
    together = 1.0
    for lag in range(1, 6):
        share = float((off[lag:] * off[:-lag]).mean() / (off**2).mean())
        if share < 1.0 / np.sqrt(len(off)):
            break
        together += 2.0 * share
    covariance = covariance * together + IMPERFECT**2 * np.diag([1.0, 1.0, 1.0, radius**-2, radius**-2])
    return np.array([found[0], shape[1] + found[1], shape[2] + found[2], found[3], found[4]]), covariance


def _angles(
    radius: float, std: float, pixel: float, camera_length: Known | None, semiangle: Known | None
) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    """(semiangle, camera_length) with covariance and covariance with the radius [3, 3], in logarithms; and what is open."""
    angle = semiangle or SEMIANGLE
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
    why = "one disk tells only semi-angle times camera length: give one of them"
    undetermined: dict[str, str] = dict.fromkeys(NAMES[6:], why) if camera_length is None and semiangle is None else {}
    return np.exp(mean), joint, undetermined


def _measured(
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
    whole = np.zeros((8, 8))
    whole[:5, :5] = covariance
    whole[5, 5] = edges.width_std**2 + (2.0 * IMPERFECT) ** 2
    whole[6:, 6:] = joint[1:, 1:]
    # the rest goes with semi-angle and camera length as it goes with the radius
    whole[6:, :5] = np.outer(joint[1:, 0] / covariance[0, 0], covariance[0])
    whole[:5, 6:] = whole[6:, :5].T
    mean = np.array([*shape, edges.width, *angles])
    notes = []
    if edges.arc < 0.95:
        notes.append(f"only {100 * edges.arc:.0f} % of the edge is in the frame")
    residual = np.where(
        known, (filled - edges.model) / np.sqrt(np.maximum(edges.model, 1.0) * edges.dispersion), np.nan
    )
    size = filled.shape
    shown = Shown(
        "disk",
        np.where(known, filled, np.nan),
        edges.model,
        residual,
        (-0.5, size[1] - 0.5, size[0] - 0.5, -0.5),
        "pixel",
    )
    component = Component(1.0, mean, whole)
    return Measurement(KIND, NAMES, UNITS, (component,), undetermined, edges.dispersion, total, (shown,), tuple(notes))


def _open(
    size: tuple[int, ...],
    pixel: float,
    camera_length: Known | None,
    semiangle: Known | None,
    why: str,
    total: float,
    found: tuple[float, float, float] | None = None,
) -> Measurement:
    """What was known before, and of a disk that is seen but has no edge to measure its outline to within a tenth."""
    width = 0.5 * max(size)
    x, y, radius = found if found is not None else (0.5 * size[1], 0.5 * size[0], 0.5 * width)
    spread = 0.1 * radius if found is not None else width
    angle = semiangle or SEMIANGLE
    length = camera_length or (radius * pixel / angle[0], 2.0 * radius * pixel / angle[0])
    mean = np.array([radius, x, y, 0.0, 0.0, 1.0, angle[0], length[0]])
    std = np.array([spread, spread, spread, OVAL, OVAL, 0.2 * radius, angle[1], length[1]])
    undetermined = dict.fromkeys(NAMES[:6], why)
    undetermined |= {
        name: why for name, given in (("semiangle", semiangle), ("camera_length", camera_length)) if given is None
    }
    return Measurement(KIND, NAMES, UNITS, (Component(1.0, mean, np.diag(std**2)),), undetermined, electrons=total)
