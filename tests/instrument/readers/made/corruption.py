"""Files corrupted at random, and what a reader makes of them: refused, read as before, or read with other axes or claims than the original in silence."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from instrument.readers import VendorError, read_vendor_many
from tests.instrument.readers.made import mrc, scans, tiffs, trees
from twin.records import Signal

HEAD = 4096
"""Half of the changes are made in the first bytes, where headers stand."""

COPIED = (
    "images/dm-stem-image.dm3", "spectra/dm-eels-si.dm4", "images/themis-haadf.emd", "images/sto-titan80_1.ser", "spoiled/disk-clean.tif",
)  # fmt: skip
"""Real files, in the folder of such, of which copies are corrupted."""
COMPANIONS = {".emi": "{stem}_*.ser", ".xml": "scan_*.raw"}
"""Files beside an original that hold its data."""


class Result(NamedTuple):
    """One corrupted file: of which ``original``, by what ``kind`` of change, the ``error`` or "" where it was read, and the ``changes`` of axes and claims."""

    original: str
    kind: str
    error: str
    changes: tuple[str, ...]


def flipped(content: bytearray, rng: np.random.Generator) -> None:
    """One to eight bits."""
    for _ in range(int(rng.integers(1, 9))):
        content[_place(content, rng)] ^= 1 << int(rng.integers(8))


def truncated(content: bytearray, rng: np.random.Generator) -> None:
    """Cut off at any length."""
    del content[int(rng.integers(1, len(content))) :]


def swapped(content: bytearray, rng: np.random.Generator) -> None:
    """A word of 2, 4 or 8 bytes in the other byte order."""
    size = int(rng.choice([2, 4, 8]))
    offset = _place(content, rng) // size * size
    content[offset : offset + size] = content[offset : offset + size][::-1]


def counted(content: bytearray, rng: np.random.Generator) -> None:
    """A word of 4 bytes set to what a length may be wrongly: zero, minus one, one more, much more."""
    offset = min(_place(content, rng) // 4 * 4, len(content) - 4)
    old = int.from_bytes(content[offset : offset + 4], "little")
    new = int(rng.choice([0, 2**32 - 1, (old + 1) % 2**32, 2**31 - 1, 2**20]))
    content[offset : offset + 4] = new.to_bytes(4, "little")


def overwritten(content: bytearray, rng: np.random.Generator) -> None:
    """Up to 64 bytes of noise or zeros."""
    offset, size = _place(content, rng), int(rng.integers(1, 65))
    noise = rng.bytes(size) if rng.random() < 0.5 else bytes(size)
    content[offset : offset + size] = noise[: len(content[offset : offset + size])]


def _place(content: bytearray, rng: np.random.Generator) -> int:
    return int(rng.integers(min(len(content), HEAD if rng.random() < 0.5 else len(content))))


KINDS: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    flipped,
    truncated,
    swapped,
    counted,
    overwritten,
)


def generated(folder: Path) -> list[Path]:
    """A small file of each format that can be made here."""
    scans.empad(folder / "scan.xml", x=2, y=1)
    return [
        mrc.mrc(folder / "fei.mrc", np.ones((1, 16, 16), np.int16), extended=mrc.fei1(), kind=b"FEI1"),
        folder / "scan.xml", scans.ndata(folder / "item.ndata"), scans.nion_h5(folder / "item.nhdf"), trees.nexus(folder / "image.nxs"),
        trees.hspy(folder / "image.hspy"), trees.berkeley(folder / "berkeley.emd", voltage=300, voltage_units="kV"), tiffs.fei_tiff(folder / "fei.tif"),
    ]  # fmt: skip


def corrupted(originals: Iterable[Path], folder: Path, trials: int, seed: int) -> Iterator[tuple[Path, str, Path]]:
    """(original, kind of change, corrupted copy), ``trials`` of each original, in folders of their own with the files beside them."""
    for number, original in enumerate(originals):
        rng = np.random.default_rng((seed, number))
        content = original.read_bytes()
        for trial in range(trials):
            home = folder / f"{number}-{trial}"
            home.mkdir()
            for companion in original.parent.glob(COMPANIONS.get(original.suffix, "-").format(stem=original.stem)):
                shutil.copy(companion, home)
            kind = KINDS[trial % len(KINDS)]
            damaged = bytearray(content)
            kind(damaged, rng)
            copy = home / original.name
            copy.write_bytes(bytes(damaged))
            yield original, kind.__name__, copy


def run(originals: list[Path], folder: Path, trials: int, seed: int, timeout: float = 2.0) -> list[Result]:
    """Corrupt and read all; VendorError is the only way in which a file may fail."""
    clean = {
        path: [] if isinstance(read, VendorError) else read for path, read in read_vendor_many(originals, timeout=30.0)
    }
    assert all(clean.values()), [str(path) for path, read in clean.items() if not read]
    made = list(corrupted(originals, folder, trials, seed))
    results = []
    for (original, kind, _), (_, read) in zip(
        made, read_vendor_many([copy for *_, copy in made], timeout=timeout), strict=True
    ):
        is_refused = isinstance(read, VendorError)
        changes = () if isinstance(read, VendorError) else tuple(differences(clean[original], read))
        results.append(Result(original.name, kind, read.problem if is_refused else "", changes))
    return results


def differences(before: list[Signal], after: list[Signal]) -> Iterator[str]:
    """What differs between recordings: their number, shapes, axes and claims."""
    if len(before) != len(after):
        yield "number of recordings"
    for old, new in zip(before, after, strict=False):
        if old.data.shape != new.data.shape or old.data.dtype != new.data.dtype:
            yield "shape or type of the data"
        for axis, other in zip(old.axes, new.axes, strict=False):
            if (axis.scale, axis.offset, axis.unit) != (other.scale, other.offset, other.unit):
                yield f"axis {axis.name}"
        stated, now = ({(name, claim.key): claim.value for name, claim in item.claims.items()} for item in (old, new))
        yield from (
            f"claim {name}" for name, key in sorted({*stated, *now}) if stated.get((name, key)) != now.get((name, key))
        )


def tally(results: list[Result]) -> dict[str, Counter[str]]:
    """By original: files refused, of which by the limit of time or a crash, read as before, and changed in silence."""
    counts: dict[str, Counter[str]] = {}
    for result in results:
        count = counts.setdefault(result.original, Counter())
        count["refused" if result.error else "changed" if result.changes else "same"] += 1
        count["hung"] += "kept its reader busy" in result.error
        count["crashed"] += "crashed its reader" in result.error
    return counts
