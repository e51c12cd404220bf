"""Scattering matrices on both sides of a quantity's value, on the beams of the matrix at the value."""

from typing import NamedTuple

import numpy as np

from learn.feasibility.matrices import Matrices, Report, matrices_of
from learn.feasibility.measuring.quantity import OPTICAL, Quantity, Varied
from learn.feasibility.scans import Window


class Ends(NamedTuple):
    """``less`` and ``more``, ``step`` apart in the quantity's unit, of the same frozen phonons, at the pixels of the matrix that they are compared with."""

    less: Matrices
    more: Matrices
    step: float


def ends_of(quantity: Quantity, varied: Varied, base: Matrices, report: Report | None = None) -> Ends | None:
    """Matrices of both specimens of ``varied``; None for defocus and aberrations, which need none."""
    if quantity.kind in OPTICAL:
        return None
    if quantity.kind == "thickness":
        more = matrices_of(varied.more, varied.grids[1], report=report)
        assert more.thinner is not None
        thin = more._replace(amplitudes=more.thinner, thinner=None)
        return Ends(_placed(thin, base), _placed(more._replace(thinner=None), base), varied.step)
    made = []
    for number, (specimen, grid) in enumerate(zip((varied.less, varied.more), varied.grids, strict=True)):

        def half(share: float, number: int = number) -> None:
            if report is not None:
                report(0.5 * (number + share))

        made.append(_placed(matrices_of(specimen, grid._replace(before=0), report=half, sites=varied.sites), base))
    return Ends(made[0], made[1], varied.step)


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
