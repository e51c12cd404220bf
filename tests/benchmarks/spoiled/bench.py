"""Benchmark of measurements on spoiled images: how often one is sure and wrong, and how often it still has the answer.

Every kind of measurement, at least twelve spoilings of three strengths each, ten seeds; clean recordings of the same seeds; and clean ones of which something
is stated wrongly. `tests.benchmarks.spoiled.sample` says what a kind gives.
"""

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from reconstruct.api.measure import KindName
from tests.benchmarks._case import Case
from tests.benchmarks._form import Form
from tests.benchmarks.spoiled.score import score
from tests.benchmarks.spoiled.trial import KINDS, STRENGTHS, module_of, run_trial

Row = dict[str, Any]


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


def run_group(kind: KindName, seed: int, form: Form) -> list[Row]:
    """All trials of a kind's seed, in a process of their own."""
    import jax

    jax.config.update("jax_enable_x64", True)
    return [run_trial(kind, seed, spoiling, strength) for spoiling, strength in trials(kind, form)]


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
    rows: list[Row] = []
    missing: list[tuple[KindName, int]] = []
    for kind in kinds:
        for seed in range(count):
            file = _file(work, kind, seed, short)
            if file is not None and file.is_file():
                rows += [json.loads(line) for line in file.read_text().splitlines()]
            else:
                missing.append((kind, seed))
    start = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs or min(2, len(os.sched_getaffinity(0))), context) as pool:
        running = {pool.submit(run_group, kind, seed, short): (kind, seed) for kind, seed in missing}
        for number, future in enumerate(as_completed(running), 1):
            kind, seed = running[future]
            rows += future.result()
            file = _file(work, kind, seed, short)
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.with_suffix(".part").write_text("".join(json.dumps(row) + "\n" for row in future.result()))
                file.with_suffix(".part").replace(file)
            left = (time.monotonic() - start) / number * (len(running) - number)
            progress(f"{kind}, seed {seed}, about {left:.0f} s left", number / len(running))
    return score(rows, kinds)


def _file(work: Path | None, kind: str, seed: int, form: Form) -> Path | None:
    return None if work is None else work / f"{kind}-{seed}-{form.name.lower()}.jsonl"
