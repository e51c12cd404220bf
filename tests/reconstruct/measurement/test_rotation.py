"""Rotation and flip of a camera: against scans of a phase object by other code, and scans that do not determine them."""

import numpy as np
import pytest

from reconstruct.measurement.rotation.centres import centres_of_mass
from reconstruct.measurement.rotation.checks import curl_check, halves_check
from reconstruct.measurement.rotation.estimator import measure_rotation
from reconstruct.measurement.rotation.likelihood import Peak
from reconstruct.measurement.rotation.spectrum import spectrum_of
from tests.synthetic.scans4d import scanned


@pytest.mark.parametrize("seed", [1, 2, 3, 6])
def test_rotation_and_flip_are_found(seed):
    scan = scanned(seed, electrons=3000.0)
    result = measure_rotation(scan.patterns, scan.bright)
    assert not result.undetermined
    best = max(result.components, key=lambda component: component.weight)
    error = (best.mean[0] - scan.rotation + np.pi) % (2.0 * np.pi) - np.pi
    assert abs(error) < 4.0 * np.sqrt(best.covariance[0, 0]) < 0.3
    assert round(best.mean[1]) == scan.flip
    assert result.value("flip")[0] == pytest.approx(scan.flip, abs=0.05)


def test_an_unrelated_image_leaves_both_directions():
    scan = scanned(2, electrons=3000.0)
    # an image that has nothing to do with the atoms
    result = measure_rotation(scan.patterns, np.random.default_rng(0).standard_normal(scan.bright.shape))
    ends = [component for component in result.readings if round(component.mean[1]) == scan.flip]
    assert len(ends) == 2
    assert abs(abs(ends[0].mean[0] - ends[1].mean[0]) - np.pi) < 1e-6
    assert min(component.weight for component in ends) > 0.02
    assert sum(component.weight for component in result.components) == pytest.approx(1.0)


def test_electrons_narrow_the_rotation():
    many, few = (measure_rotation(scanned(3, electrons=count).patterns) for count in (4000.0, 250.0))
    best = [max(result.components, key=lambda part: part.weight) for result in (many, few)]
    assert best[0].covariance[0, 0] < best[1].covariance[0, 0]


def test_vacuum_determines_nothing():
    scan = scanned(4, electrons=300.0, atoms=0)
    result = measure_rotation(scan.patterns)
    assert "rotation" in result.undetermined
    empty = measure_rotation(np.zeros((8, 8, 8, 8)))
    assert set(empty.undetermined) == {"rotation", "flip"}
    assert "no electrons" in empty.undetermined["flip"]
    assert empty.value("flip")[0] == 0.5


def test_centres_are_moments_without_dead_pixels():
    patterns = np.zeros((6, 6, 5, 5))
    patterns[..., 1, 3] = 3.0
    patterns[..., 1, 4] = 1.0
    patterns[..., 0, 0] = np.nan
    centres = centres_of_mass(patterns)
    np.testing.assert_allclose(centres.field[:, 2, 2], [1.25, -1.0])
    np.testing.assert_allclose(centres.electrons, 4.0)
    with pytest.raises(ValueError, match="patterns have shape"):
        centres_of_mass(np.zeros((5, 5, 5)))


def test_an_image_of_another_scan_is_refused():
    with pytest.raises(ValueError, match="bright"):
        measure_rotation(np.ones((8, 8, 8, 8)), np.ones((7, 8)))


def _best(result):
    return max(result.components, key=lambda component: component.weight)


def _error(best, scan):
    error = (best.mean[0] - scan.rotation + np.pi) % (2.0 * np.pi) - np.pi
    return error / np.sqrt(best.covariance[0, 0])


def test_a_specimen_that_drifts_does_not_turn_the_rotation():
    scan = scanned(1, electrons=4000.0, drift=(0.25, 0.0))
    result = measure_rotation(scan.patterns, scan.bright)
    assert [defect.kind for defect in result.defects] == ["drift"]
    assert abs(_error(result.readings[0], scan)) < 4.0
    still = scanned(1, electrons=4000.0)
    assert not measure_rotation(still.patterns, still.bright).defects


@pytest.mark.parametrize("spoil", ["hot", "spikes", "columns", "lines"])
def test_defects_of_camera_and_scan_are_left_out(spoil):
    scan = scanned(3, electrons=3000.0)
    patterns = scan.patterns.copy()
    generator = np.random.default_rng(0)
    if spoil == "hot":
        patterns[..., 5, 27] = 4000.0
        patterns[..., 20, 9] = generator.integers(0, 900, patterns.shape[:2])
    elif spoil == "spikes":
        patterns[tuple(generator.integers(0, size, 20) for size in patterns.shape)] += 800.0
    elif spoil == "columns":
        patterns[..., [9, 20]] = np.nan
    else:
        patterns[[4, 15]] = 0.0
    result = measure_rotation(patterns, scan.bright)
    assert abs(_error(_best(result), scan)) < 4.0
    assert result.outcome == "determined"
    kinds = [defect.kind for defect in result.defects]
    assert kinds == {"hot": ["hot pixels"], "spikes": ["cosmic rays"]}.get(spoil, [])


def test_a_field_with_a_curl_does_not_fit():
    scan = scanned(3, electrons=3000.0)
    patterns = scan.patterns.copy()
    # the camera is turned half way through the scan
    patterns[:, 12:] = np.rot90(patterns[:, 12:], axes=(2, 3))
    result = measure_rotation(patterns, scan.bright)
    assert result.outcome in ("the model does not fit", "undetermined")
    assert "rotation" in result.undetermined


def test_halves_that_tell_other_rotations_fail_a_check():
    scan = scanned(3, electrons=3000.0)
    patterns = scan.patterns.copy()
    patterns[:, 16:] = np.rot90(patterns[:, 16:], axes=(2, 3))
    centres = centres_of_mass(patterns)
    known = np.ones(centres.electrons.shape, bool)
    still = Peak(scan.flip, np.array([scan.rotation % np.pi, 0.0, 0.0]), np.eye(3), 0.0)
    assert not halves_check(centres, known, still).passed
    assert not curl_check(spectrum_of(centres, known), still).passed
    right = centres_of_mass(scan.patterns)
    assert halves_check(right, known, still).passed
    assert curl_check(spectrum_of(right, known), still).passed


def test_both_ends_stay_without_an_image():
    scan = scanned(2, electrons=3000.0)
    result = measure_rotation(scan.patterns)
    assert result.outcome == "several readings"
    assert result.periods == {"rotation": 2.0 * np.pi}
    assert abs(_error(result.readings[0], scan)) < 4.0
    assert 0.8 < result.readings[0].weight <= 0.995
