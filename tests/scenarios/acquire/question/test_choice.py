"""The next image of a question: the cheapest way to what is asked."""

import numpy as np
import pytest

from learn.design.ambiguity import Components, Response
from reconstruct.inference.belief import cov_sqrt_of
from scenarios.acquire.question.choice import MOST_REPEATS, Choice, choose

COVARIANCE = np.array([[9.0, 2.0, 0.0], [2.0, 4.0, 0.5], [0.0, 0.5, 1.0]])
ROW = np.array([[1.0, 0.0, 0.0]])
RNG = np.random.default_rng(3)
JACOBIAN = 0.1 * RNG.normal(size=(5, 3))
ONE = Components(np.ones(1), np.zeros((1, 3)), cov_sqrt_of(COVARIANCE)[None])


def after(count: int) -> float:
    """By adding informations of the state."""
    whole = np.linalg.inv(np.linalg.inv(COVARIANCE) + count * JACOBIAN.T @ JACOBIAN)
    return float((ROW @ whole @ ROW.T)[0, 0])


def image(strength: float, electrons: float) -> Response:
    return Response(np.zeros((1, 5)), np.sqrt(strength) * JACOBIAN[None], electrons)


def chosen(asked: float, responses: list[Response], components: Components = ONE) -> Choice:
    return choose(components.variances(ROW), [components] * len(responses), ROW, np.array([asked]), responses)


def test_repeated_images_reach_what_is_asked() -> None:
    made = chosen(np.sqrt(after(7)) * (1.0 + 1e-6), [image(1.0, 10.0)])
    assert (made.images, made.electrons) == (7, 70.0)
    assert made.expected == pytest.approx((np.sqrt(after(1)),), rel=1e-9)


def test_the_fewest_electrons_in_all_are_chosen() -> None:
    asked = float(1.001 * np.sqrt(after(10)))
    assert chosen(asked, [image(1.0, 10.0), image(5.0, 40.0)]).number == 1  # 2 of 40 instead of 10 of 10
    assert chosen(asked, [image(1.0, 10.0), image(5.0, 60.0)]).number == 0


def test_two_images_unlike_each_other_may_be_cheaper_than_many_alike() -> None:
    along, across = np.array([[[1.0, 1.0, 0.0]]]), np.array([[[1.0, -1.0, 0.0]]])
    responses = [Response(np.zeros((1, 1)), each, 10.0) for each in (along, across)]
    wide = ONE._replace(roots=cov_sqrt_of(np.diag([100.0, 100.0, 1.0]))[None])
    made = chosen(0.75, responses, wide)
    assert (made.images, made.electrons) == (2, 20.0)
    assert chosen(0.75, responses[:1], wide).images is None


def test_an_image_that_tells_two_defoci_apart_comes_first() -> None:
    # components 40 apart: the first image is the more precise within each, and the same for both
    both = Components(np.full(2, 0.5), np.array([[20.0, 0.0, 0.0], [-20.0, 0.0, 0.0]]), np.repeat(ONE.roots, 2, 0))
    alike = Response(np.zeros((2, 5)), np.repeat(3.0 * JACOBIAN[None], 2, 0), 10.0)
    unlike = Response(np.array([[4.0] * 5, [-4.0] * 5]), np.repeat(JACOBIAN[None], 2, 0), 10.0)
    assert chosen(2.5, [alike, unlike], both).number == 1
    assert chosen(2.5, [alike, unlike._replace(images=alike.images)], both).images is None


def test_what_no_image_reaches_is_lowered_most_per_electron() -> None:
    made = chosen(1e-6, [image(0.0, 1.0), image(1.0, 10.0)])
    assert (made.number, made.images) == (1, None)
    assert made.electrons == MOST_REPEATS * 10.0
