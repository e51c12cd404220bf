"""One trial: a recording measured as a user would, and how far the answer is from the truth in its own standard errors."""

import hashlib
import importlib
import pickle
import time
from collections import OrderedDict
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from reconstruct import measure
from reconstruct.api.measure import KindName
from reconstruct.measurement.measurement import Component, Measurement
from reconstruct.measurement.recorded.result import RecordedMeasurement
from tests.benchmarks.spoiled.sample import Sample
from twin.errors import BadInput

KINDS: tuple[KindName, ...] = ("lattice", "thon", "haadf", "disk", "rotation", "pacbed", "film")
Z90 = 1.6448536
STRENGTHS = (0, 1, 2)
KEPT = 16
_ATTEMPTS: OrderedDict[str, dict[str, Any]] = OrderedDict()


def module_of(kind: str) -> ModuleType:
    """The module of a kind."""
    return importlib.import_module(f"tests.benchmarks.spoiled.{kind}")


def run_trial(kind: KindName, seed: int, spoiling: str | None, strength: int) -> dict[str, Any]:
    """A row: outcome, deviations of the principal quantities of each reading, weights, errors, whether 90 % intervals hold, seconds."""
    module = module_of(kind)
    sample: Sample = module.draw(seed, spoiling, strength)
    row: dict[str, Any] = {"kind": kind, "seed": seed, "spoiling": spoiling, "strength": strength}
    start = time.monotonic()
    row |= _attempt_once(kind, sample.data, sample.known, sample.truth, module.PRINCIPAL)
    row["seconds"] = time.monotonic() - start
    if spoiling is not None and sample.told is not None:
        told = _attempt_once(kind, *sample.told, sample.truth, module.PRINCIPAL)
        row |= {"told_outcome": told["outcome"], "told_deviation": told["deviation"]}
    return row


def _attempt_once(kind: KindName, data: Any, known: Mapping[str, Any], *compared: Any) -> dict[str, Any]:
    """`attempt`, not done again for the data and inputs of one of the last trials: most fits that are told the spoiling are of the clean recording."""
    key = hashlib.sha256(pickle.dumps((kind, data, dict(known), compared))).hexdigest()
    if key not in _ATTEMPTS:
        if len(_ATTEMPTS) == KEPT:
            _ATTEMPTS.popitem(last=False)
        _ATTEMPTS[key] = attempt(kind, data, known, *compared)
    _ATTEMPTS.move_to_end(key)
    return _ATTEMPTS[key]


def attempt(
    kind: KindName,
    data: Any,
    known: Mapping[str, Any],
    truth: Mapping[str, float],
    principal: Mapping[str, float | None],
) -> dict[str, Any]:
    """What a measurement comes to as `scored` has it; the outcome "refused", with the message, for bad input."""
    try:
        return scored(measure(kind, data, **known), truth, principal)
    except BadInput as error:
        nothing: dict[str, Any] = {
            "names": [],
            "weights": [],
            "right": [],
            "errors": {},
            "covers": {},
            "deviations": {},
            "failed": [],
            "withheld": None,
        }
        return {"outcome": "refused", "disagreements": [str(error)], "deviation": None, **nothing}


def scored(
    result: RecordedMeasurement, truth: Mapping[str, float], principal: Mapping[str, float | None]
) -> dict[str, Any]:
    """Outcome and disagreements; largest ``deviation`` of the likeliest reading; ``weights`` of the readings, and which are ``right`` (within 4 standard
    errors in all that is determined); ``errors`` and whether the 90 % interval ``covers`` the truth for each quantity that is determined; the checks that
    ``failed``, and the largest deviation of what they took back (``withheld``)."""
    measured, readings = result.measurement, result.readings
    names = [name for name in principal if name in result.names and name not in result.undetermined]
    row: dict[str, Any] = {"outcome": result.outcome, "disagreements": result.disagreements, "names": names}
    row["weights"] = [reading.weight for reading in readings]
    deviations = [deviation(reading, measured, truth, principal, names) for reading in readings]
    largest = [float(np.abs(values).max(initial=0.0)) for values in deviations]
    row["deviation"] = largest[0] if names else None
    row["deviations"] = dict(zip(names, deviations[0].tolist(), strict=True))
    row["right"] = [value <= 4.0 for value in largest]
    row["errors"] = {name: result.errors[name] for name in names}
    row["covers"] = {
        name: bool(abs(value) <= Z90) if len(readings) == 1 else bool(measured.covers(name, truth[name]))
        for name, value in row["deviations"].items()
    }
    row["failed"] = [check.name for check in measured.failed_checks]
    row["withheld"] = _withheld(measured, truth, principal)
    return row


def _withheld(measured: Measurement, truth: Mapping[str, float], principal: Mapping[str, float | None]) -> float | None:
    """Largest deviation of the likeliest reading that a check took back; None where none did or nothing was determined."""
    before = measured.withheld
    if before is None:
        return None
    names = [name for name in principal if name in before.names and name not in before.undetermined]
    return float(np.abs(deviation(before.readings[0], before, truth, principal, names)).max()) if names else None


def deviation(
    reading: Component,
    measured: Measurement,
    truth: Mapping[str, float],
    principal: Mapping[str, float | None],
    names: list[str],
) -> np.ndarray:
    """(value - truth) / standard error [n] of the quantities ``names``, on the circle where they have a period."""
    values = []
    for name in names:
        index = measured.index(name)
        difference, period = float(reading.mean[index]) - truth[name], principal[name]
        if period is not None:
            difference = (difference + 0.5 * period) % period - 0.5 * period
        values.append(difference / float(np.sqrt(reading.covariance[index, index])))
    return np.array(values)
