"""What benchmarks print: progress, tables of cases, and the machine."""

import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks._case import Case
from tests.benchmarks._form import Form


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = models[0] if models else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory, 1),
        "python": platform.python_version(),
        **{name: version(name) for name in ("jax", "numpy", "abtem")},
    }


def progress(text: str, fraction: float | None = None) -> None:
    """Shown on stderr with the time of day; ``fraction`` of all that is done."""
    percent = "" if fraction is None else f" {100 * fraction:3.0f} %"
    print(f"[{time.strftime('%H:%M:%S')}]{percent} {text}", file=sys.stderr, flush=True)


def _plain(value: Any) -> Any:
    """A JSON value out of a numpy scalar or array; what is not finite becomes None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    return value


def plain_rows(rows: list[Case], form: Form) -> list[Case]:
    """``rows`` as JSON values; in the smoke form none holds or fails its bar."""
    plain = [{key: _plain(value) for key, value in row.items()} for row in rows]
    return [{**row, "holds": None} for row in plain] if form is Form.SMOKE else plain


def print_table(result: dict[str, Any]) -> None:
    """A table of ``result["cases"]``, and the machine below it."""
    table = Table("case", "value", "unit", "bar", "holds", title=result["name"], box=None, title_justify="left")
    for case in result["cases"]:
        holds = {True: "[green]yes[/]", False: "[red]NO[/]", None: "-"}[case["holds"]]
        value = case["value"]
        table.add_row(
            case["case"],
            f"{value:.4g}" if isinstance(value, float) else str(value),
            case["unit"],
            str(case["bar"] or ""),
            holds,
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(", ".join(f"{name} {value}" for name, value in result["machine"].items()), style="dim")
