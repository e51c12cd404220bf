"""From one image to what it says about optics, position, thickness and detector: a posterior over the image's parameters.

The objective is the counting likelihood (Gaussian at these counts, with the model discrepancy in its covariance) times the belief's
prior. Its maxima are found by Levenberg-Marquardt from several starts (both signs of defocus, every place in the cell where the
lattice's phase is unknown). Near focus an image is quadratic in defocus and Laplace's approximation fails, so Laplace's
approximation of each maximum only serves as the proposal of an adaptive importance sampler (Cappe et al., Stat. Comput. 18, 447, 2008),
along the directions that the image determines. Its moments are the answer. They reach the belief as Estimates.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import gammaln, logsumexp

from reconstruct.inference.belief import Belief, Estimate, triangular
from reconstruct.inference.filter import assimilate
from reconstruct.inference.registration import starts
from twin import checks
from twin.image.microscope import PARAMETERS, Microscope, counting_variance, images_and_slopes, to_fraction
from twin.image.prediction import SAMPLE_BATCH, View, black_level, evaluate
from twin.records import Scan

ITERATIONS = 12
SETTLED = 1e-2
"""A climb ends where every start's last step gained less than this in minus log posterior (more where it is far above the best)."""
SIZES = (4, 8, 16)
"""Climbs from several starts are compiled for so many: the next larger number serves."""
MODES = 6
DRAWS = 3 * SAMPLE_BATCH
DEGREES = 8.0
WIDER = 1.15
"""By how much Laplace's factors grow each time the sampler finds that they do not describe the posterior."""


@dataclasses.dataclass(frozen=True)
class Posterior:
    """A mixture over the image's parameters: ``weights`` [k], ``means`` [k, p], ``factors`` [k, p, p], each from a component ``parents`` [k].

    ``misfit`` is the whitened residual's sum of squares at the best maximum, ``dof`` its expectation; ``tension`` the squared distance
    from the prior in its own sigmas, ``learnt`` the number of parameters that the image determined. ``effective`` is the
    importance sampler's effective sample size, ``residual`` [pixels] measured minus the best image, ``signal`` [pixels] that image less the
    detector's level: what electrons make. ``slopes`` [pixels, p] are its derivatives by parameters scaled to unit prior variance,
    ``innovation`` [pixels] what the measured image has more than the prior's, linearised there. ``evidence`` is the logarithm of the
    image's marginal likelihood under the belief (entries that are lost uniform on their circles), up to a constant of the image.
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
    signal: np.ndarray
    slopes: np.ndarray
    innovation: np.ndarray
    evidence: float


ModelError = Callable[[np.ndarray], np.ndarray]
"""From what electrons make of an image [pixels] to the covariance [pixels, pixels] of what the model gets wrong in it."""


def covariance(microscope: Microscope, signal: np.ndarray, error: ModelError, scan: Scan) -> np.ndarray:
    """Covariance [pixels, pixels] of measured minus expected: counting of the ``signal`` [pixels] that electrons make, and the model's error in it.

    The detector's level is no part of the signal: at few electrons a pixel it is a good part of the image, and scatters none of it.
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
    prior_means, prior_factors = _door(belief, request)
    first, parents = starts(microscope, request, belief, prior_means, prior_factors, data, evaluate, generator)
    best = first[0]
    found = first
    for _ in range(2):
        signal = evaluate(microscope, best[None, :], request)[0] - black_level(request, best)
        root = np.linalg.cholesky(covariance(microscope, signal, error, request.scan))
        whiten = np.linalg.inv(root)
        found, cost, slopes = _climb(
            microscope, request, data, whiten, prior_means[parents], prior_factors[parents], found
        )
        best = found[int(np.argmin(cost))]
    log_weights = np.log(belief.weights)
    modes = _maxima(found, cost - log_weights[parents], slopes, prior_means, prior_factors, parents, log_weights)
    if belief.lost:
        modes = _in_one_cell(modes, prior_means, prior_factors, microscope.cell)
    top = int(np.argmin(cost))
    lam = 1.0 / (1.0 + np.linalg.eigvalsh(slopes[top].T @ slopes[top]))
    expected = evaluate(microscope, found[top][None, :], request)[0]
    residual = data - expected
    owner = parents[top]
    plain = root @ slopes[top]
    moved = np.linalg.solve(prior_factors[owner], found[top] - prior_means[owner])
    learnt = float((1.0 - lam).sum())

    def misfit(u):
        return (((data[None, :] - evaluate(microscope, u, request)) @ whiten.T) ** 2).sum(axis=1)

    modes = sorted(
        (_refined(mode, misfit, prior_means, prior_factors, generator) for mode in modes),
        key=lambda mode: -mode.evidence,
    )
    evidences = np.array([mode.evidence for mode in modes])
    weights = np.exp(evidences - evidences[0])
    return Posterior(
        weights=weights / weights.sum(),
        means=np.stack([mode.mean(prior_means, prior_factors) for mode in modes]),
        factors=np.stack([mode.factor(prior_factors) for mode in modes]),
        parents=np.array([mode.parent for mode in modes]),
        misfit=float(((whiten @ residual) ** 2).sum()),
        dof=float(len(data) - learnt),
        tension=float(modes[0].place @ modes[0].place),
        learnt=learnt,
        effective=modes[0].effective,
        residual=residual,
        signal=expected - black_level(request, found[top]),
        slopes=plain,
        innovation=residual + plain @ moved,
        evidence=float(logsumexp(evidences) - np.log(np.diag(root)).sum() + len(belief.lost) * UNIFORM),
    )


