"""Terminal output of ``emtwin instrument learn-sensors``: a table of channels, reasons of the verdicts, and the number of channels left out."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape as escaped
from rich.padding import Padding
from rich.table import Table

from twin.units import symbol

UNLISTED_CLASSES = ({"silent"}, {"too few"})
_SHORT = {"event-triggered": "events"}
_STYLES = {
    "silent": "dim",
    "too few": "dim",
    "constant": "blue",
    "periodic": "green",
    "on-change": "cyan",
    "event-triggered": "yellow",
    "held": "blue",
    "stuck": "magenta",
    "saturated": "magenta",
}


def print_learnt(analysis: dict[str, Any], every: bool, out: Path | None, console: Console | None = None) -> None:
    """Print the analysis of a log. ``every``: also the channels with too little data."""
    console = console or Console(highlight=False)
    channels = analysis["channels"]
    shown = (
        channels
        if every
        else [item for item in channels if _kinds(item) not in UNLISTED_CLASSES and item["count"] >= 5]
    )
    name = f", {analysis['name']}" if analysis["name"] else ""
    minutes = analysis["seconds"] / 60
    span = f"{minutes:.0f} min" if minutes >= 2 else f"{analysis['seconds']:.3g} s"
    console.print(
        f"[bold]{_safe(analysis['format'])}[/]{_safe(name)}: {len(channels)} channels, {analysis['values']} values in {span}"
    )
    console.print(f"[dim]{_safe(analysis['clock'])}[/]")
    for note in analysis["notes"]:
        console.print(f"[yellow]{_safe(note)}[/]")
    console.print()
    if shown:
        console.print(_table(shown))
        console.print("\n[bold]Why[/]")
        for names, why in _grouped((item["name"], _arguments(item)) for item in shown):
            console.print(f"[cyan]{_safe(_listed(names, every))}[/]")
            for line in why:
                console.print(Padding(line, (0, 0, 0, 2)))
        console.print()
    _print_counts(analysis, len(channels) - len(shown), console)
    if out is not None:
        console.print(f"\nsensor table: {out}", soft_wrap=True)


def _safe(text: str) -> str:
    """Text of a file, fit for a terminal: no markup, no control characters."""
    return escaped("".join(character if character.isprintable() else "?" for character in text))


def _print_counts(analysis: dict[str, Any], hidden: int, console: Console) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right")
    table.add_column()
    docs = {
        "constant": "the same value every time",
        "quantised": "values on a grid of steps",
        "event-triggered": "a record when something happens",
        "on-change": "a record when the value has changed enough",
        "periodic": "a record at fixed times",
        "irregular": "none of these habits",
        "held": "a run of equal values, as of a quantity at rest",
        "stuck": "a run of equal values of a sensor with noise of its own",
        "saturated": "the same, at the end of the sensor's range",
        "silent": "no record in this log",
        "too few": "not enough records to tell",
    }
    for kind, count in analysis["classes"].items():
        table.add_row(f"[{_STYLES.get(kind, 'default')}]{kind}[/]", str(count), f"[dim]{docs.get(kind, '')}[/]")
    console.print(table)
    unknown = [item["name"] for item in analysis["channels"] if item["unit"] is None]
    if unknown:
        console.print(f"\n{len(unknown)} with an unknown unit: [dim]{_safe(', '.join(unknown))}[/]")
    if hidden:
        console.print(
            f"[dim]{hidden} channels with fewer than 5 values are not shown; --all shows them, --json lists all.[/]"
        )


def _table(shown: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("channel", overflow="fold", min_width=min(27, max(len(item["name"]) for item in shown)))
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("class")
    table.add_column("unit", no_wrap=True)
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("noise", no_wrap=True)
    table.add_column("drift", no_wrap=True)
    lagged = any(item["lag"] for item in shown)
    if lagged:
        table.add_column("lag", no_wrap=True)
    for item in shown:
        kinds = " ".join(
            f"[{_STYLES.get(v['kind'], 'default')}]{_SHORT.get(v['kind'], v['kind'])}[/]" for v in item["classes"]
        )
        unit = "[red]?[/]" if item["unit"] is None else symbol(item["unit"])
        cells = (_number(item[key], item["unit"]) for key in ("step", "noise", "drift"))
        table.add_row(
            _safe(item["name"]), str(item["count"]), kinds, unit, *cells, *([_number(item["lag"], None)] if lagged else [])
        )  # fmt: skip
    return table


def _kinds(item: dict[str, Any]) -> set[str]:
    return {verdict["kind"] for verdict in item["classes"]}


def _number(estimate: dict[str, Any] | None, unit: str | None) -> str:
    """An estimate in a few characters, with its unit only if it differs from the channel's."""
    if estimate is None:
        return "[dim]-[/]"
    if "needed" in estimate:
        return "[dim]too few[/]"
    text = estimate["unit"]
    if unit and text.startswith(unit):
        text = text.removeprefix(unit)
    tail = f" {_safe(text)}" if text else ""
    if estimate["at_most"]:
        return f"< {estimate['value']:.2g}{tail}"
    if estimate["error"] is None:
        return f"{estimate['value']:.3g}{tail}"
    return _rounded(estimate["value"], estimate["error"]) + tail


def _rounded(value: float, error: float) -> str:
    """value ± error with as many digits as the error leaves."""
    power = 0 if 1e-3 <= abs(value) < 1e5 or value == 0 else math.floor(math.log10(abs(value)))
    value, error = value / 10.0**power, error / 10.0**power
    decimals = max(0, -math.floor(math.log10(error))) if error > 0 else 3
    text = f"{value:.{decimals}f} ± {error:.{decimals}f}"
    return f"({text})e{power}" if power else text


def _arguments(item: dict[str, Any]) -> tuple[str, ...]:
    lines = [f"{verdict['kind']}: {_safe(verdict['why'])}" for verdict in item["classes"]]
    for key in ("noise", "lag"):
        few = item[key] or {}
        if "needed" in few and item["count"]:
            lines.append(f"[dim]{key}: too few: {few['present']} of {few['needed']} {few['what']}[/]")
    lines += [f"[dim]note: {_safe(note)}[/]" for note in item["notes"]]
    return tuple(lines)


def _grouped(items: Iterable[tuple[str, tuple[str, ...]]]) -> list[tuple[list[str], tuple[str, ...]]]:
    """Names that share their arguments, in the order of the first of each."""
    names_by_reason: dict[tuple[str, ...], list[str]] = {}
    for name, why in items:
        names_by_reason.setdefault(why, []).append(name)
    return [(names, why) for why, names in names_by_reason.items()]


def _listed(names: list[str], every: bool) -> str:
    return ", ".join(names) if every or len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"
