"""Questions that are answered on an instrument, by their kind: which job answers one, and what its result says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scenarios.io.progress import Progress
from scenarios.question.tables import Question


def answer(
    question: Question,
    out: Path,
    resume: Path | None,
    progress: Progress,
    instrument: str | None = None,
    config: Mapping[str, Any] = {},
) -> dict[str, Any]:
    """Answer a question in the session folder ``out`` (or continue ``resume``); the result that `--json` prints. Arguments and errors are those of
    `scenarios.acquire.question.job.run_question`, `scenarios.acquire.detect.job.run_detect` and `scenarios.acquire.maps.job.run_map`."""
    if question.kind == "detect":
        from scenarios.acquire.detect.job import run_detect

        return run_detect(question, out, resume, progress, instrument, config)
    if question.kind == "map":
        from twin.compiled_programs import start_jax

        start_jax()
        from scenarios.acquire.maps.job import run_map

        return run_map(question, out, resume, progress, instrument)
    from scenarios.acquire.question.job import run_question

    return run_question(question, out, resume, progress, instrument, config)


def verdict(result: Mapping[str, Any]) -> str:
    """What the result of a question says, in one sentence."""
    if result["kind"] == "detect":
        from scenarios.acquire.detect.page import verdict as detected

        return detected(dict(result))
    if result["kind"] == "map":
        from scenarios.acquire.maps.page import verdict as mapped

        return mapped(dict(result))
    from scenarios.acquire.question.page import verdict as measured

    return measured(dict(result))
