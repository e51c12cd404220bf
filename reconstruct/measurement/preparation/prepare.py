"""One preparation of data for all kinds of measurement: order of axes, frame or part of a stack, part of an image, dark level, gain, mask, defects, binning.

The order is fixed: axes, frames, part; what is left of a stack is summed for an image or a pattern; then dark level and dark frame are subtracted, the
flat field is divided out, counts become electrons, masked pixels and the defects that are found become NaN, and pixels are binned (summed). NaN marks pixels
that are not known, and a binned pixel of which any is not known is not known. What has more than `MAX_PIXELS` is read in strips and binned first; defects are
then looked for in binned pixels.
"""

import dataclasses
import math
from typing import Literal, NamedTuple

import numpy as np

from reconstruct.measurement.outcome import Defect
from reconstruct.measurement.preparation.checks import (
    REFERENCES,
    check_reference,
    check_saturation,
    check_values,
    shape_text,
)
from reconstruct.measurement.preparation.defects import find_defects, find_scan_defects
from reconstruct.measurement.preparation.gain_steps import equalise, equalise_scan

DataKind = Literal["image", "pattern", "scan"]
"""One image [ny, nx]; one diffraction pattern [ky, kx]; patterns of a scan [ny, nx, ky, kx]."""

MAX_PIXELS = 2**24
"""Pixels of an image or pattern that is measured (4096 x 4096)."""
MAX_VALUES = 150_000_000
"""Values of a scan of patterns that is held in memory."""
STRIP = 2**22
"""Values of a recording that are read at a time where it has more than `MAX_PIXELS`."""


@dataclasses.dataclass(frozen=True)
class Preparation:
    """How recorded values become what is measured.

    ``axes``: the recorded axes in the order (stack axes, rows, columns); empty for as recorded. ``frame``: for each axis before the last two an index or a
    slice; empty for all. ``rows``, ``columns``: the part (from, to) of each image or pattern that is used; None for all. ``black``: counts of a recorded
    pixel without a beam. ``gain``: counts that an electron makes; None to leave counts as they are. ``bin``: recorded pixels along each side of one.

    Images of all recorded rows and columns: ``mask``, True where a pixel is left out; ``dark``, counts without a beam; ``flat``, of an even illumination.
    ``find``: look for defects and leave them out.
    """

    axes: tuple[int, ...] = ()
    frame: tuple[int | slice, ...] = ()
    rows: tuple[int, int] | None = None
    columns: tuple[int, int] | None = None
    black: float = 0.0
    gain: float | None = None
    bin: int = 1
    mask: np.ndarray | None = None
    dark: np.ndarray | None = None
    flat: np.ndarray | None = None
    find: bool = True

    def __post_init__(self):
        if self.axes and sorted(self.axes) != list(range(len(self.axes))):
            raise ValueError(f"axes {self.axes} are no order of axes; give each of 0 to {len(self.axes) - 1} once")
        if self.bin < 1:
            raise ValueError(f"bin is {self.bin}; give how many pixels make one, 1 or more")
        if not math.isfinite(self.black):
            raise ValueError(f"black is {self.black}; give the counts of a pixel without a beam")
        if self.gain is not None and not (math.isfinite(self.gain) and self.gain > 0.0):
            raise ValueError(f"gain is {self.gain}; give the counts that an electron makes, above 0")

    def axis(self, size: int, scale: float, offset: float, columns: bool) -> tuple[int, float, float]:
        """Size, step and first coordinate that an axis of rows or ``columns`` has afterwards."""
        start, stop = (self.columns if columns else self.rows) or (0, size)
        return (stop - start) // self.bin, scale * self.bin, offset + scale * (start + 0.5 * (self.bin - 1))


class Prepared(NamedTuple):
    """``values`` [..., rows, columns], float64; ``summed``: how many recorded values are in each (of frames and of binned pixels); the ``defects`` found."""

    values: np.ndarray
    summed: int
    defects: tuple[Defect, ...] = ()


