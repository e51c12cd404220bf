"""The other end of the wire: an instrument in another process that looks like one in this process, and the truth asked
for afterwards.
"""

import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
import zmq

from instrument import wire
from instrument.interface import Description, InstrumentError, InstrumentLost
from twin.records import Frame, Readings, Scan

SILENCE = 3.0
"""Seconds without a heartbeat after which an instrument is lost."""
_POLL = 0.1
_ResultT = TypeVar("_ResultT")
_CURE = "check the address, and that it was started with `emtwin instrument serve`"


class _Caller:
    """Asks one question at a time over a DEALER socket and finds the answer that belongs to it."""

    def __init__(self, context: zmq.Context, address: str, timeout: float, token: str = ""):
        self._address, self._timeout, self._token = address, timeout, token
        self._number = 0
        self.session = ""
        self._lock = threading.Lock()
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, wire.LONGEST_MESSAGE)
        try:
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self._socket.close()
            raise InstrumentError(
                f"{address!r} is no address of an instrument ({error.strerror});", "give it as tcp://127.0.0.1:PORT"
            ) from None

    def ask(
        self,
        command: wire.Command,
        kind: type[_ResultT],
        check: Callable[[], None],
        on_work: Callable[[str], None] | None = None,
    ) -> tuple[_ResultT, wire.Reply]:
        """The answer. ``check`` is called ten times a second and may raise; answers to earlier, abandoned questions
        are skipped.
        """
        with self._lock:
            self._number += 1
            number = self._number
            self._socket.send_multipart(wire.encode(wire.Request(number, command, self._token, self.session)))
            while True:
                if not self._socket.poll(int(_POLL * 1000)):
                    check()
                    continue
                reply = self._decode(self._socket.recv_multipart())
                if isinstance(reply.result, wire.Refused) and reply.number in (0, number):
                    raise InstrumentError(reply.result.problem, reply.result.cure)
                if reply.number != number:
                    continue
                if isinstance(reply.result, wire.Stranger):
                    raise InstrumentLost(
                        f"the instrument at {self._address} was started anew and has forgotten what was done"
                    )
                if isinstance(reply.result, wire.Working):
                    if on_work is not None:
                        on_work(reply.result.text)
                    continue
                if not isinstance(reply.result, kind):
                    answered = type(reply.result).__name__
                    raise InstrumentError(
                        f"{self._address} answered {type(command).__name__} with {answered};",
                        "it is not an emtwin instrument",
                    )
                return reply.result, reply

    def _decode(self, parts: list[bytes]) -> wire.Reply:
        try:
            message = wire.decode(parts)
        except wire.WireError as error:
            raise InstrumentError(f"{self._address} does not speak {wire.PROTOCOL}: {error};", _CURE) from None
        if not isinstance(message, wire.Reply):
            raise InstrumentError(f"{self._address} sent a {type(message).__name__} where a reply was due;", _CURE)
        return message

    def close(self) -> None:
        self._socket.close()


class _Quiet:
    """Counts how long nothing was heard, in steps, so that a pause of this process itself does not count."""

    def __init__(self):
        self._silent, self._looked = 0.0, time.monotonic()

    def heard(self) -> None:
        self._silent, self._looked = 0.0, time.monotonic()

    def look(self) -> float:
        now = time.monotonic()
        self._silent += min(now - self._looked, 3 * _POLL)
        self._looked = now
        return self._silent


