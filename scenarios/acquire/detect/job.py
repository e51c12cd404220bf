"""The job ``emtwin acquire QUESTION`` for questions of kind "detect": a field, its twin, and looks at columns until each is decided."""

import contextlib
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from instrument.core.journal import Journal
from instrument.remote.client import RemoteInstrument
from scenarios.acquire.detect.page import write_page
from scenarios.acquire.detect.wanted import Wanted, field_for, wanted_of
from scenarios.acquire.job import begin, connected, interrupts_stop, microscope_of, past_of, planned_journal
from scenarios.acquire.scoring import scored_by
from scenarios.io.errors import BadInput
from scenarios.io.pace import Pace, PacedProgress, slowness
from scenarios.io.progress import Progress
from scenarios.question.tables import Question
from twin.optics.electrons import ELEMENTARY_CHARGE

if TYPE_CHECKING:
    from scenarios.acquire.detect.loop import DetectLoop

SCHEMA = "emtwin.detect/1"
TRUTH = "scenarios.acquire.detect.truth"
VERDICTS = {-1: "absent", 0: "undecided", 1: "present"}


def run_detect(
    question: Question,
    out: Path,
    resume: Path | None,
    progress: Progress,
    instrument: str | None = None,
    config: Mapping[str, Any] = {},
    fixed: bool = False,
) -> dict[str, Any]:
    """Answer a question of kind "detect" in the session folder ``out`` (or continue ``resume``); returns the result that `--json` prints.

    ``instrument`` is the address of a running instrument; None starts the simulated field, whose hidden truth is drawn from what the question believes of it,
    with ``config`` of its own keys besides. ``fixed``: as `DetectLoop` has it. BadInput, before anything is made, for what instrument and twin cannot answer.
    """
    from twin.compiled_programs import start_jax

    begun, wanted = time.monotonic(), wanted_of(question)
    past = past_of(resume, question.seed) if resume else None
    settings = field_for(question, wanted, _recorded_config(resume) if resume else config)
    pace = PacedProgress(progress, Pace(1, slowness()), lambda: None)
    scenario = {"name": question.name, "kind": question.kind, "description": question.description}
    plan = {
        "scenario": scenario,
        "question": msgspec.to_builtins(question),
        "seed": question.seed,
        "config": dict(config),
    }
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(1))
        pending = stack.enter_context(microscope_of(settings, question.seed, instrument, pace, pool, "field"))
        journal = stack.enter_context(
            planned_journal(out, plan) if resume is None else Journal.open(resume, write=True)
        )
        start_jax()
        from scenarios.acquire.detect.loop import DetectLoop
        from scenarios.acquire.detect.twin import FieldTwin

        twin = FieldTwin(question, wanted, progress)
        pending.check()
        remote, launched = connected(pending, past, pace)
        if launched is None:
            check_instrument(remote, wanted)
        loop = DetectLoop(remote, twin, question.limits, journal, pace, remote.now(), fixed)
        begin(loop, past, launched is not None, plan)
        ready = time.monotonic() - begun
        with interrupts_stop(loop.stop):
            loop.run()
        if launched is not None:
            remote.seal()
        result = _result(loop, question, wanted, (remote.now() - loop.start) * 1e-9)
        if loop.looks is not None:
            journal.append("columns", {}, None, {"places": loop.looks.columns})
        if launched is not None and loop.looks is not None:
            result |= _scored(result, json.loads(scored_by(TRUTH, resume or out, launched, pace)))
        result |= {"seed": question.seed, "seconds_until_ready": ready, "seconds": time.monotonic() - begun}
        journal.append("result", result, None)
    pace.stage("writing the report")
    write_page(resume or out)
    return result


def _recorded_config(folder: Path) -> dict[str, Any]:
    """Keys of the simulated field with which a session began."""
    with Journal.open(folder) as journal:
        return next(iter(journal.rows("scenario"))).payload["config"]


def check_instrument(remote: RemoteInstrument, wanted: Wanted) -> None:
    """BadInput for an instrument that lacks what the question takes."""
    described = remote.describe()
    missing = [
        name for name in ("beam_shift.x", "beam_shift.y") if name not in {each.name for each in described.controls}
    ]
    missing += [name for name in wanted.options if name not in described.detectors]
    if missing:
        problem = f"has no {', '.join(missing)}"
        raise BadInput("--instrument", problem, "Serve a field with these, or leave --instrument out.")


def _result(loop: "DetectLoop", question: Question, wanted: Wanted, seconds: float) -> dict[str, Any]:
    """The session in numbers, without what needs the truth."""
    from scenarios.acquire.detect.loop import OVERVIEW_DWELL, OVERVIEW_PIXEL

    twin, spent, looks, count = loop.twin, loop.spent, loop.looks, len(wanted.places)
    # what a distrusted model says of columns is no answer
    decided = np.zeros(count, int) if looks is None or loop.ended == "distrusted" else looks.decided
    lines = 1.0 + question.instrument.flyback / (wanted.sides[0] / OVERVIEW_PIXEL * OVERVIEW_DWELL)
    result: dict[str, Any] = {
        "schema": SCHEMA, "question": question.name, "kind": question.kind, "reached": loop.ended == "decided", "ended": loop.ended,
        "columns": count, "present": int((decided == 1).sum()), "absent": int((decided == -1).sum()), "undecided": int((decided == 0).sum()),
        "asked": {"power": wanted.errors.power, "false_alarms": question.asked.false_alarms, "false_alarms_of_a_column": wanted.errors.false_alarms},
        "visits": loop.next - len(loop.overviews), "overviews": len(loop.overviews), "dose": loop.overview_dose, "electrons": spent.total,
        "electrons_by_purpose": {"overview": spent.overview, "decisions": spent.decisions, "flyback": spent.flyback, "settling": spent.settling},
        "instrument_seconds": seconds, "decision_seconds": float(np.median(loop.seconds)) if loop.seconds else None,
        "fixed_dose": twin.dose, "fixed_electrons": twin.dose * wanted.area * lines, "doses_of_detectors": dict(twin.doses),
        "model_distrusted": loop.ended == "distrusted", "likely": loop.likely,
    }  # fmt: skip
    if looks is None:
        return result
    patch, state, doses = looks.patch, looks.state, looks.doses
    places = zip(looks.columns, decided, state.posteriors, state.ratios, doses, strict=True)
    return result | {
        "detector": patch.detector,
        "patch": {"shape": [patch.lines, patch.width], "pixel": patch.pixel, "current_pA": patch.current * 1e12 * ELEMENTARY_CHARGE},
        "fixed_patches_electrons": spent.overview + count * (patch.electrons + patch.flyback), "share": state.share, "dose": float(doses.max()),
        "of_columns": [
            {"x": float(x), "y": float(y), "verdict": VERDICTS[int(verdict)], "posterior": float(chance), "log_ratio": float(ratio), "dose": float(dose)}
            for (x, y), verdict, chance, ratio, dose in places
        ],
    }  # fmt: skip


def _scored(result: dict[str, Any], truth: dict[str, Any]) -> dict[str, Any]:
    """How many columns were decided wrongly, and which are truly changed."""
    changed = np.array(truth["changed"], bool)
    verdicts = np.array([each["verdict"] for each in result["of_columns"]])
    return {
        "truth": truth, "changed": int(changed.sum()), "missed": int((changed & (verdicts == "absent")).sum()),
        "false_alarms": int((~changed & (verdicts == "present")).sum()),
    }  # fmt: skip
