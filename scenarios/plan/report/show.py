"""What ``emtwin plan`` prints for people."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scenarios.plan.planned import Planned
from scenarios.plan.report.advice import advice_text
from scenarios.plan.report.words import changed_text, dominant, dose_text, needed_for, time_text, verdict_of


def print_planned(
    planned: Planned, page: Path | None = None, console: Console | None = None, past: Sequence[str] = ()
) -> None:
    """The verdict, the options, what stands in the way of each, and lines on the ``past``, on stdout."""
    console = console or Console(highlight=False)
    console.print(verdict_of(planned), markup=False, style="bold")
    if needed := needed_for(planned):
        console.print(needed, markup=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("option", overflow="fold")
    for name in ("dose", "time", "data", "of the limit"):
        table.add_column(name, no_wrap=True, justify="right")
    table.add_column("feasible", no_wrap=True)
    for each in planned.options:
        data = f"{each.costs.megabytes:.3g} MB" if each.costs.megabytes == each.costs.megabytes else "–"
        table.add_row(
            each.name, dose_text(each.assessment.dose), time_text(each.costs.seconds), data, f"{100 * each.assessment.efficiency:.2g} %",
            "yes" if each.feasible else "no",
        )  # fmt: skip
    console.print(f"For {planned.merit.text}:", markup=False)
    console.print(table, markup=False)
    for each in planned.options:
        if why := "; ".join(each.obstacles) or dominant(each):
            console.print(f"{each.name}: {why}", markup=False)
    for advice in planned.searched.advices if planned.searched else ():
        console.print(advice_text(advice), markup=False)
    for line in past:
        console.print(line, markup=False)
    for changed in planned.changed:
        console.print(f"{changed.option} {changed_text(changed, planned.merit)}", markup=False)
    if page is not None:
        console.print(f"page    {page}", markup=False)
