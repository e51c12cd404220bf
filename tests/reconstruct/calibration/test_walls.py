"""A setting near a zero of the camera length: its side follows from the other settings, not from the setting itself."""

import math

import numpy as np
import pytest

from reconstruct.calibration import posterior
from reconstruct.calibration.discrepancy import OWN_EXCITATION_PRIOR
from reconstruct.calibration.fit import calibrate
from reconstruct.calibration.posterior import WALL_GAP, Posterior
from reconstruct.calibration.rows import Row, prepared
from tests.twin.column.columns import column, settings

COLUMN = column()
NAMES = [constant.name for constant in COLUMN.constants if constant.std > 0]
NEAR = 0.484
"""Excitation of the diffraction lens at which the nominal column's camera length is a little above zero: it passes it at 0.4866."""


def rows() -> list[Row]:
    """Camera lengths and rotations of the nominal column, measured as well as tables are; the last setting lies next to the zero."""
    generator = np.random.default_rng(5)
    result = []
    for number, excitation in enumerate((0.3, 0.33, 0.36, 0.4, 0.43, 0.53, 0.56, 0.59, NEAR)):
        row_settings = settings(diffraction=excitation, projector1=0.46 if excitation == NEAR else 0.42 + 0.01 * number)
        optics = COLUMN.optics(row_settings)
        length = float(optics.camera_length) * math.exp(0.005 * generator.standard_normal())
        turn = float(optics.pattern_rotation) + 0.01 * generator.standard_normal()
        result.append(Row(f"{number}: length", row_settings, "camera_length", length, 0.005 * length))
        result.append(Row(f"{number}: rotation", row_settings, "pattern_rotation", turn, 0.01))
    return result


@pytest.fixture
def beyond(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """A search that ends in a column whose camera length is negative at the last setting: its diffraction lens is 2 % stronger."""
    start = np.zeros(len(NAMES))
    start[NAMES.index("diffraction.ampere_turns")] = math.log(1.02) / (900.0 / 8000.0)
    monkeypatch.setattr(posterior, "starting_point", lambda *_: start.copy())
    return start


@pytest.mark.slow
def test_the_last_setting_comes_to_its_side_of_the_wall(beyond: np.ndarray):
    table = prepared(COLUMN, rows())
    fit = Posterior(COLUMN, table)
    begun = np.abs(fit.evaluation.residual(fit.linear.values))
    assert begun[-1] > 3.0  # half a turn off
    assert begun[:-2].max() < WALL_GAP
    near = fit.approach(np.ones(len(table), bool))
    assert near.all()
    assert np.abs(fit.evaluation.residual(fit.linear.values)).max() < 0.1
    # and no lens is thought to err by more than lenses do
    assert fit.hyper.own_excitation[1] < 1.5 * OWN_EXCITATION_PRIOR[1][0]


@pytest.mark.slow
def test_a_row_that_lies_beyond_the_wall_is_left_out_alone(beyond: np.ndarray):
    lying = rows()
    turned = lying[3]
    lying[3] = Row(turned.label, turned.settings, turned.quantity, turned.value + 2.0, turned.std)
    result = calibrate(COLUMN, lying)
    assert list(result.outliers) == [turned.label]
    assert np.abs(np.delete(result.residuals, 3)).max() < 0.1
