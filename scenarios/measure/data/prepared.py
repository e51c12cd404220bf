"""The values that are measured, out of a file, prepared as the options say: one image, one pattern or the sum of a scan's, a whole scan of patterns."""

import dataclasses

import numpy as np

from reconstruct.measure.preparation import Preparation, Wanted, prepare
from scenarios.io.errors import BadInput, from_twin
from scenarios.measure.data.frames import choose, stack
from scenarios.measure.data.inputs import Given, counted


def image(given: Given, least: int, levels: bool = True) -> np.ndarray:
    """The one image [ny, nx]; BadInput if a stack is given without saying which of it, or it is under ``least`` pixels wide or high.

    Without ``levels`` the dark level and the gain are left in, for a fit that has them itself.
    """
    leading = given.signal.axes[:-2]
    if leading and given.data.frame is None:
        raise BadInput(str(given.path), stack(given.signal), choose(given.signal))
    if leading:
        summed = any(isinstance(one, slice) for one in given.how.frame)
        given.settle("images, summed" if summed else "image", str(given.data.frame), "", "--frame")
    return _values(given, "image", least, levels)


def pattern(given: Given, least: int) -> np.ndarray:
    """One pattern [ky, kx]: the one that --frame says, or the sum over a scan; BadInput for what holds none."""
    y, x = given.axes
    if x.unit == "angstrom" and y.unit == "angstrom":
        cure = "Give a diffraction pattern, or a scan of them."
        raise BadInput(str(given.path), "is an image, with axes in lengths", cure)
    if given.signal.axes[:-2]:
        count = int(np.prod(given.signal.data.shape[:-2]))
        used = given.data.frame or f"sum of all {count}"
        given.settle("pattern", used, "", "--frame" if given.data.frame else "default")
    return _values(given, "pattern", least)


def scan(given: Given, least: int = 4) -> np.ndarray:
    """Patterns [ny, nx, ky, kx] of a scan, in electrons; BadInput for what is none, or holds counts of which electrons are not known."""
    return _values(given, "scan", least)


def _values(given: Given, wanted: Wanted, least: int, levels: bool = True) -> np.ndarray:
    how, data = given.how, given.data
    try:
        made = prepare(given.signal.data, wanted, how if levels else _unlevelled(how), least)
    except ValueError as error:
        raise from_twin(str(given.path), error, "") from None
    if data.part is not None:
        given.settle("part", data.part, "", "--part")
    if data.bin > 1:
        given.settle("recorded pixels along a side", data.bin, "1", "--bin")
    if levels and data.black:
        given.settle("counts without a beam", data.black, "count", "--black")
    if levels and data.gain is not None:
        given.settle("counts per electron", data.gain, "1", "--gain")
    return made.values


def _unlevelled(how: Preparation) -> Preparation:
    return dataclasses.replace(how, black=0.0, gain=None)


def need_electrons(given: Given) -> None:
    """BadInput if the file does not say that it holds electrons, and --gain does not say how many counts one makes."""
    if counted(given):
        if given.data.gain is None:
            given.settle("counts per electron", 1.0, "1", "the file")
        return
    if given.signal.raw.get("unit") in ("fraction of the beam", "1"):
        problem, cure = "holds shares of the beam without counting noise", "Simulate it with a [dose]."
    else:
        problem = "does not say how many counts an electron makes"
        cure = "Add --gain, counts per electron (1 for a counting camera)."
    raise BadInput(str(given.path), problem, cure)
