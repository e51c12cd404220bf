"""Writing files through to the disk: what was synced survives a crash of the machine."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Write a file, or the entries of a folder, through to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """The same for a folder and all that is below it."""
    for path in [*folder.rglob("*"), folder]:
        sync(path)
