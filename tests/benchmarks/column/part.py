"""``python -m tests.benchmarks.column.part NAME [--short | --smoke]``: one part of the benchmark `column`; its cases as one JSON line."""

import importlib
import inspect
import json
import sys

import jax

from tests.benchmarks.__main__ import _plain, _progress
from tests.benchmarks._form import Form

if __name__ == "__main__":
    name = sys.argv[1]
    form = next((candidate for candidate in Form if f"--{candidate.name.lower()}" in sys.argv[2:]), Form.WHOLE)
    jax.config.update("jax_enable_x64", True)
    cases = importlib.import_module(f"tests.benchmarks.column.{name}").cases
    options = {"jobs": 1} if "jobs" in inspect.signature(cases).parameters else {}

    def progress(text: str, fraction: float | None = None) -> None:
        """On stderr, with the part's name."""
        _progress(f"{name}: {text}", fraction)

    rows = cases(short=form, progress=progress, **options)
    print(json.dumps([{key: _plain(value) for key, value in case.items()} for case in rows], allow_nan=False))
