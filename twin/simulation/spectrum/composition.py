"""What a beam goes through on its way to the spectrometer: atoms of each element per area, density, thickness, free valence electrons."""

import math
from typing import Any, NamedTuple

import numpy as np

from twin.eels.atoms.solver.configurations import configuration
from twin.eels.atoms.solver.potential import BOHR, HARTREE
from twin.errors import BadInput
from twin.sample.cif.checks import AVOGADRO, formula_of
from twin.sample.cif.elements import formula_text, weight
from twin.sample.structures import Structure
from twin.simulation.plan.spectrum_tables import CompositionPlan, SpectrumSimulation
from twin.simulation.specimen import structure_named

PLASMA = 4.0 * math.pi * HARTREE**2 * BOHR**3
"""Square of the plasmon energy in eV^2 of one free electron per cubic angstrom: 4 pi e^2 hbar^2 / m."""


class Composition(NamedTuple):
    """Atoms per square angstrom of each element (``areal``) at ``thickness`` in angstrom (None: not known), ``density`` in g/cm^3 (None: not known), the
    ``formula``, where it is from (``described``), and the ``structure``, if it is one."""

    areal: dict[str, float]
    thickness: float | None
    density: float | None
    formula: str
    described: str
    structure: Structure | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain = {
            "described": self.described,
            "formula": self.formula,
            "density": self.density,
            "areal_density": self.areal,
        }
        return {**plain, "name": self.structure.name} if self.structure is not None else plain


def composition_of(plan: SpectrumSimulation, structure: Structure | None = None) -> Composition:
    """The composition that a plan names; ``structure``: the one that it names, where it was read before. BadInput naming the key for what cannot be one."""
    wanted = plan.specimen
    if wanted.areal_density is not None:
        return _given(wanted)
    if wanted.structure is not None:
        structure = structure or structure_named("specimen.structure", wanted.structure, plan.folder)
        content, volume = structure.content, structure.volume
        filled = _filled(wanted, content)
        density = sum(weight(name) * share for name, share in filled.items()) / (AVOGADRO * volume)
        described = structure.describe()
    else:
        assert wanted.formula is not None
        assert wanted.density is not None
        content = formula_of(wanted.formula)
        filled = _filled(wanted, content)
        density = wanted.density
        volume = sum(weight(name) * share for name, share in content.items()) / (AVOGADRO * density)
        described = f"{formula_text(content)}, {density:g} g/cm³"
        structure = None
    assert wanted.thickness is not None
    areal = {name: share / volume * wanted.thickness for name, share in filled.items()}
    units = structure.units if structure is not None else 1
    formula = formula_text({name: share / units for name, share in filled.items()})
    return Composition(areal, wanted.thickness, density, formula, described, structure)


def _given(wanted: CompositionPlan) -> Composition:
    """Atoms per area as they are given."""
    assert wanted.areal_density is not None
    areal = _filled(wanted, {name: count for name, count in wanted.areal_density.items() if count > 0.0})
    mass = sum(weight(name) * count for name, count in areal.items()) / AVOGADRO
    density = wanted.density if wanted.thickness is None else mass / wanted.thickness
    thickness = wanted.thickness if wanted.density is None else mass / wanted.density
    least = min(areal.values())
    ratios = formula_text({name: round(count / least, 3) for name, count in areal.items()})
    described = ", ".join(f"{count:.4g} {name}/Å²" for name, count in areal.items())
    return Composition(areal, thickness, density, ratios, described, None)


def _filled(wanted: CompositionPlan, content: dict[str, float]) -> dict[str, float]:
    """``content`` with its sites filled as ``occupancy`` says; BadInput for an element that is not in it, or no atoms that are left."""
    absent = [name for name in wanted.occupancy if name not in content]
    if absent:
        problem = f"{absent[0]} is not in the specimen"
        raise BadInput("specimen.occupancy", problem, f"It has {', '.join(content)}.")
    filled = {name: count * wanted.occupancy.get(name, 1.0) for name, count in content.items()}
    filled = {name: count for name, count in filled.items() if count > 0.0}
    if not filled:
        raise BadInput("specimen.occupancy", "leaves no atoms", "Give some element more than 0.")
    return filled


def valence_electrons(element: str) -> int:
    """Electrons of an atom in its outermost shell and in open d and f shells: those that a free-electron plasmon counts."""
    orbitals = configuration(element)
    outermost = max(orbital.n for orbital in orbitals)
    full = [2 * (2 * orbital.l + 1) for orbital in orbitals]
    return round(
        sum(
            orbital.electrons
            for orbital, most in zip(orbitals, full, strict=True)
            if orbital.n == outermost or (orbital.l >= 2 and orbital.electrons < most)
        )
    )


def free_plasmon(made: Composition) -> tuple[float, int] | None:
    """Energy in eV of the plasmon that the valence electrons would have if they were free, and how many there are in a formula; None without a thickness."""
    if made.thickness is None:
        return None
    total = sum(count * valence_electrons(name) for name, count in made.areal.items()) / made.thickness
    per_formula = sum(count * valence_electrons(name) for name, count in formula_of(made.formula).items())
    return math.sqrt(PLASMA * total), round(per_formula)


def thickness_shares(plan: SpectrumSimulation) -> np.ndarray:
    """Thickness of each spectrum [...] over that of the first column."""
    if plan.scan is None:
        return np.ones(())
    ny, nx = plan.scan.shape
    thickness = plan.specimen.thickness
    slope = plan.specimen.wedge / thickness if thickness is not None else 0.0
    row = 1.0 + slope * (np.arange(nx) / max(nx - 1, 1))
    return np.broadcast_to(row, (ny, nx)).copy()
