"""The posterior of an image's parameters (optics, position, thickness, detector) given the image and a belief.

The objective is the counting likelihood (Gaussian at these counts, with the model discrepancy in its covariance) times the belief's prior.
Levenberg-Marquardt finds its maxima from several starts: both signs of defocus, and all positions in the unit cell where the phase of the
lattice is unknown. Importance sampling (`reconstruct.inference.importance_sampling`) gives the moments of the posterior about each. They
update the belief as linear observations (`LinearObservation`).
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import logsumexp

from reconstruct.inference.belief import Belief, LinearObservation, triangular
from reconstruct.inference.damped_newton import Quadratic, minimise
from reconstruct.inference.filter import assimilate
from reconstruct.inference.importance_sampling import importance_sampled, in_one_cell, laplace_modes
from reconstruct.inference.registration import starts
from twin import blocks, checks
from twin.image.microscope import Microscope, counting_variance, images_and_slopes, to_fraction
from twin.image.prediction import View, black_level, evaluate
from twin.records import Scan

MAX_STEPS = 12
COST_TOLERANCE = 1e-2
"""Decrease of minus the log posterior below which a start has converged (see `minimise`)."""
START_BLOCK = 4
"""Starts that are evaluated together: one compiled size, whose arrays stay in the processor's cache (16 at once take half as long again as four times 4)."""


@dataclasses.dataclass(frozen=True)
class Posterior:
    """A mixture over the image's parameters: ``weights`` [k], ``means`` [k, p], ``cov_sqrt`` [k, p, p], each from a component ``parents`` [k].

    ``misfit`` is the whitened residual's sum of squares at the best maximum, ``dof`` its expectation; ``tension`` the squared distance
    from the prior in its own sigmas, ``determined`` the number of parameters that the image determined. ``effective_samples`` is the
    importance sampler's effective sample size, ``residual`` [pixels] measured minus the best image, ``signal`` [pixels] that image less the
    detector's level: what electrons make. ``slopes`` [pixels, p] are its derivatives by parameters scaled to unit prior variance,
    ``innovation`` [pixels] what the measured image has more than the prior's, linearised there. ``evidence`` is the logarithm of the
    image's marginal likelihood under the belief (circular uniform entries uniform on their circles), up to a constant of the image.
    """

    weights: np.ndarray
    means: np.ndarray
    cov_sqrt: np.ndarray
    parents: np.ndarray
    misfit: float
    dof: float
    tension: float
    determined: float
    effective_samples: float
    residual: np.ndarray
    signal: np.ndarray
    slopes: np.ndarray
    innovation: np.ndarray
    evidence: float


ModelError = Callable[[np.ndarray], np.ndarray]
"""From the electron signal of an image [pixels] to the covariance [pixels, pixels] of the model's error in it."""


def covariance(microscope: Microscope, signal: np.ndarray, error: ModelError, scan: Scan) -> np.ndarray:
    """Covariance [pixels, pixels] of measured minus expected: counting noise of the electron ``signal`` [pixels] and the model's error in it.

    The detector's level is not part of the signal: it adds no counting noise, even where it is much of the image.
    """
    return error(signal) + np.diag(counting_variance(microscope.calibration, scan, np.maximum(signal, 0.0)))


