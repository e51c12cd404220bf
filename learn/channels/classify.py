"""Classification of a channel from its times and values: how it reports, and in which runs it is constant.

- ``constant``         the same value every time;
- ``quantised``        values on a grid of steps;
- ``event-triggered``  a burst of records at an event, silence otherwise;
- ``on-change``        a record when the value has changed enough;
- ``periodic``         a record at fixed times, whether the value has changed or not;
- ``irregular``        none of these patterns;
- ``held``             a run of equal values of a quantity at rest;
- ``stuck``            a run of equal values of a sensor that is noisy elsewhere;
- ``saturated``        a run of equal values at the largest or smallest value, approached by the values before it;
- ``silent``, ``too few``: no record, or not enough records.

Several classes may apply. Each verdict states its reason. Numbers (step, noise, drift, lag) have errors, or state how many values they would need.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from learn.channels.habits import MIN_REPORTS, Verdict, in_minutes, reporting_habits
from learn.channels.noise import Drift, Estimate, TooFew, learn_drift
from learn.channels.plateaus import Plateau, describe_plateau, find_plateaus, informative_values, noise_at_rest
from learn.channels.steps import few_levels, reporting_step

CLASSES = (
    "constant",
    "quantised",
    "event-triggered",
    "on-change",
    "periodic",
    "irregular",
    "held",
    "stuck",
    "saturated",
    "silent",
    "too few",
)


@dataclasses.dataclass(frozen=True)
class ChannelReport:
    """Result for one channel. ``interval`` is the median time between records (s), ``rest`` the noise while the value is held."""

    count: int
    verdicts: tuple[Verdict, ...]
    interval: float | None
    lowest: float | None
    highest: float | None
    step: Estimate | TooFew | None
    drift: Drift | TooFew | None
    plateaus: tuple[Plateau, ...] = ()
    rest: Estimate | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The classes that apply."""
        return tuple(verdict.kind for verdict in self.verdicts)


def describe_channel(
    times: Float[np.ndarray, " n"],
    values: Float[np.ndarray, " n"],
    span: tuple[float, float] | None = None,
    max_interval: float | None = None,
    unit: str = "",
    codes: bool = False,
) -> ChannelReport:
    """Classify one channel and estimate its step, noise and drift from ``values`` (``unit``) at increasing ``times`` (s).

    ``span`` (s) is the time that the log covers, if longer than from the first to the last record; ``max_interval`` (s) the longest time without a record
    that the log declares (0: recorded at events only). ``codes``: values are names of states, and have neither noise nor drift.
    """
    t, x = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if t.shape != x.shape or t.ndim != 1:
        raise ValueError(f"{t.shape} times for {x.shape} values; give one time for each value, in one row")
    if not (np.isfinite(t).all() and np.isfinite(x).all()) or (np.diff(t) <= 0).any():
        raise ValueError("times or values are not finite, or times do not increase; leave such records out")
    begin, end = span or ((float(t[0]), float(t[-1])) if t.size else (0.0, 0.0))
    if t.size == 0:
        argument = f"no record in {in_minutes(end - begin)}" if end > begin else "no record"
        return ChannelReport(0, (Verdict("silent", argument),), None, None, None, None, None)
    gaps = np.diff(t)
    verdicts = reporting_habits(t, x, gaps, (begin, end), max_interval)
    step = TooFew(MIN_REPORTS, t.size, "values") if t.size < MIN_REPORTS else None
    grid = 0.0 if codes else reporting_step(x)
    if grid:
        step = Estimate(grid, None, unit)
        verdicts.append(Verdict("quantised", _grid(x, grid, f" {unit}" if unit not in ("", "1") else "")))
    periodic = any(verdict.kind == "periodic" for verdict in verdicts)
    plateaus = find_plateaus(t, x, grid) if periodic and not codes else ()
    verdicts += _runs(plateaus, x, f" {unit}" if unit not in ("", "1") else "")
    used = informative_values(t.size, plateaus)
    if codes:
        drift = None
    elif any(verdict.kind == "event-triggered" for verdict in verdicts):
        drift = TooFew(MIN_REPORTS, 0, "values between events")
    else:
        drift = learn_drift(t[used], x[used], grid, "" if unit == "1" else unit)
    middle = float(np.median(gaps)) if gaps.size else None
    return ChannelReport(
        t.size,
        tuple(verdicts),
        middle,
        float(x.min()),
        float(x.max()),
        step,
        drift,
        plateaus,
        noise_at_rest(plateaus, grid, unit),
    )


def _runs(plateaus: tuple[Plateau, ...], x: Float[np.ndarray, " n"], unit: str) -> list[Verdict]:
    """One verdict for each kind of plateau, with the reason for the longest."""
    verdicts = []
    for kind in ("held", "stuck", "saturated"):
        runs = sorted((plateau for plateau in plateaus if plateau.kind == kind), key=lambda plateau: -plateau.count)
        if runs:
            others = f" (and {len(runs) - 1} more)" if len(runs) > 1 else ""
            verdicts.append(Verdict(kind, describe_plateau(runs[0], x, unit) + others))
    return verdicts


def _grid(x: Float[np.ndarray, " n"], step: float, unit: str) -> str:
    levels = np.unique(x)
    if not few_levels(x):
        return f"all values lie on a grid of {step:.3g}{unit}"
    listed = (
        f": {', '.join(f'{level:.6g}' for level in levels)}{unit}" if levels.size <= 4 else f", {step:.3g}{unit} apart"
    )
    return f"takes only {levels.size} values{listed}"