def rehearse_fit(microscope: Microscope, belief: Belief, request: View, size: int) -> None:
    """Compile the climb of ``size`` starts (one of `SIZES`) before an image is there, by climbing once on the image that the belief expects."""
    means, factors = _door(belief, request)
    first = np.repeat(means[:1], size, axis=0)
    data = evaluate(microscope, means[:1], request)[0]
    _climb(microscope, request, data, np.eye(len(data)), first, np.repeat(factors[:1], size, axis=0), first)


def absorb(belief: Belief, request: View, posterior: Posterior) -> Belief:
    """The belief after an image's posterior: for every mode, the Estimate that turns its parent's prior into it, assimilated."""
    start = known(belief)
    prior_means, prior_factors = _door(belief, request)
    means, factors = [], []
    for mode, parent in enumerate(posterior.parents):
        single = dataclasses.replace(
            start,
            weights=np.ones(1),
            means=start.means[parent : parent + 1],
            factors=start.factors[parent : parent + 1],
            lost=(),
        )
        estimate = as_estimate(
            request, prior_means[parent], prior_factors[parent], posterior.means[mode], posterior.factors[mode]
        )
        after = assimilate(single, estimate)
        means.append(after.means[0])
        factors.append(after.factors[0])
    mixed = dataclasses.replace(
        start, weights=posterior.weights, means=np.stack(means), factors=np.stack(factors), lost=()
    )
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
"""Standard deviation, in periods, of the Gaussian that stands for a lost position: wide enough to be even over a cell."""
UNIFORM = float(np.log(FLAT * np.sqrt(2.0 * np.pi)))
"""Logarithm of a uniform density on a circle over that of such a Gaussian at its centre."""


