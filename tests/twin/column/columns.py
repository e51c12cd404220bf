"""A column for tests, and settings for it."""

from pathlib import Path

import twin
from twin.column.column import Column
from twin.column.settings import Settings
from twin.column.table import ColumnTable, read_column

TABLE = Path(twin.__file__).parent / "column" / "tables" / "generic-300.toml"
EXCITATIONS = {
    "lens.condenser1": -0.3663,
    "lens.condenser2": 0.40,
    "lens.minicondenser": 0.98,
    "lens.objective": 0.88,
    "lens.diffraction": 0.49,
    "lens.intermediate": -0.47,
    "lens.projector1": 0.46,
    "lens.projector2": 0.9,
}
REST = {
    "aperture.C2": 50e4,
    "scan.x": 0.0,
    "scan.y": 0.0,
    "stigmator.condenser.a": 0.0,
    "stigmator.condenser.b": 0.0,
}


def generic() -> ColumnTable:
    return read_column(TABLE.read_text())


def settings(high_tension: float = 300e3, **changes: float) -> Settings:
    """Settings of the generic column; ``changes`` by the last part of a control's name."""
    controls = {**EXCITATIONS, **REST}
    for short, value in changes.items():
        (name,) = [name for name in controls if name.rpartition(".")[2] == short]
        controls[name] = value
    return Settings(high_tension, controls)


def column() -> Column:
    return Column(generic())
