"""Diffraction spots as evidence: against patterns drawn spot by spot, with claims that are true and false, and patterns that show no lattice."""

import dataclasses
import math

import numpy as np
import pytest

from reconstruct.measurement.diffraction.net import Net, find_net
from reconstruct.measurement.diffraction.spots import find_spots
from reconstruct.validation.data.diffraction.spots import spots
from reconstruct.validation.data.options import Known
from reconstruct.validation.recording import validate_recording
from tests.reconstruct.validation.data.deviations import evidence_by, likeliest, nearest
from tests.synthetic.diffraction_patterns import Drawn, pattern_of, signal_of_pattern
from twin.optics.electrons import wavelength

STRONTIUM_TITANATE = Known("SrTiO3")
SMALL = Drawn(shape=(192, 192), pixel=(0.016, 0.016), electrons=3e5)
DISKS = dataclasses.replace(SMALL, radius=6.0)


@pytest.mark.smoke
@pytest.mark.parametrize("drawn", [SMALL, DISKS], ids=["spots", "disks"])
def test_pixels_are_found_to_half_a_percent(drawn):
    (item,), gaps = evidence_by(spots, signal_of_pattern(pattern_of(drawn, 3), drawn.pixel), STRONTIUM_TITANATE)
    assert not gaps
    assert [statement.terms for statement in item.statements] == [{"pixel.kx": 1.0}, {"pixel.ky": 1.0}]
    assert np.sqrt(np.diag(item.components[0].covariance)).max() < 0.005
    assert np.abs(likeliest(item, {"pixel.kx": drawn.pixel[0], "pixel.ky": drawn.pixel[1]})).max() < 2.0


@pytest.mark.parametrize("factor", [1.05, 2.0, 0.5, 10.0, 0.1])
def test_a_claim_that_is_wrong_by_any_factor_does_not_pull_the_pixels(factor):
    claimed = (SMALL.pixel[0] * factor, SMALL.pixel[1] * factor)
    counts = pattern_of(SMALL, 4)
    (item,), _ = evidence_by(spots, signal_of_pattern(counts, claimed), STRONTIUM_TITANATE)
    (right,), _ = evidence_by(spots, signal_of_pattern(counts, SMALL.pixel), STRONTIUM_TITANATE)
    assert np.array_equal(item.components[0].mean, right.components[0].mean)
    assert np.abs(likeliest(item, {"pixel.kx": claimed[0], "pixel.ky": claimed[1]})).min() > 10.0


def test_disks_with_gradients_are_placed_by_their_edges():
    drawn = dataclasses.replace(DISKS, uneven=0.8, electrons=3e6, background=0.05)
    measured = find_spots(pattern_of(drawn, 1))
    net = find_net(measured)
    assert measured.disks
    assert isinstance(net, Net)
    assert measured.radius == pytest.approx(6.0, abs=0.15)
    assert net.scatter < 0.06  # a sixteenth of a pixel; centres of mass scatter by more than one
    # of {100} or, where these are too weak beside disks that nearly touch, of {110}
    lengths = np.linalg.norm(net.vectors, axis=1) * 3.905 * 0.016
    assert min(np.abs(lengths - 1.0).max(), np.abs(lengths / math.sqrt(2.0) - 1.0).max()) < 1e-3


def test_pixels_that_are_not_square_are_told_apart():
    drawn = dataclasses.replace(SMALL, pixel=(0.016, 0.0168))
    (item,), _ = evidence_by(
        spots, signal_of_pattern(pattern_of(drawn, 5), (drawn.pixel[1], drawn.pixel[0])), STRONTIUM_TITANATE
    )
    truth = {"pixel.kx": drawn.pixel[0], "pixel.ky": drawn.pixel[1]}
    assert np.abs(nearest(item, truth)).max() < 3.0
    assert np.abs(nearest(item, {"pixel.kx": drawn.pixel[1], "pixel.ky": drawn.pixel[0]})).max() > 10.0


