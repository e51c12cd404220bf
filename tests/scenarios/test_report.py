"""Report and summary of a session, from a journal written by the tests."""

import base64
import html
import io
import re

import numpy as np
import pytest
from rich.console import Console

from instrument.core.journal import Journal, SessionError
from scenarios.io.progress import LiveProgress, PlainProgress, electrons
from scenarios.presets import load_scenario
from scenarios.report import drawings, plan
from scenarios.report.headline import headline
from scenarios.report.page import GALLERY, Picture, _dose, context, write_report
from scenarios.report.session import load_session, recorded_scenario
from scenarios.report.show import print_result, print_summary, summarise
from scenarios.report.verdict import judge, verdict_of
from tests.scenarios.synthetic import START, make_session

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make_session(tmp_path_factory.mktemp("whole") / "session")


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    return make_session(tmp_path_factory.mktemp("half") / "session", complete=False)


@pytest.fixture(scope="module")
def page_of_whole(whole):
    return write_report(whole).read_text()


@pytest.fixture
def undrawn(monkeypatch):
    """For tests of the page's words: each figure is an empty image."""
    for module in (drawings, plan):
        monkeypatch.setattr(module, "draw", lambda *_, **__: "data:image/svg+xml;base64,")


@pytest.mark.smoke
def test_report_is_one_file_with_nothing_outside_it(whole):
    page = write_report(whole, [Picture("A map", "of titanium", PNG)]).read_text()
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:)""", page)
    assert "<script" not in page
    assert "http" not in re.sub(r"data:[^\"]*", "", page)
    for section in ("Decisions", "State of the column", "Sensors", "Dose", "Trust", "Every request", "A map"):
        assert section in page
    images = re.findall(r'src="data:image/(png|svg\+xml);base64,([^"]+)"', page)
    for kind, content in images:
        assert base64.b64decode(content).startswith(b"\x89PNG" if kind == "png" else b"<?xml")
    assert len(images) > 8
    assert page.count("<tr>") == 1 + 24
    assert list(whole.glob(".report*")) == []


def test_report_is_the_same_when_written_again(whole, page_of_whole):
    assert write_report(whole).read_text() == page_of_whole


@pytest.mark.slow
def test_report_says_what_happened(page_of_whole, half, tmp_path):
    assert '<div class="banner good">Twin and instrument agree.' in page_of_whole
    assert "not come to its end" in write_report(half).read_text()
    page = write_report(make_session(tmp_path / "c", count=8, distrusted_from=5)).read_text()
    assert "The model is distrusted" in page
    assert "images misfit by 8 sigma" in page


def test_a_report_says_how_many_answers_are_above_the_tolerance_and_why(tmp_path, undrawn):
    folder = make_session(tmp_path / "s", above=frozenset({1, 2, 5}))
    page = " ".join(write_report(folder).read_text().split())
    assert '<div class="banner hold">' in page
    assert "banner good" not in page
    assert "3 of 15 answers are above the tolerance of 10 %" in page
    assert "3 since the budget of their site was spent" in page
    assert "Below the tolerance it answers by itself" not in page


def test_a_session_whose_error_is_above_its_tolerance_is_not_green(tmp_path, undrawn):
    page = write_report(make_session(tmp_path / "s", rmse=0.15)).read_text()
    assert '<div class="banner hold">' in page
    assert "The mean error of all requests is 15 %, above the tolerance of 10 %." in page


def test_distrust_goes_before_the_tolerance(tmp_path, undrawn):
    page = write_report(make_session(tmp_path / "s", distrusted_from=20, above=frozenset({1}))).read_text()
    assert '<div class="banner bad">The model is distrusted' in page


@pytest.mark.parametrize("complete", [True, False])
def test_a_summary_counts_answers_above_the_tolerance(tmp_path, complete):
    folder = make_session(tmp_path / "s", complete=complete, above=frozenset({1, 2, 5}))
    summary = summarise(folder)
    assert summary["tolerance_reached"] is False
    assert summary["answers_above_tolerance"] == 3
    assert summary["answers_above_because"] == {"budget spent": 3}
    console = Console(width=200, record=True, file=io.StringIO())
    print_summary(summary, console)
    assert "10 %: not reached; 3 answers above it (3 since the budget of their site was spent)" in console.export_text()


def test_without_a_truth_the_expected_error_counts():
    answered = {"measured": False, "predicted_error": 0.08, "expected_after": 0.02, "reason": ""}
    measured = {"measured": True, "predicted_error": 0.3, "expected_after": 0.14, "reason": ""}
    verdict = judge([answered, measured], 0.1, None)
    assert verdict.error == pytest.approx(0.11)
    assert (verdict.reached, verdict.answers, verdict.above_total, verdict.measured_above) == (False, 1, 0, 1)
    assert "expected mean error of all requests is 11 %, above" in verdict.sentence
    assert judge([answered, measured], 0.1, 0.09).reached


def test_names_from_a_journal_cannot_break_the_page(tmp_path, undrawn):
    with Journal.create(tmp_path / "s") as journal:
        journal.append("scenario", {"scenario": {"name": "<script>alert(1)</script>"}, "seed": 1, "start": START})
    page = write_report(tmp_path / "s").read_text()
    assert "<script" not in page
    assert html.escape("<script>alert(1)</script>") in page


def test_numbers_of_the_report(whole, undrawn):
    session = load_session(whole)
    shown = {what: (value, note) for what, value, note in headline(session, verdict_of(session))}
    measured = sum(row.payload["measured"] for row in session.requests)
    assert shown["requests"] == ("24", f"{24 - measured} answered by the twin alone")
    assert shown["measured"][0] == str(measured)
    page = context(session)
    frame = 152_000.0 + 4_700.0 + 59_000.0
    assert page["dose"]["spent"] == electrons((measured + 6) * frame)
    assert page["dose"]["alignment"] == electrons(6 * frame)  # one at each of the six sites
    assert page["dose"]["saved"] == electrons((24 - measured - 6) * frame)
    assert len(page["gallery"]) <= GALLERY
    assert {item["decision"] for item in page["gallery"]} == {"answer", "measure", "audit"}
    share = float(page["calibration"]["shares"][1][1].removesuffix(" %"))
    assert 88 < share < 92  # the pixels were drawn with the stated sigma


def test_state_is_shown_in_the_field_s_units():
    assert drawings.shown("C10") == (0.1, "nm")
    assert drawings.shown("C30") == (1e-4, "µm")
    assert drawings.shown("tilt.x") == (1e3, "mrad")
    assert drawings.shown("x") == (1.0, "Å")


def test_coverage_of_deviations():
    deviations = np.random.default_rng(0).normal(size=20_000)
    assert abs(drawings.coverage(deviations) - 0.9) < 0.01
    assert drawings.coverage(2 * deviations) < 0.65


def test_summary(whole, half):
    done, broken = summarise(whole), summarise(half)
    assert (done["complete"], done["resumable"], done["requests"]) == (True, False, 24)
    assert (broken["complete"], broken["resumable"], broken["requests"]) == (False, True, 12)
    assert done["measured"] + done["simulated"] == done["requests"]
    assert done["state"]["tilt.x"][1] == 5e-4
    assert done["problems"] == []
    assert broken["dose_spent"] == 215_700.0 * (
        broken["measured"] + 3
    )  # and one alignment image at each of three sites


def test_summary_for_people(whole, half):
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_summary(summarise(half), console)
    print_summary(summarise(whole), console)
    print_result(summarise(whole)["result"], whole, console)
    text = console.export_text()
    assert f"--resume {half}" in text
    assert "90.0 %" in text
    console.file.close()


def test_a_request_done_again_counts_once(tmp_path):
    folder = make_session(tmp_path / "s", complete=False)
    with Journal.open(folder, write=True) as journal:
        again = list(journal.rows("request"))[-1]
        journal.append("request", {**again.payload, "decision": "distrusted"}, again.time, again.arrays)
    session = load_session(folder)
    assert len(session.requests) == 12
    assert session.requests[-1].payload["decision"] == "distrusted"


@pytest.mark.parametrize("rewound", [True, False])
def test_what_came_after_the_checkpoint_is_gone_only_if_the_instrument_went_back(tmp_path, rewound):
    folder = make_session(tmp_path / "s", complete=False)
    before = _dose(load_session(folder))["spent"]
    with Journal.open(folder, write=True) as journal:
        last = list(journal.rows("checkpoint"))[-1].id
        alignment, state = list(journal.rows("alignment"))[-1], list(journal.rows("state"))[-1]
        frame = journal.append_frame(journal.frame(list(journal.rows("frame"))[-1]))
        journal.append("alignment", {**alignment.payload, "frame_row": frame}, alignment.time, alignment.arrays)
        journal.append("state", state.payload, state.time, state.arrays)
        journal.append("resumed", {"checkpoint": last, "rewound": rewound}, state.time)
    session = load_session(folder)
    assert (len(session.alignment), len(session.states)) == ((3, 12) if rewound else (4, 13))
    assert (frame in session.frames) is not rewound
    assert (_dose(session)["spent"] == before) is rewound


def test_a_frame_that_no_request_came_of_still_cost_electrons(tmp_path):
    folder = make_session(tmp_path / "s", complete=False)
    before = load_session(folder)
    with Journal.open(folder, write=True) as journal:
        frame = journal.frame(list(journal.rows("frame"))[-1])
        journal.append_frame(frame)
    spent = [_dose(session) for session in (before, load_session(folder))]
    total = sum(
        frame["exposure"][key] for frame in before.frames.values() for key in ("pixels", "flyback", "settle_dose")
    )
    assert spent[0]["spent"] == electrons(total)
    assert spent[1]["spent"] == electrons(total + frame.exposure.total)


def test_recorded_scenario(half, whole):
    assert recorded_scenario(half).name == "tune-and-map"
    with pytest.raises(ValueError, match="complete"):
        recorded_scenario(whole)


def test_what_is_no_session(tmp_path):
    for look in (load_session, write_report, recorded_scenario):
        with pytest.raises(SessionError):
            look(tmp_path / "absent")
        with pytest.raises(SessionError):
            look(tmp_path)


EVENT = {
    "index": 3, "count": 60, "decision": "audit", "why": "drawn as an audit", "predicted_error": 0.031, "dose_spent": 1.5e6,
    "dose_saved": 4e6, "state": {"C10": (31.0, 8.0), "tilt.x": (1e-3, 5e-4)}, "distrusted": False, "time": 90.0,
}  # fmt: skip


def test_plain_progress():
    console = Console(width=200, record=True, file=open("/dev/null", "w"), soft_wrap=True)  # noqa: SIM115
    progress = PlainProgress(console)
    for fraction in (0.0, 0.1, 0.2, 0.3, 1.0):
        progress.stage("building", fraction)
    progress.request(EVENT)
    lines = console.export_text().splitlines()
    assert [line for line in lines if "building" in line] == ["building: 0 %", "building: 30 %", "building: 100 %"]
    assert "request   4 of 60" in lines[-1]
    assert "3.1 %" in lines[-1]
    assert "1.00 ± 0.50 mrad" in lines[-1]
    console.file.close()


def test_live_progress():
    console = Console(width=100, record=True, file=open("/dev/null", "w"), force_terminal=True)  # noqa: SIM115
    with LiveProgress("emtwin acquire", console) as progress:
        progress.stage("building", 0.5)
        progress.request(EVENT)
        progress.request({**EVENT, "distrusted": True, "decision": "distrusted"})
        console.print(progress._render())
    text = console.export_text()
    assert "MODEL DISTRUSTED" in text
    assert "spent 1.50 Me, saved 4.00 Me" in text
    console.file.close()


def test_before_the_first_request_the_plan_is_shown(tmp_path):
    with Journal.create(tmp_path / "s") as journal:
        journal.append("plan", {"scenario": load_scenario("tune-and-map").as_dict(), "seed": 3})
    page = write_report(tmp_path / "s").read_text()
    assert "<h2>Plan</h2>" in page
    assert "not come to its end" in page
    assert len(re.findall(r'src="data:image/svg', page)) == 1
