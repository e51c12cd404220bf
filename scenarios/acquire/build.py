"""Builds the twin of a scenario: crystal, column and priors. The Gram model is stored in the cache folder."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from instrument.core.result_cache import load_or_compute
from reconstruct.api.models import load_model, load_table
from scenarios.acquire.scenario import Scenario
from scenarios.io.errors import BadInput
from twin.image.microscope import Calibration, Microscope, affine_optics
from twin.sample.specimen import srtio3_unit
from twin.scattering.gram import crystal
from twin.scattering.gram.model import GramModel
from twin.sensors import Model

DEPTHS = tuple(range(12, 33, 2))
WIDTH = 11.715
"""Approximate minimum width of the supercell in angstrom: three cells of SrTiO3, which contain the probe at 10 nm of defocus."""


class TwinModel(msgspec.Struct):
    """The forward model of a session: images, and the ``column`` that they are taken with."""

    microscope: Microscope
    column: Model


def build_twin(scenario: Scenario, progress: Callable[[str, float], None], cache: Path | None = None) -> TwinModel:
    """The twin of a scenario; BadInput for a structure, CIF or prior that cannot be used."""
    unit = unit_cell(scenario)
    calibration = Calibration()
    cell = float(unit.cell.lengths()[0])
    symmetry = "4mm" if scenario.twin.cif is None else None
    column = column_of(scenario, cell, calibration)
    try:
        gram = _gram(unit, calibration, symmetry, cache, progress)
    except ValueError as error:
        raise BadInput(
            str(scenario.cif_path() or scenario.twin.structure), str(error), "Give a structure that fits."
        ) from None
    return TwinModel(Microscope(gram, calibration, column.layout, cell), column)


def column_of(scenario: Scenario, cell: float, calibration: Calibration) -> Model:
    """The column's model from its table, its constants those of crystal and detector; BadInput for a table that does not fit images, and for priors."""
    name = scenario.column_path() or scenario.twin.column
    constants = load_table(name).constants()
    known = {
        "cell": cell, "energy": calibration.energy, "energy.ppm": 1e-6 * calibration.energy, "black.nominal": calibration.black,
    }  # fmt: skip
    column = load_model(name, {key: value for key, value in known.items() if key in constants})
    try:
        affine_optics(column.layout, calibration, {})
    except ValueError as error:
        cure = "Begin with a copy of the table probe.toml that comes with emtwin."
        raise BadInput("twin.column", f"{name} does not fit images: {error}", cure) from None
    try:
        return column.with_priors(scenario.twin.priors)
    except ValueError as error:
        raise BadInput("twin.priors", str(error), "Use the names and units of the state.") from None


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
