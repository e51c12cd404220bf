"""The values that are measured, out of a file, prepared as the options say: one image, one pattern or the sum of a scan's, a whole scan of patterns."""

import dataclasses

import numpy as np

from reconstruct.measure.preparation import DataKind, Preparation, prepare
from scenarios.io.errors import BadInput, from_twin
from scenarios.measure.data.frames import selection_hint, stack_text
from scenarios.measure.data.inputs import Recording, has_electrons


def prepared_image(recording: Recording, min_size: int, levels: bool = True) -> np.ndarray:
    """The one image [ny, nx]; BadInput if a stack is given without saying which of it, or it is under ``min_size`` pixels wide or high.

    Without ``levels`` the dark level and the gain are left in, for a fit that has them itself.
    """
    leading = recording.signal.axes[:-2]
    if leading and recording.data.frame is None:
        raise BadInput(str(recording.path), stack_text(recording.signal), selection_hint(recording.signal))
    if leading:
        summed = any(isinstance(index, slice) for index in recording.preparation.frame)
        recording.add_setting("images, summed" if summed else "image", str(recording.data.frame), "", "--frame")
    return _values(recording, "image", min_size, levels)


def prepared_pattern(recording: Recording, min_size: int) -> np.ndarray:
    """One pattern [ky, kx]: the one that --frame says, or the sum over a scan; BadInput for what holds none."""
    y, x = recording.axes
    if x.unit == "angstrom" and y.unit == "angstrom":
        cure = "Give a diffraction pattern, or a scan of them."
        raise BadInput(str(recording.path), "is an image, with axes in lengths", cure)
    if recording.signal.axes[:-2]:
        count = int(np.prod(recording.signal.data.shape[:-2]))
        used = recording.data.frame or f"sum of all {count}"
        recording.add_setting("pattern", used, "", "--frame" if recording.data.frame else "default")
    return _values(recording, "pattern", min_size)


def prepared_scan(recording: Recording, min_size: int = 4) -> np.ndarray:
    """Patterns [ny, nx, ky, kx] of a scan, in electrons; BadInput for what is none, or holds counts of which electrons are not known."""
    return _values(recording, "scan", min_size)


def _values(recording: Recording, kind: DataKind, min_size: int, levels: bool = True) -> np.ndarray:
    preparation, data = recording.preparation, recording.data
    try:
        prepared = prepare(
            recording.signal.data, kind, preparation if levels else _without_levels(preparation), min_size
        )
    except ValueError as error:
        raise from_twin(str(recording.path), error, "") from None
    if data.part is not None:
        recording.add_setting("part", data.part, "", "--part")
    if data.bin > 1:
        recording.add_setting("recorded pixels along a side", data.bin, "1", "--bin")
    if levels and data.black:
        recording.add_setting("counts without a beam", data.black, "count", "--black")
    if levels and data.gain is not None:
        recording.add_setting("counts per electron", data.gain, "1", "--gain")
    return prepared.values


def _without_levels(preparation: Preparation) -> Preparation:
    return dataclasses.replace(preparation, black=0.0, gain=None)


def require_electrons(recording: Recording) -> None:
    """BadInput if the file does not say that it holds electrons, and --gain does not say how many counts one makes."""
    if has_electrons(recording):
        if recording.data.gain is None:
            recording.add_setting("counts per electron", 1.0, "1", "the file")
        return
    if recording.signal.raw.get("unit") in ("fraction of the beam", "1"):
        problem, cure = "holds shares of the beam without counting noise", "Simulate it with a [dose]."
    else:
        problem = "does not say how many counts an electron makes"
        cure = "Add --gain, counts per electron (1 for a counting camera)."
    raise BadInput(str(recording.path), problem, cure)
