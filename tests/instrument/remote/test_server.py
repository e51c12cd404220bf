"""A served instrument behaves as a local one, and faults are reported clearly."""

import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import zmq

from instrument.core.interface import InstrumentError, InstrumentLost
from instrument.remote import wire
from instrument.remote.client import RemoteInstrument, TruthClient
from instrument.remote.launch import launch, serve_main
from instrument.remote.listener import Listener
from tests.instrument.remote.toy import START, Toy, serving
from tests.waiting import PATIENCE, until
from twin.records import Readings, Scan

SECOND = 10**9
TOY = "tests.instrument.remote.toy:make"


def poll_forever(remote):
    while True:
        remote.now()


def values(batches, channel):
    return np.concatenate([b.values for b in batches if b.channel == channel] or [np.zeros(0)])


@pytest.mark.smoke
def test_commands_and_readings_pass_through():
    with serving(Toy()) as server, RemoteInstrument(server.address) as remote:
        assert remote.describe() == Toy().describe()
        assert remote.now() == START
        assert remote.apply({"C10": 5}) == START
        assert remote.settings() == {"C10": 5.0}
        assert remote.advance(START + 100 * SECOND) == START + 100 * SECOND
        batches = remote.readings()
        fast = values(batches, "fast")
        assert fast.size == 10_000
        assert np.isnan(fast[9::10]).all()
        np.testing.assert_array_equal(np.delete(fast, np.s_[9::10]), np.delete(np.arange(10_000.0), np.s_[9::10]))
        assert values(batches, "slow").size == 50
        assert remote.readings() == []
        frame = remote.acquire(Scan(shape=(4, 3), dwell=0.5))
        np.testing.assert_array_equal(frame.data, np.arange(12, dtype=np.float32).reshape(4, 3) + 5)
        assert frame.settings == {"C10": 5.0}
        assert frame.meta == {"claim": None, "kV": 200.0}
        assert values(remote.readings(), "fast").size == 600
        assert (remote.gaps, remote.lost_messages) == ({}, 0)


def test_refusals_and_faults_of_the_instrument_come_back_as_such(capfd):
    with serving(Toy()) as server, RemoteInstrument(server.address) as remote:
        with pytest.raises(InstrumentError, match="C10 cannot be nan") as caught:
            remote.apply({"C10": float("nan")})
        assert caught.value.cure == "C10 goes from -100 to 100"
        with pytest.raises(InstrumentError, match="at most 86400 s"):
            remote.advance(2**62)
        remote.apply({"C10": 13})
        with pytest.raises(InstrumentError, match="RuntimeError: a bug in the instrument"):
            remote.acquire(Scan())
        assert "Traceback" in capfd.readouterr().err
        assert remote.advance(0) == START


def test_gaps_left_by_the_source_are_counted():
    with serving(Toy(skip=7)) as server, RemoteInstrument(server.address) as remote:
        remote.advance(START + SECOND)
        assert values(remote.readings(), "fast").size == 99
        assert remote.gaps == {"fast": 1}


def test_a_second_client_hears_only_what_comes_after_it_and_sees_no_gap():
    with serving(Toy()) as server, RemoteInstrument(server.address) as first:
        first.advance(START + SECOND)
        with RemoteInstrument(server.address) as second:
            second.advance(START + 2 * SECOND)
            assert [b.first for b in second.readings() if b.channel == "fast"] == [100]
            assert second.gaps == {}
        batches = []

        def all_arrived():
            batches.extend(first.readings())
            return values(batches, "fast").size >= 200

        until(all_arrived, "what was read for the second client")
        assert values(batches, "fast").size == 200


def test_duplicates_are_dropped_and_lost_messages_counted():
    context = zmq.Context()
    listener = Listener(context, "tcp://127.0.0.1:9", "life")

    def publish(number, *spans):
        batches = [Readings("a", first, np.arange(n), np.arange(first, first + n) * 1.0) for first, n in spans]
        listener._take(wire.Published("life", number, wire.Batch(batches)))

    publish(3, (0, 5))  # from before it was known to listen
    listener._take(wire.Published("life", 4, wire.Heartbeat("ready", {"a": 4})))
    publish(5, (5, 3))
    publish(5, (5, 3))
    publish(6, (6, 4), (6, 2))
    publish(9, (14, 1))
    assert np.concatenate([b.values for b in listener.take_readings()]).tolist() == [5, 6, 7, 8, 9, 14]
    assert listener.gaps == {"a": 4}
    assert listener.lost_messages == 2
    with pytest.raises(InstrumentLost, match="was restarted"):
        listener._take(wire.Published("another", 10, wire.Heartbeat("ready", {})))
    listener.end()
    context.term()


