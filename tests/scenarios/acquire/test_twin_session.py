"""A twin session that misread its images recovers, and one that did not stays unchanged."""

import dataclasses

import numpy as np
import pytest

from reconstruct.inference.belief import cov_sqrt_of
from scenarios.acquire.twin_session import TwinSession
from tests.small import CELL, small_column, small_microscope
from twin.image.microscope import Microscope, electrons_per_pixel
from twin.image.prediction import evaluate, view
from twin.records import Exposure, Frame, Scan

SCAN = Scan(shape=(16, 16), pixel=CELL / 16, dose=1e4)
COLUMN = small_column().with_priors({"T": (0.0, 0.01), "T.lagged": (0.0, 0.01), "vx": (0.0, 0.02), "vy": (0.0, 0.02)})
LAYOUT = COLUMN.layout
OPTICS = ("C10", "C12a", "C12b")


def microscope() -> Microscope:
    return dataclasses.replace(small_microscope(), layout=LAYOUT)


def frame_of(truth: np.ndarray, defocus: float, number: int, start: int, generator: np.random.Generator) -> Frame:
    """What an instrument in the state ``truth`` records, model and calibration being right."""
    settings = {"C10": defocus, "C12.a": 0.0, "C12.b": 0.0, "beam_shift.x": 0.0, "beam_shift.y": 0.0}
    request = view(microscope(), settings, SCAN, (0.0, 0.0))
    expected = evaluate(microscope(), (request.matrix @ truth + request.offset)[None], request)[0]
    electrons = generator.poisson(np.maximum(expected, 0.0) * electrons_per_pixel(SCAN))
    counts = (20.0 * electrons + 100.0 + 5.0 * generator.standard_normal(256)).reshape(16, 16)
    return Frame(counts, number, start, SCAN, settings, Exposure(1.0, 0.0, 0.0))


def take(
    twin_session: TwinSession, truth: np.ndarray, defocus: float, number: int, generator: np.random.Generator
) -> None:
    """One image, a quarter of a second after the last."""
    twin_session.follow([], twin_session.belief.time + 250_000_000)
    frame = frame_of(truth, defocus, number, twin_session.belief.time, generator)
    prediction, _ = twin_session.predict(twin_session.belief, frame.settings, SCAN, number)
    twin_session.assimilate(frame, prediction, number)


def wrong_by(twin_session: TwinSession, truth: np.ndarray) -> float:
    """Error of defocus and astigmatism together, angstrom."""
    indices = [LAYOUT.index(name) for name in OPTICS]
    return float(np.linalg.norm((twin_session.belief.mean - truth)[indices]))


@pytest.fixture(scope="module")
def checkpointed():
    """A checkpoint after three images of a state drawn from the prior, and that state."""
    generator = np.random.default_rng(8)
    truth = LAYOUT.prior_mean() + 0.5 * LAYOUT.prior_std() * generator.standard_normal(len(LAYOUT))
    truth[[LAYOUT.index(name) for name in ("vx", "vy")]] = 0.0
    twin_session = TwinSession(microscope(), COLUMN, 0, 3)
    for number, defocus in enumerate((-40.0, 30.0, -60.0)):
        take(twin_session, truth, defocus, number, generator)
    return twin_session.checkpoint(), truth


@pytest.fixture
def settled(checkpointed):
    """A twin session restored from that checkpoint, the true state, and a random generator."""
    checkpoint, truth = checkpointed
    twin_session = TwinSession(microscope(), COLUMN, 0, 3)
    twin_session.restore(*checkpoint)
    return twin_session, truth, np.random.default_rng(9)


def test_it_stays_where_it_is_right(settled):
    twin_session, truth, generator = settled
    assert twin_session.belief.circular_uniform == ()
    assert wrong_by(twin_session, truth) < 35.0
    take(twin_session, truth, 40.0, 7, generator)
    assert wrong_by(twin_session, truth) < 35.0


@pytest.mark.slow
def test_it_recovers_from_a_misread_image(settled):
    """With a narrow belief about optics that are 100 angstrom off, it returns to the site prior."""
    twin_session, truth, generator = settled
    belief = twin_session.belief
    off = np.zeros(len(LAYOUT))
    for name, size in zip(OPTICS, (80.0, -40.0, 40.0), strict=True):
        off[LAYOUT.index(name)] = size
    twin_session.belief = dataclasses.replace(
        belief, weights=np.ones(1), means=(belief.mean + off)[None], cov_sqrt=cov_sqrt_of(belief.covariance)[None]
    )
    before = wrong_by(twin_session, truth)
    for number, defocus in enumerate((-40.0, 40.0, -60.0, 20.0, 60.0)):
        take(twin_session, truth, defocus, 10 + number, generator)
    assert before > 70.0
    assert wrong_by(twin_session, truth) < 0.5 * before


def test_a_stage_move_begins_anew(settled):
    twin_session, _, _ = settled
    twin_session.move_stage(1e4, 0.0)
    assert twin_session.belief.circular_uniform == twin_session.site_prior.circular_uniform == ("x", "y")
    np.testing.assert_array_equal(twin_session.belief.means, twin_session.site_prior.means)


def test_two_narrow_components_are_not_a_lost_position(settled):
    """A mixture that is wide only because its readings lie apart keeps them; a single wide one is given up."""
    twin_session, _, _ = settled
    belief = twin_session.belief
    narrow = cov_sqrt_of(np.diag(np.full(len(LAYOUT), 1e-4)))
    apart = np.zeros((2, len(LAYOUT)))
    apart[1, LAYOUT.index("x")] = 0.9 * CELL
    two = dataclasses.replace(
        belief, weights=np.array([0.5, 0.5]), means=belief.mean[None] + apart, cov_sqrt=np.stack([narrow, narrow])
    )
    assert two.std[LAYOUT.index("x")] > 0.33 * CELL
    twin_session.belief = two
    twin_session.follow([], belief.time + 1_000_000)
    assert twin_session.belief.circular_uniform == ()
    assert len(twin_session.belief.weights) == 2
    spread = np.full(len(LAYOUT), 1e-2)
    spread[LAYOUT.index("x")] = 0.5 * CELL
    twin_session.belief = dataclasses.replace(
        belief, weights=np.ones(1), means=belief.mean[None], cov_sqrt=np.diag(spread)[None]
    )
    twin_session.follow([], belief.time + 2_000_000)
    assert twin_session.belief.circular_uniform == ("x", "y")
