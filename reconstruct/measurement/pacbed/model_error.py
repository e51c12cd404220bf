"""Error of a pattern's model: a smooth relative field over directions, marginalised in every fit, its size estimated from the image.

Measured minus expected counts have covariance diag(v) + a^2 M K M, with v of counting, M the pattern itself, K a squared exponential of correlation length
l in angle: scattering factors, thermal motion, diffuse scattering, surfaces and bending are all wrong by some per cent over some milliradians. K is
held by its cosine functions (Solin and Sarkka, Stat. Comput. 30 (2020) 419), so that all algebra is in some hundreds of numbers.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from twin.checks import positive

NARROW = 25e-3
"""Radian from the beam within which too few disks overlap to tell a crystal's thickness from its thermal motion."""


@dataclasses.dataclass(frozen=True)
class ModelError:
    """``relative`` rms error of a pattern (dimensionless), known within a factor exp(``spread``), ``length`` (radian) over which it is alike,
    ``grain`` the relative error of single pixels, and ``edge`` (pixels) how far an edge of a disk may be from where it should be: apertures are not round.

    What no misfit shows: ``surface`` (angstrom), by how much amorphous or damaged faces make a crystal seem thicker or thinner; ``deep``, the relative error of
    scattering that thickness makes up for; and ``lean`` (angstrom), by how much atoms at one face may stand beside where a tilt alone would put them. All
    three are the likeliest for what fits to other code's patterns of six specimens of two crystals are off by. ``narrow`` (angstrom)
    comes to ``surface`` where less than `NARROW` radian of the pattern are fitted: the mean of ten specimens.
    """

    relative: float = 0.02
    length: float = 4.0e-3
    grain: float = 0.01
    edge: float = 0.15
    spread: float = 0.5
    surface: float = 1.5
    deep: float = 0.003
    lean: float = 0.0055
    narrow: float = 3.5

    def __post_init__(self):
        for name in ("relative", "length", "grain", "edge", "spread", "surface", "deep", "lean", "narrow"):
            positive(name, getattr(self, name), "give the error of the model, above zero")


def cosines(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], length: float, least: float = 0.02
) -> Float[np.ndarray, "n m"]:
    """Functions f_j at directions (x, y) radian with sum_j f_j(p) f_j(q) = exp(-|p - q|^2 / (2 length^2)) but for a share ``least``, n x m."""
    side = float(max(np.abs(x).max(), np.abs(y).max())) + 2.0 * length
    highest = np.sqrt(-2.0 * np.log(least)) / length
    count = int(highest * 2.0 * side / np.pi)
    omega = 0.5 * np.pi * np.arange(count + 1) / side
    spectrum = np.sqrt(2.0 * np.pi) * length * np.exp(-0.5 * (omega * length) ** 2)
    root = np.sqrt(spectrum / side)
    root[0] *= np.sqrt(0.5)
    along_x, along_y = (root[None, :] * np.cos(omega[None, :] * (v[:, None] + side)) for v in (x, y))
    i, j = np.nonzero(omega[:, None] ** 2 + omega[None, :] ** 2 <= highest**2)
    return along_x[:, i] * along_y[:, j]


class Whitened:
    """Residuals and slopes in sigmas of counting with the field taken out, for any of its sizes: ``quadratic`` forms with the inverse covariance."""

    def __init__(self, field: np.ndarray, signal: np.ndarray, variance: np.ndarray):
        """``field`` [n, m] as `cosines` gives it, ``signal`` [n] and ``variance`` [n] in counts."""
        self.root = 1.0 / np.sqrt(variance)
        scaled = field * (signal * self.root)[:, None]
        self.values, vectors = np.linalg.eigh(scaled.T @ scaled)
        self.values = np.maximum(self.values, 0.0)
        self.axes = scaled @ vectors

    def project(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns [n, c] in sigmas, and along the field's axes [m, c]."""
        white = columns * self.root[:, None]
        return white, self.axes.T @ white

    def quadratic(
        self, a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray], relative: float
    ) -> np.ndarray:
        """a^T C^-1 b of what `project` gave, for a field of rms ``relative``."""
        shrinkage = relative**2 / (1.0 + relative**2 * self.values)
        return a[0].T @ b[0] - (a[1] * shrinkage[:, None]).T @ b[1]

    def volume(self, relative: float) -> float:
        """log det C less that of counting alone."""
        return float(np.log1p(relative**2 * self.values).sum())
