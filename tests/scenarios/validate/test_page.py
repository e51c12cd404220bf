"""The page of a validation: all findings and fields, self-contained, escaped, bounded, and with pictures that show something."""

import base64
import dataclasses
import datetime
import html
import io
import math
import re
import time
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from reconstruct.validation.evidence import Contradiction, Evidence, Picture, Since, Statement, gaussian
from reconstruct.validation.sensors.evidence import TrackPicture
from scenarios.validate.options import ValidateOptions
from scenarios.validate.output.findings import findings_of, title
from scenarios.validate.page import page_of
from scenarios.validate.page.document import MOST_SECTIONS
from scenarios.validate.page.pictures import MOST_EVIDENCE, MOST_FIELDS, MOST_FINDINGS
from scenarios.validate.page.points import points_on
from scenarios.validate.page.recordings import draw_evidence, draw_signal
from scenarios.validate.page.tables import GROUPS, dots, group_of
from tests.scenarios.validate.made import START, claims, lattice, session, signal, validated, wrong_pixels
from twin.channels import FIELDS
from twin.optics.electrons import wavelength
from twin.records import Axis, Signal

OPTIONS = ValidateOptions((Path("/data"),))
NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)


def page(*files):
    return page_of(session(*files), OPTIONS, NOW)


def images(text):
    return re.findall(r'src="data:image/(png|jpeg|svg\+xml);base64,([^"]+)"', text)


def pixels(kind, content):
    return matplotlib.image.imread(io.BytesIO(base64.b64decode(content)), format="png" if kind == "png" else "jpg")


@pytest.mark.smoke
def test_page_holds_every_finding_and_every_field():
    recording = wrong_pixels(C10=-20.0, convergence_semiangle=-0.03, detector="HAADF", stage__x=1234.5, spot_size=3)
    text = html.unescape(page(recording)).replace("<wbr>", "")
    assert len(recording.findings) == 3
    for item in recording.verdicts:
        assert f"<b>{item.field}</b>" in text
        assert f"“{item.claim.text}” in {item.claim.key}" in text
    assert "convergence_semiangle: -30 mrad cannot be" in text
    assert "pixel.x and pixel.y: both 5 % too large" in text
    assert "https://purls.helmholtz-metadaten.de/emg/EMG_00000004" in text
    assert "3 fields disagree with the evidence." in text
    assert "2026-03-01 12:00 UTC" in text
    assert "of correct files, over all their fields" in text


def test_page_loads_nothing_from_elsewhere():
    text = page(wrong_pixels(), wrong_pixels("b.emd", time__start=START + 60_000_000_000))
    assert not re.search(r"""src\s*=\s*["'](?!data:)""", text)
    assert not re.search(r"@import|url\(", text)
    assert "<script" not in text
    assert "<link" not in text
    links = re.findall(r'href="([^"#][^"]*)"', text)
    assert set(links) == {"https://purls.helmholtz-metadaten.de/emg/EMG_00000004"}


def test_hostile_text_is_escaped():
    hostile = "<script>alert(1)</script>"
    recording = validated(
        signal(hostile, pixel__x=0.105, pixel__y=0.105, instrument=hostile, detector='"><img src=x>'), lattice(0.1, 0.1)
    )
    text = page(recording, (hostile, hostile))
    assert "<script" not in text
    assert "<img src=x" not in text
    assert html.escape(hostile) in text


def test_every_finding_has_a_picture_that_is_not_blank():
    recording = wrong_pixels(convergence_semiangle=-0.03)
    text = page(recording)
    sections = re.findall(r'<section class="finding.*?</section>', text, re.S)
    assert len(sections) == 2
    for section in sections:
        shown = images(section)
        assert len(shown) >= 2
        for kind, content in shown:
            assert pixels(kind, content).std() > 0.02 * pixels(kind, content).max()
            assert len(content) < 60_000


CONTRADICTED = {
    "outside": signal(camera_length=1e13, high_tension=200e3),
    "negative": signal(convergence_semiangle=-0.03),
    "signed": signal(C10=3e9),
    "pixels": signal(pixel__x=10.0, pixel__y=2.0),
    "repeated": signal(repeated={"high_tension": (claims(high_tension=80e3)["high_tension"],)}, high_tension=200e3),
    "stale": signal(pixel__x=1.0, pixel__y=1.0, camera_length=3.78e9, time__start=START),
}


@pytest.mark.parametrize("kind", CONTRADICTED)
def test_contradictions_are_drawn(kind):
    recording = validated(CONTRADICTED[kind])
    assert recording.findings
    for section in re.findall(r'<section class="finding.*?</section>', page(recording), re.S):
        first, *_ = images(section)
        assert pixels(*first).std() > 0.0
        assert 'alt="the recording' not in section.split("</figure>")[0]


