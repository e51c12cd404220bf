"""Linearised images for planning, compared with differences of images, other exposures, other sites, and a divided time interval."""

import numpy as np
import pytest

from reconstruct.inference.image_inference import covariance
from scenarios.acquire.dose_accounting import electrons_of
from scenarios.acquire.planning.alignment import exposed
from scenarios.acquire.planning.linearization import Linearization
from scenarios.acquire.twin_session import TwinSession
from tests.small import small_column, small_microscope
from twin.image.microscope import PARAMETERS
from twin.image.prediction import black_level, evaluate, view
from twin.records import Scan

SCAN = Scan()
NEAR = {"C10": -40.0, "C12.a": 0.0, "C12.b": 0.0, "beam_shift.x": 0.0, "beam_shift.y": 0.0}
AWAY = {**NEAR, "beam_shift.x": 7.0, "beam_shift.y": -3.0}


@pytest.fixture(scope="module")
def linearization():
    microscope = small_microscope()
    return Linearization(TwinSession(microscope, small_column(), 0, 1))


@pytest.mark.slow
def test_information_is_slopes_over_scatter(linearization):
    """The information on places and defocus against central differences of the twin's images."""
    ((exposure,),) = linearization.exposures([[NEAR]], [SCAN])
    microscope = linearization.twin_session.microscope
    request = view(microscope, NEAR, SCAN, (0.0, 0.0))
    belief = linearization.belief
    point = request.matrix @ belief.means[int(np.argmax(belief.weights))] + request.offset
    scatter = covariance(
        microscope,
        evaluate(microscope, point[None], request)[0] - black_level(request, point),
        linearization.twin_session.error(SCAN),
        SCAN,
    )
    indices = [PARAMETERS.index(name) for name in ("C10", "x", "y")]
    slopes = []
    for at, size in zip(indices, (1.0, 0.02, 0.02), strict=True):
        moved = np.stack([point, point])
        moved[:, at] += np.array([size, -size])
        above, below = evaluate(microscope, moved, request)
        slopes.append((above - below) / (2.0 * size))
    expected = np.array(slopes) @ np.linalg.solve(scatter, np.array(slopes).T)
    np.testing.assert_allclose(
        exposure.information[np.ix_(indices, indices)], expected, rtol=0.03, atol=0.03 * expected.max() * 1e-3
    )


def test_twice_the_dwell_has_less_than_twice_the_information_and_one_settle_dose(linearization):
    """The model's error does not fall with electrons, and the settle dose is paid once for each image."""
    longer = exposed(SCAN, 2)
    ((short, long),) = linearization.exposures([[NEAR, NEAR]], [SCAN, longer])
    at = PARAMETERS.index("x")
    assert 1.2 < long.information[at, at] / short.information[at, at] < 2.0
    assert short.electrons == electrons_of(SCAN)
    assert short.electrons < long.electrons < 2.0 * short.electrons


def test_information_does_not_depend_on_the_beam_shift(linearization):
    (here,), (away,) = linearization.exposures([[NEAR], [AWAY]], [SCAN])
    ((alone,),) = linearization.exposures([[AWAY]], [SCAN])
    indices = [PARAMETERS.index(name) for name in ("C10", "x", "y")]
    chosen = np.ix_(indices, indices)
    # the raster samples the crystal elsewhere: the same but for that
    np.testing.assert_allclose(np.diag(alone.information[chosen]), np.diag(here.information[chosen]), rtol=0.1)
    np.testing.assert_array_equal(away.jacobian, alone.jacobian)
    column = linearization.twin_session.microscope.layout.index("shift.xx")
    assert (here.jacobian[PARAMETERS.index("x"), column], away.jacobian[PARAMETERS.index("x"), column]) == (0.0, 7.0)


def test_steps_and_transitions_together_take_the_time_between_requests(linearization):
    """A random walk's noise is that of the whole interval, whether or not it is divided at an alignment image."""
    times = [300_000_000, 1_400_000_000, 2_100_000_000]
    steps, transitions = linearization.steps([NEAR] * 3, SCAN, times, lead=0.4)
    dynamics = linearization.twin_session.dynamics
    at = linearization.twin_session.microscope.layout.index("C10")
    for step, last, seconds in zip(steps, transitions, (0.3, 1.1, 0.7), strict=True):
        transition, factor = dynamics.discretise(seconds)
        np.testing.assert_allclose(last.matrix @ step.transition, transition, atol=1e-12)
        noise = last.matrix @ step.noise @ last.matrix.T + last.noise
        np.testing.assert_allclose(noise, factor @ factor.T, atol=1e-9 * (factor @ factor.T).max())
    # the first request is nearer than the lead: its alignment image is due at once
    assert steps[0].noise[at, at] == 0.0
    assert transitions[1].noise[at, at] == pytest.approx(0.4 * 3.1**2, rel=1e-6)
