"""The offset of an axis by edges of known energies: coverage of its 90 % intervals, of the image and of single spectra; gradients by finite differences."""

from collections.abc import Callable
from typing import Any

import numpy as np

from reconstruct.eels.core_loss.common import Known, directions
from reconstruct.eels.core_loss.design import Design, design_of
from reconstruct.eels.core_loss.elements import edges_for, rises_of, shift_to
from reconstruct.eels.core_loss.fit import fit_core_loss
from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.synthetic.eels.spectra import COLLECTION, CONVERGENCE, HIGH_TENSION

IMAGES = (60, 12, 2)
SPECTRA = 48
WIDE, FINE = 400.0 + np.arange(256), 440.0 + 0.5 * np.arange(300)
OFFSET, DRIFT = 3.0, 0.15
COUNTS = 1e5
Z90 = 1.645


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """An image whose axis is off by some eV, and images whose axis drifts."""
    image, single, errors = [], [], []
    for seed in range(IMAGES[short]):
        progress(f"image {seed + 1}", (seed + 1) / IMAGES[short])
        edges = _edges(WIDE)
        off = OFFSET * np.random.default_rng([3, seed]).standard_normal()
        counts = _counts(design_of(WIDE, edges), off, seed)
        start = shift_to(rises_of(counts), WIDE, [edge.onset for edge in edges if edge.shaped])
        fit = fit_core_loss(counts, WIDE, edges, gain=1.0, known=Known(OFFSET, start))
        assert fit.learned.offset is not None
        image.append(abs(fit.learned.offset[0] - off) < Z90 * fit.learned.offset[1])
        errors.append(fit.learned.offset[1])
        edges = _edges(FINE)
        counts, drift = _drifting(design_of(FINE, edges), seed)
        fit = fit_core_loss(counts, FINE, edges, gain=1.0, known=Known(drift=DRIFT))
        column = 2 + len(fit.design.elements)
        error = np.sqrt(fit.own_covariance[:, column, column])
        # what all shift by is the place of the edges
        off = fit.fitted.parameters[:, column] - drift
        single.append(np.abs(off - off.mean()) < Z90 * error)
    whole, each = float(np.mean(image)), float(np.mean(single))
    gradient = _gradient(design_of(WIDE, _edges(WIDE)))
    return [
        case("offset of the axis, prior 3 eV: coverage of 90 % intervals", whole, "", "0.82 to 0.97", 0.82 <= whole <= 0.97),
        case("its error (median)", float(np.median(errors)), "eV"),
        case("shift of each spectrum, 0.15 eV rms: coverage of 90 % intervals", each, "", "0.87 to 0.93", 0.87 <= each <= 0.93),
        case("derivative by the offset against a finite difference", gradient, "", "at most 0.05", gradient <= 0.05),
    ]  # fmt: skip


def _edges(energies: np.ndarray) -> list[Any]:
    told = {"Ti": {"L": 456.0}, "O": {"K": 532.0}}
    return [
        edge
        for name, absolute in told.items()
        for edge in edges_for(name, energies, HIGH_TENSION, COLLECTION, CONVERGENCE, absolute=absolute)
    ]


def _counts(design: Design, offset: float, seed: int) -> np.ndarray:
    """Spectra [n, c] whose axis is off, with shapes drawn about their prior."""
    generator = np.random.default_rng([5, seed])
    shape = np.where(design.mean > 0.0, generator.gamma(design.spread**-2.0, design.spread**2.0), 0.0)
    return _recorded(design, design.moved(offset).curves(shape)[None], generator)


def _drifting(design: Design, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Spectra [n, c] of an axis that drifts, and the shift of each [n]; peaks at the onsets as wide as a spectrometer makes them."""
    generator = np.random.default_rng([6, seed])
    peaks = np.zeros(len(design.mean))
    for _ in range(3):
        at, width = generator.uniform(0.0, 12.0), generator.uniform(1.2, 4.0)
        peaks += generator.uniform(0.3, 1.5) * np.exp(-0.5 * ((design.loss - at) / width) ** 2)
    shape = (1.0 + peaks) / (1.0 + np.exp(-design.loss / 0.5))
    shifts = DRIFT * generator.standard_normal(SPECTRA)
    curves = np.array([design.moved(shift).curves(shape) for shift in shifts])
    return _recorded(design, curves, generator), shifts


def _recorded(design: Design, curves: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    background = np.exp(-3.0 * design.log_energy)
    amplitudes = COUNTS * generator.uniform(0.1, 0.2, (SPECTRA, len(design.elements)))
    edges = np.einsum("nk,nkc->nc", amplitudes, np.broadcast_to(curves, (SPECTRA, *curves.shape[1:])))
    return generator.poisson(0.7 * COUNTS * background / background.sum() + edges).astype(float)


def _gradient(design: Design) -> float:
    """Largest difference over the largest derivative."""
    analytic = directions(design, Known(OFFSET), 1.0)[0]
    step = 0.5
    numeric = (design.moved(step).curves(design.mean) - design.moved(-step).curves(design.mean)) / (2.0 * step)
    return float(np.abs(analytic - numeric).max() / np.abs(numeric).max())
