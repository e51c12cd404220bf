"""Coverage of simulated spectrum images: 90 % intervals of amplitudes and exponents of single spectra, shapes of edges unknown, from 100 to a million counts.

Near-edge shapes of each image are drawn anew, positive, within the prior of the model, but with another distribution (gamma), and
none before the onset. Amplitudes of one image share the error of its shapes, so that images are counted, not spectra.
"""

from collections.abc import Callable

import numpy as np

from reconstruct.eels.core_loss.design import design_of
from reconstruct.eels.core_loss.elements import edges_for
from reconstruct.eels.core_loss.fit import CoreLossFit, fit_core_loss
from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form

TOTALS = (1e2, 1e3, 1e4, 1e5, 1e6)
IMAGES = (60, 12, 1)
SPECTRA = 64
ENERGIES = 400.0 + np.arange(256)
Z90 = 1.645
TRUE_SPREAD = 1.0
"""Spread of the true shapes over that of the prior."""


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """Coverage at each number of counts, and of all pooled."""
    edges = [edge for name in ("Ti", "O") for edge in edges_for(name, ENERGIES, 200e3, 33e-3, 21e-3)]
    design = design_of(ENERGIES, edges)
    rows, pooled, tested = [], [], []
    for total in TOTALS:
        inside = []
        for seed in range(IMAGES[short]):
            progress(f"{total:g} counts, image {seed + 1}", (seed + 1) / IMAGES[short])
            fit, truth = _image(design, edges, total, seed)
            errors = np.sqrt(np.diagonal(fit.covariance(), axis1=1, axis2=2))[:, 1:]
            inside.append((np.abs(fit.fitted.parameters[:, 1:] - truth) < Z90 * errors).mean(axis=0))
            if fit.tested is not None:
                tested.append(fit.tested[0])
        pooled += inside
        mean = np.mean(inside, axis=0)
        words = f"exponent {mean[0]:.3f}, Ti {mean[1]:.3f}, O {mean[2]:.3f}"
        rows.append(case(f"coverage of 90 % intervals at {total:g} counts ({words})", float(mean.mean())))
    whole = float(np.mean(pooled))
    rows.append(case("coverage of 90 % intervals, pooled", whole, "", "0.87 to 0.93", 0.87 <= whole <= 0.93))
    chi = float(np.mean(tested))
    rows.append(case("reduced chi squared of spectra that were left out", chi, "", "0.9 to 1.2", 0.9 <= chi <= 1.2))
    return rows


def _image(design, edges, total: float, seed: int) -> tuple[CoreLossFit, np.ndarray]:
    """A fit, and the true exponents and amplitudes [n, 3]."""
    generator = np.random.default_rng([seed, int(total)])
    spread = TRUE_SPREAD * design.spread
    shape = np.where(design.mean > 0.0, generator.gamma(spread**-2.0, spread**2.0), 0.0)
    exponent, level = generator.normal(3.0, 0.4, SPECTRA), generator.uniform(0.7, 1.3, SPECTRA)
    background = np.exp(-exponent[:, None] * design.log_energy)
    background *= (0.7 * level * total / background.sum(axis=1))[:, None]
    titanium = np.where(np.arange(SPECTRA) < SPECTRA // 2, 1.0, 0.3) * generator.uniform(0.8, 1.2, SPECTRA)
    amplitudes = 0.15 * total * np.stack([titanium, generator.uniform(0.8, 1.2, SPECTRA)], axis=1)
    counts = generator.poisson(background + amplitudes @ design.curves(shape)).astype(float)
    return fit_core_loss(counts, ENERGIES, edges), np.concatenate([exponent[:, None], amplitudes], axis=1)
