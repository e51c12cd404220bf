"""Modes of an image's posterior: Laplace approximations of its maxima, refined by adaptive importance sampling.

Near focus an image is quadratic in defocus and a Laplace approximation fails, so it serves only as the proposal of an adaptive importance
sampler (Cappe et al., Stat. Comput. 18, 447, 2008), along the directions that the image determines.
"""

import dataclasses

import numpy as np
from scipy.special import gammaln, logsumexp

from reconstruct.inference.belief import triangular
from twin.image.microscope import PARAMETERS
from twin.image.prediction import SAMPLE_BATCH

MAX_MODES = 6
IMPORTANCE_SAMPLES = 3 * SAMPLE_BATCH
STUDENT_FREEDOM = 8.0
PROPOSAL_INFLATION = 1.15
"""Factor by which the proposal is widened, and again each time its effective sample size is too small."""
DETERMINED_VARIANCE_RATIO = 0.8
"""A direction is determined by the image, and sampled, where the posterior variance is below this share of the prior's."""


@dataclasses.dataclass(frozen=True)
class Mode:
    """One maximum, in coordinates where the prior of component ``parent`` is the unit Gaussian: ``position`` [p], and along the orthonormal
    ``axes`` [p, p] a square root of the covariance: ``cov_sqrt`` [r, r] for the first r axes, which the image determines, ``other_std`` [p - r] for the others.
    """

    parent: int
    position: np.ndarray
    axes: np.ndarray
    cov_sqrt: np.ndarray
    other_std: np.ndarray
    evidence: float
    log_weight: float = 0.0
    effective_samples: float = 0.0

    @property
    def determined_axes(self) -> np.ndarray:
        return self.axes[:, : len(self.cov_sqrt)]

    def mean(self, prior_means, prior_cov_sqrts) -> np.ndarray:
        return prior_means[self.parent] + prior_cov_sqrts[self.parent] @ self.position

    def posterior_cov_sqrt(self, prior_cov_sqrts) -> np.ndarray:
        cov_sqrt = np.concatenate(
            [self.determined_axes @ self.cov_sqrt, self.axes[:, len(self.cov_sqrt) :] * self.other_std[None, :]], axis=1
        )
        return triangular(prior_cov_sqrts[self.parent] @ cov_sqrt)

    def distance(self, other_position: np.ndarray) -> float:
        """Largest distance to ``other_position`` [p] along the axes, in this mode's standard deviations."""
        along = self.axes.T @ (other_position - self.position)
        inside = np.linalg.solve(self.cov_sqrt, along[: len(self.cov_sqrt)])
        return float(np.abs(np.concatenate([inside, along[len(self.cov_sqrt) :] / self.other_std])).max())


def laplace_modes(maxima, cost, slopes, prior_means, prior_cov_sqrts, parents, log_weights) -> list[Mode]:
    """Distinct maxima with their Laplace approximations, the largest evidence first."""
    modes = []
    for point, value, slope, parent in zip(maxima, cost, slopes, parents, strict=True):
        inverse, axes = np.linalg.eigh(-slope.T @ slope)
        variance = 1.0 / (1.0 - inverse)
        count = max(int((variance < DETERMINED_VARIANCE_RATIO).sum()), 1)
        modes.append(
            Mode(
                parent=int(parent),
                position=np.linalg.solve(prior_cov_sqrts[parent], point - prior_means[parent]),
                axes=axes,
                cov_sqrt=np.diag(np.sqrt(variance[:count])),
                other_std=np.sqrt(variance[count:]),
                evidence=float(-value + 0.5 * np.log(variance).sum()),
                log_weight=float(log_weights[parent]),
            )
        )
    modes.sort(key=lambda mode: -mode.evidence)
    distinct: list[Mode] = []
    for mode in modes:
        duplicate = any(other.parent == mode.parent and other.distance(mode.position) < 1.0 for other in distinct)
        if not duplicate and len(distinct) < MAX_MODES and mode.evidence > modes[0].evidence - 12.0:
            distinct.append(mode)
    return distinct


