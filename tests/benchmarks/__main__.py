"""``python -m tests.benchmarks NAME [--json] [--short | --smoke] [--seeds N] [--jobs N] [--work FOLDER]``: run a benchmark and print its numbers.

A benchmark is a folder beside this file whose module ``bench`` has ``cases(short, progress, ...) -> list of {"case", "value", "unit", "bar", "holds"}``;
``short`` is a `Form`, ``holds`` is None for what has no bar. ``progress(text, fraction=None)`` is shown on stderr. Exit code: 0 all bars hold, 1 some do not
or the benchmark broke, 2 no such benchmark. The smoke form judges no bar, so that 1 says that it broke; without NAME it runs every benchmark.
"""

import argparse
import importlib
import inspect
import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks._form import Form

FOLDER = Path(__file__).parent


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


def names() -> list[str]:
    """The benchmarks there are."""
    return sorted(path.parent.name for path in FOLDER.glob("*/bench.py"))


def _progress(text: str, fraction: float | None = None) -> None:
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


def _print_table(result: dict[str, Any]) -> None:
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


def _smoke_all() -> int:
    """The smoke form of every benchmark, each in a process of its own, two at a time; 0 if none broke."""

    def run(name: str) -> tuple[str, int, float]:
        start = time.monotonic()
        code = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks", name, "--smoke"], cwd=FOLDER.parents[1]
        ).returncode
        return name, code, time.monotonic() - start

    with ThreadPoolExecutor(min(2, len(os.sched_getaffinity(0)))) as pool:
        ended = list(pool.map(run, names()))
    for name, code, seconds in ended:
        print(f"{name}: {'runs' if code == 0 else f'BROKE, exit code {code}'}, {seconds:.0f} s", flush=True)
    return int(any(code for _, code, _ in ended))


def main(arguments: list[str]) -> int:
    """Run one benchmark; returns the exit code."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description="Run a benchmark and print its numbers.")
    parser.add_argument("name", nargs="?", help=f"one of: {', '.join(names())}; with --smoke, all of them if left out")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    reduced = parser.add_mutually_exclusive_group()
    reduced.add_argument("--short", action="store_true", help="a part of it, judged in minutes")
    reduced.add_argument(
        "--smoke", action="store_true", help="every part at its smallest, not judged: shows that it runs"
    )
    parser.add_argument("--seeds", type=int, help="how many seeds, where the benchmark has seeds")
    parser.add_argument("--jobs", type=int, help="how many processes at a time, where the benchmark has several")
    parser.add_argument("--work", type=Path, help="folder that keeps what is finished, where the benchmark can go on")
    parsed = parser.parse_args(arguments)
    if parsed.name is None and parsed.smoke:
        return _smoke_all()
    if parsed.name not in names():
        print(f"no benchmark is called {parsed.name!r}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    if any(number is not None and number < 1 for number in (parsed.seeds, parsed.jobs)):
        print("--seeds and --jobs take a whole number from 1 on", file=sys.stderr)
        return 2
    import jax

    jax.config.update("jax_enable_x64", True)
    cases = importlib.import_module(f"tests.benchmarks.{parsed.name}.bench").cases
    options = {name: value for name in ("seeds", "jobs", "work") if (value := getattr(parsed, name)) is not None}
    unknown = options.keys() - inspect.signature(cases).parameters.keys()
    if unknown:
        print(f"benchmark {parsed.name!r} has no --{', --'.join(sorted(unknown))}; leave it out", file=sys.stderr)
        return 2
    form = Form.SMOKE if parsed.smoke else Form.SHORT if parsed.short else Form.WHOLE
    case_rows = cases(short=form, progress=_progress, **options)
    plain = [{key: _plain(value) for key, value in case.items()} for case in case_rows]
    if form is Form.SMOKE:
        plain = [{**case, "holds": None} for case in plain]
    result = {"name": parsed.name, "machine": machine(), "cases": plain}
    if parsed.json:
        print(json.dumps(result, allow_nan=False))
    else:
        _print_table(result)
    return 1 if any(case["holds"] is False for case in plain) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
