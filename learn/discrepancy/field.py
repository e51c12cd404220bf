"""Model discrepancy: the difference between the twin's and the instrument's expected images at the best parameters.

An expected image is off by a relative field delta(r), a zero-mean Gaussian process over the scan with standard deviation s and correlation length l
(Kennedy & O'Hagan, J. R. Stat. Soc. B 63, 425, 2001, with a relative field), and distorted by a probe jitter of j angstrom rms per axis
(`twin.detection.jitter`). The joint posterior of s, l and j on a grid is updated with every measured image. Without these terms predictions are
overconfident; an s larger than a sound model can have shows that the model is wrong.
"""

import dataclasses
import functools

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from twin.detection import jitter
from twin.image.microscope import raster
from twin.notebook import table
from twin.records import Scan

AMPLITUDES = np.array([0.01, 0.015, 0.022, 0.032, 0.045, 0.06, 0.08, 0.105, 0.14, 0.19, 0.26, 0.36])
"""Grid of s."""
LENGTHS = np.array([0.6, 1.2])
"""Grid of l in angstrom: the width of the image of an atomic column, and the space between columns."""
JITTERS = np.array([0.003, 0.015, 0.03, 0.06])
"""Grid of j in angstrom."""


@dataclasses.dataclass(frozen=True)
class Discrepancy:
    """Joint posterior of s, l and j: ``log_weights`` [amplitudes, lengths, jitters]; ``images``: number of images used. Begin with `prior`.

    >>> Discrepancy.prior(amplitude=0.05)
    <Discrepancy of 6 % of the signal, jitter 0.038 Å, from 0 images>
    """

    log_weights: np.ndarray
    images: int = 0

    @classmethod
    def prior(
        cls, amplitude: float = 0.06, spread: float = 0.4, jitter: float = 0.03, jitter_spread: float = 0.7
    ) -> "Discrepancy":
        """Before any image: log s normal about log ``amplitude``, log j about log ``jitter`` (angstrom), uniform in l. ValueError unless all are positive.

        ``spread`` and ``jitter_spread`` are the standard deviations of the natural logarithms.

        The defaults are wide: one frozen-phonon configuration scatters by 10 to 13 % on a column of SrTiO3, an average of a few by half of that; the scan
        noise of a healthy column is a few hundredths of an angstrom.
        """
        if not min(amplitude, spread, jitter, jitter_spread) > 0:
            raise ValueError(
                f"a discrepancy of amplitude {amplitude}, spread {spread}, jitter {jitter} and jitter spread {jitter_spread}: all must be positive"
            )
        of_amplitude = -0.5 * (np.log(AMPLITUDES / amplitude) / spread) ** 2
        of_jitter = -0.5 * (np.log(JITTERS / jitter) / jitter_spread) ** 2
        return cls(of_amplitude[:, None, None] + np.zeros((1, len(LENGTHS), 1)) + of_jitter[None, None, :])

    def __repr__(self) -> str:
        return f"<Discrepancy of {100 * self.amplitude:.2g} % of the signal, jitter {self.jitter:.2g} Å, from {self.images} images>"

    def _repr_html_(self) -> str:
        """The posterior of each of its three numbers: mean square root, and the probability of the grid's values."""
        rows = []
        for name, unit, grid, axes in (
            ("amplitude", "of the signal", AMPLITUDES, (1, 2)),
            ("length", "Å", LENGTHS, (0, 2)),
            ("jitter", "Å", JITTERS, (0, 1)),
        ):
            share = self.weights.sum(axis=axes)
            likely = ", ".join(
                f"{value:g} ({part:.0%})" for value, part in zip(grid, share, strict=True) if part >= 0.01
            )
            rows.append((name, f"{np.sqrt(share @ grid**2):.3g} {unit}", likely))
        return table(
            f"model discrepancy from {self.images} images", ("", "rms", "values (probability)"), rows, align="l"
        )

    @property
    def weights(self) -> np.ndarray:
        return np.exp(self.log_weights - logsumexp(self.log_weights))

    @property
    def amplitude(self) -> float:
        """Square root of the posterior mean of s squared."""
        return float(np.sqrt(np.einsum("alj,a->", self.weights, AMPLITUDES**2)))

    @property
    def jitter(self) -> float:
        """Square root of the posterior mean of j squared, angstrom."""
        return float(np.sqrt(np.einsum("alj,j->", self.weights, JITTERS**2)))

    def above(self, limit: float) -> float:
        """Posterior probability that s exceeds ``limit``."""
        return float(self.weights[limit < AMPLITUDES].sum())

    def correlation(self, scan: Scan) -> np.ndarray:
        """Correlation [pixels, pixels] of the relative field, averaged over the posterior of its length."""
        share = np.einsum("alj,a->l", self.weights, AMPLITUDES**2)
        matrices = [_correlation(_positions(scan), float(length)) for length in LENGTHS]
        return sum(w * matrix for w, matrix in zip(share / share.sum(), matrices, strict=True))  # type: ignore[return-value]

    def covariance(self, image: np.ndarray, scan: Scan, amplitude: float | None = None) -> np.ndarray:
        """Covariance [pixels, pixels] of the instrument's expected image minus the twin's ``image`` [pixels], both without the detector's black level.

        ``amplitude`` replaces s if given.
        """
        signal = np.maximum(image, 0.0)
        s = self.amplitude if amplitude is None else amplitude
        field = s**2 * signal[:, None] * self.correlation(scan) * signal[None, :]
        return field + self.jitter**2 * jitter.covariance(image, scan)

    def sample(self, images: np.ndarray, scan: Scan, generator: np.random.Generator) -> np.ndarray:
        """Errors [n, pixels] to add to ``images`` [n, pixels]. s, l and j are drawn for each image, so that the tails include their uncertainty."""
        count = len(images)
        drawn = generator.choice(self.weights.size, size=count, p=self.weights.reshape(-1))
        a, length, j = np.unravel_index(drawn, self.weights.shape)
        roots = [_root(_positions(scan), float(length)) for length in LENGTHS]
        fields = np.empty_like(images)
        for index, root in enumerate(roots):
            selected = length == index
            fields[selected] = generator.standard_normal((int(selected.sum()), root.shape[1])) @ root.T
        moved = jitter.sample(images, scan, generator)
        return AMPLITUDES[a][:, None] * fields * np.maximum(images, 0.0) + JITTERS[j][:, None] * moved

    def update(
        self, scan: Scan, expected: np.ndarray, innovation: np.ndarray, slopes: np.ndarray, noise: np.ndarray
    ) -> "Discrepancy":
        """Posterior after an image, by the marginal likelihood of each s, l and j.

        ``expected`` [pixels] is the best image less the detector's black level, ``innovation`` [pixels] the measured image minus the predicted one (linearised
        at the best), ``slopes`` [pixels, p] the derivatives of the image with respect to parameters scaled to unit prior variance, ``noise`` [pixels] the
        counting variance. The covariance includes the prior of the parameters, so a good fit alone is no evidence for a good model. ValueError for arrays that
        do not have the scan's pixels, or hold numbers that are not finite.
        """
        _check_pixels(scan, expected=expected, innovation=innovation, slopes=slopes, noise=noise)
        scale = 1.0 / np.sqrt(noise)
        known = scale[:, None] * (slopes @ slopes.T) * scale[None, :] + np.eye(len(noise))
        signal = scale * np.maximum(expected, 0.0)
        torn = scale[:, None] * jitter.covariance(expected, scan) * scale[None, :]
        log_likelihood = np.full(self.log_weights.shape, -np.inf)
        believed = self.log_weights > self.log_weights.max() - NEGLIGIBLE_LOG_WEIGHT
        for k, length in enumerate(LENGTHS):
            field = signal[:, None] * _correlation(_positions(scan), float(length)) * signal[None, :]
            for j, size in enumerate(JITTERS):
                fixed = known + size**2 * torn
                for a in np.flatnonzero(believed[:, k, j]):
                    root = np.linalg.cholesky(fixed + AMPLITUDES[a] ** 2 * field)
                    misfit = solve_triangular(root, scale * innovation, lower=True, check_finite=False)
                    log_likelihood[a, k, j] = -0.5 * misfit @ misfit - np.log(np.diag(root)).sum()
        best = log_likelihood.max()
        log_likelihood = np.where(believed, log_likelihood, best - NEGLIGIBLE_LOG_WEIGHT)
        log_weights = self.log_weights + log_likelihood - best
        return dataclasses.replace(self, log_weights=log_weights - log_weights.max(), images=self.images + 1)