def test_contradicted_times_are_drawn_on_one_axis():
    item = Contradiction("time.end", "disagrees", "the end is before the start", "stale timestamp")
    recording = validated(signal(time__start=START, time__end=START - 10**10), contradictions=(item,))
    assert "the times that the file states" in page(recording)


def test_stale_values_are_drawn_over_the_files():
    files = [
        validated(
            signal(pixel__x=1.0, pixel__y=1.0, camera_length=3.78e9, time__start=START + step * 10**10), name=str(step)
        )
        for step in range(3)
    ]
    text = page(*files)
    assert "camera_length of all files over time" in text
    assert len(findings_of(session(*files).files)) == 1, "one value that several files share is one finding"
    assert "and 2 more" in text
    assert "The session in time" in text
    assert "claims of the files over time" in text


def test_files_that_were_not_validated_are_named():
    text = page(wrong_pixels(), ("is cut short", "Copy it again."))
    assert "1 of 2 files could not be validated" in text
    assert "Not validated: is cut short. Copy it again." in text
    assert "Nothing could be validated." in page(("is cut short", "Copy it again."))


@pytest.mark.slow
def test_page_of_many_files_is_bounded():
    few = [
        wrong_pixels(f"{number}", time__start=START + number * 10**10, pixel__x=0.103 + 1e-4 * number)
        for number in range(10)
    ]
    good = validated(signal(high_tension=200e3, pixel__x=0.1, pixel__y=0.1), lattice(0.1, 0.1))
    files, good = few * 10, [good] * 100
    done = session(*files, *good)
    begun = time.process_time()
    text = page_of(done, OPTIONS, NOW)
    assert time.process_time() - begun < 10.0
    assert len(images(text)) <= MOST_FINDINGS * (MOST_FIELDS + MOST_EVIDENCE) + 1
    assert len(text) < MOST_FINDINGS * 3 * 60_000
    assert text.count('<section class="file"') == MOST_SECTIONS
    assert f"The {MOST_FINDINGS} largest are drawn; pictures of {100 - MOST_FINDINGS} are left out." in text
    assert f"{100 - MOST_SECTIONS} more files have findings" in text
    for number in range(1, 201):
        assert f"file-{number}.emd" in text


def test_findings_are_sorted_by_size_and_grouped_by_cause():
    recording = wrong_pixels(thickness=100.0, dwell=1e-6)
    words = Statement("thickness by a log ratio", {"thickness": 1.0})
    thick = Evidence("log ratio", "data", (words,), gaussian([math.log(50.0)], [0.01]), "It is thinner.")
    both = validated(recording.signal, lattice(0.1, 0.1), thick)
    findings = findings_of(session(both).files)
    assert [title(item) for item in findings] == [
        "thickness: 2 times too large",
        "pixel.x and pixel.y: both 5 % too large",
    ]
    assert findings[1].explanations[0].cause == "pixel size"


def test_points_are_solved_for_the_field_with_the_others_as_claimed():
    radius = 12.0
    disk = Evidence(
        "disk",
        "data",
        (Statement("radius", {"convergence_semiangle": 1.0, "pixel.angle.x": -1.0}),),
        gaussian([math.log(radius)], [0.01]),
        "",
    )
    recording = validated(signal(convergence_semiangle=0.02, pixel__angle__x=1.5e-3), disk)
    (angle,) = points_on("convergence_semiangle", recording)
    assert angle.value == pytest.approx(radius * 1.5e-3)
    assert angle.error == pytest.approx(0.01)
    (pixel,) = points_on("pixel.angle.x", recording)
    assert pixel.value == pytest.approx(0.02 / radius)


def test_pixels_along_x_and_y_in_one_statement_are_solved_for_together():
    terms = {"convergence_semiangle": 1.0, "pixel.angle.x": -0.5, "pixel.angle.y": -0.5}
    disk = Evidence("disk", "data", (Statement("radius", terms),), gaussian([math.log(10.0)], [0.01]), "")
    recording = validated(signal(convergence_semiangle=0.02, pixel__angle__x=1e-3, pixel__angle__y=1e-3), disk)
    for name in ("pixel.angle.x", "pixel.angle.y"):
        (point,) = points_on(name, recording)
        assert point.value == pytest.approx(2e-3)
        assert point.error == pytest.approx(0.01)


