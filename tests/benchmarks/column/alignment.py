"""The default scenario of `emtwin acquire` with chosen alignment images, compared with two fixed ones at each site: measured share, error, electrons.

Sessions are paired by seed, two at a time, and compared at equal error of all answers against the hidden truth. The seeds were not used in development.
"""

import os
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks._case import case
from tests.benchmarks._form import Form
from tests.benchmarks.acquire.runs import SHORT_PLAN, SMOKE_PLAN, Run, SessionNumbers, Store, run_all
from twin.cache_folder import cache_folder

FIRST, COUNT = 400, (12, 1, 1)
"""Seed of the first pair, and pairs in each form."""
SPECIMENS = 4
PLANS = ((), SHORT_PLAN, SMOKE_PLAN)
EQUAL_ERROR_RATIO = 1.02
"""Errors within this ratio count as equal: a dozen sessions resolve no smaller difference."""


def cases(short: Form, progress: Callable[..., None], jobs: int | None = None) -> list[dict[str, Any]]:
    """All numbers of this part; if ``short`` one pair of sessions of 16 requests, and no bars."""
    start = time.monotonic()
    workers = jobs or min(2, len(os.sched_getaffinity(0)))
    smoke = short is Form.SMOKE  # its session with chosen images is one of the benchmark `acquire`
    pairs = [_pair(number if smoke else FIRST + number, short) for number in range(COUNT[short])]
    store = Store(cache_folder() / f"benchmark-{'acquire' if smoke else 'alignment'}")
    outcomes = run_all([run for pair in pairs for run in pair], store, workers, progress)
    completed = []
    for pair in pairs:
        chosen, fixed = (outcomes[run] for run in pair)
        if not (isinstance(chosen, SessionNumbers) and isinstance(fixed, SessionNumbers)):
            raise RuntimeError(
                f"a session failed: {next(session for session in (chosen, fixed) if not isinstance(session, SessionNumbers))}"
            )
        completed.append((chosen, fixed))
    share, fixed_share = (float(np.mean([pair[k].measured.mean() for pair in completed])) for k in (0, 1))
    errors = np.array([[session.errors.mean() for session in pair] for pair in completed])
    doses = np.array([[session.result["dose_spent"] for session in pair] for pair in completed])
    ratio = float(errors[:, 0].mean() / errors[:, 1].mean())
    resampled = np.random.default_rng(0).integers(0, len(errors), (4000, len(errors)))
    low, high = np.quantile(errors[resampled, 0].mean(axis=1) / errors[resampled, 1].mean(axis=1), [0.05, 0.95])
    judged = None if short else ratio <= EQUAL_ERROR_RATIO
    fewer = share / fixed_share
    return [
        case("alignment: requests measured, alignment images chosen", share, "1"),
        case("alignment: requests measured, alignment images fixed", fixed_share, "1"),
        case(
            "alignment: measured share over that with fixed ones",
            fewer,
            "1",
            "<= 2/3",
            None if short else fewer <= 0.667,
        ),
        case(
            f"alignment: error over that with fixed ones, {len(completed)} pairs",
            ratio,
            "1",
            f"<= {EQUAL_ERROR_RATIO}",
            judged,
        ),
        case("alignment: the same, 90 % interval (pairs drawn again), lower end", float(low), "1"),
        case("alignment: the same, upper end", float(high), "1"),
        case("alignment: error with chosen ones", float(errors[:, 0].mean()), "relative"),
        case("alignment: electrons over those with fixed ones", float(doses[:, 0].sum() / doses[:, 1].sum()), "1"),
        case(
            "alignment: coverage of 90 % intervals of named numbers, chosen",
            float(np.mean([session.covered().mean() for session, _ in completed])),
            "1",
        ),
        case(
            "alignment: largest memory of a worker",
            resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20,
            "GiB",
        ),
        case("alignment: time of the part", time.monotonic() - start, "s"),
    ]


def _pair(seed: int, short: Form) -> tuple[Run, Run]:
    plan = PLANS[short]
    specimen = 0 if short else seed % SPECIMENS
    return Run(seed, specimen=specimen, plan=plan), Run(seed, specimen=specimen, plan=plan, fixed=True)
