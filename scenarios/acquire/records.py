"""What a session records of a request, in the journal and for who watches."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from instrument.core.journal import Journal
from learn.design.decision import Choice
from scenarios.acquire.dose_accounting import Ledger, electrons_of
from scenarios.acquire.planning.requests import Request
from scenarios.acquire.twin_session import TwinSession, describe_state
from twin.image.prediction import STATISTICS, Prediction
from twin.records import Scan


class Recorded(Protocol):
    """What of a session is recorded."""

    twin_session: TwinSession
    journal: Journal
    ledger: Ledger
    requests: list[Request]
    scan: Scan
    start: int


def journal_request(
    session: Recorded, request: Request, settings, choice: Choice, prediction: Prediction, arrays, row, at, extra
) -> None:
    """The rows of a request: what was predicted, decided and measured, and the state after it."""
    twin_session, trust = session.twin_session, session.twin_session.trust
    payload = {
        "index": request.index,
        "site": request.site,
        "time_ns": twin_session.belief.time,
        "command_ns": at,
        "requested": request.settings,
        "settings": settings,
        "decision": choice.decision,
        "why": choice.why,
        "reason": choice.reason,
        "predicted_error": choice.predicted_error,
        "expected_after": choice.expected_after,
        "gain_per_electron": choice.gain_per_electron,
        "electrons": choice.electrons,
        "requested_electrons": electrons_of(session.scan),
        "measured": choice.measures,
        "numbers": {name: _numbers(prediction, name) for name in STATISTICS},
        "frame_row": row,
        "distrusted": trust.distrusted,
        "discrepancy": twin_session.discrepancy.amplitude,
        "jitter": twin_session.discrepancy.jitter,
        "inflation": twin_session.inflation.factor,
        **extra,
    }
    session.journal.append("request", payload, twin_session.belief.time, arrays)
    belief = twin_session.belief
    session.journal.append(
        "state",
        {"time_ns": belief.time, "names": list(belief.layout.names)},
        belief.time,
        {"mean": belief.mean, "std": belief.std},
    )


def event_of(session: Recorded, request: Request, choice: Choice, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """A request for `scenarios.io.progress.Progress.request`."""
    belief, trust = session.twin_session.belief, session.twin_session.trust
    return {
        "index": request.index,
        "count": len(session.requests),
        "decision": choice.decision,
        "why": choice.why,
        "predicted_error": choice.predicted_error,
        "dose_spent": session.ledger.spent,
        "dose_saved": session.ledger.saved,
        "state": describe_state(belief),
        "distrusted": trust.distrusted,
        "time": (belief.time - session.start) * 1e-9,
        "images": {name: arrays[name] for name in ("predicted", "measured") if name in arrays},
    }


def _numbers(prediction: Prediction, name: str) -> list[float]:
    interval = prediction.statistics[name]
    return [interval.centre, interval.centre + interval.low, interval.centre + interval.high, interval.std]
