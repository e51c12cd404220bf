"""Lattice images with something in them that is not of one crystal, or that can be read in more than one way."""

import re

import numpy as np
import pytest

from reconstruct.measurement.lattice.checks import block_amplitudes, block_check
from reconstruct.measurement.lattice.cleaning import clean_image, fill_unknown, lattice_region
from reconstruct.measurement.lattice.estimator import MIN_EXPLAINED, measure_lattice
from reconstruct.measurement.lattice.fit import fit_lattice
from reconstruct.measurement.lattice.indexing import AMPLITUDE_ERROR, index_spots, seen_places
from reconstruct.measurement.lattice.spots import find_spots, power_spectrum
from reconstruct.measurement.measurement import Measurement
from reconstruct.measurement.projection import Projection
from tests.synthetic.lattices import CENTRED, GRAPHENE, RECTANGLE, TITANATE, columns_at

OBLIQUE = Projection((3.1, 0.0), (0.7, 4.4), ((0.0, 0.0), (0.3, 0.35)), (1.0, 0.5))


def scanned(
    pixel: float,
    crystal: Projection = TITANATE,
    pixels: int = 128,
    angle: float = 0.0,
    electrons: float = 60.0,
    stretch: tuple[float, float] = (1.0, 1.0),
    mirrored: bool = False,
) -> np.ndarray:
    """A still scan of square pixels, whose crystal's a lies at -``angle``; counts."""
    x, y = np.meshgrid(np.arange(pixels) - 0.5 * pixels, np.arange(pixels) - 0.5 * pixels)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.stack([x * stretch[0], (-y if mirrored else y) * stretch[1]], axis=-1) * pixel
    signal = columns_at(points @ turn.T, crystal)
    return np.random.default_rng(5).poisson(electrons * signal).astype(float)


def off(result: Measurement, **truth: float) -> float:
    """Largest error of the likeliest reading in its standard errors."""
    best = result.readings[0]
    errors = []
    for name, value in truth.items():
        index = result.index(name)
        errors.append((best.mean[index] - value) / np.sqrt(best.covariance[index, index]))
    return float(np.abs(errors).max())


def test_hot_pixels_and_a_hot_column_are_masked_and_named():
    image = scanned(0.3)
    image[np.arange(5, 120, 6), np.arange(3, 118, 6)] = 65535.0
    image[:, 77] = 4000.0 + np.arange(128)
    result = measure_lattice(image, TITANATE, 0.3)
    assert result.outcome == "determined"
    assert off(result, pixel_x=0.3, pixel_y=0.3, shear=0.0) < 4.0
    assert {(defect.kind, defect.count) for defect in result.defects} == {("columns", 1), ("stray pixels", 20)}


def test_dead_lines_and_many_unknown_pixels_are_taken():
    image = scanned(0.3)
    image[[4, 50, 51, 99]] = 0.0
    image[:, [7, 80]] = 0.0
    image[np.random.default_rng(0).random(image.shape) < 0.4] = np.nan
    result = measure_lattice(image, TITANATE, 0.3)
    assert result.outcome == "determined"
    assert off(result, pixel_x=0.3, pixel_y=0.3, shear=0.0) < 4.0
    assert {(defect.kind, defect.count) for defect in result.defects} == {("lines", 4), ("columns", 2)}


def test_a_clean_image_has_no_defects():
    result = measure_lattice(scanned(0.3, electrons=3.0), TITANATE, 0.3)
    assert result.outcome == "determined"
    assert result.defects == ()
    assert all(check.passed for check in result.checks)
    assert result.periods == {"rotation": pytest.approx(np.pi / 2.0)}


def test_unknown_pixels_are_filled_with_the_lattice():
    truth = 10.0 + 3.0 * np.cos(2.0 * np.pi * np.arange(64) * 9 / 64) * np.ones((64, 1))
    known = np.random.default_rng(1).random(truth.shape) > 0.4
    filled = fill_unknown(np.where(known, truth, np.nan), known)
    assert np.abs(filled - truth)[~known].max() < 0.1


def test_constant_and_bright_lines_carry_no_image():
    image = np.random.default_rng(2).poisson(20.0, (64, 64)).astype(float)
    image[10] = 3.0
    image[:, 20] = 900.0 + np.arange(64)
    cleaned = clean_image(image, np.ones(image.shape, bool))
    assert not cleaned.known[10].any()
    assert not cleaned.known[:, 20].any()
    assert cleaned.known.sum() == 63 * 63
    assert cleaned.limited.max() < 100.0


