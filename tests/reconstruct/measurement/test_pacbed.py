"""Patterns read back: by the twin's own model with noise (what is known of errors must come true), and what must be refused or widened."""

import dataclasses
import functools
from typing import Any

import numpy as np
import pytest

from reconstruct import measure
from reconstruct.measurement.kinds.pacbed import if_thicker, with_frozen_phonons
from reconstruct.measurement.measurement import Measurement
from reconstruct.measurement.outcome import DETERMINED, NO_FIT, UNDETERMINED, FitCheck
from reconstruct.measurement.pacbed.estimator import Geometry, ModelError, measure_pacbed
from reconstruct.measurement.pacbed.model import NAMES, Frame
from reconstruct.measurement.pacbed.model_error import Whitened, cosines
from reconstruct.measurement.pacbed.search import centres
from twin.detection.camera import Camera
from twin.detection.transfer import Mixture
from twin.errors import BadInput
from twin.sample.specimen import Specimen, srtio3
from twin.scattering.pacbed.patterns import Library, library

ENERGY, ALPHA, SHAPE = 200e3, 10e-3, (56, 60)
GEOMETRY = Geometry(1.1e-3, rotation=0.1, rotation_error=0.01)
CAMERA = Camera(mtf=Mixture(gaussians=((1.0, 1.2),)), ntf=Mixture(floor=1.0))
EXACT = ModelError(relative=0.003, grain=1e-4, edge=0.01, surface=1e-3, deep=1e-6, lean=1e-6, narrow=1e-3)
"""For data of the model itself."""


@functools.cache
def crystal() -> Library:
    return library(
        srtio3((1, 1, 1)), 2, (32, 32), ENERGY, ALPHA, 33e-3, 3e-3, 260.0, step=0.6e-3, configurations=2, workers=1
    )


@functools.cache
def other() -> Library:
    """A made-up crystal: gold in a simple lattice."""
    cell = Specimen(np.array([[0.0, 0.0, 1.0]]), np.array([0.008]), ("Au",), (3.3, 3.3, 2.0))
    return library(cell, 1, (28, 28), ENERGY, ALPHA, 33e-3, 3e-3, 260.0, step=0.6e-3, configurations=1, workers=1)


def parameters(thickness: float, tilt: tuple[float, float], **others: float) -> np.ndarray:
    at = dict(
        zip(NAMES, (thickness, *tilt, ALPHA, 0.4, -0.7, 1.004, 0.002, -0.003, 0.1, 0.0, 0.0, np.log(1e6), 0.02, 1.0, 0.02, 1.0, 0.0), strict=True)
    )  # fmt: skip
    return np.array(list((at | others).values()))


def mean_image(
    thickness: float, tilt: tuple[float, float], crystal_library: Library | None = None, **others: float
) -> np.ndarray:
    frame = Frame(crystal_library or crystal(), GEOMETRY, CAMERA, SHAPE)
    return np.maximum(frame.linearised(parameters(thickness, tilt, **others))[0], 0.0)


@pytest.mark.slow
def test_slopes_of_the_image():
    frame, at = (
        Frame(crystal(), GEOMETRY, CAMERA, SHAPE),
        parameters(133.0, (0.7e-3, -1.1e-3), amorphous=0.03, vacuum=0.05),
    )
    _, _, slopes = frame.linearised(at)
    steps = dict.fromkeys(NAMES, 1e-4) | {"thickness": 0.02, "tilt.x": 1e-7, "tilt.y": 1e-7, "semiangle": 1e-7}
    for index, name in enumerate(NAMES):
        ends = []
        for sign in (1.0, -1.0):
            moved = at.copy()
            moved[index] += sign * steps[name]
            ends.append(frame.linearised(moved)[0])
        numeric = (ends[0] - ends[1]) / (2.0 * steps[name])
        # patterns are linear between directions, with kinks, and what is amorphous is not followed in the other slopes
        assert np.linalg.norm(slopes[index] - numeric) < (0.25 if name == "rotation" else 0.15) * np.linalg.norm(
            numeric
        ), name


@pytest.mark.slow
def test_thickness_and_tilt_come_back_within_their_errors():
    generator, away = np.random.default_rng(5), []
    for _ in range(5):
        tilt = tuple(generator.uniform(-1.8e-3, 1.8e-3, 2))
        thickness = generator.uniform(60.0, 240.0)
        image = generator.poisson(mean_image(thickness, tilt)).astype(float)
        result = measure_pacbed(image, crystal(), GEOMETRY, CAMERA, error=EXACT)
        assert not result.undetermined
        for name, value in (("thickness", thickness), ("tilt.x", tilt[0]), ("tilt.y", tilt[1])):
            mean, sd = result.value(name)
            away.append((mean - value) / sd)
        assert result.misfit == pytest.approx(1.0, abs=0.12)
        assert abs(result.value("thickness")[0] / thickness - 1.0) < 0.02
    square = float(np.mean(np.square(away)))
    # of 15 numbers: chi-squared between its 0.1 % quantiles
    assert 0.23 < square < 2.5


