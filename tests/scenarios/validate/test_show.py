"""Verdicts on a terminal: within its width, with short numbers, reasons together."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from scenarios.validate.output import show
from scenarios.validate.output.reasons import reasons, short_names
from scenarios.validate.output.show import print_validated
from scenarios.validate.output.words import names_of, shortener
from tests.scenarios.validate.made import session, signal, validated, wrong_pixels


def shown(*files, width=80):
    console = Console(width=width, record=True, file=io.StringIO(), highlight=False)
    print_validated(session(*files), console)
    return console.export_text()


@pytest.mark.parametrize("width", [80, 120])
def test_lines_fit_the_terminal(width):
    names = {
        f"lens__{name}": 0.5 + number * 1e-9
        for number, name in enumerate(("condenser1", "condenser2", "objective", "projector1"))
    }
    text = shown(
        wrong_pixels(convergence_semiangle=-0.028761744195018726, stage__x=1.0, stage__y=2.0, **names), width=width
    )
    assert max(map(len, text.splitlines())) <= width
    assert not re.search(r"\d\.\d{7}", text), "no number has more digits than people read"
    words = " ".join(text.split())
    assert "lens (condenser1, condenser2, objective, projector1)" in words
    assert "pixel.x and pixel.y: both 5 % too large" in words
    assert words.count("cause pixel size") == 1


def test_many_files_are_counted():
    words = shown(*[wrong_pixels() for _ in range(2)], *[validated(signal(high_tension=2e5)) for _ in range(3)])
    assert "5 files: 3 without a finding, 2 with findings, 0 not validated" in words


def test_faults_in_time_are_listed_up_to_a_limit(monkeypatch):
    files = [
        validated(
            signal(
                C10=20.0 + number,
                lens__objective=0.5,
                convergence_semiangle=-0.03 if number % 2 else 0.03,
                time__start=number * 10**12 + 1,
            )
        )
        for number in range(4)
    ]
    words = shown(*files)
    assert words.count("in time") == 1
    assert "convergence_semiangle disagrees" in words.split("in time")[1]
    monkeypatch.setattr(show, "MOST_FAULTS", 0)
    assert "and 1 more" in shown(*files)


def test_reasons_of_x_and_y_are_one():
    recording = validated(signal(pixel__x=0.1, pixel__y=0.1, field_of_view__x=4.8, field_of_view__y=4.8))
    (reason,) = [reason for reason in reasons(recording) if "consistent" in reason.words and not reason.verify]
    assert {item.field for item in reason.verdicts} == {"field_of_view.x", "field_of_view.y"}
    assert (
        reason.words
        == "consistent within the file (field of view = pixels x pixel size); but nothing independent of it"
    )
    assert sum(len(reason.verdicts) for reason in reasons(recording)) == 4


def test_names_that_share_a_beginning_stand_together():
    names = ["detector", "stage.x", "detector.inner", "stage.y", "high_tension", "detector.outer", "lens.objective"]
    assert short_names(names) == [
        "detector",
        "stage (x, y)",
        "detector (inner, outer)",
        "high_tension",
        "lens.objective",
    ]


def test_sentences_name_files_without_their_folders():
    paths = [Path("/data/a/x.emd"), Path("/data/b/x.emd")]
    assert names_of(paths) == ["a/x.emd", "b/x.emd"]
    assert shortener(paths)("the same digits as in /data/b/x.emd, though") == "the same digits as in b/x.emd, though"
    assert names_of([Path("/data/one.emd")]) == ["one.emd"]
