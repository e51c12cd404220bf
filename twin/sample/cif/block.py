"""The data block of a CIF that holds the structure, as plain tables, and its cell."""

import math
import re
from typing import Any, NamedTuple

import gemmi
import numpy as np

FOREIGN_TAGS = {
    "_atom_site_cartn_x": "an mmCIF file of a macromolecule",
    "_space_group_symop_magn_operation_xyz": "a magnetic CIF",
    "_space_group_magn_number_bns": "a magnetic CIF",
    "_space_group_magn_name_bns": "a magnetic CIF",
    "_space_group_magn_transform_bns_pp_abc": "a magnetic CIF",
    "_parent_space_group_name_h-m_alt": "a magnetic CIF",
    "_atom_site_moment_label": "a magnetic CIF",
    "_atom_site_moment_crystalaxis_x": "a magnetic CIF",
    "_cell_modulation_dimension": "a CIF of a modulated structure",
    "_cell_wave_vector_seq_id": "a CIF of a modulated structure",
    "_space_group_ssg_name": "a CIF of a modulated structure",
}
"""Tags of files that hold more, or other, than a crystal's structure, and what to call such a file."""
NUMBER_PATTERN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?:\((\d+)\))?")


class Number(NamedTuple):
    """A value with the unit of its last digit, ``step``, and its standard uncertainty, ``su`` (0 if none is given)."""

    value: float
    step: float
    su: float

    @property
    def error(self) -> float:
        """What it may be off by: one unit of its last digit, or two standard uncertainties."""
        return max(self.step, 2.0 * self.su)


def number(text: str | None, name: str) -> Number | None:
    """``5.43(1)`` as a number; None for ``?``, ``.`` and nothing. ValueError, with its ``name``, for other text."""
    if text is None or text in ("?", ".", ""):
        return None
    match = NUMBER_PATTERN.fullmatch(text.strip())
    if match is None or not math.isfinite(float(match[1])):
        raise ValueError(f"{name} is {text!r}, which is no number; give digits, or ? where it is not known")
    mantissa, _, power = match[1].lower().partition("e")
    digits = len(mantissa.partition(".")[2])
    step = 10.0 ** (int(power or 0) - digits)
    return Number(float(match[1]), step, float(match[2]) * step if match[2] else 0.0)


class Block(NamedTuple):
    """A data block: ``pairs`` of tag and value, ``loops`` as columns by tag, tags in lower case with ``_`` for ``.``."""

    name: str
    pairs: dict[str, str]
    loops: tuple[dict[str, tuple[str, ...]], ...]

    def get(self, *tags: str) -> str | None:
        """The first value there is under ``tags``, None where all are missing or ``?`` or ``.``; a loop of one row counts as a value."""
        for tag in tags:
            value = self.pairs.get(tag)
            if value is None:
                column = self.column(tag)
                value = column[0] if len(column) == 1 else None
            if value is not None and value.strip() not in ("?", ".", ""):
                return value.strip()
        return None

    def column(self, *tags: str) -> tuple[str, ...]:
        """The first column there is under ``tags``; a single value counts as one row."""
        for tag in tags:
            for loop in self.loops:
                if tag in loop:
                    return loop[tag]
            if tag in self.pairs:
                return (self.pairs[tag],)
        return ()

    def table(self, tag: str) -> dict[str, tuple[str, ...]]:
        """The loop that holds ``tag``, or what pairs share its category as a table of one row; empty if there is neither."""
        for loop in self.loops:
            if tag in loop:
                return loop
        if tag not in self.pairs:
            return {}
        category = tag.rpartition("_")[0]
        while category.count("_") > 2:
            category = category.rpartition("_")[0]
        return {other: (value,) for other, value in self.pairs.items() if other.startswith(category + "_")}


