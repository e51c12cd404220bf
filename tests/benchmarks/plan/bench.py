"""Benchmark of planning: a module beside this one for each part, with ``cases(short, progress)``; ``--kinds`` runs some of them."""

import importlib
from collections.abc import Callable, Sequence

from tests.benchmarks._case import Case
from tests.benchmarks._form import Form

PARTS = ("damage",)


def cases(short: Form, progress: Callable[..., None], kinds: Sequence[str] = PARTS) -> list[Case]:
    """The numbers of all parts, or of those that ``kinds`` names."""
    unknown = set(kinds) - set(PARTS)
    if unknown:
        raise ValueError(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    rows: list[Case] = []
    for part in kinds:
        progress(part)
        rows += importlib.import_module(f"tests.benchmarks.plan.{part}").cases(short, progress)
    return rows
