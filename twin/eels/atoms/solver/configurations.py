"""Ground-state electron configurations of the free atoms, hydrogen to uranium.

Filled in the order of n + l, but for the atoms in `EXCEPTIONS` (NIST Atomic Spectra Database, ground levels).
"""

from typing import NamedTuple

SYMBOLS = (
    *("H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn"),
    *("Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd"),
    *("In", "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu"),
    *("Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U"),
)  # fmt: skip
"""Chemical symbols; the one of atomic number Z stands at Z - 1."""
ORDER = ("1s", "2s", "2p", "3s", "3p", "4s", "3d", "4p", "5s", "4d", "5p", "6s", "4f", "5d", "6p", "7s", "5f", "6d")
EXCEPTIONS: dict[str, dict[str, int]] = {
    "Cr": {"3d": 5, "4s": 1}, "Cu": {"3d": 10, "4s": 1}, "Nb": {"4d": 4, "5s": 1}, "Mo": {"4d": 5, "5s": 1},
    "Ru": {"4d": 7, "5s": 1}, "Rh": {"4d": 8, "5s": 1}, "Pd": {"4d": 10, "5s": 0}, "Ag": {"4d": 10, "5s": 1},
    "La": {"4f": 0, "5d": 1}, "Ce": {"4f": 1, "5d": 1}, "Gd": {"4f": 7, "5d": 1}, "Pt": {"5d": 9, "6s": 1},
    "Au": {"5d": 10, "6s": 1}, "Ac": {"5f": 0, "6d": 1}, "Th": {"5f": 0, "6d": 2}, "Pa": {"5f": 2, "6d": 1},
    "U": {"5f": 3, "6d": 1},
}  # fmt: skip
"""Occupancies that differ from the order of n + l."""


class Orbital(NamedTuple):
    """Quantum numbers ``n`` and ``l`` of a shell of orbitals, and its number of electrons."""

    n: int
    l: int  # noqa: E741
    electrons: int


def atomic_number(element: str) -> int:
    """Z of a chemical symbol; ValueError for one that is none of H to U."""
    if element not in SYMBOLS:
        raise ValueError(
            f"element {element!r} is not known; give a chemical symbol from H to U as it is written, e.g. 'Ti'"
        )
    return SYMBOLS.index(element) + 1


def configuration(element: str) -> tuple[Orbital, ...]:
    """The occupied shells of the neutral atom in its ground state, in the order of n, then l."""
    left, held = atomic_number(element), {}
    for name in ORDER:
        held[name] = min(left, 2 * (2 * "spdf".index(name[1]) + 1))
        left -= held[name]
    held |= EXCEPTIONS.get(element, {})
    shells = [Orbital(int(name[0]), "spdf".index(name[1]), count) for name, count in held.items() if count]
    return tuple(sorted(shells))


def subshells(n: int, l: int, electrons: int) -> tuple[tuple[str, int, int], ...]:  # noqa: E741
    """X-ray names of the j subshells of a shell, with twice their j and their electrons: ``(("L2", 1, 2), ("L3", 3, 4))`` for 2p.

    Electrons of an open shell are shared in the ratio of the places, 2 j + 1, rounded to whole electrons.
    """
    letter = "KLMNOPQ"[n - 1]
    if l == 0:
        return ((letter if n == 1 else f"{letter}1", 1, electrons),)
    lower = round(electrons * l / (2 * l + 1))
    first = f"{letter}{2 * l}", 2 * l - 1, lower
    second = f"{letter}{2 * l + 1}", 2 * l + 1, electrons - lower
    return (first, second)
