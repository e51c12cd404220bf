"""Answers of a site given again when it is left: later images tell of the earlier requests too.

The beliefs after each request are smoothed backwards (`reconstruct.inference.smoothing`), and each request is answered from its smoothed belief and its own
image, if it was measured. Decisions, and the answers given at once, stay in the journal as they were.
"""

import bisect
import itertools
from typing import NamedTuple

import numpy as np

from instrument.core.journal import Journal, Row
from reconstruct.inference.belief import Belief
from reconstruct.inference.smoothing import smoothed
from scenarios.acquire.twin_session import TwinSession
from scenarios.report.session import request_rows
from twin.records import Scan


class _Moment(NamedTuple):
    """A request's row, the belief after it, and the commanded C10 (angstrom) then."""

    row: Row
    belief: Belief
    c10: float


def revise(twin_session: TwinSession, journal: Journal, site: int, scan: Scan, commanded: float) -> int:
    """Append a row "revised" for each request of ``site`` whose answer changes; returns their number. Call it after the last request there.

    ``scan`` is that of a request, ``commanded`` the C10 of now. Nothing is revised while the model is distrusted, nor where the lattice's phase is unknown.
    """
    if twin_session.trust.distrusted:
        return 0
    steps, count = _focus_steps(journal), 0
    moments = _moments(twin_session, journal, site, commanded)
    taken = [row.time or 0 for row in journal.rows(kind="taken back")]

    def series(moment: _Moment) -> tuple[bool, int]:
        """Beliefs of one series are smoothed together: what a person did to the column between two is not known."""
        return bool(moment.belief.circular_uniform), bisect.bisect(taken, moment.belief.time)

    for (unknown, _), group in itertools.groupby(moments, series):
        members = list(group)
        if unknown or len(members) < 2:
            continue
        beliefs = [moment.belief for moment in members]
        jumps = [_jump(twin_session, steps, a.time, b.time) for a, b in itertools.pairwise(beliefs)]
        for moment, belief in zip(members[:-1], smoothed(twin_session.dynamics, beliefs, jumps)[:-1], strict=True):
            _answer_again(twin_session, journal, moment, belief, scan)
            count += 1
    return count


def _moments(twin_session: TwinSession, journal: Journal, site: int, commanded: float) -> list[_Moment]:
    rows = [row for row in request_rows(journal) if row.payload["site"] == site]
    checkpoints = {row.payload["next"] - 1: row for row in journal.rows(kind="checkpoint")}
    layout, out = twin_session.microscope.layout, []
    for row in rows[:-1]:
        kept = checkpoints[row.payload["index"]]
        belief = Belief.from_state(layout, kept.payload, kept.arrays)
        out.append(_Moment(row, belief, float(kept.payload["commanded"].get("C10", 0.0))))
    return [*out, _Moment(rows[-1], twin_session.belief, commanded)] if rows else []


def _focus_steps(journal: Journal) -> list[tuple[int, float]]:
    """Time (ns) and step (angstrom) of every command of C10."""
    applied = [row for row in journal.rows(kind="command") if row.payload["name"] == "apply"]
    values = [(row.time or 0, row.payload["args"]["changes"].get("C10")) for row in applied]
    known = [(time, float(value)) for time, value in values if value is not None]
    before = [0.0, *(value for _, value in known)]
    return [(time, value - earlier) for (time, value), earlier in zip(known, before, strict=False)]


def _jump(
    twin_session: TwinSession, steps: list[tuple[int, float]], since: int, until: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of what the commands between two times added to the state."""
    mean, variance = np.zeros(len(twin_session.dynamics.layout)), np.zeros(len(twin_session.dynamics.layout))
    for time, step in steps:
        if since < time <= until and step:
            of_step = twin_session.column.change("C10", step)
            mean, variance = mean + of_step[0], variance + of_step[1] ** 2
    return mean, np.sqrt(variance)


def _answer_again(twin_session: TwinSession, journal: Journal, moment: _Moment, belief: Belief, scan: Scan) -> None:
    payload, data = moment.row.payload, None
    if payload["frame_row"] is not None:
        scan, data = journal.frame(payload["frame_row"]).scan, moment.row.arrays["measured"].reshape(-1)
    else:  # answered from the belief before the settings of its request were commanded
        step = payload["settings"]["C10"] - moment.c10
        belief = twin_session.ahead(belief.time + int(scan.settle * 1e9), step, belief)
    answer = twin_session.answer(belief, payload["settings"], scan, data, payload["index"])
    journal.append(
        "revised",
        {"index": payload["index"]},
        twin_session.belief.time,
        {"answer": answer.image, "answer_std": answer.std},
    )
