"""Peers that end, send invalid messages or stay silent are reported clearly, without waiting for ever."""

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time

import pytest
import zmq

from instrument.core.interface import InstrumentError, InstrumentLost
from instrument.remote import caller, wire
from instrument.remote.client import RemoteInstrument
from instrument.remote.launch import launch, serve_main
from tests.instrument.remote.toy import START, Toy, serving
from tests.waiting import PATIENCE, is_running, until
from twin.records import Scan

TOY = "tests.instrument.remote.toy:make"
FOREVER = 1e6
"""Seconds that a frame takes which no test waits for: who does not notice that its peer has gone would hang."""


def poll_forever(remote):
    while True:
        remote.now()


def test_killed_in_the_middle_of_a_frame():
    with launch(TOY, config={"slow_acquire": FOREVER}) as launched, launched.connect() as remote:
        killer = threading.Timer(0.3, launched.process.kill)
        killer.start()
        with pytest.raises(InstrumentLost, match="silent for 3 s"):
            remote.acquire(Scan())
        with pytest.raises(InstrumentLost):
            remote.now()
        killer.join()


def test_stopped_in_the_middle_of_a_frame_it_ends_at_once():
    with launch(TOY, config={"slow_acquire": FOREVER}) as launched, launched.connect() as remote:
        stopper = threading.Timer(0.3, launched.process.terminate)
        stopper.start()
        with pytest.raises(InstrumentLost, match="closed"):
            remote.acquire(Scan())
        assert launched.process.wait(PATIENCE) == 0
        stopper.join()


def test_truth_killed_while_it_is_asked():
    with launch(TOY) as launched, launched.connect() as remote, launched.truth(timeout=2.0) as truth:
        remote.seal()
        truth.facts()
        launched.process.kill()
        with pytest.raises(InstrumentLost, match="truth"):
            truth.facts()


def test_nobody_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(InstrumentError, match="nothing that speaks emtwin-wire/1 answers"):
            RemoteInstrument(f"tcp://127.0.0.1:{free.getsockname()[1]}", timeout=1.0)


@pytest.mark.parametrize(
    "address", ["teapot", "127.0.0.1:5", "tcp://127.0.0.1:99999", "tcp://127.0.0.1", "tcp://no.such.host.invalid:5"]
)
def test_an_invalid_address_is_reported(address):
    with pytest.raises(InstrumentError, match=r"not the address of an instrument|nothing that speaks"):
        RemoteInstrument(address, timeout=1.0)


@contextlib.contextmanager
def babbling(babble):
    """The address of a peer that sends ``babble`` to whoever connects, and says nothing else."""
    with socket.socket() as peer:
        peer.bind(("127.0.0.1", 0))
        peer.listen()
        finished = threading.Event()

        def accept():
            peer.settimeout(0.1)
            connections = []
            while not finished.is_set():
                with contextlib.suppress(TimeoutError, OSError):
                    connection, _ = peer.accept()
                    connections.append(connection)
                    connection.sendall(babble)
            for connection in connections:
                connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{peer.getsockname()[1]}"
        finally:
            finished.set()
            thread.join()


@pytest.mark.parametrize("babble", [b"", b"\xff" * 1000, b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_peer_that_is_silent_or_speaks_something_else(babble):
    with (
        babbling(babble) as address,
        pytest.raises(InstrumentError, match="nothing that speaks emtwin-wire/1 answers"),
    ):
        RemoteInstrument(address, timeout=1.0)


def test_a_request_to_a_peer_already_dropped_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(caller, "UNANSWERED", 0.3)
    with babbling(b"\xff" * 1000) as address, zmq.Context() as context:
        asking = caller.Caller(context, address)
        try:
            until(lambda: not asking._socket.poll(0, zmq.POLLOUT), "the peer to be dropped")
            with pytest.raises(InstrumentLost, match="has not answered Hello"):
                asking.ask(wire.Hello(), wire.Welcome, lambda: None)
        finally:
            asking.close()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ([b"emtwin-wire/2", b"whatever it is"], r"emtwin-wire/2.*emtwin-wire/1"),
        ([b"\xff" * 100, b"garbage"], "does not speak emtwin-wire/1"),
        ([b"emtwin-wire/1", b"garbage"], "malformed message"),
        ([b"emtwin-wire/1"], "malformed message"),
        (wire.encode(wire.Reply(1, wire.Done())), "answered Hello with Done"),
        (wire.encode(wire.Published("a", 1, wire.Heartbeat("ready", {}))), "where a reply was due"),
    ],
)
def test_a_peer_of_another_version_or_with_invalid_messages(answer, problem):
    context = zmq.Context()
    peer = context.socket(zmq.ROUTER)
    port = peer.bind_to_random_port("tcp://127.0.0.1")

    def reply():
        origin, *_ = peer.recv_multipart()
        peer.send_multipart([origin, *answer])

    thread = threading.Thread(target=reply)
    thread.start()
    with pytest.raises(InstrumentError, match=problem):
        RemoteInstrument(f"tcp://127.0.0.1:{port}")
    thread.join()
    peer.close(0)
    context.term()


