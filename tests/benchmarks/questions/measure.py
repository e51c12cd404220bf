"""Benchmark of `emtwin acquire QUESTION`: errors by the truth, and electrons beside a fixed number of images.

Each seed has an instrument of its own and a specimen as thick as is drawn from the question's belief; specimens of equal thickness are computed once. The
fixed protocol takes as many images at both sides of focus in turn in every session, the fewest whose rms error over all sessions is no larger than that of
the twin's own, and has the twin's estimates for nothing. Series that end where the twin knows enough are told beside it.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from instrument.core.journal import Journal
from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form

QUESTIONS: dict[str, dict[str, Any]] = {
    "defocus to 5 angstrom": {"quantity": {"kind": "defocus"}, "asked": {"std": 5}},
    "thickness to 4 angstrom": {"quantity": {"kind": "thickness"}, "asked": {"std": 4}},
    "twofold astigmatism C12a to 3 angstrom": {"quantity": {"kind": "aberration", "name": "C12a"}, "asked": {"std": 3}},
    "tune C10 to 10 and C12 to 6 angstrom": {"kind": "tune", "tolerance": {"C10": 10, "C12a": 6, "C12b": 6}},
}
SEEDS = {Form.WHOLE: 20, Form.SHORT: 4, Form.SMOKE: 1}
SERIES = (-40.0, 40.0) * 8
"""C10 (angstrom) of the fixed series, at most."""
REACHED, COVERED, SURE_AND_WRONG = 0.9, (0.8, 0.97), 4.0
"""Least share of sessions that reach what is asked, share of 90 % intervals that hold, and standard deviations that no error exceeds."""


def cases(short: Form, progress: Callable[..., None], seeds: int | None = None) -> list[Case]:
    """All questions, with the twin's choice and with the fixed series."""
    count = seeds or SEEDS[short]
    chosen = dict(list(QUESTIONS.items())[: 1 if short is Form.SMOKE else None])
    rows: list[Case] = []
    for name, asked in chosen.items():
        results = [[_answer(asked, seed, series, progress) for seed in range(count)] for series in ((), SERIES)]
        rows += _rows(name, *results)
    return rows


def _answer(
    asked: dict[str, Any], seed: int, series: tuple[float, ...], progress: Callable[..., None]
) -> dict[str, Any]:
    from scenarios.acquire.question.job import run_question
    from scenarios.io.progress import SilentProgress
    from scenarios.question.reading import question_of

    progress(f"{asked.get('quantity', 'tune')}, seed {seed}{', fixed' if series else ''}")
    values = {
        "name": "question", "kind": "measure", "specimen": {"structure": "SrTiO3", "thickness": 78}, "unknown": {"thickness": 8},
        "instrument": {"energy_keV": 200, "semiangle_mrad": 21.4}, "seed": seed, **asked,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="emtwin-benchmark-") as folder:
        out = Path(folder) / "session"
        config = {"specimen_seed": 0}
        result = run_question(question_of(values, "benchmark"), out, None, SilentProgress(), None, config, series)
        with Journal.open(out) as journal:
            rows = [row.payload for row in journal.rows("question")]
            truth = next(iter(journal.rows("truth"))).payload["values"]
    steps = [
        {"electrons": row["electrons"], "errors": np.array(row["means"]) - np.array(true), "stds": row["stds"]}
        for row, true in zip(rows, truth, strict=True)
    ]
    return {**result, "steps": steps}


def _rows(name: str, own: list[dict[str, Any]], fixed: list[dict[str, Any]]) -> list[Case]:
    asked = np.array([each["asked"] for each in own[0]["quantities"]])
    errors = np.array([[each["error"] for each in session["quantities"]] for session in own])
    stds = np.array([[each["std"] for each in session["quantities"]] for session in own])
    reached = float(np.mean([each["reached"] for each in own]))
    covered, largest = float(np.mean(np.abs(errors / stds) < 1.645)), float(np.abs(errors / stds).max())
    rms = float(np.max(_rms(errors) / asked))
    spent = float(np.mean([each["electrons"] for each in own]))
    images, protocol = _as_good(fixed, np.maximum(_rms(errors), 1e-9))
    told = [
        next((step["electrons"] for step in each["steps"] if np.all(step["stds"] <= asked)), each["electrons"])
        for each in fixed
    ]
    deciding = float(np.median([each["decision_seconds"] for each in own]))
    rows = [
        case(f"{name}: sessions that reach it", reached, "", f"at least {REACHED}", reached >= REACHED),
        case(f"{name}: images, mean", float(np.mean([each["images"] for each in own]))),
        case(f"{name}: rms error over the standard deviation asked for", rms, "", "at most 1.2", rms <= 1.2),
        case(f"{name}: 90 % intervals that hold", covered, "", f"{COVERED[0]} to {COVERED[1]}", COVERED[0] <= covered <= COVERED[1]),
        case(f"{name}: largest error in standard deviations", largest, "", f"at most {SURE_AND_WRONG}", largest <= SURE_AND_WRONG),
        case(f"{name}: electrons", spent),
        case(f"{name}: images of the fixed protocol with no larger an error{'' if protocol else ' (more than these)'}", images),
        case(f"{name}: electrons over those of the fixed protocol", spent / (protocol or _spent(fixed, images)), "", "at most 0.5",
             spent <= 0.5 * (protocol or _spent(fixed, images))),
        case(f"{name}: electrons over those of the fixed series that the twin ends", spent / float(np.mean(told))),
        case(f"{name}: seconds of a decision, median", deciding, "s", "at most 0.5", deciding <= 0.5),
        case(f"{name}: seconds of a session, median", float(np.median([each["seconds"] for each in own])), "s"),
    ]  # fmt: skip
    left = [
        [abs(each["left"]) <= each["tolerance"] for each in session["quantities"]]
        for session in own
        if session["reached"] and "left" in session["quantities"][0]
    ]
    if left:
        share = float(np.mean(left))
        rows.append(case(f"{name}: aberrations left within tolerance", share, "", "at least 0.9", share >= 0.9))
    return rows


def _rms(errors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(np.square(errors), axis=0))


def _spent(fixed: list[dict[str, Any]], images: int) -> float:
    return float(np.mean([each["steps"][images - 1]["electrons"] for each in fixed]))


def _as_good(fixed: list[dict[str, Any]], rms: np.ndarray) -> tuple[int, float]:
    """The fewest images of the series with an rms error of every quantity of at most ``rms``, and their electrons (0: more than were taken)."""
    taken = min(len(each["steps"]) for each in fixed)
    for images in range(1, taken + 1):
        if np.all(_rms(np.stack([each["steps"][images - 1]["errors"] for each in fixed])) <= rms):
            return images, _spent(fixed, images)
    return taken, 0.0
