"""What the phases of an area let expect: spectra at a row of thicknesses, and what the survey detector counts of them."""

import math
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from scenarios.acquire.maps.wanted import WantedMap, check_spectra
from scenarios.io.errors import BadInput
from scenarios.question.area import PhasePlan
from scenarios.question.options import SpectrumOption
from scenarios.question.tables import Question
from twin.eels.spectrum.atomic_edges import CORE
from twin.optics.electrons import REST_ENERGY_EV, wavelength
from twin.sample.potential.factors import scattering_factor
from twin.simulation.plan.spectrum_rules import spectrum_contradictions
from twin.simulation.plan.spectrum_tables import (
    CompositionPlan,
    ElectronsPlan,
    SpectraPlan,
    SpectrometerPlan,
    SpectrumSimulation,
    ZeroLossPlan,
)
from twin.simulation.spectrum.composition import composition_of
from twin.simulation.spectrum.ready import make_spectrum
from twin.simulation.spectrum.run import record_spectrum

THICKNESSES = 17
"""Between which spectra are interpolated."""
AROUND = 0.2
"""Share by which the thickness varies where a question does not say."""
ANGLES = 400
"""Over which a cross-section is integrated."""


class Library(NamedTuple):
    """``spectra`` [phases, thicknesses, channels] and ``survey`` [phases, thicknesses] as shares of the beam, their energies ``offset`` and ``step`` in eV,
    and ``notes``."""

    spectra: np.ndarray
    survey: np.ndarray
    energy: tuple[float, float]
    claims: tuple[float, float, float]
    notes: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Write the file that the simulated scan reads."""
        np.savez(
            path, spectra=self.spectra, survey=self.survey, energy=np.array(self.energy), claims=np.array(self.claims)
        )


def library_of(question: Question, wanted: WantedMap) -> Library:
    """The library of a question's phases. BadInput, naming the key, for phases that cannot be computed and spectra that do not hold the quantity."""
    area, option = wanted.area, wanted.option
    assert isinstance(option, SpectrumOption)
    check_spectra(wanted, 1e3 * question.instrument.energy_keV)
    low, high = _thickness(question, wanted)
    phases = area.phase or [PhasePlan(structure=question.specimen.structure, occupancy=question.specimen.occupancy)]
    spectra, survey, notes = [], [], []
    for number, phase in enumerate(phases):
        key = f"area.phase[{number}]" if area.phase else "specimen"
        try:
            plan = _simulation(question, wanted, phase, low, high)
            ready = make_spectrum(plan)
        except BadInput as error:
            raise BadInput(_key(error.input, key), error.problem, error.cure) from None
        spectra.append(np.maximum(record_spectrum(ready).recording.data[0, :, -option.channels :], 0.0))
        areal = {name: count / low for name, count in ready.composition.areal.items()}
        survey.append(
            counted(areal, np.linspace(low, high, THICKNESSES), 1e3 * question.instrument.energy_keV, area.survey_mrad)
        )
        notes += list(ready.notes)
    angles = 1e-3 * question.instrument.semiangle_mrad, 1e-3 * plan.spectrometer.collection_mrad
    return Library(
        np.stack(spectra), np.stack(survey), (float(option.offset or 0.0), option.dispersion),
        (1e3 * question.instrument.energy_keV, *angles), tuple(dict.fromkeys(notes)),
    )  # fmt: skip


def _thickness(question: Question, wanted: WantedMap) -> tuple[float, float]:
    if wanted.area.thickness is not None:
        low, high = wanted.area.thickness
        if not low < high:
            raise BadInput("area.thickness", f"{low:g} to {high:g} does not rise", "Give the thinnest first.")
        return low, high
    if question.specimen.thickness is None:
        raise BadInput("area.thickness", "is missing", "Give the thinnest and the thickest, in angstrom.")
    return (1.0 - AROUND) * question.specimen.thickness, (1.0 + AROUND) * question.specimen.thickness


def _simulation(question: Question, wanted: WantedMap, phase: PhasePlan, low: float, high: float) -> SpectrumSimulation:
    """A phase as a row of spectra that gets thicker."""
    option, instrument = wanted.option, question.instrument
    assert isinstance(option, SpectrumOption)
    collection = option.collection_mrad or 1.5 * instrument.semiangle_mrad
    specimen = CompositionPlan(
        structure=phase.structure,
        formula=phase.formula,
        density=phase.density,
        thickness=low,
        occupancy=phase.occupancy,
        wedge=high - low,
    )
    plan = _bare(question, specimen, collection, option)
    for key, problem, cure in spectrum_contradictions(plan):
        raise BadInput(key, problem, cure)
    content = composition_of(plan)
    edges = {label: shape for label, shape in question.edges.items() if label.partition(" ")[0] in content.areal}
    return msgspec.structs.replace(plan, low_loss=question.low_loss, edges=edges)


def _bare(
    question: Question, specimen: CompositionPlan, collection: float, option: SpectrumOption
) -> SpectrumSimulation:
    instrument, offset = question.instrument, float(option.offset or 0.0)
    # from the lowest core losses on: a phase may have no edge in the range, but the background of those below it
    more = max(math.ceil((offset - CORE) / option.dispersion), 0)
    return SpectrumSimulation(
        name=question.name, kind="simulate", signal="eels", specimen=specimen,
        beam=ElectronsPlan(energy_keV=instrument.energy_keV, semiangle_mrad=instrument.semiangle_mrad),
        spectrometer=SpectrometerPlan(
            collection_mrad=collection, dispersion=option.dispersion, offset=offset - more * option.dispersion, channels=option.channels + more
        ),
        zero_loss=ZeroLossPlan(width=option.resolution), scan=SpectraPlan(shape=(1, THICKNESSES)), folder=question.folder,
    )  # fmt: skip


def _key(name: str, phase: str) -> str:
    """What a question calls a key of a simulation."""
    table, _, rest = name.partition(".")
    named = {"specimen": phase, "spectrometer": "option"}.get(table)
    return name if named is None else f"{named}.{rest}".removesuffix(".")


def counted(
    density: dict[str, float], thickness: np.ndarray, energy: float, angles_mrad: tuple[float, float]
) -> np.ndarray:
    """Share [n] of the beam that an annular detector counts behind ``density`` atoms of each element per cubic angstrom: 1 - exp(-N sigma), with the elastic
    cross-sections of single atoms between the angles in the first Born approximation (no channelling)."""
    theta = np.linspace(1e-3 * angles_mrad[0], 1e-3 * angles_mrad[1], ANGLES)
    q_squared = (2.0 * np.sin(0.5 * theta) / wavelength(energy)) ** 2
    gamma = 1.0 + energy / REST_ENERGY_EV
    total = 0.0
    for element, atoms in density.items():
        amplitude = gamma * scattering_factor(element, q_squared)
        total += atoms * float(np.trapezoid(2.0 * np.pi * np.sin(theta) * amplitude**2, theta))
    return 1.0 - np.exp(-total * thickness)
