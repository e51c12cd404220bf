"""Options that choose data, as the user writes them, to places and slices: ``--frame``, ``--part``, ``--axes``."""

import re

from instrument.readers import VendorSignal
from reconstruct.measure.preparation import Preparation, by
from scenarios.io.errors import BadInput
from scenarios.measure.data.checks import above, finite
from scenarios.measure.options import Data

_RANGE = re.compile(r"\s*(\d*)\s*:\s*(\d*)\s*")


def order(asked: str | None, signal: VendorSignal) -> tuple[int, ...]:
    """The order of a signal's axes that ``--axes`` asks for; empty for as they are. BadInput where it is none."""
    if asked is None:
        return ()
    words = [word for word in re.split(r"[\s,]+", asked.strip()) if word]
    numbers = tuple(int(word) for word in words if word.isdecimal())
    count = signal.data.ndim
    if sorted(numbers) != list(range(count)) or len(words) != count:
        has = ", ".join(f"{place} {one.name} ({one.size})" for place, one in enumerate(signal.axes))
        cure = f"Give the numbers of all {count} axes, rows and columns of an image or pattern last: {has}."
        raise BadInput(f"--axes {asked}", f"is no order of the axes of {signal.path}", cure)
    return numbers


def preparation(signal: VendorSignal, data: Data, scan: bool) -> Preparation:
    """What the options say of a ``signal`` whose axes are in order; ``scan``: ranges of frames stay beside each other, and single ones may be left out."""
    height, width = signal.data.shape[-2:]
    rows = columns = None
    if data.part is not None:
        words = data.part.split(",")
        parts = [_range(word, size) for word, size in zip(words, (height, width), strict=False)]
        if len(words) != 2 or None in parts:
            cure = f"Give rows and columns from 0, FROM:TO,FROM:TO, within {height} x {width} pixels."
            raise BadInput(f"--part {data.part}", f"is no part of {signal.path}", cure)
        rows, columns = parts
    if data.bin < 1:
        raise BadInput(f"--bin {data.bin}", "is no number of pixels", "Give how many pixels along each side make one.")
    black = finite("--black", data.black) if data.black is not None else 0.0
    gain = None if data.gain is None else above("--gain", data.gain)
    return Preparation(
        frame=_frame(signal, data.frame, scan), rows=rows, columns=columns, black=black, gain=gain, bin=data.bin
    )


def _range(word: str, size: int) -> tuple[int, int] | None:
    """ "3:7", ":7" or "3:" within ``size``; None for what is no range, or an empty one."""
    match = _RANGE.fullmatch(word)
    if match is None:
        return None
    start, stop = int(match[1] or 0), int(match[2] or size)
    return (start, stop) if start < stop <= size else None


def _frame(signal: VendorSignal, asked: str | None, scan: bool) -> tuple[int | slice, ...]:
    """A place or range for each axis before the last two; empty where none is asked for."""
    axes = signal.axes[:-2]
    if asked is None:
        return ()
    if not axes:
        raise BadInput(f"--frame {asked}", f"{signal.path} holds one image", "Leave --frame out.")
    words = asked.split(",")
    found: list[int | slice] = []
    for axis, word in zip(axes, words, strict=False):
        word = word.strip()
        place = _range(word, axis.size)
        if word in axis.labels:
            found.append(axis.labels.index(word))
        elif word.isdecimal() and int(word) < axis.size:
            found.append(int(word))
        elif place is not None:
            found.append(slice(*place))
    enough = len(words) == len(axes) or (scan and len(words) <= len(axes))
    if len(found) != len(words) or not enough:
        raise BadInput(f"--frame {asked}", f"is none of {signal.path}, numbered by {numbered(signal)}", choose(signal))
    return tuple(found)


def numbered(signal: VendorSignal) -> str:
    """What a stack's frames are numbered by, in words."""
    return ", ".join(
        f"{one.name} ({', '.join(one.labels)})" if one.labels else f"{one.name} (0 to {one.size - 1})"
        for one in signal.axes[:-2]
    )


def choose(signal: VendorSignal) -> str:
    """How one frame of a stack is chosen."""
    axes = signal.axes[:-2]
    named = " or its name" if axes and axes[0].labels else ""
    return f"Choose one with --frame {','.join('N' for _ in axes)}{named}; a range FROM:TO is summed."


def stack(signal: VendorSignal) -> str:
    """A stack in words: its shape, and what its frames are numbered by."""
    return f"is a stack of {by(signal.data.shape)}, numbered by {numbered(signal)}"
