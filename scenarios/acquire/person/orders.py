"""What a person tells a running session from outside: stop, hold (the instrument is the person's until "go-on"), or measure now.

Orders are lines of the file `NAME` in the session's folder, each one JSON object; a session heeds those that come while it runs, between two images.
"""

import os
from pathlib import Path
from typing import Literal, get_args

import msgspec

from instrument.core.journal import Journal
from instrument.core.session_files import SessionError, lock_writer
from scenarios.io.errors import BadInput

NAME = "orders.jsonl"
Word = Literal["stop", "hold", "go-on", "measure"]
WORDS: tuple[str, ...] = get_args(Word)
FARTHEST = 1000.0
"""Angstrom of C10 that a person may ask for."""
LONGEST = 4096
"""Bytes of an order at most; what is longer is none."""


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A ``word``; to measure: at ``c10`` (angstrom) and with ``dwell`` times the usual dwell time, where they are given."""

    word: Word
    c10: float | None = None
    dwell: float | None = None


def order_of(word: str, c10: float | None = None, dwell: float | None = None) -> Order:
    """The order of a ``word`` with what goes with it; BadInput, naming it, for what is none."""
    if word not in WORDS:
        raise BadInput(word, "is no order", f"Say one of {', '.join(WORDS)}.")
    if word != "measure" and (c10 is not None or dwell is not None):
        raise BadInput(word, "has no C10 and no dwell time", 'They go with "measure".')
    if c10 is not None and not abs(c10) <= FARTHEST:
        raise BadInput("--c10", f"{c10:g} angstrom cannot be used", f"Give one from -{FARTHEST:g} to {FARTHEST:g}.")
    if dwell is not None and not 0.01 <= dwell <= 100.0:
        raise BadInput(
            "--dwell", f"{dwell:g} times the usual dwell time cannot be used", "Give a factor from 0.01 to 100."
        )
    return Order(word, c10, dwell)  # pyright: ignore[reportArgumentType]


def give(folder: Path, order: Order) -> None:
    """Give an order to the session that runs in a folder; BadInput where none does."""
    with Journal.open(folder):
        pass
    try:
        os.close(lock_writer(folder))
    except SessionError:
        pass  # its writer runs
    else:
        raise BadInput(
            str(folder), "no session runs in it", "Resume it with emtwin acquire --resume, unless it is complete."
        )
    with open(folder / NAME, "ab") as file:  # one write: lines of two persons do not mix
        file.write(msgspec.json.encode(order) + b"\n")


class Orders:
    """The orders in a folder that are given from now on."""

    def __init__(self, folder: Path):
        self._path = folder / NAME
        self._read = self._path.stat().st_size if self._path.exists() else 0

    def new(self) -> list[Order]:
        """Those since the last call, in order; a line that is none is left out."""
        if not self._path.exists():
            return []
        with open(self._path, "rb") as file:
            file.seek(self._read)
            whole, _, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + 1 if whole else 0
        orders = []
        for line in whole.split(b"\n"):
            try:
                orders.append(msgspec.json.decode(line[:LONGEST], type=Order))
            except msgspec.DecodeError:
                continue
        return orders
