"""Steps of gain between parts of a camera: found and equalised, and clean images left as they are."""

import numpy as np
import pytest

from reconstruct.measurement.preparation.gain_steps import equalise, equalise_scan
from tests.synthetic.disks import pattern
from tests.synthetic.films import film
from tests.synthetic.lattices import recorded
from tests.synthetic.scans4d import scanned


def clean_images():
    """Of kinds with sharp structure of their own, an aperture's edge in the middle of the frame, and a vertical interface there."""
    for seed in range(4):
        yield film(seed).image
        yield recorded(seed, pixels=128).image
        yield pattern(seed).counts
        yield pattern(seed, crystal=0.0, electrons=3000.0).counts
        yield pattern(seed, crystal=0.0, centre=(64.0 + 40.0 + 0.25 * seed, 60.0), radius=40.0).counts
        yield pattern(seed, crystal=0.0, centre=(64.0 + 200.0, 60.0), radius=200.0, electrons=1e6).counts
    image = recorded(3, pixels=256).image
    interface = 1.0 - 0.25 / (1.0 + np.exp(-(np.arange(256) - 128.0) / 1.5))
    yield np.random.default_rng(0).poisson(image * interface).astype(float)


def test_clean_images_are_left_as_they_are():
    for image in clean_images():
        assert equalise(image) == (image, ())


@pytest.mark.parametrize("axis", [0, 1])
def test_halves_of_a_camera(axis):
    image = film(1, dose=300.0).image
    image = image if axis else image.T
    image[:, 128:] *= 0.85
    image = image if axis else np.ascontiguousarray(image.T)
    equal, defects = equalise(image)
    (defect,) = defects
    assert defect.kind == "gain step"
    assert defect.treatment == "equalised"
    assert f"at {'column' if axis else 'row'} 128" in defect.description
    halves = np.split(equal / image, 2, axis=axis)
    assert np.median(halves[1]) / np.median(halves[0]) == pytest.approx(1.0 / 0.85, rel=0.04)
    # the level of the whole stays
    assert equal.mean() == pytest.approx(image.mean(), rel=0.01)


def test_tiles_of_a_large_camera():
    level = 200.0 + 40.0 * np.sin(np.arange(768) / 90.0)
    clean = np.random.default_rng(2).poisson(level[:, None] * np.ones(768)).astype(float)
    gains = np.array([1.0, 0.96, 1.03])
    equal, defects = equalise(clean * np.repeat(gains, 256))
    assert [defect.description.rpartition("at ")[2] for defect in defects] == ["column 256", "column 512"]
    levels = equal.reshape(768, 3, 256).mean(axis=(0, 2))
    assert levels == pytest.approx(levels.mean(), rel=0.01)


def test_quadrants():
    spoiled = film(2, dose=300.0).image
    clean = spoiled.copy()
    spoiled[:128, 128:] *= 0.75
    spoiled[128:, :128] *= 1.3
    equal, defects = equalise(spoiled)
    assert {defect.kind for defect in defects} == {"gain step"}
    for rows in (slice(0, 128), slice(128, 256)):
        for columns in (slice(0, 128), slice(128, 256)):
            assert equal[rows, columns].mean() == pytest.approx(clean.mean(), rel=0.07)


def test_a_border_of_another_gain_is_masked():
    spoiled = film(3, dose=300.0).image
    spoiled[:, 253:] *= 0.7
    equal, defects = equalise(spoiled)
    assert [defect.description for defect in defects] == ["a border of another gain: columns 253 to 255"]
    assert np.isnan(equal[:, 253:]).all()
    assert np.isfinite(equal[:, :253]).all()


def test_patterns_of_a_scan():
    patterns = scanned(1, electrons=400.0, scan=12).patterns
    values, defects = equalise_scan(patterns)
    assert values is patterns
    assert defects == ()
    flat = np.random.default_rng(1).poisson(30.0, (6, 6, 64, 64)).astype(float)
    flat[..., :32] *= 1.2
    values, defects = equalise_scan(flat)
    assert "column 32" in defects[0].description
    assert values[..., :32].mean() == pytest.approx(values[..., 32:].mean(), rel=0.02)
