"""Bright-field disks: against patterns drawn on a finer grid, and patterns whose disk cannot be measured."""

import math

import numpy as np
import pytest

from reconstruct.measurement.disk.estimator import ellipticity, measure_disk
from tests.synthetic.disks import pattern

PIXEL = 5.5e5
"""55 micrometres."""


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
    whole, cut = pattern(4, crystal=0.0, electrons=1e6), pattern(4, crystal=0.0, electrons=1e6, centre=(100.0, 64.0))
    results = [measure_disk(drawn.counts, PIXEL) for drawn in (whole, cut)]
    assert results[1].std[0] > results[0].std[0]
    assert abs(results[1].mean[0] - cut.truth[0]) < 4.0 * results[1].std[0]
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
