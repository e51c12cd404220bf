"""``emtwin instrument calibrate``: a column's constants from a table of settings and measurements, as plain values."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from reconstruct.calibration.fit import calibrate
from reconstruct.calibration.quantities import quantity
from scenarios.calibrate.table import read_table
from scenarios.io.atomic_output import write_whole
from scenarios.io.columns import load_column
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from twin.column.column import Column

SCHEMA = "emtwin.calibrate/1"


def calibrate_table(path: Path, column_name: str, progress: Progress) -> dict[str, Any]:
    """The constants that a table determines, what it cannot, and which rows do not fit. BadInput where the table or the column cannot be used."""
    column = Column(load_column(column_name))
    rows = read_table(path, column)
    try:
        found = calibrate(column, rows, progress.stage)
    except ValueError as error:
        problem, _, cure = str(error).rpartition("; ")
        raise BadInput(str(path), problem or cure, f"{cure[0].upper()}{cure[1:]}." if problem else "") from error
    std = found.std
    constants = [
        {
            "name": one.name,
            "unit": one.unit,
            "value": float(found.constants[i]),
            "error": float(std[i]),
            "prior": one.mean,
            "prior_error": one.std,
            "determined": one.name not in found.undetermined,
        }
        for i, one in enumerate(column.constants)
        if one.std > 0
    ]
    free = [i for i, one in enumerate(column.constants) if one.std > 0]
    scale = std[free]
    return {
        "schema": SCHEMA,
        "table": str(path),
        "column": column.table.name,
        "rows": len(rows),
        "constants": constants,
        "correlation": (found.covariance[np.ix_(free, free)] / np.outer(scale, scale)).tolist(),
        "undetermined": list(found.undetermined),
        "outliers": [{"row": label, "why": why} for label, why in found.outliers.items()],
        "residuals": [
            {"row": label, "quantity": row.quantity, "residual": float(away), "sigmas": float(sigmas)}
            for label, row, away, sigmas in zip(found.labels, rows, found.residuals, found.sigmas, strict=True)
        ],
        "lenses_err_by": {
            **dict(zip(("strength", "width", "place"), found.hyper.own_excitation.tolist(), strict=True)),
            "all": found.hyper.all_excitations,
            "length": found.hyper.length,
        },
        "noise": [
            {"quantity": name, "scale": quantity(name).scale, "noise": noise} for name, noise in found.noise.items()
        ],
    }


def write_calibration(told: dict[str, Any], out: Path) -> None:
    """The result as a JSON file, whole or not at all."""
    write_whole((json.dumps(told, indent=1) + "\n").encode(), out)
