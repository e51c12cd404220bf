"""Checks of recorded camera lengths and defoci against the optics computed from the recorded lens settings.

Where a lens was not reported, or the draws of the column's constants disagree among themselves, it is "unknown".
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from reconstruct.calibration.evaluation import driven_lenses
from reconstruct.calibration.modes.classify import Modes, session_modes
from twin.column.column import Column
from twin.column.settings import Settings
from twin.lenses.cardinal import focus_change

SURE_MODE_PROBABILITY = 0.95
"""Probability of a mode from which a verdict relies on it."""
CONTRADICTION_SIGMAS = 3.0
"""Standard deviations beyond which a claim contradicts."""
EXCITATION_READ_ERROR = 1e-6
"""Assumed relative rms error of a lens excitation as read from a console."""
UNCHANGED_TOLERANCE = 1e-10
"""Excitations and tensions closer than this, relative, were not changed."""

Verdict = Literal["agrees", "stale", "moved zero", "contradicts", "unknown"]


@dataclasses.dataclass(frozen=True)
class Record:
    """The metadata of one file: ``settings`` of the lenses; claims in inside units, None where it makes none. ``defocus`` is C10: above 0 is overfocus."""

    label: str
    settings: Settings
    camera_length: float | None = None
    defocus: float | None = None


@dataclasses.dataclass(frozen=True)
class Judgement:
    """``quantity`` of the record ``label`` claims ``claimed``; the optics give ``expected``, within a factor or a width ``std`` of one sigma (nan: unknown)."""

    label: str
    quantity: str
    verdict: Verdict
    why: str
    claimed: float
    expected: float = math.nan
    std: float = math.nan


def judge(
    column: Column, records: Sequence[Record], draws: np.ndarray, weights: np.ndarray | None = None
) -> tuple[list[Modes], list[Judgement]]:
    """The modes of ``records`` (in the order of their times) and a judgement of each of their claims, under ``draws`` [k, n] of the constants."""
    modes = session_modes(column, [record.settings for record in records], draws, weights)
    judgements = [
        _camera_length(column, record, mode, draws, weights)
        for record, mode in zip(records, modes, strict=True)
        if record.camera_length is not None
    ]
    last: Record | None = None
    for record in records:
        if record.defocus is not None:
            if last is not None:
                judgements.append(_defocus(column, last, record, draws, weights))
            last = record
    return modes, judgements


def _camera_length(
    column: Column, record: Record, mode: Modes, draws: np.ndarray, weights: np.ndarray | None
) -> Judgement:
    claimed = record.camera_length
    assert claimed is not None
    judgement = lambda verdict, why, *numbers: Judgement(record.label, "camera_length", verdict, why, claimed, *numbers)  # noqa: E731
    if not mode.projection:
        return judgement("unknown", f"{', '.join(mode.missing)} not reported")
    likely = max(mode.projection, key=lambda name: mode.projection[name])
    if mode.projection[likely] < SURE_MODE_PROBABILITY and likely == "imaging":
        return judgement(
            "unknown", f"imaging and diffraction are both possible ({mode.projection['imaging']:.0%} imaging)"
        )
    if likely == "imaging":
        return judgement(
            "stale", "the lenses make an image: a camera length here is what was set when diffraction was last used"
        )
    logs = np.log([float(column.optics(record.settings, constants).camera_length) for constants in draws])
    expected, std = _median_and_spread(logs, weights)
    log_error = abs(math.log(claimed) - expected)
    if log_error > CONTRADICTION_SIGMAS * std and mode.projection[likely] < SURE_MODE_PROBABILITY:
        return judgement(
            "unknown", f"diffraction is not certain ({mode.projection['diffraction']:.0%})", math.exp(expected), std
        )
    why = f"the lenses make {math.exp(expected) / 1e10:.3g} m within a factor of {math.exp(std):.2f}"
    return judgement(
        "contradicts" if log_error > CONTRADICTION_SIGMAS * std else "agrees", why, math.exp(expected), std
    )


def _defocus(
    column: Column, previous: Record, record: Record, draws: np.ndarray, weights: np.ndarray | None
) -> Judgement:
    assert previous.defocus is not None
    assert record.defocus is not None
    claimed = record.defocus - previous.defocus
    judgement = lambda verdict, why, *numbers: Judgement(record.label, "defocus", verdict, why, claimed, *numbers)  # noqa: E731
    objective = next(
        lens.control for lens in driven_lenses(column) if lens.name == column.table.of_specimen().objective
    )
    lens = [record.settings.controls.get(objective, math.nan) for record in (previous, record)]
    if not all(math.isfinite(value) and value != 0 for value in lens):
        return judgement("unknown", f"{objective} was not reported")
    current = lens[1] / lens[0] - 1.0
    tension = record.settings.high_tension / previous.settings.high_tension - 1.0
    chromatic = np.array([float(column.optics(record.settings, constants).chromatic[1]) for constants in draws])
    changes = chromatic * float(focus_change(1.0, previous.settings.high_tension, current, tension))
    expected, spread = _median_and_spread(changes, weights)
    middle, _ = _median_and_spread(chromatic, weights)
    read_error = 0.0 if abs(current) < UNCHANGED_TOLERANCE else math.sqrt(2) * EXCITATION_READ_ERROR * 2 * middle
    std = math.hypot(spread, max(read_error, EXCITATION_READ_ERROR * middle))
    since = f"since {previous.label} the objective lens and HT "
    unchanged = abs(current) < UNCHANGED_TOLERANCE and abs(tension) < UNCHANGED_TOLERANCE
    since += (
        "did not change"
        if unchanged
        else f"changed by {current:.3g} and {tension:.3g}, which is {expected / 10:.4g} nm"
    )
    if abs(claimed - expected) <= CONTRADICTION_SIGMAS * std:
        return judgement("agrees", since, expected, std)
    moved = (claimed - expected) / 10
    return judgement("moved zero", f"{since}: the zero of defocus was moved by {-moved:.4g} nm", expected, std)


def _median_and_spread(values: np.ndarray, weights: np.ndarray | None) -> tuple[float, float]:
    """Median, and half the central 68 % interval: draws in which a lens passes through focus are rare outliers."""
    order = np.argsort(values)
    share = np.full(len(values), 1.0) if weights is None else weights[order]
    below = (np.cumsum(share) - 0.5 * share) / share.sum()
    low, middle, high = np.interp([0.16, 0.5, 0.84], below, values[order])
    return float(middle), float(0.5 * (high - low))
