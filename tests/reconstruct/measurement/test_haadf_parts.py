"""The parts of reading HAADF images: model and slopes, mean unit cells, the model's error, the sampler, map and drift."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from reconstruct.measurement.haadf.cell import Cell, mean_cell
from reconstruct.measurement.haadf.fit import Problem
from reconstruct.measurement.haadf.model import (
    POSITION,
    SHARED,
    cell_derivatives,
    cell_harmonics,
    rotate_aberrations,
    waves,
)
from reconstruct.measurement.haadf.model_error import MarginalisedInformation, ModelError, error_columns
from reconstruct.measurement.haadf.prior import HaadfPrior
from reconstruct.measurement.haadf.sampling import importance_sample
from reconstruct.measurement.haadf.scan import geometry, locate_pixels
from reconstruct.measurement.lattice.estimator import NAMES, UNITS
from reconstruct.measurement.measurement import Component, Measurement
from tests.synthetic.haadf_images import DEPTH, A, crystal, gram, scan
from tests.synthetic.lattices import TITANATE, columns_at
from twin.detection.scan import line_time
from twin.optics.aberrations import coefficients, phase
from twin.optics.electrons import wavelength
from twin.sample.specimen import srtio3_unit
from twin.scattering.gram.crystal import build_gram
from twin.scattering.gram.model import harmonics, image

VALUES = {
    "C10": -40.0, "C12a": 12.0, "C12b": -7.0, "C21a": 150.0, "C21b": -80.0, "C23a": 60.0, "C23b": 90.0, "C30": 5e3, "thickness": 0.9 * DEPTH,
    "focal_spread": 20.0, "source": 0.3, "tail": 0.1, "tail_width": 2.5, "blur.x": 0.004, "blur.xy": -0.003, "scale": 0.05, "black": 2.0, "x": 0.7, "y": 1.9,
}  # fmt: skip
THETA = np.array([VALUES.get(name, 0.0) for name in (*SHARED, *POSITION)])
NOMINAL = jnp.asarray(3000.0)


def numbers(angle: float, inverted: float = 0.0) -> tuple:
    return jnp.asarray(angle), jnp.asarray(inverted), NOMINAL


@pytest.mark.slow
def test_the_unit_cell_is_the_grams_image():
    theta = THETA.copy()
    theta[[SHARED.index("blur.x"), SHARED.index("blur.xy")]] = 0.0
    model = gram()
    values = np.asarray(cell_harmonics(model, jnp.asarray(theta[None]), jnp.zeros((1, 25)), *numbers(0.0)))[0]
    vector = coefficients({name: VALUES[name] for name in SHARED[:8]})
    gram_harmonics = harmonics(model, vector, VALUES["thickness"], np.zeros(2), VALUES["focal_spread"])
    spots = np.random.default_rng(0).uniform(-9.0, 9.0, (40, 2))
    shifted = spots + np.array([VALUES["x"], VALUES["y"]])
    core, wide = (np.asarray(image(model, gram_harmonics, shifted, size * VALUES["source"])) for size in (1.0, 2.5))
    expected = 3000.0 * np.exp(0.05) * (0.9 * core + 0.1 * wide) + 2.0
    np.testing.assert_allclose(waves(model.g, spots, model.cell) @ values, expected, rtol=1e-4)


def test_a_crystal_turned_by_pi_is_the_inverted_one():
    model, spots = gram(), np.random.default_rng(1).uniform(-9.0, 9.0, (20, 2))
    theta = THETA.copy()
    theta[-2:] = 0.0
    upright, inverted = (
        np.asarray(cell_harmonics(model, jnp.asarray(theta[None]), jnp.zeros((1, 25)), *numbers(angle, orientation)))[0]
        for angle, orientation in ((np.pi, 0.0), (0.0, 1.0))
    )
    mirrored = waves(model.g, -spots, model.cell) @ upright
    np.testing.assert_allclose(waves(model.g, spots, model.cell) @ inverted, mirrored, rtol=1e-4)


@pytest.mark.slow
def test_slopes_are_differences():
    model, arguments = gram(), numbers(0.4)
    value, slope = (
        np.asarray(array)[0]
        for array in cell_derivatives(model, jnp.asarray(THETA[None]), jnp.zeros((1, 25)), *arguments)
    )
    steps = np.array(
        [
            {"C10": 2.0, "C30": 300.0, "thickness": 0.1, "semiangle": 1e-4}.get(name, 0.0)
            for name in (*SHARED, *POSITION)
        ]
    )
    small = {
        "C12": 1.0,
        "C21": 20.0,
        "C23": 20.0,
        "focal": 0.5,
        "blur": 1e-3,
        "tail": 1e-2,
        "tail_width": 1e-2,
        "source": 5e-3,
        "scale": 1e-2,
        "black": 1.0,
    }
    for index, name in enumerate((*SHARED, *POSITION)):
        steps[index] = steps[index] or next((step for start, step in small.items() if name.startswith(start)), 1e-2)
    both = np.concatenate([THETA + np.diag(steps), THETA - np.diag(steps)])
    moved = np.asarray(cell_harmonics(model, jnp.asarray(both), jnp.zeros((len(both), 25)), *arguments))
    for index, name in enumerate((*SHARED, *POSITION)):
        difference = (moved[index] - moved[index + len(steps)]) / (2.0 * steps[index])
        if name.startswith("tilt"):  # this model holds no tilt
            assert not slope[:, index].any()
            continue
        size = np.abs(difference).max()
        assert np.abs(slope[:, index] - difference).max() < 0.01 * size + 1e-6 * np.abs(value).max() / steps[index], (
            name
        )


@pytest.mark.slow
def test_slopes_by_tilt_are_differences():
    model = build_gram(
        srtio3_unit(), (2, 2), 3, (1, 2, 3), seeds=(0,), untilted_seeds=(), detector=(30e-3, 55e-3), gpts=64
    )
    theta, step = np.where(np.array([*SHARED, *POSITION]) == "thickness", 10.0, THETA), 1e-3
    indices = [SHARED.index("tilt.x"), SHARED.index("tilt.y")]
    theta[indices] = 1e-3, -2e-3
    fixed = jnp.zeros((1, 25))
    slope = np.asarray(cell_derivatives(model, jnp.asarray(theta[None]), fixed, *numbers(0.3))[1])[0]
    for index in indices:
        ends = []
        for sign in (1.0, -1.0):
            moved = theta.copy()
            moved[index] += sign * step
            ends.append(np.asarray(cell_harmonics(model, jnp.asarray(moved[None]), fixed, *numbers(0.3)))[0])
        difference = (ends[0] - ends[1]) / (2.0 * step)
        assert np.abs(slope[:, index] - difference).max() < 0.02 * np.abs(difference).max()


def test_the_posterior_goes_down_where_it_says():
    model, generator = gram(), np.random.default_rng(6)
    prior = HaadfPrior(thickness=(0.95 * DEPTH, 2.0))
    mean, sd = prior.mean_and_std(model, 2)
    values, data = np.asarray(cell_harmonics(model, jnp.asarray(THETA[None]), jnp.zeros((1, 25)), *numbers(0.0)))[0], []
    for _ in range(2):
        information = np.diag(generator.uniform(0.5, 1.5, len(values)))
        zeros = np.zeros((4, 4))
        noisy = values + generator.standard_normal(len(values))
        data.append(Cell(noisy, information, 1.0, zeros, zeros + 1.0, model.g, np.zeros((4, 4, 2))))
    problem = Problem(model, data, (0.0, 30.0), [0.0, 0.5], mean, sd, np.zeros(25), 3000.0, ModelError())
    z = 0.3 * generator.standard_normal(len(problem.free))
    problem.update_model_error(z)
    _, gradient, curvature = problem.gauss_newton(z, problem.weights(problem.error.relative))
    assert np.linalg.eigvalsh(curvature).min() >= 1.0 - 1e-6
    step = 2e-3 * np.eye(len(z))
    ends = np.concatenate([z + step, z - step])
    costs = problem.cost(np.concatenate([ends, np.zeros((len(ends), 1))], axis=1))
    difference = (costs[: len(z)] - costs[len(z) :]) / 4e-3
    np.testing.assert_allclose(gradient, difference, rtol=0.02, atol=0.01 * np.abs(gradient).max())


def test_aberrations_in_turned_axes_are_the_same_phase():
    vector = np.random.default_rng(2).standard_normal(25) * 100.0
    k, azimuth, angle = np.full(30, 0.6), np.linspace(0.0, 6.0, 30), 0.7
    rotated = rotate_aberrations(jnp.asarray(vector), jnp.asarray(angle))
    original, rotated_phase = (
        phase(values, k * np.cos(azimuth - offset), k * np.sin(azimuth - offset), wavelength(200e3))
        for values, offset in ((vector, 0.0), (rotated, angle))
    )
    np.testing.assert_allclose(original, rotated_phase, rtol=1e-9)


def test_harmonics_are_recovered_within_their_errors():
    model, generator = gram(), np.random.default_rng(3)
    truth = np.asarray(cell_harmonics(model, jnp.asarray(THETA[None]), jnp.zeros((1, 25)), *numbers(0.0)))[0]
    x, y = np.meshgrid(np.arange(80) * 0.31, np.arange(80) * 0.29)
    positions = np.stack([x, y + 0.02 * x], axis=-1)
    expected = (waves(model.g, positions.reshape(-1, 2), model.cell) @ truth).reshape(80, 80)
    squares = []
    for _ in range(6):
        data = 20.0 * generator.poisson(expected / 20.0) + 5.0 * generator.standard_normal(expected.shape)
        known = generator.random(data.shape) > 0.1
        cell = mean_cell(data, known, positions, model.g, model.cell, 20.0, 5.0, True)
        squares.append((cell.mean - truth) @ cell.information @ (cell.mean - truth) * max(cell.misfit, 1.0))
    count = 6 * len(truth)
    assert abs(np.sum(squares) - count) < 4.0 * np.sqrt(2.0 * count)


def test_the_field_of_the_models_error():
    model, generator = gram(), np.random.default_rng(4)
    truth = np.asarray(cell_harmonics(model, jnp.asarray(THETA[None]), jnp.zeros((1, 25)), *numbers(0.0)))[0]
    columns = error_columns(truth, model.g, model.cell, 0.8)
    spots = generator.uniform(0.0, A, (200, 2))
    functions = waves(model.g, spots, model.cell)
    signal = functions @ truth
    relative = (functions @ columns) / signal[:, None]
    separation = spots[:, None] - spots[None]
    nearest = separation - A * np.round(separation / A)
    expected = np.zeros(separation.shape[:2])
    for i, j in itertools.product((-1, 0, 1), repeat=2):
        expected += np.exp(-0.5 * ((nearest + A * np.array([i, j])) ** 2).sum(axis=-1) / 0.8**2)
    np.testing.assert_allclose(relative @ relative.T, expected / expected.max(), atol=0.06)
    information = np.diag(generator.uniform(1.0, 3.0, len(truth)))
    marginalised, residuals = MarginalisedInformation(information, columns), generator.standard_normal((2, len(truth)))
    squares = marginalised.squares(residuals, np.array([0.03, 0.1]))
    for relative, residual, square in zip((0.03, 0.1), residuals, squares, strict=True):
        whole = np.linalg.inv(information) + relative**2 * columns @ columns.T
        np.testing.assert_allclose(marginalised.weight(relative), np.linalg.inv(whole), atol=1e-8)
        grown = np.linalg.slogdet(whole)[1] + np.linalg.slogdet(information)[1]
        assert square == pytest.approx(residual @ np.linalg.solve(whole, residual) + grown)
    slopes, sizes = generator.standard_normal((len(truth), 3)), np.array([0.03, 0.1])
    for relative, square, curvature in zip(sizes, *marginalised.products(residuals[0], slopes, sizes), strict=True):
        weight = marginalised.weight(relative)
        assert square == pytest.approx(residuals[0] @ weight @ residuals[0])
        np.testing.assert_allclose(curvature, slopes.T @ weight @ slopes, rtol=1e-8, atol=1e-10)


def gaussian(z: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Logarithm of its density [n]."""
    deviation = z - mean
    size = np.linalg.slogdet(2.0 * np.pi * covariance)[1]
    return -0.5 * np.einsum("ni,ij,nj->n", deviation, np.linalg.inv(covariance), deviation) - 0.5 * size


