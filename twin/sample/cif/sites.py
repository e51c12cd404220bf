"""The atom sites of a CIF: element, position, occupancy, thermal motion and disorder group."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from twin.sample.cif.block import Block, Number, number
from twin.sample.cif.elements import DUMMY_SYMBOLS, of_label, of_type

TWO_PI2 = 2.0 * math.pi**2


@dataclass(frozen=True)
class Site:
    """One entry of the list of atoms: ``position`` [3] in fractions, each off by up to ``error`` [3]; ``occupancy`` off by up to ``occupancy_error``; ``u2``
    <u^2> along one axis in angstrom^2 (nan: not stated); ``group`` of disorder ("" for none)."""

    label: str
    element: str
    charge: str
    position: np.ndarray
    error: np.ndarray
    occupancy: float
    occupancy_error: float
    u2: float
    group: str


def read_sites(block: Block, cell: np.ndarray, stated: set[str]) -> tuple[list[Site], list[str]]:
    """All atoms with a stated position, and notes on omitted or assumed values. ValueError for values that cannot be read.

    ``stated``: the elements of the file's formula, which interpret labels where there is no type symbol.
    """
    table = block.table("_atom_site_fract_x")
    rows = len(table["_atom_site_fract_x"])

    def column(*tags: str) -> tuple[str, ...]:
        return next((table[tag] for tag in tags if tag in table), ("?",) * rows)

    for axis in "yz":
        if f"_atom_site_fract_{axis}" not in table:
            raise ValueError(f"the list of atoms has no _atom_site_fract_{axis}; give all three fractions")
    labels, types = column("_atom_site_label", "_atom_site_id"), column("_atom_site_type_symbol")
    coordinates = [column(f"_atom_site_fract_{axis}") for axis in "xyz"]
    shares, flags = column("_atom_site_occupancy"), column("_atom_site_calc_flag")
    groups, motion = column("_atom_site_disorder_group"), _thermal(block, table, cell, rows)
    sites: list[Site] = []
    omitted: dict[str, list[str]] = {}

    def tell(problem: str, label: str) -> None:
        omitted.setdefault(problem, []).append(label)

    for row in range(rows):
        label = labels[row] if labels[row] not in ("?", ".", "") else types[row]
        if flags[row].lower() == "dum":
            tell("dummy atoms, left out", label)
            continue
        values = [number(coordinates[axis][row], f"{'xyz'[axis]} of atom {label}") for axis in range(3)]
        share = number(shares[row], f"the occupancy of atom {label}")
        if share is not None and share.value == 0.0:
            tell("occupancy 0, left out", label)
            continue
        if any(value is None for value in values):
            tell("no place stated, left out", label)
            continue
        element, charge = _element(label, types[row], stated)
        if share is not None and share.value < 0.0:
            raise ValueError(f"the occupancy of atom {label} ({element}) is {share.value:g}; give a share from 0 to 1")
        if share is None and shares[row] == "?" and "_atom_site_occupancy" in table:
            tell("occupancy not known (?), taken as 1", label)
        if types[row].strip().upper() in ("D", "T"):
            tell("deuterium or tritium, which scatters electrons as hydrogen", label)
        u2 = motion[row]
        if u2 < 0.0:
            tell("thermal displacement below zero, left out", label)
            u2 = math.nan
        position, error = (
            np.array([getattr(coordinate, name) for coordinate in values]) for name in ("value", "error")
        )
        filled, unsure = (1.0, 0.0) if share is None else (share.value, _unsure(share))
        group = groups[row] if groups[row] not in ("?", ".", "") else ""
        sites.append(Site(label, element, charge, position, error, filled, unsure, u2, group))
    if not sites:
        raise ValueError(f"none of its {rows} atoms can be used: {_listed(omitted)}; give atoms with places")
    if any(site.group for site in sites):
        for name in sorted({site.group for site in sites if site.group}):
            tell(f"disorder group {name}, kept with its occupancies (an average of the alternatives)", "")
    return _same_for_all(sites, omitted), [
        f"{problem}: {_some(names)}" if any(names) else problem for problem, names in omitted.items()
    ]


def _unsure(share: Number) -> float:
    """What an occupancy may be off by: two standard uncertainties, or a unit of the last of two digits or more; 0.5 and 1 are exact."""
    return 2.0 * share.su if share.su > 0.0 else share.step if share.step < 0.02 else 0.0


def _element(label: str, kind: str, stated: set[str]) -> tuple[str, str]:
    if kind in ("?", ".", ""):
        return of_label(label, stated), ""
    if kind.strip().lower() in DUMMY_SYMBOLS:
        raise ValueError(f"atom {label} is of type {kind!r}, a dummy or a vacancy; remove it, or give it occupancy 0")
    parsed = of_type(kind)
    if parsed is None:
        raise ValueError(f"atom {label} is of type {kind!r}, which is no element; mend _atom_site_type_symbol")
    return parsed


def _thermal(block: Block, table: dict[str, tuple[str, ...]], cell: np.ndarray, rows: int) -> list[float]:
    """<u^2> of every atom in angstrom^2 from U, B or the anisotropic tensor (its equivalent), nan where none is stated."""
    mean_squares = [math.nan] * rows
    labels = table.get("_atom_site_label", ("",) * rows)
    anisotropic = _anisotropic(block, cell)
    for row in range(rows):
        for tag, factor in (("u", 1.0), ("b", 1.0 / (8.0 * math.pi**2))):
            text = table.get(f"_atom_site_{tag}_iso_or_equiv", ("?",) * rows)[row]
            value = number(text, f"{tag.upper()}_iso of atom {labels[row]}")
            if value is not None and math.isnan(mean_squares[row]):
                mean_squares[row] = value.value * factor
        if math.isnan(mean_squares[row]):
            mean_squares[row] = anisotropic.get(labels[row], math.nan)
    return mean_squares


def _anisotropic(block: Block, cell: np.ndarray) -> dict[str, float]:
    """U_eq = tr(U) / 3 in Cartesian axes of every label with a tensor U, B or beta."""
    reciprocal = np.linalg.norm(np.linalg.inv(cell), axis=0)
    lengthened = cell * reciprocal[:, None]  # rows a* a, b* b, c* c
    mean_squares: dict[str, float] = {}
    for kind, factor in (("u", 1.0), ("b", 1.0 / (8.0 * math.pi**2)), ("beta", 0.0)):
        table = block.table(f"_atom_site_aniso_{kind}_11")
        for row, label in enumerate(table.get("_atom_site_aniso_label", ())):
            tensor = np.zeros((3, 3))
            for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)):
                tag = f"_atom_site_aniso_{kind}_{i + 1}{j + 1}"
                value = number(table[tag][row], f"{tag[11:]} of {label}") if tag in table else None
                if value is None:
                    if i == j:
                        tensor[:] = math.nan
                    continue
                scale = factor or 1.0 / (TWO_PI2 * reciprocal[i] * reciprocal[j])
                tensor[i, j] = tensor[j, i] = value.value * scale
            mean = float(np.einsum("ij,ik,jk->", tensor, lengthened, lengthened)) / 3.0
            if math.isfinite(mean):
                mean_squares.setdefault(label, mean)
    return mean_squares


def _same_for_all(sites: list[Site], omitted: dict[str, list[str]]) -> list[Site]:
    """``sites`` without thermal motion where every element has the very same: programs write such a value where none was measured."""
    values = {site.u2 for site in sites}
    if (
        len(sites) > 1
        and len({site.element for site in sites}) > 1
        and len(values) == 1
        and not math.isnan(sites[0].u2)
    ):
        omitted[
            f"one thermal displacement for all elements (u2 = {sites[0].u2:.4g} angstrom^2), a placeholder that is left out"
        ] = []
        return [dataclasses.replace(site, u2=math.nan) for site in sites]
    return sites


def _some(names: list[str], limit: int = 6) -> str:
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def _listed(omitted: dict[str, list[str]]) -> str:
    return "; ".join(f"{problem} ({_some(names)})" for problem, names in omitted.items())
