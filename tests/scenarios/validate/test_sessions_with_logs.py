"""Sessions with a sensor's log: stale values, drifts, what the log does not cover, in the verdicts, on the page, on the terminal and in the JSON."""

import html
import io
import math
import re
from pathlib import Path

import pytest
from rich.console import Console

from instrument.readers import close_reader
from reconstruct.validation.evidence import Evidence, Statement, gaussian
from reconstruct.validation.result import quantity_text
from reconstruct.validation.session.timeline import Fault, alike, together
from scenarios.io.progress import SilentProgress
from scenarios.validate.job import ValidatedSession, to_dict, validate_files
from scenarios.validate.options import ValidateOptions
from scenarios.validate.output.findings import rival_fields, wrong_fields
from scenarios.validate.output.show import print_validated
from scenarios.validate.page import page_of
from scenarios.validate.page.timeline import timeline_picture
from tests.scenarios.validate.heating import DRIFT, RAMP, START, write_session
from tests.scenarios.validate.made import session, signal, validated
from twin.units import moment, period

SECOND = 10**9


@pytest.fixture(scope="module")
def heated(tmp_path_factory: pytest.TempPathFactory) -> tuple[ValidatedSession, ValidateOptions]:
    """A file with a stale temperature, one during a drift, and one of two hours later."""
    folder = tmp_path_factory.mktemp("session")
    log = write_session(folder, (32, 45, 180))
    options = ValidateOptions((folder,), sensors=(log,))
    try:
        return validate_files(options, SilentProgress()), options
    finally:
        close_reader()


def shown(session: ValidatedSession, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO(), highlight=False)
    print_validated(session, console)
    return console.export_text()


def test_a_stale_temperature_and_since_when(heated) -> None:
    done, _ = heated
    stale, drifting, later = (item.validation["temperature"] for item in done.files)
    assert (stale.status, stale.causes[0][0]) == ("stale", "stale value")
    assert abs((stale.since - START) / SECOND - RAMP[0]) < 15.0
    assert stale.suggested == pytest.approx(600.0, abs=1.0)
    assert drifting.status == "agrees"
    assert later.status == "unverifiable"
    assert "not covered" in later.words
    (fault,) = done.timeline.faults
    assert (fault.field, fault.status, fault.since) == ("temperature", "stale", stale.since)


def test_the_timeline_tells_drifts_and_what_is_covered(heated) -> None:
    done, _ = heated
    times = done.timeline
    ((drift, files),) = times.drifts
    assert drift.field == "temperature"
    assert drift.command == "none", "the log has the set temperature: the ramp is none, and the drift has no command"
    assert abs((drift.first - START) / SECOND - DRIFT[0]) < 60.0
    assert abs((drift.last - START) / SECOND - DRIFT[1]) < 60.0
    assert drift.change == pytest.approx(-15.0, abs=1.0)
    assert [Path(name).name for name in files] == ["minute-045.emd"]
    (log,) = times.logs
    assert (log.title, log.shift) == ("Heating holder", 0)
    assert [Path(name).name for name in log.outside] == ["minute-180.emd"]
    lanes = {lane.field: lane for lane in times.lanes}
    assert set(lanes) == {"temperature", "high_tension"}, "a log follows both, whether they change or not"
    (track,) = lanes["temperature"].tracks
    assert track.mean.max() == pytest.approx(600.0, abs=2.0)


def test_page_terminal_and_json_say_the_same(heated) -> None:
    done, options = heated
    text = " ".join(html.unescape(page_of(done, options)).split())
    assert "1 field is stale, in 1 of 3 files." in text
    assert "temperature: stale, now 2 times too small" in text
    assert "Not covered: minute-180.emd." in text
    assert re.search(r"<td data-name=\"change\">-1\d\.\d+ ± 0\.\d+ K</td>", text)
    assert 'data-name="files meanwhile">minute-045.emd' in text
    assert text.count("The claim was last true at 2026-03-01 10:") == 2
    assert "Stale since" not in text, "the evidence says since when"
    result = to_dict(done, options)["session"]
    assert [item["title"] for item in result["logs"]] == ["Heating holder"]
    assert [item["field"] for item in result["drifts"]] == ["temperature"]
    assert "without a command" in result["drifts"][0]["words"]
    for width in (80, 120):
        lines = shown(done, width)
        assert max(len(line) for line in lines.splitlines() if ".emd: " not in line) <= width
        words = " ".join(lines.split())
        assert "drifts temperature moved by -1" in words
        assert "Heating holder covers 2026-03-01 10:00:00 to 10:59:58 UTC; not covered: minute-180.emd" in words
        assert not re.search(r"\d{4}-\d\d-\d\dT\d", words), "no time is written for machines"


def test_the_picture_has_the_track_and_the_drift(heated) -> None:
    from dataclasses import replace

    times = heated[0].timeline
    whole = timeline_picture(times)
    assert whole != timeline_picture(replace(times, drifts=()))
    assert whole != timeline_picture(replace(times, logs=()))
    assert whole != timeline_picture(replace(times, lanes=tuple(replace(lane, tracks=()) for lane in times.lanes)))


def test_rivals_are_no_findings_of_the_banner():
    """A disk's radius in pixels is off by a tenth: the semi-angle is wrong, or the pixels are in its place."""
    statement = Statement("disk", {"convergence_semiangle": 1.0, "pixel.angle.x": -0.5, "pixel.angle.y": -0.5})
    disk = Evidence("disk", "data", (statement,), gaussian([math.log(20.0)], [3e-3]), "The disk is smaller.")
    item = validated(signal(convergence_semiangle=0.022, pixel__angle__x=1e-3, pixel__angle__y=1e-3), disk)
    done = session(item)
    assert len(item.findings) == 3
    assert wrong_fields(done.files)["disagrees"] + rival_fields(done.files) == 3
    assert rival_fields(done.files) > 0
    options = ValidateOptions((Path("/data"),))
    count = wrong_fields(done.files)["disagrees"]
    named = "1 field disagrees" if count == 1 else f"{count} fields disagree"
    assert f"{named} with the evidence." in page_of(done, options)


def test_broad_evidence_is_known_to_within_a_factor():
    assert quantity_text("camera_length", 1.42e9, 1.56e9) == "142 mm ×/÷ 3.0"
    assert quantity_text("camera_length", 1.42e9, 0.1e9) == "142 ± 10 mm"
    assert quantity_text("C10", 10.0, 156.0) == "1 ± 16 nm", "a signed quantity has an error that adds"
    assert quantity_text("temperature", -25.0, 0.2, signed=True) == "-25.00 ± 0.20 K"


def test_times_for_people_and_faults_that_are_alike():
    time = START + 90 * SECOND
    assert moment(time) == "2026-03-01 10:01:30 UTC"
    assert moment(time, "local") == "2026-03-01 10:01:30 local time"
    assert period(START, time) == "2026-03-01 10:00:00 to 10:01:30 UTC"
    assert period(START, START + 86_400 * SECOND) == "2026-03-01 10:00:00 to 2026-03-02 10:00:00 UTC"
    faults = [Fault(name, "pixel size", "disagrees", time, time, ("a.emd",)) for name in ("pixel.x", "pixel.y")]
    other = Fault("C10", "defocus", "stale", time, time, ("a.emd",), START)
    first, second = alike([faults[0], other, faults[1]])
    assert together(first) == "pixel.x and pixel.y disagree (pixel size), at 2026-03-01 10:01:30 UTC: a.emd"
    assert second == [other]
    assert "C10 is stale (defocus)" in other.words
    assert "true until 2026-03-01 10:00:00 UTC" in other.words
