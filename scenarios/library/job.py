"""The jobs of the library: `add`, `like`, `listed`, `remove`. Each returns plain values, as ``--json`` prints them."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from instrument.core.session_files import SessionError
from instrument.readers import close_reader
from scenarios.io.errors import BadInput
from scenarios.library.held import held
from scenarios.library.likeness import nearest
from scenarios.library.reading import records_of
from scenarios.library.record import Query, query_of
from scenarios.library.scenario import read_query
from scenarios.library.specimen import specimen_of
from scenarios.library.store import Library

SCHEMA = "emtwin.library/1"


def add(
    paths: Sequence[str | Path],
    library: Path | None = None,
    specimen: str | None = None,
    planned: dict[str, float] | None = None,
    reached: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Add sessions and files. ``specimen`` is what they show, where they do not say it; ``planned`` what a plan
    promised and ``reached`` what came of it, of one session or recording.

    What cannot be read is left out and named under ``skipped``; BadInput where nothing could be read.
    """
    if not paths:
        raise BadInput("SESSION|FILE", "is missing", "Name a session folder or a file.")
    made = specimen_of(specimen, key="--specimen") if specimen else None
    shelf, entries, skipped = Library(library, create=True), [], []
    with shelf, _reading():
        for path in paths:
            try:
                records = records_of(Path(path), made)
                if (planned or reached) and (len(paths) > 1 or len(records) > 1):
                    cure = "Name one session, or a file with one recording."
                    raise BadInput(str(path), "a plan or an outcome is of one recording", cure)
                records = [
                    msgspec.structs.replace(each, planned=planned, reached=each.reached | (reached or {}))
                    for each in records
                ]
            except (BadInput, SessionError) as error:
                skipped.append({"path": str(path), "problem": error.problem, "cure": error.cure})
                continue
            for record, change in zip(records, shelf.add(records), strict=True):
                entries.append({"path": str(path), "part": record.part, "name": record.name, "change": change})
        total = len(shelf.records())
    if not entries:
        first, others = skipped[0], len(skipped) - 1
        more = f"; nor can {others} others" if others else ""
        raise BadInput(first["path"], first["problem"] + more, first["cure"])
    counts = {name: sum(entry["change"] == name for entry in entries) for name in ("added", "updated", "known")}
    return {
        "schema": SCHEMA,
        "library": str(shelf.path),
        **counts,
        "entries": entries,
        "skipped": skipped,
        "records": total,
    }


def query_for(name: str) -> Query:
    """What a question, a scenario, a session or a recording looks for."""
    path = Path(name)
    if path.suffix == ".toml" or not path.exists():
        return read_query(name)
    with _reading():
        return query_of(records_of(path)[0])


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """The process that reads files is kept for all of them, and ended at last."""
    try:
        yield
    finally:
        close_reader()


def like(name: str, library: Path | None = None, count: int = 5) -> dict[str, Any]:
    """The ``count`` records nearest to what ``name`` looks for, and how well plans held among them (``held``)."""
    query = query_for(name)
    with Library(library) as shelf:
        matches = nearest(query, shelf.records(), count)
    return {
        "schema": SCHEMA,
        "library": str(shelf.path),
        "query": query.as_dict(),
        "matches": [match.as_dict() for match in matches],
        "held": held(match.record for match in matches),
    }


def listed(library: Path | None = None) -> dict[str, Any]:
    """All records, and how well plans held among them."""
    with Library(library) as shelf:
        records = shelf.records()
    return {
        "schema": SCHEMA,
        "library": str(shelf.path),
        "records": [record.as_dict() for record in records],
        "held": held(records),
    }


def remove(ids: Sequence[int], library: Path | None = None) -> dict[str, Any]:
    """Remove records by their numbers, all of them or none."""
    with Library(library) as shelf:
        removed = shelf.remove(ids)
        left = len(shelf.records())
    return {"schema": SCHEMA, "library": str(shelf.path), "removed": removed, "records": left}
