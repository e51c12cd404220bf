"""Stale values as explanations: claims that a log refutes at the file's time, and that it shows to have been true before.

How probable such a claim is comes from the log (`Since.density`): a value at which the quantity rested, or that it left just before the file, is likely
to be stale; one that it only passed long ago may as well be any other error.
"""

import math
from collections.abc import Iterator, Sequence

from reconstruct.validation.evidence import Evidence, Since
from reconstruct.validation.judgement.faults import CAUSES, Change, own_error
from reconstruct.validation.judgement.likelihood import Values, derived, residual, slope

FAR = 5.0
"""Ratio of the rms size of gross errors to that of a field's usual ones."""


def since_of(name: str, evidence: Sequence[Evidence]) -> Since | None:
    """When the claim of a field was last true by a log; by the one that makes it most probable where there are several."""
    shown = [item.since for item in evidence if item.since is not None and item.since.field == name]
    return max(shown, key=lambda since: since.density, default=None)


def stale_changes(evidence: Sequence[Evidence], values: Values) -> Iterator[Change]:
    """For each field of which a log shows that its claim was true earlier: a stale value, and beside it an error of its own of any size.

    Without the second, a claim far from the evidence would be stale for want of another explanation, since usual errors are small.
    """
    for item in evidence:
        since = item.since
        if since is None or since is not since_of(since.field, evidence) or since.field not in values:
            continue
        name = since.field
        cause, size = own_error(name, values[name])
        free = (({name: 1.0}, FAR * size),)
        yield Change(cause, CAUSES[cause].rate, f"{name} is far off", free=free)
        support = _support(item, since, values, FAR * size)
        if math.isfinite(support):
            yield Change(
                "stale value", CAUSES["stale value"].rate, f"{name} is of an earlier time", free=free, support=support
            )


def _support(item: Evidence, since: Since, values: Values, size: float) -> float:
    """Logarithm of the density of the claim as a stale value, over that with a free magnitude of rms ``size``; NaN where it has none."""
    statement, full = item.statements[0], derived(values)
    away = residual(statement, float(item.components[0].mean[0]), full)
    if not math.isfinite(away) or not since.density > 0.0:
        return math.nan
    variance = float(item.components[0].covariance[0, 0]) + (size * slope(statement, full, {since.field: 1.0})) ** 2
    per_statement = since.density * (values[since.field] if statement.form == "log" else 1.0)
    return math.log(per_statement) + 0.5 * (math.log(2.0 * math.pi * variance) + away**2 / variance)
