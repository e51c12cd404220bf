"""The message format of the wire, without any socket: messages to lists of byte buffers and back.

A message is a list of buffers: the protocol's name, a msgpack header (one tagged, strictly typed Struct), and one raw
buffer for every array, in the order of their mention. An array is declared in the header by dtype (little-endian
numbers only) and shape, which must agree with its buffer's length. Received bytes are not trusted: any fault in them
raises `WireError`, and no other exception.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

import msgspec
import numpy as np

from instrument.core.interface import Description
from twin.records import Frame, Readings, Scan

FAMILY = "emtwin-wire/"
PROTOCOL = FAMILY + "1"

LONGEST_HEADER = 16 * 2**20
LONGEST_BUFFER = 256 * 2**20
LONGEST_MESSAGE = 512 * 2**20
MOST_BUFFERS = 4096
MOST_AXES = 8

Dtype = Literal["<f4", "<f8", "<c8", "<c16", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8"]
DTYPES = frozenset(get_args(Dtype))

Time = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""int64 nanoseconds UTC of the instrument's clock."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Text = Annotated[str, msgspec.Meta(max_length=10_000)]


class WireError(ValueError):
    """Bytes that are not a message of this protocol, or a message that cannot be encoded."""


class VersionError(WireError):
    """The peer speaks another version of the protocol: ``peer_protocol`` is its name."""

    def __init__(self, peer_protocol: str):
        super().__init__(
            f"the peer speaks {peer_protocol}, this side {PROTOCOL}; install the same version of emtwin on both sides"
        )
        self.peer_protocol = peer_protocol


class _Part(msgspec.Struct, frozen=True, tag=True, tag_field="is", forbid_unknown_fields=True):
    """Base of everything the wire itself defines."""


# --- commands


class Hello(_Part, frozen=True):
    """The first request of a client. Answered by Welcome."""


class Describe(_Part, frozen=True):
    """Answered by Described."""


class Now(_Part, frozen=True):
    """Answered by Moment."""


class Settings(_Part, frozen=True):
    """Answered by SettingsAre."""


class Apply(_Part, frozen=True):
    """Command some controls; answered by Moment, when it took effect."""

    changes: dict[str, float]


class Advance(_Part, frozen=True):
    """Let time pass; answered by Moment, the time then."""

    until: Time


class Acquire(_Part, frozen=True):
    """Record one frame; answered by Framed."""

    scan: Scan


class Past(_Part, frozen=True):
    """A command given before the instrument was restarted, and the time at which it was given."""

    command: Apply | Advance | Acquire
    time: Time


class Restore(_Part, frozen=True):
    """Repeat earlier commands without publishing readings; accepted only before any other command that changes state."""

    commands: list[Past]


class Seal(_Part, frozen=True):
    """End operation; from then on the truth can be read."""


class Close(_Part, frozen=True):
    """End the instrument's process."""


class TruthRequest(_Part, frozen=True):
    """The frame expected if ``settings`` had been commanded at ``command_time``; with ``noisy`` also one frame in
    counts.
    """

    command_time: Time
    settings: dict[str, float]
    scan: Scan
    noisy: bool = False


class Expected(_Part, frozen=True):
    """Answered by ExpectedFrames."""

    requests: list[TruthRequest]


class State(_Part, frozen=True):
    """Answered by States."""

    times: np.ndarray


class Facts(_Part, frozen=True):
    """Answered by FactsAre."""


Command = (
    Hello | Describe | Now | Settings | Apply | Advance | Acquire | Restore | Seal | Close | Expected | State | Facts
)

# --- results


class Welcome(_Part, frozen=True):
    """The name of the server's session (a new name at each start) and the port on which it publishes."""

    session: Text
    readings_port: Port


class Described(_Part, frozen=True):
    description: Description


class Moment(_Part, frozen=True):
    time: Time


class SettingsAre(_Part, frozen=True):
    values: dict[str, float]


class Framed(_Part, frozen=True):
    frame: Frame


class Done(_Part, frozen=True):
    pass


class ExpectedFrames(_Part, frozen=True):
    """Fractions of the incident beam, float64 [ny, nx], and counts where a noisy frame was asked for."""

    frames: list[np.ndarray]
    noisy: list[np.ndarray | None]


class States(_Part, frozen=True):
    arrays: dict[str, np.ndarray]


