"""The reporting pattern of a channel: periodic, on change or at events, with the reason for each verdict."""

import dataclasses

import numpy as np
from jaxtyping import Float

MIN_REPORTS = 5
"""Smallest number of values from which a reporting pattern is identified."""

PERIODIC_SHARE, PERIODIC_TOLERANCE = 0.9, 0.1
"""A channel is periodic if this share of its intervals is within this relative distance of the median interval."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One class that applies to a channel, and the reason."""

    kind: str
    why: str


def reporting_habits(
    t: Float[np.ndarray, " n"], x: Float[np.ndarray, " n"], gaps: Float[np.ndarray, " g"], span: tuple[float, float], longest: float | None
) -> list[Verdict]:  # fmt: skip
    """All classes but quantised, in order of presentation."""
    verdicts: list[Verdict] = []
    count, same = t.size, int((np.diff(x) == 0).sum())
    if count >= 3 and same == count - 1:
        verdicts.append(Verdict("constant", f"all {count} values are {x[0]:.6g}"))
    declared, events = _declared(gaps, longest), _events(t, span, longest)
    if events:
        verdicts.append(events)
    if declared and count < MIN_REPORTS:
        verdicts.append(declared)
    elif count >= MIN_REPORTS and not (events and longest == 0):
        verdicts.append(_habit(t, gaps, same))
    if not verdicts:
        verdicts.append(
            Verdict("too few", f"{count} of the {MIN_REPORTS} values needed to identify a reporting pattern")
        )
    return verdicts


def _declared(gaps: Float[np.ndarray, " g"], longest: float | None) -> Verdict | None:
    """Few records, at the longest interval that the log declares."""
    if longest and gaps.size and (np.abs(gaps / longest - 1) < 0.01).all():
        return Verdict(
            "periodic", f"{gaps.size + 1} records {longest:.6g} s apart, the longest interval that the log declares"
        )
    return None


def _events(t: Float[np.ndarray, " n"], span: tuple[float, float], longest: float | None) -> Verdict | None:
    """A burst within a long silence, or a log that declares that it records at events only."""
    begin, end = min(span[0], float(t[0])), max(span[1], float(t[-1]))
    if longest == 0:
        return Verdict(
            "event-triggered", f"the log declares no longest interval: {_records(t.size)} when something happened"
        )
    duration, window = end - begin, float(t[-1] - t[0])
    edges = np.concatenate([[begin], t, [end]])
    silence = float(np.diff(edges).max())
    if t.size >= MIN_REPORTS and duration > 0 and window <= 0.25 * duration and silence >= 0.5 * duration:
        argument = f"{t.size} records within {in_minutes(window)}, none in {in_minutes(duration - window)}: events"
        return Verdict("event-triggered", argument)
    return None


def _habit(t: Float[np.ndarray, " n"], gaps: Float[np.ndarray, " g"], same: int) -> Verdict:
    """Periodic or on change, distinguished by repeated values and by the scatter of the intervals."""
    middle, count = float(np.median(gaps)), gaps.size
    alike = np.abs(gaps / middle - 1) < PERIODIC_TOLERANCE
    poll, multiples = _polled(gaps)
    skipped = multiples is not None and (multiples > 1).mean() > 0.03
    argument = f"{same} of {count} repeat the one before" if same else f"all {count} differ from the one before"
    argument += ": whether it changed or not" if same else ", as a value that always changes would"
    if alike.mean() >= PERIODIC_SHARE and not (same == 0 and skipped):
        scatter, missed = float(np.std(gaps[alike])), int((~alike).sum())
        holes = f" ({missed} of {count} intervals apart)" if missed else ""
        return Verdict("periodic", f"reported every {_digits(middle, scatter)} s{holes}; {argument}")
    index = np.arange(t.size)
    period, first = np.polyfit(index, t - t[0], 1)
    late = float(np.std(t - t[0] - first - period * index))
    if count >= 20 and late < 0.35 * period:
        return Verdict(
            "periodic",
            f"report k comes at k x {_digits(float(period), late)} s, though single intervals scatter; {argument}",
        )
    differ = f"{count - same} of {count} reports differ from the one before"
    scatter = f"intervals scatter by a factor {float(gaps.max() / gaps.min()):.3g}"
    if same <= 0.02 * count:
        if multiples is not None and skipped:
            scatter = f"intervals are 1 to {int(multiples.max())} times {poll:.4g} s"
        return Verdict("on-change", f"{differ}; {scatter}: on change")
    return Verdict("irregular", f"{differ}; {scatter}: neither periodic nor on change")


def _polled(gaps: Float[np.ndarray, " g"]) -> tuple[float, Float[np.ndarray, " g"] | None]:
    """The period of which all intervals are whole multiples, and the multiples; None if there is none."""
    poll = float(np.median(gaps[gaps < 1.3 * gaps.min()]))
    multiples = np.round(gaps / poll)
    if multiples.min() < 1:
        return poll, None
    poll = float(np.median(gaps / multiples))
    multiples = np.round(gaps / poll)
    return poll, multiples if (np.abs(gaps / poll - multiples) < 0.05).mean() >= 0.9 else None


def _records(count: int) -> str:
    return f"{count} record{'s' if count > 1 else ''}"


def in_minutes(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _digits(value: float, scatter: float) -> str:
    """value ± scatter, with as many digits as the scatter supports."""
    if scatter < 1e-9 * value:
        return f"{value:.6g}"
    decimals = max(0, min(6, int(np.ceil(-np.log10(scatter)))))
    return f"{value:.{decimals}f} ± {max(scatter, 1e-6):.1g}"
