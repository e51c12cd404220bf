"""What ``emtwin library`` prints for people."""

import math
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_SCORES = {
    "r2": "R2",
    "rmse": "rmse",
    "std": "std",
    "power": "power",
    "detected": "detected",
    "coverage90": "cover 90 %",
}


def print_added(done: Mapping[str, Any]) -> None:
    """What came in, on stdout; what did not, on stderr."""
    console = Console(highlight=False)
    told = ", ".join(f"{done[name]} {word}" for name, word in _CHANGES.items() if done[name])
    console.print(f"{done['library']}: {told}; {done['records']} records", markup=False, soft_wrap=True)
    for skipped in done["skipped"]:
        lines = f"emtwin: {skipped['path']} was left out\n  problem: {skipped['problem']}\n  cure:    {skipped['cure']}"
        print(lines, file=sys.stderr)


_CHANGES = {"added": "added", "updated": "updated", "known": "known already"}


def print_matches(done: Mapping[str, Any]) -> None:
    """The nearest records, each with its distance and why."""
    console = Console(highlight=False)
    if not done["matches"]:
        console.print(f"{done['library']} is empty", markup=False, soft_wrap=True)
    table = _table("distance", *_COLUMNS)
    for match in done["matches"]:
        table.add_row(f"{match['distance']:.2f}", *_row(match))
    if done["matches"]:
        console.print(table)
    for match in done["matches"]:
        console.print(f"{match['id']}: {'; '.join(match['why'])}", markup=False, soft_wrap=True)
    _print_held(done["held"], console)


def print_list(done: Mapping[str, Any]) -> None:
    """All records in a table."""
    console = Console(highlight=False)
    table = _table(*_COLUMNS)
    for record in done["records"]:
        table.add_row(*_row(record))
    if done["records"]:
        console.print(table)
    console.print(f"{done['library']}: {len(done['records'])} records", markup=False, soft_wrap=True)
    _print_held(done["held"], console)


_COLUMNS = ("number", "name", "specimen", "technique", "energy", "dose e/Å²", "reached")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="left" if name in ("name", "specimen", "technique", "reached") else "right")
    return table


def _row(record: Mapping[str, Any]) -> tuple[str, ...]:
    energy, dose = record["settings"].get("energy"), record["dose"]
    reached = [f"{word} {record['reached'][name]:.3g}" for name, word in _SCORES.items() if name in record["reached"]]
    cells = (
        str(record["id"]),
        record["name"],
        record["structure"] or record["formula"] or " ".join(record["elements"]) or "–",
        record["technique"] or "–",
        f"{energy / 1e3:.0f} keV" if isinstance(energy, (int, float)) else "–",
        f"{dose:.3g}" if dose is not None else "–",
        ", ".join(reached) or "–",
    )
    return tuple(escape(cell) for cell in cells)


def _print_held(held: Mapping[str, Any], console: Console) -> None:
    """How well plans held, in a line; nothing where none was planned."""
    parts = []
    if power := held["power"]:
        sigmas = power["sigmas"]
        off = f" ({sigmas:+.1f} sigma)" if math.isfinite(sigmas) else ""
        parts.append(f"power {power['reached']:.2f} for {power['predicted']:.2f} predicted over {power['count']}{off}")
    if std := held["std"]:
        parts += [f"errors {std['ratio']:.2f} of those predicted"] if std["ratio"] is not None else []
        if std["standardised"] is not None:
            parts.append(f"actual errors {std['standardised']:.2f} predicted standard deviations rms")
    if dose := held["dose"]:
        parts.append(f"dose {dose['ratio']:.2f} of the plan's")
    if parts:
        console.print(f"plans held: {'; '.join(parts)}", markup=False, soft_wrap=True)