def test_while_it_starts_heartbeats_tell_how_far_it_is_and_commands_are_refused():
    begin = threading.Event()

    def build(progress):
        progress("building truth", 0.4)
        begin.wait(PATIENCE)
        return Toy()

    news = []
    with serving(build) as server:
        context = zmq.Context()
        caller = context.socket(zmq.DEALER)
        caller.connect(server.address)
        caller.send_multipart(wire.encode(wire.Request(1, wire.Now())))
        reply = wire.decode(caller.recv_multipart())
        assert "still starting: building truth (40%)" in reply.result.problem  # pyright: ignore
        caller.close(0)
        context.term()
        timer = threading.Timer(0.5, begin.set)
        timer.start()
        with RemoteInstrument(server.address, progress=lambda *update: news.append(update)) as remote:
            assert begin.is_set()
            assert remote.now() == START
        timer.join()
    assert ("building truth", 0.4) in news


def test_heartbeats_go_on_during_a_command_longer_than_the_silence_allowed(monkeypatch):
    monkeypatch.setattr("instrument.remote.server.HEARTBEAT", 0.1)
    monkeypatch.setattr("instrument.remote.listener.SILENCE", 1.5)
    with serving(Toy(slow_acquire=2.0)) as server, RemoteInstrument(server.address) as remote:
        assert remote.acquire(Scan()).sequence == 1


def test_a_running_clock_keeps_pace_and_publishes_by_itself():
    with serving(Toy(), rate=20.0) as server, RemoteInstrument(server.address) as remote:
        description = remote.describe()
        assert (description.clock, description.rate) == ("running", 20.0)
        wall_before, start, wall_after = time.monotonic(), remote.now(), time.monotonic()

        def elapsed():
            """Its own seconds since the start: never more than twenty for each of ours."""
            instrument_seconds, wall_seconds = (remote.now() - start) / SECOND, time.monotonic() - wall_before
            assert instrument_seconds <= 20.0 * wall_seconds
            return instrument_seconds

        def keeps_pace():
            """And no fewer, once it has caught up."""
            wall_now = time.monotonic()
            return elapsed() >= 20.0 * (wall_now - wall_after) - 1e-3

        assert remote.advance(start + 10 * SECOND) >= start + 10 * SECOND
        until(keeps_pace, "as many seconds as it is to run")
        frame = remote.acquire(Scan(shape=(10, 10), dwell=0.1))  # ten seconds of scanning, twenty times faster
        assert elapsed() >= (frame.start - start) / SECOND + 10
        batches = []

        def read_on():
            batches.extend(remote.readings())
            return values(batches, "fast").size > 2500

        until(read_on, "readings of its own accord")
        assert remote.gaps == {}


def test_a_fast_clock_keeps_pace_too():
    with serving(Toy(), rate=5000.0) as server, RemoteInstrument(server.address) as remote:
        start = remote.now()
        assert remote.advance(start + 3000 * SECOND) >= start + 3000 * SECOND
        assert values(remote.readings(), "slow").size >= 1499


def test_sealing_ends_operation_and_opens_the_truth(tmp_path):
    ticket = tmp_path / "ticket"
    with serving(Toy(), ticket=ticket) as server, RemoteInstrument(server.address) as remote:
        assert os.stat(ticket).st_mode & 0o777 == 0o600
        with TruthClient(ticket) as truth:
            with pytest.raises(InstrumentError, match="cannot be read while the instrument operates"):
                truth.facts()
            remote.seal()
            for refused in (
                lambda: remote.apply({"C10": 1}),
                lambda: remote.advance(2 * START),
                lambda: remote.acquire(Scan()),
            ):
                with pytest.raises(InstrumentError, match="sealed"):
                    refused()
            assert remote.now() == START
            requests = [wire.TruthRequest(START, {"C10": 3.0}, Scan(shape=(2, 5)), noisy) for noisy in (True, False)]
            (frame, noisy), (_, none) = truth.expected(requests)
            np.testing.assert_array_equal(frame, np.full((2, 5), 3.0))
            assert noisy is not None
            assert noisy.dtype == np.float32
            assert none is None
            np.testing.assert_array_equal(truth.state([3, 4])["C10"], [6.0, 8.0])
            facts = truth.facts()
            assert (facts["energy"], facts["name"], facts["tilt"]) == (200e3, "toy", [0.0, 1.0])
            np.testing.assert_array_equal(facts["matrix"], np.eye(2))
        content = json.loads(ticket.read_text())
        ticket.write_text(json.dumps(content | {"token": "0" * 64}))
        with TruthClient(ticket) as stranger, pytest.raises(InstrumentError, match="wrong token"):
            stranger.facts()
        with RemoteInstrument(server.address) as second_remote, pytest.raises(InstrumentError, match="other endpoint"):
            second_remote._ask(wire.Facts(), wire.FactsAre)
    assert not ticket.exists()
    with pytest.raises(ValueError, match="cannot read the ticket"):
        TruthClient(ticket)