def fit(
    microscope: Microscope,
    belief: Belief,
    request: View,
    counts: np.ndarray,
    error: ModelError,
    generator: np.random.Generator,
) -> Posterior:
    """Posterior over the image's parameters given ``counts`` [ny, nx]; ValueError if the image is not finite or has another shape."""
    checks.require_float64()
    data = _checked(microscope, request, counts)
    prior_means, prior_cov_sqrts = _image_parameters(belief, request)
    initial, parents = starts(microscope, request, belief, prior_means, prior_cov_sqrts, data, evaluate, generator)
    best = initial[0]
    maxima = initial
    for _ in range(2):
        signal = evaluate(microscope, best[None, :], request)[0] - black_level(request, best)
        noise_cov_sqrt = np.linalg.cholesky(covariance(microscope, signal, error, request.scan))
        whiten = np.linalg.inv(noise_cov_sqrt)
        maxima, cost, slopes = _maximise(
            microscope, request, data, whiten, prior_means[parents], prior_cov_sqrts[parents], maxima
        )
        best = maxima[int(np.argmin(cost))]
    log_weights = np.log(belief.weights)
    modes = laplace_modes(
        maxima, cost - log_weights[parents], slopes, prior_means, prior_cov_sqrts, parents, log_weights
    )
    if belief.circular_uniform:
        modes = in_one_cell(modes, prior_means, prior_cov_sqrts, microscope.cell)
    best_index = int(np.argmin(cost))
    variance_ratio = 1.0 / (1.0 + np.linalg.eigvalsh(slopes[best_index].T @ slopes[best_index]))
    expected = evaluate(microscope, maxima[best_index][None, :], request)[0]
    residual = data - expected
    component = parents[best_index]
    jacobian = noise_cov_sqrt @ slopes[best_index]
    prior_shift = np.linalg.solve(prior_cov_sqrts[component], maxima[best_index] - prior_means[component])
    determined = float((1.0 - variance_ratio).sum())

    def misfit(u):
        return (((data[None, :] - evaluate(microscope, u, request)) @ whiten.T) ** 2).sum(axis=1)

    modes = sorted(
        (importance_sampled(mode, misfit, prior_means, prior_cov_sqrts, generator) for mode in modes),
        key=lambda mode: -mode.evidence,
    )
    evidences = np.array([mode.evidence for mode in modes])
    weights = np.exp(evidences - evidences[0])
    return Posterior(
        weights=weights / weights.sum(),
        means=np.stack([mode.mean(prior_means, prior_cov_sqrts) for mode in modes]),
        cov_sqrt=np.stack([mode.posterior_cov_sqrt(prior_cov_sqrts) for mode in modes]),
        parents=np.array([mode.parent for mode in modes]),
        misfit=float(((whiten @ residual) ** 2).sum()),
        dof=float(len(data) - determined),
        tension=float(modes[0].position @ modes[0].position),
        determined=determined,
        effective_samples=modes[0].effective_samples,
        residual=residual,
        signal=expected - black_level(request, maxima[best_index]),
        slopes=jacobian,
        innovation=residual + jacobian @ prior_shift,
        evidence=float(
            logsumexp(evidences)
            - np.log(np.diag(noise_cov_sqrt)).sum()
            + len(belief.circular_uniform) * LOG_UNIFORM_RATIO
        ),
    )


def rehearse_fit(microscope: Microscope, belief: Belief, request: View) -> None:
    """Compile the fit before an image is there, by fitting the image that the belief expects."""
    means, cov_sqrts = _image_parameters(belief, request)
    data = evaluate(microscope, means[:1], request)[0]
    _maximise(microscope, request, data, np.eye(len(data)), means[:1], cov_sqrts[:1], means[:1])


def absorb(belief: Belief, request: View, posterior: Posterior) -> Belief:
    """The belief after an image's posterior: each mode is assimilated as the `LinearObservation` that turns its component's prior into it."""
    prior = uniform_as_gaussian(belief)
    prior_means, prior_cov_sqrts = _image_parameters(belief, request)
    means, cov_sqrts = [], []
    for mode, parent in enumerate(posterior.parents):
        single = dataclasses.replace(
            prior,
            weights=np.ones(1),
            means=prior.means[parent : parent + 1],
            cov_sqrt=prior.cov_sqrt[parent : parent + 1],
            circular_uniform=(),
        )
        observation = as_linear_observation(
            request, prior_means[parent], prior_cov_sqrts[parent], posterior.means[mode], posterior.cov_sqrt[mode]
        )
        updated = assimilate(single, observation)
        means.append(updated.means[0])
        cov_sqrts.append(updated.cov_sqrt[0])
    mixed = dataclasses.replace(
        prior, weights=posterior.weights, means=np.stack(means), cov_sqrt=np.stack(cov_sqrts), circular_uniform=()
    )
    return mixed.reduced()


def uniform_as_gaussian(belief: Belief) -> Belief:
    """The belief with its circular uniform entries as Gaussians wide enough to be flat over their circles."""
    if not belief.circular_uniform:
        return belief
    belief = belief.forgotten()
    cov_sqrts = belief.cov_sqrt.copy()
    for name in belief.circular_uniform:
        index = belief.layout.index(name)
        cov_sqrts[:, index, index] = UNIFORM_STD_PERIODS * belief.layout.entries[index].period
    return dataclasses.replace(belief, cov_sqrt=cov_sqrts)


UNIFORM_STD_PERIODS = 1.5
"""Standard deviation, in periods, of the Gaussian in place of a uniform distribution: flat over one period."""
LOG_UNIFORM_RATIO = float(np.log(UNIFORM_STD_PERIODS * np.sqrt(2.0 * np.pi)))
"""Logarithm of the uniform density on a circle over the density of that Gaussian at its centre."""


