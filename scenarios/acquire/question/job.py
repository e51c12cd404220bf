"""The job ``emtwin acquire QUESTION``: an instrument, its twin, and images until the question is answered."""

import contextlib
import json
import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from instrument.core.journal import Journal
from scenarios.acquire.job import (
    begin,
    check_config,
    connected,
    interrupts_stop,
    microscope_of,
    past_of,
    planned_journal,
    twin_of,
)
from scenarios.acquire.question.page import write_page
from scenarios.acquire.question.wanted import Wanted, bounded, scenario_for, wanted_of
from scenarios.acquire.scoring import scored_by
from scenarios.io.pace import Pace, PacedProgress, slowness
from scenarios.io.progress import Progress
from scenarios.question.reading import question_of
from scenarios.question.tables import Question

if TYPE_CHECKING:
    from scenarios.acquire.question.loop import Known

SCHEMA = "emtwin.question/2"
TRUTH = "scenarios.acquire.question.truth"
EXPECTED_IMAGES = 20
"""For the time left, before the first image."""


def run_question(
    question: Question,
    out: Path,
    resume: Path | None,
    progress: Progress,
    instrument: str | None = None,
    config: Mapping[str, Any] = {},
    series: tuple[float, ...] = (),
) -> dict[str, Any]:
    """Answer a question of kind "measure" or "tune" in the session folder ``out`` (or continue ``resume``); returns the result that `--json` prints.

    ``instrument`` is the address of a running instrument; None starts the simulated microscope, whose specimen is drawn from what the question believes of
    it, with ``config`` of its own keys besides. ``series``: as `QuestionLoop` has it. BadInput, before anything is made, for what instrument and twin cannot
    answer.
    """
    begun, wanted, scenario = time.monotonic(), wanted_of(question), scenario_for(question, config)
    limits, damage = bounded(question, scenario)
    past = past_of(resume, question.seed) if resume else None
    if instrument is None:
        check_config(scenario)
    pace = PacedProgress(progress, Pace(EXPECTED_IMAGES, slowness()), lambda: None)
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(1))
        pending = stack.enter_context(microscope_of(scenario.instrument.config, question.seed, instrument, pace, pool))
        journal = stack.enter_context(
            planned_journal(out, {"scenario": scenario.as_dict(), "seed": question.seed})
            if resume is None
            else Journal.open(resume, write=True)
        )
        twin_session = twin_of(scenario, question.seed, pace, pending.check)
        remote, launched = connected(pending, past, pace)
        from scenarios.acquire.question.loop import QuestionLoop

        start = remote.now()
        loop = QuestionLoop(remote, twin_session(start), scenario, wanted, limits, journal, pace, start, series)
        plan = {
            "scenario": scenario.as_dict(), "question": msgspec.to_builtins(question), "wanted": [each._asdict() for each in wanted], "seed": question.seed,
        }  # fmt: skip
        begin(loop, past, launched is not None, plan)
        with interrupts_stop(loop.stop):
            loop.run()
        if launched is not None:
            remote.seal()
        images, electrons = loop.fixed_series()
        result: dict[str, Any] = {
            "schema": SCHEMA, "question": question.name, "kind": question.kind,
            "quantities": [_answered(each, known) for each, known in zip(wanted, loop.known, strict=True)],
            "reached": loop.ended == "reached", "ended": loop.ended, "images": loop.next,
            "dose": loop.dose, "dose_limit": limits.dose, "damage": damage or None,
            "electrons": loop.ledger.spent, "instrument_seconds": (remote.now() - loop.start) * 1e-9,
            "fixed_images": images, "fixed_electrons": electrons if images is not None else None,
            "model_distrusted": loop.twin_session.trust.distrusted, "distrusted_because": loop.twin_session.trust.broken or None,
            "seed": question.seed, "decision_seconds": statistics.median(loop.deciding) if loop.deciding else None,
            "seconds": time.monotonic() - begun,
        }  # fmt: skip
        scored = (
            json.loads(scored_by(TRUTH, resume or out, launched, pace)) if launched is not None and loop.next else {}
        )
        truth = scored.get("values", [])
        for quantity, *values in zip(
            result["quantities"], *(scored[name] for name in ("last", "left") if name in scored), strict=False
        ):
            quantity |= {"truth": values[0], "error": quantity["value"] - values[0]}
            quantity |= {"left": values[1]} if len(values) > 1 else {}
        journal.append("truth", {"values": truth}, None)
        journal.append("result", result, None)
    pace.stage("writing the report")
    write_page(resume or out)
    return result


def recorded_question(folder: Path) -> Question | None:
    """The question of a session; None where it has another job."""
    with Journal.open(folder) as journal:
        row = next(iter(journal.rows("scenario")), None)
    if row is None or "question" not in row.payload:
        return None
    return question_of(row.payload["question"], str(folder))


def _answered(wanted: Wanted, known: "Known") -> dict[str, Any]:
    tolerance = {} if wanted.tolerance is None else {"tolerance": wanted.tolerance}
    return {
        "quantity": wanted.name, "unit": wanted.unit, "asked": wanted.asked, "value": known.mean, "std": known.std, **tolerance,
    }  # fmt: skip
