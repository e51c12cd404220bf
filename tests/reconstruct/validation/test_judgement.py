"""Verdicts on claims by evidence made by hand: what disagrees, which cause explains it, what is suggested, and at which rate correct claims do."""

import math

import numpy as np
import pytest

from reconstruct.validation.evidence import Contradiction, Evidence, Gap
from reconstruct.validation.judgement.causes import critical, explain, rejections
from reconstruct.validation.judgement.estimates import estimates, power
from reconstruct.validation.judgement.verdict import judge, numbers
from tests.reconstruct.validation.made import claims_of, linear, measured, mixed
from twin.optics.electrons import wavelength

RATE = 0.01
PIXELS = [
    measured("x by the lattice", {"pixel.x": 1.0}, 0.2, 2e-3),
    measured("y by the lattice", {"pixel.y": 1.0}, 0.2, 2e-3),
]
DISK = measured("disk", {"convergence_semiangle": 1.0, "pixel.angle.x": -0.5, "pixel.angle.y": -0.5}, 20.0, 3e-3)


def top(evidence, **claimed):
    """The likeliest explanation's causes, and the judgement."""
    result = judge(claims_of(**claimed), evidence, [], [], RATE)
    return [change.cause for change in result.explanations[0].changes] if result.explanations else [], result


def verdict(result, field):
    return next(item for item in result.verdicts if item.field == field)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("claimed", "cause"),
    [
        ({"pixel__x": 0.21, "pixel__y": 0.21}, "pixel size"), ({"pixel__x": 0.2, "pixel__y": 0.21}, "non-square pixels"),
        ({"pixel__x": 2.0, "pixel__y": 2.0}, "unit or prefix"), ({"pixel__x": 0.4, "pixel__y": 0.4}, "binning"),
    ],
)  # fmt: skip
def test_errors_of_a_pixel_are_told_apart(claimed, cause):
    causes, result = top(PIXELS, **claimed)
    assert causes == [cause]
    for name, value in claimed.items():
        item = verdict(result, name.replace("__", "."))
        if value == 0.2:
            continue
        assert item.status == "disagrees"
        assert item.suggested == pytest.approx(0.2, rel=1e-6)
        assert item.error == pytest.approx(0.2 * 2e-3, rel=1e-3)
        assert item.size == pytest.approx(value / 0.2 - 1.0)


def test_swapped_axes_are_called_so():
    evidence = [measured("x", {"pixel.x": 1.0}, 0.2, 2e-3), measured("y", {"pixel.y": 1.0}, 0.24, 2e-3)]
    assert top(evidence, pixel__x=0.24, pixel__y=0.2)[0] == ["axis swap"]


def test_the_field_of_view_goes_with_the_pixels():
    view = [
        measured(f"view {side}", {f"field_of_view.{side}": 1.0, f"pixel.{side}": -1.0}, 100.0, 2e-3, "arithmetic")
        for side in "xy"
    ]
    causes, result = top([*PIXELS, *view], pixel__x=0.21, pixel__y=0.21, field_of_view__x=21.0, field_of_view__y=21.0)
    assert causes == ["pixel size"]
    assert verdict(result, "field_of_view.x").suggested == pytest.approx(20.0, rel=2e-3)


def test_a_ratio_blames_both_of_its_sides_unless_the_factor_tells():
    causes, result = top([DISK], convergence_semiangle=0.022, pixel__angle__x=1e-3, pixel__angle__y=1e-3)
    assert {verdict(result, name).status for name in ("convergence_semiangle", "pixel.angle.x")} == {"disagrees"}
    assert len(result.explanations) > 1
    causes, result = top([DISK], convergence_semiangle=0.04, pixel__angle__x=1e-3, pixel__angle__y=1e-3)
    assert causes == ["full angle for semi-angle"]
    assert verdict(result, "convergence_semiangle").suggested == pytest.approx(0.02, rel=1e-6)
    # a pattern binned by two, whose pixel was not updated, looks the same and is rarer
    rival = verdict(result, "pixel.angle.x")
    assert rival.causes[0][0] == "binning"
    assert rival.causes[0][1] < 0.2


