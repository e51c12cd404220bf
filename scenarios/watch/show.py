"""Terminal summary of a watch."""

from typing import Any

from rich.console import Console
from rich.text import Text

from scenarios.watch.text import BAD, STYLES, clock, event_words, headed, safe
from twin.units import shown, value_text


def print_watched(result: dict[str, Any], console: Console | None = None) -> None:
    """Print the summary of a watch to stdout. ``result``: as under ``--json``."""
    console = console or Console(highlight=False)
    minutes = (result["end_ns"] - result["start_ns"]) / 60e9
    console.print(
        f"[bold]{safe(result['title'])}[/], table {safe(result['table'])}: {result['readings']} readings in {minutes:.3g} min"
    )
    rows = headed("quantity", ">value")
    entries = result["quantities"] or result["entries"]
    for name, item in entries.items():
        rows.add_row(safe(name), shown(item["mean"], item["std"], item["unit"]))
    console.print(rows)
    sensors = [item for item in result["sensors"] if item["kind"] not in ("echo", "not modelled")]
    received = [item for item in sensors if item["last"] is not None]
    rows = headed("sensor", "verdict", ">last", ">used", ">off", ">late")
    for item in received:
        counts = item["counts"]
        off = counts["outlier"] + counts["stuck"] + counts["not_a_number"] + counts["invalid"]
        verdict = Text(item["verdict"], style=STYLES.get(item["verdict"], BAD))
        late = counts["late"] + counts["future"]
        last = value_text(item["last"], item["unit"] or "1")
        rows.add_row(safe(item["channel"]), verdict, last, str(counts["used"]), str(off or ""), str(late or ""))
    console.print()
    console.print(rows)
    others = len(result["sensors"]) - len(sensors) - len(result["not_modelled"])
    if len(received) < len(sensors):
        silent = ", ".join(item["channel"] for item in sensors if item["last"] is None)
        console.print(f"[dim]never received: {safe(silent)}[/]")
    if others:
        console.print(f"[dim]{others} channels are echoes, which do not measure the column[/]")
    if result["not_modelled"]:
        names = ", ".join(result["not_modelled"][:6]) + (", ..." if len(result["not_modelled"]) > 6 else "")
        console.print(f"[dim]{len(result['not_modelled'])} channels are not modelled by this table: {safe(names)}[/]")
    known = {name: item for name, item in result["clocks"].items() if item}
    for name, item in known.items():
        console.print(f"clock {safe(name)}: {shown(item['offset'], item['std'], 'second')}")
    for item in result["events"]:
        console.print(f"[yellow]{clock(item['time_ns'])}[/] {safe(event_words(item))}")
    worst = result["monitors"]["distrust"]
    if worst:
        console.print(
            f"[{BAD}]model distrusted[/]: {safe(worst['part'])}, mean square of innovations {worst['ratio']:.3g} (1 if the model held)"
        )
    else:
        console.print("[bright_blue]model trusted[/]")
    console.print(f"figure: {result['figure']}", soft_wrap=True, markup=False)
