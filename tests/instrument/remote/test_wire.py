"""Messages are decoded unchanged, and any other bytes are refused."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instrument.core.interface import Description
from instrument.remote import wire
from twin.channels import CHANNELS, CONTROLS
from twin.records import Exposure, Frame, Readings, Scan

FRAME = Frame(
    np.arange(12, dtype=np.float32).reshape(3, 4) - 0.5,
    7,
    1_700_000_000_000_000_001,
    Scan(shape=(3, 4)),
    {"C10": -12.5},
    Exposure(1.0, 2.5, 0.0),
    meta={"kV": 200, "claimed": None, "note": "x", "ok": True, "dwell": 1.5},
)
BATCH = Readings("objective.current", 41, np.array([5, 6, 2**62]), np.array([0.5, np.nan, -np.inf]))
MESSAGES = [
    wire.Request(1, wire.Hello()),
    wire.Request(2, wire.Apply({"C10": math.inf, "x": math.nan})),
    wire.Request(3, wire.Acquire(Scan(shape=(512, 1)))),
    wire.Request(4, wire.Restore([wire.Past(wire.Advance(2**63 - 1), -(2**63))])),
    wire.Request(5, wire.Expected([wire.TruthRequest(1, {"C10": 1.0}, Scan(), True)]), token="ab"),
    wire.Request(6, wire.State(np.array([1, 2]))),
    wire.Reply(7, wire.Framed(FRAME), 3, {"a": 2**40}),
    wire.Reply(8, wire.Described(Description("m", "simulated", "stepped", 0.0, CONTROLS, CHANNELS, ("HAADF",)))),
    wire.Reply(9, wire.ExpectedFrames([np.eye(2), np.eye(2)], [None, np.ones((2, 2), np.uint16)])),
    wire.Reply(10, wire.FactsAre({"a": 1.0, "b": [1.0, 2.0], "c": "d", "e": None}, {"m": np.zeros((2, 0))})),
    wire.Reply(11, wire.Refused("no", "so")),
    wire.Published("life", 12, wire.Batch([BATCH, Readings("empty", 0, np.zeros(0, np.int64), np.zeros(0))])),
    wire.Published("life", 13, wire.Heartbeat("ready", {"a": 1}, "text", 0.5)),
]


def received(parts):
    """As ZeroMQ hands them over."""
    return [bytes(part) for part in parts]


def same(a, b):
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, msgspec.Struct):
        return type(a) is type(b) and all(same(getattr(a, name), getattr(b, name)) for name in a.__struct_fields__)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(getattr(m, m.__struct_fields__[-1], m)).__name__)
def test_every_message_comes_back_as_it_went(message):
    parts = wire.encode(message)
    assert parts[0] == b"emtwin-wire/1"
    assert same(wire.decode(received(parts)), message)


@pytest.mark.parametrize("dtype", sorted(wire.DTYPES))
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_numbers_travel_in_any_layout(dtype, order):
    array = np.asarray(np.arange(24).reshape(2, 3, 4)[:, ::2], dtype, order=order)
    message = wire.Reply(1, wire.States({"a": array, "big": array.astype(np.dtype(dtype).newbyteorder(">"))}))
    answer: Any = wire.decode(received(wire.encode(message)))
    for name in ("a", "big"):
        assert answer.result.arrays[name].dtype == np.dtype(dtype)
        np.testing.assert_array_equal(answer.result.arrays[name], array)


@pytest.mark.parametrize("array", [np.array([object()]), np.array(["text"]), np.zeros((1,) * 9), np.zeros(1, "M8[s]")])
def test_other_arrays_are_refused_at_the_sender(array):
    with pytest.raises(wire.WireError, match="cannot travel"):
        wire.encode(wire.Reply(1, wire.States({"a": array})))


def test_another_version_is_named_beside_ours():
    parts = received(wire.encode(MESSAGES[0]))
    with pytest.raises(wire.VersionError, match=r"emtwin-wire/2.*emtwin-wire/1") as caught:
        wire.decode([b"emtwin-wire/2", *parts[1:]])
    assert caught.value.peer_protocol == "emtwin-wire/2"
    with pytest.raises(wire.WireError, match="begins with 'HTTP"):
        wire.decode([b"HTTP/1.1 200 OK", *parts[1:]])


def tampered(**changes):
    header = {"is": "Reply", "number": 1, "result": {"is": "States", "arrays": {"a": changes.pop("array")}}}
    return [b"emtwin-wire/1", msgspec.msgpack.encode(header | changes), *changes.pop("buffers", [b"\0" * 8])]


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        ({"buffer": 0, "dtype": "<f8", "shape": [2]}, "needs 16 bytes, its buffer has 8"),
        ({"buffer": 0, "dtype": "<f8", "shape": [2**62, 2**62, 2**62]}, "its buffer has 8"),
        ({"buffer": 0, "dtype": ">f8", "shape": [1]}, "enum"),
        ({"buffer": 0, "dtype": "|O8", "shape": [1]}, "enum"),
        ({"buffer": 1, "dtype": "<f8", "shape": [1]}, "refers to buffer 1"),
        ({"buffer": 0, "dtype": "<f8", "shape": [-1]}, ">= 0"),
        ({"buffer": 0, "dtype": "<f8", "shape": [1] * 9}, "<= 8"),
        ({"buffer": 0, "dtype": "<f8", "shape": [1], "more": 1}, "unknown field"),
        ([0, "<f8", [1]], "Expected `object`"),
    ],
)
def test_arrays_that_do_not_fit_their_buffers_are_refused(array, problem):
    with pytest.raises(wire.WireError, match=problem):
        wire.decode(tampered(array=array))
    assert wire.decode(tampered(array={"buffer": 0, "dtype": "<f8", "shape": [1]}))


def test_readings_and_frames_of_impossible_form_are_refused():
    bad = [
        Readings("a", 0, np.arange(3), np.zeros(2)),
        Readings("a", 0, np.arange(2, dtype=np.int32), np.zeros(2)),
        Readings("a", 0, np.arange(2), np.zeros(2, np.float32)),
        Readings("a", -1, np.arange(2), np.zeros(2)),
        Readings("", 0, np.arange(2), np.zeros(2)),
        Readings("a", 0, np.zeros((1, 1), np.int64), np.zeros((1, 1))),
    ]
    for batch in bad:
        with pytest.raises(wire.WireError):
            wire.decode(received(wire.encode(wire.Published("s", 1, wire.Batch([batch])))))
    for data in (np.zeros(()), np.zeros((0, 4)), np.zeros((2, 2), np.complex64)):
        with pytest.raises(wire.WireError, match="a frame has"):
            wire.decode(received(wire.encode(wire.Reply(1, wire.Framed(msgspec.structs.replace(FRAME, data=data))))))


def test_too_large_is_refused_before_it_is_parsed(monkeypatch):
    monkeypatch.setattr(wire, "LONGEST_BUFFER", 100)
    with pytest.raises(wire.WireError, match="at most 100"):
        wire.decode(tampered(array={"buffer": 0, "dtype": "<f8", "shape": [100]}, buffers=[b"\0" * 800]))
    monkeypatch.setattr(wire, "LONGEST_HEADER", 5)
    with pytest.raises(wire.WireError, match="header"):
        wire.decode([b"emtwin-wire/1", b"123456"])


def test_a_header_nested_without_end_is_refused():
    with pytest.raises(wire.WireError):
        wire.decode([b"emtwin-wire/1", b"\x91" * 100_000])
    with pytest.raises(wire.WireError):
        wire.decode([b"emtwin-wire/1", b"\x83\xa2is\xa7Request\xa6number\x01\xa7command" + b"\x81\xa1a" * 100_000])


def parse(parts):
    """A message, or None for a WireError; anything else fails the test."""
    try:
        return wire.decode(parts)
    except wire.WireError:
        return None


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=5), st.booleans())
def test_random_bytes_are_refused(parts, named):
    assert parse([b"emtwin-wire/1", *parts] if named else parts) is None


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(MESSAGES), st.data())
def test_damaged_messages_are_refused_or_are_messages(message, data):
    parts = [bytearray(part) for part in wire.encode(message)]
    for _ in range(data.draw(st.integers(1, 3))):
        part = parts[data.draw(st.integers(0, len(parts) - 1))]
        damage = data.draw(st.sampled_from(["flip", "cut", "add", "drop", "swap"]))
        index = data.draw(st.integers(0, max(0, len(part) - 1)))
        if damage == "flip" and part:
            part[index] = data.draw(st.integers(0, 255))
        elif damage == "cut":
            del part[index:]
        elif damage == "add":
            part.insert(index, data.draw(st.integers(0, 255)))
        elif damage == "drop" and len(parts) > 1:
            parts.pop()
        else:
            parts.append(bytearray(b"more"))
    reparsed = parse([bytes(part) for part in parts])
    if reparsed is not None:
        assert same(parse(received(wire.encode(reparsed))), reparsed)
