"""Electrons of sessions by cause, and what measuring every request costs: with the same scans, unblanked, and at the same error."""

from collections.abc import Sequence

import numpy as np

from scenarios.acquire.dose_accounting import CAUSES
from tests.benchmarks._case import Case, case
from tests.benchmarks.acquire.runs import SessionNumbers

TOLERATED = 0.9
"""Share of the seeds in which the mean error must be within the tolerance."""


def electron_cases(sessions: Sequence[SessionNumbers], judge: bool) -> list[Case]:
    """Shares of the electrons of measuring every request with the same scans and blanking: in all, by cause, and for the other comparisons."""
    results = [session.result for session in sessions]
    if not results:
        return []
    every = np.array([result["dose_of_measuring_all"]["same_scan"] for result in results])
    spent = np.array([result["dose_spent"] for result in results])
    unblanked = np.array([result["dose_of_measuring_all"]["unblanked"] for result in results])
    label, share = f"electrons, {len(results)} seeds", float((spent / every).mean())
    rows = [
        case(f"{label}: share of measuring every request", share, "1", "<= 0.6", share <= 0.6 if judge else None),
        case(f"{label}: share of measuring every request, unblanked", float((spent / unblanked).mean()), "1"),
    ]
    for cause in CAUSES:
        parts = [sum(result["dose_by_cause"][cause].values()) for result in results]
        rows.append(case(f"{label}: of these, {CAUSES[cause]}", float((np.array(parts) / every).mean()), "1"))
    same = [result["dose_of_measuring_all"]["same_error"] for result in results]
    known = [session_spent / cost for session_spent, cost in zip(spent, same, strict=True) if cost is not None]
    if known:
        text = f"{label}: over measuring every request with less dose at the same error, as the twin expects"
        rows.append(case(text, float(np.mean(known)), "1"))
    within = sum(result["rmse"] <= result["tolerance"] for result in results)
    required = int(np.ceil(TOLERATED * len(results)))
    holds = within >= required if judge else None
    return [
        *rows,
        case("mean error within the tolerance", within, f"of {len(results)} seeds", f">= {required}", holds),
    ]


def dose_of_same_error(error: float, always: dict[float, float]) -> float | None:
    """Share of the dose at which measuring every request has ``error``, by log-log interpolation in ``always`` {share: error}; None outside it."""
    shares, errors = np.array(sorted(always)), np.array([always[share] for share in sorted(always)])
    if len(shares) < 2 or not errors.min() <= error <= errors.max():
        return None
    return float(np.exp(np.interp(-np.log(error), -np.log(errors), np.log(shares))))
