"""What moves the edges of a spectrum image beside their shapes: the offset of its axis, and the low loss with which they are convolved.

Both are unknowns that all spectra share, with a prior: the offset that of the claim or the zero loss, the low loss its counting noise. The axis has an offset
that can be told only where edges have absolute energies; others are put where they are seen. A spectrum may have its own offset (drift) and its own
thickness, to first order about the image's. So both likelihoods, of low and core loss, are maximised together: Gauss-Newton steps in which the low loss
enters by its own expansion (`reconstruct.eels.low_loss.scattering`).
"""

import math
from typing import NamedTuple

import numpy as np

from reconstruct.eels.core_loss.design import Design, convolved
from reconstruct.eels.core_loss.pixels import Own
from reconstruct.eels.low_loss.scattering import Scattering


class Known(NamedTuple):
    """What is known beside spectra: rms ``offset`` in eV by which the axis may be off (0: it is not fitted) and where its search begins (``start``), rms
    ``drift`` in eV of each spectrum's own (0: none), and the low loss (``scattering``)."""

    offset: float = 0.0
    start: float = 0.0
    drift: float = 0.0
    scattering: Scattering | None = None


class Rows(NamedTuple):
    """Derivatives of the edges of all spectra: ``basis`` [r, c] for one unit of amplitude, of each element from one to another of ``members``; unknowns that
    act on several elements are tied: ``tie`` [r, m + g] (None: each row is an unknown). ``shapes`` [k]: which of the unknowns are shape coefficients of an
    element."""

    basis: np.ndarray
    members: tuple[tuple[int, int], ...]
    shapes: tuple[tuple[int, int], ...]
    tie: np.ndarray | None = None


def plain_rows(design: Design) -> Rows:
    """Of shapes alone."""
    return Rows(design.basis, design.members, design.members)


def rows_of(design: Design, common: np.ndarray) -> Rows:
    """Of shapes and of unknowns that act on all elements, ``common`` [g, k, c]."""
    if not len(common):
        return plain_rows(design)
    count, shapes = len(common), len(design.element)
    parts, members, tie, begin = [], [], [], 0
    for index, (first, last) in enumerate(design.members):
        parts += [design.basis[first:last], common[:, index]]
        size = last - first + count
        members.append((begin, begin + size))
        block = np.zeros((size, shapes + count))
        block[np.arange(last - first), np.arange(first, last)] = 1.0
        block[last - first + np.arange(count), shapes + np.arange(count)] = 1.0
        tie.append(block)
        begin += size
    return Rows(np.concatenate(parts), tuple(members), design.members, np.concatenate(tie))


def count_of(known: Known) -> int:
    """Number of the shared unknowns: the offset, then those of the low loss."""
    return (known.offset > 0.0) + (0 if known.scattering is None else len(known.scattering.parts))


def spread_of(known: Known) -> np.ndarray:
    """Their prior rms [g] about 0."""
    spread = np.ones(count_of(known))
    if known.offset > 0.0:
        spread[0] = known.offset
    return spread


def directions(design: Design, known: Known, gain: float) -> np.ndarray:
    """By how much the edges change [g, k, c] with each of them; ``gain``: counts per electron.

    Shapes are at their prior mean: their spread is noise to these unknowns (generalised least squares, as in `shared.scale_pull`). With the shapes as they were
    estimated, peaks of these would tell where the axis is, and their prior would prefer a low loss that smooths less.
    """
    parts = []
    if known.offset > 0.0:
        absolute = np.array([edge.absolute for edge in design.edges])
        parts.append(-np.gradient(design.curves(design.mean, only=absolute), design.step, axis=1)[None])
    if known.scattering is not None and len(known.scattering.parts):
        parts.append(_scattered(design, design.mean, math.sqrt(gain) * known.scattering.parts))
    return np.concatenate(parts) if parts else np.zeros((0, len(design.elements), len(design.energies)))


def _scattered(design: Design, shape: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """Edges convolved with each of ``kernels`` [q, n]."""
    return np.swapaxes(convolved(design.curves(shape, plain=True)[:, None], kernels[None]), 0, 1)


def moves_of(design: Design, shape: np.ndarray, known: Known) -> np.ndarray:
    """By how much edges change [e, k, c] with a spectrum's own unknowns: its offset in eV, and its t/lambda."""
    parts = []
    if known.drift > 0.0:
        parts.append(-np.gradient(design.curves(shape), design.step, axis=1)[None])
    if known.scattering is not None and known.scattering.each is not None:
        parts.append(_scattered(design, shape, known.scattering.each.slope[None]))
    return np.concatenate(parts) if parts else np.zeros((0, len(design.elements), len(design.energies)))


def own_names(known: Known) -> tuple[str, ...]:
    """Which they are, in order: "energy_shift", "thickness"."""
    thickness = known.scattering is not None and known.scattering.each is not None
    return (*(("energy_shift",) if known.drift > 0.0 else ()), *(("thickness",) if thickness else ()))


def own_of(known: Known, count: int, gain: float, chosen: np.ndarray | slice = slice(None)) -> Own:
    """The prior of those unknowns in ``count`` spectra, those ``chosen`` of all."""
    centre, precision = [], []
    if known.drift > 0.0:
        centre.append(np.zeros(count))
        precision.append(np.full(count, known.drift**-2.0))
    if known.scattering is not None and known.scattering.each is not None:
        mean, spread = known.scattering.each.prior(gain)
        centre.append(mean[chosen])
        precision.append(spread[chosen] ** -2.0)
    return Own(np.stack(centre, axis=1), np.stack(precision, axis=1)) if centre else Own.none(count)
