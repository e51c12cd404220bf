"""Aberrations from films of unknown atoms: multislice of random atoms, distant starting values, and uninformative data."""

import dataclasses
import functools

import numpy as np
import pytest

from reconstruct.measurement.film.estimator import fit_amorphous
from reconstruct.measurement.film.exposure import Exposure, Optics, Setting, lit_pixels, spectra
from reconstruct.measurement.prior import COEFFICIENTS, Prior
from tests.synthetic import amorphous_films as films
from twin.channels import control
from twin.optics.aberrations import coefficients

OPTICS = Optics(films.ENERGY, films.SEMIANGLE)
PRIOR = Prior.independent([600, 300, 300, 3e3, 3e3, 3e3, 3e3, 1e5, 3e4, 3e4, 3e4, 3e4])
TRUE = coefficients({"C10": -900.0, "C12a": 210.0, "C12b": -330.0, "C21b": 1500.0, "C23a": -1100.0, "C30": 5e4})


@functools.cache
def series(points: int = 48) -> tuple[Exposure, ...]:
    """Two exposures of a film, 90 nm from where the prior has them."""
    specimen = films.film(11, indices=films.camera(7))
    generator = np.random.default_rng(5)
    return tuple(films.exposure(specimen, TRUE, 1e7, generator, points, c10=c10, source=0.4) for c10 in (-150.0, 150.0))


@pytest.mark.slow
def test_a_film_far_out_of_focus_is_found_and_the_truth_lies_within_the_errors():
    result = fit_amorphous(series(), OPTICS, PRIOR)
    assert not result.undetermined
    off = (result.mean[:12] - TRUE[:12]) / result.std[:12]
    assert np.abs(off).max() < 4.0
    assert (off @ off) < 32.0
    for name, bar in (("C10", 20.0), ("C12.a", 20.0), ("C21.b", 500.0), ("C23.a", 500.0), ("C30", 15000.0)):
        assert result.value(name)[1] < bar
    assert abs(result.value("thickness")[0] - 50.0) < 5.0 * result.value("thickness")[1]
    assert result.misfit == pytest.approx(1.0, abs=0.02)
    plot = result.plots[0]
    finite = np.isfinite(plot.residual)
    assert plot.data.shape == plot.model.shape
    assert np.std(plot.residual[finite]) == pytest.approx(1.0, abs=0.3)


def test_names_are_those_of_controls():
    assert [control(name).name for name in COEFFICIENTS[:3]] == ["C10", "C12.a", "C12.b"]


@pytest.mark.slow
def test_a_part_of_the_film_through_a_window_says_the_same_with_wider_errors():
    near = TRUE.copy()
    near[:3] = 60.0, 30.0, -40.0
    specimen = films.film(13, indices=films.camera(7))
    parts, generator = [], np.random.default_rng(6)
    for c10 in (-90.0, 60.0):
        exposure = films.exposure(specimen, near, 3e7, generator, 48, c10=c10, source=0.4)
        setting = dataclasses.replace(exposure.setting, points=(44, 40), periodic=False, electrons=2.3e7)
        parts.append(Exposure(exposure.counts[:44, 4:44], setting))
    result = fit_amorphous(parts, OPTICS, PRIOR)
    off = (result.mean[:12] - near[:12]) / result.std[:12]
    assert np.abs(off).max() < 4.5
    assert result.value("C10")[1] < 40.0
    # 90 nm from focus the probe is wider than the scan, and its window leaves no signal of the film
    wide = [
        Exposure(exposure.counts[:44, :40], dataclasses.replace(exposure.setting, points=(44, 40), periodic=False))
        for exposure in series()
    ]
    undetermined = fit_amorphous(wide, OPTICS, PRIOR)
    assert any("scan a wider field" in note for note in undetermined.notes)
    assert set(undetermined.undetermined) == set(undetermined.names)