def test_rival_explanations_are_one_finding():
    disk = Evidence(
        "disk",
        "data",
        (Statement("radius", {"convergence_semiangle": 1.0, "pixel.angle.x": -0.5, "pixel.angle.y": -0.5}),),
        gaussian([math.log(10.0)], [5e-3]),
        "",
    )
    recording = validated(signal(convergence_semiangle=0.02, pixel__angle__x=1e-3, pixel__angle__y=1e-3), disk)
    (finding,) = findings_of(session(recording).files)
    assert [item.field for item in finding.verdicts] == ["convergence_semiangle"]
    assert {item.field for item in finding.rivals} == {"pixel.angle.x", "pixel.angle.y"}
    assert finding.explanations[0].cause == "full angle for semi-angle"
    assert sum(item.probability for item in finding.explanations) == pytest.approx(1.0)
    assert "<b>pixel.angle.x</b>" in page(recording).split('<section class="file"')[0]


def test_high_tension_is_solved_for_through_the_wavelength():
    spots = Evidence(
        "spots",
        "data",
        (Statement("spots", {"pixel.angle.x": 1.0, "wavelength": -1.0}),),
        gaussian([math.log(1e-3 / wavelength(80e3))], [1e-3]),
        "",
    )
    recording = validated(signal(high_tension=300e3, pixel__angle__x=1e-3), spots)
    (point,) = points_on("high_tension", recording)
    assert point.value == pytest.approx(80e3, rel=1e-5)
    assert 1e-3 < point.error < 3e-3


def test_readings_that_the_data_cannot_tell_apart_are_points_of_their_own():
    two = Evidence(
        "rings",
        "data",
        (Statement("defocus", {"C10": 1.0}, "linear"),),
        (*gaussian([-500.0], [5.0]), *gaussian([500.0], [5.0])),
        "",
    )
    points = points_on("C10", validated(signal(C10=500.0), two))
    assert sorted(point.value for point in points) == pytest.approx([-500.0, 500.0])


def test_recordings_are_drawn_by_what_they_are():
    spectrum = Signal(
        np.geomspace(1e6, 1.0, 256), (Axis("energy", 256, 0.5, 0.0, "electronvolt"),), "spectrum", "", "", "made"
    )
    patterns = Signal(
        np.random.default_rng(0).poisson(3.0, (2, 2, 32, 32)),
        tuple(Axis(name, size, 1e-3, 0.0, unit) for name, size, unit in zip("yxvu", (2, 2, 32, 32), ("angstrom",) * 2 + ("radian",) * 2, strict=True)),
        "image-stack", "", "", "made",
    )  # fmt: skip
    for item in (spectrum, patterns, signal()):
        address = draw_signal(item)
        assert address is not None
        ((kind, content),) = images(f'src="{address}"')
        assert pixels(kind, content).std() > 5.0 * (1.0 if kind == "jpeg" else 1 / 255)
    assert (
        draw_signal(
            Signal(
                np.zeros((0, 4)), (Axis("y", 0, 1.0, 0.0, None), Axis("x", 4, 1.0, 0.0, None)), "image", "", "", "made"
            )
        )
        is None
    )
    assert draw_evidence(Picture("unheard of", None, "")) is None


def test_a_track_shows_readings_claim_and_since_when_it_is_stale():
    times = START + np.arange(100) * 10**10
    mean = 20.0 + np.linspace(0.0, 1.0, 100)
    span, since = (int(times[60]), int(times[62])), Since("temperature", int(times[12]), 10**9, 1.0)
    readings = (times[::3], mean[::3])
    track = TrackPicture(
        "temperature", "kelvin", "holder.temperature", times, mean, np.full(100, 0.05), readings, span, 20.1, since
    )

    def drawn(**changes):
        address = draw_evidence(Picture("track", dataclasses.replace(track, **changes), ""))
        ((kind, content),) = images(f'src="{address}"')
        return pixels(kind, content)[..., :3]

    whole = drawn()
    for part in ({"claim": None}, {"since": None}, {"readings": (times[:0], mean[:0])}):
        assert np.abs(whole - drawn(**part)).max() > 0.2, f"{part} is drawn"


def test_each_field_has_one_column_in_the_table_of_many_files():
    columns = {item.name: group_of(item.name) for item in FIELDS}
    assert set(columns.values()) <= set(GROUPS)
    assert [name for name, group in columns.items() if group == "other"] == ["instrument"]
    (file,) = session(wrong_pixels()).files
    by_group = dict(zip(GROUPS, dots(file), strict=True))
    assert by_group["pixels"]["status"] == "disagrees"
    assert by_group["beam"]["mark"] == "·"
    assert by_group["lenses"]["status"] == ""
