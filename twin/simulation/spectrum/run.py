"""The simulation of an energy-loss spectrum as a whole: expected counts, one recording with noise, what they consist of, and where they come from."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from twin.eels.spectrum import components, expected, sample
from twin.sample.structures import Structure
from twin.simulation.plan.spectrum_tables import SpectrumSimulation
from twin.simulation.provenance import SCHEMA, versions
from twin.simulation.recording import Axis, Recording
from twin.simulation.spectrum.ready import ReadySpectrum, make_spectrum

LOSS = "energy_loss"
"""Name of the axis along which energy is lost."""
LINE = 4096
"""Spectra that are drawn at once."""


class SimulatedSpectrum(NamedTuple):
    """A recording and where it comes from; of its mean ``energies`` in eV, ``expected`` counts [channels], and the ``parts`` of these by name."""

    ready: ReadySpectrum
    recording: Recording
    provenance: dict[str, Any]
    energies: np.ndarray
    expected: np.ndarray
    parts: dict[str, np.ndarray]


def run_spectrum(plan: SpectrumSimulation, structure: Structure | None = None) -> SimulatedSpectrum:
    """The spectrum of ``plan`` in memory; ``structure``: the one that it names, where it was read before. BadInput, naming the key, for a plan that cannot be
    computed."""
    return record_spectrum(make_spectrum(plan, structure))


def record_spectrum(ready: ReadySpectrum) -> SimulatedSpectrum:
    """The recording of a spectrum that was made ready; ArithmeticError for a signal that is not finite."""
    plan, data = ready.plan, _recorded(ready)
    if not np.isfinite(data).all():
        raise ArithmeticError("the signal has values that are not finite")
    unit = "fraction of the beam" if ready.electrons is None else "counts" if _has_camera(plan) else "electrons"
    axes = (*_of_scan(plan), Axis(LOSS, data.shape[-1], "eV", plan.spectrometer.offset, plan.spectrometer.dispersion))
    recording = Recording(data, axes, "energy-loss spectrum", unit)
    mean, parts = _parts(ready)
    losses = ready.values["offset"] + plan.spectrometer.dispersion * np.arange(data.shape[-1])
    return SimulatedSpectrum(ready, recording, provenance_of(ready, parts), np.asarray(losses), mean, parts)


def _has_camera(plan: SpectrumSimulation) -> bool:
    made = plan.spectrometer
    return made.gain != 1.0 or made.dark != 0.0 or made.readout > 0.0 or made.excess > 0.0


def _of_scan(plan: SpectrumSimulation) -> tuple[Axis, ...]:
    if plan.scan is None:
        return ()
    (ny, nx), pixel = plan.scan.shape, plan.scan.pixel
    return Axis("y", ny, "angstrom", 0.0, pixel, True), Axis("x", nx, "angstrom", 0.0, pixel, True)


def _recorded(ready: ReadySpectrum) -> np.ndarray:
    """The recording [..., channels] in float32, line by line, so that memory suffices; the seed fixes its noise."""
    each = {item.name for item in ready.model.parameters if item.each}
    moving = {name: np.asarray(value) for name, value in ready.values.items() if name in each and np.ndim(value)}
    still = {name: value for name, value in ready.values.items() if name not in moving}
    key, count = jax.random.fold_in(jax.random.key(ready.plan.seed), 3), ready.shares.size
    parts = []
    for start in range(0, count, LINE):
        own = {name: jnp.asarray(value.ravel()[start : start + LINE]) for name, value in moving.items()}
        values = {**still, **own}
        if ready.electrons is None:
            made = expected(ready.model, values)
        else:
            made = sample(jax.random.fold_in(key, start), ready.model, values)
        parts.append(np.asarray(made, np.float32).reshape(-1, ready.shape[-1]))
    return np.concatenate(parts).reshape(ready.shape)


def _parts(ready: ReadySpectrum) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Expected counts [channels] at the mean thickness, and the electrons' parts of them by name, before they are spread over channels."""
    names = {item.name for item in ready.model.parameters if item.each}
    values = {name: np.mean(value) if name in names else value for name, value in ready.values.items()}
    gain = float(ready.values["gain"])
    parts = {name: gain * np.asarray(part) for name, part in components(ready.model, values).items()}
    return np.asarray(expected(ready.model, values)), parts


def provenance_of(ready: ReadySpectrum, parts: dict[str, np.ndarray]) -> dict[str, Any]:
    """Where a spectrum comes from: all that is needed to make it again, and what is in it."""
    plan, composition, model = ready.plan, ready.composition, ready.model
    mean = float(ready.shares.mean())
    edges = [
        {
            "edge": at.label, "onset": at.onset, "areal_density": composition.areal[at.element] * mean,
            "counts": max(float(parts[at.label].sum()), 0.0),
        }
        for at in sorted(model.edges, key=lambda at: at.onset)
    ]  # fmt: skip
    return {
        "schema": SCHEMA, "origin": "simulated", "scenario": {**plan.as_dict(), "folder": ""}, "seed": plan.seed, "versions": versions(),
        "structure": composition.as_dict(), "thickness": None if composition.thickness is None else composition.thickness * mean,
        "t_over_lambda": ready.t_over_lambda * mean, "mean_free_path": ready.mean_free_path, "electrons": ready.electrons,
        "edges": edges, "counts": {name: max(float(part.sum()), 0.0) for name, part in parts.items()},
        "form": "plural scattering in all orders, float64, "
        f"{model.axis.oversampling} point{'s' if model.axis.oversampling > 1 else ''} a channel", "notes": list(ready.notes), "warnings": [],
    }  # fmt: skip


def caption_of(ready: ReadySpectrum) -> str:
    """One line under a picture: formula, thickness, beam, angles and electrons."""
    plan, composition = ready.plan, ready.composition
    words = [composition.formula]
    if composition.thickness is not None:
        words.append(f"{composition.thickness:.4g} Å thick")
    words.append(f"t/λ = {ready.t_over_lambda:.3g}")
    words.append(f"{plan.beam.energy_keV:g} kV")
    words.append(
        f"collection {plan.spectrometer.collection_mrad:g} mrad, convergence {plan.beam.semiangle_mrad:g} mrad"
    )
    if ready.electrons is not None:
        words.append(f"{ready.electrons:.3g} electrons")
    return ", ".join(words)
