"""Pixel and thickness by an averaged pattern: what a fit found, as statements on the fields. The fit itself is tested with `measure`."""

import math

import numpy as np

from reconstruct.measurement.measurement import Component, Measurement
from reconstruct.measurement.recorded.inputs import Inputs, Wording
from reconstruct.measurement.recorded.known import Pacbed
from reconstruct.measurement.recorded.recording import recording_of
from reconstruct.measurement.recorded.result import RecordedMeasurement
from reconstruct.validation.data.diffraction import averaged as module
from reconstruct.validation.data.diffraction.averaged import averaged, may_be_averaged
from reconstruct.validation.data.options import Known
from reconstruct.validation.judgement.verdict import numbers
from tests.reconstruct.validation.data.deviations import evidence_by, nearest
from tests.synthetic.diffraction_patterns import signal_of_pattern

NAMES, UNITS = ("thickness", "semiangle", "scale"), ("angstrom", "radian", "1")
CLAIMS = {"convergence_semiangle": 0.02, "thickness": 80.0}
KNOWN = Known("SrTiO3", thorough=True)


def measured(scale: float, undetermined: dict[str, str] | None = None) -> RecordedMeasurement:
    """What `measure` returns."""
    mean, errors = np.array([78.0, 0.02, scale]), np.array([1.5, 1e-4, 0.006])
    measurement = Measurement("pacbed", NAMES, UNITS, (Component(1.0, mean, np.diag(errors**2)),), undetermined or {})
    signal = signal_of_pattern(np.ones((64, 64)), (1.5e-3, 1.5e-3), "radian")
    recording = recording_of("pattern", signal, Inputs(Pacbed(), Wording(Pacbed)))
    return RecordedMeasurement("pacbed", (recording,), measurement)


def test_the_scale_is_the_pixel_over_the_wavelength(monkeypatch):
    monkeypatch.setattr(module, "measure", lambda *_, **__: measured(1.1))
    signal = signal_of_pattern(np.ones((64, 64)), (1.65e-3, 1.65e-3), "radian", **CLAIMS)
    (item,), gaps = evidence_by(averaged, signal, KNOWN)
    assert not gaps
    claimed = numbers(signal.claims)
    assert nearest(item, claimed)[0] < -8.0
    right = {**claimed, "pixel.angle.x": 1.5e-3, "pixel.angle.y": 1.5e-3, "thickness": 78.0}
    assert np.abs(nearest(item, right)).max() < 0.01
    assert math.sqrt(item.components[0].covariance[0, 0]) < 0.01


def test_what_is_not_determined_is_a_gap(monkeypatch):
    monkeypatch.setattr(module, "measure", lambda *_, **__: measured(1.0, dict.fromkeys(NAMES, "no crystal")))
    signal = signal_of_pattern(np.ones((64, 64)), (1.5e-3, 1.5e-3), "radian", **CLAIMS)
    items, (gap,) = evidence_by(averaged, signal, KNOWN)
    assert not items
    assert "no crystal" in gap.why


def test_it_is_made_only_where_the_user_has_time():
    signal = signal_of_pattern(np.ones((64, 64)), (1.5e-3, 1.5e-3), "radian", **CLAIMS)
    values = numbers(signal.claims)
    assert may_be_averaged(signal, values, KNOWN)
    assert not may_be_averaged(signal, values, Known("SrTiO3"))
    assert not may_be_averaged(signal, values, Known(thorough=True))
