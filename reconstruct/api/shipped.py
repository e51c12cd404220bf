"""Tables that are part of emtwin, by name, and tables of the user, by path."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from twin.errors import BadInput

T = TypeVar("T")
MAX_FILE_SIZE = 8 * 2**20
"""Largest size of a table in bytes."""


def shipped_names(folder: Path) -> list[str]:
    """The names of the tables in ``folder``, in order."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def load_shipped(
    name_or_path: str | os.PathLike[str], folder: Path, kind: str, noun: str, read: Callable[[str, str], T]
) -> T:
    """What ``read`` makes of a table's text: of one in ``folder`` by its name, or of a file by its path. BadInput, naming the file, where it cannot be used.

    ``kind`` is what such a table is called in full ("sensor table"), ``noun`` in short ("table").
    """
    text, known = str(name_or_path), shipped_names(folder)
    names = ", ".join(known)
    path = folder / f"{text}.toml" if text in known else Path(name_or_path)
    if not path.is_file():
        raise BadInput(text, f"is neither a {noun} nor a file", f"Name a TOML file, or a {noun}: {names}.")
    try:
        if path.stat().st_size > MAX_FILE_SIZE:
            raise BadInput(text, f"is larger than {MAX_FILE_SIZE // 2**20} MiB", f"Name a {kind}.")
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(text, f"cannot be read ({error.strerror})", "Check its permissions.") from None
    except UnicodeDecodeError:
        raise BadInput(text, "is not text in UTF-8", f"Name a {kind}, TOML.") from None
    try:
        return read(content, text)
    except ValueError as error:
        problem, _, cure = str(error).removeprefix(f"{text}: ").rpartition("; ")
        example = f"The {noun}s that come with emtwin are examples: {names}."
        raise BadInput(text, problem or cure, f"{cure[0].upper()}{cure[1:]}." if problem else example) from error
