"""Spectrum images as background and edges: exact algebra of the joint step, unbiased amplitudes with errors of the right size, camera and pattern learnt."""

import numpy as np
import pytest

from reconstruct.eels.camera import Camera, precision
from reconstruct.eels.core_loss.common import plain_rows
from reconstruct.eels.core_loss.design import design_of
from reconstruct.eels.core_loss.elements import edges_for
from reconstruct.eels.core_loss.fit import fit_core_loss
from reconstruct.eels.core_loss.learning import shared_of
from reconstruct.eels.core_loss.pixels import Own, expectation, fit_spectra, inverse_noise
from reconstruct.eels.core_loss.shared import Prior, joint_step
from tests.synthetic.eels.spectra import COLLECTION, CONVERGENCE, HIGH_TENSION, core_image, recorded

ENERGIES = 400.0 + 1.0 * np.arange(256)


def _edges(elements: tuple[str, ...] = ("Ti", "O")) -> list:
    return [edge for name in elements for edge in edges_for(name, ENERGIES, HIGH_TENSION, COLLECTION, CONVERGENCE)]


def test_the_joint_step_solves_the_whole_system() -> None:
    """Against the matrix of derivatives by all unknowns, written out."""
    energies = 440.0 + 2.0 * np.arange(64)
    design = design_of(energies, [edge for edge in edges_for("Ti", energies, HIGH_TENSION, COLLECTION) if edge.shaped])
    generator = np.random.default_rng(0)
    camera = Camera(2.0, (0.3, 0.05))
    pattern = np.exp(0.05 * generator.standard_normal(64))
    shared = shared_of(design, design.mean, pattern, camera, np.ones(64))
    parameters = np.stack([np.full(3, 5.0), np.full(3, 3.0), np.array([400.0, 900.0, 200.0])], axis=1)
    counts = 100.0 + 80.0 * generator.random((3, 64))
    prior = Prior(design.mean, design.spread, 0.1, Own.none(3))
    rows = plain_rows(design)
    step = joint_step(counts, parameters, design.mean, shared, rows, precision(np.asarray(shared.taps)), prior)
    background, core = (np.asarray(part) for part in expectation(parameters, shared))
    noise = np.asarray(inverse_noise(parameters, background, shared))
    taps = np.asarray(shared.taps)
    whiten = sum(np.diag(row[lag:], -lag) for lag, row in enumerate(taps))
    own, m = 3, len(design.mean)
    rows, left = [], []
    for number in range(3):
        jacobian = np.zeros((64, 3 * own + m + 64))
        whole = pattern * (background + core)[number]
        jacobian[:, own * number] = pattern * background[number]
        jacobian[:, own * number + 1] = -pattern * background[number] * design.log_energy
        jacobian[:, own * number + 2] = pattern * np.asarray(shared.edges)[0]
        jacobian[:, 3 * own : 3 * own + m] = (pattern * parameters[number, 2] * design.basis).T
        jacobian[:, 3 * own + m :] = np.diag(whole)
        rows.append(whiten @ (noise[number][:, None] * jacobian))
        left.append(whiten @ (noise[number] * (counts[number] - whole)))
    jacobian, residual = np.concatenate(rows), np.concatenate(left)
    precision_own = np.tile([20.0**-2.0, 3.0**-2.0, 0.0], 3)
    centre = np.tile([0.0, 3.5, 0.0], 3) - parameters.ravel()
    weights = np.concatenate([precision_own, design.spread**-2.0, np.full(64, 100.0)])
    pull = np.concatenate([precision_own * centre, np.zeros(m), -100.0 * np.log(pattern)])
    whole = jacobian.T @ jacobian + np.diag(weights)
    move = np.linalg.solve(whole, jacobian.T @ residual + pull)
    assert np.allclose(step.parameters.ravel(), move[: 3 * own], rtol=1e-6, atol=1e-9)
    assert np.allclose(step.edges, move[3 * own : 3 * own + m], rtol=1e-6, atol=1e-9)
    assert np.allclose(step.pattern, move[3 * own + m :], rtol=1e-6, atol=1e-9)
    assert np.allclose(np.linalg.inv(step.information), np.linalg.inv(whole)[3 * own :, 3 * own :], atol=1e-9)


