"""Predicted images: an ensemble with mean and covariance, and intervals of named statistics.

An ensemble is used instead of a linearisation, because at focus the derivative of an image in defocus is zero, and the phase of a lattice may be
unknown.
"""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from twin import blocks, checks
from twin.image.microscope import PARAMETERS, Microscope, affine_optics, black_scale, images, raster
from twin.records import Scan
from twin.state import Layout

SAMPLE_BATCH = 200
"""Draws and starts come in multiples of this number of samples."""
EVALUATION_BATCH = 100
"""Samples are evaluated in pieces of this size, so that the image function compiles once; two of them run at once on two cores."""
ENSEMBLE_SIZE = 199
"""With 199 exchangeable samples the 10th and the 190th smallest hold the next draw between them in exactly 90 % of cases."""

STATISTICS = (
    "total",
    "background",
    "peak",
    "contrast.x",
    "contrast.y",
    "contrast.columns",
    "phase.plus",
    "phase.minus",
)
"""Named numbers of an image that spans one lattice cell."""
CIRCULAR_STATISTICS = {"phase.plus", "phase.minus"}


@dataclasses.dataclass(frozen=True)
class View:
    """An image request: settings, scan, probe positions [pixels, 2], and the affine map from the state to its parameters."""

    settings: dict[str, float]
    scan: Scan
    grid: np.ndarray
    black: float
    matrix: np.ndarray
    offset: np.ndarray


def view(microscope: Microscope, settings: dict[str, float], scan: Scan, drift: tuple[float, float]) -> View:
    """The request's geometry, with the scan sheared by the estimated drift (angstrom per second)."""
    matrix, offset = affine_optics(microscope.layout, microscope.calibration, settings)
    grid = raster(scan, drift).reshape(-1, 2)
    return View(dict(settings), scan, grid, black_scale(microscope.calibration, scan), matrix, offset)


def drift_of(layout: Layout, mean: np.ndarray) -> tuple[float, float]:
    """The drift velocity in a state vector."""
    return float(mean[layout.index("vx")]), float(mean[layout.index("vy")])


def evaluate(microscope: Microscope, parameters: np.ndarray, request: View) -> np.ndarray:
    """Expected images [samples, pixels] for parameters [samples, p], in pieces of one compiled size."""
    checks.require_float64()
    parameters = np.atleast_2d(parameters)
    grid, black = jnp.asarray(request.grid), checks.float64(request.black)
    return blocks.evaluate(
        lambda part: images(microscope, jnp.asarray(part), grid, black), EVALUATION_BATCH, parameters
    )


def black_level(request: View, parameters: np.ndarray) -> float:
    """The black level of the detector minus its nominal level, for parameters [p]: a fraction of the beam, in every pixel of an image."""
    return request.black * float(parameters[PARAMETERS.index("black")])


def without_detector(parameters: np.ndarray) -> np.ndarray:
    """The same parameters [..., p] with the nominal gain and black level of the detector: images are then fractions of the beam, not readings."""
    parameters = np.array(parameters)
    parameters[..., [PARAMETERS.index("gain"), PARAMETERS.index("black")]] = 0.0
    return parameters


def image_statistics(frames: np.ndarray) -> dict[str, np.ndarray]:
    """Named numbers of images [..., ny, nx] that span one square lattice cell, each [...].

    total: mean; background and peak: means of the darkest quarter and the brightest sixteenth of the pixels; contrasts: amplitudes of the
    first harmonics along x and y and of the two along the diagonals (all columns together), relative to the mean; phases of the two
    diagonal harmonics in radians, which say where the columns are.
    """
    frames = np.asarray(frames, dtype=np.float64)
    flat = np.sort(frames.reshape(*frames.shape[:-2], -1), axis=-1)
    count = flat.shape[-1]
    total = flat.mean(axis=-1)
    spectrum = np.fft.fft2(frames) / count
    plus, minus = spectrum[..., 1, 1], spectrum[..., 1, -1]
    safe = np.where(np.abs(total) > 1e-12, total, 1e-12)
    return {
        "total": total,
        "background": flat[..., : count // 4].mean(axis=-1),
        "peak": flat[..., -max(count // 16, 1) :].mean(axis=-1),
        "contrast.x": 2 * np.abs(spectrum[..., 0, 1]) / safe,
        "contrast.y": 2 * np.abs(spectrum[..., 1, 0]) / safe,
        "contrast.columns": 2 * np.sqrt(np.abs(plus) ** 2 + np.abs(minus) ** 2) / safe,
        "phase.plus": np.angle(plus),
        "phase.minus": np.angle(minus),
    }


def statistic_difference(name: str, value: np.ndarray | float, origin: np.ndarray | float) -> np.ndarray:
    """Difference of two values of a named number; on the circle for phases, in (-pi, pi]."""
    if name in CIRCULAR_STATISTICS:
        return np.asarray(np.angle(np.exp(1j * (np.asarray(value) - origin))))
    return np.asarray(np.asarray(value) - origin)


@dataclasses.dataclass(frozen=True)
class Interval:
    """A named number as predicted: ``centre`` and, from it, the 5 % and 95 % points ``low`` and ``high`` and the standard deviation ``std``."""

    centre: float
    low: float
    high: float
    std: float

    def scaled(self, variance: float) -> "Interval":
        """The same with its variance scaled (for controls and for learnt inflation)."""
        root = float(np.sqrt(variance))
        return Interval(self.centre, self.low * root, self.high * root, self.std * root)

    def covers(self, name: str, truth: float) -> bool:
        return bool(self.low <= statistic_difference(name, truth, self.centre) <= self.high)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """An ensemble of expected images ``samples`` [s, pixels] (state and discrepancy, no counting noise), with its moments and named numbers."""

    shape: tuple[int, int]
    samples: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    statistics: dict[str, Interval]

    @property
    def image(self) -> np.ndarray:
        return self.mean.reshape(self.shape)

    @property
    def std(self) -> np.ndarray:
        return np.sqrt(np.diag(self.covariance)).reshape(self.shape)


def predict(
    microscope: Microscope,
    states: np.ndarray,
    request: View,
    error: Callable[[np.ndarray], np.ndarray],
    inflation: float = 1.0,
) -> Prediction:
    """Mean and covariance of an image, as a fraction of the incident beam, and of its named numbers.

    ``states`` [s, n] are draws from the posterior, ``error`` draws the model error of each of the images [s, pixels]
    (to add), ``inflation`` is a factor on all standard deviations, learnt from checked predictions.
    """
    checks.require_float64()
    plain = evaluate(microscope, without_detector(states @ request.matrix.T + request.offset[None, :]), request)
    samples = plain + error(plain)
    mean = samples.mean(axis=0)
    scattered = (samples - mean[None, :]) * inflation
    covariance = scattered.T @ scattered / (len(samples) - 1)
    statistics = image_statistics(samples.reshape(-1, *request.scan.shape))
    return Prediction(
        request.scan.shape,
        samples,
        mean,
        covariance,
        {name: _interval(name, statistics[name]).scaled(inflation**2) for name in STATISTICS},
    )


def _interval(name: str, values: np.ndarray) -> Interval:
    count = len(values)
    centre = float(np.angle(np.exp(1j * values).mean())) if name in CIRCULAR_STATISTICS else float(np.median(values))
    offset = np.sort(statistic_difference(name, values, centre))
    edge = max(round(0.05 * (count + 1)) - 1, 0)
    return Interval(centre, float(offset[edge]), float(offset[count - 1 - edge]), float(np.sqrt((offset**2).mean())))
