"""Scores of the benchmark of `validate`."""

from collections.abc import Sequence

import numpy as np

from tests.benchmarks._case import Case, case
from tests.benchmarks._groups import Row
from tests.benchmarks.validate.injected import CLASSES, SMALL

POWERFUL = 0.99
"""Predicted power from which a fault must be found."""


def score(rows: Sequence[Row], kinds: Sequence[str]) -> list[Case]:
    """One row for each number that is asked for, and one for each class of fault."""
    faulty = [row for row in rows if row["fault"] is not None and row["fault"] not in {item.name for item in SMALL}]
    clean = [row for row in rows if row["fault"] is None]
    result = [*_by_class(faulty), *_together(faulty)]
    alarms = sum(row["false"] for row in clean)
    if clean:
        share = alarms / len(clean)
        result.append(case("clean recordings", len(clean), "1", "", None))
        result.append(case("clean: with any finding", share, "1", "<= 0.01", share <= 0.01))
        for kind in kinds:
            of_kind = [row["false"] for row in clean if row["kind"] == kind]
            result.append(case(f"clean, {kind}: with any finding", f"{sum(of_kind)} of {len(of_kind)}"))
    for item in SMALL:
        chosen = [row for row in rows if row["fault"] == item.name]
        if chosen:
            measured, predicted = (
                float(np.mean([row["found"] for row in chosen])),
                float(np.mean([row["predicted"] for row in chosen])),
            )
            result.append(case(f"{item.name}: power predicted", predicted, "1", "", None))
            result.append(
                case(
                    f"{item.name}: power measured ({len(chosen)})",
                    measured,
                    "1",
                    "within 0.07",
                    abs(measured - predicted) <= 0.07,
                )
            )
    seconds = [row["seconds"] for row in rows]
    result.append(case("time of a recording, median", float(np.median(seconds)), "s", "", None))
    result.append(case("time of a recording, longest", float(np.max(seconds)), "s", "", None))
    return result


def _by_class(rows: Sequence[Row]) -> list[Case]:
    result = []
    for item in CLASSES:
        chosen = [row for row in rows if row["fault"] == item.name and row["predicted"] > POWERFUL]
        weak = sum(row["fault"] == item.name for row in rows) - len(chosen)
        if not chosen:
            continue
        share_found, named = (float(np.mean([row[key] for row in chosen])) for key in ("found", "named"))
        label = f"{item.name} ({len(chosen)}{f', {weak} without the power' if weak else ''})"
        result.append(case(f"{label}: found", share_found, "1", ">= 0.98", share_found >= 0.98))
        result.append(case(f"{label}: named", named, "1", ">= 0.90", named >= 0.90))
    return result


def _together(rows: Sequence[Row]) -> list[Case]:
    # what is true of a real recording is not known to the error of the evidence
    scores = np.array([score for row in rows if not row["kind"].startswith("real") for score in row["scores"]])
    chosen = [row for row in rows if row["predicted"] > POWERFUL]
    if not chosen:
        return []
    share_found = float(np.mean([row["found"] for row in chosen]))
    result = [case(f"all classes ({len(chosen)}): found", share_found, "1", ">= 0.98", share_found >= 0.98)]
    if len(scores):
        share = float(np.mean(np.abs(scores) < 2.0))
        result.append(
            case(f"suggested values within 2 errors ({len(scores)})", share, "1", "0.93 to 0.97", 0.93 <= share <= 0.97)
        )
    return result
