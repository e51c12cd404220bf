"""From one image to what it says about optics, position, thickness and detector: a posterior over the image's parameters.

The objective is the counting likelihood (Gaussian at these counts, with the model discrepancy in its covariance) times the belief's
prior. Its maxima are found by Levenberg-Marquardt from several starts (both signs of defocus, every place in the cell where the
lattice's phase is unknown). Near focus an image is quadratic in defocus and Laplace's approximation fails, so the mixture of
Laplace approximations only serves as the proposal of an adaptive importance sampler (mixture PMC: Cappe et al., Stat. Comput. 18,
447, 2008), whose moments are the answer. They reach the belief as Estimates.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import logsumexp

from reconstruct.belief import Belief, Estimate, triangular
from reconstruct.filter import assimilate
from reconstruct.registration import starts
from twin.microscope import PARAMETERS, Microscope, counting_variance, images_and_slopes, to_fraction
from twin.prediction import BATCH, View, evaluate
from twin.records import Scan

ITERATIONS = 12
MODES = 4
DRAWS = 2 * BATCH
DEGREES = 8.0
WIDER = 1.25
"""By how much Laplace's factors grow each time the sampler finds that they do not describe the posterior."""


@dataclasses.dataclass(frozen=True)
class Posterior:
    """A mixture over the image's parameters: ``weights`` [k], ``means`` [k, p], ``factors`` [k, p, p], each from a component ``parents`` [k].

    ``misfit`` is the whitened residual's sum of squares at the best maximum, ``dof`` its expectation; ``tension`` the squared distance
    from the prior in its own sigmas, ``learnt`` the number of parameters that the image determined. ``effective`` is the
    importance sampler's effective sample size, ``residual`` [pixels] measured minus the best image ``image`` [pixels]. ``slopes`` [pixels, p] are
    its derivatives by parameters scaled to unit prior variance, ``innovation`` [pixels] what the measured image has more than the
    prior's, linearised there.
    """

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray
    parents: np.ndarray
    misfit: float
    dof: float
    tension: float
    learnt: float
    effective: float
    residual: np.ndarray
    image: np.ndarray
    slopes: np.ndarray
    innovation: np.ndarray


def covariance(microscope: Microscope, expected: np.ndarray, discrepancy: np.ndarray, scan: Scan) -> np.ndarray:
    """Covariance [pixels, pixels] of measured minus expected: counting, and the relative discrepancy's ``discrepancy`` [pixels, pixels]."""
    signal = np.maximum(expected, 0.0)
    return signal[:, None] * discrepancy * signal[None, :] + np.diag(counting_variance(microscope.calibration, scan, signal))


def fit(
    microscope: Microscope, belief: Belief, request: View, counts: np.ndarray, discrepancy: np.ndarray, generator: np.random.Generator
) -> Posterior:
    """Posterior over the image's parameters given ``counts`` [ny, nx]; ValueError if the image is not finite or has another shape."""
    data = _checked(microscope, request, counts)
    prior_means, prior_factors = _door(belief, request)
    first, parents = starts(microscope, request, belief, prior_means, prior_factors, data, evaluate, generator)
    best = first[0]
    found = first
    for _ in range(2):
        expected = evaluate(microscope, best[None, :], request)[0]
        root = np.linalg.cholesky(covariance(microscope, expected, discrepancy, request.scan))
        whiten = np.linalg.inv(root)
        found, cost, slopes = _climb(microscope, request, data, whiten, prior_means[parents], prior_factors[parents], found)
        best = found[int(np.argmin(cost))]
    first_parents = parents
    weights, means, factors, parents = _laplace(found, cost - np.log(belief.weights[parents]), slopes, prior_factors, parents)
    if belief.lost:
        weights, means, factors, parents = _in_one_cell(weights, means, factors, parents, microscope.cell)
    top = int(np.argmin(cost))
    lam = 1.0 / (1.0 + np.linalg.eigvalsh(slopes[top].T @ slopes[top]))
    expected = evaluate(microscope, found[top][None, :], request)[0]
    residual = data - expected
    owner = first_parents[top]
    plain = root @ slopes[top]
    moved = np.linalg.solve(prior_factors[owner], found[top] - prior_means[owner])
    parent = parents[0]
    apart = np.linalg.solve(prior_factors[parent], means[0] - prior_means[parent])
    learnt = float((1.0 - lam).sum())

    def log_target(u):
        pixels = evaluate(microscope, u, request)
        misfit = ((data[None, :] - pixels) @ whiten.T) ** 2
        prior = _log_mixture(u, belief.weights, prior_means, prior_factors, None)
        return -0.5 * misfit.sum(axis=1) + prior

    weights, means, factors, effective = _refine(log_target, weights, means, factors, generator)
    return Posterior(
        weights=weights,
        means=means,
        factors=factors,
        parents=parents,
        misfit=float(((whiten @ residual) ** 2).sum()),
        dof=float(len(data) - learnt),
        tension=float(apart @ apart),
        learnt=learnt,
        effective=effective,
        residual=residual,
        image=expected,
        slopes=plain,
        innovation=residual + plain @ moved,
    )


