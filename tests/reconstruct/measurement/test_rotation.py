"""Rotation and flip of a camera: against scans of a phase object by other code, and scans that do not determine them."""

import numpy as np
import pytest

from reconstruct.measurement.rotation.centres import centres_of_mass
from reconstruct.measurement.rotation.estimator import measure_rotation
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
    ends = [component for component in result.components if round(component.mean[1]) == scan.flip]
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
