"""The bright-field disk of a convergent-beam pattern -> radius, centre, ellipticity, edge; with it semi-angle or camera length.

The disk's edge is r(phi) = R (1 + a cos 2 phi + b sin 2 phi) about its centre, phi from +x towards +y (down). What is inside and outside is not modelled:
every sector of the edge has levels and slopes of its own (crystals put lines and overlapping disks there), and an edge of common rms width between them, by
the likelihood of counts. The scatter of edges beyond counting noise is estimated and included in the error. A pattern that moved while it was recorded has
an edge that is wider along the motion. With R = semiangle camera_length / pixel one pattern determines only the product of semi-angle and camera length.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from reconstruct.measurement.disk.checks import arc_check, profile_check, scatter_check
from reconstruct.measurement.disk.motion import (
    MOTION_ELLIPSE,
    MOTION_EVIDENCE,
    motion_evidence,
    motion_for_ellipse,
    with_motion,
)
from reconstruct.measurement.disk.outline import Fit, fit_outline
from reconstruct.measurement.disk.report import Seen, no_disk, report
from reconstruct.measurement.disk.search import Found, camera_noise, find_disk, hot_pixels, is_saturated
from reconstruct.measurement.disk.sectors import Edges, Outline, Ring, fit_edges, ring_of
from reconstruct.measurement.disk.statements import Known, Scale
from reconstruct.measurement.disk.width import fit_width
from reconstruct.measurement.measurement import Measurement

MIN_ARC = 0.15
"""Share of the edge that must be in the frame."""
MIN_USABLE = 6
"""Sectors that must have an edge."""
SETTLED, NEARLY_SETTLED = 0.03, 0.3
"""Steps over their errors that end the fit; and those that must be reached in the last round."""
ROUNDS = 20
"""Times that edges and outline are fitted in turn, at most."""
RING_SHARE, RING_PIXELS, RING_WIDTHS = 0.2, 6.0, 8.0
"""Half the width of the ring that is looked at: this share of the radius, this many pixels where that is more, and at most so many rms widths beyond them."""
COARSE_RADIUS = 64.0
"""Radius in binned pixels of a disk that is first fitted in binned pixels."""
MAX_WIDTH = 0.2
"""Rms width of an edge over the radius, at most."""


class State(NamedTuple):
    """An ``outline`` and the ``shift`` [s] of its sectors' edges beyond it; whether it is known to a few widths (``near``), and whether it is ``moving``."""

    outline: Outline
    shift: np.ndarray
    near: bool
    moving: bool

    def placed(self, ring: Ring) -> np.ndarray:
        """``shift`` for the sectors of ``ring``; none where there are others."""
        sectors = len(ring.azimuth)
        return self.shift if len(self.shift) == sectors else np.zeros(sectors)


class Fitted(NamedTuple):
    """The last ``ring``, ``edges`` and ``fit``; ``width`` of the edge with its standard deviation; ``arc``, the share of the edge that was usable."""

    ring: Ring
    edges: Edges
    fit: Fit
    width: Known
    arc: float


def measure_disk(
    pattern: np.ndarray,
    pixel: float,
    camera_length: Known | None = None,
    semiangle: Known | None = None,
    pixel_angle: Known | None = None,
    counting: bool = False,
) -> Measurement:
    """Disk of ``pattern`` [ny, nx] in counts, NaN where it is not known, on a detector of ``pixel`` angstrom (1 micrometre is 1e4).

    ``camera_length`` (angstrom), ``semiangle`` and ``pixel_angle`` (radian) are what is known of them, mean and standard deviation; None is nothing.
    ``counting``: a count is an electron. ``radius``, ``centre_x``, ``centre_y`` (of pixel (0, 0)'s middle) and ``edge`` (rms width, the pixel's own included,
    without what a motion adds) are in pixels. What is saturated, cut off by the frame, too small or empty is widened, with a reason. ValueError for a pattern
    that is none.
    """
    scale = Scale(pixel, camera_length, semiangle, pixel_angle)
    known = _known_pixels(pattern, scale)
    filled = np.where(known, pattern, 0.0).astype(float)
    total = float(filled.sum())
    if total <= 0.0:
        return no_disk(filled.shape, scale, "no electrons: the pattern is empty", total)
    disk = find_disk(filled, known)
    if isinstance(disk, str):
        return no_disk(filled.shape, scale, disk, total)
    if is_saturated(filled, known, disk):
        reason = "the disk is saturated: where its intensity falls to half, which is its edge, cannot be seen"
        return no_disk(filled.shape, scale, reason, total, disk)
    electron, floor = camera_noise(filled, known, disk)
    hot = hot_pixels(filled, known, electron, floor)
    known = known & ~hot
    fitted = _fit(np.where(hot, 0.0, filled), known, disk, electron, floor)
    if isinstance(fitted, str):
        return no_disk(filled.shape, scale, fitted, total, disk)
    noise = max(fitted.edges.dispersion, 1.0) if counting else fitted.edges.dispersion
    checks = (
        profile_check(fitted.ring, fitted.edges, fitted.fit, noise),
        arc_check(fitted.fit),
        scatter_check(fitted.edges, fitted.fit),
    )
    seen = Seen(total, int(hot.sum()), disk.rival, electron if counting else None)
    return report(filled, known, fitted, scale, seen, checks)


def ellipticity(measurement: Measurement) -> tuple[float, float]:
    """Magnitude of the ellipticity (half the difference of the axes over their mean) and azimuth in radian of the long axis, within +-pi / 2."""
    a, b = measurement.value("ellipse_a")[0], measurement.value("ellipse_b")[0]
    return float(np.hypot(a, b)), float(0.5 * np.arctan2(b, a))