def test_of_angles_the_high_tension_is_a_part():
    angle = SMALL.pixel[0] * float(wavelength(200e3))
    counts = pattern_of(SMALL, 6)
    (item,), _ = evidence_by(spots, signal_of_pattern(counts, (angle, angle), "radian"), STRONTIUM_TITANATE)
    truth = {"pixel.angle.x": angle, "pixel.angle.y": angle, "high_tension": 200e3}
    assert np.abs(likeliest(item, truth)).max() < 2.0
    assert np.abs(likeliest(item, {**truth, "high_tension": 300e3})).min() > 50.0


def test_a_wrong_pixel_is_found_and_named():
    counts = pattern_of(SMALL, 7)
    wrong = validate_recording("pattern", signal_of_pattern(counts, (0.016 * 1.05, 0.016 * 1.05)), STRONTIUM_TITANATE)
    right = validate_recording("pattern", signal_of_pattern(counts, (0.016, 0.016)), STRONTIUM_TITANATE)
    assert right.agrees
    for name in ("pixel.kx", "pixel.ky"):
        verdict = wrong.verdict(name)
        assert verdict.status == "disagrees"
        assert verdict.causes[0][0] == "reciprocal pixel size"
        assert verdict.suggested == pytest.approx(0.016, rel=0.01)


@pytest.mark.parametrize(
    "drawn, words",
    [
        (dataclasses.replace(DISKS, radius=14.0, shape=(96, 96)), "lattice|too few|stand out"),
        (dataclasses.replace(SMALL, electrons=300.0), "too few|stand out|lattice"),
        (dataclasses.replace(SMALL, shape=(40, 40)), "40 x 40 pixels"),
    ],
    ids=["overlapping disks", "few electrons", "few pixels"],
)
def test_a_pattern_without_lattice_is_a_gap(drawn, words):
    items, (gap,) = evidence_by(spots, signal_of_pattern(pattern_of(drawn, 8), drawn.pixel), STRONTIUM_TITANATE)
    assert not items
    assert set(gap.fields) == {"pixel.kx", "pixel.ky"}
    assert any(word in gap.why for word in words.split("|"))
    assert gap.verify


def test_two_crystals_are_no_lattice():
    first, other = (pattern_of(dataclasses.replace(SMALL, rotation=turn), 9) for turn in (0.1, 0.45))
    items, (gap,) = evidence_by(spots, signal_of_pattern(first + other, SMALL.pixel), STRONTIUM_TITANATE)
    assert not items
    assert "no single crystal" in gap.why


def test_another_zone_axis_is_not_read_into_a_square_pattern():
    known = Known("SrTiO3", zone=(1, 1, 1))
    items, (gap,) = evidence_by(spots, signal_of_pattern(pattern_of(SMALL, 10), SMALL.pixel), known)
    assert not items
    assert "none of SrTiO3" in gap.why


def test_an_unknown_specimen_is_a_gap():
    items, (gap,) = evidence_by(spots, signal_of_pattern(pattern_of(SMALL, 10), SMALL.pixel))
    assert not items
    assert "not known" in gap.why


@pytest.mark.slow
def test_errors_cover_distortion_and_cell():
    """Of 16 patterns with a projector and a specimen of their own the deviations are neither too wide nor too narrow."""
    deviations = []
    for seed in range(16):
        rng = np.random.default_rng(100 + seed)
        seen = np.array(SMALL.pixel) * np.exp(0.002 * rng.standard_normal() + 0.002 * rng.standard_normal(2))
        drawn = dataclasses.replace(SMALL, pixel=tuple(seen), rotation=rng.uniform(0.0, 1.5), shape=(160, 160))
        (item,), _ = evidence_by(spots, signal_of_pattern(pattern_of(drawn, seed), SMALL.pixel), STRONTIUM_TITANATE)
        deviations += list(nearest(item, {"pixel.kx": SMALL.pixel[0], "pixel.ky": SMALL.pixel[1]}))
    assert 0.6 < math.sqrt(float(np.mean(np.square(deviations)))) < 1.5


def test_a_fragment_of_a_ring_is_a_gap(data):
    from instrument.readers import read_vendor

    signal = read_vendor(data / "images" / "dm-diffraction-pattern.dm3")[0]
    items, (gap,) = evidence_by(spots, signal, STRONTIUM_TITANATE)
    assert not items
    assert "stand out" in gap.why
