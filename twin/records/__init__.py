"""Records: what an instrument and the twin exchange (readings, scans, frames), and recordings with their axes and claims. Without JAX."""

from twin.records.claims import Claim, Claims, Value, axis_claims, collect, last_digit, own_claims
from twin.records.frames import Exposure, Frame, Origin, Readings, Scan
from twin.records.hyperspy import HYPERSPY_PLACES, HyperspyPlace
from twin.records.scans import Content, RecordedScan, Wanted, content_of, finer_of, scan_of
from twin.records.signals import Axis, Kind, Signal, axis_of, coordinates, flatten, is_x_ray, numbered

__all__ = [
    "Axis",
    "Claim",
    "Claims",
    "Content",
    "Exposure",
    "Frame",
    "HYPERSPY_PLACES",
    "HyperspyPlace",
    "Kind",
    "Origin",
    "Readings",
    "RecordedScan",
    "Scan",
    "Signal",
    "Value",
    "Wanted",
    "axis_claims",
    "axis_of",
    "collect",
    "content_of",
    "coordinates",
    "finer_of",
    "flatten",
    "is_x_ray",
    "last_digit",
    "numbered",
    "own_claims",
    "scan_of",
]
