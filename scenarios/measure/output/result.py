"""A measurement of a file as plain values, schema emtwin.measure/1: inside units, the whole mixture with its covariances, what is open and what disagrees."""

import json
from typing import Any

import numpy as np

from scenarios.measure.output.comparison import FileMeasurement, compare_claims, disagreements, readings

SCHEMA = "emtwin.measure/1"


def to_dict(file_measurement: FileMeasurement) -> dict[str, Any]:
    """Everything but the plots. ``covariance`` [p, p] and each quantity's ``value`` and ``error`` are of the whole mixture of ``components``;
    ``readings`` are the components with those within each other's errors taken together."""
    measured = file_measurement.measurement
    mean, std = measured.mean, measured.std
    first = file_measurement.recordings[0].signal
    return {
        "schema": SCHEMA,
        "kind": file_measurement.kind,
        "files": [str(recording.path) for recording in file_measurement.recordings],
        "signal": {
            "title": first.title, "format": first.format, "shape": list(first.data.shape),
            "axes": [{"name": axis.name, "size": axis.size, "scale": axis.scale, "unit": axis.unit} for axis in first.axes],
        },
        "settings": [
            {"file": str(recording.path), "name": setting.name, "value": setting.value, "unit": setting.unit, "from": setting.source}
            for recording in file_measurement.recordings
            for setting in recording.settings
        ],
        "quantities": [
            {
                "name": name, "unit": unit, "value": float(mean[i]), "error": float(std[i]),
                "determined": name not in measured.undetermined,
            }
            for i, (name, unit) in enumerate(zip(measured.names, measured.units, strict=True))
        ],
        "covariance": measured.covariance.tolist(),
        "components": _component_dicts(measured.components),
        "readings": _component_dicts(tuple(readings(measured))),
        "undetermined": dict(measured.undetermined),
        "misfit": _finite_or_none(measured.misfit),
        "misfit_judged": file_measurement.judged,
        "electrons": _finite_or_none(measured.electrons),
        "claims": compare_claims(file_measurement),
        "disagreements": disagreements(file_measurement),
        "notes": list(measured.notes),
    }  # fmt: skip


def _component_dicts(components: Any) -> list[dict[str, Any]]:
    return [
        {
            "weight": float(component.weight),
            "mean": component.mean.tolist(),
            "covariance": component.covariance.tolist(),
        }
        for component in components
    ]


def _finite_or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def to_json(result: dict[str, Any]) -> bytes:
    """Strict JSON."""
    return (json.dumps(result, indent=1, allow_nan=False) + "\n").encode()
