"""Cramer-Rao bounds of quantities from one energy-loss spectrum against the likeliest values in spectra of the twin that were drawn and fitted."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from learn.feasibility.spectra.image import OFFSET
from learn.feasibility.spectra.information import (
    Parametrised,
    SpectralInformation,
    SpectralQuantity,
    parametrised,
    spectral_information,
)
from reconstruct.inference.damped_newton import Quadratic, minimise
from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from twin.compiled_programs import double_precision
from twin.simulation.plan.spectrum_tables import (
    CompositionPlan,
    EdgePlan,
    ElectronsPlan,
    LowLossPlan,
    SpectrometerPlan,
    SpectrumSimulation,
    ZeroLossPlan,
)
from twin.simulation.spectrum.ready import ReadySpectrum, make_spectrum

TRIALS = (500, 60, 4)
STEPS = 40
AT_ONCE = 8
"""Spectra whose derivatives are computed at once."""
PLASMONS = [(30.0, 14.0, 1.0), (14.0, 7.0, 0.1)]


class Problem(NamedTuple):
    """A ``quantity`` of a spectrum, priors of what is not known, and the ``electrons`` on the specimen."""

    name: str
    quantity: SpectralQuantity
    ready: ReadySpectrum
    priors: Mapping[str, float]
    electrons: float


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """Variance of the likeliest value over the bound, for each quantity."""
    rows: list[Case] = []
    with double_precision():
        for problem in _problems():
            progress(problem.name)
            rows += _judged(problem, TRIALS[short])
    return rows


def _problems() -> list[Problem]:
    # the tails of the zero loss are known, as from one in vacuum: Poisson counts of its far tail are too few to be normal
    low = {"zero_loss.gain_tail": 0.0, "zero_loss.loss_tail": 0.0}
    core = _spectrum(420.0, 0.5, 400, {"Ti L": EdgePlan(crystal_field=2.1, ratio=1.2)})
    return [
        Problem("t/lambda of SrTiO3, 30 nm", SpectralQuantity("t_over_lambda"), _spectrum(-10.0, 0.25, 512, {}), low, 1e6),
        Problem("shift of Ti L", SpectralQuantity("edge_shift", edge="Ti L"), core, {OFFSET: 0.02, "t_over_lambda": 0.02}, 1e9),
        Problem("Ti / O", SpectralQuantity("composition", "Ti", "O"), core, {
            OFFSET: 0.05, "t_over_lambda": 0.02, "cross-section of Ti L": 0.0, "cross-section of Ti L1": 0.0, "cross-section of O K": 0.0,
        }, 1e9),
    ]  # fmt: skip


def _spectrum(offset: float, dispersion: float, channels: int, edges: dict[str, EdgePlan]) -> ReadySpectrum:
    return make_spectrum(
        SpectrumSimulation(
            name="bounds", kind="simulate", signal="eels", specimen=CompositionPlan(structure="SrTiO3", thickness=300.0),
            beam=ElectronsPlan(energy_keV=200.0, semiangle_mrad=15.0),
            spectrometer=SpectrometerPlan(collection_mrad=30.0, dispersion=dispersion, offset=offset, channels=channels),
            zero_loss=ZeroLossPlan(width=0.9), low_loss=LowLossPlan(plasmons=PLASMONS), edges=edges,
        )
    )  # fmt: skip


def _judged(problem: Problem, trials: int) -> list[Case]:
    made = parametrised(problem.ready, problem.quantity, problem.priors)
    told = spectral_information(problem.ready, problem.quantity, problem.priors)
    limit = told.bound(problem.electrons)
    errors, converged = _fitted(made, problem.electrons, trials)
    ratio = float(np.mean(errors**2)) / float(limit.std[0]) ** 2
    spread = f"{trials} trials, standard error {np.sqrt(2 / trials):.2f}"
    known = float(np.mean(errors**2)) / float(limit.known[0]) ** 2
    return [
        case(f"{problem.name}: variance of the likeliest value over the bound ({spread})", ratio, "", "0.9 to 1.15", 0.9 <= ratio <= 1.15),
        case(f"{problem.name}: the same over the bound with all else known", known),
        case(f"{problem.name}: mean error over its standard error", float(errors.mean() / (limit.std[0] / np.sqrt(trials)))),
        case(f"{problem.name}: standard deviation by the bound", float(limit.std[0])),
        case(f"{problem.name}: fits that converged", converged, "", f"{trials}", converged == trials),
        case(f"{problem.name}: derivatives, largest deviation from differences", _off(made, told), "", "at most 5e-3", _off(made, told) <= 5e-3),
    ]  # fmt: skip


def _fitted(made: Parametrised, electrons: float, trials: int) -> tuple[np.ndarray, int]:
    """Errors of the likeliest quantity in spectra of truths that are drawn from the priors, and how many fits converged."""
    rng = np.random.default_rng(0)
    known = np.isfinite(made.priors)
    widths = np.where(known, made.priors, 0.0)
    truths = made.start + widths * rng.standard_normal((trials, len(made.start)))
    rates = np.array([np.asarray(made.rates(jnp.asarray(truth))) for truth in truths])
    counts = rng.poisson(np.maximum(electrons * rates, 0.0)).astype(np.float64)
    precision = np.where(known, 1.0 / np.where(known, made.priors, 1.0) ** 2, 0.0)

    def expanded(arguments: Any) -> tuple[Any, ...]:
        vector, data = arguments
        mean, slope = jnp.maximum(electrons * made.rates(vector), 1e-9), electrons * jax.jacfwd(made.rates)(vector)
        off = vector - made.start
        cost = (mean - data * jnp.log(mean)).sum() + 0.5 * (precision * off**2).sum()
        gradient = slope.T @ (1.0 - data / mean) + precision * off
        return cost, gradient, slope.T @ (slope / mean[:, None]) + jnp.diag(precision)

    @jax.jit
    def all_of(vectors: Any) -> tuple[Any, ...]:
        return jax.lax.map(expanded, (vectors, jnp.asarray(counts)), batch_size=AT_ONCE)

    def evaluate(vectors: np.ndarray) -> Quadratic:
        cost, gradient, curvature = (np.asarray(part) for part in all_of(jnp.asarray(vectors)))
        return Quadratic(cost, gradient, curvature)

    best = minimise(evaluate, np.tile(made.start, (trials, 1)), STEPS, 1e-6)
    return best.position[:, 0] - truths[:, 0], int(best.converged.sum())


def _off(made: Parametrised, told: SpectralInformation) -> float:
    """Largest deviation of a derivative from a central difference, over its largest value."""
    worst = 0.0
    for number, start in enumerate(made.start):
        step = np.zeros(len(made.start))
        step[number] = 1e-4 * max(abs(start), 0.1)
        more, less = (np.asarray(made.rates(jnp.asarray(made.start + sign * step))) for sign in (1.0, -1.0))
        slope = (more - less) / (2.0 * step[number])
        worst = max(
            worst, float(np.abs(slope - told.jacobian[:, number]).max() / np.abs(told.jacobian[:, number]).max())
        )
    return worst
