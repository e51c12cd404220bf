"""Thon rings: against films imaged by another lens, spoiled images, wrong statements, and images without rings."""

import math

import numpy as np
import pytest

from reconstruct.measurement.measurement import Measurement
from reconstruct.measurement.outcome import DETERMINED, NO_FIT, UNDETERMINED
from reconstruct.measurement.thon.estimator import measure_thon
from tests.benchmarks.spoiled.thon import C30, PIXEL, PRINCIPAL, draw
from tests.synthetic.films import ENERGY, film, film_phase, imaged

SPAN = 5000.0


def test_spherical_aberration_determines_the_sign_of_defocus():
    micrograph = film(14, c30=1.2e7, dose=500.0)
    result = measure_thon(micrograph.image, micrograph.pixel, ENERGY, micrograph.c30, SPAN)
    assert result.outcome == DETERMINED
    assert not result.defects
    assert max(component.weight for component in result.components) > 0.99
    assert deviation(result, micrograph.truth) < 4.0
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
        assert result.outcome == UNDETERMINED
        assert set(result.undetermined) == {"C10", "C12a", "C12b"}
        assert why in result.undetermined["C10"]
        assert result.std[0] > 1000.0


@pytest.mark.parametrize(
    "spoiling, strength, expected",
    [
        ("hot pixels", 2, ["40 pixels far from the others"]),
        ("hot column", 1, []),
        ("ice ring", 2, ["ring at 3.7"]),
        ("ice rings", 2, ["ring at 3.7", "ring at 2.3"]),
        ("gold", 2, ["spots"]),
        ("crystal", 1, ["spot"]),
        ("amplitude contrast", 2, []),
        ("drift", 2, []),
        ("charging", 2, []),
        ("border", 2, ["dark region"]),
        ("beam stop", 1, ["dark region"]),
        ("astigmatism", 2, []),
        ("dead block", 2, []),
        ("NaN pixels", 2, []),
    ],
)
@pytest.mark.slow
def test_what_images_have_is_masked_or_fitted(spoiling, strength, expected):
    sample = draw(3, spoiling, strength)
    result = measure_thon(sample.data, PIXEL, ENERGY, C30)
    assert result.outcome == DETERMINED
    assert deviation(result, truth_of(sample)) < 4.0
    descriptions = [defect.description for defect in result.defects]
    for text in expected:
        assert any(text in description for description in descriptions), descriptions


@pytest.mark.parametrize(
    "wrong, known",
    [
        ("energy too high", {"energy": 1.2 * ENERGY}),
        ("energy too low", {"energy": 0.8 * ENERGY}),
        ("phase plate not told", {}),
        ("no spherical aberration", {"c30": 0.0}),
        ("pixel too large", {"pixel": 1.1 * PIXEL}),
    ],
)
@pytest.mark.slow
def test_what_is_stated_wrongly_does_not_fit(wrong, known):
    sample = draw(4, wrong)
    result = measure_thon(sample.data, **({"pixel": PIXEL, "energy": ENERGY, "c30": C30} | known))
    assert result.outcome == NO_FIT
    assert result.std[0] > 1000.0


@pytest.mark.slow
def test_a_phase_plate_is_told_or_measured():
    sample = draw(4, "phase plate not told")
    told = measure_thon(sample.data, PIXEL, ENERGY, C30, phase_shift=0.5 * math.pi)
    free = measure_thon(sample.data, PIXEL, ENERGY, C30, phase_shift=None)
    for result in (told, free):
        assert result.outcome == DETERMINED
        assert np.abs((result.mean[:3] - truth_of(sample)) / result.std[:3]).max() < 4.0
    value, std = free.value("phase_shift")
    assert free.periods == {"phase_shift": math.pi}
    # the film's amplitude contrast is counted with what the plate does
    assert abs(value - 0.5 * math.pi) < 4.0 * math.hypot(std, 0.05)
    assert std < 0.1


