"""Which part of a recording is measured: inputs that select data, as indices and slices or as text, brought to a `Preparation`."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from reconstruct.measurement.preparation.checks import REFERENCES, check_reference, shape_text
from reconstruct.measurement.preparation.prepare import Preparation
from reconstruct.measurement.recorded.inputs import Inputs
from twin.errors import BadInput, from_twin
from twin.records import Signal

_RANGE = re.compile(r"\s*(\d*)\s*:\s*(\d*)\s*")


def axis_order(name: str, signal: Signal, inputs: Inputs) -> tuple[int, ...]:
    """The order of a signal's axes that is wanted; empty for as they are. BadInput where it is none."""
    value = inputs.known.axes
    if value is None:
        return ()
    words = [
        str(word) for word in (re.split(r"[\s,]+", value.strip()) if isinstance(value, str) else value) if word != ""
    ]
    numbers = tuple(int(word) for word in words if word.isdecimal())
    count = signal.data.ndim
    if sorted(numbers) != list(range(count)) or len(words) != count:
        listing = ", ".join(f"{index} {axis.name} ({axis.size})" for index, axis in enumerate(signal.axes))
        cure = f"Give the numbers of all {count} axes, rows and columns of an image or pattern last: {listing}."
        raise BadInput(inputs.words.given("axes", value), f"is no order of the axes of {name}", cure)
    return numbers


def preparation_of(name: str, signal: Signal, inputs: Inputs, scan: bool) -> Preparation:
    """What the inputs say of a ``signal`` whose axes are in order; ``scan``: ranges of frames stay beside each other, and single ones may be left out."""
    data, words = inputs.known, inputs.words
    height, width = signal.data.shape[-2:]
    rows = columns = None
    if data.part is not None:
        sides = data.part.split(",") if isinstance(data.part, str) else _listed(data.part)
        parts = [_range(side, size) for side, size in zip(sides, (height, width), strict=False)]
        if len(sides) != 2 or None in parts:
            cure = f"Give rows and columns from 0, FROM:TO,FROM:TO, within {height} x {width} pixels."
            raise BadInput(words.given("part", data.part), f"is no part of {name}", cure)
        rows, columns = parts
    if not isinstance(data.bin, int) or data.bin < 1:
        cure = "Give how many pixels along each side make one."
        raise BadInput(words.given("bin", data.bin), "is no number of pixels", cure)
    black = inputs.finite("black") if data.black is not None else 0.0
    gain = None if data.gain is None else inputs.positive("gain")
    frame = _frame(name, signal, inputs, scan)
    part = (slice(*rows) if rows else slice(None), slice(*columns) if columns else slice(None))
    references = {each: _reference(each, inputs, part, (height, width)) for each in REFERENCES}
    return Preparation(
        frame=frame,
        rows=rows,
        columns=columns,
        black=black,
        gain=gain,
        bin=data.bin,
        **references,
        find=not data.all_pixels,
    )


def _reference(name: str, inputs: Inputs, part: tuple[slice, slice], shape: tuple[int, int]) -> np.ndarray | None:
    """A mask (as True and False), dark frame or flat field of images of ``shape``; BadInput for what is none, or says nothing of the ``part`` used."""
    value = getattr(inputs.known, name)
    if value is None:
        return None
    image = np.asarray(value)
    if image.ndim != 2 or image.dtype.kind not in "iufb" or image.size == 0:
        problem = f"has shape {image.shape} of {image.dtype}, which is no image"
        raise BadInput(inputs.words.label(name), problem, "Give one value for each recorded pixel, [rows, columns].")
    image = ~(image == 0) if name == "mask" else image.astype(np.float64)
    try:
        check_reference(name, image, part, shape)
    except ValueError as error:
        raise from_twin(inputs.words.label(name), error, "") from None
    return image


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Sequence) else [value]


def _range(word: Any, size: int) -> tuple[int, int] | None:
    """ "3:7", ":7", slice(3, None) or (3, 7) within ``size``; None for what is no range, or an empty one."""
    if isinstance(word, str):
        match = _RANGE.fullmatch(word)
        if match is None:
            return None
        start, stop = int(match[1] or 0), int(match[2] or size)
    elif isinstance(word, slice) and word.step in (None, 1):
        start, stop = word.start or 0, size if word.stop is None else word.stop
    elif isinstance(word, Sequence) and len(word) == 2:
        start, stop = word[0] or 0, size if word[1] is None else word[1]
    else:
        return None
    return (start, stop) if isinstance(start, int) and isinstance(stop, int) and 0 <= start < stop <= size else None


def _frame(name: str, signal: Signal, inputs: Inputs, scan: bool) -> tuple[int | slice, ...]:
    """An index or range for each axis before the last two; empty where none is asked for."""
    axes, value = signal.axes[:-2], inputs.known.frame
    if value is None:
        return ()
    given = inputs.words.given("frame", value)
    if not axes:
        raise BadInput(given, f"{name} holds one image", f"Leave {inputs.words.label('frame')} out.")
    words = value.split(",") if isinstance(value, str) else _listed(value)
    selection: list[int | slice] = []
    for axis, item in zip(axes, words, strict=False):
        word = item.strip() if isinstance(item, str) else item if isinstance(item, slice) else str(item)
        bounds = _range(word, axis.size)
        if word in axis.labels:
            selection.append(axis.labels.index(word))
        elif isinstance(word, str) and word.isdecimal() and int(word) < axis.size:
            selection.append(int(word))
        elif bounds is not None:
            selection.append(slice(*bounds))
    complete = len(words) == len(axes) or (scan and len(words) <= len(axes))
    if len(selection) != len(words) or not complete:
        problem = f"is none of {name}, numbered by {frame_labels(signal)}"
        raise BadInput(given, problem, selection_hint(signal, inputs))
    return tuple(selection)


def frame_labels(signal: Signal) -> str:
    """What a stack's frames are numbered by, in words."""
    return ", ".join(
        f"{axis.name} ({', '.join(axis.labels)})" if axis.labels else f"{axis.name} (0 to {axis.size - 1})"
        for axis in signal.axes[:-2]
    )


def selection_hint(signal: Signal, inputs: Inputs) -> str:
    """How one frame of a stack is chosen."""
    axes = signal.axes[:-2]
    named = " or its name" if axes and axes[0].labels else ""
    return f"Choose one with {inputs.words.example('frame', ','.join('N' for _ in axes))}{named}; a range FROM:TO is summed."


def stack_text(signal: Signal) -> str:
    """A stack in words: its shape, and what its frames are numbered by."""
    return f"is a stack of {shape_text(signal.data.shape)}, numbered by {frame_labels(signal)}"
