"""Spectra with their zero loss and edges of a known specimen, made by the forward model of spectra: current, exposure, gain, energy axis, angles."""

import dataclasses
import math
from typing import Any

import numpy as np

from reconstruct.eels.matching import ZERO_ERROR
from reconstruct.validation.data.beam_current import ERROR
from reconstruct.validation.data.options import Known
from reconstruct.validation.data.spectra.electrons import entering
from tests.benchmarks.validate.recordings.made import Made
from twin.eels.spectrum import iakoubovskii
from twin.sample.cif.checks import AVOGADRO, formula_of
from twin.sample.cif.elements import weight
from twin.simulation.plan.reading import spectrum_from_dict
from twin.simulation.specimen import structure_named
from twin.simulation.spectrum.run import run_spectrum

SPECIMENS = ("SrTiO3", "Si", "SiO2")
"""Crystals known by name, and a glass: edges of oxygen and a transition metal, and edges of one element that lie far apart."""
GLASSES = {"SiO2": 2.2}
"""Densities in g/cm^3 of what is no crystal."""
CHANNELS = {"SrTiO3": 1400, "Si": 2150, "SiO2": 2150}
_SILICON: dict[str, dict[str, Any]] = {
    "Si L": {"shift": 1.0, "lines": [[1.5, 3.0, 0.1]]}, "Si K": {"shift": 2.5},
}  # fmt: skip
_OXYGEN: dict[str, Any] = {"shift": -1.0, "lines": [[2.0, 3.0, 0.05]]}
SHAPES: dict[str, dict[str, dict[str, Any]]] = {
    "SrTiO3": {"Ti L": {"shift": 1.9, "crystal_field": 2.1}, "O K": _OXYGEN},
    "Si": _SILICON,
    "SiO2": {**_SILICON, "O K": _OXYGEN},
}
"""Edges as solids have them, whose steepest rise is where `reconstruct.eels.references` says."""
SHIFTS = {"Ti L": 1.5, "O K": 1.5, "Si L": 2.0, "Si K": 3.0}
"""Rms in eV by which edges lie off their usual energies, as the evidence assumes; so do zero losses, by `ZERO_ERROR` of their width, and currents."""
WIDTH = 0.8
"""Of the zero loss, in eV."""


def both(seed: int) -> Made:
    """A spectrum of one of three specimens from its zero loss to behind its edges."""
    generator = np.random.default_rng([seed, 61])
    specimen = SPECIMENS[seed % 3]
    tension = float(generator.choice([80e3, 200e3, 300e3]))
    dispersion = 0.5 * float(np.exp(0.02 * generator.standard_normal())) * (1.0 if specimen == "SrTiO3" else 2.0)
    current, exposure = 1e-12 * math.exp(generator.uniform(3.0, 6.0)), math.exp(generator.uniform(-2.0, 1.0))
    gain = math.exp(generator.uniform(0.0, 3.5))
    collection = float(generator.uniform(0.005, 0.025))
    values = {
        "high_tension": tension, "convergence_semiangle": float(generator.uniform(0.0, 0.6)) * collection, "collection_semiangle": collection,
        "beam_current": current, "exposure": exposure, "gain": gain, "dispersion": dispersion,
        "energy_offset": -dispersion * float(generator.uniform(30.0, 60.0)),
    }  # fmt: skip
    thickness = float(generator.uniform(150.0, 600.0))
    edges = {
        label: {**shape, "shift": shape["shift"] + SHIFTS[label] * float(generator.standard_normal())}
        for label, shape in SHAPES[specimen].items()
    }
    made = made_of(specimen, values, thickness, edges, CHANNELS[specimen], seed)
    true = {
        "energy_offset": values["energy_offset"] + ZERO_ERROR * WIDTH * float(generator.standard_normal()),
        "beam_current": current * math.exp(ERROR * generator.standard_normal()),
    }
    return dataclasses.replace(made, values={**values, **true})


def made_of(
    specimen: str,
    values: dict[str, float],
    thickness: float,
    edges: dict[str, dict[str, Any]],
    channels: int,
    seed: int,
) -> Made:
    """The recording that the forward model makes of these true ``values``, without what elastic scattering loses but for a share that is drawn."""
    if specimen in GLASSES:
        content, density = formula_of(specimen), GLASSES[specimen]
        made: dict[str, Any] = {"formula": specimen, "density": density}
    else:
        structure = structure_named("specimen", specimen)
        content, made = structure.content, {"structure": specimen}
        density = sum(weight(name) * count for name, count in content.items()) / (AVOGADRO * structure.volume)
    angles = values["collection_semiangle"], values["convergence_semiangle"]
    thin = thickness / iakoubovskii(values["high_tension"], density, *angles)
    low, high = entering(thin, values, content)
    acceptance = math.exp(np.random.default_rng([seed, 62]).uniform(math.log(low), math.log(min(high, 1.0))))
    plan = spectrum_from_dict(
        {
            "name": "losses", "kind": "simulate", "signal": "eels", "specimen": {**made, "thickness": thickness},
            "beam": {"energy_keV": 1e-3 * values["high_tension"], "semiangle_mrad": 1e3 * values["convergence_semiangle"],
                     "current_pA": 1e12 * values["beam_current"]},
            "spectrometer": {"collection_mrad": 1e3 * values["collection_semiangle"], "dispersion": values["dispersion"],
                             "offset": values["energy_offset"], "channels": channels, "exposure": values["exposure"],
                             "gain": values["gain"], "acceptance": acceptance},
            "zero_loss": {"width": WIDTH}, "edges": edges, "seed": seed,
        },
        "recording",
    )  # fmt: skip
    counts = run_spectrum(plan).recording.data.astype(np.float64)
    return Made("spectrum", counts, values, Known(specimen), raw={"unit": "counts"})
