"""What ``emtwin plan`` prints for people."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from scenarios.plan.planned import Planned
from scenarios.plan.report.advice import advice_text
from scenarios.plan.report.words import changed_text, dominant, dose_text, needed_for, time_text, verdict_of


def print_planned(planned: Planned, page: Path | None = None, console: Console | None = None) -> None:
    """The verdict and the options, on stdout."""
    console = console or Console(highlight=False)
    console.print(verdict_of(planned), markup=False, style="bold")
    if needed := needed_for(planned):
        console.print(needed, markup=False)
    table = Table(box=None, pad_edge=False)
    for name in ("option", f"dose for {planned.merit.text}", "time", "data", "of the limit", "why"):
        table.add_column(name, no_wrap=name != "why", justify="left" if name in ("option", "why") else "right")
    for each in planned.options:
        data = f"{each.costs.megabytes:.3g} MB" if each.costs.megabytes == each.costs.megabytes else "–"
        table.add_row(
            each.name, dose_text(each.assessment.dose), time_text(each.costs.seconds), data, f"{100 * each.assessment.efficiency:.2g} %",
            "; ".join(each.obstacles) or dominant(each) or "feasible",
        )  # fmt: skip
    console.print(table, markup=False)
    for advice in planned.searched.advices if planned.searched else ():
        console.print(advice_text(advice), markup=False)
    for changed in planned.changed:
        console.print(f"{changed.option} {changed_text(changed, planned.merit)}", markup=False)
    if page is not None:
        console.print(f"page    {page}", markup=False)
