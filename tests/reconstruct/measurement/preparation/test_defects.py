"""Defects of images and patterns: what is found, and that clean ones have none."""

import numpy as np
import pytest

from reconstruct.measurement.preparation.defects import find_defects, find_scan_defects, noise_line
from tests.synthetic.disks import pattern
from tests.synthetic.films import film
from tests.synthetic.lattices import recorded
from tests.synthetic.scans4d import scanned


def clean_images(count: int):
    """Images of kinds that have sharp structure of their own: films, lattices, disks with many and with few electrons."""
    for seed in range(count):
        yield film(seed).image
        yield recorded(seed).image
        yield pattern(seed).counts
        yield pattern(seed, electrons=3000.0).counts
        yield 7.3 * pattern(seed).counts + 120.0  # another gain and black level


@pytest.mark.slow
def test_clean_images_keep_their_pixels():
    pixels, masked = 0, 0
    for image in clean_images(4):
        pixels, masked = pixels + image.size, masked + int(find_defects(image).mask.sum())
    assert masked <= 2e-5 * pixels


def test_variance_is_a_line_in_the_level():
    level = np.linspace(50.0, 400.0, 256)[None] * np.ones((256, 1))
    image = (
        20.0 * np.random.default_rng(0).poisson(level) + 100.0 + 15.0 * np.random.default_rng(1).normal(size=(256, 256))
    )
    intercept, slope = noise_line(image, np.ones(image.shape, bool))
    assert slope == pytest.approx(20.0, rel=0.05)
    assert intercept + 100.0 * slope == pytest.approx(15.0**2, abs=0.1 * 400.0 * 50.0)


@pytest.mark.parametrize(
    "image", [film(3).image, recorded(3).image, pattern(3).counts], ids=["film", "lattice", "disk"]
)
def test_hot_and_dead_pixels_are_found(image):
    generator, spoiled = np.random.default_rng(4), image.copy()
    pixels = generator.choice(image.size, 24, replace=False)
    bright = np.flatnonzero(image.ravel() > 0.6 * image.max())
    dead = generator.choice(bright[~np.isin(bright, pixels)], 5, replace=False)
    spoiled.ravel()[pixels] = 20.0 * image.max()
    spoiled.ravel()[dead] = 0.0
    result = find_defects(spoiled)
    assert result.mask.ravel()[pixels].all()
    by_kind = {defect.kind: defect for defect in result.defects}
    assert by_kind["hot pixels"].count == 24
    assert by_kind["hot pixels"].description == "24 hot pixels"
    if image.max() > 60.0:
        assert result.mask.ravel()[dead].sum() >= 4
    assert result.mask.sum() <= 24 + 5 + 1


def test_a_cluster_of_a_cosmic_ray_is_masked():
    image = film(1).image
    image[40, 50:53] = image[41, 52] = 30.0 * image.max()
    assert find_defects(image).mask[40, 50:53].all()
    assert find_defects(image).mask[41, 52]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("line", [0, 77, 127])
def test_hot_columns_and_rows(axis, line):
    scan = recorded(7, pixels=128, electrons=60.0)
    spoiled = np.array(scan.image if axis == 0 else scan.image.T)
    spoiled[:, line] += np.random.default_rng(2).poisson(150.0, 128)
    result = find_defects(spoiled if axis == 0 else spoiled.T)
    expected = np.zeros(spoiled.shape, bool)
    expected[:, line] = True
    assert np.array_equal(result.mask, expected if axis == 0 else expected.T)
    assert result.defects[0].description == f"1 {'column' if axis == 0 else 'row'}: {line}"


def test_a_lattice_with_the_sharpness_of_a_pixel_has_no_defects():
    y, x = np.mgrid[:128, :128]
    bright = (x % 3 == 0) & (y % 3 == 0)
    image = np.random.default_rng(0).poisson(np.where(bright, 400.0, 40.0)).astype(float)
    assert not find_defects(image).mask.any()


def test_dead_quadrants_and_borders():
    image = pattern(2, electrons=1e6).counts
    image[64:, 64:] = 0.0
    result = find_defects(image)
    assert result.mask[64:, 64:].all()
    assert "rows 64 to 127, columns 64 to 127" in result.defects[0].description
    border = film(2).image
    border[:3] = 0.0
    assert np.array_equal(np.flatnonzero(find_defects(border).mask.all(axis=1)), [0, 1, 2])


def test_saturated_pixels():
    image = pattern(6, electrons=1e6).counts
    top = 0.8 * image.max()
    clipped = np.minimum(image, np.floor(top))
    result = find_defects(clipped)
    assert (result.mask == (clipped == np.floor(top))).all()
    assert result.defects[-1].kind == "saturated pixels"


def test_few_electrons_are_no_saturation():
    for seed in range(20):
        counts = np.random.default_rng(seed).poisson(0.3, (96, 96)).astype(float)
        assert not find_defects(counts).mask.any()


def test_a_scan_has_defects_of_the_camera_and_cosmic_rays():
    patterns = scanned(1, electrons=2000.0, scan=12).patterns
    assert not find_scan_defects(patterns).mask.any()
    patterns[:, :, 5, 9] += 3000.0
    patterns[3, 4, 20, 11] += 5000.0
    patterns[7, 7, 21, 25] = np.nan
    result = find_scan_defects(patterns)
    assert result.mask[:, :, 5, 9].all()
    assert result.mask[3, 4, 20, 11]
    assert result.mask.sum() <= 144 + 2
    assert [defect.kind for defect in result.defects] == ["hot pixels", "cosmic rays"]


@pytest.mark.parametrize("image", [np.full((32, 32), np.nan), np.ones((64, 64)), np.zeros((3, 500))])
def test_images_without_anything_have_no_defects(image):
    assert not find_defects(image).mask.any()


def test_all_arms_of_a_border_are_blocks():
    image = np.random.default_rng(0).poisson(100.0, (96, 96)).astype(float)
    image[:6], image[-4:], image[:, :5], image[:, -3:] = 0.0, 0.0, 0.0, 0.0
    result = find_defects(image)
    np.testing.assert_array_equal(result.mask, image == 0.0)
    assert sum(defect.count or 0 for defect in result.defects) == (image == 0.0).sum()
