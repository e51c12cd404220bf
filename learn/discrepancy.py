"""The part of the prediction error that no state explains: how far the twin's image is from the instrument's at the best parameters.

The model: an expected image is off by a relative field delta(r), a zero-mean Gaussian process over the scan with standard deviation s
and the correlation length of a column's image (Kennedy & O'Hagan, J. R. Stat. Soc. B 63, 425, 2001, with a relative field). s is not
known: it carries a posterior on a grid, which every measured image (audits above all) sharpens. Without this term a prediction is
overconfident; where s grows past what a sound model can have, the model is wrong.
"""

import dataclasses
import functools

import numpy as np
from scipy.linalg import solve_triangular
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
        return float(self.weights[limit < AMPLITUDES].sum())

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

    def learnt(
        self, positions: np.ndarray, expected: np.ndarray, innovation: np.ndarray, slopes: np.ndarray, noise: np.ndarray
    ) -> "Discrepancy":
        """After an image, by the marginal likelihood of each s.

        ``expected`` [pixels] is the best image, ``innovation`` [pixels] the measured image minus the one that the belief predicted (linearised
        at the best), ``slopes`` [pixels, p] the image's derivatives by parameters scaled to unit prior variance, ``noise`` [pixels] the
        counting variance. What the parameters could have done is in the covariance: a good fit alone is no evidence of a good model.
        """
        scale = 1.0 / np.sqrt(noise)
        known = scale[:, None] * (slopes @ slopes.T) * scale[None, :] + np.eye(len(noise))
        signal = scale * np.maximum(expected, 0.0)
        field = signal[:, None] * self.correlation(positions) * signal[None, :]
        log_likelihood = np.empty(len(AMPLITUDES))
        for place, amplitude in enumerate(AMPLITUDES):
            root = np.linalg.cholesky(known + amplitude**2 * field)
            misfit = solve_triangular(root, scale * innovation, lower=True, check_finite=False)
            log_likelihood[place] = -0.5 * misfit @ misfit - np.log(np.diag(root)).sum()
        return dataclasses.replace(
            self, log_weights=self.log_weights + log_likelihood - log_likelihood.max(), images=self.images + 1
        )


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


def prior_discrepancy(amplitude: float = 0.06, spread: float = 0.25, length: float = 1.1) -> Discrepancy:
    """Before any image: log s normal around ``amplitude`` with standard deviation ``spread`` (natural logarithm).

    The defaults have the size that thermal motion suggests (one frozen-phonon configuration scatters by 10 to 13 % on a column of SrTiO3, four
    averaged by half of that), but their figures were set on the simulated microscope's own scatter from cell to cell (5 to 6 %, about
    1.1 angstrom): for another instrument or specimen they are not evidence, and its images have to teach them anew.
    """
    if not (amplitude > 0 and spread > 0 and length > 0):
        raise ValueError(
            f"a discrepancy of amplitude {amplitude}, spread {spread} and length {length}: all must be positive"
        )
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
