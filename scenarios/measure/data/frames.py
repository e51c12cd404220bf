"""Options that select data, parsed to indices and slices: ``--frame``, ``--part``, ``--axes``."""

import re

from instrument.readers import VendorSignal
from reconstruct.measure.preparation import Preparation, shape_text
from scenarios.io.errors import BadInput
from scenarios.measure.data.checks import finite, positive
from scenarios.measure.options import Data

_RANGE = re.compile(r"\s*(\d*)\s*:\s*(\d*)\s*")


def axis_order(value: str | None, signal: VendorSignal) -> tuple[int, ...]:
    """The order of a signal's axes that ``--axes`` asks for; empty for as they are. BadInput where it is none."""
    if value is None:
        return ()
    words = [word for word in re.split(r"[\s,]+", value.strip()) if word]
    numbers = tuple(int(word) for word in words if word.isdecimal())
    count = signal.data.ndim
    if sorted(numbers) != list(range(count)) or len(words) != count:
        listing = ", ".join(f"{index} {axis.name} ({axis.size})" for index, axis in enumerate(signal.axes))
        cure = f"Give the numbers of all {count} axes, rows and columns of an image or pattern last: {listing}."
        raise BadInput(f"--axes {value}", f"is no order of the axes of {signal.path}", cure)
    return numbers


def preparation_from_options(signal: VendorSignal, data: Data, scan: bool) -> Preparation:
    """What the options say of a ``signal`` whose axes are in order; ``scan``: ranges of frames stay beside each other, and single ones may be left out."""
    height, width = signal.data.shape[-2:]
    rows = columns = None
    if data.part is not None:
        words = data.part.split(",")
        parts = [_parse_range(word, size) for word, size in zip(words, (height, width), strict=False)]
        if len(words) != 2 or None in parts:
            cure = f"Give rows and columns from 0, FROM:TO,FROM:TO, within {height} x {width} pixels."
            raise BadInput(f"--part {data.part}", f"is no part of {signal.path}", cure)
        rows, columns = parts
    if data.bin < 1:
        raise BadInput(f"--bin {data.bin}", "is no number of pixels", "Give how many pixels along each side make one.")
    black = finite("--black", data.black) if data.black is not None else 0.0
    gain = None if data.gain is None else positive("--gain", data.gain)
    return Preparation(
        frame=_parse_frame(signal, data.frame, scan), rows=rows, columns=columns, black=black, gain=gain, bin=data.bin
    )


def _parse_range(word: str, size: int) -> tuple[int, int] | None:
    """ "3:7", ":7" or "3:" within ``size``; None for what is no range, or an empty one."""
    match = _RANGE.fullmatch(word)
    if match is None:
        return None
    start, stop = int(match[1] or 0), int(match[2] or size)
    return (start, stop) if start < stop <= size else None


def _parse_frame(signal: VendorSignal, value: str | None, scan: bool) -> tuple[int | slice, ...]:
    """An index or range for each axis before the last two; empty where none is asked for."""
    axes = signal.axes[:-2]
    if value is None:
        return ()
    if not axes:
        raise BadInput(f"--frame {value}", f"{signal.path} holds one image", "Leave --frame out.")
    words = value.split(",")
    selection: list[int | slice] = []
    for axis, word in zip(axes, words, strict=False):
        word = word.strip()
        bounds = _parse_range(word, axis.size)
        if word in axis.labels:
            selection.append(axis.labels.index(word))
        elif word.isdecimal() and int(word) < axis.size:
            selection.append(int(word))
        elif bounds is not None:
            selection.append(slice(*bounds))
    complete = len(words) == len(axes) or (scan and len(words) <= len(axes))
    if len(selection) != len(words) or not complete:
        raise BadInput(
            f"--frame {value}", f"is none of {signal.path}, numbered by {frame_labels(signal)}", selection_hint(signal)
        )
    return tuple(selection)


def frame_labels(signal: VendorSignal) -> str:
    """What a stack's frames are numbered by, in words."""
    return ", ".join(
        f"{axis.name} ({', '.join(axis.labels)})" if axis.labels else f"{axis.name} (0 to {axis.size - 1})"
        for axis in signal.axes[:-2]
    )


def selection_hint(signal: VendorSignal) -> str:
    """How one frame of a stack is chosen."""
    axes = signal.axes[:-2]
    named = " or its name" if axes and axes[0].labels else ""
    return f"Choose one with --frame {','.join('N' for _ in axes)}{named}; a range FROM:TO is summed."


def stack_text(signal: VendorSignal) -> str:
    """A stack in words: its shape, and what its frames are numbered by."""
    return f"is a stack of {shape_text(signal.data.shape)}, numbered by {frame_labels(signal)}"
