"""The scenario of `emtwin simulate` of a planned option, and the structure with the change beside it."""

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from scenarios.io.atomic_output import new_file, write_whole
from scenarios.io.errors import BadInput
from scenarios.plan.planned import Planned, Weighed
from scenarios.question.options import (
    AnnularOption,
    CameraOption,
    ImageOption,
    PatternOption,
    SegmentedOption,
    SpectrumOption,
)
from scenarios.question.tables import Question
from twin.grid import CUTOFF, TAPER, smooth
from twin.optics.electrons import wavelength
from twin.sample.specimen import Specimen
from twin.simulation.plan.reading import from_dict

COARSEST = 0.1
"""Angstrom between points of the waves' grid at most."""


def check_scenario(path: Path) -> None:
    """BadInput unless a scenario can be made at ``path``, and a structure beside it."""
    if path.suffix != ".toml":
        raise BadInput(f"--scenario {path}", "is no scenario", "Name a file that ends in .toml.")
    new_file(path, "--scenario")
    new_file(structure_path(path), "--scenario")


def structure_path(path: Path) -> Path:
    """Where the structure of the scenario at ``path`` is."""
    return path.with_suffix(".cif")


def write_scenario(planned: Planned, path: Path) -> tuple[Path, Path]:
    """Write the scenario of the advised option (of the least dose where none is feasible) and its structure; their paths. BadInput where no dose
    is enough for any option, and for EELS."""
    option = planned.best or min(planned.options, key=lambda each: each.assessment.dose)
    if not math.isfinite(option.assessment.dose):
        raise BadInput("--scenario", "no option answers the question at any dose", "Mend the question first.")
    if isinstance(option.option, SpectrumOption):
        problem = f"{option.name} is advised, and no scenario of it is written"
        raise BadInput("--scenario", problem, "Leave --scenario out, or the EELS options.")
    structure = structure_path(path)
    values = scenario_of(planned, option, structure.name)
    from_dict(values, str(path))  # refuses what `simulate` would
    write_whole(cif_of(_specimen(planned), planned.question.name).encode(), structure)
    write_whole(toml_of(values).encode(), path)
    return path, structure


def scenario_of(planned: Planned, option: Weighed, structure: str) -> dict[str, Any]:
    """Plain values of the scenario, its specimen read from the file ``structure``."""
    question, plan = planned.question, option.option
    instrument = msgspec.structs.replace(question.instrument, **option.probe)
    given, specimen = question.specimen, _specimen(planned)
    location = ", ".join(f"{value:.2f}" for value in planned.hypotheses.location)
    beam: dict[str, Any] = {"energy_keV": instrument.energy_keV}
    values: dict[str, Any] = {
        "name": f"{question.name}: {option.name}",
        "kind": "simulate",
        "description": f"{option.name} at {option.assessment.dose:.3g} electrons per square angstrom; what is asked for is at ({location}) angstrom.",
        "seed": question.seed,
        "specimen": {
            "structure": structure, "repeats": [1, 1], "cells": 1, "slice": given.slice, "tilt_mrad": list(given.tilt_mrad),
            "phonons": {"configurations": question.compute.phonons},
        },
        "beam": beam,
        "dose": {"per_area": option.assessment.dose},
    }  # fmt: skip
    if isinstance(plan, ImageOption):
        beam |= {"defocus": plan.defocus, "focal_spread": plan.focal_spread}
        beam["aberrations"] = {"C30": 1e7 * plan.cs_mm}
        values |= {"signal": "hrtem", "lens": {"aperture_mrad": plan.aperture_mrad}}
        if plan.readout:
            values["camera"] = {"readout": plan.readout}
        return values
    beam |= {"semiangle_mrad": instrument.semiangle_mrad, "defocus": instrument.defocus, "source": instrument.source}
    values["grid"] = {
        "gpts": _gpts(specimen, _largest(question, option, instrument.semiangle_mrad), instrument.energy_keV)
    }
    ny, nx = planned.window.shape
    shape = [
        round(count * side / own)
        for count, side, own in zip((ny, nx), specimen.extent[::-1], planned.window.sides[::-1], strict=True)
    ]
    if isinstance(plan, PatternOption):
        beam["position"] = [float(value) for value in planned.hypotheses.location]
        area = math.prod(planned.window.sides)
        values |= {"signal": "cbed", "dose": {"electrons": option.assessment.dose * area}}
        values["detectors"] = {"camera": _camera(plan, instrument.semiangle_mrad)}
        return values
    values |= {"signal": "4d-stem" if isinstance(plan, CameraOption) else "stem", "scan": {"shape": shape}}
    values["scan"]["fov"] = [float(side) for side in specimen.extent]
    if isinstance(plan, CameraOption):
        values["detectors"] = {"camera": _camera(plan, instrument.semiangle_mrad)}
        if plan.readout:
            values["camera"] = {"readout": plan.readout}
    elif isinstance(plan, SegmentedOption):
        radii = [plan.inner_mrad, plan.outer_mrad or instrument.semiangle_mrad]
        values["detectors"] = {"dpc": {"kind": "segmented", "radii_mrad": radii, "sectors": plan.sectors}}
    elif isinstance(plan, AnnularOption):
        ring = {"kind": "annular", "inner_mrad": plan.inner_mrad, "outer_mrad": plan.outer_mrad}
        values["detectors"] = {"annular": ring}
    return values


