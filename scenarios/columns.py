"""Columns: those that come with emtwin by their names, and a file of one's own."""

from pathlib import Path

import twin
from scenarios.errors import BadInput
from twin.column.table import ColumnTable, read_column

_FOLDER = Path(twin.__file__).parent / "column" / "tables"
LARGEST = 8 * 2**20
"""Bytes of a table at most."""


def column_names() -> list[str]:
    """The names of the columns that come with emtwin, in order."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load_column(name_or_path: str | Path) -> ColumnTable:
    """A column that comes with emtwin by its name, or one by the path of its TOML file; BadInput, naming the file, where it cannot be used."""
    text, names = str(name_or_path), ", ".join(column_names())
    path = _FOLDER / f"{text}.toml" if text in column_names() else Path(name_or_path)
    if not path.is_file():
        raise BadInput(text, "is neither a column nor a file", f"Name a TOML file, or a column: {names}.")
    try:
        if path.stat().st_size > LARGEST:
            raise BadInput(text, f"is larger than {LARGEST // 2**20} MiB", "Name a column's table.")
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(text, f"cannot be read ({error.strerror})", "Check its permissions.") from None
    except UnicodeDecodeError:
        raise BadInput(text, "is not text in UTF-8", "Name a column's table, TOML.") from None
    try:
        return read_column(content, text)
    except ValueError as error:
        problem, _, cure = str(error).removeprefix(f"{text}: ").rpartition("; ")
        raise BadInput(text, problem or cure, f"{cure[0].upper()}{cure[1:]}." if problem else names) from error
