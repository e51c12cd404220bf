"""Reads a session folder: rows of the journal by kind."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from instrument.core.journal import Journal, Row
from scenarios.acquire.scenario import AnyScenario, any_from_dict
from scenarios.io.errors import BadInput
from scenarios.replay.scenario import KINDS as REPLAYS


@dataclass
class Session:
    """Records of a session, in order; what was repeated after an interruption appears once, as last done.

    ``readings`` maps a channel to (times [n] ns int64, values [n]); ``frames`` the id of a row to the record of its frame without pixels.
    """

    folder: Path
    requests: list[Row] = field(default_factory=list)
    states: list[Row] = field(default_factory=list)
    findings: list[Row] = field(default_factory=list)
    exposures: list[Row] = field(default_factory=list)
    alignment: list[Row] = field(default_factory=list)
    commands: list[Row] = field(default_factory=list)
    revised: list[Row] = field(default_factory=list)
    readings: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    scenario: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    result: dict[str, Any] | None = None
    score: Row | None = None
    rows: int = 0
    frames: dict[int, dict[str, Any]] = field(default_factory=dict)
    start: int | None = None
    resumed: int = 0
    checkpoints: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def replay(self) -> bool:
        """Whether the session replays a recording; its journal is then sufficient to resume it."""
        return self.scenario.get("kind") in REPLAYS

    @property
    def by_frames(self) -> bool:
        """Whether the frames of the journal are sufficient to resume the session, without checkpoints."""
        return self.replay or self.scenario.get("kind") == "map"

    @property
    def origin(self) -> int:
        """The time (ns UTC) from which this session's minutes count: its stated start, else its first request, state or reading."""
        if self.start is not None:
            return self.start
        for rows in (self.requests, self.states):
            if rows:
                return row_time(rows[0])
        return min((int(times[0]) for times, _ in self.readings.values() if len(times)), default=0)

    def minutes(self, times: np.ndarray | list[int]) -> np.ndarray:
        """Minutes since `origin` of times in ns UTC."""
        return (np.asarray(times, dtype=np.int64) - self.origin) / 60e9


def row_time(row: Row) -> int:
    """The time of a row in ns UTC: the one its payload states, else the one it was journalled with."""
    stated = row.payload.get("time_ns")
    return int(stated if stated is not None else row.time or 0)


def request_rows(journal: Journal) -> list[Row]:
    """The rows of all requests, the last one where a request was done again after an interruption, in order, with their last answers."""
    rows = {row.payload["index"]: row for row in journal.rows(kind="request")}
    return with_revisions([rows[index] for index in sorted(rows)], journal.rows(kind="revised"))


def with_revisions(requests: Iterable[Row], revised: Iterable[Row]) -> list[Row]:
    """The rows of requests with the answers that rows "revised" gave later; "first_answer" is the one that was given at once."""
    last = {row.payload["index"]: row for row in revised}
    out = []
    for row in requests:
        later = last.get(row.payload.get("index"))
        if later is not None and later.id > row.id:
            arrays = {**row.arrays, "first_answer": row.arrays["answer"], **later.arrays}
            row = msgspec.structs.replace(row, arrays=arrays)
        out.append(row)
    return out


def load_session(folder: Path, verify: bool = True) -> Session:
    """Read a session folder; raises instrument.core.journal.SessionError (a ValueError) where it is not one, or is broken.

    ``verify`` also checks the chain of hashes; what it finds is in ``problems``.
    """
    session = Session(folder)
    batches: dict[str, list[tuple[int, np.ndarray, np.ndarray]]] = {}
    lists = {
        "request": session.requests,
        "state": session.states,
        "finding": session.findings,
        "exposure": session.exposures,
        "alignment": session.alignment,
        "command": session.commands,
        "revised": session.revised,
    }
    with Journal.open(folder) as journal:
        for row in journal.rows():
            session.rows += 1
            if row.kind in lists:
                lists[row.kind].append(row)
            elif row.kind == "readings":
                batches.setdefault(row.payload["channel"], []).append(
                    (row.id, row.arrays["times"], row.arrays["values"])
                )
            elif row.kind == "frame":
                session.frames[row.id] = row.payload
            elif row.kind == "checkpoint":
                session.checkpoints += 1
            elif row.kind == "plan":
                session.scenario, session.seed = row.payload["scenario"], int(row.payload["seed"])
            elif row.kind == "scenario":
                session.scenario = row.payload.get("scenario", row.payload)
                session.seed = int(row.payload.get("seed", 0))
                session.start = row.payload.get("start", row.time)
            elif row.kind == "resumed":
                session.resumed += 1
                if row.payload.get("rewound"):
                    last = row.payload["checkpoint"]
                    for rows in lists.values():
                        rows[:] = [row for row in rows if row.id <= last]
                    for name, parts in batches.items():
                        batches[name] = [part for part in parts if part[0] <= last]
                    session.frames = {id_: frame for id_, frame in session.frames.items() if id_ <= last}
            elif row.kind == "score":
                session.score = row
            elif row.kind == "result":
                session.result = row.payload
        if verify:
            session.problems = [str(problem) for problem in journal.verify()]
    requests = {row.payload["index"]: row for row in session.requests}
    session.requests = with_revisions(requests.values(), session.revised)
    session.readings = {
        name: (np.concatenate([times for _, times, _ in parts]), np.concatenate([values for _, _, values in parts]))
        for name, parts in batches.items()
        if parts
    }
    return session


def recorded_scenario(folder: Path) -> AnyScenario:
    """The scenario a session was started with, its seed included; BadInput where the session holds none, or is already done."""
    with Journal.open(folder) as journal:
        if any(True for _ in journal.rows("result")):
            raise BadInput(
                str(folder), "the session is complete", "There is nothing to resume: emtwin session show it."
            )
        for row in journal.rows("scenario"):
            values = {**row.payload.get("scenario", row.payload)}
            values["seed"] = row.payload.get("seed", values.get("seed", 0))
            return any_from_dict(values, f"{folder}: its recorded scenario")
    raise BadInput(str(folder), "was interrupted before its scenario was recorded", "Start a new session.")
