"""Maps as HyperSpy signals, where HyperSpy is installed."""

from collections.abc import Sequence
from typing import Any

from reconstruct.measurement.measurement import Map


def maps_to_hyperspy(maps: Sequence[Map]) -> list[Any]:
    """Maps as HyperSpy signals, each with its errors as variance; ImportError where HyperSpy is not installed."""
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


def _map_axes(item: Map) -> list[dict[str, Any]]:
    """Rows and columns of a map."""
    height, width = item.values.shape
    left, right, bottom, top = item.extent or (0.0, float(width), float(height), 0.0)
    unit = "Å" if item.extent_unit == "angstrom" else "px"
    return [
        {"name": "y", "size": height, "scale": abs(bottom - top) / height, "offset": 0.0, "units": unit},
        {"name": "x", "size": width, "scale": abs(right - left) / width, "offset": 0.0, "units": unit},
    ]
