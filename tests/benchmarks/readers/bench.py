"""Benchmark of the readers of foreign files: what becomes of files that are corrupted at random, and the time of 200 files.

Bits, lengths, words, counts and noise. A file may be read, refused, or ended with its worker at the limit; what is read is compared with the original: axes and
claims that changed, changed in silence, since most formats have no checksum. Real files take part where there is a folder of them.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from instrument.readers import VendorError, close_reader, read_vendor_many
from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.instrument.readers.made.corruption import COPIED, Result, generated, run, tally
from tests.recorded import data_folder

TRIALS = (200, 50, 5)
"""Corrupted copies of each file, by form."""
FILES, LIMIT = 200, 60.0
"""Small files that are read in a row, and the seconds within which."""


def cases(short: Form, progress: Callable[..., None], first_seed: int = 100) -> list[Case]:
    """The counts of all files, the shares of each original, and the time of `FILES` files."""
    real = data_folder()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("originals", "copies"):
            (Path(folder) / name).mkdir()
        originals = [
            *generated(Path(folder) / "originals"),
            *([] if real is None else [real / name for name in COPIED]),
        ]
        progress(f"{TRIALS[short]} corrupted copies of {len(originals)} files")
        try:
            results = run(originals, Path(folder) / "copies", TRIALS[short], first_seed)
            progress(f"{FILES} files")
            seconds = _seconds(originals)
        finally:
            close_reader()
    return [
        *_counts(results),
        case(f"{FILES} files, clean, workers warm", seconds, "s", f"under {LIMIT:g} s", seconds < LIMIT),
    ]


def _seconds(originals: list[Path]) -> float:
    start = time.monotonic()
    files = (originals * FILES)[:FILES]
    refused = [path for path, read in read_vendor_many(files) if isinstance(read, VendorError)]
    if refused:
        raise RuntimeError(f"{refused[0]} was not read")
    return time.monotonic() - start


def _counts(results: list[Result]) -> list[Case]:
    counts = tally(results)
    total: Counter[str] = sum(counts.values(), Counter())
    cut = sum(result.kind == "truncated" and not result.error for result in results)
    rows = [
        case("corrupted files", len(results)),
        case("refused", 100 * total["refused"] / len(results), "%"),
        case("read, axes and claims as before", 100 * total["same"] / len(results), "%"),
        case("read, axes or claims changed in silence", 100 * total["changed"] / len(results), "%"),
        case("ended at the limit of 2 s, alone", total["hung"]),
        case("ended by a crash, alone", total["crashed"]),
        case("cut off and read", cut, "", "0", cut == 0),
    ]
    for name, count in counts.items():
        number = count["refused"] + count["same"] + count["changed"]
        rows.append(case(f"{name}: refused", 100 * count["refused"] / number, "%"))
        rows.append(case(f"{name}: changed in silence", 100 * count["changed"] / number, "%"))
    return rows
