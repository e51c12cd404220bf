"""Which of a file's values are measured: one image of a stack, one pattern or the sum of a scan's, a whole scan of patterns."""

import math

import numpy as np

from scenarios.errors import BadInput
from scenarios.measure.inputs import Given, by

MOST_PIXELS = 2**24
"""Pixels of an image that is measured (4096 x 4096)."""
MOST_VALUES = 150_000_000
"""Values of a scan of patterns that is held in memory."""


def image(given: Given) -> np.ndarray:
    """The one image [ny, nx] to be measured, as it is in the file; BadInput if a stack is given without saying which of it."""
    data, axes = given.signal.data, given.signal.axes
    if data.ndim > 2:
        data = data[_place(given, len(axes) - 2)]
        given.settle("image", str(given.frame), "", "--frame")
    elif given.frame is not None:
        raise BadInput(f"--frame {given.frame}", f"{given.path} holds one image", "Leave --frame out.")
    return _small(given, data)


def pattern(given: Given) -> np.ndarray:
    """One pattern [ky, kx]: the one that --frame says, or the sum over a scan; BadInput for what holds none."""
    data, axes = given.signal.data, given.signal.axes
    if data.ndim > 2 and given.frame is None:
        count = math.prod(data.shape[:-2])
        given.settle("pattern", f"sum of all {count}", "", "default")
        data = np.asarray(data, np.float64).sum(axis=tuple(range(data.ndim - 2)))
    elif data.ndim > 2:
        data = data[_place(given, len(axes) - 2)]
        given.settle("pattern", str(given.frame), "", "--frame")
    elif given.frame is not None:
        raise BadInput(f"--frame {given.frame}", f"{given.path} holds one pattern", "Leave --frame out.")
    if axes[-1].unit == "angstrom" and axes[-2].unit == "angstrom":
        raise BadInput(
            str(given.path), "is an image, with axes in lengths", "Give a diffraction pattern, or a scan of them."
        )
    return _small(given, data)


def scan(given: Given) -> np.ndarray:
    """Patterns [ny, nx, ky, kx] of a scan; BadInput for what is none."""
    data = given.signal.data
    if data.ndim != 4:
        raise BadInput(
            str(given.path), f"holds {by(given.signal.data.shape)} values", "Give a 4D-STEM scan, [y, x, ky, kx]."
        )
    if data.size > MOST_VALUES:
        raise BadInput(
            str(given.path), f"holds {data.size} values, more than {MOST_VALUES}", "Bin its patterns, or cut the scan."
        )
    return np.asarray(data, np.float64)


def _small(given: Given, data: np.ndarray) -> np.ndarray:
    if data.size > MOST_PIXELS:
        raise BadInput(str(given.path), f"is {by(data.shape)} pixels", f"Bin it to at most {MOST_PIXELS} pixels.")
    return np.asarray(data, np.float64)


def _place(given: Given, leading: int) -> tuple[int, ...]:
    """The place of a frame along the axes before the last two, from its numbers or labels."""
    axes = given.signal.axes[:leading]
    along = ", ".join(
        f"{one.name} ({', '.join(one.labels)})" if one.labels else f"{one.name} (0 to {one.size - 1})" for one in axes
    )
    cure = f"Choose one with --frame {','.join('N' for _ in axes)}" + (" or its name." if axes[0].labels else ".")
    if given.frame is None:
        raise BadInput(str(given.path), f"is a stack of {by(given.signal.data.shape)}, numbered by {along}", cure)
    words = given.frame.split(",")
    place = []
    for axis, word in zip(axes, words, strict=False):
        if word in axis.labels:
            place.append(axis.labels.index(word))
        elif word.strip().isdecimal() and int(word) < axis.size:
            place.append(int(word))
    if len(place) != len(axes) or len(words) != len(axes):
        raise BadInput(f"--frame {given.frame}", f"is none of {given.path}, numbered by {along}", cure)
    return tuple(place)
