"""HAADF images to optics, scan and detector: against multislice probe by probe, and images with little or no information."""

import dataclasses

import numpy as np
import pytest

from reconstruct.measurement.haadf.estimator import HaadfPrior, measure_haadf
from reconstruct.measurement.measurement import Measurement
from reconstruct.measurement.projection import Projection
from tests.synthetic.haadf_images import CALIBRATION, DEPTH, SOURCE, A, crystal, drawn, drifted, gram, scan

OPTICS = {"C10": -45.0, "C12a": 18.0, "C12b": -9.0}
BEFORE = HaadfPrior(thickness=(DEPTH, 2.0), gain=0.1, drift=1.0, scanner=2e-3)


def read(images: np.ndarray, **overrides) -> Measurement:
    arguments = {
        "model": gram(),
        "crystal": crystal(),
        "scan": scan(),
        "calibration": CALIBRATION,
        "prior": BEFORE,
    } | overrides
    return measure_haadf(images, **arguments)


@pytest.mark.slow
def test_optics_scan_and_detector_are_measured_within_their_errors():
    static_map, drift = 0.3 * np.array([[1.006, 0.0005], [0.0, 1.005]]), (1.1, -0.8)
    result = read(drawn(1, OPTICS, matrix=static_map, drift=drift, scale=1.06))
    map_ = drifted(static_map, drift, scan())
    pixel_x = float(np.hypot(*map_[:, 0]))
    pixel_y = float(np.linalg.det(map_)) / pixel_x
    shear = float(map_[:, 0] @ map_[:, 1]) / pixel_x / pixel_y
    truth = OPTICS | {"source": SOURCE, "scale": 1.06, "pixel_x": pixel_x, "pixel_y": pixel_y, "shear": shear}
    truth |= {"drift.x": drift[0], "drift.y": drift[1]}
    best = max(result.components, key=lambda component: component.weight)
    for name, expected in truth.items():
        index = result.index(name)
        assert abs(best.mean[index] - expected) < 4.0 * np.sqrt(best.covariance[index, index]), name
    assert {"C10", "C12a", "C12b", "source", "pixel_x", "drift.x", "drift.y"}.isdisjoint(result.undetermined)
    assert np.sqrt(best.covariance[0, 0]) < 12.0
    assert result.misfit < 1.5
    image, cell, posterior = result.plots
    assert image.residual.shape == scan().shape
    assert np.nanstd(image.residual) == pytest.approx(1.0, abs=0.1)
    assert np.abs(cell.residual).max() < 6.0
    axis = np.linspace(posterior.extent[0], posterior.extent[1], len(posterior.data))
    assert np.trapezoid(posterior.data, axis) == pytest.approx(1.0, abs=0.1)


THIN = {"C10": 60.0, "C12a": 20.0, "C12b": 0.0}


@pytest.mark.slow
def test_a_turned_crystal_and_a_gain_that_is_not_known():
    angle = 0.5
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    image = drawn(7, OPTICS, matrix=0.3 * turn, scale=1.6)
    result = read(image, prior=dataclasses.replace(BEFORE, gain=0.5))
    # astigmatism is given in the scan's axes, which lie at the angle from the crystal's
    astigmatism = complex(OPTICS["C12a"], OPTICS["C12b"]) * np.exp(2j * angle)
    truth = {"C10": OPTICS["C10"], "C12a": astigmatism.real, "C12b": astigmatism.imag, "scale": 1.6, "rotation": angle}
    best = max(result.components, key=lambda component: component.weight)
    for name, expected in truth.items():
        index = result.index(name)
        assert name not in result.undetermined
        assert abs(best.mean[index] - expected) < 4.0 * np.sqrt(best.covariance[index, index]), name
    assert result.value("scale")[1] < 0.2


SPHERICAL: dict[str, tuple[float, float]] = dict.fromkeys(("C21a", "C21b", "C23a", "C23b", "C30"), (0.0, 0.0))


@pytest.mark.slow
def test_both_signs_of_defocus_remain_until_a_second_image():
    prior = HaadfPrior(thickness=(A, 0.2), gain=0.1, aberrations=SPHERICAL)
    dense_scan = scan(dose=1e5)
    first = drawn(2, THIN, dense_scan, cells=1)
    single = read(first, scan=dense_scan, prior=prior)
    signs = {np.sign(part.mean[0]): part.weight for part in single.components if part.weight > 0.05}
    assert set(signs) == {-1.0, 1.0}
    over = next(part for part in single.components if part.mean[0] > 0.0)
    assert over.mean[0] == pytest.approx(60.0, abs=15.0)
    assert any("both signs" in note for note in single.notes)
    second = drawn(3, THIN | {"C10": 110.0}, dense_scan, cells=1)
    both = read(np.stack([first, second]), scan=dense_scan, prior=prior, offsets=(0.0, 50.0))
    assert sum(part.weight for part in both.components if part.mean[0] > 0.0) > 0.99
    mean, std = both.value("C10")
    assert abs(mean - 60.0) < 4.0 * std < 40.0


