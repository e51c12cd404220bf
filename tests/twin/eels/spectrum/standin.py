"""Edges with falling cross-sections of a known form, in place of tabulated atoms, and a spectrum that has every kind of parameter."""

import jax.numpy as jnp
import numpy as np

from twin.eels.spectrum import Continuum, Edge, SpectrumModel, continuum, edge, energy_axis, spectrum_model
from twin.eels.spectrum.edges import energies_for


def subshell(name: str, onset: float, level: float, last: float = 1000.0) -> Continuum:
    """A subshell whose d sigma / dE is ``level`` (angstrom^2 per eV) at its onset and falls as the cube of the energy."""
    energies = energies_for(onset, last)
    return continuum(name, onset, energies, level * (energies / onset) ** -3.0)


def aluminium(**shape: object) -> Edge:
    """A sharp edge at 73 eV with a second one 6 eV higher."""
    return edge("Al", "L", [subshell("L3", 73.0, 2e-5), subshell("L2", 79.0, 1e-5)], **shape)  # type: ignore[arg-type]


def low_model(excess: bool = False) -> SpectrumModel:
    """A low loss with an edge, with every parameter that plasmons and a camera can have; ``excess`` noise where asked for."""
    axis = energy_axis(400, -12.0, 0.3, 0.9, reach=6)
    terms = [(15.0, 3.0, 1.0), (24.0, 8.0, 0.6)]
    return spectrum_model(
        axis,
        200e3,
        collection=0.02,
        plasmons=terms,
        gap=3.0,
        edges=[aluminium(white=True)],
        pattern=True,
        excess=excess,
    )


def low_values() -> dict[str, object]:
    """Values of `low_model` that put each parameter where it acts."""
    pattern = 1.0 + 0.05 * np.random.default_rng(5).standard_normal(400)
    return {
        "counts": 3e5, "t_over_lambda": 1.3, "offset": -11.83, "dispersion": 0.301, "Al.areal_density": 40.0, "Al L.shift": 0.7, "Al L.white_lines": 0.4,
        "gain": 3.2, "dark": 40.0, "readout": 2.0, "psf.tail": 0.2, "pattern": jnp.asarray(pattern),
    }  # fmt: skip


def core_model() -> SpectrumModel:
    """An edge by itself, with every parameter that edges and backgrounds can have."""
    shaped = aluminium(white=True, split=True, lines=1, knots=(4.0, 9.0, 16.0, 30.0))
    axis = energy_axis(300, 50.0, 0.3, 0.9, whole=False)
    return spectrum_model(axis, 200e3, plasmons=[(15.0, 3.0, 1.0)], edges=[shaped], backgrounds=2)


def core_values() -> dict[str, object]:
    """Values of `core_model`."""
    return {
        "counts": 3e7, "t_over_lambda": 0.7, "Al.areal_density": 40.0, "Al L.shift": 0.7, "Al L.fine": jnp.asarray([0.2, -0.1, 0.15, 0.05]),
        "Al L.line1.area": 0.05, "Al L.white_lines": 0.4, "background1.level": 3e4, "background1.exponent": 2.7, "background2.level": 2e3,
    }  # fmt: skip