class FactsAre(_Part, frozen=True):
    values: dict[str, float | int | str | bool | list[float] | None]
    arrays: dict[str, np.ndarray]


class Refused(_Part, frozen=True):
    problem: Text
    cure: Text = ""


class Stranger(_Part, frozen=True):
    """The command was for an earlier session of the server and was not executed."""


class Working(_Part, frozen=True):
    """The command is still being executed (sent about once a second)."""

    text: Text = ""
    fraction: float | None = None


Result = (
    Welcome
    | Described
    | Moment
    | SettingsAre
    | Framed
    | Done
    | ExpectedFrames
    | States
    | FactsAre
    | Refused
    | Stranger
    | Working
)

# --- published


class Batch(_Part, frozen=True):
    """Readings, in order for each channel."""

    readings: list[Readings]


class Heartbeat(_Part, frozen=True):
    """The server is alive. ``last`` is the last published sequence number of every channel; ``stage`` the instrument's stage."""

    stage: Literal["starting", "ready", "sealed", "closed"]
    last: dict[str, Count]
    text: Text = ""
    fraction: float | None = None


# --- messages


class Request(_Part, frozen=True):
    """``number`` comes back in the reply; ``token`` opens the truth endpoint.

    ``session`` is the server's session that is addressed (empty: any), so that a command for an instrument that has ended
    is not executed by the next instrument on the same port.
    """

    number: Count
    command: Command
    token: Text = ""
    session: Text = ""


class Reply(_Part, frozen=True):
    """``published`` is the number of the last message published before this reply, ``last`` as in Heartbeat."""

    number: Count
    result: Result
    published: Count = 0
    last: dict[str, Count] = {}


class Published(_Part, frozen=True):
    """``number`` increases by one per message of a server's session, so that lost messages are detected."""

    session: Text
    number: Count
    body: Batch | Heartbeat


Message = Request | Reply | Published


class _ArrayRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    buffer: Annotated[int, msgspec.Meta(ge=0, lt=MOST_BUFFERS)]
    dtype: Dtype
    shape: Annotated[tuple[Count, ...], msgspec.Meta(max_length=MOST_AXES)]


def encode(message: Message) -> list[bytes | memoryview]:
    """The buffers of a message. WireError if something in it cannot travel (an array of objects, too many bytes)."""
    buffers: list[bytes | memoryview] = []

    def declare(item: Any) -> Any:
        if isinstance(item, np.generic):
            return item.item()
        if not isinstance(item, np.ndarray):
            raise WireError(f"a {type(item).__name__} cannot travel on the wire; send numbers, text or numpy arrays")
        array = np.ascontiguousarray(item, dtype=item.dtype.newbyteorder("<"))
        if array.dtype.str not in DTYPES or item.ndim > MOST_AXES or array.nbytes > LONGEST_BUFFER:
            raise WireError(f"an array of dtype {item.dtype} and shape {item.shape} cannot travel on the wire")
        buffers.append(array.reshape(-1).view(np.uint8).data if array.size else b"")
        return _ArrayRef(len(buffers) - 1, array.dtype.str, item.shape)  # pyright: ignore[reportArgumentType]

    try:
        header = msgspec.msgpack.encode(message, enc_hook=declare)
    except (TypeError, OverflowError, msgspec.MsgspecError) as error:
        raise WireError(f"the message cannot travel on the wire: {error}") from error
    _check_sizes([header, *buffers])
    return [PROTOCOL.encode(), header, *buffers]


