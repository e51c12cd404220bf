"""The part of the prediction error that no state explains: how far the twin's image is from the instrument's at the best parameters.

The model: an expected image is off by a relative field delta(r), a zero-mean Gaussian process over the scan with standard deviation s
and the correlation length of a column's image (Kennedy & O'Hagan, J. R. Stat. Soc. B 63, 425, 2001, with a relative field). s is not
known: it carries a posterior on a grid, which every measured image (audits above all) sharpens. Without this term a prediction is
overconfident; where s grows past what a sound model can have, the model is wrong.
"""

import dataclasses
import functools

import numpy as np
from scipy.special import logsumexp

AMPLITUDES = np.array([0.01, 0.015, 0.022, 0.032, 0.045, 0.06, 0.08, 0.105, 0.14, 0.19, 0.26, 0.36])
"""Values of s that are told apart."""


@dataclasses.dataclass(frozen=True)
class Discrepancy:
    """Posterior over s: ``log_weights`` on `AMPLITUDES`; ``length`` the correlation length in angstrom, ``images`` how many taught it."""

    log_weights: np.ndarray
    length: float
    images: int = 0

    @property
    def weights(self) -> np.ndarray:
        return np.exp(self.log_weights - logsumexp(self.log_weights))

    @property
    def variance(self) -> float:
        """Expected s squared."""
        return float(self.weights @ AMPLITUDES**2)

    @property
    def amplitude(self) -> float:
        return float(np.sqrt(self.variance))

    def above(self, limit: float) -> float:
        """Probability that s exceeds ``limit``."""
        return float(self.weights[AMPLITUDES > limit].sum())

    def correlation(self, positions: np.ndarray) -> np.ndarray:
        """Correlation [pixels, pixels] of the relative field at ``positions`` [pixels, 2]."""
        return _correlation(np.ascontiguousarray(positions).tobytes(), len(positions), self.length)

    def covariance(self, positions: np.ndarray) -> np.ndarray:
        """Covariance [pixels, pixels] of the relative field."""
        return self.variance * self.correlation(positions)

    def sample(self, positions: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
        """Relative fields [count, pixels]; s is drawn anew for each, so that its own uncertainty is in the tails."""
        root = _root(np.ascontiguousarray(positions).tobytes(), len(positions), self.length)
        which = generator.choice(len(AMPLITUDES), size=count, p=self.weights)
        return AMPLITUDES[which][:, None] * (generator.standard_normal((count, root.shape[1])) @ root.T)

    def learnt(self, positions: np.ndarray, expected: np.ndarray, residual: np.ndarray, noise: np.ndarray, parameters: float) -> "Discrepancy":
        """After an image: ``expected``, ``residual`` and counting variance ``noise`` (each [pixels]) at the best parameters.

        The fit has taken up ``parameters`` degrees of freedom; the likelihood of each s is that of the residual, tempered by their share.
        """
        base = expected[:, None] * self.correlation(positions) * expected[None, :]
        scale = 1.0 / np.sqrt(noise)
        values, vectors = np.linalg.eigh(base * scale[:, None] * scale[None, :])
        along = (vectors.T @ (residual * scale)) ** 2
        values = np.maximum(values, 0.0)
        log_likelihood = np.empty(len(AMPLITUDES))
        for place, amplitude in enumerate(AMPLITUDES):
            variance = 1.0 + amplitude**2 * values
            # the fit removed its parameters from the best-measured directions: those are not evidence of a small discrepancy
            free = np.ones(len(values))
            free[np.argsort(-values)[: int(round(parameters))]] = 0.0
            log_likelihood[place] = -0.5 * (free * (along / variance + np.log(variance))).sum()
        return dataclasses.replace(self, log_weights=self.log_weights + log_likelihood - log_likelihood.max(), images=self.images + 1)


@functools.lru_cache(maxsize=8)
def _correlation(content: bytes, count: int, length: float) -> np.ndarray:
    positions = np.frombuffer(content).reshape(count, 2)
    square = ((positions[:, None, :] - positions[None, :, :]) ** 2).sum(axis=-1)
    return np.exp(-0.5 * square / length**2)


@functools.lru_cache(maxsize=8)
def _root(content: bytes, count: int, length: float) -> np.ndarray:
    """A root of the correlation, without directions that carry less than 1e-6 of the variance."""
    values, vectors = np.linalg.eigh(_correlation(content, count, length))
    keep = values > 1e-6 * values.max()
    return vectors[:, keep] * np.sqrt(values[keep])[None, :]


def prior_discrepancy(amplitude: float = 0.04, spread: float = 0.6, length: float = 0.8) -> Discrepancy:
    """Before any image: log s normal around ``amplitude`` with standard deviation ``spread`` (natural logarithm)."""
    if not (amplitude > 0 and spread > 0 and length > 0):
        raise ValueError(f"a discrepancy of amplitude {amplitude}, spread {spread} and length {length}: all must be positive")
    return Discrepancy(-0.5 * (np.log(AMPLITUDES / amplitude) / spread) ** 2, length)


@dataclasses.dataclass(frozen=True)
class Inflation:
    """A factor on predicted standard deviations, learnt from predictions that were checked: an inverse-gamma posterior on its square.

    It starts at one with the weight of ``prior`` checked numbers; numbers of one image are not independent and count as ``share`` each.
    """

    prior: float = 40.0
    squares: float = 0.0
    count: float = 0.0
    share: float = 0.5

    @property
    def factor(self) -> float:
        return float(np.sqrt((self.prior + self.squares) / (self.prior + self.count)))

    def learnt(self, standardised: np.ndarray) -> "Inflation":
        """After checked numbers with these standardised errors [n]; a single one counts at most as 4 sigmas."""
        squares = np.minimum(np.asarray(standardised, dtype=float) ** 2, 16.0)
        return dataclasses.replace(
            self, squares=self.squares + self.share * float(squares.sum()), count=self.count + self.share * len(squares)
        )