def cif_of(specimen: Specimen, name: str) -> str:
    """The atoms of ``specimen`` that are there, in its orthogonal cell, without symmetry, as a CIF."""
    label = "".join(letter if letter.isalnum() else "_" for letter in name)
    lines = [
        f"data_{label}",
        *(f"_cell_length_{axis} {side:.6f}" for axis, side in zip("abc", specimen.cell, strict=True)),
        *(f"_cell_angle_{angle} 90" for angle in ("alpha", "beta", "gamma")),
        "_space_group_name_H-M_alt 'P 1'", "_space_group_IT_number 1",
        "loop_", "_space_group_symop_operation_xyz", "'x, y, z'",
        "loop_",
        *(f"_atom_site_{tag}" for tag in ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy", "U_iso_or_equiv")),
    ]  # fmt: skip
    fractions = specimen.positions / np.array(specimen.cell)
    for number in np.flatnonzero(specimen.occupancy > 0.0):
        symbol, location = specimen.symbols[number], " ".join(f"{value:.8f}" for value in fractions[number])
        lines.append(f"{symbol}{number} {symbol} {location} {specimen.occupancy[number]:.6g} {specimen.u2[number]:.6f}")
    return "\n".join(lines) + "\n"


def toml_of(values: dict[str, Any], table: str = "") -> str:
    """Nested plain values as TOML: keys first, then tables."""
    plain = {name: value for name, value in values.items() if not isinstance(value, dict)}
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in plain.items()]
    text = "".join(f"{line}\n" for line in lines)
    if table and plain:
        text = f"\n[{table}]\n{text}"
    return text + "".join(
        toml_of(value, f"{table}.{name}" if table else name)
        for name, value in values.items()
        if isinstance(value, dict)
    )


def _specimen(planned: Planned) -> Specimen:
    """With the change nearest to the middle depth; as it is where nothing is changed."""
    changed = planned.hypotheses.changed
    return changed[len(changed) // 2] if changed else planned.hypotheses.perfect


def _camera(plan: CameraOption | PatternOption, semiangle: float) -> dict[str, Any]:
    reach = plan.reach_mrad or 3.0 * semiangle
    count = 2 * math.ceil(reach / plan.pixel_mrad) + 1
    return {"kind": "pixelated", "shape": [count, count], "pixel_mrad": plan.pixel_mrad}


def _largest(question: Question, option: Weighed, semiangle: float) -> float:
    """Largest angle in mrad that the option counts or sends; a camera's corners reach farther than its sides."""
    plan = option.option
    if isinstance(plan, CameraOption | PatternOption):
        side = _camera(plan, semiangle)["shape"][0] * plan.pixel_mrad
        return max(semiangle, side / math.sqrt(2.0))
    outer = getattr(plan, "outer_mrad", None) or question.instrument.semiangle_mrad
    return max(semiangle, outer)


def _gpts(specimen: Specimen, largest: float, energy_keV: float) -> list[int]:
    """Points (ny, nx) that carry ``largest`` mrad without damping."""
    passed = 0.5 * (CUTOFF - TAPER) * wavelength(1e3 * energy_keV)
    return [smooth(math.ceil(side * max(1.05e-3 * largest / passed, 1.0 / COARSEST))) for side in specimen.extent[::-1]]