NEGLIGIBLE_LOG_WEIGHT = 20.0
"""Grid points whose log weight is lower than the best by this much are not evaluated for this image."""


def _check_pixels(scan: Scan, **arrays: np.ndarray) -> None:
    pixels = scan.shape[0] * scan.shape[1]
    for name, array in arrays.items():
        if np.shape(array)[:1] != (pixels,) or np.ndim(array) != (2 if name == "slopes" else 1):
            wanted = f"[{pixels}, parameters]" if name == "slopes" else f"[{pixels}]"
            raise ValueError(f"{name} has shape {np.shape(array)}, the scan {pixels} pixels; give {wanted}")
        if not np.isfinite(array).all() or (name == "noise" and not (array > 0).all()):
            raise ValueError(f"{name} is not finite{' and above 0' if name == 'noise' else ''}; leave such images out")


def _positions(scan: Scan) -> bytes:
    return np.ascontiguousarray(raster(scan).reshape(-1, 2)).tobytes()


@functools.lru_cache(maxsize=16)
def _correlation(content: bytes, length: float) -> np.ndarray:
    positions = np.frombuffer(content).reshape(-1, 2)
    square = ((positions[:, None, :] - positions[None, :, :]) ** 2).sum(axis=-1)
    return np.exp(-0.5 * square / length**2)


@functools.lru_cache(maxsize=16)
def _root(content: bytes, length: float) -> np.ndarray:
    """A square root of the correlation, without directions of less than 1e-6 of the variance."""
    values, vectors = np.linalg.eigh(_correlation(content, length))
    keep = values > 1e-6 * values.max()
    return vectors[:, keep] * np.sqrt(values[keep])[None, :]


@dataclasses.dataclass(frozen=True)
class Inflation:
    """A factor on predicted standard deviations, estimated from checked predictions: inverse-gamma posterior of its square.

    It starts at 1 with the weight of ``prior`` checked numbers. Numbers of one image are correlated and count as ``share`` each. The factor is never below
    1: only measured images are checked, mostly within counting noise, which does not justify narrower predictions elsewhere.
    """

    prior: float = 40.0
    squares: float = 0.0
    count: float = 0.0
    share: float = 0.5

    @property
    def factor(self) -> float:
        return max(1.0, float(np.sqrt((self.prior + self.squares) / (self.prior + self.count))))

    def update(self, standardised: np.ndarray) -> "Inflation":
        """Posterior after checked numbers with these standardised errors [n]; each is clipped at 4 sigma."""
        squares = np.minimum(np.asarray(standardised, dtype=float) ** 2, 16.0)
        return dataclasses.replace(
            self, squares=self.squares + self.share * float(squares.sum()), count=self.count + self.share * len(squares)
        )
