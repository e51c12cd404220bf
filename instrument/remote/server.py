"""An instrument served over ZeroMQ: sockets for commands, for readings and heartbeats, and, after sealing, for the truth.

Sockets live in the thread that calls `Server.run`; the instrument in a thread of its own (`console`), so heartbeats
go on while it works.
"""

import collections
import contextlib
import hmac
import json
import os
import secrets
import threading
import time
from collections.abc import Hashable
from pathlib import Path

import zmq

from instrument.core.interface import Instrument
from instrument.remote import wire
from instrument.remote.console import Answer, Builder, Console, Event, Truth

HEARTBEAT = 1.0
HIGH_WATER = 200_000
"""Messages that a slow reader may lag behind before messages are dropped (it detects that from their numbers)."""
LONGEST_REQUEST = 64 * 2**20
MOST_PENDING = 1000
MOST_BATCHES = 1000
"""Batches of readings in one published message."""
_TRUTH = (wire.Expected, wire.State, wire.Facts)


class Server:
    """Binds at once (ValueError if it cannot); `run` serves until `stop`, a Close command, or the end of process
    ``parent``.

    ``instrument`` is an instrument, or a function that builds it and reports progress. ``bind`` is a loopback address: nobody
    is authenticated. ``ticket`` is where the truth endpoint's address and token are written, readable by its owner
    only; without it there is no such endpoint.
    """

    def __init__(
        self,
        instrument: Instrument | Builder,
        bind: str = "tcp://127.0.0.1:0",
        *,
        rate: float = 0.0,
        truth: Truth | None = None,
        ticket: Path | None = None,
        parent: int | None = None,
    ):
        self.session = secrets.token_hex(8)
        self._parent = parent
        self._events: collections.deque[Event] = collections.deque()
        build: Builder = instrument if callable(instrument) else lambda progress: instrument
        self.console = Console(build, self._emit, rate, truth)
        self._thread = threading.Thread(target=self._work, name="instrument", daemon=True)
        self._number, self._last_published = 0, {}
        self._pending: dict[tuple[Hashable, int], str] = {}
        self._stop = threading.Event()
        self._token, self._ticket = "", ticket
        self._context = zmq.Context()
        self._bell = self._context.socket(zmq.PAIR)
        self._bell.bind("inproc://bell")
        try:
            self._commands, self.address = self._bind(zmq.ROUTER, bind)
            self._readings, self.readings_address = self._bind(zmq.XPUB, _any_port(bind))
            self._truth_socket = None
            if ticket is not None:
                self._truth_socket, self.truth_address = self._bind(zmq.ROUTER, _any_port(bind))
                self._token = secrets.token_hex(32)
                _write_ticket(ticket, self.truth_address, self._token)
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def _bind(self, kind: int, address: str) -> tuple[zmq.Socket, str]:
        host = address.removeprefix("tcp://").rpartition(":")[0]
        if not address.startswith("tcp://") or host not in ("127.0.0.1", "localhost"):
            raise ValueError(f"cannot serve on {address!r}: callers are not authenticated, so use tcp://127.0.0.1:PORT")
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 500)
        socket.setsockopt(zmq.MAXMSGSIZE, LONGEST_REQUEST)
        if kind == zmq.XPUB:
            socket.setsockopt(zmq.SNDHWM, HIGH_WATER)
            socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            if error.errno == zmq.EADDRINUSE:
                raise ValueError(
                    f"cannot serve on {address}: the port is in use; choose another, or 0 for any that is free"
                ) from None
            raise ValueError(f"cannot serve on {address}: {error.strerror}; use tcp://127.0.0.1:PORT") from None
        return socket, socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def stop(self) -> None:
        """End `run` soon; may be called from any thread or a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Serve. Raises what building the instrument raised."""
        self._thread.start()
        listen = self._context.socket(zmq.PAIR)
        listen.connect("inproc://bell")
        poller = zmq.Poller()
        sockets = [listen, self._commands, self._readings, *([self._truth_socket] if self._truth_socket else [])]
        for socket in sockets:
            poller.register(socket, zmq.POLLIN)
        beat = time.monotonic()
        stage = self.console.stage
        try:
            while not self._stop.is_set() and self.console.stage != "closed":
                ready = dict(poller.poll(max(0, min(200, int(1000 * (beat - time.monotonic()))))))
                if listen in ready:
                    listen.recv()
                if self._readings in ready:
                    self._readings.recv()
                    beat = 0.0  # someone began to listen: let it know at once
                for socket in (self._commands, self._truth_socket):
                    if socket is not None and socket in ready:
                        self._receive(socket)
                self._drain()
                if self.console.stage != stage or time.monotonic() >= beat:
                    stage, beat = self.console.stage, time.monotonic() + HEARTBEAT
                    self._beat()
        finally:
            self.console.stop()
            self._thread.join(timeout=0.5)
            self._drain()
            if self._ticket is not None:
                self._ticket.unlink(missing_ok=True)
            self._publish(wire.Heartbeat("closed", self._last_published))
            for socket in sockets:
                socket.close()
            if self.working:  # stuck in something that cannot be interrupted: its end of the bell cannot be taken away
                time.sleep(0.2)
            else:
                self._bell.close()
                self._context.term()
        if self.console.failure is not None:
            raise self.console.failure

    @property
    def working(self) -> bool:
        """Whether the instrument's thread is still in something that cannot be interrupted."""
        return self._thread.is_alive()

    def _work(self) -> None:
        self.console.run()
        self._ring()

    def _emit(self, event: Event) -> None:
        self._events.append(event)
        if threading.current_thread() is self._thread:
            self._ring()

    def _ring(self) -> None:
        with contextlib.suppress(
            zmq.Again, zmq.ZMQError
        ):  # full or closed: the loop looks at least five times a second anyway
            self._bell.send(b"", zmq.NOBLOCK)

    def _receive(self, socket: zmq.Socket) -> None:
        origin, *parts = socket.recv_multipart()
        key = (socket is self._truth_socket, origin)
        try:
            request = wire.decode(parts)
            if not isinstance(request, wire.Request):
                raise wire.WireError("malformed message: not a request")
        except wire.WireError as error:
            self._reply(key, 0, wire.Refused(str(error)))
            return
        asks_truth = isinstance(request.command, _TRUTH)
        if asks_truth != (socket is self._truth_socket) and not isinstance(request.command, wire.Hello):
            self._reply(
                key, request.number, wire.Refused("this endpoint does not take that command;", "use the other endpoint")
            )
        elif socket is self._truth_socket and not hmac.compare_digest(request.token.encode(), self._token.encode()):
            self._reply(
                key, request.number, wire.Refused("wrong token: the truth cannot be read;", "use the ticket file")
            )
        elif request.session not in ("", self.session):
            self._reply(key, request.number, wire.Stranger())
        elif isinstance(request.command, wire.Hello):
            port = int(self.readings_address.rpartition(":")[2])
            self._reply(key, request.number, wire.Welcome(self.session, port))
        elif len(self._pending) >= MOST_PENDING:
            self._reply(key, request.number, wire.Refused("too many commands are waiting;", "wait for their answers"))
        else:
            self._pending[key, request.number] = type(request.command).__name__
            self.console.submit(key, request.number, request.command)

    def _drain(self) -> None:
        while self._events:
            event = self._events.popleft()
            if isinstance(event, Answer):
                self._pending.pop((event.origin, event.number), None)
                self._reply(event.origin, event.number, event.result)
            else:
                for first in range(0, len(event), MOST_BATCHES):
                    self._publish(wire.Batch(event[first : first + MOST_BATCHES]))
                for batch in event:
                    self._last_published[batch.channel] = batch.first + len(batch.values) - 1

    def _reply(self, key: Hashable, number: int, result: wire.Result) -> None:
        is_truth, origin = key  # pyright: ignore[reportGeneralTypeIssues]
        last_published = {} if isinstance(result, wire.Working) else self._last_published
        try:
            parts = wire.encode(wire.Reply(number, result, self._number, last_published))
        except wire.WireError as error:
            parts = wire.encode(wire.Reply(number, wire.Refused(str(error)), self._number, last_published))
        socket = self._truth_socket if is_truth else self._commands
        assert socket is not None
        with contextlib.suppress(zmq.Again):  # a caller that no longer reads gets nothing
            socket.send_multipart([origin, *parts], zmq.NOBLOCK)

    def _publish(self, body: wire.Batch | wire.Heartbeat) -> None:
        self._number += 1
        self._readings.send_multipart(wire.encode(wire.Published(self.session, self._number, body)), zmq.NOBLOCK)

    def _beat(self) -> None:
        console = self.console
        self._publish(wire.Heartbeat(console.stage, self._last_published, console.text, console.fraction))
        for (key, number), text in self._pending.items():
            self._reply(key, number, wire.Working(text))
        if self._parent is not None and os.getppid() != self._parent:
            self.stop()  # nobody is left to stop this process


def serve(instrument: Instrument | Builder, bind: str = "tcp://127.0.0.1:0", **options) -> None:
    """Serve an instrument until it is closed; options as for `Server`."""
    Server(instrument, bind, **options).run()


def _any_port(address: str) -> str:
    return address.rpartition(":")[0] + ":0"


def _write_ticket(path: Path, address: str, token: str) -> None:
    """Atomically, and readable by the owner alone from the first moment."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    content = json.dumps({"protocol": wire.PROTOCOL, "address": address, "token": token})
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
        os.replace(draft, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise ValueError(f"cannot write the ticket {path}: {error.strerror}; choose a writable folder") from error