@pytest.mark.slow
def test_the_error_of_the_model_widens():
    image = mean_image(150.0, (1e-3, 0.5e-3))
    x = np.linspace(-1.0, 1.0, SHAPE[1])[None, :]
    wrong = image * (1.0 + 0.05 * np.sin(9.0 * x) * np.cos(7.0 * np.linspace(-1.0, 1.0, SHAPE[0])[:, None]))
    error = dataclasses.replace(EXACT, relative=0.01)
    exact, bent = (measure_pacbed(np.round(data), crystal(), GEOMETRY, CAMERA, error=error) for data in (image, wrong))
    assert bent.value("tilt.x")[1] > 1.2 * exact.value("tilt.x")[1]


@pytest.mark.slow
def test_a_thin_crystal_is_undetermined_and_a_thick_one_is_not():
    generator = np.random.default_rng(1)
    thin, thick = (
        measure_pacbed(generator.poisson(mean_image(thickness, (1e-3, 0.0))).astype(float), crystal(), GEOMETRY, CAMERA)
        for thickness in (45.0, 160.0)
    )
    assert "thickness" in thin.undetermined
    assert "nm" in thin.undetermined["thickness"]
    assert thin.value("thickness")[1] > 50.0  # as wide as before
    assert not thick.undetermined
    assert thick.plots[0].residual.shape == SHAPE


@pytest.mark.slow
def test_another_structure_does_not_fit():
    image = np.random.default_rng(2).poisson(mean_image(150.0, (0.5e-3, 0.0), other())).astype(float)
    result = measure_pacbed(image, crystal(), GEOMETRY, CAMERA)
    assert result.outcome == NO_FIT
    assert result.failed_checks[0].name == "unexplained share of the pattern"
    assert set(result.names) == set(result.undetermined)
    assert "structure" in result.undetermined["thickness"]
    assert result.value("thickness")[1] > 50.0


@pytest.mark.slow
def test_a_pattern_of_the_right_crystal_passes_all_checks():
    result = measured(counted(150.0, (0.5e-3, -1e-3)))
    assert result.outcome == DETERMINED
    assert [check.name for check in result.checks] == [
        "unexplained share of the pattern", "misfit of single pixels", "misfit of the worst block",
    ]  # fmt: skip
    assert not result.contradictions
    assert not result.defects


def counted(thickness: float, tilt: tuple[float, float], seed: int = 3, **others: Any) -> np.ndarray:
    return np.random.default_rng(seed).poisson(mean_image(thickness, tilt, **others)).astype(float)


def measured(image: np.ndarray, geometry: Geometry = GEOMETRY, **options: Any) -> Measurement:
    return measure_pacbed(image, crystal(), geometry, CAMERA, **options)


def assert_right(result: Measurement, thickness: float = 150.0, tilt: tuple[float, float] = (0.5e-3, -1e-3)) -> None:
    """Determined, and within 4 standard errors."""
    assert result.outcome == DETERMINED
    for name, value in (("thickness", thickness), ("tilt.x", tilt[0]), ("tilt.y", tilt[1])):
        mean, std = result.value(name)
        assert abs(mean - value) < 4.0 * std, name
    assert result.value("thickness")[1] < 6.0


STATEMENTS = {
    "a pixel that is 10 % too large": (dataclasses.replace(GEOMETRY, pixel=1.21e-3), {}, {}, "pixel", "scale", 1.1 * 1.004, 0.012),
    "a rotation that is 20 degrees off": (
        dataclasses.replace(GEOMETRY, rotation=0.1 + np.deg2rad(20.0)), {}, {}, "rotation", "rotation", 0.1, 0.01,
    ),
    "a semi-angle that is 12 % too large": (GEOMETRY, {"semiangle": 8.9e-3}, {}, "semiangle", "semiangle", 8.9e-3, 1.5e-4),
    "a thickness of 22 nm": (GEOMETRY, {}, {"thickness": (220.0, 8.0)}, "thickness", "thickness", 150.0, 8.0),
}  # fmt: skip


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.slow
def test_what_is_stated_wrongly_is_contradicted(statement):
    geometry, truth, options, word, name, value, error = STATEMENTS[statement]
    result = measured(counted(150.0, (0.5e-3, -1e-3), **truth), geometry, **options)
    assert_right(result)
    assert any(sentence.startswith((word, f"the {word}")) for sentence in result.contradictions)
    assert result.value(name)[0] == pytest.approx(value, abs=error)


