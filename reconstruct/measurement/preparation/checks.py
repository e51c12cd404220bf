"""What cannot be a recording, or a mask, dark frame or flat field of one: refused with the cure behind a semicolon."""

import numpy as np

REFERENCES = ("mask", "dark", "flat")
LARGEST, SMALLEST = 1e60, 1e-60
"""Fourth powers of values beyond these are no doubles any more."""
MAX_SATURATED = 0.5
"""Share of the pixels that may read the largest value of their integer type."""


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape in words: "2 x 64 x 64"."""
    return " x ".join(str(size) for size in shape)


def check_reference(name: str, image: np.ndarray, part: tuple[slice, slice], shape: tuple[int, ...]) -> None:
    """ValueError for an ``image`` called ``name`` that is not of the recorded images' ``shape``, or says nothing of the ``part`` that is used."""
    if image.shape != tuple(shape):
        raise ValueError(
            f"{name} has {shape_text(image.shape)} pixels and the images {shape_text(shape)}; give one value for each recorded pixel"
        )
    used = image[part]
    if name == "mask" and used.all():
        raise ValueError("mask hides all pixels; pixels are left out where it is not zero: give one that keeps some")
    if name == "flat" and not (np.isfinite(used) & (used > 0.0)).any():
        raise ValueError("flat has no value above 0; give an image of an even illumination")
    if name == "dark" and not np.isfinite(used).any():
        raise ValueError("dark holds no number; give the counts without a beam")


def check_saturation(recorded: np.ndarray) -> None:
    """ValueError where most of the ``recorded`` values are the largest that their integer type has."""
    if recorded.dtype.kind not in "iu":
        return
    top = np.iinfo(recorded.dtype).max
    share = np.count_nonzero(recorded == top) / recorded.size
    if share > MAX_SATURATED:
        raise ValueError(
            f"{100 * share:.0f} % of the pixels read {top}, the largest value of {recorded.dtype}: saturated; record it with fewer electrons"
        )


def check_values(values: np.ndarray) -> None:
    """ValueError for ``values`` of which nothing can be measured: no number, one number everywhere, or numbers that are no intensities."""
    known = np.isfinite(values)
    if not known.any():
        raise ValueError("data hold no number: all values are NaN or infinite; give a recording with intensities")
    low = float(np.min(values, where=known, initial=np.inf))
    high = float(np.max(values, where=known, initial=-np.inf))
    if low == high:
        raise ValueError(
            f"all pixels read {low:.6g}: no beam, a camera that was not read out, or one that is saturated; give a recording with contrast"
        )
    largest = max(abs(low), abs(high))
    if not SMALLEST < largest < LARGEST:
        raise ValueError(
            f"values are up to {largest:.3g}, which are no intensities; give counts or electrons, or look at how the recording was read"
        )
