"""A measurement on a terminal: quantities with errors in units for people, readings side by side, what is open and why, what disagrees."""

import math
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from twin.units import rounded, scale

MOST_READINGS = 4


def print_measured(told: dict[str, Any], console: Console | None = None) -> None:
    """A measurement (as `told.tell` gives it) for people, on stdout."""
    console = console or Console(highlight=False)
    files = ", ".join(told["files"])
    console.print(f"[bold]{escape(told['kind'])}[/] of {escape(files)}\n", soft_wrap=True)
    shown = told["readings"][:MOST_READINGS]
    known = [i for i, one in enumerate(told["quantities"]) if one["determined"]]
    if known:
        console.print(_table(told, known, shown))
    if len(shown) > 1:
        left = sum(one["weight"] for one in told["readings"][MOST_READINGS:])
        rest = f", {left:.1%} in others" if left > 1e-3 else ""
        console.print(f"\nThe data allow {len(told['readings'])} readings, of the probabilities told{rest}.")
    if told["undetermined"]:
        console.print("\n[bold]Undetermined[/]")
        for why in dict.fromkeys(told["undetermined"].values()):
            names = [name for name, other in told["undetermined"].items() if other == why]
            console.print(f"  {escape(', '.join(names))}: {escape(why)}", soft_wrap=True)
    console.print()
    if told["misfit"] is not None:
        worth = "1 for a model that is right" if told["misfit_judged"] else "over counting; learnt, and in the errors"
        console.print(f"[dim]misfit[/] {told['misfit']:.3g} [dim]({worth})[/]")
    if told["electrons"] is not None:
        console.print(f"[dim]electrons[/] {told['electrons']:.4g}")
    for one in _unique(told["settings"]):
        console.print(f"[dim]{escape(one['name'])}[/] {_plainly(one)} [dim]({escape(one['from'])})[/]", soft_wrap=True)
    for note in told["notes"]:
        console.print(f"[dim]note[/] {escape(note)}", soft_wrap=True)
    for one in told["claims"]:
        if one["agrees"]:
            console.print(f"[dim]agrees[/] {escape(one['words'])}", soft_wrap=True)
    for words in told["disagreements"]:
        console.print(f"[bold yellow]disagrees[/] {escape(words)}", soft_wrap=True)


def _table(told: dict[str, Any], known: list[int], shown: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("quantity", no_wrap=True)
    for reading in shown:
        several = len(shown) > 1
        table.add_column(f"{reading['weight']:.1%}" if several else "value", justify="right", no_wrap=True)
        table.add_column("±", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for i in known:
        one = told["quantities"][i]
        sizes = [abs(reading["mean"][i]) for reading in shown]
        errors = [math.sqrt(max(reading["covariance"][i][i], 0.0)) for reading in shown]
        factor, unit = scale(max(*sizes, *errors), one["unit"], one["name"])
        cells = []
        for reading, error in zip(shown, errors, strict=True):
            either = one["name"] == "flip"
            cells += (
                (f"{reading['mean'][i]:.0f}", "") if either else rounded(reading["mean"][i] * factor, error * factor)
            )
        table.add_row(escape(one["name"]), *cells, unit)
    return table


def _unique(settings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Settings without repeats: those of several files that are alike are told once."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in settings:
        found.setdefault((one["name"], one["value"], one["from"]), one)
    return list(found.values())


def _plainly(setting: dict[str, Any]) -> str:
    value = setting["value"]
    if isinstance(value, str):
        return escape(value)
    factor, unit = scale(value, setting["unit"], setting["name"])
    return f"{value * factor:.6g} {unit}".rstrip() if np.isfinite(value) else str(value)
