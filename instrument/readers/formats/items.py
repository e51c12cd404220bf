"""One recording as a format's reader hands it on, in the form of RosettaSciIO's dictionaries, and errors that all readers raise alike."""

from collections.abc import Mapping
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np

from instrument.readers.signals import VendorError
from twin.records import axis_of

COPY_AGAIN = "The file is damaged; copy it again."


class Item(TypedDict):
    """``data``; an entry of ``axes`` for each of its dimensions (name, size, scale, offset, units); HyperSpy's ``metadata``; the file's own metadata."""

    data: Any
    axes: list[dict[str, Any]]
    metadata: NotRequired[Mapping[str, Any]]
    original_metadata: NotRequired[Mapping[str, Any]]


class Format(NamedTuple):
    """A format: its ``name``, file name ``suffixes``, the bytes with which its files begin (none: its reader checks), the ``module`` of its reader.

    ``folder``: it may be a folder of files (Zarr). ``marks``: texts of which one stands near the beginning, for an extension that many programs use.
    """

    name: str
    suffixes: tuple[str, ...]
    magics: tuple[bytes, ...]
    module: str
    folder: bool = False
    marks: tuple[bytes, ...] = ()


def axis(name: str, size: int, scale: float = 1.0, offset: float = 0.0, units: str = "") -> dict[str, Any]:
    """One entry of ``axes``; ``units`` as the file writes it, "" for none."""
    return {"name": name, "size": size, "scale": scale, "offset": offset, "units": units}


def axis_along(path: str, name: str, values: np.ndarray, units: str) -> dict[str, Any]:
    """The axis whose coordinates are ``values`` [size]; VendorError where their steps differ, which an axis with one scale cannot say."""
    try:
        along = axis_of(name, values, {})
    except ValueError as error:
        raise VendorError(
            path, f"has an axis {name!r} whose steps differ", "Resample the data to even steps."
        ) from error
    return axis(name, along.size, along.scale, along.offset, units)


def check_size(path: str, size: int, max_bytes: int) -> None:
    """VendorError where an array of ``size`` bytes is more than may be unpacked."""
    if size > max_bytes:
        raise VendorError(
            path, f"unpacks to {size} bytes, more than {max_bytes}", "Read it in parts with the vendor's software."
        )


def check_length(path: str, needed: int, length: int) -> None:
    """VendorError where a file of ``length`` bytes is shorter or longer than its header says."""
    if length < needed:
        raise VendorError(path, f"is cut off: its header declares {needed} bytes, it has {length}", "Copy it again.")
    if length > needed:
        problem = f"has {length} bytes where its header declares {needed}"
        raise VendorError(path, problem, "Its header is damaged or was not updated; copy it again or write it anew.")
