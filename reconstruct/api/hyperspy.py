"""HyperSpy signals in, by what they have and not by their classes: HyperSpy need not be installed."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from twin.errors import BadInput
from twin.records import HYPERSPY_PLACES, Axis, Claim, Kind, Signal, axis_claims, collect
from twin.units import axis_unit, read_unit


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
    """Positive numbers in the places that HyperSpy has for them, in its units."""
    claims = []
    for entry in HYPERSPY_PLACES:
        unit = read_unit(entry.unit) if entry.unit else None
        value = _entry(metadata, entry.key)
        if unit is None or _entry(metadata, f"{entry.key}_units") is not None:
            continue  # text, and numbers whose unit is their own
        signed = entry.field.startswith("stage.")
        if isinstance(value, (int, float)) and not isinstance(value, bool) and (signed or value > 0):
            number = float(value) * unit.factor
            claims.append((entry.field, Claim(number, unit.unit, f"metadata.{entry.key}", str(value))))
    return claims


def _entry(metadata: Mapping[str, Any], key: str) -> Any:
    """The value under a dotted key, or None."""
    value: Any = metadata
    for word in key.split("."):
        value = value.get(word) if isinstance(value, Mapping) else None
    return value
