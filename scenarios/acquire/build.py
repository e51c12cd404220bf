"""Builds the twin of a scenario: crystal, column and priors. The Gram model is stored in the cache folder."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from instrument.core.result_cache import load_or_compute
from scenarios.acquire.scenario import Scenario
from scenarios.io.errors import BadInput
from twin.dynamics import ColumnDynamics, standard_dynamics
from twin.image.microscope import Calibration, Microscope
from twin.sample.specimen import srtio3_unit
from twin.scattering.gram import crystal
from twin.scattering.gram.model import GramModel
from twin.sensors import Sensor, standard_sensors
from twin.state import standard_layout

DEPTHS = tuple(range(12, 33, 2))
WIDTH = 11.715
"""Approximate minimum width of the supercell in angstrom: three cells of SrTiO3, which contain the probe at 10 nm of defocus."""


class TwinModel(msgspec.Struct):
    """The forward model of a session."""

    microscope: Microscope
    dynamics: ColumnDynamics
    sensors: dict[str, Sensor]


def build_twin(scenario: Scenario, progress: Callable[[str, float], None], cache: Path | None = None) -> TwinModel:
    """The twin of a scenario; BadInput for a structure, CIF or prior that cannot be used."""
    unit = unit_cell(scenario)
    calibration = Calibration()
    cell = float(unit.cell.lengths()[0])
    symmetry = "4mm" if scenario.twin.cif is None else None
    try:
        layout = standard_layout(cell).replaced(scenario.twin.priors)
    except ValueError as error:
        raise BadInput("twin.priors", str(error), "Use the names and units of the state.") from None
    try:
        gram = _gram(unit, calibration, symmetry, cache, progress)
    except ValueError as error:
        raise BadInput(
            str(scenario.cif_path() or scenario.twin.structure), str(error), "Give a structure that fits."
        ) from None
    return TwinModel(
        Microscope(gram, calibration, layout, cell),
        standard_dynamics(layout),
        standard_sensors(calibration.energy, calibration.black),
    )


def unit_cell(scenario: Scenario):
    path = scenario.cif_path()
    if path is None:
        if scenario.twin.structure != "SrTiO3":
            raise BadInput(
                "twin.structure",
                f"no structure called {scenario.twin.structure!r} is built in",
                "Use 'SrTiO3', or name a CIF.",
            )
        return srtio3_unit()
    from twin.sample.specimen import read_structure

    try:
        return read_structure(path)
    except ValueError as error:
        raise BadInput(str(path), str(error), "Give a CIF with an orthogonal cell, the beam along c.") from None


def _gram(
    unit, calibration: Calibration, symmetry: str | None, cache: Path | None, progress: Callable[[str, float], None]
) -> GramModel:
    """The Gram model, from the cache folder if it is there."""
    across = unit.cell.lengths()
    repeats = (max(1, round(WIDTH / across[0])), max(1, round(WIDTH / across[1])))
    settings = {
        "repeats_xy": repeats,
        "cells_z": DEPTHS[-1],
        "depths": DEPTHS,
        "energy": calibration.energy,
        "symmetry": symmetry,
    }

    def compute() -> dict[str, Any]:
        return crystal.build_gram(unit, **settings, progress=progress).to_arrays()

    inputs = {"unit": _contents(unit), "settings": _all_settings(settings)}
    return GramModel.from_arrays(load_or_compute(cache, "twin", crystal.VERSION, inputs, compute, progress))


def _contents(unit) -> dict[str, Any]:
    """What the Gram model depends on of a unit cell."""
    optional = {name: unit.arrays[name] for name in ("occupancy", "u2") if name in unit.arrays}
    return {
        "symbols": unit.get_chemical_symbols(),
        "positions": unit.positions,
        "cell": unit.cell.array,
        **optional,
    }


def _all_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """``settings`` of `crystal.build_gram` and the defaults of the others: a default that changes is another input."""
    parameters = inspect.signature(crystal.build_gram).parameters
    defaults = {name: p.default for name, p in parameters.items() if p.default is not p.empty and name != "progress"}
    return defaults | settings
