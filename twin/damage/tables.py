"""Tables that ship: displacement thresholds by element and material, and critical doses of radiolysis, each value
with its source.
"""

import csv
from functools import lru_cache
from importlib.resources import files
from typing import Literal, NamedTuple

from twin.eels.atoms.solver.configurations import atomic_number

DATA = files("twin.damage")
DEFAULT_THRESHOLD = 25.0
"""Displacement threshold in the bulk that is assumed where none is known, eV: the usual assumption, of SRIM too."""
DEFAULT_SURFACE = 5.0
"""Threshold at a surface that is assumed where none is known, eV: 5/3 of 3 eV; the median sublimation energy is 3.5 eV."""
PLANAR = 5.0 / 3.0
"""Threshold for sputtering over the sublimation energy (R. F. Egerton et al., Ultramicroscopy 110, 991 (2010))."""
Where = Literal["bulk", "surface"]
Kind = Literal["average", "minimum"]


class Threshold(NamedTuple):
    """The energy in eV that an atom of ``element`` must receive to leave its site in ``material``, or to leave its
    surface.

    ``where``: "bulk" or "surface"; ``kind``: "average" over directions, "minimum" (the easiest direction, or the
    onset under electrons), "sublimation" energy of the solid element, "ejection" from a sheet, or "assumed".
    ``error`` in eV or None; ``source`` in words. ``of``: the material that the value is of.
    """

    element: str
    material: str
    where: Where
    kind: str
    energy: float
    error: float | None
    method: str
    source: str
    of: str = ""
    formula: str = ""

    @property
    def assumed(self) -> bool:
        """Whether nothing is known of this element, in this material or as a solid."""
        return self.kind == "assumed"


class Critical(NamedTuple):
    """One measured critical dose: electrons per angstrom^2 at ``energy`` eV (None: not stated) until the
    ``criterion`` is met.

    ``bound``: ">" where no damage was seen up to this dose; ``temperature`` in kelvin or None.
    """

    material: str
    material_class: str
    energy: float | None
    dose: float
    bound: str
    criterion: str
    temperature: float | None
    source: str


def _rows(name: str) -> list[dict[str, str]]:
    lines = [line for line in (DATA / name).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


@lru_cache(maxsize=1)
def sources() -> dict[str, str]:
    """Sources in words by their keys in the tables."""
    return {row["key"]: row["source"] for row in _rows("sources.csv")}


@lru_cache(maxsize=1)
def thresholds() -> tuple[Threshold, ...]:
    """Every tabulated threshold; a row of the file with a value for the bulk and one for the surface is two of them."""
    known: list[Threshold] = []
    for row in _rows("thresholds.csv"):
        element, material, formula = row["element"], row["material"], row["formula"]
        atomic_number(element)
        if row["bulk_eV"]:
            error = float(row["bulk_error_eV"]) if row["bulk_error_eV"] else None
            source = sources()[row["bulk_source"]]
            value = (row["bulk_kind"], float(row["bulk_eV"]), error, row["method"], source)
            known.append(Threshold(element, material, "bulk", *value, of=material, formula=formula))
        if row["surface_eV"]:
            value = (row["surface_kind"], float(row["surface_eV"]), None, "", sources()[row["surface_source"]])
            known.append(Threshold(element, material, "surface", *value, of=material, formula=formula))
    return tuple(known)


def threshold(element: str, material: str | None = None, where: Where = "bulk", kind: Kind = "average") -> Threshold:
    """The threshold of ``element`` in ``material`` (its name or formula in the table, e.g. "SrTiO3", "graphene";
    None: the solid element).

    First what is known of the material, of ``kind`` where there is such a value, the lowest where there are several;
    then of the solid element, which ``of`` says; else ``DEFAULT_THRESHOLD`` or ``DEFAULT_SURFACE``, of kind
    "assumed". A sublimation energy counts 5/3 (``PLANAR``). ValueError for what is no element, and for another
    ``where`` or ``kind``.

    >>> threshold("O", "SrTiO3").energy, threshold("Au").energy, threshold("Xe").assumed
    (35.7, 43.0, True)
    """
    atomic_number(element)
    if where not in ("bulk", "surface") or kind not in ("average", "minimum"):
        raise ValueError(
            f"there is no threshold of the {kind} kind in the {where}; use average or minimum, bulk or surface"
        )
    asked = material or element
    here = [entry for entry in thresholds() if entry.element == element and entry.where == where]
    for matches in (
        [entry for entry in here if entry.material == asked],
        [entry for entry in here if entry.formula == asked],
        [entry for entry in here if entry.formula == element and entry.kind != "ejection"],
    ):
        if matches:
            counted = [
                entry._replace(energy=entry.energy * (PLANAR if entry.kind == "sublimation" else 1.0), material=asked)
                for entry in matches
            ]
            return min(counted, key=lambda entry: (where == "bulk" and entry.kind != kind, entry.energy))
    assumed = DEFAULT_THRESHOLD if where == "bulk" else DEFAULT_SURFACE
    return Threshold(element, asked, where, "assumed", assumed, None, "", "assumed: no value is in the table")


@lru_cache(maxsize=1)
def critical_doses() -> tuple[Critical, ...]:
    """Every tabulated critical dose."""
    return tuple(
        Critical(
            row["material"],
            row["material_class"],
            float(row["energy_keV"]) * 1e3 if row["energy_keV"] else None,
            float(row["dose"]),
            row["bound"],
            row["criterion"],
            float(row["temperature_K"]) if row["temperature_K"] else None,
            sources()[row["source"]],
        )
        for row in _rows("critical_doses.csv")
    )
