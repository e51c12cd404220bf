"""Benchmark of round trips: every signal of `twin.simulate` into every measurement that takes it, with settings that no test uses.

90 % intervals must hold in 0.87 to 0.93 of all, and of each quantity within the sampling error.
"""

import importlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from reconstruct.api.measure import KindName
from tests.benchmarks._case import Case, case
from tests.benchmarks._form import Form
from tests.benchmarks._groups import Row, run_groups
from tests.benchmarks.roundtrip.trip import Trip
from tests.benchmarks.spoiled.trial import KINDS, attempt

BLOCK, FIRST = 10, 100
"""Seeds of a group; the first seed (the code was written with those below it)."""


def run_group(kind: KindName, first: int, last: int) -> list[Row]:
    """Round trips of the seeds ``first`` to ``last`` (excluded)."""
    module, rows = importlib.import_module(f"tests.benchmarks.roundtrip.{kind}"), []
    for seed in range(first, last):
        trip: Trip = module.draw(seed)
        start = time.monotonic()
        row = attempt(kind, trip.data, trip.known, trip.truth, module.PRINCIPAL)
        rows.append({"kind": kind, "seed": seed, "seconds": time.monotonic() - start, **row})
    return rows


def cases(
    short: Form,
    progress: Callable[..., None],
    seeds: int | None = None,
    first_seed: int = FIRST,
    jobs: int | None = None,
    work: Path | None = None,
    kinds: Sequence[KindName] = KINDS,
) -> list[Case]:
    """Coverage of each kind and quantity, and of all; 60 seeds of each kind, 10 if short."""
    count = seeds or (60, 10, 1)[short]
    last = first_seed + count
    groups = [(kind, first, min(first + BLOCK, last)) for first in range(first_seed, last, BLOCK) for kind in kinds]
    rows = run_groups(run_group, groups, progress, jobs, work)
    result: list[Case] = []
    for kind in kinds:
        own = [row for row in rows if row["kind"] == kind]
        answered = [row for row in own if row["outcome"] in ("determined", "several readings")]
        result.append(case(f"{kind}: determined or several readings", len(answered) / len(own), "1", "", None))
        wrong = [row["seed"] for row in answered if row["outcome"] == "determined" and row["deviation"] > 4.0]
        result.append(case(f"{kind}: seeds that are sure and wrong", wrong, "", "none", not wrong))
        for name in dict.fromkeys(name for row in answered for name in row["covers"]):
            covers = [row["covers"][name] for row in answered if name in row["covers"]]
            result.append(_coverage(f"{kind}, {name}", covers, 0.0))
    result.append(_coverage("all", [value for row in rows for value in row["covers"].values()], 0.03))
    return result


def _coverage(label: str, covers: list[bool], margin: float) -> Case:
    """Coverage of 90 % intervals within ``margin``, or within three sampling errors where that is more."""
    share, error = float(np.mean(covers)), float(np.sqrt(0.09 / max(len(covers), 1)))
    allowed = max(margin, 3.0 * error) if margin == 0.0 else margin
    bar = f"{max(0.9 - allowed, 0.0):.2f} to {min(0.9 + allowed, 1.0):.2f}"
    return case(
        f"{label}: 90 % intervals that hold, of {len(covers)}", share, "1", bar, abs(share - 0.9) <= allowed + 1e-9
    )
