"""Published crystal structures as CIF texts: every Bravais lattice, both origins, both axes of rhombohedral cells, in the ways that files state symmetry."""

from collections.abc import Mapping
from typing import NamedTuple

from twin.sample.structures import Structure


class Crystal(NamedTuple):
    """A structure and its known properties: atoms in the cell by element, density in g/cm^3 and shortest distance in angstrom."""

    lattice: str
    cell: tuple[float, ...]
    symmetry: Mapping[str, str]
    sites: str
    atoms: Mapping[str, float]
    density: float
    shortest: float


def named(name: str) -> dict[str, str]:
    """Symmetry by a Hermann-Mauguin name alone."""
    return {"_space_group_name_H-M_alt": f"'{name}'"}


CUPRITE = named("P n -3 m") | {"_chemical_formula_sum": "'Cu2 O'"}
"""Without the formula both origins make something that could be: Cu2O or CuO2."""


def numbered(number: int) -> dict[str, str]:
    """Symmetry by a number alone."""
    return {"_space_group_IT_number": str(number)}


def cif(cell: tuple[float, ...], symmetry: Mapping[str, str], sites: str, columns: str = "", extra: str = "") -> str:
    """A CIF's text. ``cell`` a, b, c and angles; each line of ``sites`` a label, a symbol, x, y, z and ``columns``; ``extra`` text before them."""
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = ["data_crystal", *(f"_cell_{name} {value:g}" for name, value in zip(names, cell, strict=True))]
    lines += [f"{tag} {value}" for tag, value in symmetry.items()] + [extra]
    head = ["loop_", "_atom_site_label", "_atom_site_type_symbol", *(f"_atom_site_fract_{axis}" for axis in "xyz")]
    rows = [line.strip() for line in sites.strip().splitlines()]
    return "\n".join([*lines, *head, *columns.split(), *rows]) + "\n"


def cube(a: float) -> tuple[float, ...]:
    return (a, a, a, 90, 90, 90)


def tetragon(a: float, c: float) -> tuple[float, ...]:
    return (a, a, c, 90, 90, 90)


def hexagon(a: float, c: float) -> tuple[float, ...]:
    return (a, a, c, 90, 90, 120)


def rhomb(a: float, alpha: float) -> tuple[float, ...]:
    return (a, a, a, alpha, alpha, alpha)


ALBITE = """Na Na 0.2682 0.9888 0.1460
Al1 Al 0.00887 0.16835 0.20815
Si1 Si 0.00370 0.82030 0.23718
Si2 Si 0.69183 0.11014 0.31512
Si3 Si 0.68158 0.88165 0.36057
O1 O 0.0051 0.1311 0.9669
O2 O 0.5926 0.9970 0.2804
O3 O 0.8125 0.1098 0.1906
O4 O 0.8202 0.8513 0.2588
O5 O 0.0132 0.3022 0.2696
O6 O 0.0230 0.6935 0.2296
O7 O 0.2076 0.1089 0.3892
O8 O 0.1836 0.8683 0.4366"""
FORSTERITE = """Mg1 Mg 0 0 0
Mg2 Mg 0.9915 0.2774 0.25
Si1 Si 0.4262 0.0940 0.25
O1 O 0.7657 0.0913 0.25
O2 O 0.2215 0.4474 0.25
O3 O 0.2777 0.1628 0.0331"""

