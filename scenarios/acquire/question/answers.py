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
    `scenarios.acquire.question.job.run_question` and `scenarios.acquire.detect.job.run_detect`; BadInput for a kind that no instrument answers."""
    if question.kind == "detect":
        from scenarios.acquire.detect.job import run_detect

        return run_detect(question, out, resume, progress, instrument, config)
    from scenarios.acquire.question.job import run_question

    return run_question(question, out, resume, progress, instrument, config)


def verdict(result: Mapping[str, Any]) -> str:
    """What the result of a question says, in one sentence."""
    if result["kind"] == "detect":
        from scenarios.acquire.detect.page import verdict as detected

        return detected(dict(result))
    from scenarios.acquire.question.page import verdict as measured

    return measured(dict(result))
