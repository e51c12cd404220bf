"""Corrupted files of every format: each is read or refused within its limit, and no recording keeps what its structure contradicts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from instrument.readers import close_reader
from tests.instrument.readers.made.corruption import COPIED, generated, run, tally
from tests.recorded import data_folder


@pytest.fixture(scope="module", autouse=True)
def _reader_ended() -> Iterator[None]:
    yield
    close_reader()


@pytest.mark.slow
def test_corrupted_files_are_read_or_refused(tmp_path: Path) -> None:
    """`run` fails for anything that is raised but a VendorError; a file that is read is the recording it was, or one in which a number of a header changed."""
    (tmp_path / "originals").mkdir()
    (tmp_path / "copies").mkdir()
    folder = data_folder()
    originals = [*generated(tmp_path / "originals"), *([] if folder is None else [folder / name for name in COPIED])]
    results = run(originals, tmp_path / "copies", trials=20, seed=22)
    counts = tally(results)
    assert len(results) == 20 * len(originals)
    assert sum(count["crashed"] for count in counts.values()) == 0
    assert (
        sum(count["hung"] for count in counts.values()) <= 3
    )  # each ended at its limit, alone; a few damaged trees of HDF5 keep their parser for ever
    # cut off: never read
    assert [result.original for result in results if result.kind == "truncated" and not result.error] == []
    # of the rest, few change in silence, and those where there is nothing that a change could contradict: numbers of a header, text of a tag
    changed = [result for result in results if result.changes]
    assert len(changed) <= 0.06 * len(results)
    assert "item.ndata" not in {result.original for result in changed}  # its archive has checksums
    assert all("number of recordings" not in result.changes for result in results)
