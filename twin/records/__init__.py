"""Records: what an instrument and the twin exchange (readings, scans, frames), and recordings with their axes and claims. Without JAX."""

from twin.records.frames import Exposure, Frame, Origin, Readings, Scan
from twin.records.signals import Axis, Claim, Kind, Signal, Value, axis_of, coordinates, flatten, numbered, own_claims

__all__ = [
    "Axis", "Claim", "Exposure", "Frame", "Kind", "Origin", "Readings", "Scan", "Signal", "Value", "axis_of", "coordinates", "flatten", "numbered",
    "own_claims",
]  # fmt: skip
