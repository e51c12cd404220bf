"""The spectrum of an option: composition, axis and which edge is recorded."""

import numpy as np

from learn.feasibility.spectra.shapes import merit_of, shapes_of
from scenarios.io.errors import BadInput
from scenarios.question.options import SpectrumOption
from scenarios.question.tables import Question
from twin.eels.atoms import edges_of
from twin.eels.maps import EdgeWindow
from twin.eels.spectrum.atomic_edges import CORE, PARTNERS, names_of
from twin.sample.specimen import Specimen
from twin.simulation.plan.spectrum_tables import (
    CompositionPlan,
    ElectronsPlan,
    SpectrometerPlan,
    SpectrumSimulation,
    ZeroLossPlan,
)
from twin.simulation.spectrum.ready import ReadySpectrum, make_spectrum

HIGHEST = 3000.0
"""Loss in eV up to which an edge is looked for."""
SIGNAL = 50.0
"""Energy in eV above its onset by which edges are compared."""
COARSE = 2.0
"""Dispersion in eV of the spectrum by which edges are compared."""


def spectrum_of(
    question: Question,
    option: SpectrumOption,
    areal: dict[str, float],
    thickness: float,
    offset: float,
    dispersion: float,
    channels: int,
    resolution: float,
) -> ReadySpectrum:
    """The spectrum of ``areal`` atoms per square angstrom of each element, on an axis from ``offset`` on; energies in eV, ``thickness`` in angstrom."""
    instrument = question.instrument
    last = offset + dispersion * (channels - 1)
    shaped = {}
    for label, shape in question.edges.items():
        element, name = parted(label)
        if element not in areal or name not in names_of(element, 0.0, np.inf):
            listed = ", ".join(f'"{each} {name}"' for each in areal for name in names_of(each, CORE, HIGHEST))
            raise BadInput(f"edges.{label}", "the specimen has no such edge", f"Its edges are {listed or 'none'}.")
        if CORE <= onset_of(element, name) < last:
            shaped[label] = shape
    plan = SpectrumSimulation(
        name=question.name, kind="simulate", signal="eels",
        specimen=CompositionPlan(areal_density=areal, thickness=thickness),
        beam=ElectronsPlan(energy_keV=instrument.energy_keV, semiangle_mrad=instrument.semiangle_mrad),
        spectrometer=SpectrometerPlan(
            collection_mrad=collection_of(question, option), dispersion=dispersion, offset=offset, channels=channels
        ),
        zero_loss=ZeroLossPlan(width=resolution), low_loss=question.low_loss, edges=shaped, folder=question.folder,
    )  # fmt: skip
    try:
        return make_spectrum(plan)
    except BadInput as error:
        table, _, key = error.input.partition(".")
        named = {"spectrometer": key_of(question, option), "zero_loss": key_of(question, option)}.get(table)
        if named is None:
            raise
        cure = error.cure.replace("spectrometer.", f"{named}.")
        raise BadInput(
            f"{named}.{'resolution' if table == 'zero_loss' else key or 'offset'}", error.problem, cure
        ) from None


def collection_of(question: Question, option: SpectrumOption) -> float:
    """Collection semi-angle in mrad."""
    return 1.5 * question.instrument.semiangle_mrad if option.collection_mrad is None else option.collection_mrad


def onset_of(element: str, name: str) -> float:
    """Lowest onset in eV of an edge that there is."""
    return min(shell.energy for shell in edges_of(element, 0.0, np.inf) if shell.name in PARTNERS.get(name, (name,)))


def areal_of(specimen: Specimen) -> dict[str, float]:
    """Atoms per square angstrom of each element."""
    counts: dict[str, float] = {}
    for symbol, share in zip(specimen.symbols, specimen.occupancy, strict=True):
        counts[symbol] = counts.get(symbol, 0.0) + float(share)
    area = specimen.extent[0] * specimen.extent[1]
    return {symbol: float(count / area) for symbol, count in counts.items() if count > 0.0}


def edge_of(
    question: Question, option: SpectrumOption, areal: dict[str, float], thickness: float, changing: list[str]
) -> str:
    """Label of the edge that an option records: the one it names, or that by which the atoms of ``changing`` elements are seen best. BadInput where there is
    none."""
    key = f"{key_of(question, option)}.edge"
    if option.edge is not None:
        element, name = parted(option.edge)
        if element not in areal:
            problem = f"{option.edge!r} is of no element of the question"
            raise BadInput(key, problem, f'Give an edge of {", ".join(areal)}, as in "O K".')
        there = names_of(element, CORE, HIGHEST)
        if name not in there:
            listed = ", ".join(f'"{element} {each}" ({onset_of(element, each):g} eV)' for each in there)
            problem = f"{element} has no edge {name!r} from {CORE:g} to {HIGHEST:g} eV"
            raise BadInput(key, problem, f"Give {listed or 'an edge of another element: it has none there'}.")
        return f"{element} {name}"
    known = [f"{element} {name}" for element in changing for name in names_of(element, CORE, HIGHEST - SIGNAL)]
    if not known:
        problem = f"no edge of {' or '.join(changing)} lies from {CORE:g} to {HIGHEST:g} eV in our tables"
        raise BadInput(key, problem, "Name an edge of another element, or leave the option out.")
    channels = round((HIGHEST - CORE) / COARSE)
    wide = shapes_of(spectrum_of(question, option, areal, thickness, CORE, COARSE, channels, 2.0 * COARSE))
    energy, collection = 1e3 * question.instrument.energy_keV, 1e-3 * collection_of(question, option)

    def merit(label: str) -> float:
        element, name = parted(label)
        onset = onset_of(element, name)
        return merit_of(EdgeWindow(element, name, onset, onset + SIGNAL, collection), wide, energy)

    return max(known, key=merit)


def key_of(question: Question, option: SpectrumOption) -> str:
    """Of an option's table."""
    number = next((index for index, each in enumerate(question.options()) if each is option), 0)
    return f"option[{number}]"


def parted(label: str) -> tuple[str, str]:
    """Element and name of an edge's label."""
    element, _, name = label.partition(" ")
    return element, name.strip()
