"""The job ``emtwin instrument calibrate``: constants of a column estimated from a table of settings and measurements."""

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
    """Constants determined by a table, those that are not, and rows that do not fit. BadInput if the table or the column cannot be used."""
    column = Column(load_column(column_name))
    rows = read_table(path, column)
    try:
        estimate = calibrate(column, rows, progress.stage)
    except ValueError as error:
        problem, _, cure = str(error).rpartition("; ")
        raise BadInput(str(path), problem or cure, f"{cure[0].upper()}{cure[1:]}." if problem else "") from error
    std = estimate.std
    constants = [
        {
            "name": constant.name,
            "unit": constant.unit,
            "value": float(estimate.constants[i]),
            "error": float(std[i]),
            "prior": constant.mean,
            "prior_error": constant.std,
            "determined": constant.name not in estimate.undetermined,
        }
        for i, constant in enumerate(column.constants)
        if constant.std > 0
    ]
    free = [i for i, constant in enumerate(column.constants) if constant.std > 0]
    scale = std[free]
    return {
        "schema": SCHEMA,
        "table": str(path),
        "column": column.table.name,
        "rows": len(rows),
        "constants": constants,
        "correlation": (estimate.covariance[np.ix_(free, free)] / np.outer(scale, scale)).tolist(),
        "undetermined": list(estimate.undetermined),
        "outliers": [{"row": label, "why": why} for label, why in estimate.outliers.items()],
        "residuals": [
            {"row": label, "quantity": row.quantity, "residual": float(away), "sigmas": float(sigmas)}
            for label, row, away, sigmas in zip(estimate.labels, rows, estimate.residuals, estimate.sigmas, strict=True)
        ],
        "lenses_err_by": {
            **dict(zip(("strength", "width", "place"), estimate.hyper.own_excitation.tolist(), strict=True)),
            "all": estimate.hyper.all_excitations,
            "length": estimate.hyper.length,
        },
        "noise": [
            {"quantity": name, "scale": quantity(name).scale, "noise": noise} for name, noise in estimate.noise.items()
        ],
    }


def write_calibration(result: dict[str, Any], out: Path) -> None:
    """The result as a JSON file, whole or not at all."""
    write_whole((json.dumps(result, indent=1) + "\n").encode(), out)
