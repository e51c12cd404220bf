"""Benchmark of `emtwin acquire QUESTION`: a module beside this one for each part, with ``cases(short, progress, seeds)``; ``--kinds`` runs some of them."""

from collections.abc import Callable, Sequence

from tests.benchmarks._case import Case
from tests.benchmarks._form import Form
from tests.benchmarks._parts import cases_of

PARTS = ("measure", "detect", "map", "kills")


def cases(
    short: Form, progress: Callable[..., None], seeds: int | None = None, kinds: Sequence[str] = PARTS
) -> list[Case]:
    """The numbers of all parts, or of those that ``kinds`` names."""
    return cases_of(__package__ or "", PARTS, kinds, short, progress, seeds=seeds)
