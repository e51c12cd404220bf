"""Each reason alone ends trust; a healthy session stays trusted."""

import dataclasses

import numpy as np
import pytest

from learn.discrepancy.trust import Limits, Trust, misfit_excess

HEALTHY = {"misfit_excess": 0.0, "discrepancy_above": 0.01, "tension": 6.0, "tension_dof": 6.0, "inflation": 1.0}
LIMITS = Limits()


@pytest.mark.smoke
def test_nothing_wrong_keeps_it():
    trust = Trust()
    for _ in range(30):
        trust = trust.update(**HEALTHY, limits=LIMITS)
    assert not trust.distrusted
    assert (trust.images, trust.tension, trust.tension_dof) == (30, 180.0, 180.0)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"misfit_excess": LIMITS.misfit + 0.1}, "sigmas worse than counting"),
        ({"discrepancy_above": LIMITS.certainty + 0.01}, "discrepancy exceeds"),
        ({"tension": 80.0}, "an image needs parameters"),
        ({"inflation": LIMITS.inflation + 0.01}, "times their standard deviations"),
    ],
)
def test_each_limit_alone(wrong, reason):
    trust = Trust().update(**{**HEALTHY, **wrong}, limits=LIMITS)
    assert trust.distrusted
    assert reason in trust.broken
    # and it stays lost
    assert trust.update(**HEALTHY, limits=LIMITS).broken == trust.broken


def test_little_tensions_add_up():
    """Twice the tension that is due, in each of many images: none alone is a reason."""
    trust, images = Trust(), 0
    while not trust.distrusted and images < 40:
        trust, images = trust.update(**{**HEALTHY, "tension": 14.0}, limits=LIMITS), images + 1
    assert "images together" in trust.broken
    assert images > 3


@pytest.mark.parametrize("electrons", [0.5, 5.0])
def test_the_misfit_of_few_electrons_scatters_as_it_says(electrons):
    """3,000 images of a lattice counted with so many electrons a pixel, the model off by a smooth tenth: as many sigmas as a sigma should be."""
    generator = np.random.default_rng(1)
    position = np.arange(64) / 64.0
    image = electrons * (1.0 + 0.8 * np.cos(2.0 * np.pi * position))
    smooth = np.exp(-0.5 * ((position[:, None] - position[None, :]) / 0.1) ** 2) + 1e-9 * np.eye(64)
    model = 0.01 * image[:, None] * image[None, :] * smooth
    covariance, root = model + np.diag(image), np.linalg.cholesky(model + 1e-12 * np.eye(64))
    # what a model is off by changes what is counted only in the second order here
    counted = generator.poisson(image, (3000, 64)) - image + generator.standard_normal((3000, 64)) @ root.T
    excess = np.array([misfit_excess(counts, covariance, image, 64.0) for counts in counted])
    normal = np.array([misfit_excess(counts, covariance, np.zeros(64), 64.0) for counts in counted])
    assert abs(excess.mean()) < 4.0 / np.sqrt(3000)
    assert excess.std() == pytest.approx(1.0, abs=0.06)
    # the spread that Gaussian noise would have is too small
    assert normal.std() > (1.5 if electrons < 1.0 else 1.05)


def test_a_healthy_stream_is_seldom_distrusted():
    """20,000 images in 2,000 sessions whose tension is chi-squared and whose misfit is normal: a few in 1,000, as the limits say."""
    generator = np.random.default_rng(0)
    lost = np.zeros(2000, dtype=bool)
    for session in range(len(lost)):
        trust = Trust()
        for _ in range(10):
            tension_dof = generator.uniform(3.0, 12.0)
            tension = generator.chisquare(tension_dof)
            trust = trust.update(generator.standard_normal(), 0.02, float(tension), float(tension_dof), 1.0, LIMITS)
        lost[session] = trust.distrusted
    assert not lost[:200].any()
    assert lost.mean() < 0.005
    # with a limit of 1 % the false-alarm rate of the same stream is about 1 %, so the statistic has the stated distribution
    loose = dataclasses.replace(LIMITS, tension=2.0)
    alarms = sum(
        Trust().update(0.0, 0.0, float(generator.chisquare(8.0)), 8.0, 1.0, loose).distrusted for _ in range(4000)
    )
    assert 0.005 < alarms / 4000 < 0.016
