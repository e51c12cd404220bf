"""Many files by two workers: each bounded by itself, in order, whatever the others do."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from instrument.readers import VendorError, close_reader, read_vendor_many
from instrument.readers import reader as reading
from instrument.readers.formats.parse import parse
from tests.instrument.readers.made.mrc import mrc
from twin.records import Signal


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


def files(folder: Path, names: list[str]) -> list[Path]:
    """MRC files, each with its number as the value of its pixels."""
    return [mrc(folder / f"{name}.mrc", np.full((1, 4, 4), number, np.int16)) for number, name in enumerate(names)]


def outcomes(paths: list[Path], timeout: float = 10.0) -> list[int | str]:
    read = list(read_vendor_many(paths, timeout=timeout))
    assert [path for path, _ in read] == paths
    return [result.problem if isinstance(result, VendorError) else int(result[0].data[0, 0]) for _, result in read]


class _NeedsMore(ValueError):
    """An error that no other process can take apart: it is made of two arguments and keeps one."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def _unruly(path: str, max_bytes: int) -> list[Signal]:
    """A parser that hangs, dies or raises by the name of the file."""
    name = Path(path).stem
    if "hang" in name:
        time.sleep(1e6)
    if "die" in name:
        os._exit(7)
    if "memory" in name:
        raise MemoryError
    if "class" in name:
        raise _NeedsMore("a", "b")
    if "within" in name:
        try:
            raise _NeedsMore("a", "b")
        except _NeedsMore as error:
            raise VendorError(path, "is wrong", "Mend it.") from error
    return parse(path, max_bytes)


@pytest.mark.slow
def test_files_come_in_order_with_their_errors(tmp_path: Path) -> None:
    paths = files(tmp_path, [f"a{number}" for number in range(30)])
    paths[4].write_bytes(b"short")
    paths[7] = tmp_path / "none.mrc"
    paths[9] = tmp_path / "list.txt"
    paths[9].write_text("hello")
    results = outcomes(paths)
    assert results[4] == "has 5 bytes, fewer than the header of an MRC file"
    assert "cannot be opened" in str(results[7])
    assert "extension" in str(results[9])
    assert [result for number, result in enumerate(results) if number not in (4, 7, 9)] == [
        n for n in range(30) if n not in (4, 7, 9)
    ]


@pytest.mark.slow
def test_a_file_that_ends_its_worker_takes_no_other_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        f"{ {3: 'hang', 4: 'die', 11: 'die', 8: 'memory', 13: 'class', 15: 'within'}.get(number, 'a') }{number}"
        for number in range(20)
    ]
    paths = files(tmp_path, names)
    list(read_vendor_many(paths[:2]))  # the workers are up
    monkeypatch.setattr(reading.formats, "parse", _unruly)
    started = time.monotonic()
    results = outcomes(paths, timeout=1.0)
    assert time.monotonic() - started < 60
    for number, (name, result) in enumerate(zip(names, results, strict=True)):
        expected = {
            "h": "more than 1 s",
            "d": "exit code 7",
            "m": "more memory",
            "c": "_NeedsMore: a",
            "w": "is wrong",
        }.get(name[0])
        assert (result == number) if expected is None else (expected in str(result)), (name, result)


def test_the_iterator_may_be_left(tmp_path: Path) -> None:
    paths = files(tmp_path, [f"b{number}" for number in range(20)])
    for path, result in read_vendor_many(iter(paths)):
        assert not isinstance(result, VendorError)
        if path == paths[2]:
            break
    assert outcomes(paths) == list(range(20))


def test_the_limit_is_checked_at_once() -> None:
    with pytest.raises(ValueError, match="timeout"):
        next(read_vendor_many(["a.mrc"], timeout=0.0))
