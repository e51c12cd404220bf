"""Calibration of a column: constants within their errors, outliers, undetermined constants, refused input."""

import dataclasses
import math

import numpy as np
import pytest

from reconstruct.calibration.fit import calibrate
from reconstruct.calibration.quantities import NAMES, all_quantities, difference, off_scale, on_scale
from reconstruct.calibration.rows import Row, contradictions, needed, prepared
from tests.twin.column.columns import column, settings
from twin.column.settings import Settings

pytestmark = pytest.mark.slow

COLUMN = column()
TRUE = COLUMN.vector(
    {
        "diffraction.ampere_turns": 8700.0,
        "projector1.ampere_turns": 9500.0,
        "camera.place": 1.712e10,
        "C2 aperture.scale": 0.98,
    }
)
RELATIVE = 0.01


def table(count: int = 8) -> list[Row]:
    """Camera lengths, magnifications and semi-angles of a column with some other constants, read to a percent."""
    generator = np.random.default_rng(4)
    rows = []
    for number in range(count):
        row_settings = settings(
            diffraction=float(generator.uniform(0.28, 0.6)),
            intermediate=float(generator.uniform(0.35, 0.7)),
            projector1=float(generator.uniform(0.3, 0.6)),
            condenser2=float(generator.uniform(0.36, 0.44)),
        )
        optics = COLUMN.optics(row_settings, TRUE)
        for name in ("camera_length", "magnification", "semi_angle"):
            value = float(getattr(optics, name)) * math.exp(RELATIVE * generator.standard_normal())
            rows.append(Row(f"{number}: {name}", row_settings, name, value, RELATIVE * value))
    return rows


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return table()


@pytest.fixture(scope="module")
def fitted(rows):
    return calibrate(COLUMN, rows)


def test_what_the_table_predicts_is_what_the_column_does(fitted):
    asked = [
        Row("asked", settings(diffraction=d, intermediate=i), name, 1.0)
        for d, i in ((0.33, 0.5), (0.52, 0.42), (0.45, 0.62))
        for name in ("camera_length", "magnification", "semi_angle")
    ]
    for row, result in zip(asked, fitted.predict(asked), strict=True):
        truth = math.log(float(getattr(COLUMN.optics(row.settings, TRUE), row.quantity)))
        assert abs(result.mean - truth) < 4 * result.std, row
        assert abs(result.mean - truth) < 0.25
        assert result.low < result.value < result.high


def test_constants_come_back_within_their_errors(fitted):
    index = fitted.names.index("diffraction.ampere_turns")
    assert abs(fitted.constants[index] - 8700.0) < 3 * fitted.std[index]
    assert fitted.std[index] < 0.8 * 900.0
    assert "diffraction.ampere_turns" not in fitted.undetermined


def test_an_undetermined_constant_keeps_its_prior_and_is_named(fitted):
    assert {"gun.brightness", "gun.energy_spread", "gun.source", "scan.deflection"} <= set(fitted.undetermined)
    index = fitted.names.index("gun.energy_spread")
    assert fitted.std[index] == pytest.approx(COLUMN.constants[index].std, rel=0.05)
    assert not fitted.outliers


def test_an_outlier_is_named_and_left_out(rows, fitted):
    wrong = [dataclasses.replace(rows[0], value=1.6 * rows[0].value), *rows[1:]]
    result = calibrate(COLUMN, wrong)
    assert list(result.outliers) == [rows[0].label]
    assert "standard deviations off" in result.outliers[rows[0].label]
    at = fitted.names.index("diffraction.ampere_turns")
    assert abs(result.constants[at] - fitted.constants[at]) < 2 * fitted.std[at]


def test_rows_that_contradict_each_other_are_both_left_out(rows):
    copy = dataclasses.replace(rows[3], label="again", value=1.3 * rows[3].value)
    assert contradictions(prepared(COLUMN, [*rows, copy]), 0.05) == [(3, len(rows))]
    result = calibrate(COLUMN, [*rows, copy])
    assert set(result.outliers) == {rows[3].label, "again"}
    assert "contradicts" in result.outliers["again"]


def test_a_table_of_nothing_but_contradictions_is_refused(rows):
    copy = dataclasses.replace(rows[0], label="again", value=2 * rows[0].value)
    with pytest.raises(ValueError, match="contradicts another"):
        calibrate(COLUMN, [rows[0], copy])


def test_a_row_without_a_lens_that_it_depends_on_is_refused(rows):
    controls = {name: value for name, value in rows[0].settings.controls.items() if name != "lens.projector1"}
    poor = dataclasses.replace(rows[0], settings=Settings(300e3, controls))
    with pytest.raises(ValueError, match=r"0: camera_length: camera_length depends on lens\.projector1"):
        calibrate(COLUMN, [poor])
    # the beam does not care what the projector does
    assert "lens.projector1" not in needed(COLUMN, "semi_angle")
    assert "lens.condenser1" not in needed(COLUMN, "camera_length")


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("change", "message"),
    [({"value": math.nan}, "finite"), ({"value": -1.0}, "above 0"), ({"quantity": "colour"}, "is no quantity")],
)
def test_invalid_values_are_refused(rows, change, message):
    with pytest.raises(ValueError, match=message):
        prepared(COLUMN, [dataclasses.replace(rows[0], **change)])


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="no rows"):
        calibrate(COLUMN, [])


def test_scales_are_those_of_the_optics():
    optics = COLUMN.optics(settings(diffraction=0.47))
    expected = np.asarray(all_quantities(optics))
    plain = {
        "camera_length": optics.camera_length,
        "image_rotation": optics.image_rotation,
        "defocus": -optics.focus,
        "pattern_defocus": -optics.pattern_focus,
        "probe_defocus": -optics.crossover,
    }
    for name, value in plain.items():
        scaled, error = on_scale(name, float(value), 1e-3 * abs(float(value)))
        assert scaled == pytest.approx(expected[NAMES.index(name)], rel=1e-9)
        assert float(off_scale(name, np.array([scaled]))[0]) == pytest.approx(float(value), rel=1e-6)
        higher, _ = on_scale(name, float(value) * 1.001, 0.0)
        assert error == pytest.approx(abs(higher - scaled), rel=5e-3)


def test_angles_are_compared_on_the_circle():
    kind = np.array([NAMES.index("image_rotation"), NAMES.index("camera_length")])
    difference_ = difference(kind, np.array([3.1, 3.1]), np.array([-3.1, -3.1]))
    np.testing.assert_allclose(difference_, [6.2 - 2 * math.pi, 6.2])
