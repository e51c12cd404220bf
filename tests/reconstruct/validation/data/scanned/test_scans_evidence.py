"""The rotation between scan and camera as evidence: on drawn scans and on simulated ones that claim another."""

import math

import numpy as np
import pytest

from reconstruct.validation.data.scanned.rotation import rotation
from reconstruct.validation.recording import validate_recording
from tests.reconstruct.validation.data.deviations import evidence_by, nearest
from tests.synthetic.scans4d import scanned
from twin.records import Axis, Claim, Signal, own_claims


def signal_of_scan(patterns: np.ndarray, claimed: float) -> Signal:
    units = ("angstrom", "angstrom", "radian", "radian")
    axes = tuple(
        Axis(name, size, 1e-3, 0.0, unit) for name, size, unit in zip("yxvu", patterns.shape, units, strict=True)
    )
    claims = {"pattern_rotation": Claim(claimed, "radian", "rotation")}
    return Signal(patterns, axes, "image-stack", "", "", "synthetic", claims)


@pytest.mark.smoke
def test_the_rotation_is_found_whatever_is_claimed():
    drawn = scanned(3)
    for wrong in (0.0, 0.3, math.pi):
        (item,), gaps = evidence_by(rotation, signal_of_scan(drawn.patterns, drawn.rotation + wrong))
        assert not gaps
        assert item.statements[0].form == "circle"
        assert np.abs(nearest(item, {"pattern_rotation": drawn.rotation})).max() < 3.0
    assert ("mirrored" in item.words) == bool(drawn.flip)


def test_what_shows_no_rotation_is_a_gap():
    flat = np.random.default_rng(0).poisson(5.0, (12, 12, 16, 16)).astype(float)
    items, (gap,) = evidence_by(rotation, signal_of_scan(flat, 0.0))
    assert not items
    assert gap.fields == ("pattern_rotation",)
    items, (gap,) = evidence_by(rotation, signal_of_scan(flat[:3], 0.0))
    assert "3 x 12" in gap.why


def test_own_scans_claim_minus_the_rotation_of_their_camera():
    raw = {
        "emtwin.scenario.signal": "4d-stem",
        "emtwin.scenario.detectors.camera.kind": "pixelated",
        "emtwin.scenario.detectors.camera.rotation": 0.4,
    }
    assert dict(own_claims(raw))["pattern_rotation"].value == -0.4
    assert "pattern_rotation" not in dict(own_claims({**raw, "emtwin.scenario.signal": "stem"}))
    assert "pattern_rotation" not in dict(own_claims({**raw, "emtwin.scenario.detectors.other.kind": "pixelated"}))


@pytest.mark.slow
def test_a_scan_that_is_turned_by_30_degrees(data):
    from instrument.readers import read_vendor

    signal = read_vendor(data / "spoiled" / "rotation-30-degrees.zarr")[0]
    verdict = validate_recording("scan", signal).verdict("pattern_rotation")
    assert verdict.status == "disagrees"
    assert verdict.suggested == pytest.approx(-math.pi / 6.0, abs=0.04)
    assert verdict.causes[0][0] == "scan rotation"
