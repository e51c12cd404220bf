"""Space groups as CIFs state them: operations, Hall symbol, name or number, and the possible settings of each.

A name without setting (``R 3 2``, ``F d -3 m``) allows several; so do suffixes of databases (``Z`` for the second origin, ``S`` for the first).
Settings are ranked by their source: listed operations, then Hall symbol, name and number.
"""

import re
from dataclasses import dataclass

import gemmi
import numpy as np

from twin.sample.cif.block import Block

METRIC_TOLERANCE = 0.02
"""Relative change of a length by an operation from which on cell and operations contradict each other."""
OPERATIONS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
NAMES = (
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m_full",
    "_space_group_name_h-m_ref",
    "_space_group_name_h-m",
)
NUMBERS = ("_space_group_it_number", "_symmetry_int_tables_number")


@dataclass(frozen=True, eq=False)
class Setting:
    """Operations x' = R x + t of one setting: ``rotations`` [n, 3, 3], ``translations`` [n, 3] in fractions, its ``name``, ``number`` (0: not in the
    tables) and the ``source`` that states it."""

    rotations: np.ndarray
    translations: np.ndarray
    name: str
    number: int
    source: str

    def metric_change(self, cell: np.ndarray) -> float:
        """The largest relative change of a length by any operation; 0 where ``cell`` (vectors as rows) has the symmetry."""
        metric = cell @ cell.T
        scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
        transformed = np.einsum("nji,jk,nkl->nil", self.rotations, metric, self.rotations)
        return float((np.abs(transformed - metric[None]) / scale[None]).max()) / 2.0

    @property
    def described(self) -> str:
        """``F d -3 m, origin choice 2 (227)``."""
        base, _, setting = self.name.partition(":")
        words = {
            "1": ", origin choice 1",
            "2": ", origin choice 2",
            "H": ", hexagonal axes",
            "R": ", rhombohedral axes",
        }
        number = f" ({self.number})" if self.number else ""
        return f"{base.strip()}{words.get(setting, f':{setting}' if setting else '')}{number}"


def read_settings(block: Block) -> tuple[list[list[Setting]], list[str]]:
    """Settings ranked by their source, those that one source leaves open together, and notes. ValueError for what cannot be a symmetry."""
    ranks: list[list[Setting]] = []
    notes: list[str] = []
    listed = [operation for operation in block.column(*OPERATIONS) if operation.strip() not in ("?", ".", "")]
    name, number = block.get(*NAMES), _number(block)
    if listed:
        ranks.append([_listed(listed)])
    hall = block.get(*HALL)
    if hall:
        try:
            ranks.append([_from_operations(gemmi.symops_from_hall(hall), f"Hall symbol {hall!r}")])
        except (ValueError, RuntimeError):
            notes.append(f"the Hall symbol {hall!r} is not known and left out")
    named = [settings for tag in NAMES if (text := block.get(tag)) for settings in [_named(text, notes)] if settings]
    if named:
        ranks.append(named[0])
    elif name and not ranks:
        notes.append(f"the space group's name {name!r} is not known")
    if number:
        if not 1 <= number <= 230:
            raise ValueError(f"the space group's number is {number}; give one from 1 to 230")
        ranks.append(_numbered(number))
    if not ranks:
        if name:
            raise ValueError(
                f"the space group {name!r} is not known, and neither operations nor a number are given; list the operations"
            )
        notes.append("no symmetry is stated: taken as P 1, the atoms that are listed and no others")
        ranks.append([_of_group(gemmi.find_spacegroup_by_number(1), "nothing")])
    return ranks, notes


def _number(block: Block) -> int:
    text = block.get(*NUMBERS)
    if text is None:
        return 0
    if not text.isdigit():
        raise ValueError(f"the space group's number is {text!r}; give one from 1 to 230")
    return int(text)