@pytest.mark.parametrize("pixel", [2.2, 1.8])
def test_an_undersampled_lattice_has_readings_that_only_the_stated_pixel_tells_apart(pixel):
    other = 3.905 * (1.0 - pixel / 3.905)
    image = scanned(pixel, electrons=200.0)
    result = measure_lattice(image, TITANATE, pixel)
    assert result.outcome == "several readings"
    assert off(result, pixel_x=pixel, pixel_y=pixel, shear=0.0) < 4.0
    second = result.readings[1]
    assert second.mean[:2] == pytest.approx([other, other], rel=1e-2)
    # pixels known to 10 %: the weights are those of the prior
    expected = -0.5 * (np.log(other / pixel) / 0.1) ** 2
    assert np.log(second.weight / result.readings[0].weight) == pytest.approx(expected, abs=0.1)
    assert any("undersampled" in note for note in result.notes)
    assert result.defects == ()
    sure = measure_lattice(image, TITANATE, pixel, spread=0.03)
    assert sure.outcome == "determined"
    assert off(sure, pixel_x=pixel, pixel_y=pixel) < 4.0


def test_a_turned_lattice_beyond_the_highest_frequency_is_read():
    image = scanned(2.1, angle=0.3, electrons=200.0)
    result = measure_lattice(image, TITANATE, 2.1, spread=0.01)
    assert result.outcome == "determined"
    assert off(result, pixel_x=2.1, pixel_y=2.1, rotation=-0.3) < 4.0
    # folded, it is one of pixels of 2.0 angstrom, turned by as much the other way
    assert measure_lattice(image, TITANATE, 2.05, spread=0.03).outcome == "several readings"


def test_a_wide_prior_does_not_take_a_lattice_turned_by_45_degrees_for_another():
    result = measure_lattice(scanned(0.3, angle=0.2), TITANATE, 0.38, spread=0.4)
    assert result.outcome == "determined"
    assert off(result, pixel_x=0.3, pixel_y=0.3, rotation=-0.2) < 4.0


def test_a_crystal_seen_from_behind_is_told_by_its_amplitudes():
    for mirrored in (False, True):
        result = measure_lattice(scanned(0.25, OBLIQUE, angle=0.2, mirrored=mirrored), OBLIQUE, 0.25)
        assert result.outcome == "determined"
        assert off(result, pixel_x=0.25, pixel_y=0.25, rotation=-0.2) < 4.0
        assert any("from behind" in note for note in result.notes) == mirrored


def test_mirror_lines_of_crystals():
    assert [crystal.primitive().has_mirror() for crystal in (TITANATE, GRAPHENE, CENTRED)] == [True] * 3
    assert not RECTANGLE.primitive().has_mirror()
    assert not OBLIQUE.has_mirror()


def test_vacuum_is_masked_and_named():
    image = scanned(0.3, electrons=40.0)
    image[:, :45] = np.random.default_rng(0).poisson(0.5, (128, 45))
    result = measure_lattice(image, TITANATE, 0.3)
    assert result.outcome == "determined"
    assert off(result, pixel_x=0.3, pixel_y=0.3, shear=0.0) < 4.0
    (defect,) = (defect for defect in result.defects if defect.kind == "no lattice")
    share = float(defect.description.split()[0])
    assert abs(share - 35.0) < 6.0


def test_the_region_of_the_lattice_follows_its_edge():
    x = np.arange(128)
    image = 5.0 + np.cos(2.0 * np.pi * x / 8.0) + np.cos(2.0 * np.pi * x[:, None] / 8.0)
    image[:, 80:] = 5.0
    image = image + 0.1 * np.random.default_rng(0).standard_normal(image.shape)
    strong = np.array([[0.125, 0.0], [0.0, 0.125]])
    region = lattice_region(image, np.ones(image.shape, bool), strong, 0.01)
    assert region[:, :70].mean() > 0.97
    assert region[:, 88:].mean() < 0.03
    # too noisy to say
    assert lattice_region(image, np.ones(image.shape, bool), strong, 100.0).all()


def test_two_grains_do_not_fit_and_what_the_second_set_of_spots_is_is_said():
    image = scanned(0.3)
    image[:, :58] = scanned(0.3, angle=0.4)[:, :58]
    result = measure_lattice(image, TITANATE, 0.3)
    assert result.outcome == "the model does not fit"
    assert "second set of spots" in result.undetermined["pixel_x"]
    assert result.value("pixel_x")[1] > 0.02


def test_blocks_that_the_series_does_not_predict_are_counted():
    image, lattice = scanned(0.3), 0.3 / 3.905 * np.eye(2)
    strong, reflections = np.array([[1, 0], [0, 1]]), np.array([[1, 0], [0, 1], [1, 1], [1, -1], [2, 0], [0, 2]])
    fit = fit_lattice(image, clean_image(image, np.ones(image.shape, bool)), lattice, strong, reflections)
    assert block_check(fit, 128).value == 0.0
    amplitudes, errors = block_amplitudes(fit, 128)
    assert np.std(amplitudes) < 2.0 * np.median(errors)
    # the lattice is half a period on in two of the four rows of blocks
    data = fit.data.copy()
    data[:52] = 2.0 * fit.series.background[:52] - data[:52]
    check = block_check(fit._replace(data=data), 128)
    assert check.value == 0.5
    assert not check.passed
    assert "a jump of the specimen" in check.finding