def absorb(belief: Belief, request: View, posterior: Posterior) -> Belief:
    """The belief after an image's posterior: for every mode, the Estimate that turns its parent's prior into it, assimilated."""
    start = known(belief)
    prior_means, prior_factors = _door(belief, request)
    means, factors = [], []
    for mode, parent in enumerate(posterior.parents):
        single = dataclasses.replace(
            start, weights=np.ones(1), means=start.means[parent : parent + 1], factors=start.factors[parent : parent + 1], lost=()
        )
        estimate = as_estimate(request, prior_means[parent], prior_factors[parent], posterior.means[mode], posterior.factors[mode])
        after = assimilate(single, estimate)
        means.append(after.means[0])
        factors.append(after.factors[0])
    mixed = dataclasses.replace(start, weights=posterior.weights, means=np.stack(means), factors=np.stack(factors), lost=())
    return mixed.reduced()


def known(belief: Belief) -> Belief:
    """The belief with lost entries as Gaussians wide enough to be flat over their circle, for an image to decide."""
    if not belief.lost:
        return belief
    belief = belief.forgotten()
    factors = belief.factors.copy()
    for name in belief.lost:
        place_ = belief.layout.index(name)
        factors[:, place_, place_] = FLAT * belief.layout.entries[place_].period
    return dataclasses.replace(belief, factors=factors)


FLAT = 1.5


def as_estimate(
    request: View, prior_mean: np.ndarray, prior_factor: np.ndarray, posterior_mean: np.ndarray, posterior_factor: np.ndarray
) -> Estimate:
    """The independent observation of the parameters that turns one Gaussian into the other.

    In coordinates where the prior is the unit Gaussian, each eigenvector of the posterior covariance with eigenvalue l < 1 has been
    observed with variance l / (1 - l); directions in which the posterior is no narrower carry no observation.
    """
    root = np.linalg.solve(prior_factor, posterior_factor)
    shift = np.linalg.solve(prior_factor, posterior_mean - prior_mean)
    values, vectors = np.linalg.eigh(root @ root.T)
    keep = values < 0.999
    values, vectors = np.maximum(values[keep], 1e-9), vectors[:, keep]
    rows = np.linalg.solve(prior_factor.T, vectors).T
    value = rows @ prior_mean + (vectors.T @ shift) / (1.0 - values)
    return Estimate(
        rows=rows @ request.matrix,
        value=value - rows @ request.offset,
        factor=np.zeros((len(values), 0)),
        noise=np.sqrt(values / (1.0 - values)),
    )


def _checked(microscope: Microscope, request: View, counts: np.ndarray) -> np.ndarray:
    if counts.shape != request.scan.shape:
        raise ValueError(f"an image of {counts.shape} pixels was measured where {request.scan.shape} were asked for; look at the scan's settings")
    if not np.isfinite(counts).all():
        bad = int((~np.isfinite(counts)).sum())
        raise ValueError(f"{bad} pixels of the measured image are not finite numbers; it cannot be assimilated: measure it again")
    return to_fraction(microscope.calibration, request.scan, counts).reshape(-1)


def _door(belief: Belief, request: View) -> tuple[np.ndarray, np.ndarray]:
    """Means [k, p] and lower triangular roots [k, p, p] of the belief in the image's parameters."""
    belief = known(belief)
    means = belief.means @ request.matrix.T + request.offset[None, :]
    factors = np.stack([triangular(request.matrix @ factor) for factor in belief.factors])
    return means, factors


