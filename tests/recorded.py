"""The folder of real files for tests and benchmarks.

Apart from conftest.py, whose checks of every call would slow a benchmark manyfold.
"""

import os
from pathlib import Path


def data_folder() -> Path | None:
    """The folder of real files: EMTWIN_DATA, else ../shared/data beside the project; None where there is none."""
    named = os.environ.get("EMTWIN_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None
