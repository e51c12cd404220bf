"""The folder in which costly results are kept between runs: ``EMTWIN_CACHE``, else emtwin under the user's cache folder.

No command depends on it: where it cannot be made or written, results are computed anew.
"""

import contextlib
import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Where costly results are kept. Nothing is made yet."""
    named = os.environ.get("EMTWIN_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "emtwin"


def usable_cache() -> Path | None:
    """The cache folder, made if it is missing; None where it cannot be made or written."""
    folder = cache_folder()
    return folder if writable(folder) else None


def writable(folder: Path) -> bool:
    """Whether ``folder`` is there, or can be made, and takes a new file (a read-only mount or a full disk does not)."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable-") as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError:
        return False
    return True


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_size(folder: Path, largest: int, suffix: str = "") -> int:
    """Remove the files below ``folder`` used least recently until the rest take at most ``largest`` bytes; returns how many were removed.

    Only names ending in ``suffix`` count. A file's last use is its access time, which file systems update at least once a day (relatime), or
    where they do not its last change. Another process may remove the same files at the same time.
    """
    entries: list[tuple[float, int, Path]] = []
    for path in folder.rglob(f"*{suffix}"):
        with contextlib.suppress(FileNotFoundError):
            facts = path.stat(follow_symlinks=False)
            if path.is_file():
                entries.append((max(facts.st_atime, facts.st_mtime), facts.st_size, path))
    total, removed = sum(size for _, size, _ in entries), 0
    for _, size, path in sorted(entries, key=lambda entry: entry[0]):
        if total <= largest:
            break
        path.unlink(missing_ok=True)
        total, removed = total - size, removed + 1
    return removed


def keep(content: bytes, path: Path) -> None:
    """Write a file of the cache folder, whole or not at all; where it cannot be written its content is computed again next time."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".draft-", delete=False) as draft:
            try:
                draft.write(content)
                draft.close()
                os.replace(draft.name, path)
            except OSError:
                os.unlink(draft.name)
                raise
