"""A synthetic session with consistent numbers, written through the journal, for tests of its readers."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from instrument.core.journal import Journal
from scenarios.presets import default_scenario
from scenarios.report.session import request_rows
from scenarios.report.verdict import judge
from twin.records import Exposure, Frame, Readings, Scan

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


@dataclasses.dataclass
class _Writer:
    """Writes the rows of a session, and keeps what its score needs."""

    journal: Journal
    scan: Scan
    generator: np.random.Generator
    truths: list[np.ndarray] = dataclasses.field(default_factory=list)
    errors: list[float] = dataclasses.field(default_factory=list)
    standardised: list[np.ndarray] = dataclasses.field(default_factory=list)
    measured: int = 0

    def readings(self, times: np.ndarray, wave: np.ndarray) -> None:
        self.journal.append_readings(
            [
                Readings("objective.temperature", 0, times, 298.0 + wave + self.generator.normal(0, 0.01, 180)),
                Readings("gun.high_tension", 0, times, 199_400.0 + self.generator.normal(0, 0.1, 180)),
                Readings("corrector.C12.a", 0, times[::60], np.array([np.nan, 12.0, 12.0])),
            ]
        )

    def frame(self, image: np.ndarray, number: int, time: int, defocus: float) -> int:
        exposure = Exposure(152_000.0, 4_700.0, 59_000.0)
        return self.journal.append_frame(
            Frame(image.astype(np.float32), number, time, self.scan, {"C10": defocus}, exposure)
        )

    def request(self, index: int, time: int, decision: str, above: bool) -> None:
        """A stage move and an alignment image before every fourth request, then the request and the state."""
        journal, generator, distrusted = self.journal, self.generator, decision == "distrusted"
        if index % 4 == 0:
            changes = {"stage.x": 1e4 * index, "stage.y": 0.0}
            journal.append("command", {"name": "apply", "args": {"changes": changes}}, time)
        truth = lattice((0.13 * index % 1, 0.4), 1.5 + generator.uniform())
        std = 0.05 * truth + 0.001
        predicted = truth + std * generator.normal(size=truth.shape) * (3.0 if distrusted else 1.0)
        arrays = {"predicted": predicted, "predicted_std": std, "answer": predicted, "answer_std": std}
        row = None
        if decision != "answer":
            counting = np.sqrt(truth / (self.scan.dose * self.scan.pixel**2))
            noisy = truth + counting * generator.normal(size=truth.shape)
            row = self.frame(noisy, index, time, 10.0 * index)
            arrays |= {"measured": noisy, "measured_std": counting, "answer": 0.5 * (noisy + predicted)}
            self.measured += 1
        if index % 4 == 0:
            alignment = self.frame(truth, 100 + index, time - 10**9, 0.0)
            images = {"predicted": predicted, "measured": truth, "answer": truth}
            payload = {"site": index // 4, "number": 0, "frame_row": alignment}
            journal.append("alignment", payload, time - 10**9, images)
        journal.append("request", _request_payload(index, time, decision, above, row), time, arrays)
        mean = np.array([30.0, 5.0, -5.0, 2e3, 1.0, 2.0, 80.0, 1e-3]) + 0.5 * STDS * generator.normal(size=len(STDS))
        journal.append("state", {"time_ns": time, "names": NAMES}, time, {"mean": mean, "std": STDS})
        self.truths.append(truth)
        self.errors.append(np.sqrt(((arrays["answer"] - truth) ** 2).mean()) / truth.mean())

    def score(self, times: np.ndarray, wave: np.ndarray) -> None:
        self.journal.append(
            "score",
            {"rmse": float(np.mean(self.errors)), "rmse_always": 0.2, "coverage90": 0.9},
            None,
            {
                "truth": np.stack(self.truths), "errors": np.array(self.errors), "standardised": np.stack(self.standardised), "truth_times": times,
                "truth_state.C10": 30.0 + 4.0 * wave, "truth_state.tilt.x": np.full(180, 1.2e-3),
            },
        )  # fmt: skip


def _request_payload(index: int, time: int, decision: str, above: bool, row: int | None) -> dict[str, Any]:
    return {
        "index": index, "site": index // 4, "time_ns": time, "settings": {"C10": 40.0 - 5.0 * index, "beam_shift.x": 3.0, "beam_shift.y": -8.0},
        "decision": decision, "why": "predicted error above the tolerance" if decision == "measure" else "within the tolerance",
        "reason": "budget spent" if above else "",
        "predicted_error": 0.12 if decision == "measure" or above else 0.04, "expected_after": 0.03, "gain_per_electron": 1e-7,
        "electrons": 215_700.0, "measured": decision != "answer", "numbers": {"total": [0.05, 0.045, 0.055, 0.003]},
        "frame_row": row, "distrusted": decision == "distrusted",
    }  # fmt: skip


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
    scenario = default_scenario()
    times = START + np.arange(0, 1800, 10) * 1_000_000_000
    wave = 0.1 * np.sin(np.arange(180) / 20)
    with Journal.create(folder) as journal:
        writer = _Writer(journal, scenario.make_scan(), np.random.default_rng(seed))
        journal.append("scenario", {"scenario": scenario.as_dict(), "seed": seed, "start": START}, START)
        writer.readings(times, wave)
        for index in range(count if complete else count // 2):
            time = START + int(index * 1800 / count * 1e9)
            decision = "measure" if index % 4 == 0 else "audit" if index % 7 == 3 else "answer"
            if distrusted_from is not None and index >= distrusted_from:
                decision = "distrusted"
            writer.request(index, time, decision, index in above)
            if index == distrusted_from:
                evidence = {"measured": writer.measured}
                finding = {"kind": "model_distrusted", "text": "images misfit by 8 sigma", "evidence": evidence}
                journal.append("finding", finding, time)
            journal.append("checkpoint", {"next": index + 1}, time)
            writer.standardised.append(writer.generator.normal(size=8))
        if complete:
            error = float(np.mean(writer.errors)) if rmse is None else rmse
            verdict = judge([row.payload for row in request_rows(journal)], scenario.tolerance, error).as_dict()
            measured = writer.measured
            writer.score(times, wave)
            journal.append(
                "result",
                {
                    "schema": "emtwin.acquire/2", "scenario": "tune-and-map", "seed": seed, "requests": count, "measured": measured,
                    "simulated": count - measured, "audited": 3, "rmse": error, "rmse_always": 0.2, "coverage90": 0.9,
                    "dose_spent": 215_700.0 * (measured + 6), "dose_saved": 215_700.0 * (count - measured - 6), "alignments": 6,
                    "model_distrusted": distrusted_from is not None, "seconds": 71.3, **verdict,
                },
            )  # fmt: skip
    return folder
