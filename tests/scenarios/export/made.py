"""Small sessions and reports of validations to export."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from instrument.core.journal import Journal
from instrument.readers import read_vendor
from reconstruct.api.models import load_model
from twin.records import Exposure, Frame, Scan

START = 1_767_600_000_000_000_000
TRUE_FOCUS = -60.0
"""C10 in angstrom that the belief after every request gives, +- 5."""


def frame(number: int, focus: float) -> Frame:
    """A scan of 3 x 4 pixels at a commanded focus."""
    scan = Scan(shape=(3, 4), pixel=0.25)
    data = np.random.default_rng(number).poisson(9.0, (3, 4)).astype(np.float32)
    settings = {"C10": focus, "stage.x": 0.0, "stage.y": 0.0}
    meta: dict[str, Any] = {
        "high_tension": 200_000.0,
        "semiangle": 0.0214,
        "detector.inner": 0.06,
        "beam_current": 5e-13,
    }
    return Frame(data, number, START + number * 10**10, scan, settings, Exposure(1.0, 1.0, 1.0), meta=meta)


def session(folder: Path, *focuses: float, state: bool = True) -> Path:
    """A session with a request for each commanded focus, and after it (with ``state``) a checkpoint."""
    layout = load_model("probe").layout
    with Journal.create(folder) as journal:
        scenario = {"instrument": {"kind": "simulated"}, "twin": {"structure": "SrTiO3"}, "seed": 0}
        journal.append("scenario", {"scenario": scenario, "seed": 0, "start": START}, START)
        for number, focus in enumerate(focuses):
            row = journal.append_frame(frame(number, focus))
            now = START + number * 10**10 + 10**9
            journal.append("request", {"index": number, "time_ns": now, "frame_row": row, "settings": {}}, now)
            if state:
                means = np.zeros((1, len(layout)))
                means[0, layout.index("C10")] = TRUE_FOCUS - focus
                roots = np.zeros((1, len(layout), 2))
                roots[0, layout.index("C10")] = (3.0, 4.0)
                arrays = {"weights": np.ones(1), "means": means, "cov_sqrt": roots}
                journal.append("checkpoint", {"time_ns": now, "names": list(layout.names)}, now, arrays)
    return folder


def report(*files: Path, refuted: dict[str, float] | None = None) -> dict[str, Any]:
    """What `emtwin validate --json` says of files, the fields of ``refuted`` with these suggestions."""
    return {
        "schema": "emtwin.validate/1",
        "false_alarms": 0.01,
        "specimen": None,
        "agrees": False,
        "files": [_file(path, refuted or {}) for path in files],
    }


def _file(path: Path, refuted: dict[str, float]) -> dict[str, Any]:
    recordings = []
    for signal in read_vendor(path):
        verdicts = []
        for name, claim in signal.claims.items():
            wrong = name in refuted
            verdicts.append(
                {
                    "field": name, "status": "disagrees" if wrong else "unverifiable", "claimed": claim.value, "unit": claim.unit, "text": claim.text,
                    "key": claim.key, "zone": claim.zone, "value": refuted.get(name), "error": 1e-3 if wrong else None, "z": 5.0 if wrong else None,
                    "suggested": refuted.get(name), "cause": "pixel size" if wrong else None, "words": "measured" if wrong else "", "since": None,
                    "evidence": ["lattice", "arithmetic"] if wrong else [],
                }
            )  # fmt: skip
        evidence = [
            {
                "id": "lattice",
                "name": "lattice",
                "source": "data",
                "words": "spots",
                "independent_of": ["high tension"],
                "statements": [],
            }
        ]
        recordings.append({"title": signal.title, "kind": signal.kind, "verdicts": verdicts, "evidence": evidence})
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    return {"path": str(path), "sha256": digest, "status": "disagrees", "recordings": recordings}
