"""Elements as CIFs write them (symbols with charges, labels), their weights and covalent radii."""

import functools
import re

import gemmi

SPECIAL_SYMBOLS = {"d": "H", "t": "H", "oh": "O", "o-h": "O", "wat": "O", "h2o": "O", "cval": "C", "siva": "Si"}
"""Type symbols other than elements: isotopes of hydrogen, a hydroxide or water without its hydrogen, neutral atoms of the tables of form factors."""
DUMMY_SYMBOLS = {"x", "du", "dum", "vac", "va", "vc", "q"}
"""Symbols of dummy atoms and vacancies."""


@functools.cache
def known(symbol: str) -> str | None:
    """``symbol`` in the customary case if it is an element ("FE" -> "Fe"), None otherwise."""
    capitalised = symbol[:1].upper() + symbol[1:].lower()
    element = gemmi.Element(capitalised)
    return (
        capitalised
        if capitalised not in ("X", "D") and element.atomic_number > 0 and element.name == capitalised
        else None
    )


def weight(symbol: str) -> float:
    """Atomic weight in g/mol."""
    return float(gemmi.Element(symbol).weight)


def covalent_radius(symbol: str) -> float:
    """Covalent radius in angstrom."""
    return float(gemmi.Element(symbol).covalent_r)


def of_type(text: str) -> tuple[str, str] | None:
    """(element, charge) of a type symbol such as ``Ti4+``, ``O2-``, ``FE`` or ``Wat``; None if it is of no element."""
    plain = text.strip()
    if plain.lower() in SPECIAL_SYMBOLS:
        return SPECIAL_SYMBOLS[plain.lower()], ""
    match = re.match(r"([A-Za-z]+)", plain)
    if match is None:
        return None
    suffix = plain[match.end() :]
    for letters in (match[1], match[1][:2], match[1][:1]):
        symbol = SPECIAL_SYMBOLS.get(letters.lower()) if len(letters) == len(match[1]) else None
        symbol = symbol or known(letters)
        if symbol is not None and (len(letters) == len(match[1]) or len(match[1]) > 2):
            charge = re.search(r"\d*\.?\d*[+-]\d*", suffix)
            return symbol, charge[0] if charge else ""
    return None


def of_label(label: str, stated: set[str]) -> str:
    """The element that a label such as ``Fe1`` or ``OW2`` begins with; ``stated`` are the elements of the file's formula, which decide where two are
    possible. ValueError if none is, or both are."""
    match = re.match(r"([A-Za-z]+)", label.strip())
    letters = match[1] if match else ""
    if letters.lower() in SPECIAL_SYMBOLS:
        return SPECIAL_SYMBOLS[letters.lower()]
    two_letters, one_letter = known(letters[:2]) if len(letters) > 1 else None, known(letters[:1]) if letters else None
    possible = [symbol for symbol in (two_letters, one_letter) if symbol]
    if stated:
        possible = [symbol for symbol in possible if symbol in stated] or possible
    if len(possible) > 1 and letters[1].islower():
        possible = possible[:1]
    if len(possible) == 1:
        return possible[0]
    if not possible:
        raise ValueError(
            f"the atom {label!r} has no type symbol, and its label begins with no element; give _atom_site_type_symbol"
        )
    raise ValueError(
        f"the atom {label!r} has no type symbol, and may be {' or '.join(possible)}; give _atom_site_type_symbol"
    )


def formula_text(content: dict[str, float]) -> str:
    """A formula with carbon and hydrogen first, then by the alphabet: ``{"Ti": 1, "O": 2}`` -> ``O2 Ti``; shares to three decimals."""
    first = [symbol for symbol in ("C", "H") if symbol in content] if "C" in content else []
    order = first + sorted(set(content) - set(first))
    return " ".join(
        symbol + ("" if abs(content[symbol] - 1.0) < 5e-4 else f"{round(content[symbol], 3):g}") for symbol in order
    )