@pytest.mark.slow
def test_a_dead_quadrant_that_is_masked_is_left_out():
    image = counted(150.0, (0.5e-3, -1e-3))
    image[:28, :30] = np.nan
    assert_right(measured(image))


def test_pixels_that_the_others_contradict_are_left_out():
    image = counted(150.0, (0.5e-3, -1e-3))
    rows, columns = [20, 25, 31, 36], [24, 33, 27, 40]
    image[rows, columns] *= 1.8
    result = measured(image)
    assert_right(result)
    assert [(defect.kind, defect.treatment) for defect in result.defects] == [("outlying pixels", "masked")]
    assert result.defects[0].count in (3, 4, 5)


SPOILT: dict[str, tuple[dict[str, Any], str, str]] = {
    "vacuum": ({"vacuum": 0.2}, "vacuum", "20%"),
    "descan": ({"spread.x": 3.0}, "descan", "pixels"),
    "blur": ({"spread.x": 2.5, "spread.y": 2.5}, "blur", "1.6 x 1.6"),
    "ellipse": ({"ellipticity.x": 0.03}, "ellipse", "ellipse of"),
    "contamination": ({"amorphous": 0.3}, "contamination", "amorphous"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_what_the_beam_meets_besides_is_fitted_and_told(name):
    change, kind, words = SPOILT[name]
    result = measured(counted(150.0, (0.5e-3, -1e-3), **change))
    assert_right(result)
    fitted = [defect for defect in result.defects if defect.kind == kind]
    assert fitted
    assert fitted[0].treatment == "fitted"
    assert words in fitted[0].description


def test_the_end_of_the_thicknesses_that_were_searched_is_told():
    whole = crystal()
    rows = int(np.searchsorted(whole.rocking.depths, 140.0))
    curves = whole.rocking._replace(depths=whole.rocking.depths[:rows], table=whole.rocking.table[:rows])
    shallow = whole._replace(rocking=curves, warmer=whole.warmer[:rows])
    result = measure_pacbed(counted(shallow.thickest + 3.0, (0.5e-3, -1e-3)), shallow, GEOMETRY, CAMERA)
    assert result.outcome == UNDETERMINED
    assert "{thickest}" in result.undetermined["thickness"]


@pytest.mark.slow
def test_two_crystals_at_once_do_not_fit():
    first, second = mean_image(150.0, (0.5e-3, 0.0)), mean_image(150.0, (0.5e-3, 0.0), rotation=0.1 + np.pi / 6.0)
    image = np.random.default_rng(4).poisson(0.6 * first + 0.4 * second).astype(float)
    assert measured(image).outcome == NO_FIT


def test_a_shadow_fails_the_check_of_blocks():
    image = counted(150.0, (0.5e-3, -1e-3))
    image[30:39, 20:29] = np.round(0.7 * image[30:39, 20:29])
    result = measured(image, error=ModelError(relative=0.05))
    assert "misfit of the worst block" in [check.name for check in result.failed_checks]


def test_pixels_that_are_not_numbers_are_left_out():
    image = np.random.default_rng(3).poisson(mean_image(150.0, (0.5e-3, -1e-3))).astype(float)
    image[20:24, 30:33], image[40, 10] = np.nan, np.inf
    result = measure_pacbed(image, crystal(), GEOMETRY, CAMERA, error=EXACT)
    assert abs(result.value("thickness")[0] - 150.0) < 5.0 * result.value("thickness")[1]


@pytest.mark.parametrize(
    "image, word",
    [
        (np.zeros(SHAPE), "electrons"),
        (np.full(SHAPE, -3.0), "electrons"),
        (np.full(SHAPE, np.nan), "not numbers"),
        (np.full(SHAPE, 900.0), "saturated"),
    ],
)
def test_an_uninformative_image_leaves_the_prior(image, word):
    camera = Camera(saturation=800.0)
    result = measure_pacbed(image, crystal(), GEOMETRY, camera, thickness=(120.0, 15.0))
    assert result.value("thickness") == pytest.approx((120.0, 15.0))
    assert word in result.undetermined["thickness"]


def test_a_saturated_disk():
    image = np.minimum(mean_image(150.0, (0.0, 0.0)), 1200.0)
    result = measure_pacbed(image, crystal(), GEOMETRY, Camera(saturation=1200.0))
    assert "saturated" in result.undetermined["tilt.x"]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"image": np.ones((3, 56, 60))}, "shape"),
        ({"image": np.ones((8, 8))}, "24"),
        ({"tilt": (9e-3, 0.0)}, "tilt"),
        ({"tilt_error": 0.0}, "tilt_error"),
        ({"thickness": (100.0, -1.0)}, "thickness"),
        ({"geometry": Geometry(0.2e-3)}, "pixel"),
    ],
)
def test_bad_input(change, message):
    arguments = {"image": np.ones(SHAPE), "library": crystal(), "geometry": GEOMETRY} | change
    with pytest.raises(ValueError, match=message):
        measure_pacbed(arguments.pop("image"), arguments.pop("library"), arguments.pop("geometry"), **arguments)


