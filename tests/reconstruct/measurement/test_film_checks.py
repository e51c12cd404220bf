"""Checks of a film's fit: data drawn from the model pass them, and what is stated wrongly of them fails the check that names it."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import pytest

from reconstruct.measurement.film.blocks import block, prepare
from reconstruct.measurement.film.checks import exchanged_rotation, fit_checks
from reconstruct.measurement.film.exposure import (
    Exposure,
    Optics,
    Setting,
    Spectra,
    lit_pixels,
    scan_frequencies,
    spectra,
    struck_readings,
    unlit_positions,
)
from reconstruct.measurement.film.fitting import FilmFit, FilmProblem, fit_film
from reconstruct.measurement.film.geometry import moved
from reconstruct.measurement.film.orientation import Orientation, scan_axes
from reconstruct.measurement.film.search import noise_bound, prior_precision
from reconstruct.measurement.prior import Prior
from twin.optics.weak import Sidebands, response

OPTICS = Optics(200e3, 25e-3)
TRUE = np.array([60.0, 25.0, -15.0, 200.0, -100.0, 80.0, 50.0, 4e3, 1e3, -1e3, 500.0, 0.0])
PRIOR = Prior.independent([300, 150, 150, 2e3, 2e3, 2e3, 2e3, 5e4, 2e4, 2e4, 2e4, 2e4])
CHANGES = (-100.0, 100.0)
LINE = np.arange(-6, 7) * 4e-3
ANGLES = np.stack(np.meshgrid(LINE, LINE), axis=-1).reshape(-1, 2)
ANGLES = ANGLES[np.hypot(*ANGLES.T) < 23e-3]
WIDTH = 3e-3


@functools.cache
def drawn(
    rotation: float = 0.0, mirrored: bool = False, scale: float = 1.0, noisy: int = 0, phase: float = 0.0
) -> tuple[Spectra, ...]:
    """Spectra of a film of 50 angstrom drawn from the weak model, whose scan lies otherwise than it says."""
    generator = np.random.default_rng(3)
    exposures = []
    for change in CHANGES:
        setting = Setting((22, 22), 0.9, ANGLES, WIDTH, 5e6, c10=change, periodic=True)
        q, _ = scan_frequencies(setting, OPTICS)
        strength = np.full(len(ANGLES), 8.0)
        empty = Spectra(np.zeros((len(q), len(ANGLES)), np.complex64), q, strength, ANGLES, setting)
        (actual,) = moved([prepare(empty, OPTICS)], Orientation(rotation, mirrored), float(np.log(scale)))
        part, count = block(actual, TRUE).bands, len(ANGLES)
        bands = Sidebands(*(values[:, :count] for values in part[:2]), *(values[:, :count, 0] for values in part[2:]))
        power = 0.05 * np.exp(-3.0 * np.hypot(*q.T))
        signal = np.zeros(empty.z.shape, complex)
        coefficients = TRUE.copy()
        coefficients[0] += change

        def normal(*shape: int) -> np.ndarray:
            return (generator.normal(size=shape) + 1j * generator.normal(size=shape)) / np.sqrt(2.0)

        for share in (np.arange(8) + 0.5) / 8:
            t = np.asarray(response(bands, coefficients, 50.0 * share))
            signal += np.sqrt(power / 8)[:, None] * t * normal(len(q), 1)
        noise = normal(*signal.shape)
        noise[:, :noisy] *= 3.0
        exposures.append(dataclasses.replace(empty, z=(signal + noise).astype(np.complex64)))
    return tuple(exposures)


def fitted(stated: Orientation = Orientation(), **wrong: float) -> tuple[FilmFit, int]:
    return fitted_to(drawn(**wrong), stated)


def fitted_to(parts: Sequence[Spectra], stated: Orientation = Orientation()) -> tuple[FilmFit, int]:
    precision, centre = prior_precision(PRIOR)
    data = [prepare(part, OPTICS) for part in parts]
    return fit_film(FilmProblem(data, list(parts), PRIOR, precision, centre), stated)


def failed(fit: FilmFit) -> list[str]:
    return [check.name for check in fit_checks(fit, Orientation()) if not check.passed]


def deviations(fit: FilmFit) -> np.ndarray:
    std = np.sqrt(np.diag(np.linalg.inv(fit.information)))[:3]
    return (fit.maxima[0].parameters[:3] - TRUE[:3]) / std


@pytest.mark.slow
def test_data_of_the_model_pass_every_check():
    fit, noisy = fitted()
    assert failed(fit) == []
    assert noisy == 0
    assert np.abs(deviations(fit)).max() < 4.0
    assert fit.residuals.noise == pytest.approx(1.0, abs=0.03)
    assert fit.residuals.unexplained < 0.1
    assert fit.rotation.significance < 3.5
    assert fit.scale.significance < 3.5


@pytest.mark.slow
def test_a_small_rotation_is_fitted():
    fit, _ = fitted(rotation=float(np.radians(7.0)))
    assert np.degrees(fit.orientation.rotation) == pytest.approx(7.0, abs=1.0)
    assert failed(fit) == []
    assert np.abs(deviations(fit)).max() < 4.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rotation", "mirrored", "cure"),
    [(70.0, False, "state {rotation}, 70.0 degrees"), (0.0, True, "exchange the axes of the scan ({axes} 1,0,2,3)")],
)
def test_a_scan_that_lies_otherwise_than_stated_is_found_and_said(rotation: float, mirrored: bool, cure: str):
    fit, _ = fitted(rotation=float(np.radians(rotation)), mirrored=mirrored)
    assert np.degrees(fit.orientation.rotation) == pytest.approx(rotation, abs=1.0)
    assert fit.orientation.mirrored == mirrored
    # the fit is right once the scan lies as it does
    assert np.abs(deviations(fit)).max() < 4.0
    assert failed(fit) == ["rotation of the scan, degrees"]
    (finding,) = [check.finding for check in fit_checks(fit, Orientation()) if not check.passed]
    assert cure.replace("70.0", f"{np.degrees(fit.orientation.rotation):.1f}") in finding


def test_the_cure_of_a_mirrored_scan_is_its_rotation_once_its_axes_areexchanged_rotation():
    mirrored = Orientation(float(np.radians(20.0)), mirrored=True)
    turned = np.radians(exchanged_rotation(mirrored))
    np.testing.assert_allclose(scan_axes(Orientation(float(turned))), scan_axes(mirrored)[:, ::-1], atol=1e-12)


@pytest.mark.slow
def test_changes_of_c10_of_the_other_sign_are_said():
    parts = [
        dataclasses.replace(part, setting=dataclasses.replace(part.setting, c10=-part.setting.c10)) for part in drawn()
    ]
    fit, _ = fitted_to(parts)
    assert "rotation of the scan, degrees" in failed(fit)
    (finding,) = [check.finding for check in fit_checks(fit, Orientation()) if check.name.startswith("rotation")]
    assert "state the changes of C10 with the other sign" in finding


@pytest.mark.slow
def test_a_step_that_is_wrong_is_said_with_its_ratio():
    fit, _ = fitted(scale=1.12)
    assert "scale of scan against camera" in failed(fit)
    assert np.exp(fit.log_scale + fit.scale.value) == pytest.approx(1.12, abs=0.02)


@pytest.mark.slow
def test_noisy_pixels_are_left_out():
    fit, noisy = fitted(noisy=3)
    assert noisy == 2 * 3
    assert len(fit.data[0].spectra.angles) == len(ANGLES) - 3
    assert np.abs(deviations(fit)).max() < 4.0
    assert failed(fit) == []


def test_lost_lines_are_bridged_and_only_lost_pixels_left_out():
    counts = np.random.default_rng(0).poisson(1000.0, (22, 22, len(ANGLES))).astype(float)
    counts += 300.0 * np.sin(2.0 * np.pi * np.arange(22) / 22)[:, None, None]
    whole = counts.copy()
    counts[[4, 11, 15]] = 1.0
    unlit = unlit_positions(counts)
    assert sorted(np.flatnonzero(unlit.all(axis=1))) == [4, 11, 15]
    assert unlit.sum() == 3 * 22
    counts[unlit] = np.nan
    setting = Setting((22, 22), 0.9, ANGLES, WIDTH, 5e6, periodic=True)
    use, notes = lit_pixels(Exposure(counts, setting), OPTICS)
    assert use.sum() == len(ANGLES)
    assert not notes
    lost, full = (spectra(Exposure(values, setting), OPTICS) for values in (counts, whole))
    slow = np.hypot(*full.q.T) < 0.06
    power = (np.abs(full.z) ** 2).mean(axis=1)
    assert (np.abs(lost.z) ** 2).mean(axis=1)[slow] == pytest.approx(power[slow], rel=0.1, abs=0.3)
    # the lost lines make no frequencies of their own
    assert (np.abs(lost.z) ** 2).mean(axis=1)[~slow].max() < 3.0


def test_readings_that_cosmic_rays_strike_are_found_and_counting_noise_is_not():
    counts = np.random.default_rng(1).poisson(20.0, (30, 30, 5)).astype(float)
    assert not struck_readings(counts).any()
    counts[3, 4, 2] += 3000.0
    counts[10, 10, 0] = np.nan
    assert np.argwhere(struck_readings(counts)).tolist() == [[3, 4, 2]]


@pytest.mark.parametrize("gain", [1.0, 6.0])
def test_noise_starts_at_that_of_the_quietest_shell(gain: float):
    parts = [dataclasses.replace(part, z=part.z * np.sqrt(gain)) for part in drawn()]
    assert gain <= noise_bound(parts) < 1.5 * gain