def test_a_longer_cell_contradicts_square_pixels():
    longer = Projection((3.905 * 1.17, 0.0), (0.0, 3.905), TITANATE.columns, TITANATE.weights)
    result = measure_lattice(scanned(0.3), longer, 0.3)
    assert result.contradictions or result.outcome != "determined"
    assert measure_lattice(scanned(0.3), TITANATE, 0.3).contradictions == ()


def test_a_pixel_that_is_far_off_is_said_with_the_one_that_fits():
    result = measure_lattice(scanned(0.3), TITANATE, 0.33, spread=0.01)
    assert result.outcome == "the model does not fit"
    (fitting,) = re.findall(r"with pixels of ([\d.]+) angstrom it would", result.undetermined["pixel_x"])
    assert float(fitting) == pytest.approx(0.3, rel=5e-3)


def test_too_few_periods_are_said_with_the_size_that_would_do():
    result = measure_lattice(scanned(0.05), TITANATE, 0.05)
    assert result.outcome == "undetermined"
    assert "1.6 periods of the lattice" in result.undetermined["pixel_x"]
    assert "give 469 pixels" in result.undetermined["pixel_x"]
    larger = measure_lattice(scanned(0.3), TITANATE, 300.0)
    assert larger.outcome == "undetermined"
    assert "give pixels below 1.8 angstrom" in larger.undetermined["pixel_x"]


def test_progress_is_told_from_the_start():
    told = []
    measure_lattice(scanned(0.3, pixels=64), TITANATE, 0.3, tell=lambda step, share: told.append((step, share)))
    assert told[0] == ("looking for the lattice", None)
    shares = [share for step, share in told if step == "fitting the lattice"]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert 3 <= len(shares) <= 5
    assert told[-1] == ("learning what the scan's distortion leaves open", None)


def test_reflections_that_are_seen_at_one_place_share_it():
    lattice = np.array([[0.49, 0.0], [0.0, 0.42]])
    reflections, of_place, places = seen_places(lattice, 1.6, (128, 128))
    assert len(of_place) == len(reflections) > len(places)
    seen = reflections @ lattice
    apart = np.stack([seen - places[of_place], seen + places[of_place]])
    bins = 128.0 * np.linalg.norm(apart - np.round(apart), axis=-1)
    assert bins.min(axis=0).max() <= 3.0


def test_an_undersampled_lattice_does_not_count_a_spot_twice():
    """Silicon along [110] at 2.3 pixels a period: a folded reading puts two reflections at each of the strongest spots."""
    silicon = Projection((3.84, 0.0), (0.0, 5.43), ((0.0, 0.0), (0.0, 0.25), (0.5, 0.5), (0.5, 0.75)), (1.0,) * 4)
    pixel_x, pixel_y, shear, angle = 1.3672, 1.3919, 0.036, -2.3733
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    y, x = np.mgrid[:128, :128] - 64.0
    map_ = turn @ np.array([[pixel_x, shear * pixel_y], [0.0, pixel_y]])
    image = np.random.default_rng(0).poisson(60.0 * columns_at(np.stack([x, y], axis=-1) @ map_.T, silicon))
    result = measure_lattice(image.astype(float), silicon, 1.404)
    assert result.outcome == "determined"
    assert off(result, pixel_x=pixel_x, pixel_y=pixel_y, shear=shear) < 4.0


def test_spots_of_few_periods_are_those_of_one_cell():
    # of a strongly astigmatic probe: all of them are within 2.5 bins of reflections of other, smaller cells, too
    spots_at = [
        (10.23, 0.56, 1.48), (5.41, 5.52, 1.37), (9.42, 11.1, 1.03), (5.12, 0.32, 0.99), (9.95, 5.96, 0.96), (14.92, 6.05, 0.73), (-0.42, 5.21, 0.56),
    ]  # fmt: skip
    y, x = np.mgrid[:64, :64] / 64.0
    waves = sum(size * np.cos(2.0 * np.pi * (u * x + v * y) + u) for u, v, size in spots_at)
    image = 20.0 + np.asarray(waves) + 0.3 * np.random.default_rng(0).standard_normal((64, 64))
    spectrum = power_spectrum(image)
    spots = find_spots(spectrum.relative, 0.03)
    readings = index_spots(spectrum, spots, TITANATE.primitive(), 0.306, 0.03, 0.03, 2.0 * AMPLITUDE_ERROR)
    fitting = [reading for reading in readings if reading.explained > MIN_EXPLAINED]
    assert len(fitting) == 1
    np.testing.assert_allclose(np.sort(np.hypot(*fitting[0].lattice.T)), np.array([5.13, 5.23]) / 64.0, rtol=0.02)