class _Listener(threading.Thread):
    """Takes in everything published, so that nothing is lost while the caller is busy; notices gaps, duplicates and
    silence.
    """

    def __init__(self, context: zmq.Context, address: str, session: str):
        super().__init__(name="readings", daemon=True)
        self.fault: Exception | None = None
        self.heartbeat: wire.Heartbeat | None = None
        self.number = 0
        self.lost_messages = 0
        self.gaps: dict[str, int] = {}
        self.news = threading.Condition()
        self._address, self._session = address, session
        self._batches: list[Readings] = []
        self._next: dict[str, int] = {}
        self._ending = False
        self._socket = context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, wire.LONGEST_MESSAGE)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._socket.connect(address)

    def run(self) -> None:
        quiet = _Quiet()
        try:
            while not self._ending and self.fault is None:
                if self._socket.poll(int(_POLL * 1000)):
                    message = wire.decode(self._socket.recv_multipart())
                    if not isinstance(message, wire.Published):
                        raise wire.WireError(f"a {type(message).__name__} where readings were due")
                    quiet.heard()
                    with self.news:
                        self._take(message)
                        self.news.notify_all()
                elif quiet.look() > SILENCE:
                    raise InstrumentLost(f"the instrument at {self._address} has been silent for {SILENCE:g} s")
        except InstrumentLost as error:
            self._end(error)
        except wire.WireError as error:
            self._end(InstrumentError(f"{self._address} does not speak {wire.PROTOCOL}: {error};", _CURE))
        finally:
            self._socket.close()

    def _end(self, error: Exception) -> None:
        with self.news:
            self.fault = error
            self.news.notify_all()

    def _take(self, message: wire.Published) -> None:
        if message.session != self._session:
            raise InstrumentLost(f"the instrument at {self._address} was started anew and has forgotten what was done")
        if self.heartbeat is None and not isinstance(message.body, wire.Heartbeat):
            return  # published before we were known to listen
        if message.number <= self.number:
            return  # a duplicate
        if self.heartbeat is not None:
            self.lost_messages += message.number - self.number - 1
        self.number = message.number
        if isinstance(message.body, wire.Heartbeat):
            if self.heartbeat is None:
                self._next = {name: last + 1 for name, last in message.body.last.items()}
            self.heartbeat = message.body
            if message.body.stage == "closed":
                raise InstrumentLost(f"the instrument at {self._address} has been closed")
            return
        for batch in message.body.readings:
            self._add(batch)

    def _add(self, batch: Readings) -> None:
        due = self._next.get(batch.channel, batch.first)
        if batch.first > due:
            self.gaps[batch.channel] = self.gaps.get(batch.channel, 0) + batch.first - due
        skip = max(0, due - batch.first)
        if skip < len(batch.values):
            self._next[batch.channel] = batch.first + len(batch.values)
            kept = batch if not skip else Readings(batch.channel, due, batch.times[skip:], batch.values[skip:])
            self._batches.append(kept)

    def wait(self, number: int, timeout: float) -> None:
        """Until the message of that number has come, or a fault, or the time is over (then those missing will count as
        lost).
        """
        with self.news:
            self.news.wait_for(lambda: self.number >= number or self.fault is not None, timeout)

    def take_readings(self) -> list[Readings]:
        with self.news:
            batches, self._batches = self._batches, []
            return batches

    def forget_positions(self) -> None:
        """Accept any sequence number next, for every channel: the instrument has jumped."""
        with self.news:
            self._next.clear()

    def end(self) -> None:
        self._ending = True
        if self.ident is not None:
            self.join()
        else:
            self._socket.close()