@pytest.mark.slow
def test_uninformative_pixels_are_left_out_and_named():
    exposure = series()[0]
    counts = exposure.counts.copy()
    middle = int(np.argmin(np.hypot(*exposure.setting.angles.T)))
    counts[:, :, middle] = np.nan
    counts[3, 4, middle + 1] = 1e6
    counts[:, :, middle + 2] = 0.0
    counts[0, 0, middle + 3] = np.nan
    use, notes = lit_pixels(Exposure(counts, exposure.setting, full_scale=1e5), OPTICS)
    assert not use[middle : middle + 3].any()
    assert use[middle + 3]
    assert [word for word in ("saturated", "missing", "empty") if any(word in note for note in notes)] == [
        "saturated",
        "missing",
        "empty",
    ]
    assert np.isfinite(spectra(Exposure(counts, exposure.setting, 1e5), OPTICS).z).all()


@pytest.mark.parametrize("counts", [0.0, np.nan])
def test_a_detector_without_electrons_is_refused(counts: float):
    exposure = series()[0]
    with pytest.raises(ValueError, match="no pixel of the bright-field disk"):
        fit_amorphous([Exposure(np.full_like(exposure.counts, counts), exposure.setting)], OPTICS, PRIOR)


def test_a_saturated_detector_is_refused():
    exposure = series()[0]
    with pytest.raises(ValueError, match="saturated"):
        fit_amorphous([Exposure(np.full_like(exposure.counts, 255.0), exposure.setting, 255.0)], OPTICS, PRIOR)


@pytest.mark.slow
def test_a_film_that_scatters_nothing_leaves_the_prior():
    exposure = series()[0]
    vacuum = np.random.default_rng(0).poisson(exposure.counts.mean(), exposure.counts.shape).astype(float)
    result = fit_amorphous([Exposure(vacuum, exposure.setting)], OPTICS, PRIOR)
    assert set(result.undetermined) == {*COEFFICIENTS, "thickness"}
    np.testing.assert_array_equal(result.std[:12], np.sqrt(np.diag(PRIOR.covariance)))


@pytest.mark.slow
def test_one_detector_point_on_the_axis_keeps_both_signs():
    specimen = films.film(12, indices=np.array([[0, 0]]))
    true = coefficients({"C10": 250.0})
    exposure = films.exposure(specimen, true, 2e10, np.random.default_rng(1), 48, source=0.4)
    narrow = Prior.independent([200, 5, 5, 50, 50, 50, 50, 500, 500, 500, 500, 500], thickness=(50.0, 2.0))
    result = fit_amorphous([exposure], OPTICS, narrow)
    assert len(result.components) == 2
    # -chi of the whole film: C10 of its exit face with the other sign
    for component, expected in zip(
        sorted(result.components, key=lambda component: component.mean[0]), (-300.0, 250.0), strict=True
    ):
        std = float(np.sqrt(component.covariance[0, 0]))
        assert component.mean[0] == pytest.approx(expected, abs=3.5 * std)
        assert std < 30.0
        assert component.weight > 1e-3
    assert result.value("C10")[1] > 200.0
    assert "C21.a" in result.undetermined
    assert any("-chi" in note for note in result.notes)


def test_what_cannot_be_is_refused():
    exposure = series()[0]
    setting = exposure.setting
    with pytest.raises(ValueError, match="no exposures"):
        fit_amorphous([], OPTICS, PRIOR)
    with pytest.raises(ValueError, match="counts have shape"):
        Exposure(exposure.counts[..., :-1], setting)
    with pytest.raises(ValueError, match="electrons"):
        dataclasses.replace(setting, electrons=0.0)
    with pytest.raises(ValueError, match="tilt"):
        dataclasses.replace(setting, tilt=(np.nan, 0.0))
    with pytest.raises(ValueError, match=r"\[pixels, 2\]"):
        dataclasses.replace(setting, angles=np.zeros(5))
    with pytest.raises(ValueError, match="too small"):
        Setting((4, 4), 0.5, setting.angles, 1e-3, 1e6)
    with pytest.raises(ValueError, match=r"give \[12\]"):
        Prior(np.zeros(3), np.eye(3))
    with pytest.raises(ValueError, match="not positive definite"):
        Prior(np.zeros(12), np.diag([0.0] * 12))