def test_a_wrong_voltage_is_told_by_angles_of_a_known_crystal():
    # spots 0.5/angstrom apart, 20 pixels: the pixel's angle is wavelength * 0.025
    spots = [measured(side, {f"pixel.angle.{side}": 1.0, "wavelength": -1.0}, 0.025, 3e-3) for side in "xy"]
    angle = 0.025 * wavelength(200e3)
    causes, result = top(spots, high_tension=300e3, pixel__angle__x=angle, pixel__angle__y=angle)
    assert causes == ["high tension"]
    assert verdict(result, "high_tension").suggested == pytest.approx(200e3, rel=0.01)


def test_signs_and_turns():
    assert top([linear("rings", "C10", -1500.0, 60.0)], C10=1500.0)[0] == ["defocus sign"]
    assert top([linear("scan", "pattern_rotation", 0.4, 0.02, 2 * math.pi)], pattern_rotation=0.4 - math.pi)[0] == [
        "half turn"
    ]
    assert top([linear("scan", "pattern_rotation", 0.4, 0.02, 2 * math.pi)], pattern_rotation=math.degrees(0.4))[0] == [
        "degrees for radians"
    ]


def test_two_faults_of_a_file_are_both_named():
    tilt = linear("log", "stage.alpha", 0.3, 1e-3)
    causes, _ = top([*PIXELS, tilt], pixel__x=0.22, pixel__y=0.22, stage__alpha=math.degrees(0.3))
    assert sorted(causes) == ["degrees for radians", "pixel size"]


def test_a_claim_between_two_readings_agrees_with_neither():
    both = mixed("rings", "C10", [(0.5, -1000.0, 20.0), (0.5, 1000.0, 20.0)])
    assert rejections([both], {"C10": 0.0}, RATE)
    assert not rejections([both], {"C10": 1020.0}, RATE)
    assert not rejections([both], {"C10": -980.0}, RATE)


def test_tails_are_tails_of_one_reading():
    tailed = mixed("lattice", "stage.x", [(0.9, 0.0, 1.0), (0.1, 0.0, 10.0)])
    assert not rejections([tailed], {"stage.x": 6.0}, RATE)
    assert rejections([tailed], {"stage.x": 60.0}, RATE)
    estimate = estimates([tailed], {"stage.x": 6.0}, ["stage.x"])["stage.x"]
    assert estimate.value == pytest.approx(0.0, abs=1e-9)
    assert estimate.error == pytest.approx(math.sqrt(0.9 + 10.0))


def test_arithmetic_contradicts_and_does_not_confirm():
    rule = measured("frame", {"frame_time": 1.0, "line_time": -1.0}, 100.0, 2e-3, "arithmetic")
    _, result = top([rule], frame_time=1.0, line_time=0.01)
    assert {item.status for item in result.verdicts} == {"unverifiable"}
    assert "consistent within the file" in result.verdicts[0].words
    _, result = top([rule], frame_time=4.0, line_time=0.01)
    assert "disagrees" in {item.status for item in result.verdicts}


def test_what_has_no_evidence_says_what_would_verify_it():
    gaps = [Gap(("camera_length",), "no pattern", "Record one.")]
    result = judge(claims_of(camera_length=1e9, emission=0.0), [], [], gaps, RATE)
    assert verdict(result, "camera_length").cure == "Record one."
    assert verdict(result, "emission").words == "0 means that it was not reported"


