"""Signals of a vendor's file in this project's units: data, axes, and the claims of its metadata. msgspec Structs over numpy; no JAX."""

from typing import Literal

import msgspec
import numpy as np

from twin.units import axis_unit

Kind = Literal["image", "image-stack", "spectrum", "spectrum-image"]
Value = str | float | int | bool


class VendorError(ValueError):
    """A file that could not be read: ``path`` names it, ``problem`` says what is wrong, ``cure`` what to do."""

    def __init__(self, path: str, problem: str, cure: str):
        super().__init__(f"{path}: {problem}. {cure}")
        self.path = path
        self.problem = problem
        self.cure = cure

    def __reduce__(self) -> tuple[type["VendorError"], tuple[str, str, str]]:
        return VendorError, (self.path, self.problem, self.cure)


class Axis(msgspec.Struct, frozen=True):
    """One axis of the data: coordinate = offset + scale * index, in ``unit``.

    ``unit`` is angstrom, radian, 1/angstrom, electronvolt, second, or None where the file gives no unit (then scale and offset are bare numbers);
    ``claimed_unit`` is the unit as the file wrote it. ``labels`` name the positions along an axis without a scale (detectors of a scan).
    """

    name: str
    size: int
    scale: float
    offset: float
    unit: str | None
    claimed_unit: str = ""
    labels: tuple[str, ...] = ()


class Claim(msgspec.Struct, frozen=True):
    """One statement of the metadata about the instrument, not verified. ``key`` is its key in the vendor's metadata."""

    value: Value
    unit: str | None
    key: str


class VendorSignal(msgspec.Struct, frozen=True):
    """One image, spectrum or array of spectra of a file. ``data`` is [..., y, x] or [..., y, x, channel], as recorded (no rescaling).

    ``claims`` holds what the file says, in inside units, by name; what a file does not say (or says as NaN) is not in it.
    ``raw`` holds the vendor's metadata as they stand, flattened to dotted keys, long entries left out.
    """

    data: np.ndarray
    axes: tuple[Axis, ...]
    kind: Kind
    title: str
    path: str
    format: str
    claims: dict[str, Claim] = {}
    raw: dict[str, Value] = {}

    def axis(self, name: str) -> Axis:
        """The axis of that name; ValueError if there is none."""
        for item in self.axes:
            if item.name == name:
                return item
        raise ValueError(f"{self.path}: no axis {name!r}; it has {', '.join(a.name for a in self.axes)}")


def axis_scale(text: str) -> tuple[float, str | None]:
    """Factor and inside unit of an axis whose unit a file writes as ``text``; (1, None) where it writes none, or one that is not known."""
    unit = axis_unit(text)
    return (1.0, None) if unit is None else (unit.factor, unit.unit)


def coordinates(axis: Axis) -> np.ndarray:
    """Coordinates [size] along an axis, in its unit."""
    return axis.offset + axis.scale * np.arange(axis.size, dtype=np.float64)
