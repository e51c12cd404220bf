"""Bright-field disks: against patterns drawn on a finer grid, and patterns whose disk cannot be measured."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from reconstruct.measurement.disk.checks import arc_check, profile_check, scatter_check
from reconstruct.measurement.disk.estimator import ellipticity, measure_disk
from reconstruct.measurement.disk.lit import lit_region
from reconstruct.measurement.disk.outline import fit_outline
from reconstruct.measurement.disk.profile import edge_profile
from reconstruct.measurement.disk.sectors import Outline, fit_edges, ring_of
from tests.synthetic.disks import pattern

PIXEL = 5.5e5
"""55 micrometres."""
LIT_Y, LIT_X = np.mgrid[:60, :80]


@pytest.mark.smoke
@pytest.mark.parametrize("seed, crystal", [(0, 0.0), (1, 0.5), (6, 0.0), (7, 0.5)])
def test_a_disk_is_found_to_half_a_percent(seed, crystal):
    drawn = pattern(seed, crystal=crystal)
    result = measure_disk(drawn.counts, PIXEL)
    deviation = (result.mean[:5] - drawn.truth[:5]) / result.std[:5]
    assert abs(result.mean[0] / drawn.truth[0] - 1.0) < 0.005
    assert result.std[0] / result.mean[0] < 0.005
    assert np.abs(deviation).max() < 4.0
    assert result.misfit < 1.3


def test_an_ellipse_has_its_long_axis():
    drawn = pattern(0, crystal=0.0)
    size, azimuth = ellipticity(measure_disk(drawn.counts, PIXEL))
    a, b = drawn.truth[3:5]
    assert size == pytest.approx(math.hypot(a, b), abs=1e-3)
    assert azimuth == pytest.approx(0.5 * math.atan2(b, a), abs=0.1)


def test_one_of_semiangle_and_camera_length_gives_the_other():
    drawn = pattern(3, crystal=0.0)
    length = 1.1e9  # 110 mm
    angle = drawn.truth[0] * PIXEL / length
    by_length = measure_disk(drawn.counts, PIXEL, camera_length=(length, 1e-4 * length))
    by_angle = measure_disk(drawn.counts, PIXEL, semiangle=(angle, 1e-4 * angle))
    assert by_length.value("semiangle")[0] == pytest.approx(angle, rel=0.005)
    assert by_angle.value("camera_length")[0] == pytest.approx(length, rel=0.005)
    for result in (by_length, by_angle):
        assert not result.undetermined
        assert result.value("semiangle")[1] / result.value("semiangle")[0] < 0.005
    neither = measure_disk(drawn.counts, PIXEL)
    assert set(neither.undetermined) == {"semiangle", "camera_length"}
    assert "times camera length" in neither.undetermined["semiangle"]
    # yet their product is known
    indices = [neither.index("semiangle"), neither.index("camera_length")]
    relative = neither.covariance[np.ix_(indices, indices)] / np.outer(neither.mean[indices], neither.mean[indices])
    assert relative.sum() < 1e-4 < relative[0, 0]


def test_a_disk_cut_by_the_frame_is_wider_and_said():
    whole = pattern(4, crystal=0.0, electrons=3e4)
    results = [measure_disk(counts, PIXEL) for counts in (whole.counts, whole.counts[:, :80])]
    assert results[1].std[1] > results[0].std[1]
    assert abs(results[1].mean[0] - whole.truth[0]) < 4.0 * results[1].std[0]
    assert any("in the frame" in note for note in results[1].notes)


def test_a_disk_larger_than_the_frame_is_not_measured():
    y, x = np.mgrid[:64, :64]
    full = np.random.default_rng(0).poisson(np.where(np.hypot(x - 32, y - 32) < 80, 50.0, 0.0)).astype(float)
    result = measure_disk(full, PIXEL)
    assert "radius" in result.undetermined


def test_what_holds_no_disk_says_so():
    drawn = pattern(2, crystal=0.0, electrons=1e6).counts
    dark = measure_disk(np.zeros((64, 64)), PIXEL)
    noise = measure_disk(np.random.default_rng(1).poisson(0.5, (96, 96)).astype(float), PIXEL)
    saturated = measure_disk(np.minimum(drawn, 0.5 * np.quantile(drawn, 0.99).round()), PIXEL)
    for result, why in ((dark, "no electrons"), (noise, "no disk"), (saturated, "saturated")):
        assert why in result.undetermined["radius"]
        assert result.std[0] > 0.05 * result.mean[0]
    assert saturated.mean[0] == pytest.approx(pattern(2, crystal=0.0).truth[0], rel=0.1)


def test_dead_pixels_are_left_out():
    drawn = pattern(3, crystal=0.0)
    counts = drawn.counts.copy()
    counts[60:64] = np.nan
    result = measure_disk(counts, PIXEL)
    assert abs(result.mean[0] / drawn.truth[0] - 1.0) < 0.005


@pytest.mark.parametrize(
    "arguments, named",
    [({"pixel": 0.0}, "pixel"), ({"pixel": 1.0, "semiangle": (0.02, 0.0)}, "semiangle"), ({"pixel": 1.0, "camera_length": (math.nan, 1.0)}, "camera_length")],
)  # fmt: skip
def test_bad_numbers_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        measure_disk(np.ones((32, 32)), **arguments)
    with pytest.raises(ValueError, match="shape"):
        measure_disk(np.ones((4, 4)), 1.0)


def _round_disk(radius: float, level: float, pixels: int = 64, seed: int = 0, width: float = 0.6) -> np.ndarray:
    """Counts of a round disk about the middle, ``level`` inside and a hundredth of it outside."""
    y, x = np.mgrid[:pixels, :pixels] - 0.5 * (pixels - 1)
    fall = np.array([0.5 * math.erfc(d / math.sqrt(2.0) / width) for d in (np.hypot(x, y) - radius).ravel()])
    return np.random.default_rng(seed).poisson(level * (0.01 + fall.reshape(pixels, pixels))).astype(float)


def test_a_hot_pixel_outside_the_disk_changes_nothing():
    counts = _round_disk(20.0, 100.0)
    hot = counts.copy()
    hot[3, 5] = 65535.0
    clean, spoiled = measure_disk(counts, PIXEL), measure_disk(hot, PIXEL)
    np.testing.assert_allclose(spoiled.mean[:6], clean.mean[:6], atol=0.02)
    assert spoiled.outcome == "determined"


def test_at_an_electron_a_pixel_the_radius_is_right_and_the_edge_is_not_sharp():
    results = [measure_disk(_round_disk(24.0, 1.0, seed=seed, width=1.0), PIXEL) for seed in range(3)]
    for result in results:
        assert abs(result.mean[0] - 24.0) < 4.0 * result.std[0] < 1.5
        assert "edge" in result.undetermined or abs(result.mean[5] - 1.0) < 4.0 * result.std[5]


def test_a_pattern_that_moves_has_a_descan_and_no_ellipse():
    moved = pattern(4, crystal=0.0, electrons=1e6, ellipse=(0.0, 0.0), smear=(6.0, 0.0))
    result = measure_disk(moved.counts, PIXEL)
    (defect,) = result.defects
    assert defect.kind == "descan"
    assert defect.description.endswith("pixels along x")
    assert float(defect.description.split("±")[1].split()[0]) == pytest.approx(3.0, abs=0.3)
    assert np.abs((result.mean[:5] - moved.truth[:5]) / result.std[:5]).max() < 4.0
    # as long an ellipse is none
    oval = measure_disk(pattern(4, crystal=0.0, electrons=1e6, ellipse=(0.06, 0.0)).counts, PIXEL)
    assert not oval.defects
    assert ellipticity(oval)[0] == pytest.approx(0.06, abs=0.003)


def test_a_disk_that_is_too_small_is_said_to_be_with_the_size_that_would_do():
    result = measure_disk(_round_disk(3.0, 200.0), PIXEL)
    assert "too small" in result.undetermined["radius"]
    assert "6 pixels would do" in result.undetermined["radius"]
    assert result.outcome == "undetermined"


def test_a_small_disk_on_a_large_camera_is_found():
    counts = _round_disk(9.0, 200.0, pixels=320)
    result = measure_disk(counts, PIXEL)
    assert result.mean[0] == pytest.approx(9.0, abs=4.0 * result.std[0])


def test_half_of_the_pixels_may_be_unknown():
    counts = _round_disk(20.0, 100.0)
    counts[np.random.default_rng(1).random(counts.shape) < 0.5] = np.nan
    result = measure_disk(counts, PIXEL)
    assert abs(result.mean[0] - 20.0) < 4.0 * result.std[0] < 0.5


def test_a_halo_is_no_disk():
    y, x = np.mgrid[:96, :96] - 47.5
    halo = np.random.default_rng(0).poisson(100.0 * np.exp(-0.5 * (x**2 + y**2) / 15.0**2)).astype(float)
    result = measure_disk(halo, PIXEL)
    assert result.outcome in ("undetermined", "the model does not fit")


def test_an_aperture_that_is_not_round_fails_a_check():
    y, x = np.mgrid[:96, :96] - 47.5
    square = np.random.default_rng(0).poisson(np.where(np.maximum(np.abs(x), np.abs(y)) < 22.0, 200.0, 1.0))
    result = measure_disk(square.astype(float), PIXEL)
    assert result.outcome in ("the model does not fit", "undetermined")
    assert set(result.undetermined) == set(result.names)


def test_each_check_fails_for_what_it_tests():
    counts = _round_disk(20.0, 100.0)
    known = np.ones(counts.shape, bool)
    outline = Outline(20.0, 31.5, 31.5, width=0.6)
    ring = ring_of(counts, known, outline, 6.0, 1.0)
    still = np.zeros(len(ring.azimuth))
    edges = fit_edges(ring, outline, still, 0.0, 1.0)
    fit = fit_outline(edges, outline, still, moving=False)
    for check in (profile_check(ring, edges, fit, 1.0), arc_check(fit), scatter_check(edges, fit)):
        assert check.passed
    # an edge of three times the width that was seen
    blunt = dataclasses.replace(outline, width=1.8)
    wrong = fit_edges(ring, blunt, still, 0.0, 1.0)
    assert not profile_check(ring, wrong, fit._replace(outline=blunt), 1.0).passed
    assert not arc_check(fit._replace(arc_deviation=fit.arc_deviation + 1.0)).passed
    assert not scatter_check(edges, fit._replace(shift=0.6 * np.cos(5.0 * ring.azimuth))).passed


def test_numbers_that_contradict_each_other_are_named_and_not_averaged():
    counts = _round_disk(20.0, 100.0)
    # 20 pixels of 1 mrad, against 30 mrad
    result = measure_disk(counts, PIXEL, semiangle=(0.030, 0.0003), pixel_angle=(0.001, 0.00001))
    (sentence,) = result.contradictions
    assert "30 ± 0.3 mrad" in sentence
    assert "1 ± 0.01 mrad" in sentence
    assert "standard errors" in sentence
    assert set(result.undetermined) == {"semiangle", "camera_length"}
    assert result.outcome == "determined"
    # each against the camera length, which contradicts both
    lengths = measure_disk(
        counts, PIXEL, camera_length=(1e9, 1e7), semiangle=(0.020, 0.0002), pixel_angle=(0.001, 0.00001)
    )
    assert len(lengths.contradictions) == 2
    assert all("100 ± 1 mm" in text for text in lengths.contradictions)
    agreeing = measure_disk(counts, PIXEL, semiangle=(0.020, 0.0002), pixel_angle=(0.001, 0.00001))
    assert not agreeing.contradictions
    assert not agreeing.undetermined


def test_the_profile_of_a_moved_edge_is_its_mean_over_the_motion():
    offset = np.linspace(-6.0, 6.0, 25)
    moves = (np.arange(200) + 0.5) / 50.0 - 2.0
    mean = [np.mean([edge_profile(np.array([at + move]), 0.7)[0][0] for move in moves]) for at in offset]
    share, density, change = edge_profile(offset, 0.7, 4.0)
    np.testing.assert_allclose(share, mean, atol=1e-4)
    step = 1e-4
    np.testing.assert_allclose(
        density, -np.gradient(edge_profile(np.linspace(-6, 6, 24001), 0.7, 4.0)[0], 5e-4)[::1000], atol=1e-4
    )
    longer = edge_profile(offset, 0.7, math.sqrt(16.0 + 12.0 * step))[0]
    np.testing.assert_allclose(change, (longer - share) / step, atol=1e-3)


@pytest.mark.parametrize("camera", [0.0, 1.5])
def test_what_is_left_with_countless_electrons(camera):
    """Places to thousandths of a pixel; half of the level lies inside the aperture's edge by the square of the camera's spread over twice the radius, and by
    nothing where the edge itself is soft: the radius lies between both."""
    drawn = pattern(52, crystal=0.0, electrons=3e9, pixels=96)
    result = measure_disk(gaussian_filter(drawn.counts, camera), 1.0)
    for name, truth in zip(("centre_x", "centre_y"), drawn.truth[1:], strict=False):
        value, error = result.value(name)
        assert abs(value - truth) < 0.004
        assert error < 0.012
    value, error = result.value("radius")
    edge = np.hypot(drawn.truth[5], camera)
    assert abs(value - drawn.truth[0]) < 2.0 * error
    assert error < 0.012 + edge**2 / (2.0 * value) / 3.0


def test_the_largest_part_with_its_holes_filled():
    bright = np.hypot(LIT_Y - 30.3, LIT_X - 41.7) < 15.0
    bright[30, 40], bright[2:5, 2:5] = False, True
    region = lit_region(bright)
    assert region is not None
    assert (region.x, region.y) == pytest.approx((41.7, 30.3), abs=0.1)
    assert region.radius == pytest.approx(15.0, rel=0.01)
    assert region.whole
    assert region.filled > 0.98
    assert region.inside[30, 40]
    assert not region.inside[3, 3]


def test_a_bar_fills_little_of_a_disk_and_an_edge_cuts():
    bar = (np.abs(LIT_Y - 30) < 3) & (np.abs(LIT_X - 40) < 30)
    region = lit_region(bar)
    assert region is not None
    assert region.filled < 0.7
    cut = lit_region(np.hypot(LIT_Y - 30.0, LIT_X - 2.0) < 15.0)
    assert cut is not None
    assert not cut.whole


def test_nothing_is_bright():
    assert lit_region(np.zeros((8, 8), bool)) is None
