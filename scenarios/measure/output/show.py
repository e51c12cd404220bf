"""A measurement on a terminal: quantities with errors in units for people, readings side by side, what is open and why, what disagrees."""

import math
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from twin.units import rounded, scale

MAX_READINGS = 4


def print_measured(result: dict[str, Any], console: Console | None = None) -> None:
    """A measurement (as `result.to_dict` gives it) for people, on stdout."""
    console = console or Console(highlight=False)
    files = ", ".join(result["files"])
    colour = "green" if result["outcome"] == "determined" else "yellow"
    console.print(
        f"[bold]{escape(result['kind'])}[/] of {escape(files)}: [bold {colour}]{result['outcome']}[/]\n", soft_wrap=True
    )
    shown = result["readings"][:MAX_READINGS]
    known = [i for i, quantity in enumerate(result["quantities"]) if quantity["determined"]]
    if known:
        console.print(_table(result, known, shown))
    if len(shown) > 1:
        left = sum(reading["weight"] for reading in result["readings"][MAX_READINGS:])
        rest = f", {left:.1%} in others" if left > 1e-3 else ""
        console.print(f"\nThe data allow {len(result['readings'])} readings, with these probabilities{rest}.")
    if result["undetermined"]:
        console.print("\n[bold]Undetermined[/]")
        for reason in dict.fromkeys(result["undetermined"].values()):
            names = [name for name, other in result["undetermined"].items() if other == reason]
            console.print(f"  {escape(', '.join(names))}: {escape(reason)}", soft_wrap=True)
    console.print()
    if result["misfit"] is not None:
        console.print(f"[dim]misfit[/] {result['misfit']:.3g} [dim](squares of residuals over what was expected)[/]")
    for check in result["checks"]:
        value = "none" if check["value"] is None else f"{check['value']:.3g}"
        verdict = "[dim]passed[/]" if check["passed"] else "[bold yellow]failed[/]"
        console.print(
            f"[dim]check[/] {escape(check['name'])}: {value} [dim](limit {check['limit']:.3g})[/] {verdict}",
            soft_wrap=True,
        )
    for defect in result["defects"]:
        console.print(f"[dim]{defect['treatment']}[/] {escape(defect['description'])}", soft_wrap=True)
    if result["electrons"] is not None:
        console.print(f"[dim]electrons[/] {result['electrons']:.4g}")
    for setting in _unique(result["settings"]):
        console.print(
            f"[dim]{escape(setting['name'])}[/] {_setting_text(setting)} [dim]({escape(setting['from'])})[/]",
            soft_wrap=True,
        )
    for note in result["notes"]:
        console.print(f"[dim]note[/] {escape(note)}", soft_wrap=True)
    for claim in result["claims"]:
        if claim["agrees"]:
            console.print(f"[dim]agrees[/] {escape(claim['words'])}", soft_wrap=True)
    for words in result["disagreements"]:
        console.print(f"[bold yellow]disagrees[/] {escape(words)}", soft_wrap=True)


def _table(result: dict[str, Any], known: list[int], shown: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("quantity", no_wrap=True)
    for reading in shown:
        several = len(shown) > 1
        table.add_column(f"{reading['weight']:.1%}" if several else "value", justify="right", no_wrap=True)
        table.add_column("±", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for i in known:
        quantity = result["quantities"][i]
        sizes = [abs(reading["mean"][i]) for reading in shown]
        errors = [math.sqrt(max(reading["covariance"][i][i], 0.0)) for reading in shown]
        factor, unit = scale(max(*sizes, *errors), quantity["unit"], quantity["name"])
        cells = []
        for reading, error in zip(shown, errors, strict=True):
            is_flip = quantity["name"] == "flip"
            cells += (
                (f"{reading['mean'][i]:.0f}", "") if is_flip else rounded(reading["mean"][i] * factor, error * factor)
            )
        table.add_row(escape(quantity["name"]), *cells, unit)
    return table


def _unique(settings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Settings without repeats: those of several files that are alike are listed once."""
    unique: dict[tuple[Any, ...], dict[str, Any]] = {}
    for setting in settings:
        unique.setdefault((setting["name"], setting["value"], setting["from"]), setting)
    return list(unique.values())


def _setting_text(setting: dict[str, Any]) -> str:
    value = setting["value"]
    if isinstance(value, str):
        return escape(value)
    factor, unit = scale(value, setting["unit"], setting["name"])
    return f"{value * factor:.6g} {unit}".rstrip() if np.isfinite(value) else str(value)
