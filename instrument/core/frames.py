"""Pixels of frames in a Zarr v3 group: one array for each shape and dtype, preallocated along its first axis, one
chunk a frame.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from instrument.core.sync import sync, sync_tree

CAPACITY = 2**20
"""Frames an array has room for; chunks not yet written take no space."""
_KINDS = "iuf"


class FrameStore:
    """The Zarr group in ``folder``, opened for reading, or with ``write`` for reading and writing. ValueError if it cannot be read."""

    def __init__(self, folder: Path, write: bool):
        import zarr  # not at the top: it takes longer to import than the rest of the journal together

        self._folder = folder
        try:
            self._mode = "r+" if write else "r"
            self._group = zarr.open_group(folder, mode=self._mode)
        except Exception as error:  # zarr raises many kinds for a damaged store
            raise ValueError(f"its {folder.name} cannot be read ({error})") from error
        self._arrays: dict[str, Any] = {}

    @classmethod
    def create(cls, folder: Path) -> None:
        """A new, empty group."""
        import zarr

        zarr.create_group(folder, zarr_format=3)
        sync_tree(folder)

    def array_for(self, data: np.ndarray) -> str:
        """The name of the array for frames of this shape and dtype; created if it does not exist."""
        if data.dtype.kind not in _KINDS or not data.size:
            raise ValueError(f"a frame of dtype {data.dtype} and shape {data.shape} cannot be kept; give real numbers")
        name = f"{data.dtype.name}_{'x'.join(map(str, data.shape))}"
        if name not in self._arrays and not (self._folder / name / "zarr.json").exists():
            self._group.create_array(
                name, shape=(CAPACITY, *data.shape), chunks=(1, *data.shape), dtype=data.dtype.newbyteorder("="),
                fill_value=0, chunk_key_encoding={"name": "default", "separator": "."},
            )  # fmt: skip
            sync_tree(self._folder / name)
            sync(self._folder)
        return name

    def write(self, name: str, index: int, data: np.ndarray) -> str:
        """Write one frame and sync it; the SHA-256 of its chunk's bytes, in hex."""
        array = self._open(name)
        if index >= array.shape[0]:
            raise ValueError(f"{name} is full with {index} frames; begin a new session")
        array[index] = data
        chunk = self._chunk(name, index, array.ndim)
        sync(chunk)
        sync(chunk.parent)
        return hashlib.sha256(chunk.read_bytes()).hexdigest()

    def check(self, name: str, index: int, digest: str) -> None:
        """ValueError if the frame's chunk is missing or was changed."""
        chunk = self._chunk(name, index, self._open(name).ndim)
        if not chunk.is_file():
            raise ValueError(f"chunk {chunk.name} of {name} is missing")
        if hashlib.sha256(chunk.read_bytes()).hexdigest() != digest:
            raise ValueError(f"chunk {chunk.name} of {name} was changed or cut short")

    def read(self, name: str, index: int, digest: str) -> np.ndarray:
        """One frame. ValueError if its chunk is not what was written."""
        self.check(name, index, digest)
        return np.asarray(self._open(name)[index])

    def _open(self, name: str) -> Any:
        if name not in self._arrays:
            if "/" in name or not (self._folder / name / "zarr.json").is_file():
                raise ValueError(f"{self._folder.name} has no array {name}")
            import zarr

            try:
                # a frame of zeros is written as a chunk like any other
                with zarr.config.set({"array.write_empty_chunks": True}):
                    self._arrays[name] = zarr.open_array(self._folder / name, mode=self._mode)
            except Exception as error:  # zarr raises many kinds for a damaged store
                raise ValueError(f"array {name} of {self._folder.name} cannot be read ({error})") from error
        return self._arrays[name]

    def _chunk(self, name: str, index: int, axes: int) -> Path:
        return self._folder / name / ".".join(["c", str(index), *["0"] * (axes - 1)])
