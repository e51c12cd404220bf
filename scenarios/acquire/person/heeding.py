"""A running session heeds what a person orders: it stops, leaves the instrument to the person and takes it back, or is told to measure."""

import time
from typing import Protocol

import msgspec

from instrument.core.interface import Instrument
from instrument.core.journal import Journal
from scenarios.acquire.person.orders import Order, Orders
from scenarios.acquire.twin_session import TwinSession
from scenarios.io.progress import Progress

POLL = 0.2
"""Seconds between two looks for orders while a session is held."""
UNDERSTOOD = ("C10", "C12.a", "C12.b", "beam_shift.x", "beam_shift.y")
"""Controls whose change the twin follows; after one of the stage the place is another, after any other nothing of the column is known."""


class Held(Protocol):
    """What of a session `heed` needs."""

    instrument: Instrument
    journal: Journal
    progress: Progress
    orders: Orders

    @property
    def stopped(self) -> bool: ...

    @property
    def moment(self) -> int: ...

    def halt(self) -> None: ...

    def listen(self, until: int) -> None: ...

    def take_back(self, before: dict[str, float]) -> None: ...


class Tracking(Held, Protocol):
    """A session whose twin follows the column."""

    twin_session: TwinSession
    commanded: dict[str, float]


def heed(session: Held) -> Order | None:
    """Do what a person ordered meanwhile; the last order to measure, if there is one."""
    measure, held = None, False
    begun: dict[str, float] = {}
    while True:
        for order in session.orders.new():
            session.journal.append("order", msgspec.to_builtins(order), session.moment)
            if order.word == "stop":
                session.halt()
            elif order.word == "measure":
                measure = order
            elif order.word == "hold" and not held:
                held, begun = True, session.instrument.settings()
                session.progress.stage("held by a person; emtwin session tell SESSION go-on ends it")
            elif order.word == "go-on" and held:
                held = False
                session.take_back(begun)
        if not held or session.stopped:
            return measure
        session.listen(session.instrument.now())
        time.sleep(POLL)


def follow_person(session: Tracking, before: dict[str, float]) -> None:
    """The belief after what a person did to the controls, which were as they were ``before``."""
    settings = session.instrument.settings()
    changes = {name: value for name, value in settings.items() if value != before.get(name)}
    session.listen(session.instrument.now())
    if any(name not in UNDERSTOOD and not name.startswith("stage.") for name in changes):
        session.twin_session.forget()
    elif any(name.startswith("stage.") for name in changes):
        steps = [settings[name] - before.get(name, 0.0) for name in ("stage.x", "stage.y")]
        session.twin_session.move_stage(*steps)
    if "C10" in changes:
        session.twin_session.change_focus(changes["C10"] - before.get("C10", 0.0))
    session.commanded |= settings
    session.journal.append("taken back", {"changes": changes}, session.twin_session.belief.time)
