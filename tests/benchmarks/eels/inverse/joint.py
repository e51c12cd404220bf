"""Low and core loss of the same places together: coverage of atoms per area where the low loss is weak, and what ignoring its error would make of it.

Half of the pairs have one low loss for all core losses, half one for each place, whose thickness differs. Shapes of edges are drawn as in `coverage`, low
losses are those of `tests.synthetic`; core losses are scattered with the low loss of their place.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from reconstruct.eels.core_loss.common import Known
from reconstruct.eels.core_loss.design import convolved, design_of
from reconstruct.eels.core_loss.elements import edges_for
from reconstruct.eels.core_loss.fit import fit_core_loss
from reconstruct.measurement.eels.core import CROSS_SECTION_ERROR, quantities_of
from reconstruct.measurement.eels.joint import low_quantities
from reconstruct.measurement.eels.low import Kernel, Low, kernel_of, low_loss_of
from reconstruct.measurement.eels.maps import maps_of
from reconstruct.measurement.eels.spectra import Spectra, spectra_of
from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.synthetic.eels.spectra import COLLECTION, CONVERGENCE, HIGH_TENSION, low_loss_orders

PAIRS = (60, 12, 2)
ENERGIES = 400.0 + np.arange(256)
OFFSET, STEP, CHANNELS = -20.0, 0.5, 640
SIDE = 6
THICKNESS, SPREAD = 0.6, 0.15
"""Median of t/lambda, and rms of its logarithm over an image."""
WEAK = (600.0, 400.0)
"""Electrons of the low loss: of one for all spectra, of one for each."""
CORE = 3e4
Z90 = 1.645


class Pair(NamedTuple):
    """Core and low losses, with true atoms per area (model units) [n, 2] and true t/lambda [n]."""

    core: Spectra
    low: Spectra
    density: np.ndarray
    thickness: np.ndarray


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """Coverage with the error of the low loss and without it, and t/lambda by both."""
    inside: dict[str, list[Any]] = {
        name: [] for name in ("joint", "control", "thickness", "places", "wider", "narrower", "bias")
    }
    edges = [edge for name in ("Ti", "O") for edge in edges_for(name, ENERGIES, HIGH_TENSION, COLLECTION, CONVERGENCE)]
    for seed in range(PAIRS[short]):
        progress(f"pair {seed + 1}", (seed + 1) / PAIRS[short])
        pair = _pair(seed, bool(seed % 2), edges)
        low = low_loss_of(pair.low, HIGH_TENSION, COLLECTION, 1.0, None)
        kernel = kernel_of(pair.low, low, 1.0, 256.0, pair.core.valid if seed % 2 else None)
        off, errors, thickness, places = _compared(pair, low, kernel, edges)
        inside["joint"].append(np.abs(off) < Z90)
        inside["thickness"].append(abs(thickness[0] - pair.thickness.mean()) < Z90 * thickness[1])
        inside["bias"].append((thickness[0] - pair.thickness.mean()) / thickness[1])
        inside["narrower"].append(thickness[1] / low.values["t_over_lambda"][1])
        inside["places"] += places
        each = kernel.scattering.each
        exact = kernel.scattering.without_noise()
        if each is not None:
            exact = exact._replace(
                each=each._replace(counts=np.full_like(each.counts, np.inf), variance=1e-6 * each.variance)
            )
        blind, narrow, _, _ = _compared(pair, low, kernel._replace(scattering=exact), edges)
        inside["control"].append(np.abs(blind) < Z90)
        inside["wider"].append(float(np.mean(errors / narrow)))
    return _rows(
        {name: np.array(values, float) for name, values in inside.items() if name != "places"}, inside["places"]
    )


def _rows(inside: dict[str, np.ndarray], places: list[Any]) -> list[Case]:
    joint, blind = float(inside["joint"].mean()), float(inside["control"].mean())
    return [
        case("atoms per area, coverage of 90 % intervals", joint, "", "0.87 to 0.93", 0.87 <= joint <= 0.93),
        case("of these with one low loss, and with one for each spectrum", f"{inside['joint'][::2].mean():.3f}, {inside['joint'][1::2].mean():.3f}"),
        case("the same without the error of the low loss", blind, "", "below 0.87", blind < 0.87),
        case("errors over those without it", float(inside["wider"].mean()), "x", "above 1", float(inside["wider"].mean()) > 1.0),
        case("t/lambda of the mean, coverage of 90 % intervals", float(inside["thickness"].mean())),
        case("its error over that of the low loss alone", float(inside["narrower"].mean())),
        case("its mean deviation, in errors", float(inside["bias"].mean())),
        case("t/lambda of each place, coverage of 90 % intervals", float(np.mean(places)) if places else math.nan),
    ]  # fmt: skip


def _compared(
    pair: Pair, low: Low, kernel: Kernel, edges: list[Any]
) -> tuple[np.ndarray, np.ndarray, tuple[float, float], list[np.ndarray]]:
    """Deviations of atoms per area [n, 2] in errors, these over the values, t/lambda by both, and whether that of each place holds."""
    fit = fit_core_loss(pair.core.counts, ENERGIES, edges, gain=1.0, known=Known(scattering=kernel.scattering))
    electrons = kernel.total if len(kernel.total) > 1 else np.full(len(pair.core.counts), kernel.total[0])
    by_both, _ = low_quantities(low, pair.core, fit)
    index = by_both.names.index("t_over_lambda")
    thickness = float(by_both.mean[index]), math.sqrt(by_both.covariance[index, index])
    maps = {item.name: item for item in maps_of(fit, (SIDE, SIDE), pair.core.valid, electrons, ((), "1"), thickness)}
    mean = quantities_of(fit, float(electrons.mean()))
    off, errors = [], []
    for k, element in enumerate(("Ti", "O")):
        item = maps[f"areal_density_{element}"]
        assert f"areal_density_{element}" in mean.names
        # what is simulated has the cross-sections of the model
        known = min(CROSS_SECTION_ERROR[edge.name[0]] for edge in edges if edge.element == element)
        common = math.sqrt(max(item.common**2 - known**2, 0.0))
        error = np.hypot(item.errors, common * item.values).ravel()
        off.append((item.values.ravel() - pair.density[:, k]) / error)
        errors.append(error / item.values.ravel())
    places = []
    if "t_over_lambda" in maps:
        item = maps["t_over_lambda"]
        places = [np.abs(item.values.ravel() - pair.thickness) < Z90 * np.hypot(item.errors.ravel(), thickness[1])]
    return np.stack(off, axis=1), np.stack(errors, axis=1), thickness, places


def _pair(seed: int, each: bool, edges: list[Any]) -> Pair:
    generator = np.random.default_rng([7, seed])
    count, design = SIDE**2, design_of(ENERGIES, edges)
    spread = SPREAD * generator.standard_normal(count if each else 1)
    thickness = THICKNESS * np.exp(spread + (0.0 if each else 0.15 * generator.standard_normal()))
    orders = _orders()
    number = np.arange(len(orders))
    shares = (
        np.exp(-thickness[:, None])
        * thickness[:, None] ** number
        / np.array([math.factorial(n) for n in number], float)
    )
    lows = WEAK[each] * shares @ orders
    free = np.where(design.mean > 0.0, generator.gamma(design.spread**-2.0, design.spread**2.0), 0.0)
    exponent = generator.normal(3.0, 0.2, count)
    background = np.exp(-exponent[:, None] * design.log_energy)
    background *= (0.7 * CORE / background.sum(axis=1))[:, None]
    amplitudes = (
        0.15 * CORE * np.stack([generator.uniform(0.6, 1.2, count), generator.uniform(0.8, 1.2, count)], axis=1)
    )
    plain = amplitudes @ design.curves(free)
    kernels = [_kernel(low) for low in lows]
    scattered = np.array([convolved(row[None], kernels[index if each else 0])[0] for index, row in enumerate(plain)])
    counts, seen = generator.poisson(background + scattered), generator.poisson(lows)
    core = spectra_of(counts.reshape(SIDE, SIDE, -1), float(ENERGIES[0]), 1.0)
    low = spectra_of(seen.reshape(SIDE, SIDE, -1) if each else seen[0], OFFSET, STEP)
    # electrons of the core losses are those that the low loss has on average
    return Pair(core, low, amplitudes / design.scale / lows.sum(axis=1).mean(), np.broadcast_to(thickness, count))


@functools.cache
def _orders() -> np.ndarray:
    return low_loss_orders(CHANNELS, OFFSET, STEP, 22.0, 6.0, 1.2, COLLECTION)


def _kernel(low: np.ndarray) -> np.ndarray:
    """A low loss in channels of 1 eV from zero loss on."""
    losses = OFFSET + STEP * np.arange(CHANNELS)
    kernel = np.zeros(int(losses[-1]) + 2)
    np.add.at(kernel, np.where(losses > 2.4, np.round(losses), 0.0).astype(int), low)
    return kernel / kernel.sum()
