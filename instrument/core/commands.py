"""Commands to an instrument: values that its controls take, and what was commanded before run again."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from instrument.core.interface import InstrumentError
from twin.channels import Control
from twin.records import Scan

Command = tuple[str, Mapping[str, object], int]
"""Name, arguments, and the time in ns at which it was given."""


def checked(changes: Mapping[str, float], controls: Sequence[Control], whole: bool = False) -> dict[str, float]:
    """``changes`` by the names of ``controls`` (``whole``: to whole numbers). InstrumentError for a control that is not there, and a value that it does not
    take."""
    known = {control.name: control for control in controls}
    for name, value in changes.items():
        if name not in known:
            raise InstrumentError(f"there is no control {name!r}.", f"The controls are {', '.join(known)}.")
        control = known[name]
        unit = "" if control.unit == "1" else f" {control.unit}"
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InstrumentError(
                f"{name} = {value!r} is not a finite number.", f"Give a number{unit and ' in'}{unit}."
            )
        within = f"{control.lowest:g} to {control.highest:g}{unit}"
        if whole and value != round(value):
            raise InstrumentError(f"{name} = {value!r} is not a whole number.", f"Give one from {within}.")
        if not control.lowest <= value <= control.highest:
            raise InstrumentError(f"{name} = {value:g} is out of range.", f"Give {within}.")
    return {name: float(value) for name, value in changes.items()}


class Stepped(Protocol):
    """An instrument whose time moves on command."""

    def apply(self, changes: dict[str, float]) -> int: ...

    def advance(self, until: int) -> int: ...


def run_again(instrument: Stepped, commands: Iterable[Command], scanned: Callable[[Scan], object]) -> None:
    """Run ``commands`` again, each at its time; those that are not apply, advance or acquire are skipped. ``scanned`` lets the time of a scan pass."""
    for name, arguments, time_ns in commands:
        if name not in ("apply", "advance", "acquire"):
            continue
        instrument.advance(int(time_ns))
        if name == "apply":
            instrument.apply(msgspec.convert(arguments["changes"], dict[str, float]))
        elif name == "advance":
            instrument.advance(msgspec.convert(arguments["until"], int))
        else:
            scan = arguments["scan"]
            scanned(scan if isinstance(scan, Scan) else msgspec.convert(scan, Scan))