def test_amplitude_contrast_that_is_told_is_used():
    sample = draw(1, "amplitude contrast", 2)
    told = measure_thon(sample.data, PIXEL, ENERGY, C30, amplitude_contrast=(0.35, 0.02))
    assert told.outcome == DETERMINED
    assert not told.notes
    assert deviation(told, truth_of(sample)) < 4.0
    wrong = measure_thon(sample.data, PIXEL, ENERGY, C30, amplitude_contrast=(-0.3, 0.02))
    assert wrong.outcome == NO_FIT


def test_astigmatism_far_beyond_what_is_expected_is_said():
    sample = draw(2, "astigmatism", 2)
    result = measure_thon(sample.data, PIXEL, ENERGY, C30, astigmatism=50.0)
    assert deviation(result, truth_of(sample)) < 4.0
    assert any("astigmatism is 300 nm" in note for note in result.notes)


def test_a_defocus_beyond_the_span_is_not_determined():
    sample = draw(5)
    assert abs(sample.truth["C10"]) > 4000.0
    result = measure_thon(sample.data, PIXEL, ENERGY, C30, span=2000.0)
    assert result.outcome == NO_FIT
    assert "span" in result.undetermined["C10"]


@pytest.mark.slow
def test_a_large_image_is_averaged_in_its_spectrum():
    """Blocks of frequencies: what they take of the rings is in the model, so that values and errors stay right."""
    generator = np.random.default_rng(8)
    lens = (-2500.0, 200.0, -100.0)
    clean = imaged(film_phase(generator, 768, PIXEL), 768, PIXEL, lens, C30)
    image = generator.poisson(100.0 * clean).astype(float)
    result = measure_thon(image, PIXEL, ENERGY, C30)
    assert result.outcome == DETERMINED
    assert deviation(result, np.array(lens)) < 4.0
    assert result.std[0] < 3.5


@pytest.mark.parametrize("name, value", [("pixel", 0.0), ("span", np.nan), ("astigmatism", -1.0), ("energy", 200.0)])
def test_bad_numbers_are_named(name, value):
    arguments = {"pixel": 1.0, "energy": ENERGY} | {name: value}
    with pytest.raises(ValueError, match=name):
        measure_thon(np.ones((64, 64)), **arguments)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "image, message",
    [
        (np.ones((8, 8)), "at least 64 pixels"),
        (np.ones((1, 4096)), "at least 64 pixels"),
        (np.full((128, 128), np.nan), "no number"),
        (
            np.where(np.hypot(*np.mgrid[:128, :128]) < 40, np.random.default_rng(0).random((128, 128)), np.nan),
            "is known",
        ),
    ],
)
def test_images_of_which_too_little_is_known_are_refused(image, message):
    with pytest.raises(ValueError, match=message):
        measure_thon(image, 1.0, ENERGY)


def test_wrong_inputs_of_phase_and_amplitude_are_named():
    with pytest.raises(ValueError, match="phase_shift"):
        measure_thon(np.ones((64, 64)), 1.0, ENERGY, phase_shift=math.nan)
    with pytest.raises(ValueError, match="amplitude_contrast"):
        measure_thon(np.ones((64, 64)), 1.0, ENERGY, amplitude_contrast=(0.1, 0.0))


@pytest.mark.slow
def test_an_anisotropic_spectrum_without_rings_is_not_taken_for_astigmatism():
    generator = np.random.default_rng(5)
    k = np.fft.fftfreq(256)
    shape = np.exp(-4.0 * np.abs(k)[:, None] ** 1.5) * (0.4 + np.abs(k))
    image = 100.0 + np.fft.ifft2(np.fft.fft2(generator.standard_normal((256, 256))) * shape).real
    result = measure_thon(image, 1.0, ENERGY, C30)
    assert result.outcome == UNDETERMINED
    assert "rings" in result.undetermined["C10"]


def truth_of(sample) -> np.ndarray:
    return np.array([sample.truth[name] for name in PRINCIPAL])


def deviation(result: Measurement, truth: np.ndarray) -> float:
    """Largest error in standard deviations."""
    return float(np.abs((result.mean[:3] - truth) / result.std[:3]).max())