class RemoteInstrument:
    """The instrument served at ``address`` ("tcp://127.0.0.1:PORT"); see `instrument.interface.Instrument` for its
    methods.

    Raises InstrumentError if nothing that speaks this protocol answers within ``timeout`` seconds. Waits for an
    instrument that is still starting for as long as its heartbeats come, telling ``progress`` (text, fraction or
    None). From then on every method raises InstrumentLost when the instrument has been silent for 3 s, was closed or
    was started anew, and InstrumentError when it refuses.
    """

    def __init__(self, address: str, timeout: float = 5.0, progress: Callable[[str, float | None], None] | None = None):
        self.address, self._timeout = address, timeout
        self._context = zmq.Context()
        self._listener: _Listener | None = None
        self._caller: _Caller | None = None
        try:
            self._caller = _Caller(self._context, address, timeout)
            quiet = _Quiet()

            def nobody() -> None:
                if quiet.look() > timeout:
                    raise InstrumentError(
                        f"nothing that speaks {wire.PROTOCOL} answers at {address} within {timeout:g} s;", _CURE
                    )

            welcome, _ = self._caller.ask(wire.Hello(), wire.Welcome, nobody)
            self._caller.session = welcome.session
            readings = f"{address.rpartition(':')[0]}:{welcome.readings_port}"
            self._listener = _Listener(self._context, readings, welcome.session)
            self._listener.start()
            self._wait_until_ready(progress)
        except BaseException:
            self.close()
            raise

    def _wait_until_ready(self, progress: Callable[[str, float | None], None] | None) -> None:
        listener = self._listener
        assert listener is not None
        with listener.news:
            listener.news.wait_for(lambda: listener.heartbeat is not None or listener.fault is not None, self._timeout)
        if listener.heartbeat is None:
            self._check()
            raise InstrumentError(
                f"the instrument at {self.address} publishes no heartbeat within {self._timeout:g} s;", _CURE
            )
        while listener.heartbeat.stage == "starting":
            if progress is not None:
                progress(listener.heartbeat.text, listener.heartbeat.fraction)
            seen = listener.number
            with listener.news:
                listener.news.wait_for(lambda seen=seen: listener.number > seen or listener.fault is not None)
            self._check()

    def _check(self) -> None:
        if self._listener is None:
            raise InstrumentError("this connection has been closed;", "connect anew")
        if self._listener.fault is not None:
            raise self._listener.fault

    def _ask(self, command: wire.Command, kind: type[_ResultT]) -> _ResultT:
        self._check()
        assert self._caller is not None
        assert self._listener is not None
        result, reply = self._caller.ask(command, kind, self._check)
        self._listener.wait(reply.published, self._timeout)
        return result

    def describe(self) -> Description:
        return self._ask(wire.Describe(), wire.Described).description

    def now(self) -> int:
        return self._ask(wire.Now(), wire.Moment).time

    def settings(self) -> dict[str, float]:
        return self._ask(wire.Settings(), wire.SettingsAre).values

    def apply(self, changes: dict[str, float]) -> int:
        return self._ask(wire.Apply({name: float(value) for name, value in changes.items()}), wire.Moment).time

    def advance(self, until: int) -> int:
        return self._ask(wire.Advance(int(until)), wire.Moment).time

    def acquire(self, scan: Scan) -> Frame:
        return self._ask(wire.Acquire(scan), wire.Framed).frame

    def readings(self) -> list[Readings]:
        """Everything published since the last call; after advance, acquire and apply, all that they gave rise to is
        there.
        """
        if self._listener is None:
            self._check()
        assert self._listener is not None
        batches = self._listener.take_readings()
        if not batches:
            self._check()
        return batches

    def restore(self, commands: Sequence[tuple[Literal["apply", "advance", "acquire"], dict[str, Any], int]]) -> int:
        """Run a fresh simulated microscope through earlier commands, (name, arguments, time) each; returns its time
        then.

        Arguments are those of the method: {"changes": {...}}, {"until": ns}, {"scan": Scan or its fields}. Readings
        of that time are not published again. ValueError for a command that is none.
        """
        kinds = {"apply": wire.Apply, "advance": wire.Advance, "acquire": wire.Acquire}
        past = []
        for name, arguments, time_ns in commands:
            try:
                past.append(wire.Past(msgspec.convert(msgspec.to_builtins(arguments), kinds[name]), int(time_ns)))
            except (KeyError, msgspec.ValidationError) as error:
                raise ValueError(
                    f"cannot restore command {name!r} with {arguments!r}: {error}; use one that a session recorded"
                ) from error
        moment = self._ask(wire.Restore(past), wire.Moment)
        assert self._listener is not None
        self._listener.forget_positions()
        return moment.time

    def seal(self) -> None:
        """End operation for ever; the truth may be asked for from then on."""
        self._ask(wire.Seal(), wire.Done)

    def shutdown(self) -> None:
        """End the instrument's process, then this connection."""
        self._ask(wire.Close(), wire.Done)
        self.close()

    @property
    def gaps(self) -> dict[str, int]:
        """For each channel, how many readings never came: dropped by the source, or lost on the way."""
        return {} if self._listener is None else dict(self._listener.gaps)

    @property
    def lost_messages(self) -> int:
        """How many published messages were lost on the way."""
        return 0 if self._listener is None else self._listener.lost_messages

    def close(self) -> None:
        """End this connection; the instrument goes on."""
        if self._listener is not None:
            self._listener.end()
            self._listener = None
        if self._caller is not None:
            self._caller.close()
            self._caller = None
        self._context.term()

    def __enter__(self) -> "RemoteInstrument":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class TruthClient:
    """Asks the truth of a sealed simulated microscope, by its server's ticket. ValueError for a broken one."""

    def __init__(self, ticket: str | Path, timeout: float = 5.0):
        try:
            content = json.loads(Path(ticket).read_text())
            protocol, address, token = (str(content[key]) for key in ("protocol", "address", "token"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"cannot read the ticket {ticket}: {error}; give the file that the instrument's server wrote"
            ) from error
        if protocol != wire.PROTOCOL:
            raise InstrumentError(str(wire.VersionError(protocol)))
        self._address, self._timeout = address, timeout
        self._context = zmq.Context()
        try:
            self._caller = _Caller(self._context, address, timeout, token)
        except BaseException:
            self._context.term()
            raise

    def _ask(self, command: wire.Command, kind: type[_ResultT]) -> _ResultT:
        quiet = _Quiet()

        def check() -> None:
            if quiet.look() > self._timeout:
                raise InstrumentLost(f"the truth at {self._address} has been silent for {self._timeout:g} s")

        return self._caller.ask(command, kind, check, lambda text: quiet.heard())[0]

    def expected(self, requests: Sequence[wire.TruthRequest]) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """For each request the expected frame (fraction of the incident beam, float64 [ny, nx]) and, if noisy, one in
        counts.
        """
        answer = self._ask(wire.Expected(list(requests)), wire.ExpectedFrames)
        return list(zip(answer.frames, answer.noisy, strict=True))

    def state(self, times: np.ndarray | Sequence[int]) -> dict[str, np.ndarray]:
        """What was, at these times (int64 ns): arrays by name, their first axis that of the times."""
        return self._ask(wire.State(np.asarray(times, np.int64)), wire.States).arrays

    def facts(self) -> dict[str, Any]:
        """What never changes."""
        answer = self._ask(wire.Facts(), wire.FactsAre)
        return {**answer.values, **answer.arrays}

    def close(self) -> None:
        self._caller.close()
        self._context.term()

    def __enter__(self) -> "TruthClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
