"""Ranges, modes and arithmetic: what they rule out, and what they leave alone though it is unusual."""

from typing import Any

import numpy as np
import pytest

from reconstruct.validation.judgement.causes import rejections
from reconstruct.validation.judgement.verdict import numbers
from reconstruct.validation.recording import distinct, merged, validate_recording
from reconstruct.validation.rules.arithmetic import repeats, rules, usable
from reconstruct.validation.rules.ranges import impossible, out_of_mode, projection, unlike_pixels
from tests.reconstruct.validation.made import claims_of
from twin.records import Axis, Claim, Signal


def signal_of(claims, shape=(128, 128), kind: Any = "image", repeated=None):
    axes = tuple(Axis(name, size, 1.0, 0.0, None) for name, size in zip("tyx"[-len(shape) :], shape, strict=True))
    return Signal(np.zeros(shape), axes, kind, "", "", "test", claims, repeated or {})


def broken(claims, shape=(128, 128), kind="image"):
    """Names of rules that the claims break."""
    evidence = usable(rules(claims, signal_of(claims, shape, kind)), claims)
    return {evidence[item.evidence].name for item in rejections(evidence, numbers(claims), 0.01)}


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("convergence_semiangle", -0.0288, "negative"), ("high_tension", 2e8, "outside"), ("high_tension", 300.0, "thousands"),
        ("stage__alpha", 25.0, "degrees"), ("camera_length", 0.378, "metres"), ("C10", float("inf"), "outside"),
    ],
)  # fmt: skip
def test_what_no_microscope_has(field, value, words):
    (item,) = impossible(claims_of(**{field: value}))
    assert item.field == field.replace("__", ".")
    assert words in item.words


def test_negative_kelvins_are_degrees_celsius():
    (item,) = impossible(claims_of(temperature=-12.5))
    assert (item.cause, item.suggested) == ("Celsius for kelvin", pytest.approx(260.65))
    (colder,) = impossible(claims_of(temperature=-300.0))
    assert (colder.cause, colder.suggested) == ("", None)


def test_zero_of_a_scale_is_not_reported_and_signed_values_may_be_zero():
    assert not list(impossible(claims_of(emission=0.0, beam_current=0.0, C10=0.0, stage__alpha=0.0)))


def test_camera_lengths_of_images_and_magnifications_of_patterns_are_stale():
    image = claims_of(pixel__x=2.0, pixel__y=2.0, camera_length=4e9)
    assert [item.field for item in out_of_mode(image, {})] == ["camera_length"]
    assert not list(out_of_mode({**image, **claims_of(dwell=1e-5)}, {})), "a scanned image is made in diffraction"
    pattern = claims_of(pixel__kx=0.01, pixel__ky=0.01, camera_length=4e9, magnification=2e5)
    assert [item.field for item in out_of_mode(pattern, {})] == ["magnification"]


@pytest.mark.parametrize(
    ("text", "mode"),
    [("2", "image"), ("1", "diffraction"), ("DIFFRACTION", "diffraction"), ("Image Mag", "image"), ("?", "")],
)
def test_names_of_modes(text, mode):
    assert projection({"projection_mode": Claim(text, None, "mode")}) == mode


def test_pixels_that_are_not_square():
    assert [item.field for item in unlike_pixels(claims_of(pixel__x=10.0, pixel__y=2.0))] == ["pixel.x", "pixel.y"]
    assert not list(unlike_pixels(claims_of(pixel__x=1.0, pixel__y=1.1)))


def test_times_of_a_scan():
    right = claims_of(dwell=1e-5, line_time=1.93e-3, frame_time=0.24706, pixel__x=1.0, pixel__y=1.0)
    assert not broken(right)
    assert broken({**right, **claims_of(dwell=4e-5)}) == {"a line takes its pixels' time and a flyback"}
    assert broken({**right, **claims_of(dwell=1e-6)}) == {"a line takes its pixels' time and a flyback"}
    assert broken({**right, **claims_of(frame_time=0.5)}) == {"a frame takes its lines' time"}


def test_spectra_have_the_times_of_another_scan():
    claims = claims_of(dwell=1e-5, frame_time=3e-3, dispersion=0.2)
    assert not broken(claims, (5, 5, 64), "spectrum-image")


def test_fields_of_view_and_dose():
    assert not broken(claims_of(pixel__x=1.0, field_of_view__x=128.0))
    assert not broken(claims_of(pixel__x=1.0, field_of_view__x=127.0)), "from centre to centre"
    assert broken(claims_of(pixel__x=1.05, field_of_view__x=128.0)) == {"field of view = pixels x pixel size along x"}
    current, dwell = 1e-11, 1e-5
    dose = current * dwell / 1.602176634e-19 / 0.04
    scan = claims_of(pixel__x=0.2, pixel__y=0.2, beam_current=current, dwell=dwell, dose=dose)
    assert not broken(scan)
    assert broken({**scan, **claims_of(dose=10.0 * dose)}) == {"dose = current x dwell time / area of a pixel"}


def test_a_recording_takes_at_least_its_pixels_time():
    times = {
        "time.start": Claim(0, "nanosecond", "a", zone="local", step=1e9),
        "time.end": Claim(600 * 10**9, "nanosecond", "b", zone="local", step=1e9),
    }
    claims = {**claims_of(dwell=0.02, rows=218.0, columns=132.0), **times}
    assert not broken(claims, (2, 2, 64), "spectrum-image")
    assert broken({**claims, **claims_of(dwell=0.2)}, (2, 2, 64), "spectrum-image") == {
        "the pixels' time fits between start and end"
    }


def test_patterns_of_cameras_of_known_pixels():
    # 14 um / (0.0250793 angstrom x 320 mm) is 0.0174 / nm; an UltraScan whose own magnification is 1.3 is none of a fault
    camera = {"detector": Claim("BM-UltraScan", None, "detector")}
    claims = claims_of(pixel__kx=1.7443e-3, camera_length=3.2e9, high_tension=200e3, binning__x=1.0)
    assert not broken({**claims, **camera})
    assert not broken({**claims, **claims_of(pixel__kx=1.7443e-3 / 1.32), **camera})
    assert broken({**claims, **claims_of(pixel__kx=1.7443e-2), **camera})


def test_numbers_that_are_stated_twice():
    claims = claims_of(high_tension=200e3, dispersion=0.5, binning__x=2.0)
    other = {
        "high_tension": (Claim(300e3, "volt", "there", "300 kV"),),
        "dispersion": (Claim(0.25, "electronvolt", "there"),),
    }
    (item,) = repeats(claims, other)
    assert item.field == "high_tension"
    assert "there" in item.words
    assert not list(repeats(claims, {"high_tension": (Claim(199990.3, "volt", "there"), Claim(0.0, "volt", "zero"))}))


def test_contradictions_of_a_field_become_one():
    first, second = (next(iter(impossible(claims_of(convergence_semiangle=value)))) for value in (-0.02, 7.0))
    (item,) = merged([first, second])
    assert first.words in item.words
    assert second.words in item.words


def test_several_detectors_of_a_scan_are_one_recording():
    claims = claims_of(high_tension=200e3)
    small, large = signal_of(claims, (4, 4)), signal_of({**claims, "detector": Claim("HAADF", None, "d")}, (8, 8))
    assert distinct([small, large]) == [large]
    assert len(distinct([small, signal_of(claims_of(high_tension=300e3))])) == 2


def test_data_that_claim_nothing_have_no_verdicts():
    result = validate_recording("empty", signal_of({}))
    assert result.verdicts == ()
    assert result.agrees
