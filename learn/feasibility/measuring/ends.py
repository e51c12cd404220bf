"""Scattering matrices on both sides of a quantity's value, on the beams of the matrix at the value."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from learn.feasibility.matrices import Grid, Matrices
from learn.feasibility.measuring.quantity import OPTICAL, Quantity, Varied
from learn.feasibility.scans import Window
from twin.sample.specimen import Specimen


class Ends(NamedTuple):
    """``less`` and ``more``, ``step`` apart in the quantity's unit, of the same frozen phonons, at the pixels of the matrix that they are compared with."""

    less: Matrices
    more: Matrices
    step: float


def cases_of(quantity: Quantity, varied: Varied) -> tuple[tuple[Specimen, Grid], ...]:
    """Specimens and grids whose matrices `ends_of` needs; none for defocus and aberrations. Of a thickness one is enough, with the thinner behind it."""
    if quantity.kind in OPTICAL:
        return ()
    if quantity.kind == "thickness":
        return ((varied.more, varied.grids[1]),)
    return tuple(
        (specimen, grid._replace(before=0))
        for specimen, grid in zip((varied.less, varied.more), varied.grids, strict=True)
    )


def ends_of(varied: Varied, base: Matrices, matrices: Sequence[Matrices]) -> Ends | None:
    """Both ends from the ``matrices`` of `cases_of`; None where there are none."""
    if not matrices:
        return None
    if len(matrices) == 2:
        return Ends(_placed(matrices[0], base), _placed(matrices[1], base), varied.step)
    thin = matrices[0].thinner
    assert thin is not None
    more = matrices[0]._replace(thinner=None)
    return Ends(_placed(more._replace(amplitudes=thin), base), _placed(more, base), varied.step)


def _placed(matrices: Matrices, base: Matrices) -> Matrices:
    """Amplitudes at the pixels of ``base``; 0 at those that a stretched cell has beyond the reach."""
    common, own, wanted = np.intersect1d(matrices.pixels, base.pixels, assume_unique=True, return_indices=True)
    if len(common) == len(base.pixels) == len(matrices.pixels):
        return matrices
    amplitudes = np.zeros((*matrices.amplitudes.shape[:2], len(base.pixels)), matrices.amplitudes.dtype)
    amplitudes[:, :, wanted] = matrices.amplitudes[:, :, own]
    return matrices._replace(amplitudes=amplitudes, pixels=base.pixels, k=base.k)


def windows_of(window: Window, base: Matrices, ends: Ends) -> tuple[Window, Window]:
    """The ``window`` as it is stretched with the cells of both ends."""
    made = []
    for end in ends[:2]:
        factors = np.array(end.extent) / np.array(base.extent)
        sides = (float(window.sides[0] * factors[0]), float(window.sides[1] * factors[1]))
        made.append(Window(window.positions * factors, window.shape, sides))
    return made[0], made[1]
