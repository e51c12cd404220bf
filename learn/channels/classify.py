"""What kind of reporter a channel is, told from its times and values alone, each verdict with its argument in words and numbers.

- ``constant``         the same value every time;
- ``quantised``        values on a grid of steps;
- ``event-triggered``  a burst of records when something happens, silence otherwise;
- ``on-change``        a record when the value has changed enough;
- ``periodic``         a record at fixed times, whether the value has changed or not;
- ``irregular``        none of these habits;
- ``held``           a run of equal values, as of a quantity at rest;
- ``stuck``          a run of equal values of a sensor with noise of its own;
- ``saturated``      the same at the largest or least value of all, to which the values before led;
- ``silent``, ``too few``: no record, or not enough to tell.

Several may hold of one channel. Numbers (step, noise, drift, lag) come with errors, or with how many values they would need.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from learn.channels.habits import NEEDED, Verdict, in_minutes, reporting_habits
from learn.channels.noise import Drift, Estimate, TooFew, learn_drift
from learn.channels.plateaus import Plateau, find_plateaus, noise_at_rest, plateau_words, telling
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
    """What a log tells of one channel. ``interval`` is the median time between records (s), ``rest`` the noise while it is held."""

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
        """The classes that hold."""
        return tuple(verdict.kind for verdict in self.verdicts)


def describe_channel(
    times: Float[np.ndarray, " n"],
    values: Float[np.ndarray, " n"],
    span: tuple[float, float] | None = None,
    max_interval: float | None = None,
    unit: str = "",
    codes: bool = False,
) -> ChannelReport:
    """Classes and numbers of one channel: ``values`` (``unit``) at increasing ``times`` (s).

    ``span`` (s) is what the log covers, where it is more than from the first record to the last; ``max_interval`` (s) the longest time without a
    record that the log declares (0: recorded at events only). ``codes``: values name states, and have neither noise nor drift.
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
    step = TooFew(NEEDED, t.size, "values") if t.size < NEEDED else None
    grid = 0.0 if codes else reporting_step(x)
    if grid:
        step = Estimate(grid, None, unit)
        verdicts.append(Verdict("quantised", _grid(x, grid, f" {unit}" if unit not in ("", "1") else "")))
    periodic = any(verdict.kind == "periodic" for verdict in verdicts)
    plateaus = find_plateaus(t, x, grid) if periodic and not codes else ()
    verdicts += _runs(plateaus, x, f" {unit}" if unit not in ("", "1") else "")
    used = telling(t.size, plateaus)
    if codes:
        drift = None
    elif any(verdict.kind == "event-triggered" for verdict in verdicts):
        drift = TooFew(NEEDED, 0, "values between events")
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
    """A verdict for each kind of plateau, with the longest one's argument."""
    verdicts = []
    for kind in ("held", "stuck", "saturated"):
        runs = sorted((plateau for plateau in plateaus if plateau.kind == kind), key=lambda plateau: -plateau.count)
        if runs:
            others = f" (and {len(runs) - 1} more)" if len(runs) > 1 else ""
            verdicts.append(Verdict(kind, plateau_words(runs[0], x, unit) + others))
    return verdicts


def _grid(x: Float[np.ndarray, " n"], step: float, unit: str) -> str:
    levels = np.unique(x)
    if not few_levels(x):
        return f"all values lie on a grid of {step:.3g}{unit}"
    listed = (
        f": {', '.join(f'{level:.6g}' for level in levels)}{unit}" if levels.size <= 4 else f", {step:.3g}{unit} apart"
    )
    return f"takes only {levels.size} values{listed}"
