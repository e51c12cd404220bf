"""The preparation of data that all kinds of measurement share."""

import numpy as np
import pytest

from reconstruct.measurement.preparation.prepare import Preparation, bin_pixels, prepare

STACK = np.random.default_rng(1).poisson(50.0, (3, 12, 8)).astype(np.uint16)


def test_a_recording_is_left_as_it_is() -> None:
    prepared = prepare(STACK[0], "image")
    assert prepared.values.dtype == np.float64
    assert prepared.summed == 1
    np.testing.assert_array_equal(prepared.values, STACK[0])


def test_dark_level_and_gain_are_of_a_recorded_pixel() -> None:
    preparation = Preparation(frame=(slice(0, 2),), rows=(2, 11), columns=(1, 8), black=10.0, gain=4.0, bin=2)
    prepared = prepare(STACK, "image", preparation)
    expected = (STACK[:2].astype(float) - 10.0).sum(axis=0)[2:10, 1:7] / 4.0
    np.testing.assert_allclose(prepared.values, expected.reshape(4, 2, 3, 2).sum(axis=(1, 3)))
    assert prepared.summed == 8


def test_coordinates_follow_part_and_bin() -> None:
    preparation = Preparation(rows=(2, 11), bin=3)
    size, scale, offset = preparation.axis(12, 0.5, -1.0, columns=False)
    rows = -1.0 + 0.5 * np.arange(12)
    np.testing.assert_allclose(offset + scale * np.arange(size), rows[2:11].reshape(3, 3).mean(axis=1))
    assert preparation.axis(8, 0.5, 0.0, columns=True) == (2, 1.5, 0.5)


def test_axes_in_another_order_and_a_cut_scan() -> None:
    scan = np.random.default_rng(2).random((4, 5, 6, 7))
    preparation = Preparation(axes=(2, 3, 0, 1), frame=(slice(1, 4), slice(0, 5)))
    np.testing.assert_array_equal(prepare(scan, "scan", preparation).values, scan.transpose(2, 3, 0, 1)[1:4, 0:5])
    np.testing.assert_allclose(prepare(scan, "pattern").values, scan.sum(axis=(0, 1)))


def test_a_binned_pixel_of_which_one_is_not_known_is_not_known() -> None:
    values = np.ones((4, 4))
    values[1, 2] = np.nan
    np.testing.assert_array_equal(bin_pixels(values, 2), [[4.0, np.nan], [4.0, 4.0]])


@pytest.mark.parametrize(
    ("data", "kind", "options", "words"),
    [
        (STACK, "image", {}, "a stack of 3 x 12 x 8; choose one image"),
        (STACK, "scan", {}, "3 x 12 x 8 values; give a 4D-STEM scan"),
        (STACK[0, 0], "image", {}, "1 axes; give an image"),
        (STACK[0].astype(complex), "image", {}, "give intensities"),
        (np.full((8, 8), np.nan), "image", {}, "all values are NaN"),
        (np.ones((0, 8)), "image", {}, "nothing is left of 0 x 8"),
        (STACK[0], "image", {"bin": 20}, "20 x 20 do not fit into 12 x 8"),
        (np.broadcast_to(np.float32(1.0), (5000, 5000)), "image", {}, "bin them"),
        (np.broadcast_to(np.uint8(1), (2000, 2000, 8, 8)), "scan", {}, "cut the scan"),
    ],
)
def test_what_cannot_be_prepared(data, kind, options, words) -> None:
    with pytest.raises(ValueError, match=words):
        prepare(data, kind, Preparation(**options))


def test_sizes_that_are_too_small() -> None:
    with pytest.raises(ValueError, match="12 x 8 pixels; give at least 16 pixels each way"):
        prepare(STACK[0], "image", min_size=16)


@pytest.mark.parametrize("options", [{"axes": (0, 2)}, {"bin": 0}, {"black": float("nan")}, {"gain": 0.0}])
def test_invalid_preparations(options) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Preparation(**options)


def test_a_large_recording_is_binned_in_strips() -> None:
    image = np.broadcast_to(np.random.default_rng(3).integers(0, 50, 5003, dtype=np.uint8), (4001, 5003))
    dark = np.full(image.shape, 2.0)
    prepared = prepare(image, "pattern", Preparation(bin=4, dark=dark, gain=2.0, find=False))
    assert prepared.values.shape == (1000, 1250)
    expected = 0.5 * 4.0 * (image[0, :5000].astype(float) - 2.0).reshape(1250, 4).sum(axis=1)
    np.testing.assert_allclose(prepared.values, np.broadcast_to(expected, (1000, 1250)))
    assert prepared.summed == 16


def test_a_gain_step_is_equalised_before_pixels_are_binned() -> None:
    image = np.random.default_rng(4).poisson(100.0, (64, 64)).astype(float)
    image[:, 32:] *= 0.8
    prepared = prepare(image, "image", Preparation(bin=2))
    assert [defect.kind for defect in prepared.defects] == ["gain step"]
    assert prepared.values[:, :16].mean() == pytest.approx(prepared.values[:, 16:].mean(), rel=0.06)
    assert prepare(image, "image", Preparation(find=False)).defects == ()