def in_one_cell(modes: list[Mode], prior_means, prior_cov_sqrts, cell: float) -> list[Mode]:
    """The maxima moved by whole unit cells next to the first, without duplicates."""
    xy = [PARAMETERS.index("x"), PARAMETERS.index("y")]
    reference = modes[0].mean(prior_means, prior_cov_sqrts)
    distinct: list[Mode] = []
    for mode in modes:
        point = mode.mean(prior_means, prior_cov_sqrts)
        point[xy] -= cell * np.round((point[xy] - reference[xy]) / cell)
        moved = dataclasses.replace(
            mode, position=np.linalg.solve(prior_cov_sqrts[mode.parent], point - prior_means[mode.parent])
        )
        if not any(other.parent == moved.parent and other.distance(moved.position) < 1.0 for other in distinct):
            distinct.append(moved)
    return distinct


def importance_sampled(mode: Mode, misfit, prior_means, prior_cov_sqrts, generator: np.random.Generator) -> Mode:
    """The mode with moments and evidence by adaptive importance sampling along the directions that the image determines.

    Along the other directions the posterior equals the prior, and sampling noise in a covariance would be taken for information.
    """
    r = len(mode.cov_sqrt)
    centre, proposal_sqrt = np.zeros(r), PROPOSAL_INFLATION * mode.cov_sqrt
    base = mode.position - mode.determined_axes @ (mode.determined_axes.T @ mode.position)
    start = mode.determined_axes.T @ mode.position
    result = mode
    for _ in range(2):
        normal = generator.standard_normal((IMPORTANCE_SAMPLES, r))
        student_scale = np.sqrt(STUDENT_FREEDOM / generator.chisquare(STUDENT_FREEDOM, IMPORTANCE_SAMPLES))
        offset = centre[None, :] + (normal @ proposal_sqrt.T) * student_scale[:, None]
        z = base[None, :] + (start[None, :] + offset) @ mode.determined_axes.T
        target = -0.5 * misfit(prior_means[mode.parent][None, :] + z @ prior_cov_sqrts[mode.parent].T) - 0.5 * (
            z**2
        ).sum(axis=1)
        square = (normal * student_scale[:, None]) ** 2
        proposal = (
            gammaln(0.5 * (STUDENT_FREEDOM + r)) - gammaln(0.5 * STUDENT_FREEDOM) - 0.5 * r * np.log(STUDENT_FREEDOM * np.pi)
            - np.log(np.abs(np.diag(proposal_sqrt))).sum() - 0.5 * (STUDENT_FREEDOM + r) * np.log1p(square.sum(axis=1) / STUDENT_FREEDOM)
        )  # fmt: skip
        log_importance = target - proposal
        total = logsumexp(log_importance)
        # truncated at the square root of the sample size times the mean (Ionides, J. Comput. Graph. Stat. 17, 295, 2008): one draw
        # in a thin tail of the proposal must not dominate
        importance = np.minimum(np.exp(log_importance - total), 1.0 / np.sqrt(IMPORTANCE_SAMPLES))
        importance /= importance.sum()
        effective = 1.0 / (importance**2).sum()
        if effective < 4.0 * r:
            proposal_sqrt = PROPOSAL_INFLATION * proposal_sqrt
            result = dataclasses.replace(result, cov_sqrt=PROPOSAL_INFLATION * result.cov_sqrt)
            continue
        mean = importance @ offset
        deviation = (offset - mean[None, :]) * np.sqrt(importance)[:, None]
        shrink = r / (effective + r)
        lower = triangular(
            np.concatenate([np.sqrt(1.0 - shrink) * deviation.T, np.sqrt(shrink) * mode.cov_sqrt], axis=1)
        )
        evidence = float(
            total - np.log(IMPORTANCE_SAMPLES) - 0.5 * r * np.log(2 * np.pi) + np.log(mode.other_std).sum()
        )
        result = dataclasses.replace(
            mode,
            position=base + mode.determined_axes @ (start + mean),
            cov_sqrt=lower,
            evidence=evidence + mode.log_weight,
            effective_samples=float(effective),
        )
        centre, proposal_sqrt = mean, PROPOSAL_INFLATION * lower
    return result
