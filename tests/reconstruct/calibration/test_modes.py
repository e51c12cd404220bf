"""Modes of a column from lens settings alone, and draws of constants that agree with few rows."""

import dataclasses
import math

import msgspec
import numpy as np
import pytest

from reconstruct.calibration.constants import prior_draws
from reconstruct.calibration.ensemble import agreeing_draws
from reconstruct.calibration.modes.classify import modes, session_modes, spread_weights
from reconstruct.calibration.rows import Row
from tests.twin.column.columns import generic, settings
from twin.column.column import Column
from twin.column.settings import Settings


def narrow(share: float) -> Column:
    """The generic column, with errors ``share`` times those of its table."""
    elements = []
    for element in generic().element:
        changes = {
            field: [value[0], value[1] * share]
            for field in element.__struct_fields__
            if isinstance(value := getattr(element, field), list)
        }
        elements.append(msgspec.structs.replace(element, **changes))
    return Column(msgspec.structs.replace(generic(), element=elements))


COLUMN = narrow(0.03)
DRAWS = prior_draws(COLUMN, 24, np.random.default_rng(0))


def focused(control: str, quantity: str, low: float, high: float) -> float:
    """The excitation at which a quantity crosses zero, by bisection on the nominal column."""
    sign = math.copysign(1.0, float(getattr(COLUMN.optics(settings(**{control: low})), quantity)))
    for _ in range(50):
        middle = 0.5 * (low + high)
        value = float(getattr(COLUMN.optics(settings(**{control: middle})), quantity))
        low, high = (middle, high) if value * sign > 0 else (low, middle)
    return 0.5 * (low + high)


PATTERN = focused("diffraction", "pattern_focus", 0.40, 0.45)
PROBE = focused("condenser2", "crossover", 0.38, 0.42)


@pytest.mark.parametrize(
    ("diffraction", "condenser2", "name"),
    [
        (PATTERN, PROBE, "STEM"),
        (PATTERN, 0.8 * PROBE, "TEM diffraction"),
        (0.6, 0.8 * PROBE, "TEM imaging"),
    ],
)
def test_modes_from_lens_settings(diffraction: float, condenser2: float, name: str):
    result = modes(COLUMN, settings(diffraction=diffraction, condenser2=condenser2), DRAWS)
    assert result.name == name
    assert sum(result.projection.values()) == pytest.approx(1.0)
    assert max(result.projection.values()) > 0.9
    assert max(result.illumination.values()) > 0.75


def test_the_distance_of_a_lens_from_focus():
    result = modes(COLUMN, settings(diffraction=1.05 * PATTERN, condenser2=PROBE), DRAWS)
    (condition,) = [condition for condition in result.conditions if condition.mode == "diffraction"]
    assert condition.lens == "lens.diffraction"
    assert condition.off == pytest.approx(-math.log(1.05), abs=3 * condition.spread + 0.002)


def test_a_lens_that_was_not_reported_leaves_its_half_open():
    controls = {
        name: value for name, value in settings(diffraction=PATTERN).controls.items() if "projector" not in name
    }
    result = modes(COLUMN, Settings(300e3, controls), DRAWS)
    assert result.projection == {}
    assert set(result.missing) == {"lens.projector1", "lens.projector2"}
    assert result.illumination
    assert result.name == "unknown"


def test_an_image_decides_the_illumination_of_its_neighbours():
    # between a probe and a spread beam: the condenser is some per cent off the focus
    between = 1.045 * PROBE
    pattern, image = (
        settings(diffraction=PATTERN, condenser2=between),
        settings(diffraction=0.75 * PATTERN, condenser2=between),
    )
    elsewhere = settings(diffraction=PATTERN, condenser2=PROBE)
    alone = modes(COLUMN, pattern, DRAWS)
    assert 0.3 < alone.illumination["probe"] < 0.97
    result = session_modes(COLUMN, [image, pattern, elsewhere], DRAWS)
    assert result[0].name == "TEM imaging"
    assert result[1].illumination["spread"] > 0.9
    assert result[1].projection["diffraction"] > 0.9
    # another condenser, another beam
    assert result[2].name == "STEM"
    assert result[2].illumination["probe"] > 0.75
    # two patterns do not depend on it
    two = session_modes(COLUMN, [pattern, pattern], DRAWS)
    assert two[0].illumination["probe"] == pytest.approx(alone.illumination["probe"], abs=0.05)


def test_a_known_broad_beam_rejects_columns_that_focus_it():
    focuses = spread_weights(COLUMN, [settings(condenser2=PROBE)], DRAWS)
    spreads = spread_weights(COLUMN, [settings(condenser2=0.8 * PROBE)], DRAWS)
    assert focuses.max() < 0.3
    assert spreads.min() > 0.99


def rows_of(true: np.ndarray, column: Column) -> list[Row]:
    result = []
    for number, (d, i) in enumerate(((0.35, 0.5), (0.52, 0.45), (0.47, 0.6))):
        row_settings = settings(diffraction=d, intermediate=i)
        value = float(column.optics(row_settings, true).camera_length)
        result.append(Row(f"row {number}", row_settings, "camera_length", value, 0.01 * value))
    return result


@pytest.mark.slow
def test_draws_agree_with_the_data_and_differ_from_each_other():
    column = narrow(0.5)
    rows = rows_of(column.vector({"diffraction.ampere_turns": 8300.0}), column)
    draws = agreeing_draws(column, rows, 12, np.random.default_rng(1))
    assert len(draws) >= 6
    for row in rows:
        result = np.log(
            [float(column.optics(row.settings, constants).camera_length) / row.value for constants in draws]
        )
        assert np.abs(result).max() < 4 * math.hypot(0.03, 0.01)
    index = [constant.name for constant in column.constants].index("projector1.ampere_turns")
    assert draws[:, index].std() > 0.3 * column.constants[index].std


@pytest.mark.slow
def test_rows_that_no_column_of_the_kind_agrees_with_are_refused():
    column = narrow(0.05)
    row = rows_of(column.nominal(), column)[0]
    wrong = dataclasses.replace(row, value=30 * row.value)
    with pytest.raises(ValueError, match="agrees with these rows"):
        agreeing_draws(column, [wrong], 4, np.random.default_rng(1))
