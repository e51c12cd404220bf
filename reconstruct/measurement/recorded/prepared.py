"""The values that are measured, out of a recording, prepared as the inputs say: one image, one pattern or the sum of a scan's, a whole scan of patterns."""

import dataclasses
import math

import numpy as np

from reconstruct.measurement.preparation.prepare import DataKind, Preparation, prepare
from reconstruct.measurement.recorded.frames import selection_hint, stack_text
from reconstruct.measurement.recorded.recording import Recording
from twin.errors import BadInput, from_twin

MAX_NEGATIVE = 0.1
"""Share of the highest mean count by which the lowest may lie below zero, in patterns."""


def prepared_image(recording: Recording, min_size: int, levels: bool = True) -> np.ndarray:
    """The one image [ny, nx]; BadInput if a stack is given without saying which of it, or it is under ``min_size`` pixels wide or high.

    Without ``levels`` the dark level and the gain are left in, for a fit that has them itself.
    """
    leading, frame = recording.signal.axes[:-2], recording.inputs.known.frame
    if leading and frame is None:
        hint = selection_hint(recording.signal, recording.inputs)
        raise BadInput(recording.name, stack_text(recording.signal), hint)
    if leading:
        summed = any(isinstance(index, slice) for index in recording.preparation.frame)
        recording.add_given("images, summed" if summed else "image", "frame", str(frame))
    return _values(recording, "image", min_size, levels)


def prepared_pattern(recording: Recording, min_size: int) -> np.ndarray:
    """One pattern [ky, kx]: the one that is chosen, or the sum over a scan; BadInput for what holds none."""
    y, x = recording.axes
    if x.unit == "angstrom" and y.unit == "angstrom":
        cure = "Give a diffraction pattern, or a scan of them."
        raise BadInput(recording.name, "is an image, with axes in lengths", cure)
    if recording.signal.axes[:-2]:
        frame, count = recording.inputs.known.frame, int(np.prod(recording.signal.data.shape[:-2]))
        if frame is None:
            recording.add_setting("pattern", f"sum of all {count}", "", "default")
        else:
            recording.add_given("pattern", "frame", str(frame))
    return _values(recording, "pattern", min_size)


def prepared_scan(recording: Recording, min_size: int = 4) -> np.ndarray:
    """Patterns [ny, nx, ky, kx] of a scan, in electrons; BadInput for what is none, or holds counts of which electrons are not known."""
    return _values(recording, "scan", min_size)


def _values(recording: Recording, kind: DataKind, min_size: int, levels: bool = True) -> np.ndarray:
    preparation, data = recording.preparation, recording.inputs.known
    try:
        prepared = prepare(
            recording.signal.data, kind, preparation if levels else _without_levels(preparation), min_size
        )
    except ValueError as error:
        raise from_twin(recording.name, error, "") from None
    if data.part is not None:
        recording.add_given("part", "part", str(data.part))
    if data.bin > 1:
        recording.add_given("recorded pixels along a side", "bin", float(data.bin), "1")
    if levels and data.black:
        recording.add_given("counts without a beam", "black", data.black, "count")
    if levels and data.gain is not None:
        recording.add_given("counts per electron", "gain", data.gain, "1")
    for name, words in (("mask", "mask"), ("dark", "dark frame"), ("flat", "flat field")):
        reference = getattr(preparation, name)
        if reference is not None:
            left_out = f"{int(reference.sum())} of {reference.size} pixels left out" if name == "mask" else "subtracted"
            recording.add_given(words, name, "divided out" if name == "flat" else left_out)
    recording.defects.extend(prepared.defects)
    if kind != "image":
        _check_dark(recording, prepared.values, prepared.summed)
    return prepared.values


def _check_dark(recording: Recording, counts: np.ndarray, summed: int) -> None:
    """BadInput for patterns whose mean counts lie far below zero: the dark level is not what was given. Each is a sum of ``summed`` recorded pixels."""
    leading = tuple(range(counts.ndim - 2))
    known = np.isfinite(counts)
    read = known.sum(axis=leading)
    mean = np.sum(counts, axis=leading, where=known)[read > 0] / read[read > 0]
    low, high = float(mean.min(initial=math.inf)), float(mean.max(initial=-math.inf))
    if not low < -MAX_NEGATIVE * max(high, 0.0):
        return
    data, words = recording.inputs.known, recording.inputs.words
    level = (data.black or 0.0) + float(np.quantile(mean, 0.01)) * (data.gain or 1.0) / summed
    problem = f"has counts down to {low:.4g} where its largest are {high:.4g}"
    label = words.label("black")
    cure = f"Give {label}, the counts of a pixel without a beam (about {level:.3g} here)."
    raise BadInput(recording.name, problem, cure)


def _without_levels(preparation: Preparation) -> Preparation:
    return dataclasses.replace(preparation, black=0.0, gain=None)


def has_electrons(recording: Recording) -> bool:
    """Whether electrons are known of what is measured: the recording holds them, or a gain was given."""
    return recording.inputs.known.gain is not None or recording.signal.raw.get("unit") == "electrons"


def require_electrons(recording: Recording) -> None:
    """BadInput if the recording does not say that it holds electrons, and no gain says how many counts one makes."""
    words = recording.inputs.words
    if has_electrons(recording):
        if recording.inputs.known.gain is None:
            recording.add_setting("counts per electron", 1.0, "1", words.origin)
        return
    if recording.signal.raw.get("unit") in ("fraction of the beam", "1"):
        problem, cure = "holds shares of the beam without counting noise", words.dose
    else:
        problem = "does not say how many counts an electron makes"
        cure = words.add("gain", ", counts per electron (1 for a counting camera)")
    raise BadInput(recording.name, problem, cure)
