"""The image fit with a perfect model: calibrated errors, recovered positions, evidence, refused images."""

import dataclasses

import numpy as np
import pytest
from scipy.special import logsumexp

from learn.discrepancy.trust import misfit_excess
from reconstruct.inference.belief import Belief, prior_belief, triangular
from reconstruct.inference.filter import assimilate
from reconstruct.inference.image_inference import (
    _image_parameters,
    absorb,
    as_linear_observation,
    covariance,
    fit,
    uniform_as_gaussian,
)
from tests.small import CELL, small_layout, small_microscope
from twin.image.microscope import (
    PARAMETERS,
    Microscope,
    counting_cumulant,
    counting_variance,
    electrons_per_pixel,
    to_fraction,
)
from twin.image.prediction import View, black_level, evaluate, view
from twin.records import Scan

pytestmark = pytest.mark.slow

SCAN = Scan(shape=(16, 16), pixel=CELL / 16, dose=1e4)
PIXELS = 256
LAYOUT = small_layout().replaced(
    {
        "C10": (0.0, 30.0),
        "C12a": (0.0, 12.0),
        "C12b": (0.0, 12.0),
        "T": (0.0, 0.01),
        "T.lagged": (0.0, 0.01),
        "x": (0.0, 0.3),
        "y": (0.0, 0.3),
    }
)


def no_error(expected: np.ndarray) -> np.ndarray:
    """The error of a perfect model."""
    return np.zeros((len(expected), len(expected)))


def microscope() -> Microscope:
    small = small_microscope()
    return Microscope(small.gram, small.calibration, LAYOUT, small.cell)


def request_at(defocus: float) -> View:
    return view(microscope(), {"C10": defocus, "beam_shift.x": 0.0, "beam_shift.y": 0.0}, SCAN, (0.0, 0.0))