def test_the_field_of_the_model_s_error():
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(-20e-3, 20e-3, 15), np.linspace(-20e-3, 20e-3, 15)))
    field = cosines(x, y, 5e-3, least=1e-3)
    expected = np.exp(-((x[:, None] - x) ** 2 + (y[:, None] - y) ** 2) / (2.0 * 5e-3**2))
    assert np.abs(field @ field.T - expected).max() < 0.02
    signal, variance = 100.0 + 30.0 * np.cos(300.0 * x), np.linspace(50.0, 150.0, x.size)
    white = Whitened(field, signal, variance)
    projected = white.project(np.random.default_rng(0).standard_normal((x.size, 3)) * 10.0)
    whole = np.diag(variance) + 0.04**2 * signal[:, None] * (field @ field.T) * signal
    columns = projected[0] * np.sqrt(variance)[:, None]
    assert white.quadratic(projected, projected, 0.04) == pytest.approx(columns.T @ np.linalg.solve(whole, columns))
    assert white.volume(0.04) == pytest.approx(np.linalg.slogdet(whole)[1] - np.log(variance).sum())


def test_the_centre_among_overlapping_disks():
    image = mean_image(60.0, (0.5e-3, -0.5e-3), None, **{"centre.x": 2.3, "centre.y": -1.6})
    positions = centres(image, np.isfinite(image), ALPHA / GEOMETRY.pixel)
    assert min(np.hypot(x - 2.3, y + 1.6) for x, y in positions) < 1.0


def test_a_thicker_crystal_that_fits_is_told_as_that():
    fits = measured(counted(150.0, (0.5e-3, -1e-3)))
    poor = dataclasses.replace(
        fits, checks=(FitCheck("unexplained share of the pattern", 0.6, 0.065, "another structure"),)
    )
    told = if_thicker(poor, fits, searched=120.0)
    assert told.outcome == UNDETERMINED
    assert "15 nm" in told.undetermined["thickness"]
    assert "{thickest}" in told.undetermined["thickness"]
    # a thickness that was searched, or a fit that is hardly better, is no reason
    assert if_thicker(poor, fits, searched=160.0) is poor
    assert if_thicker(poor, poor, searched=120.0) is poor


def test_errors_of_a_simulation_with_few_frozen_configurations():
    cell, error = srtio3((1, 1, 1)), ModelError()
    known = {
        "scenario.specimen.phonons.configurations": 4.0,
        "cell.repeats.0": 4.0,
        "cell.repeats.1": 4.0,
        "cell.repeats.2": 20.0,
    }
    few = with_frozen_phonons(error, known.get, cell)
    # the lean of 64 columns of 20 atoms: the slope of a line through their displacements
    displacements = np.random.default_rng(0).standard_normal((400, 64, 20)) * np.sqrt(np.mean(cell.u2))
    height = np.arange(20) / 20.0
    slopes = np.array([np.polyfit(height, columns.mean(axis=0), 1)[0] for columns in displacements])
    assert np.hypot(error.lean, slopes.std()) == pytest.approx(few.lean, rel=0.1)
    assert few.relative > 1.5 * error.relative
    assert with_frozen_phonons(error, lambda key: None, cell) == error


def test_slow_electrons_are_refused():
    known = {"structure": "SrTiO3", "energy": 5e3, "semiangle": 10e-3, "pixel": 1e-3, "gain": 1.0}
    with pytest.raises(BadInput, match="at least 20 keV"):
        measure("pacbed", np.random.default_rng(0).poisson(100.0, (64, 64)), **known)


def test_a_disk_that_is_not_on_the_camera_is_refused():
    known = {"structure": "SrTiO3", "energy": 200e3, "semiangle": 10e-3, "pixel": 1e-6, "gain": 1.0}
    with pytest.raises(BadInput, match="disk's radius is 10"):
        measure("pacbed", np.random.default_rng(0).poisson(100.0, (64, 64)), **known)
