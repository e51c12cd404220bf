"""The zero loss of a spectrum, taken apart from losses: its shape as it was recorded, with a tail for what lies under losses.

What was lost begins where the spectrum stops falling. Between the flank of the zero loss and that place both are there, so that the zero loss's counts
have an error that no counting shows: from its flank continued as it falls to all counts before that place (R. F. Egerton, Electron Energy-Loss
Spectroscopy in the Electron Microscope, 3rd ed., 2011, section 5.1: where to end the zero loss).
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from reconstruct.eels.features import Peak

FLANK = 2.0
"""Full widths from the centre to the end of what is zero loss alone."""
SLOPE_WIDTHS = 0.6
"""Full widths of the flank's end by which its fall is measured."""
LEAST_POWER = 2.0
"""Slowest fall of the tail, as a power of the loss: that of a Lorentzian."""


class ZeroLoss(NamedTuple):
    """``shape`` [channels] in counts, ``centre`` in channels and its ``error``, full ``width`` in channels; ``counts`` with their rms ``counts_error`` by where
    losses begin, and ``begins``: the channel from which on losses are seen."""

    shape: np.ndarray
    centre: float
    error: float
    width: float
    counts: float
    counts_error: float
    begins: int


def separate(counts: np.ndarray, peak: Peak) -> ZeroLoss:
    """The zero loss of ``counts`` [channels], whose ``peak`` was found (`features.zero_loss`)."""
    values = np.asarray(counts, np.float64)
    smooth = gaussian_filter1d(values, max(0.25 * peak.width, 1.0))
    flank = min(math.ceil(peak.centre + FLANK * peak.width), len(values) - 2)
    rising = np.flatnonzero(np.diff(smooth[flank:]) >= 0.0)
    begins = flank + int(rising[0]) if len(rising) else len(values) - 1
    shape = values.copy()
    tail = np.arange(flank, len(values)) - peak.centre
    near = max(int(SLOPE_WIDTHS * peak.width), 1)
    level, before = max(smooth[flank], 0.0), smooth[flank - near]
    power = LEAST_POWER
    if level > 0.0 and before > level:
        power = max(math.log(before / level) / math.log(tail[0] / (tail[0] - near)), LEAST_POWER)
    shape[flank:] = level * (tail / tail[0]) ** -power
    least, most = float(shape.sum()), float(values[:begins].sum() + shape[begins:].sum())
    return ZeroLoss(shape, peak.centre, peak.error, peak.width, least, max(most - least, 0.0) / math.sqrt(3.0), begins)
