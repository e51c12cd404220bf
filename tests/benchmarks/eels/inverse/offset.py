"""The offset of an axis by edges of known energies: coverage of its 90 % intervals, of the image and of single spectra; gradients by finite differences."""

from collections.abc import Callable
from typing import Any

import numpy as np

from reconstruct.eels.core_loss.common import Known, directions
from reconstruct.eels.core_loss.design import Design, design_of
from reconstruct.eels.core_loss.elements import edges_for
from reconstruct.eels.core_loss.fit import fit_core_loss
from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.synthetic.eels.spectra import COLLECTION, CONVERGENCE, HIGH_TENSION

IMAGES = (60, 12, 2)
SPECTRA = 48
WIDE, FINE = 400.0 + np.arange(256), 440.0 + 0.5 * np.arange(300)
OFFSET, DRIFT = 3.0, 0.3
COUNTS = 2e5
Z90 = 1.645


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """An image whose axis is off by some eV, and images whose axis drifts."""
    image, single, errors = [], [], []
    for seed in range(IMAGES[short]):
        progress(f"image {seed + 1}", (seed + 1) / IMAGES[short])
        edges = _edges(WIDE)
        off = OFFSET * np.random.default_rng([3, seed]).standard_normal()
        fit = fit_core_loss(
            _counts(design_of(WIDE, edges), off, 0.0, seed)[0], WIDE, edges, gain=1.0, known=Known(OFFSET)
        )
        assert fit.learned.offset is not None
        image.append(abs(fit.learned.offset[0] - off) < Z90 * fit.learned.offset[1])
        errors.append(fit.learned.offset[1])
        edges = _edges(FINE)
        counts, drift = _counts(design_of(FINE, edges), 0.0, DRIFT, seed)
        fit = fit_core_loss(counts, FINE, edges, gain=1.0, known=Known(drift=DRIFT))
        column = 2 + len(fit.design.elements)
        error = np.sqrt(fit.covariance()[:, column, column])
        single.append(np.abs(fit.fitted.parameters[:, column] - drift) < Z90 * error)
    whole, each = float(np.mean(image)), float(np.mean(single))
    gradient = _gradient(design_of(WIDE, _edges(WIDE)))
    return [
        case("offset of the axis, prior 3 eV: coverage of 90 % intervals", whole, "", "0.82 to 0.97", 0.82 <= whole <= 0.97),
        case("its error (median)", float(np.median(errors)), "eV"),
        case("shift of each spectrum, 0.3 eV rms: coverage of 90 % intervals", each, "", "0.87 to 0.93", 0.87 <= each <= 0.93),
        case("derivative by the offset against a finite difference", gradient, "", "at most 0.05", gradient <= 0.05),
    ]  # fmt: skip


def _edges(energies: np.ndarray) -> list[Any]:
    told = {"Ti": {"L": 456.0}, "O": {"K": 532.0}}
    return [
        edge
        for name, absolute in told.items()
        for edge in edges_for(name, energies, HIGH_TENSION, COLLECTION, CONVERGENCE, absolute=absolute)
    ]


def _counts(design: Design, offset: float, drift: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Spectra [n, c], and the shift of each [n]; shapes drawn about their prior."""
    generator = np.random.default_rng([5, seed])
    shape = np.where(design.mean > 0.0, generator.gamma(design.spread**-2.0, design.spread**2.0), 0.0)
    background = np.exp(-3.0 * design.log_energy)
    amplitudes = COUNTS * generator.uniform(0.1, 0.2, (SPECTRA, len(design.elements)))
    shifts = drift * generator.standard_normal(SPECTRA)
    shifts -= shifts.mean() if drift else 0.0
    curves = np.array([design.moved(offset + shift).curves(shape) for shift in shifts]) if drift else design.moved(offset).curves(shape)[None]  # fmt: skip
    mean = 0.7 * COUNTS * background / background.sum() + np.einsum("nk,nkc->nc", amplitudes, np.broadcast_to(curves, (SPECTRA, *curves.shape[1:])))  # fmt: skip
    return generator.poisson(mean).astype(float), shifts


def _gradient(design: Design) -> float:
    """Largest difference over the largest derivative, for shapes that are smooth over channels."""
    shape = design.mean * (1.0 + np.exp(-0.5 * ((design.loss - 10.0) / 6.0) ** 2))
    analytic = directions(design, shape, Known(OFFSET), 1.0)[0]
    step = 0.5
    numeric = (design.moved(step).curves(shape) - design.moved(-step).curves(shape)) / (2.0 * step)
    return float(np.abs(analytic - numeric).max() / np.abs(numeric).max())
