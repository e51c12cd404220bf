"""Thon rings: against films imaged by another lens, and images without rings."""

import numpy as np
import pytest

from reconstruct.measurement.thon.estimator import Model, measure_thon, power_spectrum
from tests.synthetic.films import ENERGY, film
from twin.optics.aberrations import index
from twin.optics.contrast import amplitude_contrast, phase_contrast
from twin.optics.transfer import Imaging

SPAN = 5000.0


def test_spherical_aberration_determines_the_sign_of_defocus():
    micrograph = film(14, c30=1.2e7, dose=500.0)
    result = measure_thon(micrograph.image, micrograph.pixel, ENERGY, micrograph.c30, SPAN)
    assert not result.undetermined
    assert max(component.weight for component in result.components) > 0.99
    assert np.abs((result.mean - micrograph.truth) / result.std).max() < 4.0
    assert result.std[0] < 20.0
    assert result.misfit == pytest.approx(1.0, abs=0.05)


def test_without_spherical_aberration_both_signs_of_defocus_remain():
    micrograph = film(4, c30=0.0, dose=500.0)
    result = measure_thon(micrograph.image, micrograph.pixel, ENERGY, 0.0, SPAN)
    assert {bool(component.mean[0] > 0) for component in result.components} == {True, False}
    assert max(component.weight for component in result.components) < 0.95
    assert any("both signs" in note for note in result.notes)
    right = max(
        (component for component in result.components if component.mean[0] * micrograph.truth[0] > 0),
        key=lambda component: component.weight,
    )
    assert np.abs((right.mean - micrograph.truth) / np.sqrt(np.diag(right.covariance))).max() < 4.0


def test_an_image_without_rings_leaves_the_prior():
    micrograph = film(1, flat=True, dose=100.0)
    flat = measure_thon(np.ones((128, 128)), 1.0, ENERGY)
    for result, why in (
        (measure_thon(micrograph.image, micrograph.pixel, ENERGY, 0.0, SPAN), "no Thon rings"),
        (flat, "flat"),
    ):
        assert set(result.undetermined) == {"C10", "C12a", "C12b"}
        assert why in result.undetermined["C10"]
        assert result.std[0] > 1000.0


@pytest.mark.parametrize("name, value", [("pixel", 0.0), ("span", np.nan), ("astigmatism", -1.0), ("energy", 200.0)])
def test_bad_numbers_are_named(name, value):
    arguments = {"pixel": 1.0, "energy": ENERGY} | {name: value}
    with pytest.raises(ValueError, match=name):
        measure_thon(np.ones((64, 64)), **arguments)
    with pytest.raises(ValueError, match="shape"):
        measure_thon(np.ones((8, 8)), 1.0, ENERGY)


def test_the_model_is_the_twins_transfer_and_its_derivatives_are_right():
    power = power_spectrum(np.random.default_rng(0).standard_normal((64, 64)), 1.0)
    lens = np.zeros(25)
    lens[index("C30")] = 1e7
    model = Model(power, Imaging(lens, ENERGY, focal_spread=20.0))
    values = np.array([-900.0, 80.0, -40.0, 0.07, *np.linspace(0.5, -0.5, len(model(np.zeros(14))[1]) - 4)])
    rows = model(values)[1]
    for parameter in range(len(values)):
        step = np.zeros(len(values))
        step[parameter] = 1e-3 if parameter < 3 else 1e-5
        slope = (model(values + step)[0] - model(values - step)[0]) / (2.0 * step[parameter])
        # the taper's autocorrelation is interpolated: its slope jumps where lags are held
        assert np.median(np.abs(slope - rows[parameter])) < 1e-4 * np.abs(rows[parameter]).max()
    model.slopes, model.power = model.slopes, power._replace(autocorrelation=np.ones_like(power.autocorrelation))
    values[4:] = 0.0
    values[-4] = -60.0
    lens[[index("C10"), index("C12a"), index("C12b")]] = values[:3]
    imaging = Imaging(lens, ENERGY, focal_spread=20.0)
    expected = phase_contrast(imaging, power.kx, power.ky) - 0.07 * amplitude_contrast(imaging, power.kx, power.ky)
    np.testing.assert_allclose(np.exp(model(values)[0]), np.abs(np.asarray(expected)) ** 2 + 1e-6, rtol=1e-6, atol=1e-9)
