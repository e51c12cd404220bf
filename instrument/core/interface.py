"""The interface of an instrument: the simulated microscope, a recording, or a real control system."""

from typing import Protocol

import msgspec

from twin.channels import Channel, Control
from twin.records import Frame, Readings, Scan


class Description(msgspec.Struct, frozen=True):
    """An instrument's name, kind ("simulated", "replay", a control system), controls, channels and detectors.

    ``clock`` is "stepped" (time moves only with `Instrument.advance`) or "running" (it moves by itself, ``rate`` times the wall's).
    ``blanker``: it has a fast beam blanker, and records a `Scan` that is ``blanked``.
    """

    name: str
    kind: str
    clock: str
    rate: float
    controls: tuple[Control, ...]
    channels: tuple[Channel, ...]
    detectors: tuple[str, ...]
    note: str = ""
    blanker: bool = False


class InstrumentError(Exception):
    """The instrument refused a command: ``problem`` says what was wrong, ``cure`` what to do."""

    def __init__(self, problem: str, cure: str = ""):
        super().__init__(f"{problem} {cure}".strip())
        self.problem = problem
        self.cure = cure


class InstrumentLost(Exception):
    """The instrument no longer answers."""


class Instrument(Protocol):
    """A microscope, or something that can be driven like one. Times are int64 ns UTC of the instrument's own clock."""

    def describe(self) -> Description: ...

    def now(self) -> int: ...

    def settings(self) -> dict[str, float]:
        """All controls, as commanded."""
        ...

    def apply(self, changes: dict[str, float]) -> int:
        """Command some controls; returns the time at which the command took effect. Raises InstrumentError, changing nothing, if any is refused."""
        ...

    def advance(self, until: int) -> int:
        """Let time pass until ``until`` (at once with a stepped clock, waiting with a running one); returns the time then."""
        ...

    def acquire(self, scan: Scan) -> Frame:
        """Settle, unblank, scan, blank. Time moves on by the settling, dwell and flyback times."""
        ...

    def readings(self) -> list[Readings]:
        """All readings published since the last call, in order for each channel."""
        ...

    def close(self) -> None: ...