@pytest.mark.slow
def test_pixels_that_are_not_numbers_are_left_out():
    image = drawn(4, OPTICS)
    image[10:14, 20:33], image[::11, 5] = np.nan, np.inf
    result = read(image)
    best = max(result.components, key=lambda component: component.weight)
    assert abs(best.mean[0] - OPTICS["C10"]) < 4.0 * np.sqrt(best.covariance[0, 0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "image, word",
    [
        (np.full((96, 96), 100.0), "no electrons"),
        (np.zeros((96, 96)), "no electrons"),
        (np.full((96, 96), np.nan), "number"),
        (np.random.default_rng(0).poisson(3.0, (96, 96)).astype(float), "lattice spot"),
    ],
)
def test_an_uninformative_image_leaves_the_prior(image, word):
    result = read(image)
    assert set(result.undetermined) == set(result.names)
    assert word in result.undetermined["C10"]
    assert result.value("C10") == pytest.approx((0.0, 100.0))
    assert result.value("scale")[1] == pytest.approx(0.1)
    assert result.value("black") == pytest.approx((100.0, 5.0))


@pytest.mark.slow
def test_a_saturated_image_is_refused_and_said():
    image = drawn(5, OPTICS)
    result = read(image, saturation=float(np.quantile(image, 0.97)))
    assert "saturated" in result.undetermined["C12a"]


def test_one_row_of_the_lattice_is_not_enough():
    y, x = np.mgrid[:96, :96] * 0.3
    rows = 4000.0 * (1.0 + 0.5 * np.cos(2.0 * np.pi * (x + 0.3 * y) / 2.9)) + 50.0 * np.random.default_rng(
        1
    ).standard_normal(x.shape)
    result = read(rows)
    assert "one lattice row" in result.undetermined["C10"]
    assert result.value("C10")[1] == pytest.approx(100.0)


@pytest.mark.slow
def test_another_signal_of_the_same_lattice_does_not_fit():
    image = drawn(6, OPTICS)
    inverse = 2.0 * float(np.mean(image)) - image  # columns dark: no dark field of this crystal
    result = read(np.maximum(inverse, 0.0))
    assert "the model does not fit" in result.undetermined["C10"]
    assert result.value("C10") == pytest.approx((0.0, 100.0))


@pytest.mark.slow
def test_a_signal_of_another_size_than_the_structure_could_give_is_refused():
    result = read(drawn(8, OPTICS, scale=3.0))
    assert result.outcome == "the model does not fit"
    assert (
        "the signal fits at 2." in result.undetermined["C10"] or "the signal fits at 2.9" in result.undetermined["C10"]
    )
    assert result.value("C10") == pytest.approx((0.0, 100.0))
    assert "pixel_x" in result.undetermined


@pytest.mark.parametrize(
    "change, message",
    [
        ({"images": np.ones((3, 4, 96, 96))}, "shape"),
        ({"images": np.ones((64, 96))}, "shape"),
        ({"images": np.ones((2, 96, 96)), "offsets": (0.0,)}, "offsets"),
        ({"images": np.ones((2, 96, 96)), "offsets": (0.0, 0.0)}, "different"),
        ({"offsets": (float("nan"),)}, "offsets"),
        ({"scan": scan(pixel=0.05)}, "field of view"),
        ({"crystal": Projection((3.0, 0.0), (0.0, 3.0))}, "cell"),
        ({"prior": dataclasses.replace(BEFORE, thickness=(500.0, 2.0))}, "thickness"),
        ({"saturation": 0.0}, "saturation"),
    ],
)
def test_bad_input(change, message):
    images = change.pop("images", np.ones((96, 96)))
    with pytest.raises(ValueError, match=message):
        read(images, **change)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"aberrations": {"C99": (0.0, 1.0)}}, "C99"),
        ({"aberrations": {"C50": (0.0, 1.0)}}, "C50"),
        ({"aberrations": {"C10": (0.0, -1.0)}}, "C10"),
        ({"aberrations": {"C10": (0.0, 0.0)}}, "C10"),
        ({"source": (-0.1, 0.1)}, "source"),
        ({"gain": 0.0}, "gain"),
        ({"tilt": (float("nan"), 0.0)}, "tilt"),
    ],
)
def test_what_cannot_be_known_beforehand(change, message):
    with pytest.raises(ValueError, match=message):
        HaadfPrior(**change)
