"""``python -m tests.benchmarks NAME [--json] [--short | --smoke] [options]``: run a benchmark and print its numbers; ``--help`` lists the options.

A benchmark is a folder beside this file whose module ``bench`` has ``cases(short, progress, ...) -> list of {"case", "value", "unit", "bar", "holds"}``;
``short`` is a `Form`, ``holds`` is None for what has no bar. ``progress(text, fraction=None)`` is shown on stderr. Exit code: 0 all bars hold, 1 some do not
or the benchmark broke, 2 no such benchmark. The smoke form judges no bar, so that 1 says that it broke; without NAME it runs every benchmark.
"""

import argparse
import importlib
import inspect
import json
import sys
from pathlib import Path

from tests.benchmarks._form import Form
from tests.benchmarks._output import machine, plain_rows, print_table, progress

FOLDER = Path(__file__).parent
OPTIONS = ("seeds", "first_seed", "kinds", "jobs", "work")
"""Options that only some benchmarks have."""


def names() -> list[str]:
    """The benchmarks there are."""
    return sorted(path.parent.name for path in FOLDER.glob("*/bench.py"))


def _words(text: str) -> list[str]:
    return text.split(",")


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
    parser.add_argument("--first-seed", type=int, help="the first of the seeds, where another set may be asked for")
    parser.add_argument("--kinds", type=_words, help="some kinds of measurement, with commas, where there are several")
    parser.add_argument("--jobs", type=int, help="how many processes at a time, where the benchmark has several")
    parser.add_argument("--work", type=Path, help="folder that keeps what is finished, where the benchmark can go on")
    parsed = parser.parse_args(arguments)
    if parsed.name is None and parsed.smoke:
        from tests.benchmarks._smoke import run_all

        return run_all(names())
    if parsed.name not in names():
        print(f"no benchmark is called {parsed.name!r}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    if any(number is not None and number < 1 for number in (parsed.seeds, parsed.jobs)):
        print("--seeds and --jobs take a whole number from 1 on", file=sys.stderr)
        return 2
    import jax

    jax.config.update("jax_enable_x64", True)
    cases = importlib.import_module(f"tests.benchmarks.{parsed.name}.bench").cases
    options = {name: value for name in OPTIONS if (value := getattr(parsed, name)) is not None}
    unknown = options.keys() - inspect.signature(cases).parameters.keys()
    if unknown:
        print(
            f"benchmark {parsed.name!r} has no --{', --'.join(sorted(unknown)).replace('_', '-')}; leave it out",
            file=sys.stderr,
        )
        return 2
    form = Form.SMOKE if parsed.smoke else Form.SHORT if parsed.short else Form.WHOLE
    rows = plain_rows(cases(short=form, progress=progress, **options), form)
    result = {"name": parsed.name, "machine": machine(), "cases": rows}
    if parsed.json:
        print(json.dumps(result, allow_nan=False))
    else:
        print_table(result)
    return 1 if any(row["holds"] is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
