"""Output files: checked before the work, and written atomically."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from scenarios.io.errors import BadInput

FIGURES = (".png", ".svg")


def new_file(out: Path, option: str = "--out") -> None:
    """BadInput unless a file can be made at ``out``, which the user gave by ``option``: it does not exist, and its folder does."""
    if out.exists() or out.is_symlink():
        raise BadInput(f"{option} {out}", "exists already", "Name a file that does not exist.")
    if not out.resolve().parent.is_dir():
        raise BadInput(f"{option} {out}", f"{out.parent} is not a folder", "Name a file in a folder that exists.")


def new_files(out: Path | None, figure: Path | None) -> None:
    """The same for what a user gave by --out and --figure, where he did; a figure is of a kind that can be drawn."""
    if out is not None:
        new_file(out)
    if figure is not None:
        if figure.suffix not in FIGURES:
            raise BadInput(f"--figure {figure}", "is neither .png nor .svg", "Name a file of one of them.")
        new_file(figure, "--figure")


@contextlib.contextmanager
def whole(out: Path) -> Iterator[Path]:
    """A path beside ``out``, with its ending, to write a file or a folder at; afterwards it is ``out``. Nothing is left if the writing fails.

    An existing file is replaced; an existing folder is an error.
    """
    draft = out.with_name(f".draft-{out.name}")
    try:
        _remove(draft)
        yield draft
        draft.replace(out)
    except BaseException:
        _remove(draft)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def begun(out: Path) -> Iterator[None]:
    """A new folder ``out`` that is made within: where the work in it is refused (a ValueError), it and its parents that were made for it are removed."""
    parents = [parent for parent in out.absolute().parents if not parent.exists()]
    try:
        yield
    except ValueError:
        if out.is_dir():
            shutil.rmtree(out)
        for parent in parents:
            with contextlib.suppress(OSError):  # not there, or not empty
                parent.rmdir()
        raise


def write_whole(content: bytes, out: Path) -> None:
    """Write a file, whole or not at all; an existing one is replaced."""
    with whole(out) as draft:
        draft.write_bytes(content)
