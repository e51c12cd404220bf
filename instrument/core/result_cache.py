"""Arrays that take long to compute, kept in a folder between runs.

A file is named after what its arrays depend on: the inputs of the computation, and a version number that stands beside the computation and is raised
by a change that alters its result. Source code is not part of the name, so a change of a comment computes nothing again.

A file holds a SHA-256 checksum and then an npz archive. It is written under another name and renamed, so readers find all of it or none, also where
several processes store the same result at once.
"""

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_CHECKSUM_BYTES = hashlib.sha256().digest_size


def load_or_compute(
    folder: Path | None,
    name: str,
    version: int,
    inputs: Mapping[str, Any],
    compute: Callable[[], Mapping[str, np.ndarray]],
    progress: Callable[[str, float], None],
) -> dict[str, np.ndarray]:
    """The arrays of ``compute()``, by name: read from ``folder`` if an undamaged file of them is there, else computed and stored.

    ``inputs``: everything that the result depends on, as plain data (numbers, text, bytes, lists, dicts) and numeric arrays. ``version``: a number that
    is raised when the computation changes. ``name``: what is computed, the first part of the file's name. Without a ``folder`` nothing is stored.
    ``progress`` (text, share of the work done) is told of a damaged file, which is replaced, and of a folder that cannot be written, which costs the next
    run the computation and nothing else. ValueError or TypeError for inputs that are not finite or not plain.
    """
    key = cache_key(version, inputs)
    if folder is None:
        return dict(compute())
    path = folder / f"{name}-{key[:24]}.cache"
    try:
        return _read(path, key)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        progress(f"the stored result {path.name} cannot be read ({reason}); computing it again", 0.0)
    arrays = dict(compute())
    try:
        _write(path, key, arrays)
    except OSError as error:
        progress(f"the result cannot be stored for the next run ({error.strerror})", 1.0)
    return arrays


def cache_key(version: int, inputs: Mapping[str, Any]) -> str:
    """SHA-256 in hex of a version and inputs as canonical JSON: keys sorted, arrays and bytes by their own SHA-256.

    >>> cache_key(1, {"energy": 200e3, "depths": (4, 6)}) == cache_key(1, {"depths": [4, 6], "energy": 200000.0})
    True
    >>> cache_key(1, {"energy": 200e3}) == cache_key(2, {"energy": 200e3})
    False
    """
    text = json.dumps([version, dict(inputs)], sort_keys=True, allow_nan=False, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """JSON data for what JSON has no form for; TypeError for other than numpy numbers, numeric arrays and bytes."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        data = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        return {"dtype": data.dtype.str, "shape": value.shape, "sha256": hashlib.sha256(data.tobytes()).hexdigest()}
    if isinstance(value, bytes):
        return {"sha256": hashlib.sha256(value).hexdigest()}
    raise TypeError(f"a {type(value).__name__} cannot be part of a cache key; give plain data or numeric arrays")


def _read(path: Path, key: str) -> dict[str, np.ndarray]:
    """The arrays of a file; ValueError if it is not, to the last byte, what was written for ``key``."""
    content = path.read_bytes()
    if content[:_CHECKSUM_BYTES] != _checksum(key, content[_CHECKSUM_BYTES:]):
        raise ValueError("damaged: its checksum differs")
    with np.load(io.BytesIO(content[_CHECKSUM_BYTES:]), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _write(path: Path, key: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the file, whole or not at all."""
    archive = io.BytesIO()
    np.savez(archive, allow_pickle=False, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".draft")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_checksum(key, archive.getbuffer()))
            file.write(archive.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _checksum(key: str, archive: bytes | memoryview) -> bytes:
    """Of the archive and of the key, so that a renamed file is not taken for another."""
    digest = hashlib.sha256(key.encode())
    digest.update(archive)
    return digest.digest()
