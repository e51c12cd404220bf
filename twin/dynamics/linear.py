"""A linear stochastic differential equation dx = (F x + b) dt + dw, E[dw dw^T] = Q dt, discretised exactly for any time step.

Few entries of a state are coupled. So the state divides into independent blocks, and each is discretised
separately: a single entry by its closed form, a coupled block by one matrix exponential (Van Loan, IEEE Trans. Autom. Control 23, 395, 1978).
"""

import functools
import math

import msgspec
import numpy as np
from scipy.linalg import expm
from scipy.sparse.csgraph import connected_components

from twin.state import Layout


class Dynamics(msgspec.Struct, frozen=True, dict=True):
    """Drift matrix ``drift`` F [n, n] in 1/s, diffusion ``diffusion`` [n] (diagonal of Q, unit^2/s) and constant push ``push`` b [n] (unit/s;
    None: none) for a layout."""

    layout: Layout
    drift: np.ndarray
    diffusion: np.ndarray
    push: np.ndarray | None = None

    def __post_init__(self):
        n = len(self.layout)
        if self.drift.shape != (n, n) or self.diffusion.shape != (n,):
            raise ValueError(
                f"a state of {n} entries has a drift matrix {self.drift.shape} and a diffusion {self.diffusion.shape}; "
                f"give [{n}, {n}] and [{n}]"
            )
        if not (np.isfinite(self.drift).all() and np.isfinite(self.diffusion).all() and (self.diffusion >= 0).all()):
            raise ValueError("drift and diffusion must be finite, and no diffusion negative: look at rates and times")

    @functools.cached_property
    def lone(self) -> np.ndarray:
        """Places of the entries that are coupled to no other, [m]."""
        return np.array([block[0] for block in self._blocks if len(block) == 1], dtype=int)

    @functools.cached_property
    def coupled(self) -> tuple[np.ndarray, ...]:
        """Places of the entries of each coupled block."""
        return tuple(block for block in self._blocks if len(block) > 1)

    @functools.cached_property
    def _blocks(self) -> tuple[np.ndarray, ...]:
        count, label = connected_components(self.drift != 0, directed=False)
        return tuple(np.flatnonzero(label == block) for block in range(count))

    def discretise(self, interval: float) -> tuple[np.ndarray, np.ndarray]:
        """Transition A [n, n] and factor L [n, n] (L L^T the accumulated noise) over ``interval`` seconds; ValueError if negative or not finite."""
        if not (np.isfinite(interval) and interval >= 0):
            raise ValueError(f"an interval of {interval} s: time must be finite and may not run backwards")
        n = len(self.layout)
        transition, factor = np.zeros((n, n)), np.zeros((n, n))
        rate = self.drift[self.lone, self.lone]
        transition[self.lone, self.lone] = np.exp(rate * interval)
        factor[self.lone, self.lone] = np.sqrt(self.diffusion[self.lone] * _accumulated_variance(2 * rate, interval))
        for block in self.coupled:
            entries = np.ix_(block, block)
            transition[entries], noise = _van_loan(self.drift[entries], self.diffusion[block], interval)
            factor[entries] = root_of_noise(noise)
        return transition, factor

    def shift(self, interval: float) -> np.ndarray:
        """What the constant push adds to the state over ``interval`` seconds, [n]."""
        n, push = len(self.layout), self.push
        shift = np.zeros(n)
        if push is None or not push.any():
            return shift
        lone = self.lone
        shift[lone] = push[lone] * _accumulated_variance(self.drift[lone, lone], interval)
        for block in self.coupled:
            size = len(block)
            augmented = np.zeros((size + 1, size + 1))
            augmented[:size, :size], augmented[:size, size] = self.drift[np.ix_(block, block)], push[block]
            shift[block] = expm(augmented * interval)[:size, size]
        return shift


def _accumulated_variance(rate: np.ndarray, interval: float) -> np.ndarray:
    """Integral of exp(rate t) from 0 to ``interval``, also where the rate is zero."""
    small = np.abs(rate * interval) < 1e-12
    return np.where(small, interval, np.expm1(rate * interval) / np.where(small, 1.0, rate))


def _van_loan(drift: np.ndarray, diffusion: np.ndarray, interval: float) -> tuple[np.ndarray, np.ndarray]:
    """Transition and accumulated noise covariance, each [n, n].

    One block exponential holds exp(+t/tau) beside exp(-t/tau), which cancels badly over long times: a short piece of time first, then doubled.
    """
    n = len(drift)
    halvings = max(0, math.ceil(math.log2(max(float(np.abs(drift).sum(axis=0).max()) * interval, 1e-300))))
    block = np.zeros((2 * n, 2 * n))
    block[:n, :n] = -drift
    block[:n, n:] = np.diag(diffusion)
    block[n:, n:] = drift.T
    grown = expm(block * (interval / 2**halvings))
    transition = grown[n:, n:].T
    noise = transition @ grown[:n, n:]
    for _ in range(halvings):
        noise = transition @ noise @ transition.T + noise
        transition = transition @ transition
    return transition, 0.5 * (noise + noise.T)


def root_of_noise(covariance: np.ndarray) -> np.ndarray:
    """A square root of a positive semidefinite matrix, by eigenvalues after scaling (the entries span ten decades)."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    values, vectors = np.linalg.eigh(covariance / scale[:, None] / scale[None, :])
    return scale[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))[None, :]
