"""Starting points of a fit, derivatives of the evaluation, and the hyperparameters of lens errors."""

import itertools
import math

import jax.numpy as jnp
import numpy as np
import pytest

from reconstruct.calibration.climb import DampedGaussNewton
from reconstruct.calibration.discrepancy import Hyper, HyperparameterPosterior, RowInputs, kernel, prior_median
from reconstruct.calibration.evaluation import Evaluation, driven_lenses, with_lens_errors
from reconstruct.calibration.rows import Row, prepared
from reconstruct.calibration.search import starting_point
from tests.twin.column.columns import column, settings

COLUMN = column()
SIZE = sum(constant.std > 0 for constant in COLUMN.constants)


def rows_of(constants: np.ndarray, count: int = 6) -> list[Row]:
    """Camera lengths with rotations and magnifications, exact, at settings nobody focused."""
    generator = np.random.default_rng(2)
    result = []
    for number in range(count):
        row_settings = settings(
            diffraction=float(generator.uniform(0.28, 0.6)), intermediate=float(generator.uniform(0.35, 0.7))
        )
        optics = COLUMN.optics(row_settings, constants)
        for name in ("camera_length", "pattern_rotation", "magnification"):
            value = float(getattr(optics, name))
            result.append(
                Row(f"{number}: {name}", row_settings, name, value, 0.01 * value if "rotation" not in name else 0.01)
            )
    return result


@pytest.mark.slow
def test_the_search_finds_a_column_far_from_the_priors_mean():
    far = COLUMN.vector(
        {"diffraction.ampere_turns": 9800.0, "intermediate.ampere_turns": 7900.0, "projector1.ampere_turns": 11500.0}
    )
    table = prepared(COLUMN, rows_of(far))
    evaluation = Evaluation(COLUMN, table)
    before = np.abs(evaluation.residual(evaluation.values(np.zeros((1, SIZE)))[0]))
    result = starting_point(COLUMN, table, np.random.default_rng(0))
    after = np.abs(evaluation.residual(evaluation.values(result[None])[0]))
    assert before.max() > 0.5
    assert after.max() < 0.05
    assert result @ result < 60  # no further from the prior than such a column is


@pytest.mark.slow
def test_steps_lower_the_cost_and_an_outlier_has_little_influence():
    rows = rows_of(COLUMN.vector({"diffraction.ampere_turns": 8300.0}))
    lying = [Row(rows[0].label, rows[0].settings, rows[0].quantity, 20 * rows[0].value, rows[0].std), *rows[1:]]
    table = prepared(COLUMN, lying)
    climb = DampedGaussNewton(Evaluation(COLUMN, table), np.zeros((1, SIZE)), freedom=4.0)
    sigma = np.full(len(table), 0.05)
    costs = []
    for _ in range(6):
        climb.steps(sigma, 3)
        costs.append(climb.cost[0])
    assert all(b <= a for a, b in itertools.pairwise(costs))
    away = np.abs(climb.gap()[0])
    assert away[0] > 2.0
    assert np.median(away[1:]) < 0.05


def test_sets_and_settings_beyond_a_block_are_evaluated_as_alone():
    """Eleven sets of constants at ten settings, both more than a block and neither a whole number of them."""
    rows = rows_of(COLUMN.nominal(), 10)
    chosen = np.arange(0, SIZE, 3)
    together = Evaluation(COLUMN, prepared(COLUMN, rows), chosen)
    u = 0.3 * np.random.default_rng(4).standard_normal((11, len(chosen)))
    values, slopes = together.values(u), together.slopes(u)
    assert values.shape == (11, 30)
    assert slopes.shape == (11, 30, len(chosen))
    for number, first in ((0, 0), (10, 27), (8, 12)):  # of the first, the last and a middle block
        alone = Evaluation(COLUMN, prepared(COLUMN, rows[first : first + 3]), chosen)
        np.testing.assert_allclose(
            values[number, first : first + 3], alone.values(u[number : number + 1])[0], rtol=1e-9
        )
        expected = alone.slopes(u[number : number + 1])[0]
        np.testing.assert_allclose(slopes[number, first : first + 3], expected, rtol=1e-7, atol=1e-9)
    step = 1e-6 * np.eye(len(chosen))[2]
    difference = (together.values(u[9:10] + step) - together.values(u[9:10] - step))[0] / 2e-6
    np.testing.assert_allclose(slopes[9, :, 2], difference, rtol=1e-5, atol=1e-6)


