"""What ``emtwin simulate`` prints for people when it is done."""

from typing import Any

from rich.console import Console
from rich.table import Table

from twin.simulation.plan.spectrum_tables import EELS


def print_simulated(result: dict[str, Any], console: Console | None = None) -> None:
    """A simulation's result, on stdout."""
    console = console or Console(highlight=False)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row(
        "signal",
        f"{result['signal']}: {result['quantity']}" + (f", in {result['unit']}" if result["unit"] != "1" else ""),
    )
    table.add_row("axes", _axes(result["axes"]))
    if "patterns" in result:
        table.add_row("patterns", f"{_axes(result['patterns']['axes'])}, in {result['patterns']['unit']}")
    table.add_row("structure", result["structure"]["described"])
    if result["signal"] == EELS:
        _add_spectrum(table, result)
    else:
        _add_waves(table, result)
    for warning in result["warnings"]:
        table.add_row("warning", warning, style="bold")
    for note in result["notes"]:
        table.add_row("note", note)
    table.add_row("took", f"{result['seconds']:.1f} s")
    table.add_row("file", result["file"])
    table.add_row("picture", result["picture"])
    console.print(table, soft_wrap=True, markup=False)


def _axes(axes: list[dict[str, Any]]) -> str:
    return " x ".join(
        f"{axis['size']} {axis['name']}" + (f" ({axis['unit']})" if axis["unit"] else "") for axis in axes
    )


def _add_waves(table: Table, result: dict[str, Any]) -> None:
    cell = result["cell"]
    table.add_row("cell", cell["described"])
    repeats = " x ".join(str(count) for count in cell["repeats"])
    table.add_row("specimen", f"{repeats} of this cell, {result['thickness']:.2f} Å thick")
    if result["scan"] is not None:
        table.add_row("scan", result["scan"]["described"])
    table.add_row("computed as", result["form"])
    table.add_row("sampling", result["sampling"]["described"])
    table.add_row("beam lost", f"{100 * result['flux']['lost']:.3g} %")


def _add_spectrum(table: Table, result: dict[str, Any]) -> None:
    thick = "" if result["thickness"] is None else f"{result['thickness']:.4g} Å thick, "
    path = "" if result["mean_free_path"] is None else f" (mean free path {result['mean_free_path']:.4g} Å)"
    table.add_row("specimen", f"{thick}t/λ = {result['t_over_lambda']:.3g}{path}")
    if result["electrons"] is not None:
        table.add_row("electrons", f"{result['electrons']:.4g} for each spectrum")
    for edge in result["edges"]:
        counts = f"{edge['counts']:.4g} {result['unit']} in the range"
        table.add_row(edge["edge"], f"{edge['onset']:g} eV, {edge['areal_density']:.4g} atoms/Å², {counts}")
    table.add_row("computed as", result["form"])
