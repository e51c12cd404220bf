"""Gaussian process of a map of one number over a spectrum image, by position and image features.

The number (for example the net counts of an edge) is measured at some pixels with known counting variance; a finer image of the whole area (HAADF) is
given. Kernel parameters are estimated from the measured pixels by marginal likelihood with priors, and integrated over: with a few dozen spectra they are
uncertain, and fixing them at their maximum makes intervals too narrow.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize
from scipy.stats import norm, qmc
from threadpoolctl import threadpool_limits

from learn.gp.kernels import map_covariance, map_prior
from reconstruct.eels.columns.response import EdgeResponse
from twin import checks

PADDED_TO = 64
PARAMETER_DRAWS = 32
LARGEST_WEIGHT = 4.0
LARGEST_MEAN = 4.0
"""Largest mean of values that are not centred, in units of their scale: within the prior of the mean level."""
GRADIENT_STEP = 1e-4


def image_features(
    image: Float[np.ndarray, "height width"], finer: int, smoothing: float = 2.0
) -> Float[np.ndarray, "n f"]:
    """Features of a fine image in each pixel of a grid ``finer`` times coarser, standardised; pixels in row order.

    Two describe the surroundings: mean level and log contrast over ``smoothing`` pixels, about a unit cell. The others are the moments of the pixel's own
    block to second order (brightness, two slopes, two curvatures, a twist), relative to the local level and contrast, so that they do not depend on the
    detector's black level and gain. Only the block's own pixels enter the moments, since the scan may have jumped between blocks.
    An image on the grid itself (``finer`` 1) has no blocks: there slopes and curvatures are differences of neighbouring pixels.
    Raises ValueError if the image is not finite, or not a whole number of blocks.
    """
    height, width = image.shape
    if finer < 1 or height % finer or width % finer:
        raise ValueError(f"an image of {image.shape} pixels is no whole number of blocks of {finer} x {finer}; crop it")
    if not np.isfinite(image).all():
        raise ValueError("the image holds values that are not finite; leave them out or fill them in first")
    smooth = gaussian_filter(image, smoothing * finer, mode="nearest")
    contrast = np.sqrt(gaussian_filter((image - smooth) ** 2, smoothing * finer, mode="nearest"))
    rows, columns = height // finer, width // finer

    def blocks(values: np.ndarray) -> np.ndarray:
        return values.reshape(rows, finer, columns, finer).transpose(0, 2, 1, 3).reshape(-1, finer, finer)

    level, strength = blocks(smooth).mean((1, 2)), blocks(contrast).mean((1, 2))
    strength = np.maximum(strength, 1e-12 * max(float(np.abs(image).max()), 1e-300))  # a flat image has no contrast
    relative = (blocks(image) - level[:, None, None]) / strength[:, None, None]
    if finer == 1:
        moments = _differences(relative.reshape(rows, columns))
    else:
        u = (np.arange(finer) - (finer - 1) / 2) / (finer / 2)
        curve = u**2 - np.mean(u**2)
        along = [(np.ones(finer), np.ones(finer)), (u, np.ones(finer)), (np.ones(finer), u)]
        along += [(curve, np.ones(finer)), (np.ones(finer), curve), (u, u)]
        moments = [np.einsum("nyx,y,x->n", relative, y, x) / finer**2 for y, x in along]
    features = np.stack([level, np.log(strength), *moments], axis=1)
    spread = features.std(0)
    varies = spread > 1e-9 * np.maximum(np.abs(features).max(0), 1e-300)
    return np.where(varies[None, :], (features - features.mean(0)) / np.where(varies, spread, 1.0), 0.0)


def _differences(relative: Float[np.ndarray, "rows columns"]) -> list[np.ndarray]:
    """Brightness, slopes, curvatures and twist [n] of an image by differences of neighbours; at the border the pixel outside is the one inside."""
    padded = np.pad(relative, 1, mode="edge")
    centre, up, down = padded[1:-1, 1:-1], padded[:-2, 1:-1], padded[2:, 1:-1]
    left, right = padded[1:-1, :-2], padded[1:-1, 2:]
    twist = padded[2:, 2:] - padded[2:, :-2] - padded[:-2, 2:] + padded[:-2, :-2]
    parts = (centre, down - up, right - left, down - 2.0 * centre + up, right - 2.0 * centre + left, twist)
    return [part.ravel() for part in parts]


def check_measured(count: int, measured: np.ndarray, values: np.ndarray, variances: np.ndarray) -> None:
    """ValueError unless these are values with variances at 3 or more different pixels of ``count``."""
    if not measured.shape == values.shape == variances.shape or measured.ndim != 1:
        shapes = ", ".join(str(array.shape) for array in (measured, values, variances))
        raise ValueError(f"measured pixels, values and variances have shapes {shapes}; give as many of each")
    if measured.size < 3 or np.unique(measured).size != measured.size:
        raise ValueError(f"{measured.size} measured pixels, repeated ones perhaps; give at least 3 different ones")
    if measured.min() < 0 or measured.max() >= count:
        raise ValueError(f"a measured pixel lies outside 0 to {count - 1}")
    if not (np.isfinite(values).all() and np.isfinite(variances).all() and (variances > 0).all()):
        raise ValueError("measured values must be finite and their variances positive; leave the others out")


def centre_and_scale(values: np.ndarray, variances: np.ndarray, responds: bool) -> tuple[float, float]:
    """Level and spread in whose units the process has values; one with a response multiplies them, so that their zero counts."""
    centre, scale = float(np.mean(values)), float(np.std(values))
    scale = scale if scale > 0 else max(float(np.sqrt(np.mean(variances))), 1e-12)
    return (0.0, max(scale, abs(centre) / LARGEST_MEAN)) if responds else (centre, scale)


class MapPrediction(NamedTuple):
    """The map at all pixels: mean [n] and covariance [n, n] of its values without counting noise, in the unit of the values."""

    mean: Float[np.ndarray, " n"]
    covariance: Float[np.ndarray, "n n"]

    @property
    def std(self) -> Float[np.ndarray, " n"]:
        """Standard deviation [n] without counting noise."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    @property
    def uncertainty(self) -> float:
        """Largest standard deviation as a share of the range of the predicted map."""
        return float(self.std.max() / max(np.ptp(self.mean), 1e-300))

    def inflated(self, factor: float) -> "MapPrediction":
        """The prediction with variances multiplied by ``factor`` (a discrepancy that the model does not contain)."""
        return MapPrediction(self.mean, self.covariance * factor)