def counted(request: View, state: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Counts [ny, nx] of the twin's own image of a state: Poisson electrons, gain, level and readout as its calibration has them."""
    calibration = microscope().calibration
    parameters = request.matrix @ state + request.offset
    signal = evaluate(microscope(), parameters, request)[0] - black_level(request, parameters)
    electrons = generator.poisson(np.maximum(signal, 0.0) * electrons_per_pixel(request.scan))
    dark = calibration.black + state[LAYOUT.index("black")] + calibration.readout * generator.standard_normal(PIXELS)
    return (calibration.gain * electrons + dark).reshape(request.scan.shape)


@pytest.fixture(scope="module")
def fits():
    """Fourteen states drawn from the prior, each with one image: standardised errors by name, and misfits by degrees of freedom."""
    generator = np.random.default_rng(11)
    names = ("C10", "C12a", "C12b", "thickness", "source", "x", "y")
    errors, misfits, widths = [], [], []
    for _ in range(14):
        belief = prior_belief(LAYOUT, 0)
        truth = belief.sample(1, generator)[0]
        request = request_at(generator.uniform(-100.0, 100.0))
        posterior = fit(microscope(), belief, request, counted(request, truth, generator), no_error, generator)
        updated_belief = absorb(belief, request, posterior)
        indices = [LAYOUT.index(name) for name in names]
        errors.append((updated_belief.mean - truth)[indices] / updated_belief.std[indices])
        widths.append(updated_belief.std[indices] / belief.std[indices])
        misfits.append((posterior.misfit - posterior.dof) / np.sqrt(2 * posterior.dof))
    return names, np.array(errors), np.array(misfits), np.array(widths)


def test_errors_are_as_large_as_stated(fits):
    names, errors, _, _ = fits
    rms = np.sqrt((errors**2).mean(axis=0))
    assert 0.7 < np.sqrt((errors**2).mean()) < 1.4
    for name, value in zip(names, rms, strict=True):
        assert 0.55 < value < 1.6, name  # 14 draws of a unit normal: 0.63 to 1.37 in nineteen cases of twenty
    assert (np.abs(errors) < 1.645).mean() > 0.8


def test_images_determine_position_and_thickness_with_the_expected_misfit(fits):
    names, _, misfits, widths = fits
    narrowing = dict(zip(names, np.median(widths, axis=0), strict=True))
    assert narrowing["x"] < 0.5
    assert narrowing["thickness"] < 0.9
    assert narrowing["C10"] < 0.8
    assert np.abs(misfits.mean()) < 1.0
    assert np.abs(misfits).max() < 4.5


@pytest.mark.parametrize("spread", [15.0, 30.0])
def test_the_position_in_the_cell_is_recovered(spread):
    """Within 80 angstrom of focus an image has one reading. Farther from it a place an angstrom or two off may fit as well as the true one."""
    generator = np.random.default_rng(3)
    lost_layout = LAYOUT.replaced(
        # the level is known to one count, as from a few readings of its channel
        {
            "C10": (0.0, spread),
            "x": (0.0, CELL / np.sqrt(12)),
            "y": (0.0, CELL / np.sqrt(12)),
            "black": (0.0, 1.0),
        }
    )
    instrument = dataclasses.replace(microscope(), layout=lost_layout)
    missed, sigmas, defocus = [], [], []
    for _ in range(8):
        belief = prior_belief(lost_layout, 0, circular_uniform=("x", "y"))
        truth = belief.sample(1, generator)[0]
        command = float(generator.choice([-30.0, 20.0]))
        request = view(instrument, {"C10": command}, SCAN, (0.0, 0.0))
        posterior = fit(instrument, belief, request, counted(request, truth, generator), no_error, generator)
        updated_belief = absorb(belief, request, posterior)
        assert updated_belief.circular_uniform == ()
        indices = [lost_layout.index(name) for name in "xy"]
        off = updated_belief.means[:, indices] - truth[indices]
        off -= CELL * np.round(off / CELL)
        best = int(np.argmax(updated_belief.weights))
        missed.append(np.hypot(*off[best]))
        sigmas.append(np.abs(off[best] / np.linalg.norm(updated_belief.cov_sqrt[best][indices], axis=1)).max())
        defocus.append(abs(command + truth[lost_layout.index("C10")]))
    near = np.array(defocus) < 80.0
    assert near.sum() >= 6
    assert np.array(missed)[near].max() < 0.3
    assert np.array(sigmas)[near].max() < 4.0


def test_a_linear_observation_reproduces_the_posterior():
    """A Gaussian posterior over the image's parameters reaches the state as if the image itself had been linear."""
    generator = np.random.default_rng(5)
    request = request_at(30.0)
    belief = prior_belief(LAYOUT, 0)
    means, cov_sqrts = _image_parameters(belief, request)
    prior = cov_sqrts[0] @ cov_sqrts[0].T
    scale = np.sqrt(np.diag(prior))
    rows = generator.standard_normal((7, len(PARAMETERS))) / scale[None]
    gain = np.linalg.solve(rows @ prior @ rows.T + 0.01 * np.eye(7), rows @ prior).T
    left = prior - gain @ rows @ prior
    values, vectors = np.linalg.eigh(left / scale[:, None] / scale[None])
    root = triangular(scale[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))[None])
    mean = means[0] + gain @ (0.3 * generator.standard_normal(7))
    updated_belief = assimilate(belief, as_linear_observation(request, means[0], cov_sqrts[0], mean, root))
    updated_means, updated_cov_sqrts = _image_parameters(updated_belief, request)
    np.testing.assert_allclose((updated_means[0] - mean) / scale, 0.0, atol=1e-3)
    updated = updated_cov_sqrts[0] @ updated_cov_sqrts[0].T
    np.testing.assert_allclose(updated / scale[:, None] / scale[None], left / scale[:, None] / scale[None], atol=2e-3)
    # entries that do not affect the image keep their prior
    for name in ("HT.bias", "T.bias", "vx"):
        assert updated_belief.std[LAYOUT.index(name)] == pytest.approx(belief.std[LAYOUT.index(name)], rel=1e-6)
    nothing = as_linear_observation(request, means[0], cov_sqrts[0], means[0], cov_sqrts[0])
    assert len(nothing.value) == 0


def test_the_measured_image_scatters_as_the_covariance_says():
    expected = np.linspace(0.01, 0.2, PIXELS)
    total = covariance(microscope(), expected, lambda image: 0.01 * np.outer(image, image), SCAN)
    noise = counting_variance(microscope().calibration, SCAN, expected)
    np.testing.assert_allclose(total - np.diag(noise), 0.01 * np.outer(expected, expected))


