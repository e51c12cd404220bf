"""The time left of a session, and its report while it runs."""

import io
import os

import pytest
from rich.console import Console

from scenarios.io.pace import AHEAD, ENDING, REQUEST, SPECIMEN, TWIN, Pace, PacedProgress
from scenarios.io.progress import LiveProgress, PlainProgress, time_left
from scenarios.report.live import LOW_PRIORITY, LiveReport
from tests.scenarios.synthetic import make_session


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_time_left_goes_by_the_known_seconds_then_by_the_session_s_own():
    clock = Clock()
    pace = Pace(20, slowness=1.0, clock=clock)
    assert pace.left == pytest.approx(20 * REQUEST + ENDING)  # nothing is to be prepared
    pace.part("specimen", 0.0)
    pace.part("twin", 0.0)
    assert pace.left == pytest.approx(max(SPECIMEN, TWIN) + 20 * REQUEST + ENDING)  # side by side
    clock.now = 30.0
    pace.part("specimen", 1.0)
    pace.part("twin", 0.25)
    assert pace.left == pytest.approx(90.0 + 20 * REQUEST + ENDING)
    pace.part("twin", 1.0)
    for _ in range(5):
        clock.now += 2.0
        pace.request()
    assert 15 * REQUEST + ENDING < pace.left < 15 * 2.0 + ENDING
    for _ in range(14):
        clock.now += 100.0
        pace.request()
    assert pace.left == pytest.approx((1408.0 + AHEAD * REQUEST) / (18 + AHEAD) + ENDING)


def test_a_slow_machine_is_reported():
    slow, output = Pace(10, slowness=4.0), io.StringIO()
    assert slow.left == pytest.approx(4 * (10 * REQUEST + ENDING))
    PacedProgress(PlainProgress(Console(file=output, width=200)), slow, lambda: None)
    assert "about 4 times as long" in output.getvalue()
    output = io.StringIO()
    PacedProgress(PlainProgress(Console(file=output, width=200)), Pace(10, slowness=1.3), lambda: None)
    assert output.getvalue() == ""


def test_time_left_is_shown_with_stages_and_requests():
    output, done = io.StringIO(), []
    progress = PacedProgress(
        PlainProgress(Console(file=output, width=200)), Pace(3, 1.0, Clock()), lambda: done.append(1)
    )
    progress.part("twin", "twin: multislice", 0.0)
    progress.request({"index": 0, "count": 3, "decision": "answer"})
    lines = output.getvalue().splitlines()
    assert lines[0] == f"twin: multislice: 0 % ({time_left(TWIN + 3 * REQUEST + ENDING)})"
    assert lines[1].startswith("request   1 of 3  answer")
    assert lines[1].endswith(" s left)")
    assert done == [1]


def test_time_left_is_in_the_live_view():
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with LiveProgress("emtwin acquire", console) as live:
        live.left(42.0)
        live.note("report so far: here")
        shown = Console(file=io.StringIO(), width=100, record=True)
        shown.print(live._render())
    assert "about 40 s left" in shown.export_text()
    assert "report so far: here" in console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


def test_time_left_is_rounded():
    assert [time_left(value) for value in (0.3, 12.0, 118.0, 200.0, 3000.0)] == [
        "about 5 s left", "about 10 s left", "about 120 s left", "about 3.5 min left", "about 50 min left",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_report_is_drawn_beside_a_session_that_still_runs(tmp_path):
    folder = make_session(tmp_path / "s", complete=False)
    with LiveReport(folder, every=3600.0) as live:
        live.refresh()
        drawing = live._process
        assert drawing is not None
        assert os.getpriority(os.PRIO_PROCESS, drawing.pid) == LOW_PRIORITY
        live.refresh()
        assert live._process is drawing  # one at a time
        assert drawing.wait(timeout=120) == 0
        live.refresh()
        assert live._process is drawing  # and not too often
    page = (folder / "report.html").read_text()
    assert "not come to its end" in page


def test_a_drawing_under_way_ends_with_its_session(tmp_path):
    folder = make_session(tmp_path / "s", complete=False)
    with LiveReport(folder) as live:
        live.refresh()
        drawing = live._process
    assert drawing is not None
    assert drawing.poll() is not None