def reorder_axes(data: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """``data`` with its axes in the order ``axes``; ValueError where there are not as many."""
    if axes and len(axes) != data.ndim:
        raise ValueError(f"{len(axes)} axes are ordered, but the data have {data.ndim}; give each of them once")
    return np.transpose(data, axes) if axes else data


def prepare(data: np.ndarray, kind: DataKind, preparation: Preparation = Preparation(), min_size: int = 1) -> Prepared:
    """The values of a recording that are measured, at least ``min_size`` pixels each way.

    ValueError, with the cure behind a semicolon, for what is no intensity, a stack of which one image is wanted, parts that are empty, and sizes
    that cannot be measured. ``data`` may be of any real type and is not changed.
    """
    if np.iscomplexobj(data) or data.dtype.kind not in "iuf":
        raise ValueError(f"data are of type {data.dtype}; give intensities, in counts or electrons")
    selected = reorder_axes(data, preparation.axes)
    if selected.ndim < 2:
        raise ValueError(f"data have {selected.ndim} axes; give an image [rows, columns], or a stack of them")
    selected = selected[(*preparation.frame, ..., _slice(preparation.rows), _slice(preparation.columns))]
    leading = selected.shape[:-2]
    if kind == "image" and leading and not any(isinstance(index, slice) for index in preparation.frame):
        raise ValueError(
            f"data are a stack of {shape_text(selected.shape)}; choose one image by its index, or a range to sum"
        )
    if kind == "scan" and len(leading) != 2:
        raise ValueError(
            f"data hold {shape_text(selected.shape)} values; give a 4D-STEM scan, patterns [ny, nx, ky, kx]"
        )
    if 0 in selected.shape:
        raise ValueError(f"nothing is left of {shape_text(data.shape)} values; give a frame and a part within them")
    if kind == "scan" and selected.size > MAX_VALUES:
        raise ValueError(f"data hold {selected.size} values, more than {MAX_VALUES}; cut the scan, or its patterns")
    _check_sizes(_binned_shape(selected.shape, preparation.bin), kind, min_size)
    check_references(preparation, reorder_axes(data, preparation.axes).shape[-2:])
    large = kind != "scan" and selected.shape[-2] * selected.shape[-1] > MAX_PIXELS
    values = _in_strips(selected, preparation) if large else _read(selected, kind, preparation)
    check_values(values)
    defects: tuple[Defect, ...] = ()
    if preparation.find:
        mask, defects = find_scan_defects(values) if kind == "scan" else find_defects(values)
        values = np.where(mask, np.nan, values) if defects else values
        values, steps = equalise_scan(values) if kind == "scan" else equalise(values)
        defects = (*defects, *steps)
    summed = preparation.bin**2 * _summed_frames(selected, kind)
    return Prepared(values if large else bin_pixels(values, preparation.bin), summed, defects)


def check_references(preparation: Preparation, shape: tuple[int, ...]) -> None:
    """ValueError for a mask, dark frame or flat field that is not of the recorded images' ``shape``, or says nothing of the part that is used."""
    for name in REFERENCES:
        image = getattr(preparation, name)
        if image is not None:
            check_reference(name, image, (_slice(preparation.rows), _slice(preparation.columns)), shape)


def _read(selected: np.ndarray, kind: DataKind, preparation: Preparation, rows: slice = slice(None)) -> np.ndarray:
    """``selected`` values, or some of their ``rows``: stacks summed, without dark level, in electrons; NaN where it is masked."""
    strip = selected[..., rows, :]
    check_saturation(strip)
    if kind == "scan" or strip.ndim == 2:
        values = np.asarray(strip, np.float64)
    else:
        values = strip.sum(axis=tuple(range(strip.ndim - 2)), dtype=np.float64)
    values = _levelled(values, _summed_frames(strip, kind), preparation, rows)
    if preparation.mask is None:
        return values
    return np.where(_part(preparation.mask, preparation)[rows], np.nan, values)


def _in_strips(selected: np.ndarray, preparation: Preparation) -> np.ndarray:
    """As `_read`, binned strip by strip: a large recording is never held as a whole."""
    size = preparation.bin
    rows, columns = _binned_shape(selected.shape, size)
    binned = np.empty((rows, columns))
    step = max(1, STRIP // (selected.shape[-1] * size))
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        part = _read(selected, "image", preparation, slice(start * size, stop * size))
        binned[start:stop] = bin_pixels(part, size)
    return binned


def _part(image: np.ndarray, preparation: Preparation) -> np.ndarray:
    return image[_slice(preparation.rows), _slice(preparation.columns)]


def _levelled(values: np.ndarray, frames: int, preparation: Preparation, rows: slice) -> np.ndarray:
    """``values`` of ``rows`` without dark level and dark frame, the flat field divided out, in electrons."""
    if preparation.black:
        values = values - preparation.black * frames
    if preparation.dark is not None:
        values = values - _part(preparation.dark, preparation)[rows] * frames
    if preparation.flat is not None:
        flat = _part(preparation.flat, preparation).astype(np.float64)
        usable = np.isfinite(flat) & (flat > 0.0)
        relative = np.where(usable, flat, np.nan) / flat[usable].mean() if usable.any() else np.full(flat.shape, np.nan)
        values = values / relative[rows]
    if preparation.gain is not None and preparation.gain != 1.0:
        values = values / preparation.gain
    return values


def _slice(part: tuple[int, int] | None) -> slice:
    return slice(None) if part is None else slice(*part)


def _summed_frames(selected: np.ndarray, kind: DataKind) -> int:
    return 1 if kind == "scan" else math.prod(selected.shape[:-2])


def bin_pixels(values: np.ndarray, size: int) -> np.ndarray:
    """Sums of ``size`` x ``size`` pixels; rows and columns that are left over at the far edges are dropped."""
    if size == 1:
        return values
    rows, columns = _binned_shape(values.shape, size)
    whole = values[..., : rows * size, : columns * size]
    return whole.reshape(*values.shape[:-2], rows, size, columns, size).sum(axis=(-3, -1))


def _binned_shape(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    rows, columns = (count // size for count in shape[-2:])
    if rows == 0 or columns == 0:
        raise ValueError(f"pixels of {size} x {size} do not fit into {shape_text(shape[-2:])}; bin fewer")
    return rows, columns


def _check_sizes(shape: tuple[int, int], kind: DataKind, min_size: int) -> None:
    rows, columns = shape
    if rows * columns > MAX_PIXELS:
        raise ValueError(
            f"data are {shape_text((rows, columns))} pixels; bin them, or use a part of at most {MAX_PIXELS} pixels"
        )
    if min(rows, columns) < min_size:
        noun = "images" if kind == "image" else "patterns"
        raise ValueError(
            f"data are {noun} of {shape_text((rows, columns))} pixels; give at least {min_size} pixels each way"
        )