def test_the_sampler_weighs_two_maxima():
    means = np.array([[-2.0, 0.5, 0.0], [2.5, 0.0, 0.0]])
    spreads = np.array([np.diag([0.09, 0.25, 1.0]), [[0.16, 0.1, 0.0], [0.1, 0.25, 0.0], [0.0, 0.0, 1.0]]])

    def cost(z: np.ndarray) -> np.ndarray:
        first, second = (gaussian(z, mean, spread) for mean, spread in zip(means, spreads, strict=True))
        return -np.logaddexp(np.log(0.3) + first, np.log(0.7) + second)

    positions = np.array([[-2.1, 0.4, 0.1], [2.4, 0.1, 0.0]])
    sample = importance_sample(
        cost, positions, np.array([0.2 * np.eye(3)] * 2), np.array([0.0, -2.0]), np.random.default_rng(0)
    )
    order = np.argsort(sample.means[:, 0])
    np.testing.assert_allclose(sample.weights[order], [0.3, 0.7], atol=0.05)
    np.testing.assert_allclose(sample.means[order], means, atol=0.12)
    np.testing.assert_allclose(sample.covariances[order][1], spreads[1], atol=0.12)


def test_near_focus_the_posterior_is_no_parabola():
    def cost(z: np.ndarray) -> np.ndarray:
        return 0.5 * (z[:, 0] ** 2 - 0.5) ** 2 / 0.3**2 + 0.5 * z[:, 1] ** 2

    sample = importance_sample(
        cost, np.array([[0.7, 0.0]]), np.array([np.diag([0.05, 1.0])]), np.zeros(1), np.random.default_rng(1)
    )
    axis = np.linspace(-3.0, 3.0, 4001)
    density = np.exp(-cost(np.stack([axis, 0.0 * axis], axis=-1)))
    std = np.sqrt((axis**2 * density).sum() / density.sum())
    assert np.sqrt(sample.covariances[0, 0, 0] + sample.means[0, 0] ** 2) == pytest.approx(std, rel=0.1)


