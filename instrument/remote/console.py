"""The thread that owns an instrument: it builds it, executes one command at a time, and advances a running clock.

No sockets here: commands come in with `Console.submit`, replies and readings go out through the ``emit`` given to it.
"""

import queue
import sys
import time
import traceback
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from instrument.core.interface import Instrument, InstrumentError
from instrument.remote import wire
from twin.records import Readings

MAX_STEP = 10 * 10**9
"""Longest stretch of instrument time (ns) between two publications."""
LONGEST_ADVANCE = 24 * 3600 * 10**9
TICK = 0.05
"""Wall seconds between two updates of a running clock."""

LONGEST_CATCH_UP = 0.2
"""Wall seconds that a running clock may catch up before the next command is read."""

Stage = Literal["starting", "ready", "sealed", "closed"]
Builder = Callable[[Callable[[str, float], None]], Instrument]


class Truth(Protocol):
    """The hidden truth, available for scoring after the session is sealed."""

    def expected(self, requests: Sequence[Any]) -> Sequence[Any]: ...

    def state(self, times: Any) -> dict[str, Any]: ...

    def facts(self) -> dict[str, Any]: ...


class Answer(msgspec.Struct, frozen=True):
    """The result of the request numbered ``number`` that came from ``origin``."""

    origin: Hashable
    number: int
    result: wire.Result


Event = Answer | list[Readings]
_Operation = wire.Apply | wire.Advance | wire.Acquire | wire.Restore


class _Item(msgspec.Struct, frozen=True):
    origin: Hashable
    number: int
    command: wire.Command


class _Waiting(msgspec.Struct, frozen=True):
    """An answer held back until the running clock reaches ``until``."""

    item: _Item
    result: wire.Result | None
    until: int


