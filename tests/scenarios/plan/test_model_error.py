"""The model's error that a session learnt, in a plan."""

from pathlib import Path

import pytest

from instrument.core.journal import Journal
from scenarios.io.errors import BadInput
from scenarios.plan.model_error import learnt_words, with_learnt_error
from scenarios.question.reading import read_question

QUESTION = """
name = "small"
kind = "detect"
[specimen]
structure = "SrTiO3"
thickness = 8
[defect]
kind = "vacancy"
element = "Sr"
[unknown]
model_from = "night"
"""


def session(*measured: bool) -> None:
    with Journal.create("night") as journal:
        for number, each in enumerate(measured):
            payload = {"discrepancy": 0.08 - 0.01 * number, "jitter": 0.03 + 0.01 * number, "measured": each}
            journal.append("request", payload, 1_767_600_000_000_000_000 + number)


def test_what_a_session_ended_with_is_taken(question: Path) -> None:
    session(True, False, True)
    asked = read_question(str(question))
    taken = with_learnt_error(asked)
    assert taken.unknown.model == pytest.approx(0.06)
    assert taken.unknown.jitter == pytest.approx(0.05)
    assert "6 % and the jitter of 0.05 Å are those that night learnt" in learnt_words(taken, asked)
    assert with_learnt_error(taken) == taken
    assert learnt_words(taken, taken) == ""


@pytest.mark.parametrize("case", ["no folder", "no session", "no image"])
def test_what_is_no_session_with_images_is_refused(question: Path, case: str) -> None:
    if case == "no session":
        Path("night").mkdir()
    elif case == "no image":
        session(False, False)
    with pytest.raises(BadInput, match=r"unknown\.model_from"):
        with_learnt_error(read_question(str(question)))