CRYSTALS: dict[str, Crystal] = {
    "albite (triclinic, C-centred setting)": Crystal(
        "aP", (8.142, 12.785, 7.159, 94.19, 116.61, 87.68), named("C -1"), ALBITE, {"Na": 4, "Al": 4, "Si": 12, "O": 32}, 2.62, 1.59,
    ),
    "baddeleyite": Crystal(
        "mP", (5.1505, 5.2116, 5.3173, 90, 99.23, 90), named("P 21/c"),
        "Zr1 Zr4+ 0.2754 0.0395 0.2083\nO1 O2- 0.0700 0.3317 0.3447\nO2 O2- 0.4496 0.7569 0.4792", {"Zr": 4, "O": 8}, 5.82, 2.05,
    ),
    "baddeleyite, unique axis c": Crystal(
        "mP", (5.3173, 5.1505, 5.2116, 90, 90, 99.23), named("P 1 1 21/a"),
        "Zr1 Zr 0.2083 0.2754 0.0395\nO1 O 0.3447 0.0700 0.3317\nO2 O 0.4792 0.4496 0.7569", {"Zr": 4, "O": 8}, 5.82, 2.05,
    ),
    "tenorite": Crystal(
        "mC", (4.6837, 3.4226, 5.1288, 90, 99.54, 90), named("C 2/c"), "Cu1 Cu 0.25 0.25 0\nO1 O 0 0.4184 0.25", {"Cu": 4, "O": 4}, 6.51, 1.95,
    ),
    "forsterite (Pbnm)": Crystal(
        "oP", (4.754, 10.1971, 5.9806, 90, 90, 90), named("P b n m"), FORSTERITE, {"Mg": 8, "Si": 4, "O": 16}, 3.22, 1.615,
    ),
    "uranium, alpha": Crystal("oC", (2.854, 5.869, 4.955, 90, 90, 90), numbered(63), "U1 U 0 0.1025 0.25", {"U": 4}, 19.05, 2.75),
    "MoPt2": Crystal("oI", (2.765, 8.296, 3.938, 90, 90, 90), named("I m m m"), "Mo1 Mo 0 0 0\nPt1 Pt 0 0.3333 0", {"Mo": 2, "Pt": 4}, 17.87, 2.765),
    "TiSi2 (C54), origin 1": Crystal(
        "oF", (8.2671, 4.8, 8.5505, 90, 90, 90), named("F d d d:1"), "Ti1 Ti 0 0 0\nSi1 Si 0.3365 0 0", {"Ti": 8, "Si": 16}, 4.07, 2.53,
    ),
    "TiSi2 (C54), origin 2 unnamed": Crystal(
        "oF", (8.2671, 4.8, 8.5505, 90, 90, 90), named("F d d d"), "Ti1 Ti 0.125 0.125 0.125\nSi1 Si 0.4615 0.125 0.125", {"Ti": 8, "Si": 16}, 4.07, 2.53,
    ),
    "rutile": Crystal("tP", tetragon(4.5937, 2.9587), named("P 42/m n m"), "Ti1 Ti4+ 0 0 0\nO1 O2- 0.3053 0.3053 0", {"Ti": 2, "O": 4}, 4.25, 1.95),
    "anatase, origin 1 unnamed": Crystal(
        "tI", tetragon(3.7842, 9.5146), named("I 41/a m d"), "Ti1 Ti 0 0 0\nO1 O 0 0 0.2081", {"Ti": 4, "O": 8}, 3.89, 1.934,
    ),
    "anatase, origin 2 unnamed": Crystal(
        "tI", tetragon(3.7842, 9.5146), named("I 41/a m d"), "Ti1 Ti 0 0.75 0.125\nO1 O 0 0.75 0.3331", {"Ti": 4, "O": 8}, 3.89, 1.934,
    ),
    "anatase, Z": Crystal("tI", tetragon(3.7842, 9.5146), named("I 41/a m d Z"), "Ti1 Ti 0 0.75 0.125\nO1 O 0 0.75 0.3331", {"Ti": 4, "O": 8}, 3.89, 1.934),
    "anatase, S": Crystal("tI", tetragon(3.7842, 9.5146), named("I 41/a m d S"), "Ti1 Ti 0 0 0\nO1 O 0 0 0.2081", {"Ti": 4, "O": 8}, 3.89, 1.934),
    "zircon, by number": Crystal(
        "tI", tetragon(6.604, 5.979), numbered(141), "Zr1 Zr 0 0.75 0.125\nSi1 Si 0 0.25 0.375\nO1 O 0 0.0661 0.1953", {"Zr": 4, "Si": 4, "O": 16}, 4.67, 1.62,
    ),
    "tin, white": Crystal("tI", tetragon(5.8318, 3.1819), named("I 41/a m d:1"), "Sn1 Sn 0 0 0", {"Sn": 4}, 7.28, 3.02),
    "quartz": Crystal(
        "hP", hexagon(4.9137, 5.4047), named("P 32 2 1"), "Si1 Si 0.4697 0 0.66667\nO1 O 0.4135 0.2669 0.7858", {"Si": 3, "O": 6}, 2.65, 1.605,
    ),
    "wurtzite ZnO": Crystal("hP", hexagon(3.2498, 5.2066), named("P 63 m c"), "Zn1 Zn 0.333 0.667 0\nO1 O 0.333 0.667 0.3821", {"Zn": 2, "O": 2}, 5.675, 1.975),
    "graphite": Crystal("hP", hexagon(2.464, 6.711), named("P6(3)/mmc"), "C1 C 0 0 0.25\nC2 C 0.33 0.67 0.25", {"C": 4}, 2.26, 1.42),
    "magnesium": Crystal("hP", hexagon(3.2094, 5.2105), named("P63/mmc"), "Mg1 Mg 0.3333 0.6667 0.25", {"Mg": 2}, 1.74, 3.197),
    "calcite, hexagonal unnamed": Crystal(
        "hR", hexagon(4.9896, 17.061), named("R -3 c"), "Ca1 Ca 0 0 0\nC1 C 0 0 0.25\nO1 O 0.2568 0 0.25", {"Ca": 6, "C": 6, "O": 18}, 2.71, 1.281,
    ),
    "calcite, rhombohedral unnamed": Crystal(
        "hR", rhomb(6.375, 46.075), named("R -3 c"), "Ca1 Ca 0 0 0\nC1 C 0.25 0.25 0.25\nO1 O 0.5068 0.9932 0.25", {"Ca": 2, "C": 2, "O": 6}, 2.71, 1.281,
    ),
    "corundum, H": Crystal("hR", hexagon(4.7589, 12.9919), named("R -3 c H"), "Al1 Al 0 0 0.35216\nO1 O 0.30624 0 0.25", {"Al": 12, "O": 18}, 3.99, 1.855),
    "bismuth, rhombohedral by number": Crystal("hR", rhomb(4.7458, 57.23), numbered(166), "Bi1 Bi 0.23389 0.23389 0.23389", {"Bi": 2}, 9.8, 3.07),
    "caesium chloride": Crystal("cP", cube(4.123), named("Pm3m"), "Cs1 Cs+ 0 0 0\nCl1 Cl- 0.5 0.5 0.5", {"Cs": 1, "Cl": 1}, 3.99, 3.571),
    "pyrite": Crystal("cP", cube(5.4179), named("P a -3"), "Fe1 Fe 0 0 0\nS1 S 0.3851 0.3851 0.3851", {"Fe": 4, "S": 8}, 5.01, 2.157),
    "cuprite, origin 1 unnamed": Crystal("cP", cube(4.2696), CUPRITE, "Cu1 Cu 0.25 0.25 0.25\nO1 O 0 0 0", {"Cu": 4, "O": 2}, 6.1, 1.849),
    "cuprite, origin 2 unnamed": Crystal("cP", cube(4.2696), CUPRITE, "Cu1 Cu 0 0 0\nO1 O 0.25 0.25 0.25", {"Cu": 4, "O": 2}, 6.1, 1.849),
    "tungsten": Crystal("cI", cube(3.1652), named("I m -3 m"), "W1 W 0 0 0", {"W": 2}, 19.26, 2.741),
    "sodium chloride": Crystal("cF", cube(5.6402), named("F m -3 m"), "Na1 Na1+ 0 0 0\nCl1 Cl1- 0.5 0.5 0.5", {"Na": 4, "Cl": 4}, 2.165, 2.82),
    "diamond, origin 1 unnamed": Crystal("cF", cube(3.567), named("F d 3 m"), "C1 C 0 0 0", {"C": 8}, 3.515, 1.545),
    "diamond, origin 2 unnamed": Crystal("cF", cube(3.567), named("Fd-3m"), "C1 C 0.125 0.125 0.125", {"C": 8}, 3.515, 1.545),
    "silicon, Hall symbol": Crystal("cF", cube(5.4309), {"_space_group_name_Hall": "'-F 4vw 2vw 3'"}, "Si1 Si 0.125 0.125 0.125", {"Si": 8}, 2.329, 2.352),
    "spinel, origin 2 unnamed": Crystal(
        "cF", cube(8.0832), named("F d -3 m"), "Mg1 Mg 0.125 0.125 0.125\nAl1 Al 0.5 0.5 0.5\nO1 O 0.2624 0.2624 0.2624",
        {"Mg": 8, "Al": 16, "O": 32}, 3.58, 1.92,
    ),
    "spinel, origin 1 unnamed": Crystal(
        "cF", cube(8.0832), named("F d -3 m"), "Mg1 Mg 0 0 0\nAl1 Al 0.625 0.625 0.625\nO1 O 0.3874 0.3874 0.3874",
        {"Mg": 8, "Al": 16, "O": 32}, 3.58, 1.92,
    ),
    "fluorite": Crystal("cF", cube(5.4626), numbered(225), "Ca1 Ca2+ 0 0 0\nF1 F- 0.25 0.25 0.25", {"Ca": 4, "F": 8}, 3.18, 2.365),
}  # fmt: skip


def notes_text(structure: Structure) -> str:
    """Notes and contradictions of a structure in one line."""
    return " | ".join([*structure.notes, *structure.contradictions])
