"""``python -m tests.benchmarks.column.part NAME [--short | --smoke]``: one part of the benchmark `column`; its cases as one JSON line."""

import importlib
import inspect
import json
import sys

import jax

from tests.benchmarks._form import Form
from tests.benchmarks._output import plain_rows, progress

if __name__ == "__main__":
    name = sys.argv[1]
    form = next((candidate for candidate in Form if f"--{candidate.name.lower()}" in sys.argv[2:]), Form.WHOLE)
    jax.config.update("jax_enable_x64", True)
    cases = importlib.import_module(f"tests.benchmarks.column.{name}").cases
    options = {"jobs": 1} if "jobs" in inspect.signature(cases).parameters else {}

    def named(text: str, fraction: float | None = None) -> None:
        """Progress with the part's name."""
        progress(f"{name}: {text}", fraction)

    print(json.dumps(plain_rows(cases(short=form, progress=named, **options), form), allow_nan=False))
