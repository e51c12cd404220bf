"""What a specimen is made of, from its name, formula or structure file."""

import re
from pathlib import Path
from typing import NamedTuple

from scenarios.io.errors import BadInput, from_twin
from twin.sample.cif.checks import formula_of


class Specimen(NamedTuple):
    """The name of its ``structure``, its ``formula`` and its ``elements`` in alphabetical order; empty where unknown."""

    structure: str = ""
    formula: str = ""
    elements: tuple[str, ...] = ()


def elements_of(formula: str) -> tuple[str, ...]:
    """The elements of a formula such as ``SrTiO3`` or ``Sr Ti O3``; none where it is no formula."""
    return tuple(sorted(formula_of(re.sub(r"[()\[\]·][\d.]*", " ", formula))))  # groups do not change which there are


def specimen_of(text: str, folder: str | Path = "", key: str = "specimen") -> Specimen:
    """A name that is built in, a formula, or the path of a structure file (relative to ``folder``); BadInput that
    names ``key`` for none of these.
    """
    from twin.sample.standards import STANDARDS, standard_unit
    from twin.sample.structures import load_structure, structure_of

    if text in STANDARDS:
        structure = structure_of(standard_unit(text), text)
    elif (path := Path(folder) / text).is_file():
        try:
            structure = load_structure(path)
        except ValueError as error:
            raise from_twin(str(path), error, "Give a structure file that can be read.") from None
    elif elements := elements_of(text):
        return Specimen("", text, elements)
    else:
        cure = f"Use {', '.join(STANDARDS)}, a formula, or the path of a structure file."
        raise BadInput(key, f"{text!r} is neither built in, nor a formula, nor a file", cure)
    name = text if text in STANDARDS else Path(text).stem
    return Specimen(name, structure.formula, tuple(sorted(structure.content)))


def specimen_if_known(text: str, folder: str | Path = "") -> Specimen:
    """The same, with the name alone where nothing is known of it: an old session's structure file may be gone."""
    try:
        return specimen_of(text, folder)
    except BadInput:
        return Specimen(Path(text).stem)
