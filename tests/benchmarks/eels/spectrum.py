"""The forward model of spectra: plural scattering, conservation of electrons, gradients, and the time of a spectrum image."""

import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from twin.eels.spectrum import (
    SpectrumModel,
    atomic_edge,
    defaults,
    edges_in,
    energy_axis,
    expected,
    flatten,
    labels,
    single_losses,
    spectrum_model,
    unflatten,
)  # fmt: skip

THICKNESS = 2.0
IMAGES = ((64, 64), (64, 64), (4, 4))
"""Spectra of the image that is timed: of the whole, short and smoke form."""
EDGES = {"Ti L": {"white": True, "split": True}}
TERMS = [(30.0, 14.0, 1.0), (14.0, 7.0, 0.1)]


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """Numbers of plural scattering, gradients and time."""
    rows = []
    for part in (_fourier_log, _orders, _gradients):
        progress(part.__name__.strip("_").replace("_", " "))
        rows += part()
    progress("the time of a spectrum image")
    return rows + _time(IMAGES[short])


def low_model() -> SpectrumModel:
    """A low loss of two plasmons from -40 to 370 eV."""
    axis = energy_axis(4096, -40.0, 0.1, 0.6)
    return spectrum_model(axis, 200e3, collection=0.02, plasmons=[(15.0, 3.0, 1.0), (22.0, 6.0, 0.4)])


def core_model() -> SpectrumModel:
    """Ti L and O K of SrTiO3 with all lower edges and valence losses, from zero loss on, on 2048 channels."""
    edges = edges_in(("Sr", "Ti", "O"), 100.0, 902.0, 200e3, 0.03, 0.015, shapes=EDGES)
    axis = energy_axis(2048, 350.0, 0.27, 0.9, whole=True, reach=32)
    return spectrum_model(axis, 200e3, collection=0.03, plasmons=TERMS, gap=3.2, edges=edges, backgrounds=1)


def core_values() -> dict[str, Any]:
    """Values of `core_model` for 30 nm of SrTiO3."""
    areal = {"Sr.areal_density": 5.04, "Ti.areal_density": 5.04, "O.areal_density": 15.1}
    camera = {"psf.tail": 0.1, "gain": 25.0, "dark": 100.0}
    return {"counts": 2e8, "t_over_lambda": 0.24, **areal, **camera, "background1.level": 100.0, "Ti L.shift": 1.3}


def fourier_log(spectrum: np.ndarray, zero: np.ndarray, dispersion: float, blur: float) -> np.ndarray:
    """Single losses times t/lambda, per eV, with the resolution of a Gaussian of rms ``blur`` eV (Johnson & Spence, J. Phys. D 7, 771, 1974)."""
    padded = 1 << math.ceil(math.log2(4 * len(spectrum)))
    ratio = np.fft.rfft(spectrum, padded) / np.fft.rfft(zero, padded)
    turns = np.fft.rfftfreq(padded, dispersion)
    window = np.exp(-2.0 * (np.pi * blur * turns) ** 2)
    logs = np.log(np.abs(ratio)) + 1j * np.unwrap(np.angle(ratio))
    return np.fft.irfft(np.where(window > 1e-9, logs, 0.0) * window, padded)[: len(spectrum)] / dispersion


def _fourier_log() -> list[Case]:
    model, blur = low_model(), 0.5
    spectrum, zero = (np.asarray(expected(model, {"counts": 1.0, "t_over_lambda": t})) for t in (THICKNESS, 0.0))
    zero = zero * math.exp(-THICKNESS)
    # losses go up to 370 - 40 eV: the first 40 eV of the spectrum are before the zero loss
    recovered = fourier_log(spectrum, zero, model.axis.dispersion, blur)[:3600]
    at, single = (np.asarray(part) for part in single_losses(model, {}))
    step, padded = at[1] - at[0], 4 * len(at)
    smooth = np.exp(-2.0 * (np.pi * blur * np.fft.rfftfreq(padded, step)) ** 2)
    true = THICKNESS * np.fft.irfft(np.fft.rfft(single, padded) * smooth, padded)[: len(at)]
    off = np.abs(recovered - np.interp(model.axis.dispersion * np.arange(3600), at, true)).max() / true.max()
    thickness = math.log(spectrum.sum() / zero.sum())
    error = abs(thickness / THICKNESS - 1.0)
    return [
        case("Fourier-log of t/lambda = 2: single losses, largest error over their maximum", 100 * off, "%", "at most 1 %", off <= 0.01),
        case("the same: error of t/lambda by its zero loss", 100 * error, "%", "at most 0.5 %", error <= 5e-3),
        case("electrons of t/lambda = 2 within 370 eV", float(spectrum.sum()), "of the beam", "", None),
    ]  # fmt: skip


def _orders() -> list[Case]:
    """Areas of the n-th orders of a plasmon that is narrow beside its energy, against Poisson's."""
    axis = energy_axis(8000, -5.0, 0.02, 0.14)
    model = spectrum_model(axis, 200e3, plasmons=[(15.0, 0.02, 1.0)])
    shape = {"counts": 1.0, "zero_loss.gaussian": 0.05, "zero_loss.loss_tail": 0.01, "zero_loss.gain_tail": 0.01}
    counts = np.asarray(expected(model, {**shape, "t_over_lambda": THICKNESS}))
    areas = np.array([counts[np.abs(axis.energies - 15.0 * order) < 7.5].sum() for order in range(6)])
    poisson = np.array([math.exp(-THICKNESS) * THICKNESS**order / math.factorial(order) for order in range(6)])
    off = float(np.abs(areas / poisson - 1.0).max())
    whole = float(np.abs(counts.sum() - 1.0))
    return [
        case("areas of orders 0 to 5 over Poisson's: largest deviation", 100 * off, "%", "at most 1 %", off <= 0.01),
        case("electrons that are lost or gained in all", whole, "of the beam", "at most 1e-4", whole <= 1e-4),
    ]