def decode(parts: Sequence[bytes | memoryview]) -> Message:
    """The message in these buffers; its arrays are read-only views of them. WireError for anything else, VersionError
    for another version.
    """
    check_protocol(parts)
    header, *buffers = parts[1:]
    _check_sizes([header, *buffers])
    used_buffers: list[int] = []

    def resolve(kind: type, item: Any) -> Any:
        if kind is not np.ndarray:
            raise ValueError(f"no way to read a {kind.__name__}")
        ref = msgspec.convert(item, _ArrayRef)
        if ref.buffer != len(used_buffers) or ref.buffer >= len(buffers):
            raise ValueError(f"array refers to buffer {ref.buffer}, expected {len(used_buffers)} of {len(buffers)}")
        used_buffers.append(ref.buffer)
        dtype = np.dtype(ref.dtype)
        expected, actual = math.prod(ref.shape) * dtype.itemsize, memoryview(buffers[ref.buffer]).nbytes
        if expected != actual:
            raise ValueError(
                f"array of dtype {dtype} and shape {ref.shape} needs {expected} bytes, its buffer has {actual}"
            )
        if not actual:
            return np.zeros(ref.shape, dtype)
        return np.frombuffer(buffers[ref.buffer], dtype).reshape(ref.shape)

    try:
        message = msgspec.msgpack.decode(header, type=Message, dec_hook=resolve)
        _check_content(message)
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise WireError(f"malformed message: {error}") from error
    if len(used_buffers) != len(buffers):
        raise WireError(f"malformed message: {len(buffers)} buffers, of which {len(used_buffers)} are declared")
    return message


def check_protocol(parts: Sequence[bytes | memoryview]) -> None:
    """WireError unless these buffers begin as a message of this protocol; VersionError if of another version of it."""
    if len(parts) < 2:
        raise WireError(f"malformed message: {len(parts)} buffers, a message has at least 2")
    name = bytes(parts[0][:64])
    if name != PROTOCOL.encode():
        peer_protocol = name.decode("ascii", "replace")
        if peer_protocol.startswith(FAMILY):
            raise VersionError(peer_protocol)
        raise WireError(f"not a message of {PROTOCOL}: it begins with {peer_protocol!r}")


def _check_sizes(parts: list[bytes | memoryview]) -> None:
    sizes = [memoryview(part).nbytes for part in parts]
    if sizes[0] > LONGEST_HEADER:
        raise WireError(f"the header has {sizes[0]} bytes, at most {LONGEST_HEADER} are allowed")
    if len(sizes) - 1 > MOST_BUFFERS:
        raise WireError(f"the message has {len(sizes) - 1} arrays, at most {MOST_BUFFERS} are allowed")
    if max(sizes) > LONGEST_BUFFER or sum(sizes) > LONGEST_MESSAGE:
        raise WireError(
            f"the message has {sum(sizes)} bytes; at most {LONGEST_BUFFER} an array and {LONGEST_MESSAGE} in all"
        )


def _check_content(message: Message) -> None:
    """Checks beyond types: shapes of readings and frames, integers that must fit 64 bits. ValueError."""
    if isinstance(message, Published) and isinstance(message.body, Batch):
        for batch in message.body.readings:
            check_readings(batch)
    elif isinstance(message, Reply) and isinstance(message.result, Framed):
        frame = message.result.frame
        if not 1 <= frame.data.ndim <= 3 or frame.data.dtype.kind == "c" or not frame.data.size:
            raise ValueError(f"a frame has 1 to 3 axes of real numbers, not {frame.data.dtype} {frame.data.shape}")
        if not -(2**63) <= frame.start < 2**63 or not 0 <= frame.sequence < 2**63:
            raise ValueError("a frame's start and sequence must fit 64 bits")
    elif isinstance(message, Request) and isinstance(message.command, State):
        times = message.command.times
        if times.dtype != np.int64 or times.ndim != 1:
            raise ValueError(f"times must be int64 with one axis, not {times.dtype} {times.shape}")
    elif isinstance(message, Reply) and isinstance(message.result, ExpectedFrames):
        frames, noisy = message.result.frames, message.result.noisy
        if len(frames) != len(noisy) or not all(frame.ndim == 2 and frame.dtype == np.float64 for frame in frames):
            raise ValueError("expected frames must be float64 [ny, nx], as many as noisy ones")


def check_readings(batch: Readings) -> None:
    """ValueError unless times are int64 [n], values float64 [n], and the sequence numbers fit 64 bits."""
    if batch.times.dtype != np.int64 or batch.values.dtype != np.float64:
        raise ValueError(f"readings of {batch.channel!r} need int64 times and float64 values")
    if batch.times.ndim != 1 or batch.times.shape != batch.values.shape:
        raise ValueError(f"readings of {batch.channel!r} need as many times as values, on one axis")
    if not 0 <= batch.first < 2**63 - batch.times.size:
        raise ValueError(f"readings of {batch.channel!r} have an impossible sequence number")
    if not batch.channel or len(batch.channel) > 200:
        raise ValueError("readings need a channel's name of at most 200 characters")
