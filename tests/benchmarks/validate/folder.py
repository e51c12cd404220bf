"""A folder of 200 files through the command line: images of crystals, patterns and spectra as HyperSpy files, some of them broken."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.benchmarks.validate.recordings.images import image
from tests.benchmarks.validate.recordings.made import AXES, Made
from tests.benchmarks.validate.recordings.others import core
from tests.benchmarks.validate.recordings.patterns import spots

COUNTS: dict[str, tuple[int, int, int]] = {
    "image": (80, 16, 2),
    "pattern": (50, 10, 1),
    "spectrum": (50, 10, 1),
    "broken": (20, 4, 1),
}
"""Files of each sort in the whole, short and smoke form."""
LIMIT = 60.0
_UNITS = {"pixel.x": "angstrom", "pixel.y": "angstrom", "pixel.kx": "1/angstrom", "pixel.ky": "1/angstrom"}


def cases(short: Form) -> list[Case]:
    """Wall time of the whole command, and what became of the files."""
    with tempfile.TemporaryDirectory() as folder:
        total = _make(Path(folder), short)
        begun = time.monotonic()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", "scenarios.cli.main", "validate", folder, "--specimen", "SrTiO3", "--json"]
        run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        seconds = time.monotonic() - begun
    result = json.loads(run.stdout)
    unread = sum(item["status"] == "unreadable" for item in result["files"])
    measured = sum(
        any(verdict["status"] != "unverifiable" for part in item["recordings"] for verdict in part["verdicts"])
        for item in result["files"]
    )
    return [
        case(
            f"{total} files, wall time", seconds, "s", f"< {LIMIT:g}", seconds < LIMIT if short is Form.WHOLE else None
        ),
        case("of them with any verdict but unverifiable", measured, "1", "", None),
        case(
            "broken ones that were refused",
            unread,
            "1",
            f"{COUNTS['broken'][short]}",
            unread == COUNTS["broken"][short],
        ),
    ]


def _make(folder: Path, short: Form) -> int:
    makers = {"image": lambda seed: image(3 * seed), "pattern": lambda seed: spots(3 * seed), "spectrum": core}
    number = 0
    for sort, make in makers.items():
        for seed in range(COUNTS[sort][short]):
            write_recording(make(2000 + seed), folder / f"{number:03d}-{sort}.hspy")
            number += 1
    whole = sorted(folder.glob("*.hspy"))
    generator = np.random.default_rng(0)
    for seed in range(COUNTS["broken"][short]):
        content = bytearray(whole[seed % len(whole)].read_bytes())
        (folder / f"{number:03d}-broken.hspy").write_bytes(content[: int(generator.uniform(0.05, 0.8) * len(content))])
        number += 1
    return number


def write_recording(made: Made, path: Path) -> None:
    from rsciio.hspy import file_writer

    if made.form == "spectrum":
        axes: list[dict[str, Any]] = [
            _axis(
                "Energy loss", made.data.shape[0], made.values["dispersion"], made.values["energy_offset"], "eV", False
            )
        ]
    else:
        axes = [
            _axis(name[-1], size, made.values[name], 0.0, _UNITS[name], False)
            for name, size in zip(AXES[made.form], made.data.shape, strict=True)
        ]
    instrument = {"beam_energy": made.values["high_tension"] / 1e3, "microscope": "made"}
    signal_type = {"signal_type": "EELS" if made.form == "spectrum" else ""}
    metadata = {"General": {"title": path.stem}, "Signal": signal_type, "Acquisition_instrument": {"TEM": instrument}}
    content: dict[str, Any] = {
        "data": made.data, "axes": axes, "metadata": metadata, "original_metadata": {}, "attributes": {"_lazy": False, "ragged": False},
        "learning_results": {}, "tmp_parameters": {}, "models": {}, "package_info": {"package": "hyperspy", "package_version": "2.0"},
    }  # fmt: skip
    file_writer(str(path), content)


def _axis(name: str, size: int, scale: float, offset: float, unit: str, navigate: bool) -> dict[str, Any]:
    return {
        "name": name,
        "size": size,
        "scale": scale,
        "offset": offset,
        "units": unit,
        "navigate": navigate,
        "_type": "UniformDataAxis",
        "is_binned": False,
    }
