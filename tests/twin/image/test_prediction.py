"""Predictions: intervals from order statistics, circular phases, named statistics, ensembles."""

import numpy as np
import pytest

from tests.small import CELL, small_microscope
from twin.image.microscope import PARAMETERS
from twin.image.prediction import (
    ENSEMBLE_SIZE,
    SAMPLE_BATCH,
    STATISTICS,
    _interval,
    drift_of,
    evaluate,
    image_statistics,
    predict,
    statistic_difference,
    view,
)
from twin.records import Scan

SCAN = Scan(shape=(16, 16), pixel=CELL / 16)


@pytest.mark.parametrize("kind", ["normal", "cauchy"])
def test_the_interval_holds_the_next_draw_in_nine_of_ten(kind):
    """Whatever the distribution: 20,000 trials of one interval and one more draw, 0.2 % of sampling error."""
    generator = np.random.default_rng(4)
    held = 0
    for _ in range(20_000):
        draws = (
            generator.standard_normal(ENSEMBLE_SIZE + 1)
            if kind == "normal"
            else generator.standard_cauchy(ENSEMBLE_SIZE + 1)
        )
        held += _interval("total", draws[:-1]).covers("total", draws[-1])
    assert held / 20_000 == pytest.approx(0.9, abs=0.008)


def test_a_phase_at_the_seam_of_its_circle():
    generator = np.random.default_rng(0)
    wrapped = np.angle(np.exp(1j * (np.pi + 0.2 * generator.standard_normal(ENSEMBLE_SIZE))))
    assert wrapped.std() > 2.0
    interval = _interval("phase.plus", wrapped)
    assert abs(statistic_difference("phase.plus", interval.centre, np.pi)) < 0.05
    assert interval.std == pytest.approx(0.2, rel=0.15)
    assert 0.25 < interval.high < 0.42
    assert -0.42 < interval.low < -0.25
    assert interval.covers("phase.plus", -np.pi + 0.1)
    assert interval.covers("phase.plus", np.pi - 0.1)
    assert not interval.covers("phase.plus", 0.0)
    assert statistic_difference("phase.minus", 3.0, -3.0) == pytest.approx(6.0 - 2 * np.pi)
    assert statistic_difference("total", 3.0, -3.0) == 6.0


def test_an_interval_scaled():
    interval = _interval("total", np.random.default_rng(1).standard_normal(ENSEMBLE_SIZE))
    wider = interval.scaled(4.0)
    assert wider.centre == interval.centre
    assert (wider.low, wider.high, wider.std) == (2 * interval.low, 2 * interval.high, 2 * interval.std)
    assert wider.covers("total", interval.centre + 1.5 * interval.high)
    assert not interval.covers("total", interval.centre + 1.5 * interval.high)


def lattice(dx: float, dy: float) -> np.ndarray:
    """16 x 16 pixels of one cell: mean 2, 30 % along x, 10 % along y, 20 % and 15 % along the diagonals, centred at (dx, dy) of the cell."""
    y, x = np.meshgrid(np.arange(16) / 16 - dy, np.arange(16) / 16 - dx, indexing="ij")
    w = 2 * np.pi
    waves = 0.3 * np.cos(w * x) + 0.1 * np.cos(w * y) + 0.2 * np.cos(w * (x + y)) + 0.15 * np.cos(w * (x - y))
    return 2.0 * (1 + waves)


def test_named_numbers_of_a_lattice():
    statistics = {name: value[0] for name, value in image_statistics(lattice(0.0, 0.0)[None]).items()}
    assert set(statistics) == set(STATISTICS)
    assert statistics["total"] == pytest.approx(2.0)
    assert statistics["contrast.x"] == pytest.approx(0.3)
    assert statistics["contrast.y"] == pytest.approx(0.1)
    assert statistics["contrast.columns"] == pytest.approx(np.hypot(0.2, 0.15))
    assert statistics["peak"] == pytest.approx(np.sort(lattice(0.0, 0.0).ravel())[-16:].mean())
    assert statistics["background"] == pytest.approx(np.sort(lattice(0.0, 0.0).ravel())[:64].mean())


def test_phases_give_the_position_of_columns():
    frames = np.stack([lattice(0.0, 0.0), lattice(0.1, 0.03)])
    statistics = image_statistics(frames)
    for name in ("total", "contrast.x", "contrast.columns"):
        np.testing.assert_allclose(statistics[name][1], statistics[name][0])
    np.testing.assert_allclose(np.diff(statistics["phase.plus"]), -2 * np.pi * 0.13, atol=1e-9)
    np.testing.assert_allclose(np.abs(np.diff(statistics["phase.minus"])), 2 * np.pi * 0.07, atol=1e-9)
    assert np.isfinite(list(image_statistics(np.zeros((1, 4, 4))).values())).all()


@pytest.mark.slow
def test_predictions_are_moments_of_the_images():
    microscope = small_microscope()
    layout = microscope.layout
    generator = np.random.default_rng(3)
    states = layout.prior_mean()[None] + 0.2 * layout.prior_std()[None] * generator.standard_normal(
        (ENSEMBLE_SIZE, len(layout))
    )
    request = view(microscope, {"C10": 40.0}, SCAN, (0.0, 0.0))
    fields = 0.05 * generator.standard_normal((ENSEMBLE_SIZE, 256))
    prediction = predict(microscope, states, request, lambda plain: fields * plain)
    points = states @ request.matrix.T + request.offset[None]
    points[:, [PARAMETERS.index("gain"), PARAMETERS.index("black")]] = (
        0.0  # fractions of the beam, not readings of a detector
    )
    expected = evaluate(microscope, points, request) * (1 + fields)
    np.testing.assert_allclose(prediction.image.reshape(-1), expected.mean(axis=0))
    np.testing.assert_allclose(prediction.covariance, np.cov(expected.T), atol=1e-12)
    np.testing.assert_allclose(prediction.std.reshape(-1), expected.std(axis=0, ddof=1))
    wider = predict(microscope, states, request, lambda plain: fields * plain, inflation=1.5)
    np.testing.assert_allclose(wider.std, 1.5 * prediction.std)
    np.testing.assert_array_equal(wider.mean, prediction.mean)
    assert wider.statistics["peak"].high == pytest.approx(1.5 * prediction.statistics["peak"].high)
    assert drift_of(layout, states[0]) == (states[0, layout.index("vx")], states[0, layout.index("vy")])


def test_batches_change_nothing():
    microscope = small_microscope()
    request = view(microscope, {}, Scan(shape=(4, 4), pixel=CELL / 4), (0.0, 0.0))
    layout = microscope.layout
    states = np.repeat(layout.prior_mean()[None], SAMPLE_BATCH + 3, axis=0)
    states[:, layout.index("C10")] = np.linspace(-50, 50, SAMPLE_BATCH + 3)
    points = states @ request.matrix.T + request.offset[None]
    batched = evaluate(microscope, points, request)
    assert batched.shape == (SAMPLE_BATCH + 3, 16)
    np.testing.assert_allclose(batched[-2:], evaluate(microscope, points[-2:], request), rtol=1e-5)
    np.testing.assert_allclose(batched[7], evaluate(microscope, points[7], request)[0], rtol=1e-5)
