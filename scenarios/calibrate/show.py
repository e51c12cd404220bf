"""Terminal output and figure of a calibration: constants before and after, outliers, and undetermined directions."""

import io
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scenarios.style.figure import FAINT, INK, LINE, STYLE

_UNITS = {"angstrom": (1e-7, "mm"), "ampere": (1.0, "A"), "radian": (57.29577951308232, "deg")}
_SCALES = {"log": ("%", 100.0), "angle": ("mrad", 1e3), "focus": ("mrad of mode", 1e3)}


def _plain(value: float, unit: str, name: str) -> tuple[float, str]:
    if name.endswith((".source", ".strength")):
        return value * 0.1, "nm"
    factor, word = _UNITS.get(unit, (1.0, "" if unit == "1" else unit))
    return value * factor, word


def print_calibration(result: dict[str, Any], console: Console | None = None) -> None:
    """Print a calibration to stdout."""
    console = console or Console(highlight=False)
    known = [constant for constant in result["constants"] if constant["determined"]]
    console.print(
        f"[bold]{escape(result['column'])}[/] from {result['rows']} rows: {len(known)} of {len(result['constants'])} constants determined\n"
    )
    if known:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading in ("constant", "value", "±", "was", "±", "unit"):
            table.add_column(heading, justify="left" if heading in ("constant", "unit") else "right", no_wrap=True)
        for constant in known:
            numbers = [
                _plain(constant[key], constant["unit"], constant["name"])[0]
                for key in ("value", "error", "prior", "prior_error")
            ]
            unit = _plain(0.0, constant["unit"], constant["name"])[1]
            table.add_row(
                escape(constant["name"]),
                *(f"{number:.5g}" if i % 2 == 0 else f"{number:.2g}" for i, number in enumerate(numbers)),
                unit,
            )
        console.print(table)
    wrong = result["lenses_err_by"]
    console.print(
        f"\nWidths of lenses err by {wrong['width']:.1%} with their own excitation, strengths by {wrong['strength']:.1%}, places by {wrong['place']:.1%} "
        f"of a half width; widths by {wrong['all']:.1%} with all excitations. These errors change over {wrong['length']:.2g} of full scale."
    )
    for constant in result["noise"]:
        unit, factor = _SCALES[constant["scale"]]
        console.print(f"[dim]Rows of {constant['quantity']} scatter by {constant['noise'] * factor:.2g} {unit}.[/]")
    if result["outliers"]:
        console.print("\n[bold yellow]Rows left out[/]")
        for constant in result["outliers"]:
            console.print(f"  {escape(constant['row'])}: {escape(constant['why'])}", soft_wrap=True)
    if result["undetermined"]:
        console.print("\n[bold]The table cannot determine[/]")
        console.print(f"[dim]{escape(', '.join(result['undetermined']))}[/]")


def draw_calibration(result: dict[str, Any], form: str) -> bytes:
    """Constants in units of their prior standard deviations, and the residual of every row in sigmas given the others; "png" or "svg"."""
    constants = result["constants"]
    rows = result["residuals"]
    kinds = list(dict.fromkeys(row["quantity"] for row in rows))
    out = {outlier["row"] for outlier in result["outliers"]}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.0, max(3.5, 0.19 * len(constants) + 1.2)), layout="constrained")
        axes: Any = figure.subplots(1, 2, width_ratios=[1, 1.1])
        left, right = axes
        heights = np.arange(len(constants))[::-1]
        moved = [(constant["value"] - constant["prior"]) / constant["prior_error"] for constant in constants]
        width = [constant["error"] / constant["prior_error"] for constant in constants]
        left.barh(heights, 2.0, left=-1.0, height=0.7, color="#eef1f3")
        colours = [LINE if constant["determined"] else FAINT for constant in constants]
        left.hlines(heights, np.subtract(moved, width), np.add(moved, width), colors=colours, linewidth=2.5)
        left.scatter(moved, heights, c=colours, s=14, zorder=3)
        left.set_yticks(heights, [constant["name"] for constant in constants], fontsize=7)
        left.set_xlabel("deviation from the prior, in its standard deviations (grey: ±1 of the prior)")
        left.set_title("Constants (blue: determined by the table)")
        for number, kind in enumerate(kinds):
            selected = [row for row in rows if row["quantity"] == kind]
            spread = np.linspace(-0.32, 0.32, len(selected)) if len(selected) > 1 else np.zeros(1)
            for offset, row in zip(spread, selected, strict=True):
                bad = row["row"] in out
                right.plot(
                    np.clip(row["sigmas"], -6, 6), number + offset, "x" if bad else "o", ms=5 if bad else 3,
                    color="#d55e00" if bad else LINE,
                )  # fmt: skip
        right.axvspan(-2, 2, color="#eef1f3", zorder=0)
        right.axvline(0.0, color=INK, linewidth=0.6)
        right.set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds])
        right.invert_yaxis()
        right.set_xlim(-6.5, 6.5)
        right.set_xlabel("row less what the other rows say, in standard deviations")
        right.set_title("Rows (orange: left out)")
        buffer = io.BytesIO()
        figure.savefig(buffer, format=form, dpi=110, metadata={"Date": None} if form == "svg" else {"Software": None})
    return buffer.getvalue()
