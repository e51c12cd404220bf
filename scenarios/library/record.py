"""One entry of the library: a specimen, how it was looked at, with what dose, and the error that was reached."""

from typing import Any

import msgspec

SETTINGS = {
    "energy": "electronvolt", "semiangle": "radian", "collection": "radian", "inner": "radian", "outer": "radian", "pixel": "angstrom",
    "dwell": "second", "exposure": "second", "thickness": "angstrom", "shape": "pixels", "detector": "text",
}  # fmt: skip
"""Settings that a record may have, in these units."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a session, or of one recording of a file.

    ``kind``: "session", "recording" or "simulation". ``identity`` says what it is (a session's first row, a file's
    content) and ``digest`` which state of it; ``part`` counts the recordings of a file. ``technique`` as `emtwin
    simulate` names signals ("stem-haadf", "4d-stem", ...); ``settings`` in the units of `SETTINGS`; ``dose`` in
    electrons per angstrom^2 of one recording and ``electrons`` of all together, None where unknown. ``reached``:
    errors and scores by name (r2, rmse, coverage90, std, power, detected, ...). ``planned``: what a plan promised:
    power, std, dose. ``id`` is 0 until it is stored.
    """

    kind: str
    name: str
    path: str
    identity: str
    digest: str
    part: int = 0
    structure: str = ""
    formula: str = ""
    elements: tuple[str, ...] = ()
    technique: str = ""
    settings: dict[str, Any] = {}
    dose: float | None = None
    electrons: float | None = None
    reached: dict[str, float] = {}
    planned: dict[str, float] | None = None
    id: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return msgspec.to_builtins(self)


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for: as a `Record`, with any of several ``techniques``; what it does not state is not compared."""

    name: str
    elements: tuple[str, ...] = ()
    structure: str = ""
    formula: str = ""
    techniques: tuple[str, ...] = ()
    settings: dict[str, Any] = {}
    dose: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return msgspec.to_builtins(self)


def query_of(record: Record) -> Query:
    """A record as something to look for."""
    return Query(
        name=record.name,
        elements=record.elements,
        structure=record.structure,
        formula=record.formula,
        techniques=(record.technique,) if record.technique else (),
        settings=record.settings,
        dose=record.dose,
    )
