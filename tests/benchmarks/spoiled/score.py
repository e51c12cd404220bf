"""The numbers of the benchmark of spoiled images, out of the rows of its trials."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.benchmarks._case import Case, case
from tests.benchmarks.spoiled.sample import CLEAN_BEFORE
from tests.benchmarks.spoiled.trial import module_of

Row = dict[str, Any]
ANSWERED = ("determined", "several readings")
SURE, RIGHT = 4.0, 2.5
"""Standard errors: a determined value that is farther off is wrong, one within is right."""


def score(rows: list[Row], kinds: Sequence[str]) -> list[Case]:
    """Cases of each kind, then of all together."""
    result: list[Case] = []
    for kind in kinds:
        own = [row for row in rows if row["kind"] == kind]
        result += _clean(kind, [row for row in own if row["spoiling"] is None])
        result += _spoiled(kind, own)
        result += _checks(kind, own)
    return result + _spoiled("all kinds", rows, by_spoiling=False) + _checks("all kinds", rows) + _weights(rows)


def _clean(kind: str, rows: list[Row]) -> list[Case]:
    """Clean recordings: still determined, coverage, errors against version 0.1."""
    module = module_of(kind)
    determined = [row for row in rows if row["outcome"] in ANSWERED]
    share = len(determined) / max(len(rows), 1)
    covers = [value for row in determined for value in row["covers"].values()]
    coverage, spread = _share(covers)
    result = [
        case(f"{kind}, clean: determined", share, "1", ">= 0.95", share >= 0.95),
        case(
            f"{kind}, clean: 90 % intervals that hold, of {len(covers)}", coverage, "1", "0.87 to 0.93, or within twice its sampling error",
            abs(coverage - 0.9) <= max(0.03, 2.0 * spread),
        ),
    ]  # fmt: skip
    for name, before in module.ERRORS_BEFORE.items():
        errors = [row["errors"][name] for row in rows if name in row["errors"] and row["seed"] < CLEAN_BEFORE]
        ratio = float(np.median(errors)) / before if errors else float("nan")
        result.append(case(f"{kind}, clean: error of {name} over that of 0.1", ratio, "1", "<= 1.15", ratio <= 1.15))
    return result


def _spoiled(label: str, rows: list[Row], by_spoiling: bool = True) -> list[Case]:
    """Spoiled recordings: sure and wrong, right where a told fit is right, and wrong statements that are noticed."""
    spoiled = [
        row for row in rows if row["spoiling"] is not None and row["spoiling"] in module_of(row["kind"]).SPOILINGS
    ]
    result = []
    if by_spoiling:
        for name in dict.fromkeys(row["spoiling"] for row in spoiled):
            part = [row for row in spoiled if row["spoiling"] == name]
            wrong, (right, told) = sum(map(sure_and_wrong, part)), _right(part)
            result.append(case(f"{label}, {name}: sure and wrong, of {len(part)}", wrong, "trials", "", None))
            result.append(case(f"{label}, {name}: right, of {told} that a told fit has", right, "trials", "", None))
    wrong = sum(map(sure_and_wrong, spoiled)) / max(len(spoiled), 1)
    right, told = _right(spoiled)
    result.append(case(f"{label}: sure and wrong, of {len(spoiled)}", wrong, "1", "<= 0.01", wrong <= 0.01))
    several = [row for row in spoiled if row["outcome"] == "several readings" and row["names"]]
    none = sum(not any(row["right"]) for row in several)
    result.append(
        case(f"{label}: several readings and none of them right, of {len(several)}", none, "trials", "", None)
    )
    share = right / max(told, 1)
    result.append(case(f"{label}: right, of {told} that a told fit has", share, "1", ">= 0.85", share >= 0.85))
    stated = [row for row in rows if row["spoiling"] in module_of(row["kind"]).WRONG and _matters(row)]
    noticed = [row for row in stated if row["outcome"] not in ANSWERED or row["disagreements"]]
    share = len(noticed) / len(stated) if stated else None
    bar = f"{label}: wrong statements that are noticed, of {len(stated)} that matter"
    result.append(case(bar, share, "1", ">= 0.95", None if share is None else share >= 0.95))
    told = [row for row in rows if row["spoiling"] in module_of(row["kind"]).WRONG]
    said = sum(row["outcome"] not in ANSWERED or bool(row["disagreements"]) for row in told)
    result.append(
        case(f"{label}: wrong statements of which something is said, of {len(told)}", said, "trials", "", None)
    )
    covers = [value for row in spoiled if row["outcome"] in ANSWERED for value in row["covers"].values()]
    name = f"{label}: 90 % intervals of spoiled images that hold, of {len(covers)}"
    result.append(case(name, _share(covers)[0], "1", "", None))
    return result


def _checks(label: str, rows: list[Row]) -> list[Case]:
    """Power of the checks: how many of the answers that are wrong they take back, and how many that are right; and how often each check failed."""
    kept = [row for row in rows if row["outcome"] == "determined" and row["deviation"] is not None]
    taken = [row for row in rows if row["withheld"] is not None]
    wrong = [row for row in taken if row["withheld"] > SURE]
    right = [row for row in taken if row["withheld"] <= RIGHT]
    all_wrong = len(wrong) + sum(map(sure_and_wrong, kept))
    all_right = len(right) + sum(row["deviation"] <= RIGHT for row in kept)
    result = [
        case(f"{label}: wrong answers that a check took back, of {all_wrong}", len(wrong) / max(all_wrong, 1), "1", "", None),
        case(f"{label}: right answers that a check took back, of {all_right}", len(right) / max(all_right, 1), "1", "", None),
    ]  # fmt: skip
    for name, count in Counter(name for row in wrong for name in row["failed"]).most_common():
        result.append(case(f"{label}: wrong answers that {name!r} took back", count, "trials", "", None))
    return result


def sure_and_wrong(row: Row) -> bool:
    """Whether it is determined with a principal quantity off by more than `SURE` of its standard errors."""
    return row["outcome"] == "determined" and row["deviation"] is not None and row["deviation"] > SURE


def _matters(row: Row) -> bool:
    """Whether each reading, or what a check took back, is wrong, or there is none."""
    if row["withheld"] is not None:
        return row["withheld"] > SURE
    return not any(row["right"]) or not row["names"]


def _right(rows: list[Row]) -> tuple[int, int]:
    """How many are right, of those that a told fit has within `RIGHT`. One of several readings counts where it is the likeliest."""
    told = [
        row
        for row in rows
        if row.get("told_outcome") in ANSWERED and row["told_deviation"] is not None and row["told_deviation"] <= RIGHT
    ]  # fmt: skip
    right = [
        row
        for row in told
        if row["outcome"] in ANSWERED and row["deviation"] is not None and row["deviation"] <= RIGHT
    ]  # fmt: skip
    return len(right), len(told)


def _weights(rows: list[Row]) -> list[Case]:
    """Weights of readings against how often they are right."""
    pairs = [
        (weight, right)
        for row in rows
        if row["outcome"] in ANSWERED and row["names"]
        for weight, right in zip(row["weights"], row["right"], strict=True)
    ]
    result = []
    for low, high in ((0.0, 0.1), (0.1, 0.9), (0.9, 0.99), (0.99, 1.01)):
        part = [(weight, right) for weight, right in pairs if low <= weight < high]
        if not part:
            continue
        expected, observed = (
            float(np.mean([weight for weight, _ in part])),
            float(np.mean([right for _, right in part])),
        )
        error = float(np.sqrt(max(expected * (1.0 - expected), 1e-3) / len(part)))
        name = f"readings of weight {low:g} to {min(high, 1.0):g}, of {len(part)}: right less weight"
        result.append(
            case(name, observed - expected, "1", f"within {3 * error:.2g}", abs(observed - expected) <= 3.0 * error)
        )
    return result


def _share(values: list[bool]) -> tuple[float, float]:
    """A share and its sampling error about 0.9."""
    return float(np.mean(values)) if values else float("nan"), float(np.sqrt(0.09 / max(len(values), 1)))
