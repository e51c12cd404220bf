"""The job ``emtwin instrument calibrate``: constants of a column estimated from a table of settings and measurements."""

import json
from pathlib import Path
from typing import Any

from reconstruct.api.calibrate import calibrate
from scenarios.io.atomic_output import write_whole
from scenarios.io.progress import Progress

SCHEMA = "emtwin.calibrate/1"


def calibrate_table(path: Path, column_name: str, progress: Progress) -> dict[str, Any]:
    """Constants determined by a table, those that are not, and rows that do not fit. BadInput if the table or the column cannot be used."""
    return {"schema": SCHEMA, **calibrate(path, column_name, progress=progress.stage).to_dict()}


def write_calibration(result: dict[str, Any], out: Path) -> None:
    """The result as a JSON file, whole or not at all."""
    write_whole((json.dumps(result, indent=1) + "\n").encode(), out)
