"""What is believed about a state: a small mixture of Gaussians, each a mean and a square root of its covariance.

One image often allows two signs of defocus, and a lattice looks the same from every cell: a single Gaussian cannot say so. The
components of the mixture hold such alternatives until an image decides. Entries whose place on their circle is lost altogether
(the lattice's phase after a stage move) are named in ``lost``: they are uniform, not wide Gaussians.
"""

import dataclasses

import numpy as np

from twin import checks
from twin.state import Layout


def triangular(root: np.ndarray) -> np.ndarray:
    """Lower triangular square root [n, n] of root @ root.T, for root [n, m >= n]."""
    lower = np.asarray(np.linalg.qr(root.T, mode="r")).T
    return lower * np.where(np.diag(lower) < 0, -1.0, 1.0)[None, :]


def root_of(covariance: np.ndarray) -> np.ndarray:
    """Lower triangular square root of a covariance whose entries span many decades."""
    scale = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / scale[:, None] / scale[None, :])
    return triangular(scale[:, None] * vectors * np.sqrt(np.maximum(values, 1e-15))[None, :])


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Something uncertain that bears on the state: value = rows @ state + error, covariance of the error = factor factor^T + diag(noise^2).

    ``rows`` [m, n], ``value`` [m], ``factor`` [m, k], ``noise`` [m].
    """

    rows: np.ndarray
    value: np.ndarray
    factor: np.ndarray
    noise: np.ndarray

    @property
    def std(self) -> np.ndarray:
        return np.sqrt((self.factor**2).sum(axis=1) + self.noise**2)


@dataclasses.dataclass(frozen=True)
class Belief:
    """``weights`` [k] sum to one, ``means`` [k, n], ``factors`` [k, n, n] lower triangular, at ``time`` (int64 ns)."""

    layout: Layout
    time: int
    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray
    lost: tuple[str, ...] = ()

    def __post_init__(self):
        checks.require_float64()
        k, n = len(self.weights), len(self.layout)
        if self.means.shape != (k, n) or self.factors.shape != (k, n, n):
            raise ValueError(
                f"a belief of {k} components over {n} entries has means {self.means.shape} and factors {self.factors.shape}"
            )
        if not (np.isfinite(self.means).all() and np.isfinite(self.factors).all() and np.isfinite(self.weights).all()):
            raise ValueError("a belief must be finite: a reading or an estimate that is not a number has reached it")

    @property
    def mean(self) -> np.ndarray:
        """Mean of the mixture, [n]."""
        return self.weights @ self.means

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of the mixture, [n, n]."""
        apart = self.means - self.mean[None, :]
        return np.einsum("k,kij,klj->il", self.weights, self.factors, self.factors) + np.einsum(
            "k,ki,kj->ij", self.weights, apart, apart
        )

    @property
    def std(self) -> np.ndarray:
        """Standard deviations of the mixture, [n]; a lost entry has that of the uniform distribution on its circle."""
        std = np.sqrt(np.diag(self.covariance))
        for name in self.lost:
            place = self.layout.index(name)
            std[place] = self.layout.entries[place].period / np.sqrt(12)
        return std

    def sample(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """``count`` states drawn from the belief, [count, n]; lost entries uniform on their circle."""
        which = _stratified(self.weights, count, generator)
        normal = generator.standard_normal((count, len(self.layout)))
        states = self.means[which] + np.einsum("sij,sj->si", self.factors[which], normal)
        for name in self.lost:
            place = self.layout.index(name)
            period = self.layout.entries[place].period
            states[:, place] = (np.arange(count) + generator.random(count)) / count * period
            generator.shuffle(states[:, place])
        return states

    def widened(self, mean: np.ndarray, std: np.ndarray, lost: tuple[str, ...] = ()) -> "Belief":
        """After a jump of the state by ``mean`` +- ``std`` (each [n]); entries in ``lost`` have lost their place on their circle."""
        factors = np.stack([triangular(np.concatenate([factor, np.diag(std)], axis=1)) for factor in self.factors])
        belief = dataclasses.replace(
            self, means=self.means + mean[None, :], factors=factors, lost=tuple(dict.fromkeys((*self.lost, *lost)))
        )
        return belief.forgotten() if lost else belief

    def forgotten(self) -> "Belief":
        """The same with lost entries made independent of all others, at their prior."""
        means, factors = self.means.copy(), self.factors.copy()
        places = [self.layout.index(name) for name in self.lost]
        keep = np.ones(len(self.layout), dtype=bool)
        keep[places] = False
        for k in range(len(means)):
            means[k, places] = self.layout.prior_mean()[places]
            root = np.zeros((len(keep), len(keep) + len(places)))
            root[keep, : len(keep)] = factors[k][keep]
            for column, place in enumerate(places):
                root[place, len(keep) + column] = self.layout.prior_std()[place]
            factors[k] = triangular(root)
        return dataclasses.replace(self, means=means, factors=factors)

    def reduced(self, most: int = 6, least_weight: float = 1e-3, nearness: float = 0.5) -> "Belief":
        """At most ``most`` components: near ones (Mahalanobis distance under ``nearness``) joined with their moments kept, light ones dropped."""
        weights, means, factors = list(self.weights), list(self.means), list(self.factors)
        heavy = max(weights)
        keep = [i for i, weight in enumerate(weights) if weight > least_weight * heavy]
        weights, means, factors = [weights[i] for i in keep], [means[i] for i in keep], [factors[i] for i in keep]
        while len(weights) > 1:
            distance, i, j = min(_distances(means, factors))
            if distance > nearness and len(weights) <= most:
                break
            weights[i], means[i], factors[i] = _joined(
                weights[i], means[i], factors[i], weights[j], means[j], factors[j]
            )
            del weights[j], means[j], factors[j]
        total = sum(weights)
        return dataclasses.replace(
            self, weights=np.array(weights) / total, means=np.stack(means), factors=np.stack(factors)
        )


def mixed(first: Belief, second: Belief, share: float) -> Belief:
    """Two beliefs of one moment as alternatives, the ``second`` with probability ``share``; ValueError if one has lost what the other knows."""
    if first.lost != second.lost or first.time != second.time:
        raise ValueError(
            f"beliefs at {first.time} and {second.time} with {first.lost} and {second.lost} lost cannot be alternatives"
        )
    return dataclasses.replace(
        first,
        weights=np.concatenate([(1.0 - share) * first.weights, share * second.weights]),
        means=np.concatenate([first.means, second.means]),
        factors=np.concatenate([first.factors, second.factors]),
    ).reduced()


def prior_belief(layout: Layout, time: int, lost: tuple[str, ...] = ()) -> Belief:
    """The layout's priors as a belief: independent Gaussians, with the entries in ``lost`` uniform on their circles."""
    return Belief(layout, time, np.ones(1), layout.prior_mean()[None, :], np.diag(layout.prior_std())[None, :, :], lost)


def _stratified(weights: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    edges = np.cumsum(weights / weights.sum())
    places = (np.arange(count) + generator.random()) / count
    return generator.permutation(np.minimum(np.searchsorted(edges, places), len(weights) - 1))


def _distances(means, factors):
    for i in range(len(means)):
        for j in range(i + 1, len(means)):
            apart = means[i] - means[j]
            joint = 0.5 * (factors[i] @ factors[i].T + factors[j] @ factors[j].T)
            scale = np.sqrt(np.diag(joint))
            solved = np.linalg.solve(
                joint / scale[:, None] / scale[None, :] + 1e-12 * np.eye(len(scale)), apart / scale
            )
            yield float(np.sqrt(max(apart / scale @ solved, 0.0))), i, j


def _joined(wa, ma, fa, wb, mb, fb):
    total = wa + wb
    mean = (wa * ma + wb * mb) / total
    root = np.concatenate(
        [np.sqrt(wa / total) * fa, np.sqrt(wb / total) * fb, (np.sqrt(wa * wb) / total * (ma - mb))[:, None]],
        axis=1,
    )
    return total, mean, triangular(root)