def read_block(text: str, name: str | None) -> tuple[Block, list[str]]:
    """The block called ``name``, or the first that has atoms, and notes on the others. ValueError for text that is no CIF, or holds no structure."""
    text = text.lstrip("\ufeff")
    try:
        document = gemmi.cif.read_string(text)
    except (ValueError, RuntimeError) as error:
        hint = (
            " (it is CIF 2, whose lists, tables and triple quotes are not read)" if text.startswith("#\\#CIF_2") else ""
        )
        problem = str(error).splitlines()[0]
        raise ValueError(f"cannot be read as a CIF{hint}: {problem}; mend that line") from None
    blocks = [_plain(item) for item in document]
    for block in blocks:
        tags = {*block.pairs, *(tag for loop in block.loops for tag in loop)}
        for tag, kind in FOREIGN_TAGS.items():
            if tag in tags:
                raise ValueError(
                    f"block {block.name!r} is {kind} (it has {tag}), which is not read; give a CIF of the average crystal structure"
                )
    holding = [block for block in blocks if block.column("_atom_site_fract_x")]
    named = [block for block in holding if name in (None, block.name)]
    if not named:
        present = ", ".join(block.name or "(no name)" for block in holding) or "none"
        problem = "holds no atoms" if name is None else f"has no block {name!r} with atoms"
        raise ValueError(
            f"{problem}: blocks with _atom_site_fract_x are {present}; give a CIF with atoms in fractions of the cell"
        )
    omitted = [block.name for block in holding if block is not named[0]]
    return named[0], [f"block {named[0].name!r} is read; {', '.join(omitted)} left out"] if omitted else []


def _plain(block: gemmi.cif.Block) -> Block:
    pairs: dict[str, str] = {}
    loops: list[dict[str, tuple[str, ...]]] = []
    for item in block:
        pair: Any = item.pair
        if pair is not None:
            pairs[_tag(pair[0])] = pair[1] if pair[1] in ("?", ".") else gemmi.cif.as_string(pair[1])
        elif item.loop is not None:
            rows, tags = item.loop.values, item.loop.tags
            shown = [value if value in ("?", ".") else gemmi.cif.as_string(value) for value in rows]
            loops.append({_tag(tag): tuple(shown[column :: len(tags)]) for column, tag in enumerate(tags)})
    return Block(block.name, pairs, tuple(loops))


def _tag(tag: str) -> str:
    return tag.lower().replace(".", "_")


def read_cell(block: Block) -> np.ndarray:
    """Cell vectors as rows in angstrom, a along x and b in the plane of x and y. ValueError for a length that is missing, or angles that close no cell."""
    lengths = []
    for axis in "abc":
        length = number(block.get(f"_cell_length_{axis}"), f"_cell_length_{axis}")
        if length is None or length.value <= 0.0:
            raise ValueError(
                f"_cell_length_{axis} is {'missing' if length is None else length.value}; give the cell's lengths in angstrom"
            )
        lengths.append(length.value)
    angles = []
    for name in ("alpha", "beta", "gamma"):
        angle = number(block.get(f"_cell_angle_{name}"), f"_cell_angle_{name}")
        angles.append(90.0 if angle is None else angle.value)
    # exact where angles are, so that no cosine of 90 degrees is 6e-17
    alpha, beta, gamma = (
        0.0 if angle == 90.0 else -0.5 if angle == 120.0 else math.cos(math.radians(angle)) for angle in angles
    )
    sine = math.sqrt(max(1.0 - gamma**2, 0.0))
    height = 1.0 - alpha**2 - beta**2 - gamma**2 + 2.0 * alpha * beta * gamma
    if not all(0.0 < angle < 180.0 for angle in angles) or height <= 1e-6:
        raise ValueError(
            f"the cell's angles {', '.join(f'{angle:g}' for angle in angles)} degrees close no cell; mend _cell_angle_*"
        )
    a, b, c = lengths
    return np.array(
        [
            [a, 0.0, 0.0],
            [b * gamma, b * sine, 0.0],
            [c * beta, c * (alpha - beta * gamma) / sine, c * math.sqrt(height) / sine],
        ]
    )