def test_slopes_are_those_of_finite_differences():
    table = prepared(COLUMN, rows_of(COLUMN.nominal(), 2))
    evaluation = Evaluation(COLUMN, table)
    u = 0.3 * np.random.default_rng(1).standard_normal(SIZE)
    lens_errors = 0.01 * np.random.default_rng(2).standard_normal((evaluation.settings, len(driven_lenses(COLUMN)), 3))
    linear = evaluation.linearise(u, lens_errors)
    step, way = 1e-6, np.random.default_rng(3).standard_normal(SIZE)
    difference = (
        evaluation.linearise(u + step * way, lens_errors).values
        - evaluation.linearise(u - step * way, lens_errors).values
    ) / (2 * step)
    np.testing.assert_allclose(linear.by_constants @ way, difference, rtol=1e-4, atol=1e-6)
    err = np.random.default_rng(4).standard_normal(lens_errors.shape)
    difference = (
        evaluation.linearise(u, lens_errors + step * err).values
        - evaluation.linearise(u, lens_errors - step * err).values
    ) / (2 * step)
    along = np.einsum("nmc,nmc->n", linear.by_lenses, err[evaluation.which])
    np.testing.assert_allclose(along, difference, rtol=1e-4, atol=1e-5)


def test_lens_errors_change_the_constants():
    errors = np.zeros((len(driven_lenses(COLUMN)), 3))
    names = [lens.name for lens in driven_lenses(COLUMN)]
    errors[names.index("diffraction")] = 0.01, 0.02, 0.5
    nominal = COLUMN.nominal()
    result = np.asarray(with_lens_errors(COLUMN, jnp.asarray(nominal), jnp.asarray(errors)))
    by_name = {constant.name: (a, b) for constant, a, b in zip(COLUMN.constants, nominal, result, strict=True)}
    before, after = by_name["diffraction.ampere_turns"]
    assert after == pytest.approx(before * math.exp(0.01), rel=1e-12)
    width, wider = by_name["diffraction.half_width"]
    assert wider == pytest.approx(width * math.exp(0.02), rel=1e-12)
    before, after = by_name["diffraction.place"]
    assert after == pytest.approx(before + 0.5 * width, rel=1e-12)
    others = [a == b for name, (a, b) in by_name.items() if not name.startswith("diffraction.")]
    assert all(others)


def row_inputs(count: int, generator: np.random.Generator) -> RowInputs:
    excitations = generator.uniform(0.2, 0.9, (count, 2))
    levers = generator.standard_normal((count, 2, 3))
    none = np.full(count, -1)
    return RowInputs(np.zeros(count, int), excitations, np.full(count, 12.6), levers, none, np.zeros(count))


def learned(own_excitation: float, seed: int) -> HyperparameterPosterior:
    """The posterior of the hyperparameters given 60 rows drawn from the process, with stated noise."""
    generator = np.random.default_rng(seed)
    at = row_inputs(60, generator)
    covariance = kernel(Hyper(own_excitation * np.array([0.25, 1.0, 0.25]), 0.004, 0.35, np.array([0.01])), at, at)
    away = np.linalg.cholesky(covariance + 1e-4 * np.eye(60)) @ generator.standard_normal(60)
    return HyperparameterPosterior(away, np.zeros((60, 1)), np.full(60, 1e-4), at, prior_median(1))


def test_the_size_of_lens_errors_is_estimated_from_rows():
    # the priors' medians are 0.01, 0.04, 0.01: rows move all three both ways, not all the way, as 60 rows are few against priors
    large, small = (
        np.exp(np.mean([np.log(learned(own_excitation, seed).best().own_excitation) for seed in range(5, 13)], axis=0))
        for own_excitation in (0.1, 0.012)
    )
    assert 0.05 < large[1] < 0.1
    assert 0.012 < small[1] < 0.028
    assert (large > 1.2 * np.array([0.01, 0.04, 0.01])).all()
    assert (small < 0.7 * np.array([0.01, 0.04, 0.01])).all()


def test_draws_of_the_sizes_scatter_about_the_truth():
    draws, weights = learned(0.06, 7).draws(64, np.random.default_rng(0))
    assert weights.sum() == pytest.approx(1.0)
    logs = np.log([hyper.own_excitation[1] for hyper in draws])
    middle = weights @ logs
    spread = math.sqrt(weights @ (logs - middle) ** 2)
    assert 0.02 < spread < 0.4
    assert abs(middle - math.log(0.06)) < 3 * spread