class GPMap:
    """Gaussian process of a map over ``shape`` = (rows, columns) pixels with ``features`` [n, f], pixels in row order.

    `image_features` makes features of a fine image. Source: Rasmussen & Williams, Gaussian Processes for Machine Learning (2006).

    >>> rows, columns = np.mgrid[:14, :5]
    >>> truth = np.sin(rows / 4.0).ravel()
    >>> features = np.random.default_rng(0).standard_normal((70, 2))
    >>> measured = np.arange(0, 70, 3)
    >>> prediction = GPMap((14, 5), features).predict(measured, truth[measured], np.full(24, 1e-4))
    >>> prediction.mean.shape, bool((abs(prediction.mean - truth) < 5.0 * prediction.std).all())
    ((70,), True)
    """

    def __init__(
        self,
        shape: tuple[int, int],
        features: Float[np.ndarray, "n f"],
        draws: int = PARAMETER_DRAWS,
        response: EdgeResponse | None = None,
        fitted: int | None = None,
    ):
        """``draws`` (a power of two) sets of kernel parameters are averaged over; they are estimated from at most ``fitted`` measured pixels, drawn at
        random (None: all), whose number decides how long that takes. ``response``: how pixels differ by what lies under them, as a physical model
        has it; the process is then the map over this response, whose blur is a parameter. ValueError if shape, features and response do not agree."""
        if np.ndim(features) != 2 or features.shape[0] != shape[0] * shape[1]:
            raise ValueError(
                f"features of shape {np.shape(features)} for {shape[0]} x {shape[1]} pixels; give one row for each pixel"
            )
        self.shape = shape
        rows, columns = np.mgrid[: shape[0], : shape[1]]
        self.positions = np.stack([rows.ravel(), columns.ravel()], axis=1).astype(np.float64)
        self.features = np.asarray(features, dtype=np.float64)
        self.response = response or EdgeResponse(np.zeros((features.shape[0], 0)), np.zeros(0))
        if self.response.harmonics.shape != (features.shape[0], self.response.frequencies.size):
            raise ValueError(
                f"a response of {self.response.harmonics.shape[0]} pixels for {shape[0]} x {shape[1]}; give one row for each pixel"
            )
        self._everywhere = (self.positions, self.features, self.response.harmonics)
        self._rates = 2.0 * (np.pi * self.response.frequencies) ** 2
        self.prior = map_prior(float(max(shape)), features.shape[1], self._rates.size > 0)
        sobol = qmc.Sobol(self.prior.mean.size, scramble=True, rng=np.random.default_rng(0))
        self._normals = norm.ppf(np.clip(sobol.random(draws), 1e-9, 1 - 1e-9))
        self._start = self.prior.mean
        self._fitted = fitted
        self._scale = 1.0
        self._parameters = jnp.asarray(self.prior.mean)[None, :], jnp.ones(1)

    def predict(
        self, measured: Int[np.ndarray, " m"], values: Float[np.ndarray, " m"], variances: Float[np.ndarray, " m"]
    ) -> MapPrediction:
        """The map from values at some pixels (indices in row order) with their counting variances.

        The search for the best parameters starts from the prior and from the last call's result, and takes the better. Raises ValueError for fewer than 3
        pixels, repeated ones, values not finite or variances not positive.
        """
        checks.require_float64()
        check_measured(len(self.positions), measured, values, variances)
        values, variances = values.astype(np.float64), variances.astype(np.float64)  # frames are float32
        centre, scale = centre_and_scale(values, variances, self._rates.size > 0)
        self._scale = scale
        measurements = self._measurements(measured, (values - centre) / scale, variances / scale**2)
        fewer = measurements
        if self._fitted is not None and len(measured) > self._fitted:
            chosen = np.random.default_rng(len(measured)).choice(len(measured), self._fitted, replace=False)
            fewer = self._measurements(
                measured[chosen], (values[chosen] - centre) / scale, variances[chosen] / scale**2
            )
        # matrices of a few dozen rows: BLAS threads would only wait for each other, ten times longer on a busy machine
        with threadpool_limits(limits=1, user_api="blas"):
            return self._predict(measurements, fewer, centre, scale)

    def _measurements(self, measured: np.ndarray, values: np.ndarray, variances: np.ndarray) -> "_Measurements":
        sites = _Sites(*(jnp.asarray(each[measured]) for each in self._everywhere))
        return _padded(sites, self._rates, values, variances)

    def _predict(
        self, measurements: "_Measurements", fewer: "_Measurements", centre: float, scale: float
    ) -> MapPrediction:
        """The map by ``measurements``, with parameters by the ``fewer``."""
        best = self._best(fewer)
        thetas, weights = self._posterior(best, fewer)
        everywhere = _Sites(*(jnp.asarray(each) for each in self._everywhere))
        self._parameters = jnp.asarray(thetas), jnp.asarray(weights)
        mean, covariance = _mixture(*self._parameters, everywhere, measurements)
        mean, covariance = np.asarray(mean), np.asarray(covariance)
        return MapPrediction(centre + scale * mean, scale**2 * covariance)

    def variances_if_all(self, variances: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Variances [n] of the map if all pixels were measured with such ``variances``, by the parameters of the last call of `predict`."""
        checks.require_float64()
        thetas, weights = self._parameters
        everywhere = _Sites(*(jnp.asarray(each) for each in self._everywhere))
        measured = self._measurements(np.arange(len(variances)), np.zeros(len(variances)), variances / self._scale**2)
        with threadpool_limits(limits=1, user_api="blas"):
            _, covariance = _mixture(thetas, weights, everywhere, measured)
        return self._scale**2 * np.maximum(np.diag(np.asarray(covariance)), 0.0)

    def _best(self, measurements: "_Measurements") -> np.ndarray:
        """Most probable parameters (L-BFGS-B, deterministic)."""
        centre, std = jnp.asarray(self.prior.mean), jnp.asarray(self.prior.std)

        def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = _loss_and_gradient(jnp.asarray(theta), centre, std, measurements)
            if not np.isfinite(value):  # a step too far: send the line search back
                return 1e10, np.zeros_like(theta)
            return float(value), np.asarray(gradient)

        starts = [self.prior.mean] if self._start is self.prior.mean else [self.prior.mean, self._start]
        results = [minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 80}) for start in starts]
        self._start = min(results, key=lambda result: float(result.fun)).x
        return self._start

    def _posterior(self, best: np.ndarray, measurements: "_Measurements") -> tuple[np.ndarray, np.ndarray]:
        """Parameter sets [draws, p] and weights [draws]: a Laplace approximation, corrected by truncated importance weights (Ionides 2008)."""
        centre, std = jnp.asarray(self.prior.mean), jnp.asarray(self.prior.std)

        def gradient(theta: np.ndarray) -> np.ndarray:
            return np.asarray(_loss_and_gradient(jnp.asarray(theta), centre, std, measurements)[1])

        # differences of the exact gradient: as good as a second derivative here, and nothing more to compile
        steps = GRADIENT_STEP * np.eye(best.size)
        curvature = np.array([gradient(best + step) - gradient(best - step) for step in steps]) / (2 * GRADIENT_STEP)
        values, vectors = np.linalg.eigh((curvature + curvature.T) / 2)
        values = np.maximum(values, 0.5 / float(self.prior.std.max()) ** 2)  # no direction wider than the prior allows
        thetas = best[None, :] + (self._normals / np.sqrt(values)[None, :]) @ vectors.T
        losses = np.asarray(_losses(jnp.asarray(thetas), centre, std, measurements))
        log = np.where(np.isfinite(losses), 0.5 * (self._normals**2).sum(1) - losses, -np.inf)
        weights = np.exp(log - log.max())
        weights = np.minimum(weights / weights.sum(), LARGEST_WEIGHT / weights.size)
        return thetas, weights / weights.sum()


class _Sites(NamedTuple):
    """Pixels: positions [n, 2], features [n, f] and harmonics [n, h] of their response."""

    positions: Float[Array, "n 2"]
    features: Float[Array, "n f"]
    harmonics: Float[Array, "n h"]


class _Measurements(NamedTuple):
    """Measured pixels, ``rates`` [h] of the damping of harmonics, values and variances [m], and which of them are ``present``."""

    sites: _Sites
    rates: Float[Array, " h"]
    values: Float[Array, " m"]
    variances: Float[Array, " m"]
    present: Bool[Array, " m"]


def _padded(sites: _Sites, rates: np.ndarray, values: np.ndarray, variances: np.ndarray) -> _Measurements:
    """The measured pixels and a mask, filled up to a multiple of PADDED_TO so that few sizes are compiled."""
    missing = -len(values) % PADDED_TO
    present = np.arange(len(values) + missing) < len(values)

    def fill(array: np.ndarray | Array, value: float) -> Array:
        return jnp.asarray(np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1), constant_values=value))

    filled = _Sites(fill(sites.positions, -1.0), fill(sites.features, 0.0), fill(sites.harmonics, 0.0))
    return _Measurements(filled, jnp.asarray(rates), fill(values, 0.0), fill(variances, 1.0), jnp.asarray(present))


def _covariance(
    theta: Float[Array, " p"], a: _Sites, b: _Sites, same: Float[Array, "n m"], rates: Float[Array, " h"]
) -> Float[Array, "n m"]:
    return map_covariance(
        theta, a.positions, a.features, b.positions, b.features, same, a.harmonics, b.harmonics, rates
    )


def _root(theta: Float[Array, " p"], measured: _Measurements) -> Float[Array, "m m"]:
    """Cholesky factor of the covariance of the measured values; absent ones are independent with variance 1."""
    both = measured.present[:, None] & measured.present[None, :]
    same = jnp.eye(measured.variances.size, dtype=measured.variances.dtype)
    prior = jnp.where(both, _covariance(theta, measured.sites, measured.sites, same, measured.rates), 0.0)
    return jnp.linalg.cholesky(prior + jnp.diag(jnp.where(measured.present, measured.variances + 1e-8, 1.0)))


def _loss(
    theta: Float[Array, " p"], centre: Float[Array, " p"], std: Float[Array, " p"], measured: _Measurements
) -> Float[Array, ""]:
    """Minus the log of marginal likelihood times prior, constants left out (Rasmussen & Williams eq. 5.8)."""
    root = _root(theta, measured)
    white = jax.scipy.linalg.solve_triangular(root, measured.values, lower=True)
    return 0.5 * white @ white + jnp.sum(jnp.log(jnp.diag(root))) + 0.5 * jnp.sum(((theta - centre) / std) ** 2)


_loss_and_gradient = jax.jit(jax.value_and_grad(_loss))
_losses = jax.jit(jax.vmap(_loss, in_axes=(0, None, None, None)))


@jax.jit
def _mixture(
    thetas: Float[Array, "k p"], weights: Float[Array, " k"], everywhere: _Sites, measured: _Measurements
) -> tuple[Float[Array, " n"], Float[Array, "n n"]]:
    """Mean and covariance at all pixels given the measured values (Rasmussen & Williams eq. 2.25), averaged over parameter sets."""
    dtype = measured.values.dtype
    itself = jnp.eye(everywhere.positions.shape[0], dtype=dtype)
    shared = jnp.all(everywhere.positions[:, None, :] == measured.sites.positions[None, :, :], axis=-1).astype(dtype)

    def add(
        total: Float[Array, "n n"], draw: tuple[Float[Array, " p"], Float[Array, ""]]
    ) -> tuple[Float[Array, "n n"], Float[Array, " n"]]:
        theta, weight = draw
        root = _root(theta, measured)
        cross = _covariance(theta, everywhere, measured.sites, shared, measured.rates) * measured.present[None, :]
        projected = jax.scipy.linalg.solve_triangular(root, cross.T, lower=True)
        mean = projected.T @ jax.scipy.linalg.solve_triangular(root, measured.values, lower=True)
        prior = _covariance(theta, everywhere, everywhere, itself, measured.rates)
        return total + weight * (prior - projected.T @ projected), mean

    within, means = jax.lax.scan(add, jnp.zeros_like(itself), (thetas, weights))
    mean = weights @ means
    off = means - mean[None, :]
    return mean, within + (off * weights[:, None]).T @ off


__all__ = ["GPMap", "MapPrediction", "image_features"]
