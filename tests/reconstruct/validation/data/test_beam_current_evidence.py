"""Electrons of a whole beam on a camera as evidence on current, time and gain."""

import numpy as np
import pytest
from scipy.constants import elementary_charge

from reconstruct.validation.data.beam_current import electrons, may_be_whole_beam
from reconstruct.validation.data.options import Known
from reconstruct.validation.judgement.verdict import numbers
from reconstruct.validation.recording import validate_recording
from tests.reconstruct.validation.data.deviations import evidence_by
from tests.synthetic.diffraction_patterns import signal_of_pattern
from twin.records import Signal

CURRENT, EXPOSURE, GAIN = 20e-12, 2e-3, 12.0


def camera(
    seed: int, lost: float = 0.2, dark: float = 0.0, centre: float = 64.0, saturated: float = np.inf
) -> np.ndarray:
    """Counts [128, 128] of a disk with a tail of scattered electrons, ``lost`` of which are nowhere, over a ``dark`` level."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:128, :128]
    radius = np.hypot(y - 64.0, x - centre)
    image = 0.9 * (radius < 25.0) / (np.pi * 25.0**2) + 0.1 * np.exp(-radius / 20.0) / (2.0 * np.pi * 20.0**2)
    number = CURRENT * EXPOSURE / elementary_charge * (1.0 - lost)
    counts = GAIN * rng.poisson(number * image) + dark + 2.0 * rng.standard_normal(image.shape)
    return np.minimum(counts, saturated)


def signal_of_camera(counts: np.ndarray, **claims: float) -> Signal:
    stated = {"convergence_semiangle": 0.01, "beam_current": CURRENT, "exposure": EXPOSURE, "gain": GAIN, **claims}
    return signal_of_pattern(counts, (4e-4, 4e-4), "radian", **{name: value for name, value in stated.items() if value})


@pytest.mark.parametrize("field", ["beam_current", "exposure", "gain"])
@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_a_wrong_current_time_or_gain_is_found(field, factor):
    signal = signal_of_camera(camera(1), **{field: factor * {"beam_current": CURRENT, "exposure": EXPOSURE, "gain": GAIN}[field]})  # fmt: skip
    wrong = validate_recording("camera", signal)
    assert [verdict.field for verdict in wrong.findings]
    assert {name for verdict in wrong.findings for name in [verdict.field]} <= {"beam_current", "exposure", "gain"}


def test_true_claims_agree_whatever_is_lost():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        counts = camera(seed, lost=rng.uniform(0.0, 0.45), dark=rng.choice([0.0, 20.0]))
        (item,), gaps = evidence_by(electrons, signal_of_camera(counts))
        assert not gaps
        value = item.statements[0].of(numbers(signal_of_camera(counts).claims))
        off = abs(float(item.components[0].mean[0]) - value) - item.tolerance[0]
        assert off < 2.0 * 0.05


@pytest.mark.parametrize(
    "counts, words",
    [
        (camera(2, centre=115.0), "not whole"),
        (camera(2, dark=5e3), "dark level"),
        (camera(2, saturated=700.0), "saturated"),
        (np.random.default_rng(0).poisson(5.0, (128, 128)).astype(float), "not whole|no disk|is no disk"),
        (camera(2, lost=0.9999), "too few|not whole|no disk"),
    ],
    ids=["cut", "dark level", "saturated", "noise", "few electrons"],
)
def test_what_does_not_tell_the_electrons(counts, words):
    items, (gap,) = evidence_by(electrons, signal_of_camera(counts))
    assert not items
    assert any(word in gap.why for word in words.split("|"))


def test_a_beam_stop_is_no_disk():
    counts = camera(3)
    counts[:, 60:68] = 0.0
    counts[70:90] = 0.0
    items, (gap,) = evidence_by(electrons, signal_of_camera(counts))
    assert not items
    assert "no disk" in gap.why


def test_all_claims_are_needed():
    counts = camera(1)
    for missing in ("beam_current", "exposure", "gain", "convergence_semiangle"):
        signal = signal_of_camera(counts, **{missing: 0.0})
        assert not may_be_whole_beam(signal, numbers(signal.claims), Known())
    signal = signal_of_camera(counts)
    assert may_be_whole_beam(signal, numbers(signal.claims), Known())
    stack = signal_of_camera(np.broadcast_to(counts[None], (5, *counts.shape)))
    assert not may_be_whole_beam(stack, numbers(stack.claims), Known())


def test_of_a_scan_the_mean_pattern_counts():
    patterns = np.stack([camera(seed, lost=0.1) for seed in range(9)]).reshape(3, 3, 128, 128)
    signal = signal_of_camera(patterns, exposure=0.0, dwell=EXPOSURE)
    (item,), _ = evidence_by(electrons, signal)
    assert item.statements[0].terms == {"beam_current": 1.0, "dwell": 1.0, "gain": 1.0}
    off = float(item.components[0].mean[0]) - item.statements[0].of(numbers(signal.claims))
    assert abs(off) < item.tolerance[0]