@pytest.mark.parametrize("dark", [-6.0, 6.0])
def test_a_detector_level_scatters_nothing(dark):
    """At half an electron a pixel a level of six counts is as much as the darkest pixels' signal: the misfit must not take it for electrons."""
    instrument = dataclasses.replace(microscope(), layout=LAYOUT.replaced({"black": (dark, 0.5)}))
    scan = Scan(shape=SCAN.shape, pixel=SCAN.pixel, dose=1e3)
    belief = prior_belief(instrument.layout, 0)
    request = view(instrument, {"C10": 0.0}, scan, (0.0, 0.0))
    generator = np.random.default_rng(8)
    excess = []
    for _ in range(10):
        counts = counted(request, belief.sample(1, generator)[0], generator)
        posterior = fit(instrument, belief, request, counts, no_error, generator)
        noise = np.diag(counting_variance(instrument.calibration, scan, np.maximum(posterior.signal, 0.0)))
        excess.append(
            misfit_excess(posterior.residual, noise, counting_cumulant(scan, posterior.signal), posterior.dof)
        )
    assert abs(np.mean(excess)) < 3.0 / np.sqrt(len(excess))
    assert 0.6 < np.std(excess) < 1.5


def test_circular_uniform_entries_are_flat_over_the_cell():
    belief = prior_belief(LAYOUT, 0, circular_uniform=("x",))
    wide = uniform_as_gaussian(belief)
    assert wide.cov_sqrt[0][LAYOUT.index("x"), LAYOUT.index("x")] > CELL
    assert wide.cov_sqrt[0][LAYOUT.index("y"), LAYOUT.index("y")] == pytest.approx(0.3)
    assert uniform_as_gaussian(prior_belief(LAYOUT, 0)) is not wide


@pytest.mark.parametrize(
    ("counts", "problem"),
    [
        (np.full((16, 15), 100.0), r"\(16, 15\) pixels, the scan \(16, 16\)"),
        (np.where(np.eye(16) > 0, np.nan, 100.0), "16 pixels of the measured image are not finite"),
        (np.full((16, 16), np.inf), "256 pixels of the measured image are not finite"),
    ],
)
def test_what_is_no_image_is_refused(counts, problem):
    belief: Belief = prior_belief(LAYOUT, 0)
    with pytest.raises(ValueError, match=problem):
        fit(microscope(), belief, request_at(0.0), counts, no_error, np.random.default_rng(0))


def test_evidence_of_a_circular_uniform_position():
    """Compared with the likelihood averaged over a fine grid of positions, with all else known."""
    layout = LAYOUT.replaced(
        {entry.name: (entry.mean, 1e-4 * entry.std) for entry in LAYOUT.entries if entry.name not in "xy"}
    )
    instrument = dataclasses.replace(microscope(), layout=layout)
    belief = prior_belief(layout, 0, circular_uniform=("x", "y"))
    generator = np.random.default_rng(4)
    truth = belief.sample(1, generator)[0]
    request = view(instrument, {"C10": 20.0}, SCAN, (0.0, 0.0))
    counts = counted(request, truth, generator)
    posterior = fit(instrument, belief, request, counts, no_error, generator)

    calibration = instrument.calibration
    data = to_fraction(calibration, SCAN, counts).reshape(-1)
    variance = counting_variance(calibration, SCAN, np.maximum(posterior.signal, 0.0))
    steps = np.arange(128) * CELL / 128
    states = np.repeat(layout.prior_mean()[None], 128**2, axis=0)
    states[:, [layout.index("x"), layout.index("y")]] = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    images = np.concatenate(
        [evaluate(instrument, part @ request.matrix.T + request.offset, request) for part in np.split(states, 64)]
    )
    misfit = ((data - images) ** 2 / variance).sum(axis=1)
    expected = logsumexp(-0.5 * misfit) - np.log(len(misfit)) - 0.5 * np.log(variance).sum()
    assert posterior.evidence == pytest.approx(expected, abs=0.3)