def _climb(microscope, request, data, whiten, prior_means, prior_factors, first):
    """Maxima from all starts at once: parameters [s, p], cost [s] (minus log posterior, up to a constant) and whitened slopes [s, pixels, p]."""
    count = len(first)
    size = 4 if count <= 4 else 8 if count <= 8 else 16

    def pad(array):
        return jnp.asarray(np.concatenate([array, np.repeat(array[-1:], size - count, axis=0)]))

    found, cost, slopes = _levenberg(
        microscope,
        pad(first),
        pad(prior_means),
        pad(prior_factors),
        jnp.asarray(data),
        jnp.asarray(whiten),
        jnp.asarray(request.grid),
        jnp.asarray(request.black, dtype=jnp.float64),
    )
    return np.asarray(found)[:count], np.asarray(cost)[:count], np.asarray(slopes)[:count]


@functools.partial(jax.jit)
def _levenberg(
    microscope: Microscope,
    first: Float[Array, "s p"],
    prior_means: Float[Array, "s p"],
    prior_factors: Float[Array, "s p p"],
    data: Float[Array, " pixels"],
    whiten: Float[Array, "pixels pixels"],
    grid: Float[Array, "pixels 2"],
    black: Float[Array, ""],
):
    """Levenberg-Marquardt in coordinates where each start's prior is the unit Gaussian."""

    def linearise(z):
        u = prior_means + jnp.einsum("sij,sj->si", prior_factors, z)
        value, slopes = images_and_slopes(microscope, u, grid, black)
        residual = jnp.einsum("pq,sq->sp", whiten, data[None, :] - value)
        slopes = jnp.einsum("pq,sqi,sij->spj", whiten, slopes, prior_factors)
        cost = 0.5 * (residual**2).sum(axis=1) + 0.5 * (z**2).sum(axis=1)
        return cost, residual, slopes

    def step(_, carry):
        z, damping, cost, residual, slopes = carry
        normal = jnp.einsum("spi,spj->sij", slopes, slopes) + jnp.eye(z.shape[1])[None, :, :]
        scaled = normal * (1.0 + damping[:, None, None] * jnp.eye(z.shape[1])[None, :, :])
        down = jnp.einsum("spi,sp->si", slopes, residual) - z
        trial = z + jnp.linalg.solve(scaled, down[:, :, None])[:, :, 0]
        new_cost, new_residual, new_slopes = linearise(trial)
        better = new_cost < cost
        keep = better[:, None]
        return (
            jnp.where(keep, trial, z),
            jnp.clip(jnp.where(better, damping * 0.2, damping * 6.0), 1e-6, 1e4),
            jnp.where(better, new_cost, cost),
            jnp.where(keep, new_residual, residual),
            jnp.where(keep[:, :, None], new_slopes, slopes),
        )

    z = jnp.linalg.solve(prior_factors, (first - prior_means)[:, :, None])[:, :, 0]
    carry = (z, jnp.full(z.shape[0], 1e-2), *linearise(z))
    z, _, cost, _, slopes = jax.lax.fori_loop(0, ITERATIONS, step, carry)
    return prior_means + jnp.einsum("sij,sj->si", prior_factors, z), cost, slopes


def _laplace(found, cost, slopes, prior_factors, parents):
    """Distinct maxima with weights by Laplace's evidence, heaviest first: weights [k], means [k, p], factors [k, p, p], parents [k]."""
    roots, logs = [], []
    for place_ in range(len(found)):
        normal = slopes[place_].T @ slopes[place_] + np.eye(found.shape[1])
        inverse = np.linalg.cholesky(np.linalg.inv(normal))
        roots.append(triangular(prior_factors[parents[place_]] @ inverse))
        logs.append(-cost[place_] + np.log(np.diag(inverse)).sum())
    order = [int(i) for i in np.argsort(-np.array(logs))]
    kept: list[int] = []
    for i in order:
        near = any(np.abs(np.linalg.solve(roots[j], found[i] - found[j])).max() < 1.0 for j in kept)
        if not near and len(kept) < MODES and logs[i] > logs[order[0]] - 12.0:
            kept.append(i)
    chosen = np.array([logs[i] for i in kept])
    weights = np.exp(chosen - chosen.max())
    return weights / weights.sum(), found[kept], np.stack([roots[i] for i in kept]), np.asarray(parents)[kept]


