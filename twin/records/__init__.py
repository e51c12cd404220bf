"""Records: what an instrument and the twin exchange (readings, scans, frames), and recordings with their axes and claims. Without JAX."""

from twin.records.claims import Claim, Claims, Value, axis_claims, collect, last_digit, own_claims
from twin.records.frames import Exposure, Frame, Origin, Readings, Scan
from twin.records.hyperspy import HYPERSPY_PLACES, HyperspyPlace
from twin.records.signals import Axis, Kind, Signal, axis_of, coordinates, flatten, numbered

__all__ = [
    "Axis",
    "Claim",
    "Claims",
    "Exposure",
    "Frame",
    "HYPERSPY_PLACES",
    "HyperspyPlace",
    "Kind",
    "Origin",
    "Readings",
    "Scan",
    "Signal",
    "Value",
    "axis_claims",
    "axis_of",
    "collect",
    "coordinates",
    "flatten",
    "last_digit",
    "numbered",
    "own_claims",
]
