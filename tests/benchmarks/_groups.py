"""Groups of trials, each in a process of its own, whose rows are kept in a folder so that an interrupted run goes on."""

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Group = tuple[Any, ...]
"""What a function of a group takes; its words name the group's file."""


def run_groups(
    function: Callable[..., list[Row]],
    groups: Sequence[Group],
    progress: Callable[..., None],
    jobs: int | None,
    work: Path | None,
) -> list[Row]:
    """The rows of ``function(*group)`` of all ``groups``, in no order; those that ``work`` has are read."""
    rows: list[Row] = []
    missing: list[Group] = []
    for group in groups:
        file = _file(work, group)
        if file is not None and file.is_file():
            rows += [json.loads(line) for line in file.read_text().splitlines()]
        else:
            missing.append(group)
    start = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs or min(2, len(os.sched_getaffinity(0))), context, initializer=_double) as pool:
        running = {pool.submit(function, *group): group for group in missing}
        for number, future in enumerate(as_completed(running), 1):
            rows += future.result()
            file = _file(work, running[future])
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.with_suffix(".part").write_text("".join(json.dumps(row) + "\n" for row in future.result()))
                file.with_suffix(".part").replace(file)
            left = (time.monotonic() - start) / number * (len(running) - number)
            words = " ".join(str(word) for word in running[future])
            progress(f"{words}, about {left:.0f} s left", number / len(running))
    return rows


def _double() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)


def _file(work: Path | None, group: Group) -> Path | None:
    return None if work is None else work / f"{'-'.join(str(word).lower() for word in group)}.jsonl"
