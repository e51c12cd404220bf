"""What `measure` is given as a `Signal`: an array, a Dataset of `twin.simulate`, an array with coordinates, or a signal that was read from a file."""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from reconstruct.api.hyperspy import signal_of_hyperspy
from twin.errors import BadInput, from_twin
from twin.records import Axis, Kind, Signal, axis_claims, axis_of, collect, flatten, numbered, own_claims

DATA = "data"
"""Name of the variable of a Dataset of `twin.simulate`."""
MAX_BYTES = 2 * 1024**3
"""Size of data that are read into memory as a whole, as of files."""


def signal_of(data: Any, name: str = "data", spectra: bool = False) -> Signal:
    """``data`` as a signal with axes, units and claims; BadInput for what is none. Called ``name`` in messages. ``spectra``: the last axis is that
    of channels."""
    if isinstance(data, Signal):
        return data
    if isinstance(data, (str, os.PathLike)):
        problem = f"is the path {os.fspath(data)!r}, and estimation reads no files"
        cure = "Read it: measure(kind, read_vendor(path)[0]), with from instrument.readers import read_vendor; or emtwin measure."
        raise BadInput(name, problem, cure)
    if hasattr(data, "data_vars"):  # an xarray Dataset
        if DATA not in data:
            problem = f"is a Dataset of {', '.join(map(str, data)) or 'nothing'}"
            raise BadInput(name, problem, "Give the variable that is to be measured, or a Dataset of twin.simulate.")
        return _of_coordinates(data[DATA], _provenance(data.attrs), name, spectra)
    if hasattr(data, "dims") and hasattr(data, "coords"):  # an xarray DataArray
        return _of_coordinates(data, {}, name, spectra)
    if hasattr(data, "axes_manager"):
        return signal_of_hyperspy(data, name)
    values = _array(data, name, spectra)
    axes = tuple(Axis(f"axis {number}", size, 1.0, 0.0, None) for number, size in enumerate(values.shape))
    return Signal(values, axes, _kind(values, spectra), "", "", "an array")


def _array(data: Any, name: str, spectra: bool = False) -> np.ndarray:
    if not isinstance(data, np.ndarray):
        _check_size(data, name)
    try:
        values = np.asarray(data)
    except (TypeError, ValueError, RuntimeError):  # of sparse arrays a RuntimeError
        values = np.asarray(None)
    if values.dtype.kind not in "iufcb" or values.ndim < (1 if spectra else 2) or values.size == 0:
        shape = f"has shape {values.shape}"
        if values.dtype.kind not in "iufcb":
            shape = f"holds values of type {values.dtype}" if values.ndim else f"is a {type(data).__name__}"
        cure = "Give an array [rows, columns] or a stack of them, a Dataset of twin.simulate, or a Signal that was read from a file."
        what = "spectrum" if spectra else "image, pattern or scan"
        raise BadInput(name, f"{shape}, which is no {what}", cure)
    return values


def _check_size(data: Any, name: str) -> None:
    """BadInput for arrays of other libraries that would be read or copied into memory, and are too large for it."""
    size = getattr(data, "nbytes", 0)
    there = getattr(getattr(data, "variable", None), "_in_memory", False)  # of an xarray DataArray
    if isinstance(size, int) and size > MAX_BYTES and not there:
        problem = f"is a {type(data).__name__} of {size} bytes, more than the {MAX_BYTES} that are read into memory"
        raise BadInput(name, problem, "Give the part that is measured, sums of pixels or of frames, or a NumPy array.")


def _kind(values: np.ndarray, spectra: bool = False) -> Kind:
    if spectra:
        return "spectrum" if values.ndim == 1 else "spectrum-image"
    return "image" if values.ndim == 2 else "image-stack"


def _provenance(attributes: Mapping[Any, Any]) -> Mapping[str, Any]:
    """The provenance of a simulation: as JSON in one attribute, or as the attributes of a file that ``emtwin simulate`` made."""
    text = attributes.get("provenance")
    if isinstance(text, str):
        return json.loads(text)
    return {str(key): value for key, value in attributes.items()} if "scenario" in attributes else {}


def _of_coordinates(array: Any, provenance: Mapping[str, Any], name: str, spectra: bool = False) -> Signal:
    values = _array(array, name, spectra)
    axes = tuple(
        _axis(array, str(dimension), size, name) for dimension, size in zip(array.dims, values.shape, strict=True)
    )
    quantity = array.attrs.get("long_name", array.attrs.get("quantity"))
    raw = flatten({"emtwin": numbered(provenance), "unit": array.attrs.get("units", ""), "quantity": quantity})
    title = str(raw.get("emtwin.scenario.name", array.name or ""))
    kind = _kind(values, spectra)
    claims, repeated = collect([*axis_claims(axes, kind), *own_claims(raw)])
    return Signal(values, axes, kind, title, "", "xarray", claims, repeated, raw)


def _axis(array: Any, dimension: str, size: int, name: str) -> Axis:
    """The axis of one dimension: coordinates in their unit, or labels, or neither."""
    if dimension not in array.coords:
        return Axis(dimension, size, 1.0, 0.0, None)
    coordinate = array.coords[dimension]
    try:
        return axis_of(dimension, np.asarray(coordinate.values), coordinate.attrs)
    except ValueError as error:
        raise from_twin(name, error, "") from None
