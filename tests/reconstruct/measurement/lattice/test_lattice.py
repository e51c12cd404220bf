"""Lattice images to maps: against images drawn column by column, the real titanate, and images with little or no information."""

import math

import numpy as np
import pytest

from instrument.readers import read_vendor
from reconstruct.measurement.drift import remove_drift, separate_drift
from reconstruct.measurement.lattice.estimator import NAMES, UNITS, matrix, measure_lattice
from reconstruct.measurement.measurement import Component, Measurement
from reconstruct.measurement.projection import Projection, project
from tests.synthetic.lattices import CENTRED, GRAPHENE, RECTANGLE, TITANATE, Recorded, recorded
from twin.sample.structures import srtio3_unit


def error_and_std(result: Measurement, truth: np.ndarray, crystal: Projection) -> tuple[np.ndarray, np.ndarray]:
    """Error and std of the likeliest reading, the rotation's modulo the crystal's symmetry."""
    best = max(result.components, key=lambda component: component.weight)
    error = best.mean - truth
    period = 2.0 * np.pi / crystal.primitive().fold()
    error[3] = (error[3] + period / 2.0) % period - period / 2.0
    return error, np.sqrt(np.diag(best.covariance))


def test_a_centred_cell_has_its_shortest_periods():
    primitive = CENTRED.primitive()
    area = abs(np.linalg.det(primitive.vectors))
    assert area == pytest.approx(5.6 * 4.1 / 2.0)
    assert len(primitive.columns) == 1
    assert TITANATE.primitive().vectors == pytest.approx(TITANATE.vectors)
    # (1, 0) of the centred cell is extinct, (1, 1) is not
    np.testing.assert_allclose(CENTRED.amplitudes(np.array([[1.0, 0.0], [1.0, 1.0]])), [0.0, 1.0], atol=1e-12)


def test_a_crystals_symmetry_is_that_of_its_reflections():
    assert [crystal.primitive().fold() for crystal in (TITANATE, GRAPHENE, CENTRED, RECTANGLE)] == [4, 6, 2, 2]


def test_titanate_is_projected_from_its_cell():
    projection = project(srtio3_unit())
    assert projection.a == (3.905, 0.0)
    assert len(projection.columns) == 4  # Sr, Ti with O, and two of O alone
    heaviest = np.argsort(projection.weights)[-2:]
    assert sorted(projection.columns[i] for i in heaviest) == [pytest.approx((0.0, 0.0)), pytest.approx((0.5, 0.5))]


@pytest.mark.parametrize("a, b", [((3.0, 0.0), (6.0, 0.0)), ((3.0, 0.0), (math.nan, 1.0))])
def test_periods_that_span_nothing_are_refused(a, b):
    with pytest.raises(ValueError, match="span no area"):
        Projection(a, b)


@pytest.mark.parametrize("crystal", [TITANATE, GRAPHENE, CENTRED, RECTANGLE])
def test_a_still_scan_gives_its_map(crystal):
    scan = recorded(41, crystal, pixels=128, quiet=True, electrons=100.0)
    result = measure_lattice(scan.image, crystal, scan.nominal)
    error, std = error_and_std(result, scan.truth, crystal)
    assert not result.undetermined
    assert np.abs(error / std).max() < 4.0
    assert std[0] < 1e-3 * scan.nominal
    assert std[1] < 2e-3 * scan.nominal
    assert 0.9 < result.misfit < 1.2


def test_a_wandering_scan_is_within_its_errors_which_are_larger():
    normal, ratios = [], []
    for seed in (3000,):
        scan, still = (recorded(seed, TITANATE, pixels=128, quiet=quiet) for quiet in (False, True))
        error, std = error_and_std(measure_lattice(scan.image, TITANATE, scan.nominal), scan.truth, TITANATE)
        normal.append(error / std)
        ratios.append(
            std / error_and_std(measure_lattice(still.image, TITANATE, still.nominal), still.truth, TITANATE)[1]
        )
    assert np.abs(normal).max() < 4.0
    assert np.median(ratios) > 1.5


def test_dead_pixels_are_left_out():
    scan = recorded(7, TITANATE, pixels=128, quiet=True, electrons=100.0)
    image = scan.image.copy()
    image[40:50, 60:80] = np.nan
    image[::17, ::13] = np.inf
    error, std = error_and_std(measure_lattice(image, TITANATE, scan.nominal), scan.truth, TITANATE)
    assert np.abs(error / std).max() < 4.0
    image[:, :70] = np.nan
    with pytest.raises(ValueError, match="not a number"):
        measure_lattice(image, TITANATE, scan.nominal)


def fringes(seed: int, pixel: float, angle: float) -> np.ndarray:
    """Planes of titanate's (1, 1), 2.761 angstrom apart, whose normal is at ``angle`` in the image."""
    y, x = np.mgrid[:128, :128] * pixel
    along = x * np.cos(angle) + y * np.sin(angle)
    return np.random.default_rng(seed).poisson(
        20.0 * (1.0 + 0.5 * np.cos(2.0 * np.pi * along / (3.905 / np.sqrt(2.0))))
    )


