"""A measurement of a file as JSON, schema emtwin.measure/3: how it ended, inside units, the mixture with its covariances, what is open, what disagrees."""

import json
from typing import Any

from reconstruct.measurement.recorded.result import RecordedMeasurement

SCHEMA = "emtwin.measure/3"


def to_dict(recorded: RecordedMeasurement) -> dict[str, Any]:
    """Everything but the plots."""
    return {"schema": SCHEMA, **recorded.to_dict()}


def to_json(result: dict[str, Any]) -> bytes:
    """Strict JSON."""
    return (json.dumps(result, indent=1, allow_nan=False) + "\n").encode()
