"""Evidence of a convergent beam that lies whole on a camera: its electrons, which are the current times the time times the gain."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from reconstruct.measurement.disk.lit import lit_region
from reconstruct.measurement.measurement import Component
from reconstruct.validation.data.diffraction.patterns import ANGLE, FREQUENCY
from reconstruct.validation.data.options import Known, Tell
from reconstruct.validation.evidence import Evidence, Gap, Statement
from twin.optics.electrons import ELEMENTARY_CHARGE
from twin.records import Signal

THROUGH = (0.5, 1.02)
"""Shares of the electrons of the beam that a camera counts: others are scattered beyond it, absorbed, or arrive with another or while it is read."""
ERROR = 0.05
"""Relative rms of currents: they drift, and what measures them is calibrated to a few per cent."""
MOST_PATTERNS = 256
"""Patterns of a scan that are summed."""
DARK_SHARE = 0.5
"""Share of the counts that may be the camera's dark level, which is not known better than by its darkest pixels."""
LEAST_FILLED, SATURATED = 0.9, 0.02
"""Share of the circle of the disk's area that must be lit, and of its pixels that may read one highest value."""
LEAST_ELECTRONS = 1e3
VERIFY = "Measure the current in vacuum with the whole beam on the camera."


def electrons(
    signal: Signal, values: Mapping[str, float], known: Known, tell: Tell
) -> tuple[list[Evidence], list[Gap]]:
    """beam_current x time x gain, within what may be lost; a gap where the beam is not whole on the camera."""
    del known, tell
    fields = ("beam_current", time_of(values), *(("gain",) if "gain" in values else ()))
    pattern, frames = _mean_pattern(signal)
    counts = _counts(pattern)
    if isinstance(counts, str):
        return [], [Gap(fields, f"the electrons of the beam were not counted: {counts}", VERIFY)]
    low, _ = counts
    gain = values.get("gain", 1.0)
    if low / gain * frames < LEAST_ELECTRONS:
        return [], [Gap(fields, "too few electrons are on the camera", VERIFY)]
    words = f"A pattern holds {low:.3g} counts: {THROUGH[0]:.0%} to all of the electrons of the beam."
    return [whole_beam(counts, values, THROUGH, words)], []


def whole_beam(
    counts: tuple[float, float],
    values: Mapping[str, float],
    through: tuple[float, float],
    words: str,
    gain: tuple[float, float] = (1.0, 0.0),
    rests_on: tuple[str, ...] = (),
) -> Evidence:
    """Current x time x counts per electron of a beam that made between ``counts`` least and most, ``through``: the least and the largest share of its electrons
    that are counted. ``gain``: counts per electron with their relative error, where the file does not claim them. ``rests_on``: as `Evidence` has it."""
    time, (each, error) = time_of(values), gain
    claimed = {"gain": 1.0} if "gain" in values else {}
    each, error = (1.0, 0.0) if claimed else (each, error)
    statement = Statement("electrons of the beam", {"beam_current": 1.0, time: 1.0, **claimed})
    low, high = (
        math.log(ELEMENTARY_CHARGE * count / each / share) for count, share in zip(counts, through[::-1], strict=True)
    )
    part = Component(1.0, np.array([0.5 * (low + high)]), np.array([[ERROR**2 + error**2]]))
    tolerance = (0.5 * (high - low),)
    return Evidence("counts of the whole beam", "data", (statement,), (part,), words, ("screen current",), rests_on, tolerance=tolerance)  # fmt: skip


def _counts(pattern: np.ndarray) -> tuple[float, float] | str:
    """The least and the most counts that the beam makes, or why that is not known."""
    smooth = gaussian_filter(pattern, 1.0)
    dark = max(float(np.quantile(pattern, 0.02)), 0.0)
    region = lit_region(smooth > dark + 0.5 * (float(np.quantile(smooth, 0.99)) - dark))
    if region is None:
        return "no disk is seen"
    if not region.whole:
        return "the bright-field disk is not whole on the camera"
    if region.filled < LEAST_FILLED:
        return "the brightest part is no disk"
    disk = region.inside
    if disk.sum() > 50 and (pattern[disk] >= float(pattern[disk].max())).mean() > SATURATED:
        return "the disk is saturated"
    total = float(pattern.sum())
    if dark * pattern.size > DARK_SHARE * total:
        return "most counts are the camera's dark level"
    return total - dark * pattern.size, total


def _mean_pattern(signal: Signal) -> tuple[np.ndarray, int]:
    """The mean over the patterns of a signal (of many over some), and over how many."""
    data: Any = np.asarray(signal.data)
    patterns = data.reshape(-1, *data.shape[-2:])
    patterns = patterns[:: max(1, math.ceil(len(patterns) / MOST_PATTERNS))]
    return np.nan_to_num(patterns.mean(axis=0, dtype=np.float64)), len(patterns)


def time_of(values: Mapping[str, float]) -> str:
    """The field that claims how long the beam was recorded."""
    return "exposure" if "exposure" in values else "dwell"


def may_be_whole_beam(signal: Signal, values: Mapping[str, float], known: Known) -> bool:
    """Whether a recording is a pattern of a convergent beam, or a scan of them, with the claims of current, time and gain."""
    del known
    pattern = any(set(pair) <= set(values) for pair in (ANGLE, FREQUENCY)) and "convergence_semiangle" in values
    claimed = {"beam_current", time_of(values)} <= set(values) and (
        "gain" in values or signal.raw.get("unit") == "electrons"
    )
    # of a stack of images it is not known whether the exposure is that of one or of all
    return pattern and claimed and signal.data.ndim in (2, 4)