def as_linear_observation(
    request: View,
    prior_mean: np.ndarray,
    prior_cov_sqrt: np.ndarray,
    posterior_mean: np.ndarray,
    posterior_cov_sqrt: np.ndarray,
) -> LinearObservation:
    """The independent observation of the parameters that turns one Gaussian into the other.

    In coordinates where the prior is the unit Gaussian, each eigenvector of the posterior covariance with eigenvalue l < 1 has been
    observed with variance l / (1 - l); directions in which the posterior is no narrower carry no observation.
    """
    checks.require_float64()
    relative_cov_sqrt = np.linalg.solve(prior_cov_sqrt, posterior_cov_sqrt)
    shift = np.linalg.solve(prior_cov_sqrt, posterior_mean - prior_mean)
    values, vectors = np.linalg.eigh(relative_cov_sqrt @ relative_cov_sqrt.T)
    observed = values < 0.999
    values, vectors = np.maximum(values[observed], 1e-9), vectors[:, observed]
    rows = np.linalg.solve(prior_cov_sqrt.T, vectors).T
    value = rows @ prior_mean + (vectors.T @ shift) / (1.0 - values)
    return LinearObservation(
        rows=rows @ request.matrix,
        value=value - rows @ request.offset,
        cov_sqrt=np.zeros((len(values), 0)),
        noise=np.sqrt(values / (1.0 - values)),
    )


def _checked(microscope: Microscope, request: View, counts: np.ndarray) -> np.ndarray:
    if counts.shape != request.scan.shape:
        raise ValueError(
            f"the image has {counts.shape} pixels, the scan {request.scan.shape}; check the scan's settings"
        )
    if not np.isfinite(counts).all():
        bad_pixels = int((~np.isfinite(counts)).sum())
        raise ValueError(
            f"{bad_pixels} pixels of the measured image are not finite numbers; it cannot be assimilated: measure it again"
        )
    return to_fraction(microscope.calibration, request.scan, counts).reshape(-1)


def _image_parameters(belief: Belief, request: View) -> tuple[np.ndarray, np.ndarray]:
    """Means [k, p] and cov_sqrt [k, p, p] of the belief projected to the image's parameters."""
    belief = uniform_as_gaussian(belief)
    means = belief.means @ request.matrix.T + request.offset[None, :]
    cov_sqrts = np.stack([triangular(request.matrix @ factor) for factor in belief.cov_sqrt])
    return means, cov_sqrts


def _maximise(microscope, request, data, whiten, prior_means, prior_cov_sqrts, initial):
    """Maxima from all starts at once: parameters [s, p], cost [s] (minus log posterior, up to a constant) and whitened slopes [s, pixels, p]."""
    arrays = jnp.asarray(data), jnp.asarray(whiten), jnp.asarray(request.grid), checks.float64(request.black)

    def evaluate_starts(z: np.ndarray) -> Quadratic:
        cost, gradient, curvature, slopes = blocks.evaluate(
            lambda *starts: _linearised(microscope, *map(jnp.asarray, starts), *arrays),
            START_BLOCK, z, prior_means, prior_cov_sqrts,
        )  # fmt: skip
        return Quadratic(cost, gradient, curvature, (slopes,))

    z = np.linalg.solve(prior_cov_sqrts, (initial - prior_means)[:, :, None])[:, :, 0]
    minimum = minimise(evaluate_starts, z, MAX_STEPS, COST_TOLERANCE)
    maxima = prior_means + np.einsum("sij,sj->si", prior_cov_sqrts, minimum.position)
    return maxima, minimum.cost, minimum.details[0]


@jax.jit
def _linearised(
    microscope: Microscope,
    z: Float[Array, "s p"],
    prior_means: Float[Array, "s p"],
    prior_cov_sqrts: Float[Array, "s p p"],
    data: Float[Array, " pixels"],
    whiten: Float[Array, "pixels pixels"],
    grid: Float[Array, "pixels 2"],
    black: Float[Array, ""],
):
    """Minus the log posterior, its gradient and Gauss-Newton curvature, and whitened slopes, in coordinates z where each start's prior is the unit Gaussian."""
    u = prior_means + jnp.einsum("sij,sj->si", prior_cov_sqrts, z)
    value, slopes = images_and_slopes(microscope, u, grid, black)
    residual = jnp.einsum("pq,sq->sp", whiten, data[None, :] - value)
    slopes = jnp.einsum("pq,sqi,sij->spj", whiten, slopes, prior_cov_sqrts)
    cost = 0.5 * (residual**2).sum(axis=1) + 0.5 * (z**2).sum(axis=1)
    gradient = z - jnp.einsum("spi,sp->si", slopes, residual)
    return cost, gradient, jnp.einsum("spi,spj->sij", slopes, slopes) + jnp.eye(z.shape[1])[None, :, :], slopes
