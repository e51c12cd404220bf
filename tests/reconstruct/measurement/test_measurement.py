"""Measurements: moments of what is ambiguous, intervals, what reaches a belief, refusals."""

import numpy as np
import pytest

from reconstruct.measurement.measurement import Component, Measurement, select_quantities, withhold
from reconstruct.measurement.outcome import DETERMINED, NO_FIT, FitCheck


def two_signs() -> Measurement:
    covariance = np.array([[4.0, 0.1], [0.1, 0.01]])
    return Measurement(
        "ronchigram",
        ("C10", "gain"),
        ("angstrom", "1"),
        (Component(0.25, np.array([-50.0, 1.0]), covariance), Component(0.75, np.array([50.0, 1.1]), covariance)),
    )


def test_moments_are_those_of_samples():
    measurement = two_signs()
    generator = np.random.default_rng(0)
    which = generator.random(400_000) < 0.75
    draws = np.where(which[:, None], measurement.components[1].mean, measurement.components[0].mean)
    draws = draws + generator.multivariate_normal(np.zeros(2), measurement.components[0].covariance, len(draws))
    np.testing.assert_allclose(measurement.mean, draws.mean(axis=0), atol=0.2)
    np.testing.assert_allclose(measurement.covariance, np.cov(draws.T), rtol=0.01, atol=0.01)


def test_an_interval_of_two_signs_holds_both_but_nothing_far_off():
    measurement = two_signs()
    assert measurement.covers("C10", -50.0)
    assert measurement.covers("C10", 50.0)
    assert not measurement.covers("C10", 55.0)
    assert not measurement.covers("C10", -55.0)


def test_what_reaches_a_belief_has_the_same_covariance_whatever_the_units():
    covariance = np.array([[1e6, 2e-3], [2e-3, 1e-11]])
    measurement = Measurement("x", ("a", "b"), ("angstrom", "radian"), (Component(1.0, np.zeros(2), covariance),))
    np.testing.assert_allclose(measurement.observation(7).covariance, covariance, rtol=1e-8)
    assert measurement.observation(7).usable


def test_what_is_not_determined_stays_out_of_the_belief():
    measurement = Measurement(
        "x",
        ("a", "b"),
        ("angstrom", "radian"),
        (Component(1.0, np.zeros(2), np.eye(2)),),
        undetermined={"b": "one image cannot tell"},
    )
    assert measurement.observation(0).names == ("a",)
    alone = Measurement("x", ("b",), ("radian",), (Component(1.0, np.zeros(1), np.eye(1)),), {"b": "one lattice row"})
    with pytest.raises(ValueError, match="one lattice row"):
        alone.observation(0)


@pytest.mark.parametrize(
    "covariance", [np.diag([1.0, 0.0]), np.diag([1.0, np.nan]), np.array([[1.0, 2.0], [2.0, 1.0]])]
)
def test_an_invalid_covariance_is_refused(covariance):
    with pytest.raises(ValueError, match=r"positive|finite"):
        Measurement("x", ("a", "b"), ("1", "1"), (Component(1.0, np.zeros(2), covariance),))


def test_texts_of_an_estimator_call_inputs_as_the_user_does():
    from reconstruct.measurement.outcome import FitCheck
    from reconstruct.measurement.recorded.inputs import Wording
    from reconstruct.measurement.recorded.known import Pacbed
    from reconstruct.measurement.recorded.result import name_inputs
    from scenarios.measure.given import OptionWording
    from scenarios.measure.kinds import PacbedOptions

    measured = Measurement(
        "x", ("a",), ("1",), (Component(1.0, np.zeros(1), np.eye(1)),), {"a": "raise {thickest}"},
        checks=(FitCheck("c", 2.0, 1.0, "leave it out with {mask}; share {0.5}"),), contradictions=("check {gain}",), notes=("see {zone}",),
    )  # fmt: skip
    python, options = Wording(Pacbed), OptionWording("pacbed", PacbedOptions)
    for words, labels in (
        (python, ("thickest", "mask", "gain", "zone")),
        (options, ("--thickest-nm", "--mask", "--gain", "--zone")),
    ):
        named = name_inputs(measured, words.named)
        texts = (named.undetermined["a"], named.checks[0].finding, named.contradictions[0], named.notes[0])
        expected = ("raise {}", "leave it out with {}; share {{0.5}}", "check {}", "see {}")
        assert texts == tuple(text.format(label) for text, label in zip(expected, labels, strict=True))


@pytest.mark.parametrize("value, passes", [(0.9, True), (1.1, False), (float("nan"), False)])
def test_a_failed_check_takes_all_quantities_back(value, passes):
    fitted = Measurement(
        "test", ("x", "y"), ("angstrom", "1"), (Component(1.0, np.array([3.0, 4.0]), np.diag([0.1, 0.2])),),
        checks=(FitCheck("share", value, 1.0, "a ring at 3.7 angstrom"),),
    )  # fmt: skip
    prior = Component(0.3, np.zeros(2), np.diag([100.0, 400.0]))
    result = withhold(fitted, prior)
    if passes:
        assert result is fitted
        assert result.outcome == DETERMINED
        return
    assert result.outcome == NO_FIT
    np.testing.assert_array_equal(result.covariance, prior.covariance)
    assert set(result.undetermined.values()) == {"the model does not fit: a ring at 3.7 angstrom"}
    with pytest.raises(ValueError, match="determines nothing"):
        result.observation(0)
    assert result.withheld is fitted
    renamed = select_quantities(result, {"x": ("x_nm", "1", 0.1)})
    assert renamed.withheld is not None
    assert renamed.withheld.value("x_nm") == pytest.approx((0.3, 0.1 * np.sqrt(0.1)))
