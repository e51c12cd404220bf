"""A spectrum image, or one spectrum, as background and edges: what is shared learnt from half of the spectra and tested by the others, then every
spectrum fitted."""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from reconstruct.eels.camera import Camera
from reconstruct.eels.core_loss.common import Known, own_of
from reconstruct.eels.core_loss.design import Design, Edge, design_of
from reconstruct.eels.core_loss.learning import LEAST_NOISE_SPECTRA, Learned, held_out, learn
from reconstruct.eels.core_loss.pixels import BLOCK, Fitted, Own, expectation, fit_spectra, inverse_noise, whitened
from reconstruct.eels.core_loss.shared import crossed, expand

MOST_LEARNT = 256
"""Spectra that shapes and camera are learnt from: more change little."""
SEED = 23
"""Of the choice of those spectra."""


@dataclasses.dataclass(frozen=True)
class CoreLossFit:
    """Of n spectra with c channels at ``energies`` the ``fitted`` parameters with what was ``learned``, from the spectra ``chosen`` [n] (True). ``counts``
    [n, c] are those that were fitted; ``tested``: reduced chi squared of the other spectra (of all, where they are few and the counts per electron
    were told) and its rms error, else None."""

    energies: np.ndarray
    counts: np.ndarray
    learned: Learned
    fitted: Fitted
    chosen: np.ndarray
    tested: tuple[float, float] | None

    @property
    def design(self) -> Design:
        """The model."""
        return self.learned.design

    @property
    def amplitudes(self) -> np.ndarray:
        """Electrons times atoms per angstrom^2 of each element, [n, k]."""
        return self.fitted.parameters[:, 2 : 2 + len(self.units)] / self.units

    @property
    def units(self) -> np.ndarray:
        """Counts of a model amplitude for one electron and one atom per angstrom^2 [k]."""
        return self.design.scale * self.learned.camera.counts_per_electron

    @functools.cached_property
    def own_covariance(self) -> np.ndarray:
        """Of each spectrum's parameters [n, 2 + k, 2 + k] by its own noise."""
        return _inverted(self.fitted.information)

    def expected(self) -> tuple[np.ndarray, np.ndarray]:
        """Background and edges of each spectrum [n, c] in counts, with the pattern."""
        shared = self.learned.shared
        background, edges = (np.asarray(part) for part in expectation(self.fitted.parameters, shared))
        return background * self.learned.pattern, edges * self.learned.pattern

    def whitened_residual(self) -> np.ndarray:
        """What is left of each spectrum [n, c] over its noise, made white."""
        shared = self.learned.shared
        background, edges = (np.asarray(part) for part in expectation(self.fitted.parameters, shared))
        scale = np.asarray(inverse_noise(self.fitted.parameters, background, shared))
        return np.asarray(whitened(scale * (self.counts - self.learned.pattern * (background + edges)), shared.taps))

    @functools.cached_property
    def sensitivity(self) -> tuple[np.ndarray, np.ndarray]:
        """By how much parameters of a spectrum move with shared unknowns: with what edges share, of each spectrum [n, p, m + g], and with all that is shared,
        their mean [p, m + g (+ c)]."""
        shared, rows = self.learned.shared, self.learned.rows
        own_prior = self.own_prior
        with_pattern = self.learned.roughness > 0.0
        own = self.own_covariance
        parts, total = [], np.zeros((own.shape[1], len(self.learned.information)))
        for begin in range(0, len(own), BLOCK):
            part = slice(begin, begin + BLOCK)
            prior = Own(own_prior.centre[part], own_prior.precision[part])
            pieces = expand(self.counts[part], self.fitted.parameters[part], shared, prior)
            pieces = type(pieces)(*(np.asarray(piece) for piece in pieces))
            moved = -own[part] @ crossed(pieces, rows, with_pattern)
            total += moved.sum(axis=0)
            parts.append(moved[:, :, : self.shared_by_edges])
        return np.concatenate(parts), total / len(own)

    def covariance(self) -> np.ndarray:
        """Of each spectrum's parameters [n, 2 + k, 2 + k], by its own noise and the errors of what edges share: their shapes, the axis's
        offset, the low loss (those of the pattern are small beside)."""
        each, _ = self.sensitivity
        shared = self.learned.covariance[: self.shared_by_edges, : self.shared_by_edges]
        return self.own_covariance + each @ shared @ np.swapaxes(each, 1, 2)

    @property
    def own_prior(self) -> Own:
        """Of further unknowns of the spectra."""
        return own_of(self.learned.known, len(self.counts), self.learned.camera.counts_per_electron)

    @property
    def log_electrons(self) -> np.ndarray:
        """Derivatives [m + g] by what edges share of the logarithm of the electrons that the low loss counts."""
        slope = np.zeros(self.shared_by_edges)
        low = self.learned.known.scattering
        if low is not None and len(low.log_counts):
            slope[-len(low.log_counts) :] = math.sqrt(self.learned.camera.counts_per_electron) * low.log_counts
        return slope

    @property
    def more_electrons(self) -> float:
        """By what factor there were more of them than the low loss counts, as far as the core loss says so."""
        return math.exp(float(self.log_electrons @ np.concatenate([self.learned.shape, self.learned.common])))

    @property
    def shared_by_edges(self) -> int:
        """Number of shape coefficients and what else edges share."""
        return len(self.learned.shape) + len(self.learned.common)

    def mean(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean of the spectra's parameters [2 + k], and its covariance with that of all that is shared."""
        _, common = self.sensitivity
        own = self.own_covariance.sum(axis=0) / len(self.fitted.parameters) ** 2
        return self.fitted.parameters.mean(axis=0), own + common @ self.learned.covariance @ common.T


def fit_core_loss(
    counts: np.ndarray,
    energies: np.ndarray,
    edges: Sequence[Edge],
    kernel: np.ndarray | None = None,
    used: np.ndarray | None = None,
    gain: float | None = None,
    camera: Camera | None = None,
    known: Known = Known(),
) -> CoreLossFit:
    """Fit spectra ``counts`` [n, c] at ``energies`` (eV, even steps, above 0).

    ``kernel``: a low loss of unit sum (`design.design_of`); ``used`` [c]: 0 for channels that are left out; ``gain``: counts per electron, where it is
    told; ``camera``: where all of it is known; ``known``: of axis and low loss, which is convolved in where it is there. ValueError where there is nothing
    to fit.
    """
    counts, energies = np.asarray(counts, np.float64), np.asarray(energies, np.float64)
    used = np.ones(len(energies)) if used is None else np.asarray(used, np.float64)
    clean = np.where(used > 0, counts, 1.0)
    kernel = known.scattering.kernel if known.scattering is not None else kernel
    design = design_of(energies, edges, kernel)
    order = np.random.default_rng(SEED).permutation(len(clean))
    halved = len(clean) >= 2 * LEAST_NOISE_SPECTRA
    chosen = np.zeros(len(clean), bool)
    chosen[order[: min(len(clean) // 2, MOST_LEARNT) if halved else len(clean)]] = True
    learned = learn(clean[chosen], design, used, gain, camera, known, chosen)
    own = own_of(known, len(clean), learned.camera.counts_per_electron)
    fitted = fit_spectra(clean, learned.shared, own=own)
    tested = None
    if halved:
        tested = held_out(learned, fitted.parameters[~chosen], fitted.chi_squared[~chosen])
    elif learned.told:  # the noise is known, and so is what it should be
        tested = held_out(learned, fitted.parameters, fitted.chi_squared, learned.shape_freedom / len(clean))
    return CoreLossFit(energies, clean, learned, fitted, chosen, tested)


def white_lines(fit: CoreLossFit, edge: int, split: float) -> tuple[float, float] | None:
    """Ratio of the white lines of an ``edge`` before and behind ``split`` (eV from the onset), above the atom's continuum, and its rms error by the shape's
    covariance; None where one of them is not seen."""
    design, own = fit.design, fit.design.edge == edge
    curve = design.basis[own].sum(axis=1)
    first = own.nonzero()[0][design.loss[own] < split]
    second = own.nonzero()[0][(design.loss[own] >= split) & (design.loss[own] < 2.5 * split)]
    weights = np.zeros((2, len(own)))
    for row, members in enumerate((first, second)):
        weights[row, members] = curve[np.searchsorted(own.nonzero()[0], members)]
    areas = weights @ (fit.learned.shape - design.mean)
    covariance = weights @ fit.learned.shape_covariance @ weights.T
    if not (areas > 3.0 * np.sqrt(np.diag(covariance))).all():
        return None
    slope = np.array([1.0 / areas[1], -areas[0] / areas[1] ** 2])
    return float(areas[0] / areas[1]), math.sqrt(float(slope @ covariance @ slope))


def _inverted(matrices: np.ndarray) -> np.ndarray:
    """Inverses [n, p, p], of unknowns with different units."""
    scale = 1.0 / np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
    both = scale[:, :, None] * scale[:, None, :]
    return np.linalg.inv(matrices * both) * both
