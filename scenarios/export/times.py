"""Times for exports: as a user writes them, and as claims state them; and who writes the export."""

import importlib.metadata
from collections.abc import Iterable, Mapping
from datetime import datetime

from instrument.export.record import REFUTED, Agent, Verdict
from scenarios.io.errors import BadInput
from twin.records import Claim


def emtwin() -> Agent:
    """This program."""
    try:
        version = importlib.metadata.version("emtwin")
    except importlib.metadata.PackageNotFoundError:
        version = "a checkout that is not installed"
    return Agent("emtwin", "software", "emtwin", version)


def moment(text: str, option: str) -> int:
    """ns UTC of an ISO 8601 time with its zone, which the user gave by ``option``; BadInput for anything else."""
    cure = "Write it as 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00."
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{option} {text}", "is no time in ISO 8601", cure) from None
    if at.tzinfo is None:
        raise BadInput(f"{option} {text}", "does not state its time zone", cure)
    seconds = at.replace(microsecond=0).timestamp()
    return round(seconds) * 10**9 + at.microsecond * 1000


def times_of(
    claims: Mapping[str, tuple[Claim, ...]], verdicts: Iterable[Verdict] = ()
) -> tuple[int | None, int | None]:
    """Start and end of a recording as claims state them with their zone; a time of unstated meaning, or of saving, only where no start is stated.
    A refuted time is none.
    """
    refuted = {item.field: item.suggested for item in verdicts if item.status in REFUTED}

    def known(name: str) -> int | None:
        if name in refuted:
            right = refuted[name]
            return int(right) if isinstance(right, (int, float)) else None
        return next((int(item.value) for item in claims.get(name, ()) if item.zone == "UTC"), None)

    start = next(
        (time for name in ("time.start", "time.unstated", "time.saved") if (time := known(name)) is not None), None
    )
    return start, known("time.end")


def symbols(text: str) -> tuple[str, ...]:
    """Elements that the user gave as "Sr,Ti,O"; BadInput for what is no symbol of one."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    from ase.data import chemical_symbols

    if wrong := [name for name in names if name not in chemical_symbols[1:]]:
        raise BadInput(f"--elements {text}", f"{', '.join(wrong)} is no element", "Write symbols with commas: Sr,Ti,O.")
    return names
