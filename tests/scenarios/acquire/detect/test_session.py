"""Whole sessions on a simulated field: what is decided, what ends them, another specimen, an interruption."""

import functools
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from instrument.core.journal import Journal
from instrument.simulation.field.config import from_mapping
from instrument.simulation.field.instrument import FieldMicroscope
from scenarios.acquire.detect.loop import DetectLoop
from scenarios.acquire.detect.twin import FieldTwin
from scenarios.acquire.detect.wanted import Wanted, field_for, wanted_of
from scenarios.io.errors import BadInput
from scenarios.io.progress import SilentProgress
from scenarios.question.parts import LimitsPlan
from scenarios.question.reading import read_question
from scenarios.question.tables import Question
from twin.cache_folder import usable_cache

pytestmark = pytest.mark.slow
SEED = 2
SMALL = {"configurations": 3, "defocus_std": 5.0, "astigmatism_std": 3.0}


@functools.cache
def asked() -> tuple[Question, Wanted, FieldTwin]:
    question = read_question("se-vacancy-wse2")
    compute = msgspec.structs.replace(question.compute, cells=2, settings=0)
    question = msgspec.structs.replace(question, compute=compute, option=question.option[:1])
    wanted = wanted_of(question)
    return question, wanted, FieldTwin(question, wanted, SilentProgress())


def field(seed: int = SEED, **config: Any) -> FieldMicroscope:
    question, wanted, _ = asked()
    return FieldMicroscope(from_mapping(field_for(question, wanted, SMALL | config)), seed, usable_cache())


def loop_of(journal: Journal, microscope: FieldMicroscope, limits: LimitsPlan | None = None) -> DetectLoop:
    return DetectLoop(microscope, asked()[2], limits or LimitsPlan(), journal, SilentProgress(), microscope.now())


def changed_of(loop: DetectLoop) -> np.ndarray:
    """Which columns are truly changed."""
    assert loop.looks is not None
    microscope: Any = loop.instrument
    facts = microscope.truth.facts()
    apart = np.hypot(*(loop.looks.columns[:, None] - facts["columns"][None]).transpose(2, 0, 1))
    assert apart.min(1).max() < 0.4
    return facts["changed"][apart.argmin(1)] == 1


def test_every_column_is_decided_with_fewer_electrons(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "s") as journal:
        loop = loop_of(journal, field(share=0.3))
        loop.run()
        rows = [row.payload for row in journal.rows("detect")]
        frames = [row.payload["exposure"] for row in journal.rows("frame")]
    assert loop.ended == "decided"
    assert loop.looks is not None
    assert np.array_equal(loop.looks.state.decided == 1, changed_of(loop))
    twin, wanted = asked()[2], asked()[1]
    assert loop.spent.total < 0.6 * twin.dose * wanted.area
    assert loop.spent.total == pytest.approx(
        sum(each[part] for each in frames for part in ("pixels", "flyback", "settle_dose"))
    )
    assert rows[-1]["electrons"] == pytest.approx(loop.spent.total)
    # what was sure after the first look got no second one
    visits = [row for row in rows if row["kind"] == "visit"]
    once = [row for row in visits if row["decided"]]
    assert len(visits) < 6 * len(wanted.places)
    assert len(once) >= len(wanted.places)


def test_another_specimen_is_distrusted(tmp_path: Path) -> None:
    """S in place of Se, on the same lattice."""
    with Journal.create(tmp_path / "s") as journal:
        loop = loop_of(journal, field(numbers=[74, 16, 16, 74, 16, 16]))
        loop.run()
    assert loop.ended == "distrusted"


def test_limits_end_a_session(tmp_path: Path) -> None:
    dose = asked()[2].dose
    for number, (limits, ended) in enumerate(((LimitsPlan(dose=0.001 * dose), "dose"), (LimitsPlan(time=0.5), "time"))):
        with Journal.create(tmp_path / str(number)) as journal:
            loop = loop_of(journal, field(), limits)
            loop.run()
        assert loop.ended == ended
        if ended == "dose":
            assert loop.spent.total == 0.0


def test_a_resumed_session_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "whole") as journal:
        whole = loop_of(journal, field())
        whole.run()
    with Journal.create(tmp_path / "half") as journal:
        half = loop_of(journal, field())
        while half.next < 12:
            half._step()
        commands = [(row.payload["name"], row.payload["args"], row.time or 0) for row in journal.rows("command")]
        last = list(journal.rows("checkpoint"))[-1]
        microscope = field()
        again = loop_of(journal, microscope)
        microscope.restore(commands)
        again.resume(last.payload, last.arrays)
        again.run()
    assert again.looks is not None
    assert whole.looks is not None
    np.testing.assert_array_equal(again.looks.evidence.units, whole.looks.evidence.units)
    np.testing.assert_array_equal(again.looks.state.ratios, whole.looks.state.ratios)
    assert again.spent == whole.spent


def test_a_dose_that_no_scan_does_with_is_refused() -> None:
    question, wanted, _ = asked()
    with pytest.raises(BadInput, match=r"limits\.dose.*10"):
        FieldTwin(msgspec.structs.replace(question, limits=LimitsPlan(dose=10.0)), wanted, SilentProgress())
