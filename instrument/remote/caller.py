"""Requests over the wire, one at a time; replies are matched by number."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import zmq

from instrument.core.interface import InstrumentError, InstrumentLost
from instrument.remote import wire

POLL = 0.1
"""Seconds between two checks that the peer is alive."""
UNANSWERED = 30.0
"""Seconds without a word on a request after which its reply is lost: a server that works on one says so every second."""
CURE = "check the address, and that it was started with `emtwin instrument serve`"
ResultT = TypeVar("ResultT")


class Caller:
    """Sends one request at a time over a DEALER socket and waits for its reply."""

    def __init__(self, context: zmq.Context, address: str, token: str = ""):
        self._address, self._token = address, token
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
                f"{address!r} is not the address of an instrument ({error.strerror});",
                "give it as tcp://127.0.0.1:PORT",
            ) from None

    def ask(
        self,
        command: wire.Command,
        kind: type[ResultT],
        check: Callable[[], None],
        on_work: Callable[[str], None] | None = None,
    ) -> tuple[ResultT, wire.Reply]:
        """The result and its reply. ``check`` is called ten times a second and may raise; replies to earlier, abandoned
        requests are skipped. InstrumentLost where nothing comes for `UNANSWERED` seconds: request or reply are lost.
        """
        with self._lock:
            self._number += 1
            number = self._number
            silence = SilenceTimer()

            def wait(event: int) -> None:
                while not self._socket.poll(int(POLL * 1000), event):
                    check()
                    if silence.elapsed() > UNANSWERED:
                        name = type(command).__name__
                        raise InstrumentLost(
                            f"the instrument at {self._address} has not answered {name} for {UNANSWERED:g} s"
                        )

            request = wire.encode(wire.Request(number, command, self._token, self.session))
            while not self._sends(request):
                wait(zmq.POLLOUT)
            while True:
                wait(zmq.POLLIN)
                reply = self._decode(self._socket.recv_multipart())
                if isinstance(reply.result, wire.Refused) and reply.number in (0, number):
                    raise InstrumentError(reply.result.problem, reply.result.cure)
                if reply.number != number:
                    continue
                silence.reset()
                if isinstance(reply.result, wire.Stranger):
                    raise InstrumentLost(f"the instrument at {self._address} was restarted and has lost its state")
                if isinstance(reply.result, wire.Working):
                    if on_work is not None:
                        on_work(reply.result.text)
                    continue
                if not isinstance(reply.result, kind):
                    result_type = type(reply.result).__name__
                    raise InstrumentError(
                        f"{self._address} answered {type(command).__name__} with {result_type};",
                        "it is not an emtwin instrument",
                    )
                return reply.result, reply

    def _sends(self, parts: Sequence[bytes | memoryview]) -> bool:
        # Never blocks: a peer whose greeting is not ZeroMQ's is dropped, and then nothing ever takes the message.
        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def _decode(self, parts: list[bytes]) -> wire.Reply:
        try:
            message = wire.decode(parts)
        except wire.WireError as error:
            raise InstrumentError(f"{self._address} does not speak {wire.PROTOCOL}: {error};", CURE) from None
        if not isinstance(message, wire.Reply):
            raise InstrumentError(f"{self._address} sent a {type(message).__name__} where a reply was due;", CURE)
        return message

    def close(self) -> None:
        self._socket.close()


class SilenceTimer:
    """Time without a message. Each step counts at most 3 polls, so that a pause of this process itself does not count."""

    def __init__(self):
        self._silent_seconds, self._last_look = 0.0, time.monotonic()

    def reset(self) -> None:
        self._silent_seconds, self._last_look = 0.0, time.monotonic()

    def elapsed(self) -> float:
        now = time.monotonic()
        self._silent_seconds += min(now - self._last_look, 3 * POLL)
        self._last_look = now
        return self._silent_seconds