def test_garbage_sent_to_a_server_is_answered_and_does_no_harm():
    good = [bytes(part) for part in wire.encode(wire.Request(5, wire.Now()))]
    with serving(Toy()) as server, RemoteInstrument(server.address) as remote:
        context = zmq.Context()
        caller = context.socket(zmq.DEALER)
        caller.connect(server.address)
        for garbage, problem in [
            ([b"emtwin-wire/9", *good[1:]], r"peer speaks emtwin-wire/9, this side emtwin-wire/1"),
            ([b""], "malformed message"),
            ([os.urandom(50), os.urandom(50)], "not a message"),
            ([*good, b"more"], "1 buffers, of which 0"),
            ([good[0], good[1][:-1]], "malformed message"),
            (wire.encode(wire.Reply(1, wire.Done())), "not a request"),
        ]:
            caller.send_multipart(garbage)
            assert caller.poll(int(1000 * PATIENCE))
            reply = wire.decode(caller.recv_multipart())
            assert isinstance(reply, wire.Reply)
            assert problem in reply.result.problem  # pyright: ignore[reportAttributeAccessIssue]
        caller.close(0)
        context.term()
        with socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2]))) as raw:
            raw.sendall(os.urandom(10_000))
        assert remote.now() == START


def test_a_flood_of_noise_on_every_socket_leaves_the_server_working(tmp_path):
    noise = random.Random(0)
    with serving(Toy(), ticket=tmp_path / "ticket") as server, RemoteInstrument(server.address) as remote:
        context = zmq.Context()
        for kind, address in [
            (zmq.DEALER, server.address),
            (zmq.DEALER, server.truth_address),
            (zmq.XSUB, server.readings_address),
        ]:
            sender = context.socket(kind)
            sender.connect(address)
            for _ in range(200):
                parts = [noise.randbytes(noise.choice([0, 1, 13, 300])) for _ in range(noise.randint(1, 4))]
                sender.send_multipart([b"emtwin-wire/1", *parts] if noise.random() < 0.5 else parts)
            sender.close(100)
        context.term()
        assert remote.advance(START + 10**9) == START + 10**9
        assert remote.acquire(Scan()).sequence == 1
        assert remote.lost_messages == 0


def test_a_caller_that_leaves_before_its_answer_does_no_harm():
    with serving(Toy(slow_acquire=0.3)) as server, RemoteInstrument(server.address) as remote:
        context = zmq.Context()
        caller = context.socket(zmq.DEALER)
        caller.connect(server.address)
        caller.send_multipart(wire.encode(wire.Request(1, wire.Acquire(Scan()))))
        time.sleep(0.1)
        caller.close(0)
        context.term()
        assert remote.acquire(Scan()).sequence == 2


def test_a_reply_that_is_lost_while_heartbeats_come(monkeypatch):
    with serving(Toy()) as server, RemoteInstrument(server.address) as remote:
        monkeypatch.setattr(caller, "UNANSWERED", 0.5)
        monkeypatch.setattr(server, "_reply", lambda *_: None)
        with pytest.raises(InstrumentLost, match=r"has not answered Settings for 0\.5 s"):
            remote.settings()


def test_a_listener_that_fails_ends_the_wait(monkeypatch):
    def fails(parts):
        raise MemoryError("no room for a message")

    with serving(Toy()) as server, RemoteInstrument(server.address) as remote:
        listener = remote._listener
        assert listener is not None
        monkeypatch.setattr("instrument.remote.listener.wire.decode", fails)
        until(lambda: listener.fault is not None, "the fault")
        monkeypatch.undo()
        with pytest.raises(InstrumentLost, match="MemoryError: no room"):
            remote.now()


def test_started_anew_on_the_same_port_is_another_instrument():
    first = launch(TOY)
    remote = first.connect()
    first.kill()
    with (
        launch(TOY, port=int(first.address.rpartition(":")[2])),
        pytest.raises(InstrumentLost, match="was restarted"),
    ):
        remote.now()
    remote.close()


def test_port_in_use_is_bad_input(capfd):
    with serving(Toy()) as server:
        port = server.address.rpartition(":")[2]
        assert serve_main([TOY, "--port", port]) == 2
        assert f"127.0.0.1:{port}: the port is in use" in capfd.readouterr().err
        with pytest.raises(ValueError, match="the port is in use"):
            launch(TOY, port=int(port))


def test_no_orphan_is_left_when_the_parent_is_killed():
    code = (
        "import time, instrument.remote.launch as l; h = l.launch('tests.instrument.remote.toy:make');"
        "print(h.process.pid, h.address, flush=True); time.sleep(1e6)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child, address = parent.stdout.readline().split()
        with RemoteInstrument(address) as remote:
            parent.kill()
            with pytest.raises(InstrumentLost, match="closed"):
                poll_forever(remote)
        parent.wait()
    until(lambda: not is_running(int(child)), "the end of the instrument's process")


def test_ready_line_is_json():
    with subprocess.Popen(
        [sys.executable, "-m", "instrument.remote.launch", TOY],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        events = []
        while not events or events[-1]["event"] != "ready":
            events.append(json.loads(process.stdout.readline()))
        assert events[0]["event"] == "listening"
        process.terminate()
        assert process.wait(PATIENCE) == 0
