"""The page of a session, whole and with nothing recorded, and what it says in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instrument.core.journal import Journal
from scenarios.acquire.detect.page import ENDS, write_page
from scenarios.acquire.question.answers import verdict
from scenarios.cli.main import DONE, run

RESULT: dict[str, Any] = {
    "schema": "emtwin.detect/1", "question": "q", "kind": "detect", "reached": False, "ended": "dose", "columns": 2, "present": 0, "absent": 0,
    "undecided": 2, "asked": {"power": 0.9, "false_alarms": 0.1, "false_alarms_of_a_column": 0.05}, "visits": 0, "overviews": 0, "dose": 0.0,
    "electrons": 0.0, "electrons_by_purpose": {"overview": 0.0, "decisions": 0.0, "flyback": 0.0, "settling": 0.0}, "instrument_seconds": 0.0,
    "decision_seconds": None, "fixed_dose": 1000.0, "fixed_electrons": 5e4, "likely": None, "seconds": 1.0, "seed": 0,
}  # fmt: skip
LOOKED: dict[str, Any] = {
    "reached": True, "ended": "decided", "present": 1, "absent": 1, "undecided": 0, "visits": 3, "overviews": 1, "electrons": 9000.0, "likely": 0.4,
    "detector": "ADF", "patch": {"shape": [1, 2], "pixel": 0.4, "current_pA": 0.01}, "fixed_patches_electrons": 1e4, "share": 0.3, "dose": 1200.0,
    "of_columns": [
        {"x": -1.0, "y": 0.5, "verdict": "present", "posterior": 0.99, "log_ratio": 5.0, "dose": 1200.0},
        {"x": 1.0, "y": 0.5, "verdict": "absent", "posterior": 0.01, "log_ratio": -4.0, "dose": 600.0},
    ],
    "truth": {"changed": [1, 0], "off": [0.0, 0.0], "settings": {}}, "changed": 1, "missed": 0, "false_alarms": 0,
}  # fmt: skip


def session(folder: Path, result: dict[str, Any], looked: bool) -> None:
    settings = {"settings": {"C10": 3.0, "share": 0.1, "x": 0.0}, "likely": 0.4}
    with Journal.create(folder) as journal:
        scenario = {"name": "q", "kind": "detect", "description": "Which?"}
        question = {"name": "q", "kind": "detect", "description": "Which?"}
        journal.append("scenario", {"scenario": scenario, "question": question, "seed": 0, "start": 0}, 0)
        if looked:
            journal.append("detect", {"kind": "overview", "step": 1, "electrons": 10.0, **settings}, 1)
            for step, (column, dose, ratio) in enumerate(((0, 600.0, 1.0), (1, 600.0, -4.0), (0, 1200.0, 5.0)), 2):
                journal.append(
                    "detect",
                    {"kind": "visit", "step": step, "column": column, "dose": dose, "ratio": ratio, **settings},
                    step,
                )
            side = np.arange(12) * 0.4 - 2.2
            places = np.stack([part.ravel() for part in np.meshgrid(side, side)], 1)
            arrays = {"places": places, "counts": np.ones((1, len(places)))}
            journal.append("checkpoint", {"next": 4}, 5, arrays)
        journal.append("result", result, None)


def test_a_page_shows_each_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = RESULT | LOOKED
    session(tmp_path / "s", result, True)
    text = write_page(tmp_path / "s").read_text()
    assert "banner good" in text
    assert text.count("data:image") == 3
    assert "1 × 2 places 0.4 Å apart by ADF" in text
    assert text.count("<td>changed</td>") == 1
    assert "90 % of looks of one size" in text
    assert run(["session", "show", str(tmp_path / "s")]) == DONE
    shown = " ".join(capsys.readouterr().out.split())
    assert verdict(result) in shown
    assert "None" not in shown


def test_a_session_without_a_look_says_why(tmp_path: Path) -> None:
    session(tmp_path / "s", RESULT, False)
    text = write_page(tmp_path / "s").read_text()
    assert "banner bad" in text
    assert ENDS["dose"] in text
    assert text.count("data:image") == 1
    assert "None" not in text
    assert verdict(RESULT).startswith("2 of 2 columns undecided")
