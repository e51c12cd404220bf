"""A session made up through the journal's own face, for tests of what reads sessions. Its numbers are consistent with each other."""

from pathlib import Path

import numpy as np

from instrument.core.journal import Journal
from scenarios.presets import load_scenario
from scenarios.report.session import request_rows
from scenarios.report.verdict import judge
from twin.records import Exposure, Frame, Readings

START = 1_780_000_000_000_000_000
NAMES = ["C10", "C12a", "C12b", "C30", "x", "y", "thickness", "tilt.x"]
STDS = np.array([8.0, 4.0, 4.0, 3e3, 0.1, 0.1, 4.0, 5e-4])


def lattice(shift: tuple[float, float], sharp: float, shape: tuple[int, int] = (16, 16)) -> np.ndarray:
    """An image of two kinds of columns on a square cell, as a fraction of the beam [ny, nx]."""
    y, x = np.mgrid[: shape[0], : shape[1]] / 16.0
    image = np.full(shape, 0.02)
    for (cx, cy), height in (((0.0, 0.0), 0.1), ((0.5, 0.5), 0.06)):
        wave = np.cos(2 * np.pi * (x - cx - shift[0])) + np.cos(2 * np.pi * (y - cy - shift[1]))
        image += height * np.exp(sharp * (wave - 2.0))
    return image


def make_session(
    folder: Path,
    count: int = 24,
    complete: bool = True,
    distrusted_from: int | None = None,
    seed: int = 0,
    above: frozenset[int] = frozenset(),
    rmse: float | None = None,
) -> Path:
    """Write a session of ``count`` requests into ``folder``; half-way through if not ``complete``.

    The answers of the requests ``above`` are predicted to be above the tolerance, the budget being spent; ``rmse`` replaces the error of the session.
    """
    generator = np.random.default_rng(seed)
    scenario = load_scenario("tune-and-map")
    scan = scenario.make_scan()
    truths, errors, standardised, measured_count = [], [], [], 0
    with Journal.create(folder) as journal:
        journal.append("scenario", {"scenario": scenario.as_dict(), "seed": seed, "start": START}, START)
        times = START + np.arange(0, 1800, 10) * 1_000_000_000
        wave = 0.1 * np.sin(np.arange(180) / 20)
        journal.append_readings(
            [
                Readings("objective.temperature", 0, times, 298.0 + wave + generator.normal(0, 0.01, 180)),
                Readings("gun.high_tension", 0, times, 199_400.0 + generator.normal(0, 0.1, 180)),
                Readings("corrector.C12.a", 0, times[::60], np.array([np.nan, 12.0, 12.0])),
            ]
        )
        for index in range(count if complete else count // 2):
            time = START + int(index * 1800 / count * 1e9)
            if index % 4 == 0:
                journal.append(
                    "command", {"name": "apply", "args": {"changes": {"stage.x": 1e4 * index, "stage.y": 0.0}}}, time
                )
            distrusted = distrusted_from is not None and index >= distrusted_from
            decision = (
                "distrusted" if distrusted else "measure" if index % 4 == 0 else "audit" if index % 7 == 3 else "answer"
            )
            truth = lattice((0.13 * index % 1, 0.4), 1.5 + generator.uniform())
            std = 0.05 * truth + 0.001
            predicted = truth + std * generator.normal(size=truth.shape) * (3.0 if distrusted else 1.0)
            arrays = {"predicted": predicted, "predicted_std": std, "answer": predicted, "answer_std": std}
            row = None
            if decision != "answer":
                counting = np.sqrt(truth / (scan.dose * scan.pixel**2))
                noisy = truth + counting * generator.normal(size=truth.shape)
                exposure = Exposure(152_000.0, 4_700.0, 59_000.0)
                row = journal.append_frame(
                    Frame(noisy.astype(np.float32), index, time, scan, {"C10": 10.0 * index}, exposure)
                )
                arrays |= {"measured": noisy, "measured_std": counting, "answer": 0.5 * (noisy + predicted)}
                measured_count += 1
            if index % 4 == 0:
                focus = journal.append_frame(
                    Frame(
                        truth.astype(np.float32),
                        100 + index,
                        time - 10**9,
                        scan,
                        {"C10": 0.0},
                        Exposure(152_000.0, 4_700.0, 59_000.0),
                    )
                )
                seen = {"predicted": predicted, "measured": truth, "answer": truth}
                journal.append("alignment", {"site": index // 4, "number": 0, "frame_row": focus}, time - 10**9, seen)
            payload = {
                "index": index, "site": index // 4, "time_ns": time, "settings": {"C10": 40.0 - 5.0 * index, "beam_shift.x": 3.0, "beam_shift.y": -8.0},
                "decision": decision, "why": "predicted error above the tolerance" if decision == "measure" else "within the tolerance",
                "reason": "budget spent" if index in above else "",
                "predicted_error": 0.12 if decision == "measure" or index in above else 0.04, "expected_after": 0.03, "gain_per_electron": 1e-7,
                "electrons": 215_700.0, "measured": decision != "answer", "numbers": {"total": [0.05, 0.045, 0.055, 0.003]},
                "frame_row": row, "distrusted": distrusted,
            }  # fmt: skip
            journal.append("request", payload, time, arrays)
            wobble = np.array([30.0, 5.0, -5.0, 2e3, 1.0, 2.0, 80.0, 1e-3]) + 0.5 * STDS * generator.normal(
                size=len(STDS)
            )
            journal.append("state", {"time_ns": time, "names": NAMES}, time, {"mean": wobble, "std": STDS})
            if distrusted and index == distrusted_from:
                journal.append(
                    "finding",
                    {
                        "kind": "model_distrusted",
                        "text": "images misfit by 8 sigma",
                        "evidence": {"measured": measured_count},
                    },
                    time,
                )
            journal.append("checkpoint", {"next": index + 1}, time)
            truths.append(truth)
            errors.append(np.sqrt(((arrays["answer"] - truth) ** 2).mean()) / truth.mean())
            standardised.append(generator.normal(size=8))
        if complete:
            error = float(np.mean(errors)) if rmse is None else rmse
            verdict = judge([row.payload for row in request_rows(journal)], scenario.tolerance, error).as_dict()
            journal.append(
                "score",
                {"rmse": float(np.mean(errors)), "rmse_always": 0.2, "coverage90": 0.9},
                None,
                {
                    "truth": np.stack(truths), "errors": np.array(errors), "standardised": np.stack(standardised), "truth_times": times,
                    "truth_state.C10": 30.0 + 4.0 * wave, "truth_state.tilt.x": np.full(180, 1.2e-3),
                },
            )  # fmt: skip
            journal.append(
                "result",
                {
                    "schema": "emtwin.acquire/2", "scenario": "tune-and-map", "seed": seed, "requests": count, "measured": measured_count,
                    "simulated": count - measured_count, "audited": 3, "rmse": error, "rmse_always": 0.2, "coverage90": 0.9,
                    "dose_spent": 215_700.0 * (measured_count + 6), "dose_saved": 215_700.0 * (count - measured_count - 6), "focused": 6,
                    "model_distrusted": distrusted_from is not None, "seconds": 71.3, **verdict,
                },
            )  # fmt: skip
    return folder