def test_restoring_leads_to_the_same_point_without_publishing_twice():
    commands = [
        ("apply", {"changes": {"C10": 4.0}}, START),
        ("advance", {"until": START + 3 * SECOND}, START),
        ("acquire", {"scan": Scan(shape=(2, 2), dwell=0.25)}, START + 3 * SECOND),
    ]
    with serving(Toy()) as server, RemoteInstrument(server.address) as remote:
        assert remote.restore(commands) == START + 4 * SECOND  # pyright: ignore[reportArgumentType]
        assert remote.settings() == {"C10": 4.0}
        assert remote.readings() == []
        assert remote.acquire(Scan(shape=(1, 1), dwell=1.0)).sequence == 2
        assert [b.first for b in remote.readings() if b.channel == "fast"] == [400]
        assert remote.gaps == {}
        with pytest.raises(InstrumentError, match="already been used"):
            remote.restore(commands)  # pyright: ignore[reportArgumentType]
        with pytest.raises(ValueError, match="cannot restore command 'dance'"):
            remote.restore([("dance", {}, 1)])  # pyright: ignore[reportArgumentType]


def test_closing_a_connection_leaves_the_instrument_and_shutting_down_ends_it():
    toy = Toy()
    with serving(toy) as server:
        RemoteInstrument(server.address).close()
        assert not toy.closed
        remote, second_remote = RemoteInstrument(server.address), RemoteInstrument(server.address)
        remote.shutdown()
        with pytest.raises(InstrumentLost, match="closed"):
            poll_forever(second_remote)
        second_remote.close()
    assert toy.closed
    with pytest.raises(InstrumentError, match="has been closed"):
        remote.now()


def test_only_loopback_addresses_are_served():
    for address in ("tcp://0.0.0.0:0", "tcp://*:0", "ipc:///tmp/x", "tcp://127.0.0.1:x"):
        with pytest.raises(ValueError, match="cannot serve on"):
            serving(Toy(), bind=address).__enter__()


def test_launched_in_a_process_of_its_own_without_jax(tmp_path):
    updates = []
    with launch(
        TOY, config={"building": 0.2, "chatty": True}, progress=lambda *update: updates.append(update)
    ) as launched:
        assert launched.ready["jax"] is False
        assert os.getpgid(launched.process.pid) == launched.process.pid
        assert any(text == "building the toy" for text, _ in updates)
        with launched.connect() as remote:
            remote.seal()
            with launched.truth() as truth:
                assert truth.facts()["energy"] == 200e3
        assert os.stat(launched.ticket).st_mode & 0o777 == 0o600
    assert launched.process.returncode == 0


def test_neither_server_nor_simulated_microscope_imports_jax():
    code = "import sys, instrument.remote.server, instrument.remote.launch, instrument.remote.client, instrument.core.journal, instrument.simulation.instrument"
    code += "; bad = {'jax', 'equinox', 'abtem'} & set(sys.modules); sys.exit(f'imported {bad}' if bad else 0)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_face_is_lazy_and_whole():
    code = "import sys, instrument; heavy = {'zmq', 'zarr', 'numpy'} & set(sys.modules); names = dir(instrument)"
    code += "; [getattr(instrument, name) for name in names]; sys.exit(f'imported {heavy}' if heavy else 0)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([TOY, "--config", '{"broken": true}'], "toy.broken is true; make it false"),
        ([TOY, "--config", "{"], "cannot read the configuration --config"),
        ([TOY, "--config", "/no/such.json"], "cannot read the configuration /no/such.json"),
        ([TOY, "--preset", "x"], "--preset goes with simulated"),
        (["simulated", "--preset", "nonsense"], "no preset is called 'nonsense'"),
        (["simulated", "--config", '{"nonsense": 1}'], "nonsense"),
        (["tests.instrument.remote.toy:nothing"], "cannot find the instrument"),
        (["teapot"], "no kind of instrument is called 'teapot'"),
        (["replay"], "--data"),
        ([TOY, "--rate", "nan"], "--rate nan"),
        ([TOY, "--port", "99999"], "--port 99999"),
        ([TOY, "--ticket", "/no/such/folder/ticket"], "cannot write the ticket"),
    ],
)
def test_bad_input_to_the_serving_command_is_said_without_a_traceback(arguments, problem, capfd, monkeypatch):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert serve_main(arguments) == 2
    error = capfd.readouterr().err
    assert problem in error
    assert "Traceback" not in error


def test_bad_input_reaches_who_launched_it():
    with pytest.raises(ValueError, match="broken is true"):
        launch(TOY, config={"broken": True})
