"""What all edges share: offset of the axis and low loss as unknowns, against written-out algebra and finite differences."""

import numpy as np
import pytest

from reconstruct.eels.camera import Camera, precision
from reconstruct.eels.core_loss.common import Known, directions, rows_of
from reconstruct.eels.core_loss.design import Design, design_of
from reconstruct.eels.core_loss.elements import edges_for, rises_of, shift_to
from reconstruct.eels.core_loss.fit import fit_core_loss
from reconstruct.eels.core_loss.learning import shared_of
from reconstruct.eels.core_loss.pixels import Own, derivatives, expectation, inverse_noise
from reconstruct.eels.core_loss.shared import Prior, joint_step
from tests.synthetic.eels.spectra import COLLECTION, CONVERGENCE, HIGH_TENSION

ENERGIES = 400.0 + 2.0 * np.arange(128)
ABSOLUTE = {"Ti": {"L": 456.0}, "O": {"K": 532.0}}


def _edges(energies: np.ndarray) -> list:
    return [
        edge
        for name, told in ABSOLUTE.items()
        for edge in edges_for(name, energies, HIGH_TENSION, COLLECTION, CONVERGENCE, absolute=told)
    ]


@pytest.fixture(scope="module")
def design() -> Design:
    return design_of(ENERGIES, _edges(ENERGIES))


def test_the_step_with_shared_unknowns_solves_the_whole_system(design: Design) -> None:
    """Two elements, two unknowns that act on both, one further unknown of each spectrum."""
    generator = np.random.default_rng(0)
    count, channels, shapes = 3, len(ENERGIES), len(design.mean)
    common = generator.normal(0.0, 0.01, (2, 2, channels))
    moves = generator.normal(0.0, 0.01, (1, 2, channels))
    shared = shared_of(design, design.mean, np.ones(channels), Camera(2.0, (0.3,)), np.ones(channels))
    shared = shared._replace(moves=moves)
    parameters = np.column_stack([np.full(3, 5.0), np.full(3, 3.0), [400.0, 900.0, 200.0], [300.0, 250.0, 500.0], [0.1, -0.2, 0.0]])  # fmt: skip
    counts = 100.0 + 80.0 * generator.random((3, channels))
    own = Own(np.full((3, 1), 0.05), np.full((3, 1), 30.0))
    edges = np.concatenate([design.mean, [0.1, -0.3]])
    prior = Prior(np.concatenate([design.mean, [0.0, 0.0]]), np.concatenate([design.spread, [0.5, 1.0]]), 0.0, own, False)  # fmt: skip
    rows = rows_of(design, common)
    step = joint_step(counts, parameters, edges, shared, rows, precision(np.asarray(shared.taps)), prior)
    background, core = (np.asarray(part) for part in expectation(parameters, shared))
    noise = np.asarray(inverse_noise(parameters, background, shared))
    slopes = np.asarray(derivatives(parameters, background, shared))
    whiten = sum(np.diag(row[lag:], -lag) for lag, row in enumerate(np.asarray(shared.taps)))
    width = parameters.shape[1]
    jacobian, residual = [], []
    for number in range(count):
        block = np.zeros((channels, count * width + shapes + 2))
        block[:, number * width : (number + 1) * width] = slopes[number].T
        amplitudes = parameters[number, 2:4]
        block[:, count * width : count * width + shapes] = (amplitudes[design.element, None] * design.basis).T
        block[:, count * width + shapes :] = np.einsum("k,gkc->cg", amplitudes, common)
        jacobian.append(whiten @ (noise[number][:, None] * block))
        residual.append(whiten @ (noise[number] * (counts[number] - background[number] - core[number])))
    whole, left = np.concatenate(jacobian), np.concatenate(residual)
    weight = np.tile([20.0**-2.0, 3.0**-2.0, 0.0, 0.0, 30.0], count)
    centre = np.tile([0.0, 3.5, 0.0, 0.0, 0.05], count) - parameters.ravel()
    shared_pull = -(edges - prior.mean) * prior.spread**-2.0
    matrix = whole.T @ whole + np.diag(np.concatenate([weight, prior.spread**-2.0]))
    move = np.linalg.solve(matrix, whole.T @ left + np.concatenate([weight * centre, shared_pull]))
    assert np.allclose(step.parameters.ravel(), move[: count * width], rtol=1e-6, atol=1e-9)
    assert np.allclose(step.edges, move[count * width :], rtol=1e-6, atol=1e-9)


def test_the_derivative_by_the_offset_is_that_of_moved_edges(design: Design) -> None:
    analytic = directions(design, Known(offset=3.0), 1.0)[0]
    numeric = (design.moved(1.0).curves(design.mean) - design.moved(-1.0).curves(design.mean)) / 2.0
    assert np.abs(analytic - numeric).max() < 0.05 * np.abs(numeric).max()


@pytest.mark.parametrize("offset", [-5.0, 3.0])
def test_the_offset_is_found_with_its_error(offset: float) -> None:
    energies = 400.0 + np.arange(256)
    edges = _edges(energies)
    design = design_of(energies, edges)
    generator = np.random.default_rng(4)
    background = np.exp(-3.0 * design.log_energy)
    amplitudes = 1e4 * generator.uniform(0.8, 1.2, (40, 2))
    mean = 7e4 * background / background.sum() + amplitudes @ design.moved(offset).curves(design.mean)
    counts = generator.poisson(mean).astype(float)
    start = shift_to(rises_of(counts), energies, [456.0, 532.0])
    fit = fit_core_loss(counts, energies, edges, gain=1.0, known=Known(10.0, start))
    assert fit.learned.offset is not None
    value, error = fit.learned.offset
    assert abs(value - offset) < 2.5 * error
    assert 0.1 < error < 2.0
    assert fit.learned.design.edges[0].onset == pytest.approx(456.0 + value)


def test_edges_that_are_put_where_they_are_seen_do_not_move(design: Design) -> None:
    edges = [edge._replace(absolute=False) for edge in design.edges]
    fixed = design_of(ENERGIES, edges)
    assert np.array_equal(fixed.moved(3.0).curves(design.mean), fixed.curves(design.mean))
    assert not directions(fixed, Known(offset=3.0), 1.0).any()
