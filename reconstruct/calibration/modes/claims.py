"""What records claim of the optics, held against what their lenses say: which mode, whether a camera length means anything, whether a zero was moved.

A verdict needs evidence on both sides. Where a lens was not reported, or the draws of the column's constants disagree among themselves, it is "unknown".
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from reconstruct.calibration.evaluation import driven
from reconstruct.calibration.modes.classify import Modes, of_session
from twin.column.column import Column
from twin.column.settings import Settings
from twin.lenses.cardinal import focus_change

SURE = 0.95
"""Probability of a mode above which a verdict rests on it."""
FAR = 3.0
"""Standard deviations beyond which a claim contradicts."""
READ = 1e-6
"""Rms error of a lens excitation as a console tells it, relative; an assumption."""
SET = 1e-10
"""Excitations and tensions closer than this, relative, were not changed."""

Verdict = Literal["agrees", "stale", "moved zero", "contradicts", "unknown"]


@dataclasses.dataclass(frozen=True)
class Record:
    """What one file says: ``settings`` of the lenses; claims in inside units, None where it makes none. ``defocus`` is C10: above 0 is overfocus."""

    label: str
    settings: Settings
    camera_length: float | None = None
    defocus: float | None = None


@dataclasses.dataclass(frozen=True)
class Judgement:
    """``quantity`` of the record ``label`` claims ``claimed``; the lenses say ``expected``, within a factor or a width ``std`` of one sigma (nan: nothing)."""

    label: str
    quantity: str
    verdict: Verdict
    why: str
    claimed: float
    expected: float = math.nan
    std: float = math.nan


def judged(
    column: Column, records: Sequence[Record], draws: np.ndarray, weights: np.ndarray | None = None
) -> tuple[list[Modes], list[Judgement]]:
    """The modes of ``records`` (in the order of their times) and what is to be said of each of their claims, under ``draws`` [k, n] of the constants."""
    found = of_session(column, [one.settings for one in records], draws, weights)
    judgements = [
        _camera_length(column, record, mode, draws, weights)
        for record, mode in zip(records, found, strict=True)
        if record.camera_length is not None
    ]
    last: Record | None = None
    for record in records:
        if record.defocus is not None:
            if last is not None:
                judgements.append(_defocus(column, last, record, draws, weights))
            last = record
    return found, judgements


def _camera_length(
    column: Column, record: Record, mode: Modes, draws: np.ndarray, weights: np.ndarray | None
) -> Judgement:
    claimed = record.camera_length
    assert claimed is not None
    say = lambda verdict, why, *numbers: Judgement(record.label, "camera_length", verdict, why, claimed, *numbers)  # noqa: E731
    if not mode.projection:
        return say("unknown", f"{', '.join(mode.missing)} not reported")
    likely = max(mode.projection, key=lambda name: mode.projection[name])
    if mode.projection[likely] < SURE and likely == "imaging":
        return say("unknown", f"imaging and diffraction are both possible ({mode.projection['imaging']:.0%} imaging)")
    if likely == "imaging":
        return say(
            "stale", "the lenses make an image: a camera length here is what was set when diffraction was last used"
        )
    logs = np.log([float(column.optics(record.settings, one).camera_length) for one in draws])
    expected, std = _middle(logs, weights)
    off = abs(math.log(claimed) - expected)
    if off > FAR * std and mode.projection[likely] < SURE:
        return say(
            "unknown", f"diffraction is not certain ({mode.projection['diffraction']:.0%})", math.exp(expected), std
        )
    why = f"the lenses make {math.exp(expected) / 1e10:.3g} m within a factor of {math.exp(std):.2f}"
    return say("contradicts" if off > FAR * std else "agrees", why, math.exp(expected), std)


def _defocus(column: Column, before: Record, after: Record, draws: np.ndarray, weights: np.ndarray | None) -> Judgement:
    assert before.defocus is not None
    assert after.defocus is not None
    claimed = after.defocus - before.defocus
    say = lambda verdict, why, *numbers: Judgement(after.label, "defocus", verdict, why, claimed, *numbers)  # noqa: E731
    objective = next(one.control for one in driven(column) if one.name == column.table.of_specimen().objective)
    lens = [one.settings.controls.get(objective, math.nan) for one in (before, after)]
    if not all(math.isfinite(value) and value != 0 for value in lens):
        return say("unknown", f"{objective} was not reported")
    current = lens[1] / lens[0] - 1.0
    tension = after.settings.high_tension / before.settings.high_tension - 1.0
    chromatic = np.array([float(column.optics(after.settings, one).chromatic[1]) for one in draws])
    changes = chromatic * float(focus_change(1.0, before.settings.high_tension, current, tension))
    expected, spread = _middle(changes, weights)
    middle, _ = _middle(chromatic, weights)
    read = 0.0 if abs(current) < SET else math.sqrt(2) * READ * 2 * middle
    std = math.hypot(spread, max(read, READ * middle))
    since = f"since {before.label} the objective lens and HT "
    unchanged = abs(current) < SET and abs(tension) < SET
    since += (
        "did not change"
        if unchanged
        else f"changed by {current:.3g} and {tension:.3g}, which is {expected / 10:.4g} nm"
    )
    if abs(claimed - expected) <= FAR * std:
        return say("agrees", since, expected, std)
    moved = (claimed - expected) / 10
    return say("moved zero", f"{since}: the zero of defocus was moved by {-moved:.4g} nm", expected, std)


def _middle(values: np.ndarray, weights: np.ndarray | None) -> tuple[float, float]:
    """Median, and half of what holds the central 68 %: draws in which a lens passes through focus are far off and few."""
    order = np.argsort(values)
    share = np.full(len(values), 1.0) if weights is None else weights[order]
    below = (np.cumsum(share) - 0.5 * share) / share.sum()
    low, middle, high = np.interp([0.16, 0.5, 0.84], below, values[order])
    return float(middle), float(0.5 * (high - low))
