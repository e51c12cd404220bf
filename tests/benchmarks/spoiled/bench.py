"""Benchmark of measurements on spoiled images: how often one is sure and wrong, and how often it still has the answer.

Every kind of measurement, at least twelve spoilings of three strengths each, ten seeds; clean recordings of the same seeds; and clean ones of which something
is stated wrongly. `tests.benchmarks.spoiled.sample` says what a kind gives.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from reconstruct.api.measure import KindName
from tests.benchmarks._case import Case
from tests.benchmarks._form import Form
from tests.benchmarks._groups import Row, run_groups
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


def cases(
    short: Form,
    progress: Callable[..., None],
    seeds: int | None = None,
    jobs: int | None = None,
    work: Path | None = None,
    kinds: Sequence[KindName] = KINDS,
) -> list[Case]:
    """All numbers; ``work`` keeps the rows of every kind and seed that is finished, and a later run goes on from there."""
    count = seeds or (10, 3, 1)[short]
    groups = [(kind, seed, short.name) for seed in range(count) for kind in kinds]
    return score(run_groups(run_group, groups, progress, jobs, work), kinds)
