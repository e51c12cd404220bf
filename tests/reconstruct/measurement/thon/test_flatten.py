"""An image before its spectrum: what is left out of it, and that its level leaves no power."""

import numpy as np
import pytest

from reconstruct.measurement.thon.flatten import FlatImage, flatten


def noise(shape=(256, 256), mean: float = 100.0) -> np.ndarray:
    return np.random.default_rng(0).poisson(mean, shape).astype(float)


def flattened(image: np.ndarray) -> FlatImage:
    flat = flatten(image)
    assert flat is not None
    return flat


def test_slow_changes_of_the_level_leave_no_power():
    plain, y = flattened(noise()), np.arange(256)[:, None] / 256
    sloped = flattened(noise() + 300.0 * y**2)
    assert not sloped.defects
    low = [np.abs(np.fft.fft2(flat.values)[6:10, 6:10]) ** 2 for flat in (plain, sloped)]
    assert low[1].mean() == pytest.approx(low[0].mean(), rel=0.05)


def test_outlying_pixels_rows_and_columns_are_left_out():
    image = noise()
    image[10, 20] = 65535.0
    image[30:38, 40] = 2000.0
    image[:, 100] = 0.0
    image[200] *= 1.5
    flat = flattened(image)
    kinds = {defect.kind: defect.count for defect in flat.defects}
    assert kinds == {"outliers": 9, "lines": 2}
    assert np.abs(flat.values).max() < 60.0
    assert np.abs(flat.values[[10, 5], [20, 100]]).max() < 0.01


def test_pixels_of_few_electrons_are_no_outliers():
    flat = flattened(noise(mean=0.01))
    assert not flat.defects
    assert flat.electrons == noise(mean=0.01).sum()


def test_dark_regions_are_faded():
    image = noise()
    image[:, :30] = 0.0
    image[100:140, 100:180] = 1.0
    flat = flattened(image)
    assert [defect.kind for defect in flat.defects] == ["dark region"]
    assert (flat.window[:, :30] == 0.0).all()
    assert (flat.window[100:140, 100:180] == 0.0).all()
    assert flat.window[200, 200] > 0.9
    # no step is left of the window either
    assert np.abs(np.diff(flat.window, axis=1)).max() < 0.15


def test_small_holes_stay_in_the_window():
    image = noise()
    image[np.random.default_rng(1).random(image.shape) < 0.4] = np.nan
    flat = flattened(image)
    assert np.array_equal(flat.window, flattened(noise()).window)
    assert (flat.values[np.isnan(image)] ** 2).mean() < 1e-2 * (flat.values**2).mean()


def test_a_flat_image_has_nothing_to_measure():
    assert flatten(np.ones((64, 64))) is None
    assert flatten(np.where(np.arange(64) > 20, 3.0, np.nan) * np.ones((64, 1))) is None
