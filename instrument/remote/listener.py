"""The receiving end of what an instrument publishes: readings and heartbeats."""

import threading

import zmq

from instrument.core.interface import InstrumentError, InstrumentLost
from instrument.remote import wire
from instrument.remote.caller import CURE, POLL, SilenceTimer
from twin.records import Readings

SILENCE = 3.0
"""Seconds without a heartbeat after which an instrument is lost."""


class Listener(threading.Thread):
    """Receives all published messages in a thread of its own, so that none is lost while the caller is busy; detects gaps,
    duplicates and silence.
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
        silence = SilenceTimer()
        try:
            while not self._ending and self.fault is None:
                if self._socket.poll(int(POLL * 1000)):
                    message = wire.decode(self._socket.recv_multipart())
                    if not isinstance(message, wire.Published):
                        raise wire.WireError(f"a {type(message).__name__} where readings were due")
                    silence.reset()
                    with self.news:
                        self._take(message)
                        self.news.notify_all()
                elif silence.elapsed() > SILENCE:
                    raise InstrumentLost(f"the instrument at {self._address} has been silent for {SILENCE:g} s")
        except InstrumentLost as error:
            self._end(error)
        except wire.WireError as error:
            self._end(InstrumentError(f"{self._address} does not speak {wire.PROTOCOL}: {error};", CURE))
        except Exception as error:  # whoever waits for this thread's news would wait for ever
            problem = f"listening to the instrument at {self._address} failed: {type(error).__name__}: {error}"
            self._end(InstrumentLost(problem))
        finally:
            self._socket.close()

    def _end(self, error: Exception) -> None:
        with self.news:
            self.fault = error
            self.news.notify_all()

    def _take(self, message: wire.Published) -> None:
        if message.session != self._session:
            raise InstrumentLost(f"the instrument at {self._address} was restarted and has lost its state")
        if self.heartbeat is None and not isinstance(message.body, wire.Heartbeat):
            return  # published before we were known to listen
        if message.number <= self.number:
            return  # a duplicate
        if self.heartbeat is not None:
            self.lost_messages += message.number - self.number - 1
        self.number = message.number
        if isinstance(message.body, wire.Heartbeat):
            if self.heartbeat is None:
                self._next = {name: last_number + 1 for name, last_number in message.body.last.items()}
            self.heartbeat = message.body
            if message.body.stage == "closed":
                raise InstrumentLost(f"the instrument at {self._address} has been closed")
            return
        for batch in message.body.readings:
            self._add(batch)

    def _add(self, batch: Readings) -> None:
        expected = self._next.get(batch.channel, batch.first)
        if batch.first > expected:
            self.gaps[batch.channel] = self.gaps.get(batch.channel, 0) + batch.first - expected
        duplicates = max(0, expected - batch.first)
        if duplicates < len(batch.values):
            self._next[batch.channel] = batch.first + len(batch.values)
            new_readings = (
                batch
                if not duplicates
                else Readings(batch.channel, expected, batch.times[duplicates:], batch.values[duplicates:])
            )
            self._batches.append(new_readings)

    def wait(self, number: int, timeout: float) -> None:
        """Wait until the message of that number has arrived, a fault occurs, or the timeout has passed (missing messages
        then count as lost).
        """
        with self.news:
            self.news.wait_for(lambda: self.number >= number or self.fault is not None, timeout)

    def take_readings(self) -> list[Readings]:
        with self.news:
            batches, self._batches = self._batches, []
            return batches

    def forget_positions(self) -> None:
        """Accept any next sequence number of every channel, after the instrument was restored."""
        with self.news:
            self._next.clear()

    def end(self) -> None:
        self._ending = True
        if self.ident is not None:
            self.join()
        else:
            self._socket.close()