def _gradients() -> list[Case]:
    """Of a low loss with a gap, a camera and the L edge of Al, and of edges alone, in every parameter that they have."""
    plasmons = [(15.0, 3.0, 1.0), (24.0, 8.0, 0.6)]
    edge = atomic_edge("Al", "L", 200e3, 0.02, last=190.0, **EDGES["Ti L"])
    low = spectrum_model(
        energy_axis(1024, -20.0, 0.2, 0.9, reach=16), 200e3, collection=0.02, plasmons=plasmons, gap=3.0, edges=[edge]
    )
    shaped = atomic_edge("Ti", "L", 200e3, 0.03, last=700.0, lines=1, knots=(5.0, 12.0, 25.0, 50.0), **EDGES["Ti L"])
    oxygen = atomic_edge("O", "K", 200e3, 0.03, last=700.0)
    alone = spectrum_model(
        energy_axis(1024, 400.0, 0.27, 0.9, whole=False),
        200e3,
        collection=0.03,
        plasmons=TERMS,
        edges=[shaped, oxygen],
        backgrounds=2,
    )
    given = [
        {
            "counts": 1e7,
            "t_over_lambda": 1.2,
            "Al.areal_density": 60.0,
            "Al L.white_lines": 0.3,
            "dark": 50.0,
            "psf.tail": 0.1,
            "gain": 20.0,
        },
        {
            "counts": 2e8,
            "t_over_lambda": 0.5,
            "Ti.areal_density": 5.0,
            "O.areal_density": 15.0,
            "Ti L.line1.area": 0.1,
            "background1.level": 800.0,
            "background2.level": 50.0,
            "dark": 1.0,
        },
    ]
    worst, where, count = 0.0, "", 0
    for model, values in zip((low, alone), given, strict=True):
        off, name, number = _largest_deviation(model, {**defaults(model.parameters), **values})
        worst, where = max((worst, where), (off, name))
        count += number
    words = f"gradients in {count} parameters against finite differences: largest deviation ({where})"
    return [case(words, worst, "of the gradient", "at most 1e-4", worst <= 1e-4)]


def _largest_deviation(model: SpectrumModel, values: dict[str, Any]) -> tuple[float, str, int]:
    """Of the gradient of a sum over channels, with random weights, of the logarithm of counts, from differences of fourth order; where, and of how many
    parameters."""
    names = [item.name for item in model.parameters if item.name != "readout"]
    vector = flatten(values, names)
    weights = np.random.default_rng(2).standard_normal(model.axis.channels)

    @jax.jit
    def merit(vector: jax.Array) -> jax.Array:
        return (weights * jnp.log(expected(model, unflatten(vector, values, names)))).sum()

    slope, worst, where = np.asarray(jax.jit(jax.grad(merit))(vector)), 0.0, ""
    listed = labels(values, names)
    for number, name in enumerate(listed):
        # all energies are moved by little beside the zero loss and themselves; dispersions so that the last channel is
        energy, size = model.parameter(name.partition("[")[0]).unit == "electronvolt", abs(float(vector[number]))
        step = min(0.01, 0.05 * size or 0.01) if energy else 1e-3 * max(size, 0.1)
        step = 0.01 / model.axis.channels if name == "dispersion" else step
        at = [float(merit(vector.at[number].add(factor * step))) for factor in (-2.0, -1.0, 1.0, 2.0)]
        difference = (at[0] - 8.0 * at[1] + 8.0 * at[2] - at[3]) / (12.0 * step)
        off = abs(slope[number] - difference) / max(abs(difference), 1e-12)
        worst, where = max((worst, where), (off, name))
    return worst, where, len(listed)


def _time(shape: tuple[int, int]) -> list[Case]:
    """Of a spectrum image whose electrons, thickness, offset, areal densities and background differ from pixel to pixel, after compilation."""
    model, rng = core_model(), np.random.default_rng(1)
    values = completed_image(core_values(), shape, rng)
    predict = jax.jit(lambda values: expected(model, values))
    predict(values).block_until_ready()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        predict(values).block_until_ready()
        times.append(time.perf_counter() - start)
    took, whole = min(times), shape == (64, 64)
    words = f"{shape[0]} x {shape[1]} x {model.axis.channels} spectrum image with {len(model.edges)} edges and plural scattering"
    return [case(words, took, "s", "under 2 s" if whole else "", took < 2.0 if whole else None)]


def completed_image(values: dict[str, Any], shape: tuple[int, int], rng: np.random.Generator) -> dict[str, Any]:
    """``values`` with those that may differ between spectra varied by a tenth over an image."""
    varied = ("counts", "t_over_lambda", "background1.level", "Sr.areal_density", "Ti.areal_density", "O.areal_density")
    moved = {name: jnp.asarray(values[name] * rng.uniform(0.9, 1.1, shape)) for name in varied}
    return {**values, **moved, "offset": jnp.asarray(350.0 + rng.normal(0.0, 0.2, shape))}
