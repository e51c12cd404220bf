"""Tests of a disk's fit against what it was not free to absorb: the profile across the edge, and arcs that were left out."""

import numpy as np

from reconstruct.measurement.disk.outline import Fit
from reconstruct.measurement.disk.sectors import Edges, Ring
from reconstruct.measurement.outcome import FitCheck

MAX_UNEXPLAINED = 0.06
"""Rms share of the disk's contrast across its edge that the profile may leave: real edges are no error functions to a few percent."""
MAX_ARC_DEVIATION = 0.03
"""Share of the radius by which the edge of an arc may lie off what the other arcs say."""
MAX_SCATTER = 0.02
"""Rms share of the radius by which the edges of sectors may lie off the ellipse, counting noise left out."""
PROFILE_BINS = np.array([-5.0, -3.0, -1.8, -0.9, -0.3, 0.3, 0.9, 1.8, 3.0, 5.0])
"""Ends of the bins of the profile, in rms widths."""
DIRECTIONS = 4
"""Groups of opposite directions in which the profile is looked at."""


def profile_check(ring: Ring, edges: Edges, fit: Fit, dispersion: float) -> FitCheck:
    """Whether counts across the edge follow its profile, in each of a few directions.

    Levels inside and outside are each sector's own, so that only the shape between them is tested. The value is what counting noise does not explain.
    """
    outline = fit.outline
    azimuth = ring.azimuth[ring.sector]
    spread = np.sqrt(outline.width**2 + outline.motion_across(azimuth) ** 2 / 12.0)
    offset = (ring.offset - fit.shift[ring.sector]) / spread
    use = edges.usable[ring.sector] & (np.abs(offset) < PROFILE_BINS[-1])
    direction = ((azimuth + np.pi / DIRECTIONS / 2.0) % np.pi / np.pi * DIRECTIONS).astype(int) % DIRECTIONS
    bins = direction * (len(PROFILE_BINS) - 1) + np.digitize(offset, PROFILE_BINS) - 1
    bins, weight = bins[use], fit.weight[ring.sector][use]
    size = DIRECTIONS * (len(PROFILE_BINS) - 1)

    def summed(values: np.ndarray) -> np.ndarray:
        return np.bincount(bins, values, size)

    residual = summed(weight * (ring.counts - edges.model)[use])
    variance = dispersion * summed(weight**2 * edges.model[use])
    contrast = summed(weight * edges.contrast[ring.sector][use])
    filled = contrast > 0.0
    count = max(int(filled.sum()), 1)
    share = np.zeros(size)
    share[filled] = residual[filled] / contrast[filled]
    noise = np.zeros(size)
    noise[filled] = variance[filled] / contrast[filled] ** 2
    excess = float((share**2 - noise).sum()) / count
    error = float(np.sqrt(2.0 * (noise**2).sum())) / count
    value = float(np.sqrt(max(excess - 3.0 * error, 0.0)))
    finding = (
        f"{100 * value:.0f} % of the contrast across the edge is not that of a disk's edge: the pattern may have moved unevenly, the camera's spread may have "
        "long tails, or it is no disk; use a single frame, or a part of the pattern"
    )
    return FitCheck("share of the edge's contrast that is not explained", value, MAX_UNEXPLAINED, finding)


def arc_check(fit: Fit) -> FitCheck:
    """Whether arcs lie where the other arcs say that they should, beyond their errors."""
    excess = np.maximum(np.abs(fit.arc_deviation) - 3.0 * fit.arc_error, 0.0) / fit.outline.radius
    value = float(excess.max(initial=0.0))
    finding = (
        f"an arc of the edge lies {100 * value:.1f} % of the radius off the ellipse that the others make: the aperture may not be round, or other disks cover "
        "the edge; mask that part ({mask})"
    )
    return FitCheck("left-out arcs: deviation over the radius", value, MAX_ARC_DEVIATION, finding)


def scatter_check(edges: Edges, fit: Fit) -> FitCheck:
    """Whether edges of single sectors lie near the ellipse, as far as counting noise can tell where they are."""
    value = float(np.sqrt((fit.shift[edges.usable] ** 2).mean())) / fit.outline.radius
    finding = (
        f"the edge scatters by {100 * value:.1f} % of the radius about an ellipse: the aperture may not be round, or a crystal's lines cover its edge; use "
        "vacuum or a thinner part"
    )
    return FitCheck("scatter of the edge over the radius", value, MAX_SCATTER, finding)
