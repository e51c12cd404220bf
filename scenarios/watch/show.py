"""What a watch came to, for people."""

from typing import Any

from rich.console import Console
from rich.text import Text

from scenarios.watch.text import BAD, STYLES, clock, event_words, headed, safe
from twin.units import shown, value_text


def print_watched(follower_told: dict[str, Any], console: Console | None = None) -> None:
    """What a watch came to, for people, on stdout. ``follower_told``: as under ``--json``."""
    console = console or Console(highlight=False)
    told = follower_told
    minutes = (told["end_ns"] - told["start_ns"]) / 60e9
    console.print(
        f"[bold]{safe(told['title'])}[/], table {safe(told['table'])}: {told['readings']} readings in {minutes:.3g} min"
    )
    rows = headed("quantity", ">value")
    entries = told["quantities"] or told["entries"]
    for name, item in entries.items():
        rows.add_row(safe(name), shown(item["mean"], item["std"], item["unit"]))
    console.print(rows)
    sensors = [item for item in told["sensors"] if item["kind"] not in ("echo", "not modelled")]
    heard = [item for item in sensors if item["last"] is not None]
    rows = headed("sensor", "verdict", ">last", ">used", ">off", ">late")
    for item in heard:
        counts = item["counts"]
        off = counts["outlier"] + counts["stuck"] + counts["not_a_number"] + counts["invalid"]
        verdict = Text(item["verdict"], style=STYLES.get(item["verdict"], BAD))
        late = counts["late"] + counts["future"]
        last = value_text(item["last"], item["unit"] or "1")
        rows.add_row(safe(item["channel"]), verdict, last, str(counts["used"]), str(off or ""), str(late or ""))
    console.print()
    console.print(rows)
    others = len(told["sensors"]) - len(sensors) - len(told["not_modelled"])
    if len(heard) < len(sensors):
        silent = ", ".join(item["channel"] for item in sensors if item["last"] is None)
        console.print(f"[dim]never heard: {safe(silent)}[/]")
    if others:
        console.print(f"[dim]{others} channels are echoes: no evidence of the column[/]")
    if told["not_modelled"]:
        names = ", ".join(told["not_modelled"][:6]) + (", ..." if len(told["not_modelled"]) > 6 else "")
        console.print(f"[dim]{len(told['not_modelled'])} channels are not modelled by this table: {safe(names)}[/]")
    known = {name: item for name, item in told["clocks"].items() if item}
    for name, item in known.items():
        console.print(f"clock {safe(name)}: {shown(item['offset'], item['std'], 'second')}")
    for item in told["events"]:
        console.print(f"[yellow]{clock(item['time_ns'])}[/] {safe(event_words(item))}")
    worst = told["monitors"]["distrust"]
    if worst:
        console.print(
            f"[{BAD}]model distrusted[/]: {safe(worst['part'])}, mean square of innovations {worst['ratio']:.3g} (1 if the model held)"
        )
    else:
        console.print("[bright_blue]model trusted[/]")
    console.print(f"figure: {told['figure']}", soft_wrap=True, markup=False)
