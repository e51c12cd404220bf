"""Plain data and numpy arrays as msgpack bytes and back, for the rows of a journal."""

import math
from typing import Any

import msgspec
import numpy as np

_ARRAY = 1
"""msgpack extension type of an array: msgpack of (dtype, shape, bytes)."""
_KINDS = "biufc"


class PayloadError(ValueError):
    """Data that cannot be written into a journal, or bytes that no journal wrote."""


def pack(content: Any) -> bytes:
    """msgpack bytes of plain data, msgspec Structs, numpy scalars and numeric arrays. PayloadError for any other type."""
    try:
        return msgspec.msgpack.encode(content, enc_hook=_encode)
    except (TypeError, OverflowError, msgspec.MsgspecError) as error:
        raise PayloadError(
            f"cannot be written into a journal: {error}; give numbers, text, lists, dicts or numeric arrays"
        ) from error


def unpack(content: bytes) -> Any:
    """What `pack` was given (Structs as dicts, tuples as lists). PayloadError for anything that it did not make."""
    try:
        return msgspec.msgpack.decode(content, ext_hook=_decode)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise PayloadError(f"cannot be read: {error}") from error


def _encode(item: Any) -> Any:
    if isinstance(item, np.generic) and item.dtype.kind in _KINDS and item.dtype.kind != "c":
        return item.item()
    array = np.asarray(item) if isinstance(item, np.generic | np.ndarray) or hasattr(item, "__array__") else None
    if array is None or array.dtype.kind not in _KINDS or array.dtype.itemsize > 16:
        raise TypeError(f"a {type(item).__name__} is not supported")
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)
    return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode((array.dtype.str, array.shape, array.tobytes())))


def _decode(code: int, content: memoryview) -> Any:
    if code != _ARRAY:
        raise ValueError(f"extension {code} is none of a journal's")
    name, shape, data = msgspec.msgpack.decode(content, type=tuple[str, tuple[int, ...], bytes])
    dtype = np.dtype(name)
    if dtype.kind not in _KINDS or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"an array of dtype {name} and shape {shape} has {len(data)} bytes")
    return np.frombuffer(data, dtype).reshape(shape)