def test_one_row_determines_only_the_pixel_across_it():
    result = measure_lattice(fringes(0, 0.21, 0.4).astype(float), TITANATE, 0.2)
    mean, std = result.value("pixel_across")
    assert abs(mean - 0.21) < 3.0 * std < 0.01
    assert {"pixel_y", "shear", "rotation"} <= set(result.undetermined)
    assert "one lattice row" in result.undetermined["shear"]
    assert result.value("pixel_y")[1] > 0.003


@pytest.mark.parametrize("crystal", [GRAPHENE, Projection((3.905, 0.0), (0.0, 6.3))])
def test_another_structure_does_not_fit(crystal):
    scan = recorded(5, TITANATE, pixels=128, quiet=True, electrons=50.0)
    result = measure_lattice(scan.image, crystal, scan.nominal)
    assert set(result.undetermined) == set(result.names)
    assert "does not fit" in result.undetermined["pixel_x"]
    assert result.value("pixel_x")[1] > 0.05 * scan.nominal


def test_nothing_to_see_leaves_the_prior():
    flat = measure_lattice(np.zeros((64, 64)), TITANATE, 0.2)
    noise = measure_lattice(np.random.default_rng(0).poisson(3.0, (128, 128)).astype(float), TITANATE, 0.2)
    for result, why in ((flat, "no electrons"), (noise, "no lattice spot")):
        assert set(result.undetermined) == set(result.names)
        assert why in result.undetermined["pixel_y"]
        assert result.value("pixel_x")[0] == 0.2
        assert result.value("pixel_x")[1] > 0.01


@pytest.mark.parametrize("name, value", [("claimed", 0.0), ("claimed", math.nan), ("spread", -1.0), ("skew", 0.0)])
def test_a_prior_that_makes_no_sense_is_refused(name, value):
    prior = {"claimed": 0.2, "spread": 0.1, "skew": 0.05} | {name: value}
    with pytest.raises(ValueError, match=name):
        measure_lattice(np.ones((64, 64)), TITANATE, prior["claimed"], prior["spread"], prior["skew"])


def exact_measurement(map_: np.ndarray) -> Measurement:
    """The result for an image of this map with negligible noise."""
    truth = Recorded(np.zeros((1, 1)), TITANATE, map_, 0.2).truth
    spread = np.diag([1e-6, 1e-6, 1e-5, 1e-5]) ** 2
    return Measurement("lattice", NAMES, UNITS, (Component(1.0, truth, spread),))


def test_two_scan_directions_separate_drift_and_map():
    static = np.array([[0.2, 0.01], [-0.004, 0.21]])
    velocity, tau = np.array([0.3, -0.2]), (1e-4, 2e-2)
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    drifted = [static_map + np.outer(velocity, tau) for static_map in (static, static @ turn)]
    # the crystal's a may be any of four in the second image
    second = exact_measurement(np.array([[0.0, 1.0], [-1.0, 0.0]]) @ drifted[1])
    separation = separate_drift(exact_measurement(drifted[0]), second, 0.5 * math.pi, tau, 4)
    np.testing.assert_allclose(separation.velocity, velocity, rtol=1e-3)
    np.testing.assert_allclose(separation.scanner, Recorded(np.zeros((1, 1)), TITANATE, static, 0.2).truth, rtol=1e-4)
    assert separation.misfit < 10.0
    known = remove_drift(exact_measurement(drifted[0]), velocity, np.diag([1e-4, 1e-4]), tau)
    np.testing.assert_allclose(known.scanner, separation.scanner, rtol=1e-3)
    assert np.sqrt(known.covariance[1, 1]) == pytest.approx(1e-2 * tau[1], rel=0.1)
    with pytest.raises(ValueError, match="turned"):
        separate_drift(exact_measurement(drifted[0]), second, 0.0, tau, 4)


def test_the_map_is_that_of_the_quantities():
    map_ = np.array([[0.2, 0.01], [-0.004, 0.21]])
    np.testing.assert_allclose(matrix(exact_measurement(map_)), map_, rtol=1e-9)


@pytest.mark.slow
def test_the_titanate_file_claims_pixels_that_are_too_large(data):
    (file,) = read_vendor(data / "images" / "sto-titan80.emi")
    claimed = file.axes[1].scale
    assert claimed == pytest.approx(0.10013, rel=1e-4)
    # its lines take 35.6 ms and begin at one phase of the mains; the dwell time is its header's
    result = measure_lattice(np.asarray(file.data, float), TITANATE, claimed, hum=29e-6 * 50.0)
    assert not result.undetermined
    for name, smaller in (("pixel_x", 0.029), ("pixel_y", 0.041)):
        mean, std = result.value(name)
        assert std / mean < 0.003
        assert abs(1.0 - mean / claimed - smaller) < 2.0 * std / mean
    shear, std = result.value("shear")
    assert std < 0.006
    assert 0.0 < shear < 0.04
