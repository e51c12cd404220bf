"""A question answered on a simulated microscope in this process."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instrument.core.journal import Journal
from instrument.simulation.instrument import SimulatedMicroscope, from_mapping
from scenarios.acquire.question.loop import QuestionLoop
from scenarios.acquire.question.page import verdict, write_page
from scenarios.acquire.question.wanted import Wanted
from scenarios.acquire.scenario import from_dict
from scenarios.acquire.twin_session import TwinSession
from scenarios.cli.main import DONE, run
from scenarios.io.progress import SilentProgress
from scenarios.question.parts import LimitsPlan
from tests.once import run_folder
from tests.scenarios.acquire.test_loop import SCENARIO, SEED, TINY
from tests.small import small_column, small_microscope

pytestmark = pytest.mark.slow


def loop_of(
    journal: Journal, asked: float, limits: LimitsPlan = LimitsPlan(), tolerance: float | None = None
) -> QuestionLoop:
    instrument = SimulatedMicroscope(from_mapping(TINY), SEED, run_folder("specimens"))
    microscope = small_microscope()
    session = TwinSession(microscope, small_column(), instrument.now(), SEED)
    wanted = [Wanted("defocus", "angstrom", 1.0, asked, "C10", -1.0, tolerance)]
    if tolerance is not None:
        wanted.append(Wanted("C12a", "angstrom", 1.0, asked, "C12a", 1.0, tolerance))
    scenario = from_dict(SCENARIO, "test")
    return QuestionLoop(instrument, session, scenario, wanted, limits, journal, SilentProgress(), instrument.now())


def truth_of(loop: QuestionLoop) -> float:
    instrument: Any = loop.instrument
    return -float(instrument.truth.state([loop.twin_session.belief.time])["C10"][0])


def test_a_question_is_answered_and_stops_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Journal.create(tmp_path / "s") as journal:
        loop = loop_of(journal, 12.0)
        (first,) = loop.known
        loop.run()
        rows = [row.payload for row in journal.rows("question")]
        images = list(journal.rows("alignment"))
        plan = {"scenario": loop.scenario.as_dict(), "wanted": [each._asdict() for each in loop.wanted]}
        journal.append("scenario", plan, loop.start)
        (known,) = loop.known
        quantity = {
            "quantity": "defocus", "unit": "angstrom", "asked": 12.0, "value": known.mean, "std": known.std, "truth": truth_of(loop),
        }  # fmt: skip
        result = {
            "question": "q", "kind": "measure", "quantities": [quantity], "reached": loop.ended == "reached",
            "ended": loop.ended, "images": loop.next, "dose": loop.dose, "electrons": loop.ledger.spent, "fixed_images": None, "fixed_electrons": None,
            "seconds": 1.0,
        }  # fmt: skip
        journal.append("truth", {"values": [[truth_of(loop)]]}, None)
        journal.append("result", result, None)
    assert loop.ended == "reached"
    assert first.std > 12.0 >= known.std
    assert abs(known.mean - truth_of(loop)) < 4.0 * known.std
    assert len(rows) == len(images) == loop.next
    assert rows[-1]["electrons"] == pytest.approx(loop.ledger.spent)
    assert all(row["stds"][0] > 12.0 or row["doubt"] > 0.05 for row in rows[:-1])
    page = write_page(tmp_path / "s").read_text()
    assert "reached with" in verdict(result)
    assert run(["session", "show", str(tmp_path / "s")]) == DONE
    shown = " ".join(capsys.readouterr().out.split())
    assert verdict(result) in shown
    assert "None" not in shown
    assert page.count("data:image") == 1 + min(len(images), 6)
    assert "banner good" in page


def test_limits_end_a_question_unanswered(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "s") as journal:
        loop = loop_of(journal, 1e-3, LimitsPlan(dose=3.5e4))
        loop.run()
        assert loop.ended == "dose"
        assert 0.0 < loop.dose <= 3.5e4
        none = loop_of(journal, 1e-3, LimitsPlan(dose=10.0))
        none.run()
        assert (none.ended, none.next) == ("dose", 0)
        assert none.ledger.spent == 0.0


def test_a_resumed_question_goes_on_where_it_was(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "whole") as journal:
        whole = loop_of(journal, 12.0)
        whole.run()
    with Journal.create(tmp_path / "half") as journal:
        half = loop_of(journal, 12.0)
        half.listen(half.instrument.now())
        half._step()
        commands = [(row.payload["name"], row.payload["args"], row.time or 0) for row in journal.rows("command")]
        last = list(journal.rows("checkpoint"))[-1]
        again = loop_of(journal, 12.0)
        microscope: Any = again.instrument
        microscope.restore(commands)
        again.resume(last.payload, last.arrays)
        assert again.dose == half.dose
        again.run()
    assert again.next == whole.next
    np.testing.assert_allclose(again.known, whole.known, rtol=1e-9)
    assert again.ledger.spent == pytest.approx(whole.ledger.spent)


def test_what_has_a_tolerance_is_corrected(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "s") as journal:
        loop = loop_of(journal, 8.0, tolerance=16.0)
        loop.run()
        corrections = [row.payload for row in journal.rows("correction")]
    assert loop.ended == "reached"
    settings, instrument = corrections[-1]["settings"], loop.instrument
    assert settings == {name: instrument.settings()[name] for name in settings}
    truth: Any = instrument
    state = truth.truth.state([corrections[-1]["time_ns"]])
    # actual minus commanded, and what is commanded now
    for name in ("C10", "C12.a"):
        assert abs(float(state[name][0]) + settings[name]) < 24.0
    assert abs(float(state["C10"][0])) > 24.0