def test_the_scanner_prior_separates_map_and_drift():
    generator, scan_record = np.random.default_rng(5), scan()
    prior = HaadfPrior(scanner=2e-3, drift=0.8)
    time, count = line_time(scan_record), 200_000
    shear, ratio = prior.scanner * generator.standard_normal((2, count))
    velocity = prior.drift * generator.standard_normal((2, count))
    pixel_x = np.full(count, scan_record.pixel)
    pixel_y = pixel_x * (1.0 + ratio) + velocity[1] * time
    skew = shear + velocity[0] * time / pixel_y
    noise = np.array([2e-5, 2e-4, 1e-3, 1e-3])
    maps = np.stack([pixel_x, pixel_y, skew, np.zeros(count)]).T + noise * generator.standard_normal((count, 4))
    measured = Measurement("lattice", NAMES, UNITS, (Component(1.0, maps[0], np.diag(noise**2)),))
    first = geometry(measured, crystal(), scan_record, prior)
    assert "drift.x" not in first.undetermined
    errors = []
    for row, true in zip(maps[:400], velocity.T[:400], strict=True):
        separated = geometry(
            Measurement("lattice", NAMES, UNITS, (Component(1.0, row, np.diag(noise**2)),)),
            crystal(),
            scan_record,
            prior,
        )
        errors.append((separated.mean[4:] - true) / np.sqrt(np.diag(separated.covariance)[4:]))
    share = float((np.abs(errors) < norm.ppf(0.95)).mean())
    assert 0.86 < share < 0.94
    tied = geometry(measured, crystal(), scan_record, HaadfPrior(scanner=0.05, drift=0.1))
    assert {"drift.x", "drift.y"} <= set(tied.undetermined)
    assert tied.covariance[4, 4] == pytest.approx(0.01)


def test_a_lattice_that_drifted_farther_than_stated_is_followed_and_told():
    y, x = np.mgrid[:64, :64] - 32.0
    map_ = np.array([[0.3, 0.036], [0.0, 0.327]])
    counts = 40.0 * columns_at(np.stack([x, y], axis=-1) @ map_.T, TITANATE)
    image = np.random.default_rng(3).poisson(counts).astype(float)
    stated = scan(64, 0.3)
    lattice, pixels = locate_pixels(image, np.ones(image.shape, bool), TITANATE, stated, HaadfPrior(), None)
    assert pixels is not None
    assert lattice.value("pixel_y")[0] == pytest.approx(0.327, rel=0.01)
    assert ["square" in words for words in lattice.contradictions] == [True]