def _known_pixels(pattern: np.ndarray, scale: Scale) -> np.ndarray:
    if pattern.ndim != 2 or min(pattern.shape) < 16:
        raise ValueError(f"pattern has shape {pattern.shape}; give [ny, nx], at least 16 pixels each way")
    scale.check()
    known = np.isfinite(pattern)
    if known.mean() < 0.3:
        raise ValueError(f"{100 * (1 - known.mean()):.0f} % of the pattern is not a number; mask less of it")
    if pattern[known].min() < 0.0 and pattern[known].min() < -0.1 * pattern[known].max():
        raise ValueError("the pattern has large negative counts; subtract less dark current")
    return known


def _fit(filled: np.ndarray, known: np.ndarray, disk: Found, electron: float, floor: float) -> Fitted | str:
    """Outline and edges, in binned pixels first where the disk is large; or why there is no edge to fit."""
    outline = Outline(disk.radius, disk.x, disk.y, width=max(1.0, 0.03 * disk.radius))
    step = int(disk.radius // COARSE_RADIUS)
    if step > 1:
        ny, nx = (size // step for size in filled.shape)
        parts = [
            array[: ny * step, : nx * step].reshape(ny, step, nx, step).sum(axis=(1, 3))
            for array in (filled, 1.0 * known)
        ]
        seen = parts[1] > 0.5 * step**2
        counts = np.where(seen, parts[0] * step**2 / np.maximum(parts[1], 1.0), 0.0)
        small = _fit_rounds(counts, seen, _scaled(outline, 1.0 / step), electron, floor * step**2)
        if isinstance(small, str):
            return small
        outline = _scaled(small.fit.outline, step)
    return _fit_rounds(filled, known, outline, electron, floor, step > 1)


def _scaled(outline: Outline, factor: float) -> Outline:
    middle = 0.5 * (factor - 1.0)
    return dataclasses.replace(
        outline, radius=outline.radius * factor, x=outline.x * factor + middle, y=outline.y * factor + middle,
        width=outline.width * factor, motion=(outline.motion[0] * factor, outline.motion[1] * factor),
    )  # fmt: skip


def _fit_rounds(
    filled: np.ndarray, known: np.ndarray, outline: Outline, electron: float, floor: float, near: bool = False
) -> Fitted | str:
    """Edges and outline in turn, first without a motion, then with one where the sectors' widths tell it; ``near``: the outline is known to a few widths."""
    state = State(outline, np.zeros(0), near, False)

    def settle(state: State) -> State | str:
        for count in range(ROUNDS):
            ring, edges = look(state, state.near or count > 4)
            if edges.usable.mean() < MIN_ARC or edges.usable.sum() < MIN_USABLE:
                return (
                    f"only {100 * edges.usable.mean():.0f} % of the disk's edge is in the frame with contrast across it"
                )
            fit = fit_outline(edges, state.outline, state.placed(ring), state.moving)
            state = state._replace(outline=fit.outline, shift=fit.shift)
            if fit.step < (SETTLED if count < ROUNDS - 1 else NEARLY_SETTLED) and count > 2:
                return state._replace(near=True)
        return "no outline of the disk settles: its edge may be hidden, or it is no disk; use a part of the pattern, or mask what covers the edge ({mask})"

    def look(state: State, near: bool) -> tuple[Ring, Edges]:
        ring = ring_of(filled, known, state.outline, _half_width(state.outline, near), electron)
        return ring, fit_edges(ring, state.outline, state.placed(ring), floor, electron)

    settled = settle(state)
    if isinstance(settled, str):
        return settled
    ring, edges = look(settled, True)
    evidence, motion = motion_evidence(edges, settled.outline, settled.placed(ring))
    starts = [with_motion(settled.outline, motion)] if evidence > MOTION_EVIDENCE else []
    if np.hypot(settled.outline.a, settled.outline.b) > MOTION_ELLIPSE:
        # a long motion may pass for an ellipse, with levels that fall towards the edge
        starts.append(motion_for_ellipse(settled.outline))
    for start in starts:
        moved = settle(settled._replace(outline=start, moving=True))
        if isinstance(moved, str):
            continue
        moved_ring, moved_edges = look(moved, True)
        evidence, _ = motion_evidence(moved_edges, moved.outline, moved.placed(moved_ring))
        if evidence > MOTION_EVIDENCE and moved_edges.dispersion < edges.dispersion:
            settled, edges = moved, moved_edges
    outline = settled.outline
    if outline.width > MAX_WIDTH * outline.radius:
        return f"what falls off is no disk's edge: it is spread over {outline.width:.3g} pixels rms, for a radius of {outline.radius:.3g}"
    ring, edges = look(settled, True)
    fit = fit_outline(edges, outline, settled.placed(ring), settled.moving)
    fit = fit._replace(outline=outline, shift=settled.placed(ring))
    width = fit_width(ring, edges, fit, floor, electron)
    return Fitted(ring, edges, width.fit, (width.mean, width.std), float(edges.usable.mean()))


def _half_width(outline: Outline, near: bool) -> float:
    """Half the width of the ring that is looked at; ``near``: the outline is known to a few widths of its edge."""
    spread = float(np.sqrt(outline.width**2 + np.hypot(*outline.motion) ** 2 / 12.0))
    wanted = max(RING_SHARE * outline.radius, min(RING_PIXELS, 0.6 * outline.radius))
    if near:
        wanted = min(wanted, RING_PIXELS + RING_WIDTHS * spread)
    return max(wanted, min(4.0 * spread, 0.5 * outline.radius))
