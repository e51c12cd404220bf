"""Benchmarks in parts: a module for each, with ``cases(short, progress)``, of which ``--kinds`` runs some."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from tests.benchmarks._case import Case
from tests.benchmarks._form import Form


def cases_of(
    package: str,
    parts: Sequence[str],
    kinds: Sequence[str],
    short: Form,
    progress: Callable[..., None],
    **options: Any,
) -> list[Case]:
    """The numbers of those ``parts`` of a ``package`` that ``kinds`` names, each asked with ``options``; ValueError for others."""
    unknown = set(kinds) - set(parts)
    if unknown:
        raise ValueError(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    rows: list[Case] = []
    for part in kinds:
        progress(part)
        rows += importlib.import_module(f"{package}.{part}").cases(short, progress, **options)
    return rows
