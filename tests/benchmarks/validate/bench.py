"""Benchmark of `validate`: faults found and named, false alarms, power as predicted, suggested values, and real files."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks._case import Case
from tests.benchmarks._form import Form
from tests.benchmarks._groups import Row, run_groups
from tests.benchmarks.validate import folder, landing
from tests.benchmarks.validate.injected import CLASSES, SMALL, Class, Injected
from tests.benchmarks.validate.recordings.kinds import KINDS, MAKERS, make
from tests.benchmarks.validate.score import score
from tests.benchmarks.validate.trial import run

FIRST = 1000
"""The first seed that is judged: everything was set on others."""
CLEAN, FAULTY, WEAK = (300, 48, 8), (20, 6, 1), (60, 12, 2)
"""Clean recordings over all kinds, seeds of each class and kind, and seeds of small errors: of the whole, short and smoke form."""


def tasks(kind: str, seed: int, small: bool) -> Iterator[Class | None]:
    """What is injected into a recording: nothing, then every class of its kind."""
    yield None
    for fault in SMALL if small else CLASSES:
        if kind in fault.kinds:
            yield fault


def run_recording(kind: str, seed: int, what: str) -> list[Row]:
    """All trials of one recording: "clean", "faults" or "small"."""
    made = make(kind, seed)
    if what == "clean":
        return [run(made, kind, seed, None, None)]
    rows = []
    for fault in tasks(kind, seed, what == "small"):
        written = made.written or made.values
        if fault is not None and fault.applies(written):
            generator = np.random.default_rng([seed, zlib.crc32(fault.name.encode())])
            injected = fault.inject(written, generator)
            if fault.stale:
                injected = Injected(
                    {**made.values, **{name: float(made.before[name].value) for name in injected.fields}},
                    injected.fields,
                )
            rows.append(run(made, kind, seed, fault, injected))
    return rows


def cases(
    short: Form,
    progress: Callable[..., None],
    seeds: int | None = None,
    first_seed: int = FIRST,
    jobs: int | None = None,
    work: Path | None = None,
    kinds: Sequence[str] = KINDS,
) -> list[Case]:
    """All numbers; ``seeds``: of each class and kind."""
    count = seeds or FAULTY[short]
    drawn = [kind for kind in kinds if kind in MAKERS]
    clean = -(-CLEAN[short] // max(len(drawn), 1)) if seeds is None else seeds
    weak = WEAK[short] if seeds is None else seeds
    groups: list[tuple[Any, ...]] = [
        (kind, seed, "faults") for kind in kinds for seed in range(first_seed, first_seed + count)
    ]
    groups += [
        (kind, seed, "small")
        for kind in kinds
        if any(kind in fault.kinds for fault in SMALL)
        for seed in range(first_seed, first_seed + weak)
    ]
    groups += [(kind, seed, "clean") for kind in drawn for seed in range(first_seed + 1000, first_seed + 1000 + clean)]
    rows = score(run_groups(run_recording, groups, progress, jobs, work), drawn)
    if tuple(kinds) != KINDS:
        return rows
    progress("a folder of files")
    rows += folder.cases(short)
    progress("files that land")
    return [*rows, *landing.cases(short)]
