"""Scores a session against the truth, in a process of its own after the microscope was sealed (``python -m scenarios.acquire.score SESSION TICKET``).

Writes an .npz to stdout: ``score`` (JSON), and arrays ``truth`` [n, ny, nx], ``raw`` (one measurement of every request), ``truth_state`` and its times.
The truth is the expected frame with its scan distortion, as a fraction of the incident beam.
"""

import io
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from instrument.core.journal import Journal, Row
from instrument.remote.client import TruthClient
from instrument.remote.wire import TruthRequest
from learn.scores import coverage
from scenarios.report.session import request_rows
from twin.image.microscope import Calibration, to_fraction
from twin.image.prediction import CIRCULAR_STATISTICS, STATISTICS, image_statistics, statistic_difference
from twin.records import Scan


def score(rows: list[Row], scan: Scan, truth: TruthClient) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Errors, coverage and standardised errors of a session's answers."""
    requests = [TruthRequest(row.payload["command_ns"], row.payload["settings"], scan, True) for row in rows]
    answers = truth.expected(requests)
    frames = np.stack([frame for frame, _ in answers])
    counts = np.stack([noisy if noisy is not None else np.full(scan.shape, np.nan) for _, noisy in answers])
    raw = to_fraction(Calibration(), scan, counts)
    answered = np.stack([row.arrays["answer"] for row in rows])
    mean = frames.mean(axis=(1, 2))
    errors = np.sqrt(((answered - frames) ** 2).mean(axis=(1, 2))) / mean
    raw_errors = np.sqrt(((raw - frames) ** 2).mean(axis=(1, 2))) / mean
    true = image_statistics(frames)
    covered, standardised = {}, np.zeros((len(rows), len(STATISTICS)))
    for column, name in enumerate(STATISTICS):
        interval = np.array([row.payload["numbers"][name] for row in rows])
        off = statistic_difference(name, true[name], interval[:, 0])
        standardised[:, column] = off / np.maximum(interval[:, 3], 1e-300)
        covered[name] = coverage(off, interval[:, 1] - interval[:, 0], interval[:, 2] - interval[:, 0])
    measured = np.array([row.payload["measured"] for row in rows])
    times = np.array([row.payload["time_ns"] for row in rows], dtype=np.int64)
    state = truth.state(times)
    first = np.stack([row.arrays.get("first_answer", row.arrays["answer"]) for row in rows])
    first_errors = np.sqrt(((first - frames) ** 2).mean(axis=(1, 2))) / mean
    summary = {
        "rmse": float(errors.mean()),
        "rmse_at_once": float(first_errors.mean()),
        "rmse_always": float(raw_errors.mean()),
        "rmse_measured": float(errors[measured].mean()) if measured.any() else None,
        "rmse_simulated": float(errors[~measured].mean()) if (~measured).any() else None,
        "coverage90": float(np.mean(list(covered.values()))),
        "coverage90_by_number": covered,
        "circular": sorted(CIRCULAR_STATISTICS),
        "numbers": list(STATISTICS),
    }
    arrays = {
        "truth": frames,
        "raw": raw,
        "errors": errors,
        "errors_at_once": first_errors,
        "raw_errors": raw_errors,
        "standardised": standardised,
        "truth_times": times,
    }
    arrays |= {
        f"truth_state.{name}": np.asarray(values) for name, values in state.items() if np.asarray(values).ndim == 1
    }
    return summary, arrays


def main(folder: str, ticket: str) -> None:
    """Score a session folder and write the archive to stdout."""
    with Journal.open(Path(folder)) as journal:
        rows = request_rows(journal)
        scenario = next(row for row in journal.rows(kind="scenario")).payload["scenario"]
    with TruthClient(ticket, timeout=60.0) as truth:
        summary, arrays = score(rows, Scan(**{**scenario["scan"], "shape": tuple(scenario["scan"]["shape"])}), truth)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, score=np.frombuffer(msgspec.json.encode(summary), dtype=np.uint8), **arrays)
    sys.stdout.buffer.write(buffer.getvalue())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
