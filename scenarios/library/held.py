"""How well plans held: what they promised beside what was reached."""

import math
from collections.abc import Iterable
from statistics import median
from typing import Any

from scenarios.library.record import Record


def held(records: Iterable[Record]) -> dict[str, Any]:
    """Predicted and reached, over those ``records`` that have both; a part without any is None.

    ``power``: of records with ``planned["power"]`` and ``reached["detected"]`` (1 or 0), or ``reached["power"]``
    where trials were many: their ``count``, the mean ``predicted`` and ``reached``, and ``sigmas``, their difference
    over the binomial standard error that the predictions imply (nan where reached powers are given). ``std``: of
    ``planned["std"]`` with ``reached["std"]``, the median ``ratio`` reached / predicted; with ``reached["error"]``,
    an actual error, also the rms of error / predicted (``standardised``: 1 where promises are right). ``dose``: of
    ``planned["dose"]`` and the dose used, the median ``ratio``. ``worst``: numbers of the records furthest off.
    """
    both = [(record, record.planned) for record in records if record.planned]
    return {
        "records": len(both),
        "power": _power(both),
        "std": _std(both),
        "dose": _dose(both),
        "worst": [record.id for record, _ in sorted(both, key=lambda pair: -_off(*pair))[:3] if _off(record, _) > 0.0],
    }


_Both = list[tuple[Record, dict[str, float]]]


def _power(both: _Both) -> dict[str, Any] | None:
    pairs, single = [], []
    for record, planned in both:
        outcome = record.reached.get("detected", record.reached.get("power"))
        if outcome is not None and "power" in planned:
            pairs.append((planned["power"], outcome))
            single.append("detected" in record.reached)
    if not pairs:
        return None
    predicted, reached = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    error = math.sqrt(sum(power * (1.0 - power) for power, _ in pairs)) / len(pairs)
    sigmas = (reached - predicted) / error if all(single) and error > 0.0 else math.nan
    return {"count": len(pairs), "predicted": predicted, "reached": reached, "sigmas": sigmas}


def _std(both: _Both) -> dict[str, Any] | None:
    ratios = [
        record.reached["std"] / planned["std"]
        for record, planned in both
        if _positive(planned, "std") and _positive(record.reached, "std")
    ]
    errors = [
        record.reached["error"] / planned["std"]
        for record, planned in both
        if _positive(planned, "std") and "error" in record.reached
    ]
    if not ratios and not errors:
        return None
    return {
        "count": max(len(ratios), len(errors)),
        "ratio": median(ratios) if ratios else None,
        "standardised": math.sqrt(sum(error**2 for error in errors) / len(errors)) if errors else None,
    }


def _dose(both: _Both) -> dict[str, Any] | None:
    ratios = [record.dose / planned["dose"] for record, planned in both if record.dose and _positive(planned, "dose")]
    return {"count": len(ratios), "ratio": median(ratios)} if ratios else None


def _positive(values: dict[str, float], name: str) -> bool:
    return values.get(name, 0.0) > 0.0


def _off(record: Record, planned: dict[str, float]) -> float:
    """How far one record is off its plan: logarithms of ratios, errors beyond one standard deviation, powers that
    failed.
    """
    off = 0.0
    if _positive(planned, "std"):
        if _positive(record.reached, "std"):
            off += abs(math.log(record.reached["std"] / planned["std"]))
        if "error" in record.reached:
            off += max(abs(record.reached["error"]) / planned["std"] - 1.0, 0.0)
    outcome = record.reached.get("detected", record.reached.get("power"))
    if outcome is not None and "power" in planned:
        off += max(planned["power"] - outcome, 0.0)
    if record.dose and _positive(planned, "dose"):
        off += abs(math.log(record.dose / planned["dose"]))
    return off
