"""A measurement of a file as plain values, schema emtwin.measure/1: inside units, the whole mixture with its covariances, what is open and what disagrees."""

import json
from typing import Any

import numpy as np

from scenarios.measure.output.comparison import Found, contradictions, disagreements, readings

SCHEMA = "emtwin.measure/1"


def tell(found: Found) -> dict[str, Any]:
    """All there is to say but the pictures. ``covariance`` [p, p] and each quantity's ``value`` and ``error`` are of the whole mixture of ``components``;
    ``readings`` are the components with those within each other's errors taken together."""
    measured = found.measurement
    mean, std = measured.mean, measured.std
    first = found.given[0].signal
    return {
        "schema": SCHEMA,
        "kind": found.kind,
        "files": [str(one.path) for one in found.given],
        "signal": {
            "title": first.title, "format": first.format, "shape": list(first.data.shape),
            "axes": [{"name": one.name, "size": one.size, "scale": one.scale, "unit": one.unit} for one in first.axes],
        },
        "settings": [
            {"file": str(one.path), "name": each.name, "value": each.value, "unit": each.unit, "from": each.from_}
            for one in found.given
            for each in one.settled
        ],
        "quantities": [
            {
                "name": name, "unit": unit, "value": float(mean[i]), "error": float(std[i]),
                "determined": name not in measured.undetermined,
            }
            for i, (name, unit) in enumerate(zip(measured.names, measured.units, strict=True))
        ],
        "covariance": measured.covariance.tolist(),
        "components": _parts(measured.components),
        "readings": _parts(tuple(readings(measured))),
        "undetermined": dict(measured.undetermined),
        "misfit": _number(measured.misfit),
        "misfit_judged": found.judged,
        "electrons": _number(measured.electrons),
        "claims": contradictions(found),
        "disagreements": disagreements(found),
        "notes": list(measured.notes),
    }  # fmt: skip


def _parts(components: Any) -> list[dict[str, Any]]:
    return [
        {"weight": float(one.weight), "mean": one.mean.tolist(), "covariance": one.covariance.tolist()}
        for one in components
    ]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def as_json(told: dict[str, Any]) -> bytes:
    """Strict JSON."""
    return (json.dumps(told, indent=1, allow_nan=False) + "\n").encode()
