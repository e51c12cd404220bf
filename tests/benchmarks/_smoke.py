"""The smoke form of all benchmarks: their parts in one queue, each in a process of its own, two at a time.

The processes are forked from one that has imported the large libraries: for a small part that takes longer than all the rest.
"""

import importlib
import inspect
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from instrument.readers.reader import close_reader
from tests.benchmarks._form import Form
from tests.benchmarks._output import machine, plain_rows, print_table, progress
from tests.benchmarks.acquire.runs import ONE_THREAD
from tests.benchmarks.column.bench import PARTS

LIBRARIES = (
    "jax",
    "jax.numpy",
    "equinox",
    "scipy.optimize",
    "scipy.stats",
    "abtem",
    "ase.build",
    "tests.benchmarks._output",
)
"""None of them starts a thread or a backend of JAX when it is imported: a process that has one must not be forked."""
LAST = ("column themis", "column lattice", "column", "replay", "column haadf", "column alignment")
"""The shortest parts. Sessions of `alignment` use what those of `acquire` compiled and found."""
FIRST = ("waves", "column aberrations")
LIMIT = 600.0
"""Seconds after which a part is killed, and counts as broken."""


def run_all(benchmarks: Sequence[str]) -> int:
    """Run every part of ``benchmarks``, print its table, and last how long each took; 0 if none broke, else 1."""
    # of `column`, whose parts are processes of their own in any form, the benchmark itself runs the last one only
    parts = [*benchmarks, *(f"column {part}" for part in PARTS[:-1])]
    parts.sort(key=lambda part: (part in LAST and 1 + LAST.index(part)) or -(part in FIRST))
    with tempfile.TemporaryDirectory(prefix="emtwin-compiled-") as folder:
        os.environ.update(ONE_THREAD)
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", folder)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([*LIBRARIES])

        def run(part: str) -> tuple[str, int | None, float]:
            start = time.monotonic()
            process = context.Process(target=_run, args=(part,))
            process.start()
            process.join(LIMIT)
            if process.exitcode is None:
                process.kill()
                process.join()
            return part, process.exitcode, time.monotonic() - start

        with ThreadPoolExecutor(min(2, len(os.sched_getaffinity(0)))) as pool:
            ended = list(pool.map(run, parts))
    for part, code, seconds in ended:
        print(f"{part}: {'runs' if code == 0 else f'BROKE, exit code {code}'}, {seconds:.0f} s", flush=True)
    return int(any(code for _, code, _ in ended))


def _run(part: str) -> None:
    """In its process: run a benchmark, or ``column`` and one of its parts, and print its cases."""
    import jax

    jax.config.update("jax_enable_x64", True)
    benchmark, _, of_column = part.partition(" ")
    cases = importlib.import_module(f"tests.benchmarks.{benchmark}.{of_column or 'bench'}").cases
    options: dict[str, Any] = {"jobs": 1} if "jobs" in inspect.signature(cases).parameters else {}
    if part == "column":
        options["parts"] = PARTS[-1:]

    def named(text: str, fraction: float | None = None) -> None:
        progress(f"{part}: {text}", fraction)

    try:
        rows = cases(short=Form.SMOKE, progress=named, **options)
    finally:
        close_reader()  # this process ends without `atexit`, but not before its children
    print_table({"name": part, "machine": machine(), "cases": plain_rows(rows, Form.SMOKE)})
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    named(f"done, {sum(usage.ru_utime + usage.ru_stime for usage in used):.0f} s of a core")
