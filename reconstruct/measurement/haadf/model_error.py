"""Error of the modelled unit cell: a smooth relative field with the cell's period, marginalised in every fit, its size estimated from the image.

Atomic scattering factors, thermal motion, frozen phonons, faces and angles of the detector are all wrong by some per cent, differently on different columns:
I (1 + f), f with covariance a^2 K, K a squared exponential in distance, periodic (`learn.discrepancy.field` learns such a field over many images).
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from reconstruct.measurement.haadf.model import cell_points, waves
from twin.checks import positive

GRID_POINTS = 48
"""Points along either side of the cell at which the field is multiplied."""


@dataclasses.dataclass(frozen=True)
class ModelError:
    """``relative`` rms error of the signal (dimensionless), known within a factor exp(``spread``), over ``length`` angstrom. What no misfit shows: ``face``
    (angstrom), by how much the entrance face that C10 refers to may lie elsewhere, under amorphous or damaged layers."""

    relative: float = 0.03
    length: float = 0.7
    spread: float = 0.5
    face: float = 2.5

    def __post_init__(self):
        for name in ("relative", "length", "spread", "face"):
            positive(name, getattr(self, name), "give the error of the model, above zero")


def error_columns(
    mean: Float[np.ndarray, " c"], g: Float[np.ndarray, "n 2"], cell: tuple[float, float], length: float
) -> Float[np.ndarray, "c m"]:
    """What independent fields of unit size altogether (sum of squares 1 anywhere) do to the harmonics ``mean`` of a signal, as columns."""
    functions = waves(g, cell_points(cell, GRID_POINTS), cell)
    signal = np.maximum(functions @ mean, 0.0)
    strength = np.exp(-2.0 * np.pi**2 * length**2 * (g**2).sum(axis=1))
    # an even part and an odd one for all but the constant
    share = np.concatenate([strength, strength[1:]])
    share = np.where(np.arange(len(share)) == 0, share, 2.0 * share)
    share = share / (share[0] + 0.5 * share[1:].sum())
    significant = share > 1e-4 * share.max()
    products = signal[:, None] * functions[:, significant] * np.sqrt(share[significant])[None, :]
    size = np.where(np.arange(functions.shape[1]) == 0, 1.0, 0.5) * len(signal)
    return (functions.T @ products) / size[:, None]


class MarginalisedInformation:
    """What is left of an ``information`` [c, c] (inverse covariance) when a field's ``columns`` [c, m] may be in the data, for any size of it."""

    def __init__(self, information: np.ndarray, columns: np.ndarray):
        self.information = information
        projected = information @ columns
        values, vectors = np.linalg.eigh(columns.T @ projected)
        self.values = np.maximum(values, 0.0)
        self.axes = (projected @ vectors).T

    def weight(self, relative: float) -> np.ndarray:
        """Inverse [c, c] of information^-1 + relative^2 columns columns^T (Woodbury)."""
        shrinkage = relative**2 / (1.0 + relative**2 * self.values)
        weight = self.information - (self.axes.T * shrinkage) @ self.axes
        return 0.5 * (weight + weight.T)

    def products(
        self, residual: Float[np.ndarray, " c"], jacobian: Float[np.ndarray, "c p"], relative: Float[np.ndarray, " s"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Chi square [s] of one residual, and the information [s, p, p] of parameters with slopes ``jacobian``, for every size."""
        size = relative[:, None] ** 2
        shrinkage = size / (1.0 + size * self.values[None])
        seen, slopes = self.axes @ residual, self.axes @ jacobian
        squares = residual @ self.information @ residual - shrinkage @ seen**2
        curvature = jacobian.T @ self.information @ jacobian
        return squares, curvature[None] - np.einsum("mp,sm,mq->spq", slopes, shrinkage, slopes, optimize=True)

    def squares(
        self, residuals: Float[np.ndarray, "s c"], relative: Float[np.ndarray, " s"]
    ) -> Float[np.ndarray, " s"]:
        """Chi squares of residuals, each for its own size, and the logarithm of the determinant by which the covariance has grown."""
        size = relative[:, None] ** 2
        shrinkage = size / (1.0 + size * self.values[None])
        squares = ((residuals @ self.information) * residuals).sum(axis=1)
        return squares - (shrinkage * (residuals @ self.axes.T) ** 2).sum(axis=1) + self.volume(relative)

    def volume(self, relative: Float[np.ndarray, " s"]) -> Float[np.ndarray, " s"]:
        """Logarithm of the determinant by which the covariance has grown."""
        return np.log1p(relative[:, None] ** 2 * self.values[None]).sum(axis=1)
