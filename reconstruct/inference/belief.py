"""Beliefs about a state: small mixtures of Gaussians, each a mean and a square root of its covariance.

One image often allows both signs of defocus, and a lattice looks the same from every unit cell. A single Gaussian cannot express this;
the components of a mixture hold such alternatives until an image decides. Entries on a circle of which nothing is known (the phase of the
lattice after a stage move) are named in ``circular_uniform``: they have a uniform distribution, not a wide Gaussian.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from twin import checks
from twin.notebook import table
from twin.state import Layout
from twin.units import shown, utc

SHOWN_ENTRIES = 6
"""Entries of a belief that its `repr` shows."""


def triangular(cov_sqrt: np.ndarray) -> np.ndarray:
    """Lower triangular square root [n, n] of cov_sqrt @ cov_sqrt.T, for cov_sqrt [n, m >= n]."""
    lower = np.asarray(np.linalg.qr(cov_sqrt.T, mode="r")).T
    return lower * np.where(np.diag(lower) < 0, -1.0, 1.0)[None, :]


def cov_sqrt_of(covariance: np.ndarray) -> np.ndarray:
    """Lower triangular square root of a covariance whose entries span many decades."""
    scale = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / scale[:, None] / scale[None, :])
    return triangular(scale[:, None] * vectors * np.sqrt(np.maximum(values, 1e-15))[None, :])


@dataclasses.dataclass(frozen=True)
class LinearObservation:
    """A linear observation of the state: value = rows @ state + error, the error's covariance = cov_sqrt cov_sqrt^T + diag(noise^2).

    ``rows`` [m, n], ``value`` [m], ``cov_sqrt`` [m, k], ``noise`` [m].
    """

    rows: np.ndarray
    value: np.ndarray
    cov_sqrt: np.ndarray
    noise: np.ndarray

    @property
    def std(self) -> np.ndarray:
        return np.sqrt((self.cov_sqrt**2).sum(axis=1) + self.noise**2)


@dataclasses.dataclass(frozen=True)
class Belief:
    """``weights`` [k] sum to one, ``means`` [k, n], ``cov_sqrt`` [k, n, n] lower triangular, at ``time`` (int64 ns), in the units of the ``layout``.

    `Stream.belief` gives one. ValueError for shapes that do not agree, numbers that are not finite, and where JAX has no float64.

    >>> from twin.state import Entry, Layout
    >>> layout = Layout((Entry("C10", "angstrom", 0.0, 20.0), Entry("C12.a", "angstrom", 0.0, 5.0)))
    >>> belief = prior_belief(layout, time=0)
    >>> belief.std.tolist(), belief
    ([20.0, 5.0], <Belief at 1970-01-01T00:00:00: C10 0.0 ± 2.0 nm; C12.a 0.0 ± 5.0 Å>)
    """

    layout: Layout
    time: int
    weights: np.ndarray
    means: np.ndarray
    cov_sqrt: np.ndarray
    circular_uniform: tuple[str, ...] = ()

    def __post_init__(self):
        checks.require_float64()
        k, n = len(self.weights), len(self.layout)
        if self.means.shape != (k, n) or self.cov_sqrt.shape != (k, n, n):
            raise ValueError(
                f"a belief of {k} components over {n} entries has means {self.means.shape} and factors {self.cov_sqrt.shape}"
            )
        if not (np.isfinite(self.means).all() and np.isfinite(self.cov_sqrt).all() and np.isfinite(self.weights).all()):
            raise ValueError("a belief must be finite: a reading or an observation that is not a number has reached it")

    @property
    def mean(self) -> np.ndarray:
        """Mean of the mixture, [n]."""
        return self.weights @ self.means

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of the mixture, [n, n]."""
        deviation = self.means - self.mean[None, :]
        return np.einsum("k,kij,klj->il", self.weights, self.cov_sqrt, self.cov_sqrt) + np.einsum(
            "k,ki,kj->ij", self.weights, deviation, deviation
        )

    @property
    def std(self) -> np.ndarray:
        """Standard deviations of the mixture, [n]; a circular uniform entry has that of the uniform distribution on its circle."""
        std = np.sqrt(np.diag(self.covariance))
        for name in self.circular_uniform:
            index = self.layout.index(name)
            std[index] = self.layout.entries[index].period / np.sqrt(12)
        return std

    def rows(self) -> list[tuple[str, str, str]]:
        """Each entry with its mean and standard deviation as text, and what it is; a circular uniform one is not known."""
        numbers = zip(self.layout.entries, self.mean.tolist(), self.std.tolist(), strict=True)
        return [
            (entry.name, "uniform" if entry.name in self.circular_uniform else shown(mean, std, entry.unit), entry.doc)
            for entry, mean, std in numbers
        ]

    def __repr__(self) -> str:
        rows = [f"{name} {value}" for name, value, _ in self.rows()]
        more = f"; {len(rows) - SHOWN_ENTRIES} more" if len(rows) > SHOWN_ENTRIES else ""
        several = f" ({len(self.weights)} components)" if len(self.weights) > 1 else ""
        return f"<Belief at {utc(self.time)}{several}: {'; '.join(rows[:SHOWN_ENTRIES])}{more}>"

    def _repr_html_(self) -> str:
        """Every entry of the state with its standard deviation, of the whole mixture."""
        weights = ", ".join(f"{weight:.0%}" for weight in self.weights)
        notes = [f"a mixture of {len(self.weights)} components: {weights}"] if len(self.weights) > 1 else []
        return table(f"belief at {utc(self.time)} UTC", ("entry", "mean ± std", ""), self.rows(), notes, align="l")

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The belief as plain values and arrays by name, for a journal."""
        values = {
            "time_ns": self.time,
            "names": list(self.layout.names),
            "circular_uniform": list(self.circular_uniform),
        }
        return values, {"weights": self.weights, "means": self.means, "cov_sqrt": self.cov_sqrt}

    @classmethod
    def from_state(cls, layout: Layout, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "Belief":
        """The belief that `to_state` saved; ValueError if its state has other entries than ``layout``."""
        if tuple(values["names"]) != layout.names:
            raise ValueError(f"the saved belief has entries {values['names']}, the model has {list(layout.names)}")
        return cls(
            layout, int(values["time_ns"]), arrays["weights"], arrays["means"], arrays["cov_sqrt"], tuple(values["circular_uniform"])
        )  # fmt: skip

    def sample(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """``count`` states drawn from the belief, [count, n]."""
        component = _stratified(self.weights, count, generator)
        normal = generator.standard_normal((count, len(self.layout)))
        states = self.means[component] + np.einsum("sij,sj->si", self.cov_sqrt[component], normal)
        for name in self.circular_uniform:
            index = self.layout.index(name)
            period = self.layout.entries[index].period
            states[:, index] = (np.arange(count) + generator.random(count)) / count * period
            generator.shuffle(states[:, index])
        return states

    def widened(self, mean: np.ndarray, std: np.ndarray, circular_uniform: tuple[str, ...] = ()) -> "Belief":
        """After a jump of the state by ``mean`` +- ``std`` (each [n]); entries in ``circular_uniform`` become uniform on their circles."""
        cov_sqrt = np.stack([triangular(np.concatenate([factor, np.diag(std)], axis=1)) for factor in self.cov_sqrt])
        belief = dataclasses.replace(
            self,
            means=self.means + mean[None, :],
            cov_sqrt=cov_sqrt,
            circular_uniform=tuple(dict.fromkeys((*self.circular_uniform, *circular_uniform))),
        )
        return belief.forgotten() if circular_uniform else belief

    def forgotten(self) -> "Belief":
        """The belief with its circular uniform entries made independent of all others, at their prior."""
        means, cov_sqrt = self.means.copy(), self.cov_sqrt.copy()
        indices = [self.layout.index(name) for name in self.circular_uniform]
        keep = np.ones(len(self.layout), dtype=bool)
        keep[indices] = False
        for k in range(len(means)):
            means[k, indices] = self.layout.prior_mean()[indices]
            independent = np.zeros((len(keep), len(keep) + len(indices)))
            independent[keep, : len(keep)] = cov_sqrt[k][keep]
            for column, index in enumerate(indices):
                independent[index, len(keep) + column] = self.layout.prior_std()[index]
            cov_sqrt[k] = triangular(independent)
        return dataclasses.replace(self, means=means, cov_sqrt=cov_sqrt)

    def reduced(self, max_components: int = 6, min_weight_ratio: float = 1e-3, merge_distance: float = 0.5) -> "Belief":
        """At most ``max_components`` components: those nearer than ``merge_distance`` (Mahalanobis) merged with their moments kept, those with
        weights below ``min_weight_ratio`` of the largest dropped."""
        weights, means, cov_sqrt = list(self.weights), list(self.means), list(self.cov_sqrt)
        max_weight = max(weights)
        keep = [i for i, weight in enumerate(weights) if weight > min_weight_ratio * max_weight]
        weights, means, cov_sqrt = [weights[i] for i in keep], [means[i] for i in keep], [cov_sqrt[i] for i in keep]
        while len(weights) > 1:
            distance, i, j = min(_distances(means, cov_sqrt))
            if distance > merge_distance and len(weights) <= max_components:
                break
            weights[i], means[i], cov_sqrt[i] = _joined(
                weights[i], means[i], cov_sqrt[i], weights[j], means[j], cov_sqrt[j]
            )
            del weights[j], means[j], cov_sqrt[j]
        total = sum(weights)
        return dataclasses.replace(
            self, weights=np.array(weights) / total, means=np.stack(means), cov_sqrt=np.stack(cov_sqrt)
        )


def mixed(first: Belief, second: Belief, share: float) -> Belief:
    """Two beliefs of one moment as alternatives, the ``second`` with probability ``share``; ValueError if their times or circular uniform entries differ."""
    if first.circular_uniform != second.circular_uniform or first.time != second.time:
        raise ValueError(
            f"beliefs at {first.time} and {second.time} with {first.circular_uniform} and {second.circular_uniform} circular uniform cannot be alternatives"
        )
    return dataclasses.replace(
        first,
        weights=np.concatenate([(1.0 - share) * first.weights, share * second.weights]),
        means=np.concatenate([first.means, second.means]),
        cov_sqrt=np.concatenate([first.cov_sqrt, second.cov_sqrt]),
    ).reduced()


def prior_belief(layout: Layout, time: int, circular_uniform: tuple[str, ...] = ()) -> Belief:
    """The layout's priors as a belief: independent Gaussians, with the entries in ``circular_uniform`` uniform on their circles."""
    return Belief(
        layout,
        time,
        np.ones(1),
        layout.prior_mean()[None, :],
        np.diag(layout.prior_std())[None, :, :],
        circular_uniform,
    )


def _stratified(weights: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    edges = np.cumsum(weights / weights.sum())
    quantiles = (np.arange(count) + generator.random()) / count
    return generator.permutation(np.minimum(np.searchsorted(edges, quantiles), len(weights) - 1))


def _distances(means, cov_sqrt):
    for i in range(len(means)):
        for j in range(i + 1, len(means)):
            deviation = means[i] - means[j]
            mean_covariance = 0.5 * (cov_sqrt[i] @ cov_sqrt[i].T + cov_sqrt[j] @ cov_sqrt[j].T)
            scale = np.sqrt(np.diag(mean_covariance))
            solved = np.linalg.solve(
                mean_covariance / scale[:, None] / scale[None, :] + 1e-12 * np.eye(len(scale)), deviation / scale
            )
            yield float(np.sqrt(max(deviation / scale @ solved, 0.0))), i, j


def _joined(wa, ma, fa, wb, mb, fb):
    total = wa + wb
    mean = (wa * ma + wb * mb) / total
    cov_sqrt = np.concatenate(
        [np.sqrt(wa / total) * fa, np.sqrt(wb / total) * fb, (np.sqrt(wa * wb) / total * (ma - mb))[:, None]],
        axis=1,
    )
    return total, mean, triangular(cov_sqrt)