@pytest.mark.parametrize("electrons", [300.0, 1e5])
def test_amplitudes_and_errors_with_known_shapes(electrons: float) -> None:
    """Each of 1,500 spectra of one kind: mean, spread and coverage, at few counts too."""
    design = design_of(ENERGIES, _edges())
    shared = shared_of(design, design.mean, np.ones(256), Camera(), np.ones(256))
    truth = np.array([np.log(electrons / 320.0), 3.0, 0.15 * electrons, 0.1 * electrons])
    background, core = (np.asarray(part) for part in expectation(truth[None], shared))
    counts = np.random.default_rng(1).poisson(np.repeat(background + core, 1500, axis=0)).astype(float)
    fitted = fit_spectra(counts, shared)
    errors = np.sqrt(np.linalg.inv(fitted.information).diagonal(axis1=1, axis2=2))
    off = (fitted.parameters - truth) / errors
    assert np.abs(off[:, 2:].mean(axis=0)).max() < 0.12
    covered = (np.abs(off[:, 2:]) < 1.645).mean(axis=0)
    assert ((covered > 0.86) & (covered < 0.94)).all()
    assert fitted.chi_squared.mean() / (256 - 4) == pytest.approx(1.0, abs=0.02)


@pytest.mark.slow
def test_camera_pattern_and_shapes_are_learnt_and_tested_on_other_spectra() -> None:
    mean, amplitudes = core_image(10, 12, ENERGIES, 2e5, 0)
    counts = recorded(mean, 1, gain=20.0, spread=0.2, pattern=0.05).reshape(-1, 256)
    fit = fit_core_loss(counts, ENERGIES, _edges())
    assert fit.tested is not None
    assert 0.9 < fit.tested[0] < 1.1
    assert fit.learned.camera.counts_per_electron == pytest.approx(20.0, rel=0.08)
    assert fit.learned.roughness == pytest.approx(0.05, rel=0.25)
    covariance = fit.covariance()
    for index, element in enumerate(fit.design.elements):
        error = np.sqrt(covariance[:, 2 + index, 2 + index]) / fit.units[index]
        off = (fit.amplitudes[:, index] - amplitudes[element].ravel()) / error
        assert abs(off.mean()) < 2.5  # one error of the shape for all
        assert off.std() < 1.5
        relative = fit.amplitudes[:, index] / fit.amplitudes[:, index].mean()
        assert np.corrcoef(relative, amplitudes[element].ravel())[0, 1] > 0.9
    # all spectra share what the shape leaves open: their mean has that error, and not that of a mean of independent ones
    _, of_mean = fit.mean()
    assert of_mean[2, 2] > 3.0 * covariance[:, 2, 2].mean() / len(counts)


def test_amplitudes_are_not_drawn_up_by_unknown_shapes() -> None:
    """Shapes of 24 images drawn as wide as their prior: the likeliest amplitudes and shapes together would be 0.9 standard errors off on average."""
    edges = _edges()
    design = design_of(ENERGIES, edges)
    off = []
    for seed in range(24):
        generator = np.random.default_rng(seed)
        free = generator.gamma(design.spread**-2.0, design.spread**2.0)
        level = np.exp(-3.0 * design.log_energy)
        amplitudes = 1500.0 * generator.uniform(0.6, 1.4, (32, 2))
        mean = 7e3 * level / level.sum() + amplitudes @ design.curves(np.where(design.mean > 0.0, free, 0.0))
        fit = fit_core_loss(generator.poisson(mean).astype(float), ENERGIES, edges)
        errors = np.sqrt(np.diagonal(fit.covariance(), axis1=1, axis2=2))[:, 2:]
        off.append(((fit.fitted.parameters[:, 2:] - amplitudes) / errors).mean(axis=0))
    assert np.abs(np.mean(off, axis=0)).max() < 0.4


def test_a_camera_that_is_told_is_kept() -> None:
    mean, _ = core_image(4, 8, ENERGIES, 1e4, 0)
    fit = fit_core_loss(recorded(mean, 1, gain=7.0).reshape(-1, 256), ENERGIES, _edges(), gain=7.0)
    assert fit.learned.told
    assert fit.learned.camera.counts_per_electron == 7.0
    assert fit.tested is not None
    assert fit.tested[0] == pytest.approx(1.0, abs=0.05)


def test_plural_scattering_is_convolved_in() -> None:
    """Half of the electrons lost 20 eV more: without the low loss the edge is too weak behind its onset and the amplitude off."""
    design = design_of(ENERGIES, _edges(("O",)))
    kernel = np.zeros(64)
    kernel[[0, 20]] = 0.5
    convolved = design_of(ENERGIES, _edges(("O",)), kernel)
    plain, plural = (part.scale * part.curves(part.mean) for part in (design, convolved))
    assert np.allclose(plural[0, 20:], 0.5 * (plain[0, 20:] + plain[0, :-20]), atol=1e-12 * plain.max())


def test_an_edge_without_counts_is_refused() -> None:
    with pytest.raises(ValueError, match="no edge within"):
        design_of(ENERGIES, [])
    edge = _edges(("O",))[0]
    with pytest.raises(ValueError, match="O has no edge with counts"):
        design_of(ENERGIES, [edge._replace(cross_section=np.zeros(256))])
