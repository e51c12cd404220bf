"""The model's error as a session of `emtwin acquire` learnt it, for what a plan may promise."""

from pathlib import Path

import msgspec

from instrument.core.journal import Journal
from scenarios.io.errors import BadInput
from scenarios.question.tables import Question

KEY = "unknown.model_from"


def with_learnt_error(question: Question) -> Question:
    """The question with the model's error and the jitter of the scan that the session ``unknown.model_from`` ended with (`learn.discrepancy.field`: the error
    is a share of the signal); as it is without one. BadInput for what is no session with images."""
    name = question.unknown.model_from
    if name is None:
        return question
    folder = Path(question.folder) / name
    if not folder.is_dir():
        raise BadInput(KEY, f"there is no folder {folder}", "Name the folder of a session of emtwin acquire.")
    try:
        with Journal.open(folder) as journal:
            rows = [row.payload for row in journal.rows("request") if "discrepancy" in row.payload]
    except ValueError as error:
        raise BadInput(KEY, f"{folder}: {error}", "Name the folder of a session of emtwin acquire.") from error
    if not any(row.get("measured") for row in rows):
        raise BadInput(KEY, f"{folder} has no measured image", "Name a session that measured, or give unknown.model.")
    last = rows[-1]
    taken = msgspec.structs.replace(
        question.unknown, model=float(last["discrepancy"]), jitter=float(last["jitter"]), model_from=None
    )
    return msgspec.structs.replace(question, unknown=taken)


def learnt_words(question: Question, asked: Question) -> str:
    """What is said of it where the question as it was ``asked`` names a session; else nothing."""
    if asked.unknown.model_from is None:
        return ""
    given = question.unknown
    return (
        f" The model's error of {100 * given.model:.2g} % and the jitter of {given.jitter:.2g} Å are those that "
        f"{Path(asked.unknown.model_from).name} learnt."
    )
