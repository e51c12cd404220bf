"""Total ionisation cross-sections of the shipped table against Bote and Salvat's."""

import csv
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.recorded import data_folder
from twin.eels.atoms import Subshell, edges_of, total_cross_section
from twin.eels.atoms.solver.configurations import SYMBOLS

BARS = {"K": (6, 14, 0.05), "L3": (14, 38, 0.05), "M5": (33, 92, 0.10)}
"""Range of Z and largest share by which cross-sections of a subshell may differ."""
BARN = 1e-8
"""Square angstrom in a barn."""


class Reference(NamedTuple):
    """A row of Bote and Salvat's: the edge with their energy, cross-sections in angstrom^2 by electron energy in eV."""

    number: int
    edge: Subshell
    areas: dict[float, float]


def references(names: tuple[str, ...]) -> Iterator[Reference]:
    """The rows of subshells ``names`` that the shipped table has too; none where the file is missing."""
    folder = data_folder()
    if folder is None:
        return
    with (folder / "spectra" / "ionisation-cross-sections.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            number, name = int(row["Z"]), row["subshell"]
            ours = [edge for edge in edges_of(SYMBOLS[number - 1], high=np.inf) if edge.name == name]
            if name in names and ours:
                areas = {
                    1e3 * float(key.removeprefix("sigma_barn_").removesuffix("keV")): BARN * float(value)
                    for key, value in row.items()
                    if key.startswith("sigma_barn_")
                }
                yield Reference(number, ours[0]._replace(energy=float(row["edge_eV"])), areas)


def cases(short: Form, progress: Callable[..., None]) -> list[Case]:
    """For each subshell the largest and the mean deviation, and those of all that have no bar."""
    rows: list[Case] = []
    judged: set[int] = set()
    for name, (low, high, bar) in BARS.items():
        progress(f"cross-sections of {name}")
        listed = [reference for reference in references((name,)) if low <= reference.number <= high]
        if not listed:
            continue
        judged |= {reference.number for reference in listed}
        ratios = np.array([_ratios(reference) for reference in listed])
        worst = np.unravel_index(np.abs(ratios - 1).argmax(), ratios.shape)
        where = f"{listed[worst[0]].edge.element}, {list(listed[0].areas)[worst[1]] / 1e3:g} keV"
        span = f"{name} of {listed[0].edge.element} to {listed[-1].edge.element}, 60 to 300 keV"
        largest = float(np.abs(ratios - 1).max())
        text = f"at most {100 * bar:g} %"
        rows.append(case(f"{span}: largest deviation ({where})", 100 * largest, "%", text, largest <= bar))
        rows.append(case(f"{span}: mean ratio", float(ratios.mean())))
    if not judged:
        progress("no folder of real data: nothing to compare cross-sections with")
        return rows
    rows.append(case("elements compared with Bote and Salvat", len(judged), "", "20 or more", len(judged) >= 20))
    for name in ("L1", "L2", "M1", "M2", "M3", "M4"):
        ratios = np.array([_ratios(reference) for reference in references((name,))])
        if ratios.size:
            words = f"{name}, all that are tabulated: ratio, 5th to 95th percentile"
            rows.append(case(words, np.percentile(ratios, [5, 95]).round(3).tolist()))
    return rows


def _ratios(reference: Reference) -> list[float]:
    return [total_cross_section(reference.edge, energy, bound=False) / area for energy, area in reference.areas.items()]