def _in_one_cell(weights, means, factors, parents, cell: float):
    """The same maxima moved by whole cells next to the heaviest; those that turn out to be one and the same are joined."""
    places = [PARAMETERS.index("x"), PARAMETERS.index("y")]
    means = means.copy()
    means[:, places] -= cell * np.round((means[:, places] - means[:1, places]) / cell)
    kept: list[int] = []
    for i in range(len(means)):
        if not any(np.abs(np.linalg.solve(factors[j], means[i] - means[j])).max() < 1.0 for j in kept):
            kept.append(i)
    return weights[kept] / weights[kept].sum(), means[kept], factors[kept], parents[kept]


def _log_mixture(u, weights, means, factors, degrees):
    """Log density of a mixture of Gaussians (or Student's t with ``degrees`` of freedom) at u [s, n]."""
    terms = []
    for weight, mean, factor in zip(weights, means, factors, strict=True):
        z = np.linalg.solve(factor, (u - mean[None, :]).T)
        square = (z**2).sum(axis=0)
        body = -0.5 * square if degrees is None else -0.5 * (degrees + len(mean)) * np.log1p(square / degrees)
        terms.append(np.log(max(weight, 1e-300)) + body - np.log(np.diag(factor)).sum())
    return logsumexp(np.stack(terms), axis=0)


def _refine(log_target, weights, means, factors, generator):
    """Moments of the target by adaptive importance sampling from the mixture; the proposal is widened, Student-tailed, and adapted once."""
    effective = 0.0
    n = means.shape[1]
    proposal = (0.9 * weights + 0.1 / len(weights), means, 1.1 * factors)
    for _ in range(2):
        which = np.repeat(np.arange(len(weights)), np.maximum(1, np.round(proposal[0] * DRAWS).astype(int)))[:DRAWS]
        which = np.concatenate([which, np.zeros(DRAWS - len(which), dtype=int)])
        normal = generator.standard_normal((DRAWS, n))
        tails = np.sqrt(DEGREES / generator.chisquare(DEGREES, DRAWS))
        u = proposal[1][which] + np.einsum("sij,sj->si", proposal[2][which], normal) * tails[:, None]
        logs = log_target(u) - _log_mixture(u, *proposal, DEGREES)
        importance = np.exp(logs - logsumexp(logs))
        # truncated at the square root of the sample size times the mean (Ionides, J. Comput. Graph. Stat. 17, 295, 2008): one lucky draw
        # in a thin tail of the proposal must not be the answer
        importance = np.minimum(importance, 1.0 / np.sqrt(DRAWS))
        importance /= importance.sum()
        round_effective = 1.0 / (importance**2).sum()
        if round_effective < 2.5 * n:
            # too few samples carry the weight to trust their covariance: keep Laplace's shape, wider, and look again from there
            factors = WIDER * factors
            proposal = (proposal[0], means, WIDER * factors)
            continue
        effective = round_effective
        owner = np.stack([_log_mixture(u, [w], [m], [f], DEGREES) for w, m, f in zip(*proposal, strict=True)])
        share = np.exp(owner - logsumexp(owner, axis=0)[None, :]) * importance[None, :]
        new_weights, new_means, new_factors = [], [], []
        for k in range(len(weights)):
            total = share[k].sum()
            members = 1.0 / ((share[k] / total) ** 2).sum() if total > 1e-12 else 0.0
            if members < 2.5 * n:
                new_weights.append(max(total, 1e-9))
                new_means.append(means[k])
                new_factors.append(factors[k])
                continue
            mean = share[k] @ u / total
            apart = (u - mean[None, :]) * np.sqrt(share[k] / total)[:, None]
            shrink = n / (members + n)
            root = np.concatenate([np.sqrt(1 - shrink) * apart.T, np.sqrt(shrink) * factors[k]], axis=1)
            new_weights.append(total)
            new_means.append(mean)
            new_factors.append(triangular(root))
        weights = np.array(new_weights) / sum(new_weights)
        means, factors = np.stack(new_means), np.stack(new_factors)
        proposal = (0.9 * weights + 0.1 / len(weights), means, 1.1 * factors)
    return weights, means, factors, effective

