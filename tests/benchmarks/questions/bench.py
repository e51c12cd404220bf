"""Benchmark of `emtwin acquire QUESTION`: errors by the truth, and electrons beside a fixed series of images.

Each seed has an instrument of its own and a specimen as thick as is drawn from the question's belief; specimens of equal thickness are computed once. The
fixed series takes images at both sides of focus in turn until the same standard deviation is reached.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form

QUESTIONS: dict[str, dict[str, Any]] = {
    "defocus to 5 angstrom": {"quantity": {"kind": "defocus"}, "asked": {"std": 5}},
    "thickness to 4 angstrom": {"quantity": {"kind": "thickness"}, "asked": {"std": 4}},
    "twofold astigmatism C12a to 3 angstrom": {"quantity": {"kind": "aberration", "name": "C12a"}, "asked": {"std": 3}},
}
SEEDS = {Form.WHOLE: 20, Form.SHORT: 4, Form.SMOKE: 1}
SERIES = (-40.0, 40.0)
"""C10 (angstrom) of the fixed series."""
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

    progress(f"{asked['quantity']}, seed {seed}{', fixed' if series else ''}")
    values = {
        "name": "question", "kind": "measure", "specimen": {"structure": "SrTiO3", "thickness": 78}, "unknown": {"thickness": 8},
        "instrument": {"energy_keV": 200, "semiangle_mrad": 21.4}, "seed": seed, **asked,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="emtwin-benchmark-") as folder:
        out = Path(folder) / "session"
        config = {"specimen_seed": 0}
        return run_question(question_of(values, "benchmark"), out, None, SilentProgress(), None, config, series)


def _rows(name: str, own: list[dict[str, Any]], fixed: list[dict[str, Any]]) -> list[Case]:
    reached = float(np.mean([each["reached"] for each in own]))
    errors = np.array([each["error"] / each["std"] for each in own])
    covered, largest = float(np.mean(np.abs(errors) < 1.645)), float(np.abs(errors).max())
    rms = float(np.sqrt(np.mean([each["error"] ** 2 for each in own])) / own[0]["asked"])
    # where the series does not reach it, what it spent until it was given up
    spent, beside = (float(np.mean([each["electrons"] for each in some])) for some in (own, fixed))
    also = float(np.mean([each["reached"] for each in fixed]))
    ratio = spent / beside
    return [
        case(f"{name}: sessions that reach it", reached, "", f"at least {REACHED}", reached >= REACHED),
        case(f"{name}: images, mean", float(np.mean([each["images"] for each in own]))),
        case(f"{name}: rms error over the standard deviation asked for", rms, "", "at most 1.2", rms <= 1.2),
        case(f"{name}: 90 % intervals that hold", covered, "", f"{COVERED[0]} to {COVERED[1]}", COVERED[0] <= covered <= COVERED[1]),
        case(f"{name}: largest error in standard deviations", largest, "", f"at most {SURE_AND_WRONG}", largest <= SURE_AND_WRONG),
        case(f"{name}: electrons over those of the fixed series", ratio, "", "at most 0.5", ratio <= 0.5),
        case(f"{name}: sessions in which the fixed series reaches it", also),
        case(f"{name}: seconds of a session, median", float(np.median([each["seconds"] for each in own])), "s"),
    ]  # fmt: skip