class Console:
    """Owns the instrument that ``build`` returns.

    ``rate`` > 0 makes a stepped instrument run at that many times the wall's clock. ``truth`` (or the instrument's
    own ``truth``) answers after sealing. `stage`, `text` and `fraction` may be read from other threads.
    """

    def __init__(self, build: Builder, emit: Callable[[Event], None], rate: float = 0.0, truth: Truth | None = None):
        self.stage: Stage = "starting"
        self.text, self.fraction = "starting", None
        self.failure: BaseException | None = None
        self._build, self._emit, self._rate, self._truth = build, emit, rate, truth
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._waiting: list[_Waiting] = []
        self._stopping = False
        self._touched = False
        self._instrument: Instrument
        self._begin = (0.0, 0)

    def submit(self, origin: Hashable, number: int, command: wire.Command) -> None:
        """Queue a command; refused at once while the instrument is still being built."""
        if self.stage == "starting":
            share = "" if self.fraction is None else f" ({self.fraction:.0%})"
            problem = f"the instrument is still starting: {self.text}{share};"
            self._emit(Answer(origin, number, wire.Refused(problem, "wait until its heartbeat says ready")))
        else:
            self._queue.put(_Item(origin, number, command))

    def stop(self) -> None:
        """Ask the thread to end: after the step it is in, not after the command."""
        self._stopping = True
        self._queue.put(None)

    def run(self) -> None:
        """The thread's body; returns when stopped or closed. A failed build is kept in ``failure``."""
        try:
            self._instrument = self._build(self._progress)
            description = self._instrument.describe()
        except BaseException as error:  # reported by the server, which ends with it
            self.failure, self.stage = error, "closed"
            return
        own_clock = description.clock == "running"
        self._running = own_clock or self._rate > 0
        self._own_clock = own_clock
        self._begin = (time.monotonic(), self._instrument.now())
        self.text, self.fraction, self.stage = "", None, "ready"
        while not self._stopping and self.stage != "closed":
            try:
                item = self._queue.get(timeout=TICK if self._running else None)
            except queue.Empty:
                item = None
            if self._stopping:
                break
            try:
                self._tick()
            except Exception as error:  # the clock of a failed instrument stands still; its commands say why
                self._running = False
                self._failed(error)
            if item is not None:
                self._carry_out(item)
        self.stage = "closed"
        self._instrument.close()

    def _progress(self, text: str, fraction: float | None) -> None:
        self.text, self.fraction = str(text), None if fraction is None else float(fraction)

    def _target(self) -> int:
        """The time that a running clock should show now."""
        if self._own_clock:
            return self._instrument.now()
        wall, start = self._begin
        return start + int((time.monotonic() - wall) * self._rate * 1e9)

    def _tick(self) -> None:
        if not self._running or self.stage != "ready":
            return
        target, now = self._target(), self._instrument.now()
        if self._own_clock:
            self._instrument.advance(target)
            self._publish()
        else:
            latest = time.monotonic() + LONGEST_CATCH_UP
            while now < target and time.monotonic() < latest:
                now = self._step_to(min(target, now + MAX_STEP))
        reached = min(target, self._instrument.now())  # behind the wall, if the instrument cannot keep pace
        for waiting in [w for w in self._waiting if w.until <= reached]:
            self._waiting.remove(waiting)
            result = waiting.result or wire.Moment(self._instrument.now())
            self._emit(Answer(waiting.item.origin, waiting.item.number, result))

    def _step_to(self, until: int) -> int:
        now = self._instrument.now()
        while now < until:
            if self._stopping:
                raise InstrumentError("the instrument is being stopped;", "start it again")
            previous, now = now, self._instrument.advance(min(until, now + MAX_STEP))
            self._publish()
            if now <= previous:
                break
        return now

    def _publish(self) -> None:
        if batches := self._instrument.readings():
            for batch in batches:
                wire.check_readings(batch)
            self._emit(batches)

    def _carry_out(self, item: _Item) -> None:
        command = item.command
        try:
            if self.stage == "sealed" and isinstance(command, _Operation):
                raise InstrumentError(
                    "the session is sealed: it accepts no more operations;", "start another instrument"
                )
            if isinstance(command, wire.Apply | wire.Advance | wire.Acquire):
                self._touched = True
            result = self._do(command)
            if not isinstance(command, wire.Restore) and self.stage == "ready":
                self._publish()
        except InstrumentError as error:
            result = wire.Refused(error.problem, error.cure)
        except ValueError as error:
            result = wire.Refused(str(error))
        except Exception as error:
            result = self._failed(error)
        if self._running and self.stage == "ready":
            if isinstance(command, wire.Advance) and isinstance(result, wire.Moment) and result.time < command.until:
                self._waiting.append(_Waiting(item, None, command.until))
                return
            if isinstance(command, wire.Acquire | wire.Apply) and self._instrument.now() > self._target():
                self._waiting.append(_Waiting(item, result, self._instrument.now()))
                return
        self._emit(Answer(item.origin, item.number, result))

    def _do(self, command: wire.Command) -> wire.Result:
        instrument = self._instrument
        match command:
            case wire.Describe():
                description = instrument.describe()
                if self._running and not self._own_clock:
                    description = msgspec.structs.replace(description, clock="running", rate=self._rate)
                return wire.Described(description)
            case wire.Now():
                return wire.Moment(instrument.now())
            case wire.Settings():
                return wire.SettingsAre({name: float(value) for name, value in instrument.settings().items()})
            case wire.Apply(changes):
                return wire.Moment(instrument.apply(changes))
            case wire.Advance(until):
                duration = until - instrument.now()
                if duration > LONGEST_ADVANCE:
                    raise InstrumentError(
                        f"asked to advance by {duration / 1e9:.6g} s;",
                        f"advance by at most {LONGEST_ADVANCE // 10**9} s at a time",
                    )
                # a running clock is left to run: the answer comes when it gets there
                return wire.Moment(instrument.now() if self._running else self._step_to(until))
            case wire.Acquire(scan):
                return wire.Framed(instrument.acquire(scan))
            case wire.Restore(commands):
                return self._restore(commands)
            case wire.Seal():
                self._seal()
                return wire.Done()
            case wire.Close():
                self.stage = "closed"
                return wire.Done()
            case wire.Expected() | wire.State() | wire.Facts():
                return self._ask_truth(command)
            case wire.Hello():
                raise InstrumentError("Hello is answered by the server, not by the instrument;")
        raise InstrumentError(f"no such command: {type(command).__name__};")

    def _restore(self, commands: list[wire.Past]) -> wire.Result:
        restore = getattr(self._instrument, "restore", None)
        if restore is None:
            raise InstrumentError("this instrument cannot be restored;", "only simulated ones can")
        if self._touched or self._running:
            raise InstrumentError(
                "this instrument has already been used, or its clock runs;", "restore a freshly started one"
            )
        self._touched = True
        restore([(type(past.command).__name__.lower(), _arguments(past.command), past.time) for past in commands])
        self._instrument.readings()  # these were published before the restart
        return wire.Moment(self._instrument.now())

    def _seal(self) -> None:
        for waiting in self._waiting:
            refused = wire.Refused("the session was sealed meanwhile;")
            self._emit(Answer(waiting.item.origin, waiting.item.number, refused))
        self._waiting.clear()
        self.stage = "sealed"

    def _ask_truth(self, command: wire.Expected | wire.State | wire.Facts) -> wire.Result:
        if self.stage != "sealed":
            raise InstrumentError("the truth cannot be read while the instrument operates;", "seal it first")
        truth: Truth | None = self._truth or getattr(self._instrument, "truth", None)
        if truth is None:
            raise InstrumentError("this instrument has no hidden truth;", "only simulated ones do")
        match command:
            case wire.Expected(requests):
                # one by one: a list of (fraction [ny, nx], counts [ny, nx] or None)
                pairs = list(truth.expected(requests))
                return wire.ExpectedFrames([frame for frame, _ in pairs], [noisy for _, noisy in pairs])
            case wire.State(times):
                return wire.States(dict(truth.state(times)))
            case wire.Facts():
                facts = truth.facts()
                arrays = {name: value for name, value in facts.items() if hasattr(value, "dtype") and value.ndim}
                return wire.FactsAre({name: value for name, value in facts.items() if name not in arrays}, arrays)

    def _failed(self, error: Exception) -> wire.Refused:
        traceback.print_exception(error, file=sys.stderr)
        return wire.Refused(f"the instrument failed: {type(error).__name__}: {error};", "see the log of its process")


def _arguments(command: wire.Apply | wire.Advance | wire.Acquire) -> dict[str, Any]:
    return {name: getattr(command, name) for name in command.__struct_fields__}
