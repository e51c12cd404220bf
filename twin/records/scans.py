"""A recorded scan: a spectrum or a pattern at each pixel, with a survey image of the same area. No JAX.

Files hold several signals. The cube is chosen by what is to be measured; the survey is an image of the file whose pixels are those of the scan or a whole
number of times finer, or else made of the cube itself.
"""

import math
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from twin.errors import BadInput
from twin.records.signals import Axis, Signal, is_x_ray

Content = Literal["spectrum", "pattern"]
ELECTRON_CHARGE = 1.602176634e-19
"""Coulomb."""
DARK = 0.1
"""Share of the brightest pixels of the mean pattern below which a camera pixel lies outside of the bright-field disk."""
LEAST_DARK = 0.05
"""Share of a camera that must lie outside of the disk for a virtual dark-field image."""
MOST_UNKNOWN = 0.5
"""Share of a survey's pixels that may hold no number."""
_ELEMENT_MAP = re.compile(r"[A-Z][a-z]?([-_ ](EELS|EDS|EDX|[KLMN]\w*).*)?")
_DETECTORS = re.compile(r"haadf|adf|dark|\bdf|survey", re.IGNORECASE)


class Wanted(NamedTuple):
    """What a scan must hold: a spectrum or a pattern at each pixel; ``energies`` in eV that the spectra must cover; the ``signal`` by its number or title,
    where a file holds several; ``bin`` pixels of the scan along each side are summed to one."""

    content: Content
    energies: tuple[float, float] | None = None
    signal: str | None = None
    bin: int = 1


