"""What tables and keys of an energy-loss spectrum must not contradict: each rule tells (key, problem, cure)."""

from collections.abc import Iterator

from twin.sample.cif.checks import formula_of
from twin.sample.cif.elements import known
from twin.simulation.plan.rules import Contradiction
from twin.simulation.plan.spectrum_tables import SpectrumSimulation

WIDEST = 0.2
"""Share of the range that a zero loss may be wide."""


def spectrum_contradictions(plan: SpectrumSimulation) -> Iterator[Contradiction]:
    """All that there are: the key, what is wrong with it, and the cure."""
    for rule in (_composition, _thickness, _low_loss, _edges, _dose, _axis):
        yield from rule(plan)


def _composition(plan: SpectrumSimulation) -> Iterator[Contradiction]:
    specimen = plan.specimen
    given = [name for name in ("structure", "formula", "areal_density") if getattr(specimen, name) is not None]
    if len(given) != 1:
        problem = f"{' and '.join(given)} are given" if given else "nothing says what the specimen is made of"
        yield "specimen", problem, "Give exactly one: structure, formula (with density), or areal_density."
        return
    if specimen.formula is not None and not formula_of(specimen.formula):
        yield "specimen.formula", f'"{specimen.formula}" is no formula', "Write it as in SrTiO3 or Al0.3Ga0.7As."
    if specimen.formula is not None and specimen.density is None:
        yield "specimen.density", "is missing, and atoms per area follow from it", "Add it in g/cm^3."
    if specimen.structure is not None and specimen.density is not None:
        yield "specimen.density", "is given beside a structure, which has its own", "Leave it out."
    if specimen.areal_density is not None:
        if not any(specimen.areal_density.values()):
            yield "specimen.areal_density", "has no atoms", "Give atoms per square angstrom of an element."
        unknown = [name for name in specimen.areal_density if known(name) != name]
        if unknown:
            yield "specimen.areal_density", f'"{unknown[0]}" is no element', "Use symbols of elements: Ti = 1.2."


def _thickness(plan: SpectrumSimulation) -> Iterator[Contradiction]:
    specimen, low = plan.specimen, plan.low_loss
    if specimen.areal_density is None and specimen.thickness is None:
        yield "specimen.thickness", "is missing, and atoms per area follow from it", "Add it in angstrom."
    if specimen.areal_density is not None and specimen.thickness is None and low.t_over_lambda is None:
        cure = "Add specimen.thickness in angstrom, or low_loss.t_over_lambda (0: no plural scattering)."
        yield "low_loss.t_over_lambda", "does not follow from atoms per area alone", cure
    if specimen.areal_density is not None and specimen.thickness is not None and specimen.density is not None:
        yield "specimen.density", "follows from areal_density and thickness", "Leave one of the three out."
    if low.t_over_lambda is not None and low.mean_free_path is not None:
        yield "low_loss.mean_free_path", "is given beside t_over_lambda", "Leave one of them out."
    if specimen.wedge and plan.scan is None:
        yield (
            "specimen.wedge",
            "one spectrum has one thickness",
            "Add [scan] with shape = [ny, nx], or leave wedge out.",
        )
    if specimen.wedge and specimen.thickness is None:
        yield "specimen.wedge", "changes a thickness that is not given", "Add specimen.thickness."
    elif specimen.thickness is not None and specimen.thickness + specimen.wedge < 0.0:
        problem = f"{specimen.wedge:g} angstrom make the last column thinner than nothing"
        yield "specimen.wedge", problem, f"Give {-specimen.thickness:g} or more."


def _low_loss(plan: SpectrumSimulation) -> Iterator[Contradiction]:
    low = plan.low_loss
    if low.plasmons is not None and low.dielectric is not None:
        yield "low_loss.plasmons", "and dielectric both say what valence electrons lose", "Leave one of them out."
    if low.plasmons is not None and not low.plasmons[0][2] > 0.0:
        yield "low_loss.plasmons", "the strength of the first term is 0", "Strengths are relative to it: give 1."
    if low.surface and low.dielectric is None:
        yield (
            "low_loss.surface",
            "losses by surfaces follow from a dielectric function",
            "Add dielectric, or leave it out.",
        )
    if low.gap is not None and low.dielectric is not None:
        yield "low_loss.gap", "a dielectric function has its own gap", "Leave it out."


def _edges(plan: SpectrumSimulation) -> Iterator[Contradiction]:
    for name, edge in plan.edges.items():
        shaped = [word for word in ("ratio", "crystal_field") if getattr(edge, word) is not None]
        if edge.white_lines == 0.0 and shaped:
            yield (
                f"edges.{name}.{shaped[0]}",
                "is of white lines, of which there are none",
                "Leave white_lines out, or above 0.",
            )


def _dose(plan: SpectrumSimulation) -> Iterator[Contradiction]:
    current, exposure = plan.beam.current_pA, plan.spectrometer.exposure
    if plan.dose is not None and current is not None and exposure is not None:
        yield "dose.electrons", "follows from beam.current_pA and spectrometer.exposure", "Leave one of the three out."
    if plan.dose is None and (current is None) != (exposure is None):
        missing = "beam.current_pA" if current is None else "spectrometer.exposure"
        cure = "Give both, or [dose] with electrons; without either a spectrum has no noise."
        yield missing, "is missing, and electrons are current times exposure", cure
    made = plan.spectrometer
    if plan.dose is None and current is None and (made.gain != 1.0 or made.dark or made.readout or made.pattern):
        yield (
            "spectrometer.gain",
            "a camera makes counts of electrons, of which there are none",
            "Add [dose] with electrons.",
        )


def _axis(plan: SpectrumSimulation) -> Iterator[Contradiction]:
    made = plan.spectrometer
    last = made.offset + made.dispersion * (made.channels - 1)
    if last <= 0.0:
        yield "spectrometer.offset", f"the spectrum ends at {last:g} eV, before any loss", "Raise offset or dispersion."
    if plan.zero_loss.width > WIDEST * made.dispersion * made.channels:
        problem = (
            f"{plan.zero_loss.width:g} eV are more than a fifth of the range, {made.dispersion * made.channels:g} eV"
        )
        yield "zero_loss.width", problem, "Is it in meV? Give it in eV, or a longer range."
    low = [law.energy for law in plan.backgrounds.values() if made.offset <= 0.0]
    if low:
        cure = "Leave [backgrounds] out: valence losses and lower edges make their own."
        yield "backgrounds", f"a power law has no value at zero loss, and the axis begins at {made.offset:g} eV", cure