def _listed(texts: list[str]) -> Setting:
    """The setting of operations in a list. ValueError for an operation that cannot be read, and for a list that is no group."""
    operations = []
    for text in texts:
        try:
            operations.append(gemmi.Op(text.strip().strip("'\"")).wrap())
        except (ValueError, RuntimeError):
            raise ValueError(
                f"the symmetry operation {text!r} cannot be read; write it as x,y,z or -y,x-y,z+1/3"
            ) from None
    unique = {operation.triplet(): operation for operation in [gemmi.Op("x,y,z"), *operations]}
    for operation in unique.values():
        for other in unique.values():
            if (operation * other).wrap().triplet() not in unique:
                raise Incomplete(
                    f"the list of {len(texts)} symmetry operations is no group: {operation.triplet()} after {other.triplet()} is "
                    f"{(operation * other).wrap().triplet()}, which is missing; list them all, or none"
                )
    return _from_operations(gemmi.GroupOps(list(unique.values())), f"its list of {len(unique)} operations")


class Incomplete(ValueError):
    """An incomplete list of operations."""


def _named(text: str, notes: list[str]) -> list[Setting] | None:
    """Settings of a Hermann-Mauguin name: one where the name gives it, else all origins or both axes; None for an unknown name."""
    plain = re.sub(r"[()_*]|#\s*\d+$", "", text).strip()
    plain = re.sub(r"(?i)\s*origin\s*(choice)?\s*([12])$", r":\2", plain)
    direct = gemmi.find_spacegroup_by_name(plain)
    suffix = ""
    match = re.fullmatch(r"(.*?)[\s:]*(HR|RS|RZ|[SZHR])", plain)
    if match and (direct is None or match[2] in ("H", "R")):
        base = gemmi.find_spacegroup_by_name(match[1])
        if base is not None:
            suffix, direct = {"S": "1", "Z": "2", "H": "H", "R": "R", "HR": "H", "RS": "R", "RZ": "R"}[match[2]], base
    elif ":" in plain and direct is not None:
        suffix = direct.ext
    direct = direct or _full(plain)
    if direct is None:
        return None
    source = f"its name {text!r}"
    family = _family(direct)
    exact = [group for group in family if group.ext == suffix] if suffix else family
    if suffix and not exact:
        # a suffix of a group with one setting only, such as F m -3 m Z: nothing to choose
        notes.append(
            f"the setting {match[2] if match else suffix!r} of {text!r} means nothing for this space group and is left out"
        )
        exact = family
    elif match and match[2] in ("S", "Z"):
        notes.append(f"{match[2]} in {text!r} is read as origin choice {suffix}")
    return [_of_group(group, source) for group in exact]


def _full(name: str) -> gemmi.SpaceGroup | None:
    """The space group of a full symbol such as ``P 63/m 2/m 2/c`` or ``F 4/m -3 2/m``, whose axes of order 2 the short one leaves out."""
    head, *axes = name.split()
    for full_axes in (1, 0):
        short = [axis if number < full_axes else axis.rpartition("/")[2] for number, axis in enumerate(axes)]
        group = gemmi.find_spacegroup_by_name(" ".join([head, *short]))
        if group is not None:
            return group
    return None


def _numbered(number: int) -> list[Setting]:
    return [_of_group(group, f"its number {number}") for group in _family(gemmi.find_spacegroup_by_number(number))]


def _family(group: gemmi.SpaceGroup) -> list[gemmi.SpaceGroup]:
    """All settings in the tables that share a group's name and number: both origins, both axes, or itself."""
    return [
        candidate
        for candidate in gemmi.spacegroup_table()
        if candidate.number == group.number and candidate.hm == group.hm
    ]


def _of_group(group: gemmi.SpaceGroup, source: str) -> Setting:
    return _setting(group.operations(), group.xhm(), group.number, source)


def _from_operations(operations: gemmi.GroupOps, source: str) -> Setting:
    group = gemmi.find_spacegroup_by_ops(operations)
    if group is None:
        return _setting(operations, "a setting that is not in the tables", 0, source)
    return _setting(operations, group.xhm(), group.number, source)


def _setting(operations: gemmi.GroupOps, name: str, number: int, source: str) -> Setting:
    unique = list(operations)
    rotations = np.array([operation.rot for operation in unique], dtype=np.float64) / gemmi.Op.DEN
    translations = np.array([operation.tran for operation in unique], dtype=np.float64) / gemmi.Op.DEN
    return Setting(rotations, translations, name, number, source)