def as_estimate(
    request: View,
    prior_mean: np.ndarray,
    prior_factor: np.ndarray,
    posterior_mean: np.ndarray,
    posterior_factor: np.ndarray,
) -> Estimate:
    """The independent observation of the parameters that turns one Gaussian into the other.

    In coordinates where the prior is the unit Gaussian, each eigenvector of the posterior covariance with eigenvalue l < 1 has been
    observed with variance l / (1 - l); directions in which the posterior is no narrower carry no observation.
    """
    checks.require_float64()
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
        raise ValueError(
            f"an image of {counts.shape} pixels was measured where {request.scan.shape} were asked for; look at the scan's settings"
        )
    if not np.isfinite(counts).all():
        bad = int((~np.isfinite(counts)).sum())
        raise ValueError(
            f"{bad} pixels of the measured image are not finite numbers; it cannot be assimilated: measure it again"
        )
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
    size = next(size for size in SIZES if count <= size)

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
        checks.float64(request.black),
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

    def open_(carry):
        number, done = carry[0], carry[1]
        return (number < ITERATIONS) & ~done.all()

    def step(carry):
        number, _, z, damping, cost, residual, slopes = carry
        normal = jnp.einsum("spi,spj->sij", slopes, slopes) + jnp.eye(z.shape[1])[None, :, :]
        scaled = normal * (1.0 + damping[:, None, None] * jnp.eye(z.shape[1])[None, :, :])
        down = jnp.einsum("spi,sp->si", slopes, residual) - z
        trial = z + jnp.linalg.solve(scaled, down[:, :, None])[:, :, 0]
        new_cost, new_residual, new_slopes = linearise(trial)
        better = new_cost < cost
        keep = better[:, None]
        lower = jnp.where(better, new_cost, cost)
        done = better & (cost - new_cost < SETTLED * jnp.maximum(1.0, lower - lower.min()))
        return (
            number + 1,
            done,
            jnp.where(keep, trial, z),
            jnp.clip(jnp.where(better, damping * 0.2, damping * 6.0), 1e-6, 1e4),
            lower,
            jnp.where(keep, new_residual, residual),
            jnp.where(keep[:, :, None], new_slopes, slopes),
        )

    z = jnp.linalg.solve(prior_factors, (first - prior_means)[:, :, None])[:, :, 0]
    count = z.shape[0]
    carry = (0, jnp.zeros(count, dtype=bool), z, jnp.full(count, 1e-2), *linearise(z))
    _, _, z, _, cost, _, slopes = jax.lax.while_loop(open_, step, carry)
    return prior_means + jnp.einsum("sij,sj->si", prior_factors, z), cost, slopes


@dataclasses.dataclass(frozen=True)
class _Mode:
    """One maximum, in coordinates where the prior of component ``parent`` is the unit Gaussian: ``place`` [p], and along the orthonormal
    ``axes`` [p, p] a covariance root: ``root`` [r, r] for the first r axes, which the image determines, ``left`` [p - r] for the others.
    """

    parent: int
    place: np.ndarray
    axes: np.ndarray
    root: np.ndarray
    left: np.ndarray
    evidence: float
    log_weight: float = 0.0
    effective: float = 0.0

    @property
    def seen(self) -> np.ndarray:
        return self.axes[:, : len(self.root)]

    def mean(self, prior_means, prior_factors) -> np.ndarray:
        return prior_means[self.parent] + prior_factors[self.parent] @ self.place

    def factor(self, prior_factors) -> np.ndarray:
        root = np.concatenate([self.seen @ self.root, self.axes[:, len(self.root) :] * self.left[None, :]], axis=1)
        return triangular(prior_factors[self.parent] @ root)

    def apart(self, place: np.ndarray) -> float:
        """Largest distance of another place along the axes, in this mode's standard deviations."""
        along = self.axes.T @ (place - self.place)
        inside = np.linalg.solve(self.root, along[: len(self.root)])
        return float(np.abs(np.concatenate([inside, along[len(self.root) :] / self.left])).max())


DETERMINED = 0.8
"""A direction whose variance the image lowers below this share of the prior's counts as determined by it, and is sampled."""


def _maxima(found, cost, slopes, prior_means, prior_factors, parents, log_weights) -> list[_Mode]:
    """Distinct maxima with their Laplace approximations, the one of most evidence first."""
    modes = []
    for point, value, slope, parent in zip(found, cost, slopes, parents, strict=True):
        inverse, axes = np.linalg.eigh(-slope.T @ slope)
        variance = 1.0 / (1.0 - inverse)
        count = max(int((variance < DETERMINED).sum()), 1)
        modes.append(
            _Mode(
                parent=int(parent),
                place=np.linalg.solve(prior_factors[parent], point - prior_means[parent]),
                axes=axes,
                root=np.diag(np.sqrt(variance[:count])),
                left=np.sqrt(variance[count:]),
                evidence=float(-value + 0.5 * np.log(variance).sum()),
                log_weight=float(log_weights[parent]),
            )
        )
    modes.sort(key=lambda mode: -mode.evidence)
    kept: list[_Mode] = []
    for mode in modes:
        near = any(one.parent == mode.parent and one.apart(mode.place) < 1.0 for one in kept)
        if not near and len(kept) < MODES and mode.evidence > modes[0].evidence - 12.0:
            kept.append(mode)
    return kept


