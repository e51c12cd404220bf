"""Output of ``--keys``: every key of a scenario with unit, default and meaning."""

import textwrap
from typing import Any

from rich.console import Console
from rich.table import Table as Columns

from twin.simulation.plan.keys import Key, Table


def keys_as_dict(command: str, tables: tuple[Table, ...], presets: dict[str, str]) -> dict[str, Any]:
    """Plain values, for ``--json``; ``presets``: name and description of each."""
    return {
        "schema": "emtwin.keys/1", "command": command, "presets": presets, "tables": [table.as_dict() for table in tables],
    }  # fmt: skip


def print_keys(
    command: str, tables: tuple[Table, ...], presets: dict[str, str], console: Console | None = None
) -> None:
    """The keys of the scenarios that ``emtwin`` ``command`` runs, and its presets, on stdout."""
    console = console or Console(highlight=False)
    console.print(f"Keys of a scenario for emtwin {command} (TOML), then its presets.", markup=False)
    for table in tables:
        kind = f", {table.where}" if table.where else " (required)" if table.required and table.path else ""
        console.print(f"\n{f'[{table.path}]' if table.path else 'at the top'}{kind}", markup=False, style="bold")
        _print_filled(console, table.meaning)
        columns = Columns(box=None, show_edge=False, padding=(0, 2, 0, 2), header_style="dim")
        for name in ("key", "unit", "default", "meaning"):
            columns.add_column(name, overflow="fold")
        for key in table.keys:
            columns.add_row(key.name, key.unit, default_of(key), _about(key))
        console.print(columns, markup=False)
    console.print("\npresets", style="bold")
    for name, description in presets.items():
        _print_filled(console, f"{name}: {description}")


def _print_filled(console: Console, text: str) -> None:
    """``text`` over as many indented lines as it takes."""
    print(textwrap.fill(text, console.width, initial_indent="  ", subsequent_indent="  "), file=console.file)


def default_of(key: Key) -> str:
    """The default in words, as TOML has it."""
    if key.required:
        return "required"
    value = key.default
    if value is None or value in ({}, []):
        return "none"
    if isinstance(value, tuple):
        return f"[{', '.join(f'{number:g}' for number in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _about(key: Key) -> str:
    """Meaning, then what a value must be, where that is more than any number or text."""
    must = key._replace(unit="").takes()
    return f"{key.meaning}; {must}" if must not in ("a number", "text") and key.meaning else key.meaning or must