def test_what_is_ruled_out_is_no_evidence_for_others():
    contradiction = Contradiction("convergence_semiangle", "disagrees", "it is negative")
    claims = claims_of(convergence_semiangle=-0.02, pixel__angle__x=1e-3, pixel__angle__y=1e-3)
    result = judge(claims, [DISK], [contradiction], [], RATE)
    assert verdict(result, "convergence_semiangle").status == "disagrees"
    assert verdict(result, "pixel.angle.x").status == "unverifiable"


def test_the_rate_of_false_alarms_is_that_of_the_file():
    """5 fields of 4000 correct files at a rate of 5 %: the share with any finding lies within three sampling errors; with errors said too small it does not."""
    generator, files, rate = np.random.default_rng(0), 4000, 0.05
    names = ("high_tension", "camera_length", "dwell", "exposure", "magnification")

    def share(understated: float) -> float:
        alarms = 0
        for _ in range(files):
            evidence = [
                measured(name, {name: 1.0}, math.exp(0.01 * generator.standard_normal()), understated * 0.01)
                for name in names
            ]
            alarms += bool(rejections(evidence, dict.fromkeys(names, 1.0), rate))
        return alarms / files

    assert abs(share(1.0) - rate) < 3.0 * math.sqrt(rate * (1 - rate) / files)
    assert share(0.6) > 3.0 * rate


@pytest.mark.parametrize("size", [0.005, 0.01, 0.02])
def test_predicted_power_is_the_share_that_is_found(size):
    generator, files = np.random.default_rng(1), 600
    claimed: dict[str, float] = {"pixel.x": 1.0 + size, "pixel.y": 1.0 + size}
    truth: dict[str, float] = {"pixel.x": 1.0, "pixel.y": 1.0}

    def made(noise: np.ndarray) -> list[Evidence]:
        return [
            measured(name, {name: 1.0}, math.exp(4e-3 * draw), 4e-3) for name, draw in zip(truth, noise, strict=True)
        ]

    share = np.mean([bool(rejections(made(generator.standard_normal(2)), claimed, RATE)) for _ in range(files)])
    predicted = power(made(np.zeros(2)), truth, claimed, RATE)
    assert abs(share - predicted) < 3.0 * math.sqrt(max(predicted * (1 - predicted), 0.01) / files) + 0.02


def test_holm_lets_the_second_test_be_easier():
    assert critical(1, 0.05) == pytest.approx(1.96, abs=0.005)
    assert critical(2, 0.05) > critical(1, 0.05)
    evidence = [measured("x", {"pixel.x": 1.0}, 1.0, 0.01), measured("y", {"pixel.y": 1.0}, 1.0, 0.01)]
    second = math.exp(0.01 * 0.5 * (critical(1, RATE) + critical(2, RATE)))
    assert len(rejections(evidence, {"pixel.x": 2.0, "pixel.y": second}, RATE)) == 2
    assert not rejections(evidence, {"pixel.x": 1.0, "pixel.y": second}, RATE)


def test_numbers_leave_out_what_is_not_reported():
    claims = claims_of(emission=0.0, C10=0.0, high_tension=float("nan"), pixel__x=0.2)
    assert numbers(claims) == {"C10": 0.0, "pixel.x": 0.2}


def test_nothing_is_explained_where_nothing_disagrees():
    assert explain(PIXELS, {"pixel.x": 0.2, "pixel.y": 0.2}, RATE) == []


def test_what_is_suggested_without_a_cause_does_not_rest_on_claims_that_follow_from_the_field():
    lattice = measured("lattice", {"pixel.y": 1.0}, 0.2, 3e-3)
    view = measured("view", {"field_of_view.y": 1.0, "pixel.y": -1.0}, 100.0, 2e-3, "arithmetic")
    result = judge(claims_of(pixel__y=0.21, field_of_view__y=21.0), [lattice, view], [], [], RATE)
    assert not result.explanations, "a pixel along one axis alone has no class of fault"
    assert verdict(result, "pixel.y").status == "disagrees"
    assert verdict(result, "pixel.y").suggested == pytest.approx(0.2, rel=1e-6)
