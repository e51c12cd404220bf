"""Benchmark of measurements on spoiled images: how often one is sure and wrong, and how often it still has the answer.

Every kind of measurement, at least twelve spoilings of three strengths each, ten seeds; clean recordings, four times as many and those that version 0.1 was
run on; and clean ones of which something is stated wrongly. `tests.benchmarks.spoiled.sample` says what a kind gives. The limits of the checks were set on
seeds below `FIRST`, which is why the numbers are of others.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from reconstruct.api.measure import KindName
from tests.benchmarks._case import Case
from tests.benchmarks._form import Form
from tests.benchmarks._groups import Row, run_groups
from tests.benchmarks.spoiled.sample import CLEAN_BEFORE, FIRST
from tests.benchmarks.spoiled.score import score
from tests.benchmarks.spoiled.trial import KINDS, STRENGTHS, module_of, run_trial


def trials(kind: str, form: Form) -> Iterator[tuple[str | None, int]]:
    """Spoilings and strengths of a kind: none first, then every spoiling, then what is stated wrongly; reduced forms take one strength, the smoke form two
    spoilings."""
    module = module_of(kind)
    yield None, 0
    spoilings = list(module.SPOILINGS)[: 2 if form is Form.SMOKE else None]
    for spoiling in spoilings:
        for strength in STRENGTHS if form is Form.WHOLE else (1,):
            yield spoiling, strength
    for wrong in module.WRONG if form is not Form.SMOKE else ():
        yield wrong, 1


def run_group(kind: KindName, seed: int, form: str) -> list[Row]:
    """All trials of a kind's seed."""
    return [run_trial(kind, seed, spoiling, strength) for spoiling, strength in trials(kind, Form[form])]


def run_clean(kind: KindName, first: int, last: int) -> list[Row]:
    """Clean recordings of the seeds ``first`` to ``last`` (excluded)."""
    return [run_trial(kind, seed, None, 0) for seed in range(first, last)]


def _run(kind: KindName, *group: Any) -> list[Row]:
    return run_group(kind, *group) if isinstance(group[1], str) else run_clean(kind, *group)


def cases(
    short: Form,
    progress: Callable[..., None],
    seeds: int | None = None,
    first_seed: int = FIRST,
    jobs: int | None = None,
    work: Path | None = None,
    kinds: Sequence[KindName] = KINDS,
) -> list[Case]:
    """All numbers; ``work`` keeps the rows of every kind and seed that is finished, and a later run goes on from there."""
    count = seeds or (10, 3, 1)[short]
    last = first_seed + count
    groups: list[tuple[Any, ...]] = [(kind, seed, short.name) for seed in range(first_seed, last) for kind in kinds]
    if short is not Form.SMOKE:
        groups += [(kind, 0, CLEAN_BEFORE) for kind in kinds]
        groups += [(kind, last + block, last + block + count) for block in (0, count, 2 * count) for kind in kinds]
    return score(run_groups(_run, groups, progress, jobs, work), kinds)
