"""HyperSpy signals in and out, by what they have and not by their classes: HyperSpy need not be installed to read one that is given, only to make one."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from twin.errors import BadInput
from twin.records import Axis, Claim, Kind, Signal, axis_claims, collect
from twin.units import axis_unit

BEAM = "Acquisition_instrument.TEM"
METADATA = (
    (f"{BEAM}.beam_energy", "high_tension", "volt", 1e3),
    (f"{BEAM}.convergence_angle", "convergence_semiangle", "radian", 1e-3),
    (f"{BEAM}.Detector.EELS.collection_angle", "collection_semiangle", "radian", 1e-3),
    (f"{BEAM}.Detector.EELS.exposure", "exposure", "second", 1.0),
    (f"{BEAM}.Detector.EELS.dwell_time", "dwell", "second", 1.0),
)
"""Where HyperSpy's metadata hold what a measurement needs: key, field, inside unit, and the factor to it (keV, mrad)."""


def signal_of_hyperspy(data: Any, name: str = "data") -> Signal:
    """A HyperSpy signal with one or two signal axes as ours; BadInput for uneven axes or a lazy signal that was not computed."""
    if getattr(data, "_lazy", False):
        raise BadInput(name, "is a lazy signal of HyperSpy", "Compute it first: signal.compute().")
    values = np.asarray(data.data)
    axes = tuple(_axis(axis, name) for axis in data.axes_manager._axes)
    if len(axes) != values.ndim:
        raise BadInput(
            name, f"has {len(axes)} axes for data of shape {values.shape}", "Give a signal as HyperSpy made it."
        )
    single = int(data.axes_manager.signal_dimension) == 1
    kind: Kind = (
        ("spectrum" if values.ndim == 1 else "spectrum-image")
        if single
        else ("image" if values.ndim == 2 else "image-stack")
    )
    metadata = data.metadata.as_dictionary() if hasattr(data.metadata, "as_dictionary") else {}
    claims, repeated = collect([*axis_claims(axes, kind), *_claims(metadata)])
    title = str(_entry(metadata, "General.title") or "")
    return Signal(values, axes, kind, title, "", "HyperSpy", claims, repeated)


def maps_to_hyperspy(maps: Any) -> list[Any]:
    """Maps (`RecordedMeasurement.maps`) as HyperSpy signals, each with its errors as variance; ImportError where HyperSpy is not installed."""
    try:
        import hyperspy.api as hs  # type: ignore[import-not-found]  # an extra of the user's
    except ImportError as error:
        raise ImportError("HyperSpy is not installed; install it with: pip install hyperspy") from error
    signals = []
    for item in maps:
        signal = hs.signals.Signal2D(item.values, axes=_map_axes(item))
        signal.metadata.General.title = item.name
        signal.metadata.set_item("Signal.quantity", f"{item.name} ({item.unit})")
        signal.set_noise_variance(hs.signals.Signal2D(item.errors**2, axes=_map_axes(item)))
        signals.append(signal)
    return signals


def _map_axes(item: Any) -> list[dict[str, Any]]:
    """Rows and columns of a map."""
    height, width = item.values.shape
    left, right, bottom, top = item.extent or (0.0, float(width), float(height), 0.0)
    unit = "Å" if item.extent_unit == "angstrom" else "px"
    return [
        {"name": "y", "size": height, "scale": abs(bottom - top) / height, "offset": 0.0, "units": unit},
        {"name": "x", "size": width, "scale": abs(right - left) / width, "offset": 0.0, "units": unit},
    ]


def _axis(axis: Any, name: str) -> Axis:
    if not hasattr(axis, "scale"):
        problem = f"has an axis {axis.name!r} with uneven steps"
        raise BadInput(name, problem, "Interpolate it to even steps first: signal.interpolate_on_axis.")
    written = axis.units if isinstance(axis.units, str) else ""
    unit = axis_unit(written)
    factor = 1.0 if unit is None else unit.factor
    label = axis.name if isinstance(axis.name, str) else "axis"
    return Axis(label, int(axis.size), float(axis.scale) * factor, float(axis.offset) * factor, None if unit is None else unit.unit, written)  # fmt: skip


def _claims(metadata: Mapping[str, Any]) -> list[tuple[str, Claim]]:
    claims = []
    for key, field, unit, factor in METADATA:
        value = _entry(metadata, key)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
            claims.append((field, Claim(float(value) * factor, unit, f"metadata.{key}", str(value))))
    return claims


def _entry(metadata: Mapping[str, Any], key: str) -> Any:
    """The value under a dotted key, or None."""
    value: Any = metadata
    for word in key.split("."):
        value = value.get(word) if isinstance(value, Mapping) else None
    return value
