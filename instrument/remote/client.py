"""Clients of a served instrument: `RemoteInstrument`, with the interface of a local one, and `TruthClient` for scoring."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import msgspec
import numpy as np
import zmq

from instrument.core.interface import Description, InstrumentError, InstrumentLost
from instrument.remote import wire
from instrument.remote.caller import CURE, Caller, ResultT, SilenceTimer
from instrument.remote.listener import Listener
from twin.notebook import table
from twin.records import Frame, Readings, Scan
from twin.units import utc, value_text


class RemoteInstrument:
    """The instrument served at ``address`` ("tcp://127.0.0.1:PORT"); see `instrument.core.interface.Instrument` for its
    methods.

    Raises InstrumentError if nothing that speaks this protocol answers within ``timeout`` seconds. Waits for an
    instrument that is still starting for as long as its heartbeats come, telling ``progress`` (text, fraction or
    None). From then on every method raises InstrumentLost when the instrument has been silent for 3 s, was closed or
    was started anew, and InstrumentError when it refuses.
    """

    def __init__(self, address: str, timeout: float = 5.0, progress: Callable[[str, float | None], None] | None = None):
        self.address, self._timeout = address, timeout
        self._context = zmq.Context()
        self._listener: Listener | None = None
        self._caller: Caller | None = None
        try:
            self._caller = Caller(self._context, address)
            silence = SilenceTimer()

            def raise_if_silent() -> None:
                if silence.elapsed() > timeout:
                    raise InstrumentError(
                        f"nothing that speaks {wire.PROTOCOL} answers at {address} within {timeout:g} s;", CURE
                    )

            welcome, _ = self._caller.ask(wire.Hello(), wire.Welcome, raise_if_silent)
            self._caller.session = welcome.session
            readings = f"{address.rpartition(':')[0]}:{welcome.readings_port}"
            self._listener = Listener(self._context, readings, welcome.session)
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
                f"the instrument at {self.address} publishes no heartbeat within {self._timeout:g} s;", CURE
            )
        while listener.heartbeat.stage == "starting":
            if progress is not None:
                progress(listener.heartbeat.text, listener.heartbeat.fraction)
            last_number = listener.number
            with listener.news:
                listener.news.wait_for(
                    lambda last_number=last_number: listener.number > last_number or listener.fault is not None
                )
            self._check()

    def _check(self) -> None:
        if self._listener is None:
            raise InstrumentError("this connection has been closed;", "connect again")
        if self._listener.fault is not None:
            raise self._listener.fault

    def _ask(self, command: wire.Command, kind: type[ResultT]) -> ResultT:
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
        """All readings published since the last call. After advance, acquire and apply, their readings are included."""
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
        of that time are not published again. ValueError for an unknown command.
        """
        kinds = {"apply": wire.Apply, "advance": wire.Advance, "acquire": wire.Acquire}
        past_commands = []
        for name, arguments, time_ns in commands:
            try:
                past_commands.append(
                    wire.Past(msgspec.convert(msgspec.to_builtins(arguments), kinds[name]), int(time_ns))
                )
            except (KeyError, msgspec.ValidationError) as error:
                raise ValueError(
                    f"cannot restore command {name!r} with {arguments!r}: {error}; use one that a session recorded"
                ) from error
        moment = self._ask(wire.Restore(past_commands), wire.Moment)
        assert self._listener is not None
        self._listener.forget_positions()
        return moment.time

    def seal(self) -> None:
        """End operation; from then on the truth can be read."""
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
        """Close this connection; the instrument keeps running."""
        if self._listener is not None:
            self._listener.end()
            self._listener = None
        if self._caller is not None:
            self._caller.close()
            self._caller = None
        self._context.term()

    def __repr__(self) -> str:
        state = "closed" if self._listener is None else "lost" if self._listener.fault is not None else "connected"
        return f"<{type(self).__name__} {self.address}, {state}>"

    def _repr_html_(self) -> str:
        """What it is, its clock, and its controls as commanded; asks the instrument, and says so where it does not answer."""
        try:
            described, settings = self.describe(), self.settings()
            now = utc(self.now())
        except (InstrumentError, InstrumentLost) as error:
            return table(repr(self)[1:-1], (), (), alerts=[str(error)])
        rows = [
            (control.name, value_text(settings.get(control.name), control.unit), control.doc)
            for control in described.controls
        ]
        clock = f"running at {described.rate:g} times" if described.clock == "running" else "moved by commands"
        kinds = Counter(channel.kind for channel in described.channels)
        channels = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        notes = [
            f"{self.address}; its time {now} UTC, {clock}", f"detectors: {', '.join(described.detectors)}", f"channels: {channels}",
            described.note,
        ]  # fmt: skip
        title = described.name if described.name == described.kind else f"{described.name} ({described.kind})"
        return table(title, ("control", "commanded", ""), rows, filter(None, notes), align="l")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class TruthClient:
    """Reads the truth of a sealed simulated microscope through its server's ticket. ValueError if the ticket cannot be read."""

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
            self._caller = Caller(self._context, address, token)
        except BaseException:
            self._context.term()
            raise

    def _ask(self, command: wire.Command, kind: type[ResultT]) -> ResultT:
        silence = SilenceTimer()

        def check() -> None:
            if silence.elapsed() > self._timeout:
                raise InstrumentLost(f"the truth at {self._address} has been silent for {self._timeout:g} s")

        return self._caller.ask(command, kind, check, lambda text: silence.reset())[0]

    def expected(self, requests: Sequence[wire.TruthRequest]) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """For each request the expected frame (fraction of the incident beam, float64 [ny, nx]) and, if noisy, one in
        counts.
        """
        answer = self._ask(wire.Expected(list(requests)), wire.ExpectedFrames)
        return list(zip(answer.frames, answer.noisy, strict=True))

    def state(self, times: np.ndarray | Sequence[int]) -> dict[str, np.ndarray]:
        """The hidden state at these times (int64 ns): arrays by name; their first axis is time."""
        return self._ask(wire.State(np.asarray(times, np.int64)), wire.States).arrays

    def facts(self) -> dict[str, Any]:
        """The constants of the session."""
        answer = self._ask(wire.Facts(), wire.FactsAre)
        return {**answer.values, **answer.arrays}

    def close(self) -> None:
        self._caller.close()
        self._context.term()

    def __enter__(self) -> "TruthClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
