"""Displacements per atom in a structure under a dose of electrons."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from twin.damage.cross_section import Method, displacement_cross_section
from twin.damage.tables import Kind, Threshold, Where, threshold
from twin.damage.tables import thresholds as listed
from twin.damage.transfer import largest_transfer, threshold_energy
from twin.eels.atoms.solver.configurations import atomic_number
from twin.sample.cif.checks import formula_of
from twin.sample.cif.elements import formula_text, weight


class Displacement(NamedTuple):
    """What a dose does to the atoms of one ``element``.

    ``share`` of the element among the atoms; its ``threshold`` with source; ``transfer``: largest transferred energy,
    eV; ``onset``: beam energy from which on atoms at rest are displaced, eV; ``cross_section`` in angstrom^2;
    ``per_atom``: displacements per atom of this element at the dose; ``dose`` in electrons per angstrom^2 at which
    the wanted share of its atoms was displaced once (inf: never).
    """

    element: str
    share: float
    threshold: Threshold
    transfer: float
    onset: float
    cross_section: float
    per_atom: float
    dose: float


def knock_on(
    structure: Any,
    energy: float,
    dose: float,
    *,
    material: str | None = None,
    where: Where = "bulk",
    kind: Kind = "average",
    displaced: float = 0.01,
    thresholds: Mapping[str, float] | None = None,
    velocities: Mapping[str, float] | None = None,
    method: Method = "mott",
) -> tuple[Displacement, ...]:
    """Knock-on damage of each element of a structure by ``dose`` electrons per angstrom^2 of ``energy`` eV, the most
    displaced first.

    ``structure``: a `twin.Sample`, a Structure, ASE atoms, or the number of atoms by element. ``material``: its name
    in the table of thresholds (by default what fits the formula); ``where``, ``kind``: see `threshold`; "surface" is
    sputtering of the last layer. ``thresholds`` in eV by element take the place of tabulated ones. ``velocities``:
    rms velocities along the beam in angstrom / s by element (`thermal_velocity`). ``displaced``: the share of an
    element's atoms that the ``dose`` of the result displaces.

    Atoms that return are counted, and neither ionisation nor a crystal's focusing of the beam on its columns is.
    ValueError for what is no structure, and for numbers out of range.

    >>> oxygen, *_ = knock_on({"Sr": 1, "Ti": 1, "O": 3}, energy=300e3, dose=1e6)
    >>> oxygen.element, f"{oxygen.transfer:.1f} eV, {oxygen.per_atom:.3f}"
    ('O', '53.2 eV, 0.045')
    """
    content = _content(structure)
    if not (math.isfinite(dose) and dose >= 0.0):
        raise ValueError(f"the dose is {dose} electrons per angstrom^2; give a number that is not negative")
    if not 0.0 < displaced < 1.0:
        raise ValueError(f"the displaced share is {displaced}; give a number between 0 and 1, e.g. 0.01")
    name = material or _named(content)
    rows = []
    for element, count in content.items():
        limit = threshold(element, name, where, kind)
        if thresholds and element in thresholds:
            limit = Threshold(element, name, where, "given", thresholds[element], None, "", "given")
        velocity = velocities.get(element, 0.0) if velocities else 0.0
        section = displacement_cross_section(energy, element, limit.energy, velocity, method=method)
        needed = -math.log1p(-displaced) / section if section > 0.0 else math.inf
        mass = weight(element)
        told = (largest_transfer(energy, mass), threshold_energy(limit.energy, mass), section, section * dose, needed)
        rows.append(Displacement(element, count / sum(content.values()), limit, *told))
    return tuple(sorted(rows, key=lambda row: -row.per_atom))


def _content(structure: Any) -> dict[str, float]:
    """Atoms by element."""
    inner = getattr(structure, "structure", structure)
    content = getattr(inner, "content", None)
    if content is None and hasattr(inner, "get_chemical_symbols"):
        symbols = inner.get_chemical_symbols()
        content = {symbol: float(symbols.count(symbol)) for symbol in symbols}
    if content is None and isinstance(inner, Mapping):
        content = inner
    if not isinstance(content, Mapping) or not content or not all(count > 0.0 for count in content.values()):
        raise ValueError(
            f"{type(structure).__name__} is no structure with atoms; give a Sample, ASE atoms or atoms by element, e.g. {{'Mg': 1, 'O': 1}}"
        )
    for element in content:
        atomic_number(element)
    return {element: float(count) for element, count in content.items()}


def _named(content: Mapping[str, float]) -> str:
    """The formula by which the table may know the material: a listed one of the same composition, else the formula in
    the usual form.
    """
    total = sum(content.values())
    for formula in dict.fromkeys(entry.formula for entry in listed()):
        parts = formula_of(formula)
        if parts.keys() == content.keys():
            size = sum(parts.values())
            if all(abs(parts[symbol] / size - count / total) < 0.02 for symbol, count in content.items()):
                return formula
    return formula_text(dict(content)).replace(" ", "")
