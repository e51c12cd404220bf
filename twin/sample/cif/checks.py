"""Checks of the atoms read from a CIF against the formula, number of formula units, density and volume that it states."""

import re
from typing import NamedTuple

import numpy as np

from twin.sample.cif.block import Block, number
from twin.sample.cif.contents import Contents
from twin.sample.cif.elements import covalent_radius, formula_text, known, weight
from twin.sample.cif.neighbours import shortest

AVOGADRO = 0.602214076
"""Atomic mass units per cubic angstrom in g/cm^3 are one over this."""
COMPOSITION_TOLERANCE, DENSITY_TOLERANCE, VOLUME_TOLERANCE = 0.03, 0.03, 0.01
"""Relative differences from the stated values that rounding may explain."""
SHORTEST_BOND_RATIO = 0.6
"""Share of the sum of covalent radii below which two atoms are too near: compressed crystals and multiple bonds stay above."""


class Stated(NamedTuple):
    """Stated contents of a file: atoms of each element in the ``formula`` ({} where not stated), formula ``units`` in the cell, ``density`` in
    g/cm^3, ``volume`` in angstrom^3 (0 where not stated)."""

    formula: dict[str, float]
    units: float
    density: float
    volume: float


class Verdict(NamedTuple):
    """How contents agree with the file: ``contradictions``, ``notes``, and the shortest distance as a share of the two covalent radii, ``tightness``."""

    contradictions: tuple[str, ...]
    notes: tuple[str, ...]
    distance: float
    tightness: float


def read_stated(block: Block) -> tuple[Stated, list[str]]:
    """The stated contents of a block, and notes on values that cannot be read; these are never an error."""
    notes: list[str] = []

    def value(*tags: str) -> float:
        text = block.get(*tags)
        try:
            parsed = number(text, tags[0])
        except ValueError:
            notes.append(f"{tags[0]} {text!r} is no number and left out")
            return 0.0
        return 0.0 if parsed is None or parsed.value <= 0.0 else parsed.value

    text = block.get("_chemical_formula_sum")
    formula = {} if text is None else formula_of(text)
    if text is not None and not formula:
        notes.append(f"the formula {text!r} cannot be read and is left out")
    return Stated(
        formula, value("_cell_formula_units_z"), value("_exptl_crystal_density_diffrn"),
        value("_cell_volume"),
    ), notes  # fmt: skip


def formula_of(text: str) -> dict[str, float]:
    """``O3 Sr Ti`` or ``Ge0.5 Te1`` as atoms of each element; {} for other text."""
    counts: dict[str, float] = {}
    for token in text.replace(",", " ").split():
        remainder = token
        while remainder:
            match = re.match(r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+)?(?:\(\d+\))?", remainder)
            symbol = known(match[1]) or ("H" if match[1] in ("D", "T") else None) if match else None
            if match is None or symbol is None:
                return {}
            counts[symbol] = counts.get(symbol, 0.0) + (float(match[2]) if match[2] else 1.0)
            remainder = remainder[match.end() :]
    return counts if all(share > 0.0 for share in counts.values()) else {}


def density_of(content: dict[str, float], volume: float) -> float:
    """g/cm^3 of ``content`` atoms in ``volume`` angstrom^3."""
    return sum(weight(symbol) * share for symbol, share in content.items()) / (AVOGADRO * volume)


def judge(cell: np.ndarray, contents: Contents, stated: Stated) -> Verdict:
    """Compare ``contents`` with the ``stated`` ones, and distances with possible bond lengths."""
    content, notes = contents.content, []
    volume = abs(float(np.linalg.det(cell)))
    contradictions = _composition(content, stated, notes)
    density = density_of(content, volume)
    missing = any("missing" in note for note in notes)
    if stated.density and not missing and abs(density / stated.density - 1.0) > DENSITY_TOLERANCE:
        contradictions.append(f"the atoms make {density:.3f} g/cm^3, but the file states {stated.density:g}")
    if stated.volume and abs(volume / stated.volume - 1.0) > VOLUME_TOLERANCE:
        contradictions.append(f"the cell has {volume:.2f} angstrom^3, but the file states {stated.volume:g}")
    distance, first, second = shortest(cell, contents.fractions, contents.occupancies)
    radii = covalent_radius(contents.symbols[first]) + covalent_radius(contents.symbols[second])
    names = (contents.labels[first], contents.labels[second])
    if distance < SHORTEST_BOND_RATIO * radii:
        contradictions.append(
            f"{names[0]} and {names[1]} are {distance:.2f} angstrom apart, too near for a bond (radii sum to {radii:.2f})"
        )
    return Verdict(tuple(contradictions), tuple(notes), distance, distance / radii)


def _composition(content: dict[str, float], stated: Stated, notes: list[str]) -> list[str]:
    """Contradictions between atoms in the cell and formula, up to hydrogen that was not located, which is noted."""
    if not stated.formula:
        return []
    heavy = {symbol: share for symbol, share in stated.formula.items() if symbol != "H"} or stated.formula
    present = {symbol: share for symbol, share in content.items() if symbol in heavy}
    extra = sorted(set(content) - set(stated.formula))
    absent = sorted(set(heavy) - set(present))
    formula = formula_text(stated.formula)
    if extra or absent:
        parts = [
            f"{', '.join(extra)} is not in it" if extra else "",
            f"{', '.join(absent)} is missing among the atoms" if absent else "",
        ]
        return [f"the file's formula is {formula}: {'; '.join(part for part in parts if part)}"]
    units = stated.units or sum(present.values()) / sum(heavy.values())
    deviating = [
        symbol
        for symbol in heavy
        if abs(present[symbol] - units * heavy[symbol]) > COMPOSITION_TOLERANCE * units * heavy[symbol] + 1e-6
    ]
    if deviating:
        expected = formula_text({symbol: units * share for symbol, share in heavy.items()})
        times = f"{units:g} formula units of " if stated.units else "the proportions of "
        return [f"{times}{formula} are {expected}, but the atoms in the cell are {formula_text(content)}"]
    hydrogen = units * stated.formula.get("H", 0.0) - content.get("H", 0.0)
    if "H" in stated.formula and heavy is not stated.formula and hydrogen > 0.05 * units * stated.formula["H"]:
        notes.append(
            f"hydrogen is missing: the formula has {units * stated.formula['H']:g} in the cell, the atoms {content.get('H', 0.0):g}"
        )
    return []
