"""Builds the twin of a scenario: crystal, column and priors. The Gram model is cached by what it depends on."""

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

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
    unit = _unit_cell(scenario)
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


def _unit_cell(scenario: Scenario):
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
):
    """The Gram model, from the cache if present."""
    across = unit.cell.lengths()
    repeats = (max(1, round(WIDTH / across[0])), max(1, round(WIDTH / across[1])))
    house, code = Path(crystal.__file__).parents[2], hashlib.sha256()
    for name in ("grid.py", "optics", "sample", "scattering"):
        for module in sorted((house / name).rglob("*.py")) if (house / name).is_dir() else [house / name]:
            code.update(module.read_bytes())
    key = json.dumps(
        [
            unit.get_chemical_symbols(),
            unit.positions.tolist(),
            unit.cell.tolist(),
            {name: unit.arrays[name].tolist() for name in ("occupancy", "u2") if name in unit.arrays},
            repeats,
            DEPTHS,
            calibration.energy,
            symmetry,
            code.hexdigest(),
        ]
    )
    path = None if cache is None else cache / f"twin-{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"
    if path is not None and path.is_file():
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return GramModel.from_arrays(dict(arrays))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            progress(f"the cached model cannot be read ({error}); computing it again", 0.0)
    model = crystal.build_gram(
        unit, repeats, DEPTHS[-1], DEPTHS, energy=calibration.energy, symmetry=symmetry, progress=progress
    )
    if path is not None:
        try:
            _keep(model, path)
        except OSError as error:
            progress(f"the model cannot be kept for the next run ({error.strerror})", 1.0)
    return model


def _keep(model: GramModel, path: Path) -> None:
    """Write the model whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **model.to_arrays())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