class RecordedScan(NamedTuple):
    """``data`` [rows, columns, channels] or [rows, columns, ky, kx] with the ``axes`` of one pixel's data; ``survey`` [rows * finer, columns * finer], which
    ``survey_name`` tells in words, ``virtual`` where it is made of the data; ``electrons`` of one pixel, NaN where the recording does not tell."""

    cube: Signal
    data: np.ndarray
    axes: tuple[Axis, ...]
    content: Content
    survey: np.ndarray
    finer: int
    survey_name: str
    virtual: bool
    electrons: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the scan."""
        return int(self.data.shape[0]), int(self.data.shape[1])


def scan_of(
    signals: Sequence[Signal], wanted: Wanted, survey: Sequence[Signal] | None = None, name: str = "data"
) -> RecordedScan:
    """The scan that the ``signals`` of a recording called ``name`` hold. ``survey``: the signals of another file, of which one is its survey.

    BadInput for recordings without such a scan, and for a survey whose pixels are not those of the scan or a whole number of times finer.
    """
    cube = _cube(signals, wanted, name)
    data = np.asarray(cube.data)
    if data.dtype.kind not in "iuf":
        raise BadInput(name, f"holds values of type {data.dtype}", "Give counts.")
    inner = 1 if wanted.content == "spectrum" else 2
    axes = cube.axes[-inner:]
    if data.ndim == inner + 1:  # a line of spectra
        data = data[None]
    if wanted.content == "spectrum" and axes[0].scale < 0.0:
        axis = axes[0]
        last = axis.offset + axis.scale * (axis.size - 1)
        data, axes = data[..., ::-1], (Axis(axis.name, axis.size, -axis.scale, last, axis.unit, axis.claimed_unit),)
    shape = (int(data.shape[0]), int(data.shape[1]))
    image, finer, words = _survey(signals, survey, shape, cube, name)
    virtual = image is None
    if image is None:
        image, words = _virtual(data, wanted.content)
    image = _filled(image, words)
    made = RecordedScan(cube, data, axes, wanted.content, image, finer, words, virtual, _electrons(cube))
    return made if wanted.bin == 1 else _binned(made, wanted.bin, name)


def _binned(scan: RecordedScan, size: int, name: str) -> RecordedScan:
    """``scan`` with ``size`` x ``size`` pixels summed to one; rows and columns that are left over are cut."""
    rows, columns = (side // size for side in scan.shape)
    if size < 1 or not rows or not columns:
        problem = f"is no number of pixels of {name}, {scan.shape[0]} x {scan.shape[1]}"
        raise BadInput(f"bin = {size}", problem, "Give how many pixels along each side make one.")
    data = scan.data[: rows * size, : columns * size]
    parts = data.reshape(rows, size, columns, size, *data.shape[2:])
    finer = scan.finer * size
    survey = scan.survey[: rows * finer, : columns * finer]
    return scan._replace(
        data=parts.sum(axis=(1, 3), dtype=np.float64), survey=survey, finer=finer, electrons=scan.electrons * size**2,
        survey_name=f"{scan.survey_name}; {size} x {size} pixels of the scan are summed to one",
    )  # fmt: skip


def _cube(signals: Sequence[Signal], wanted: Wanted, name: str) -> Signal:
    """The signal that holds what is wanted; the finest axis where several spectrum images cover the energies."""
    cubes = [signal for signal in signals if content_of(signal) is not None]
    listed = "; ".join(f"{number} {_described(signal)}" for number, signal in enumerate(signals[:12])) or "nothing"
    if not cubes:
        cure = "Give a spectrum image (a spectrum at each pixel) or a 4D-STEM recording (a pattern at each pixel)."
        raise BadInput(name, f"holds no scan: {listed}", cure)
    if wanted.signal is not None:
        named = [
            signal
            for number, signal in enumerate(signals)
            if content_of(signal) is not None and wanted.signal in (str(number), signal.title)
        ]
        if not named:
            raise BadInput(f"signal {wanted.signal!r}", f"is no scan of {name}: {listed}", "Choose another one.")
        cubes = named
    fitting = [signal for signal in cubes if content_of(signal) == wanted.content]
    if not fitting:
        other = "patterns" if wanted.content == "spectrum" else "spectra"
        here = "spectra" if wanted.content == "spectrum" else "patterns"
        problem = f"holds a scan of {other}, and this is a quantity of {here}"
        examples = '"centre of mass x", "20-60 mrad"' if other == "patterns" else '"Ti L", "450-470 eV"'
        raise BadInput(name, problem, f"Ask for a quantity of {other}, such as {examples}.")
    covering = [signal for signal in fitting if _covers(signal.axes[-1], wanted.energies)]
    if not covering:
        low, high = wanted.energies or (0.0, 0.0)
        spans = ", ".join(f"{min(ends):.6g} to {max(ends):.6g} eV" for ends in map(_ends, fitting))
        problem = f"records {spans}, which does not hold {low:.6g} to {high:.6g} eV"
        raise BadInput(name, problem, "Ask for a quantity within the recorded energies.")
    return min(covering, key=lambda signal: abs(signal.axes[-1].scale))


def content_of(signal: Signal) -> Content | None:
    """What each pixel of a signal holds; None for what is no scan."""
    last = signal.axes[-1].unit
    if signal.kind == "spectrum-image" and signal.data.ndim in (2, 3) and last == "electronvolt":
        return None if is_x_ray(signal) or signal.axes[-1].scale == 0.0 else "spectrum"
    if signal.data.ndim == 4 and signal.kind == "image-stack" and not any(axis.labels for axis in signal.axes):
        return "pattern"
    return None


def _described(signal: Signal) -> str:
    shape = " x ".join(map(str, signal.data.shape))
    axis = signal.axes[-1]
    start = f" from {axis.offset:.6g} eV" if axis.unit == "electronvolt" else ""
    return f"{signal.title!r}, {signal.kind} of {shape}{start}"


def _ends(signal: Signal) -> tuple[float, float]:
    axis = signal.axes[-1]
    return axis.offset, axis.offset + axis.scale * (axis.size - 1)


def _covers(axis: Axis, energies: tuple[float, float] | None) -> bool:
    if energies is None or axis.unit != "electronvolt":
        return True
    low, high = sorted((axis.offset, axis.offset + axis.scale * (axis.size - 1)))
    return low <= energies[0] and energies[1] <= high


def _survey(
    signals: Sequence[Signal], given: Sequence[Signal] | None, shape: tuple[int, int], cube: Signal, name: str
) -> tuple[np.ndarray | None, int, str]:
    """The survey with how many times finer it is and what it is; None where the file has none."""
    if given is None:
        fitting = [pair for pair in _images(signals) if finer_of(pair[1].shape, shape)]
        # maps of elements are made of the spectra: they are no survey
        fitting = [pair for pair in fitting if not _ELEMENT_MAP.fullmatch(pair[0].strip())]
    else:
        images = _images(given)
        fitting = [pair for pair in images if finer_of(pair[1].shape, shape)]
        if not fitting:
            shapes = ", ".join(" x ".join(map(str, image.shape)) for _, image in images) or "no image"
            problem = f"holds {shapes}; the scan of {name} has {shape[0]} x {shape[1]} pixels"
            path = next((signal.path for signal in given if signal.path), "survey")
            cure = (
                "Give an image of the same area with as many pixels, or a whole number of times more along both sides."
            )
            raise BadInput(path, problem, cure)
    if not fitting:
        return None, 1, ""
    fitting.sort(key=lambda pair: (_DETECTORS.search(pair[0]) is None, -pair[1].size))
    title, image = fitting[0]
    finer = finer_of(image.shape, shape)
    grid = "on the grid of the scan" if finer == 1 else f"{finer} x {finer} pixels for each of the scan"
    source = "of the same file" if given is None else "of its own file"
    return np.asarray(image, np.float64), finer, f"{title or 'image'} {source}, {grid}"


def _images(signals: Sequence[Signal]) -> list[tuple[str, np.ndarray]]:
    """Names and values of all single images: those of a stack with names are one each."""
    images = []
    for signal in signals:
        if signal.data.dtype.kind not in "iuf":
            continue
        if signal.kind == "image" and signal.data.ndim == 2:
            images.append((signal.title, signal.data))
        elif signal.kind == "image-stack" and signal.data.ndim == 3 and signal.axes[0].labels:
            images += list(zip(signal.axes[0].labels, signal.data, strict=True))
    return images


def finer_of(image: tuple[int, ...], shape: tuple[int, int]) -> int:
    """How many times finer an image is than a scan of ``shape``; 0 where it is not, by a whole number alike along both sides."""
    finer = image[0] // shape[0] if shape[0] else 0
    return finer if finer >= 1 and tuple(image) == (shape[0] * finer, shape[1] * finer) else 0


def _virtual(data: np.ndarray, content: Content) -> tuple[np.ndarray, str]:
    """An image of the data themselves: counts outside of the bright-field disk, or all counts."""
    values = np.where(np.isfinite(data), data, 0.0) if data.dtype.kind == "f" else data
    if content == "pattern":
        mean = values.mean(axis=(0, 1), dtype=np.float64)
        dark = mean < DARK * np.quantile(mean, 0.99)
        if dark.mean() >= LEAST_DARK and mean[dark].sum() > 0.0:
            image = np.einsum("abij,ij->ab", values, dark.astype(values.dtype), dtype=np.float64)
            return image, "virtual dark-field image: the counts of each pattern outside of the bright-field disk"
    axes = tuple(range(2, values.ndim))
    what = "pattern" if content == "pattern" else "spectrum"
    return values.sum(axis=axes, dtype=np.float64), f"total counts of each {what}"


def _filled(image: np.ndarray, name: str) -> np.ndarray:
    """Pixels without a number are the median of the others; BadInput for an image that hardly holds numbers."""
    known = np.isfinite(image)
    if known.all():
        return image
    if known.mean() < MOST_UNKNOWN:
        raise BadInput(
            f"survey ({name})", f"{(~known).sum()} of {known.size} pixels hold no number", "Give another image."
        )
    return np.where(known, image, np.median(image[known]))


def _electrons(cube: Signal) -> float:
    """Electrons on the specimen at one pixel: by beam current and time, by the dose of a simulation, or by dose and step; NaN where none is told."""
    current, seconds = _claimed(cube, "beam_current"), _claimed(cube, "dwell") or _claimed(cube, "exposure")
    if current and seconds:
        return current * seconds / ELECTRON_CHARGE
    stated = cube.raw.get("emtwin.scenario.dose.electrons")
    if isinstance(stated, int | float) and stated > 0:
        return float(stated)
    steps = [axis for axis in cube.axes[:2] if axis.unit == "angstrom" and axis.scale]
    dose = _claimed(cube, "dose")
    if dose and len(steps) == 2:
        return dose * abs(steps[0].scale * steps[1].scale)
    return math.nan


def _claimed(cube: Signal, name: str) -> float | None:
    claim = cube.claims.get(name)
    value = claim.value if claim is not None else None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) and value > 0 else None