def _in_one_cell(modes: list[_Mode], prior_means, prior_factors, cell: float) -> list[_Mode]:
    """The same maxima moved by whole cells next to the first; those that turn out to be one and the same are left out."""
    places = [PARAMETERS.index("x"), PARAMETERS.index("y")]
    home = modes[0].mean(prior_means, prior_factors)
    kept: list[_Mode] = []
    for mode in modes:
        point = mode.mean(prior_means, prior_factors)
        point[places] -= cell * np.round((point[places] - home[places]) / cell)
        moved = dataclasses.replace(
            mode, place=np.linalg.solve(prior_factors[mode.parent], point - prior_means[mode.parent])
        )
        if not any(one.parent == moved.parent and one.apart(moved.place) < 1.0 for one in kept):
            kept.append(moved)
    return kept


def _refined(mode: _Mode, misfit, prior_means, prior_factors, generator: np.random.Generator) -> _Mode:
    """The mode with moments and evidence by adaptive importance sampling along the directions that the image determines.

    Only these: along the others posterior and prior agree, and a covariance estimated there from samples would be taken for information.
    """
    r = len(mode.root)
    centre, root = np.zeros(r), WIDER * mode.root
    base = mode.place - mode.seen @ (mode.seen.T @ mode.place)
    start = mode.seen.T @ mode.place
    result = mode
    for _ in range(2):
        normal = generator.standard_normal((DRAWS, r))
        tails = np.sqrt(DEGREES / generator.chisquare(DEGREES, DRAWS))
        moved = centre[None, :] + (normal @ root.T) * tails[:, None]
        z = base[None, :] + (start[None, :] + moved) @ mode.seen.T
        target = -0.5 * misfit(prior_means[mode.parent][None, :] + z @ prior_factors[mode.parent].T) - 0.5 * (z**2).sum(
            axis=1
        )
        square = (normal * tails[:, None]) ** 2
        proposal = (
            gammaln(0.5 * (DEGREES + r)) - gammaln(0.5 * DEGREES) - 0.5 * r * np.log(DEGREES * np.pi)
            - np.log(np.abs(np.diag(root))).sum() - 0.5 * (DEGREES + r) * np.log1p(square.sum(axis=1) / DEGREES)
        )  # fmt: skip
        logs = target - proposal
        total = logsumexp(logs)
        # truncated at the square root of the sample size times the mean (Ionides, J. Comput. Graph. Stat. 17, 295, 2008): one lucky draw
        # in a thin tail of the proposal must not be the answer
        importance = np.minimum(np.exp(logs - total), 1.0 / np.sqrt(DRAWS))
        importance /= importance.sum()
        effective = 1.0 / (importance**2).sum()
        if effective < 4.0 * r:
            root = WIDER * root
            result = dataclasses.replace(result, root=WIDER * result.root)
            continue
        mean = importance @ moved
        apart = (moved - mean[None, :]) * np.sqrt(importance)[:, None]
        shrink = r / (effective + r)
        lower = triangular(np.concatenate([np.sqrt(1.0 - shrink) * apart.T, np.sqrt(shrink) * mode.root], axis=1))
        evidence = float(total - np.log(DRAWS) - 0.5 * r * np.log(2 * np.pi) + np.log(mode.left).sum())
        result = dataclasses.replace(
            mode,
            place=base + mode.seen @ (start + mean),
            root=lower,
            evidence=evidence + mode.log_weight,
            effective=float(effective),
        )
        centre, root = mean, WIDER * lower
    return result
