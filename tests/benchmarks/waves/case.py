"""One case of the wave engine in a process of its own, ours or abTEM's: ``python -m tests.benchmarks.waves.case CASE SIDE RESULT [--short]``.

Prints JSON: seconds (best of the repeats), the first call's, those of them that do not grow with the number of images, the largest resident
memory above what it was before, and which settings were best; the result itself goes to RESULT (.npz), for the accuracy. Both sides get the same potentials.
"""

import argparse
import functools
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks._form import Form
from tests.benchmarks.waves import abtem, ours
from tests.benchmarks.waves.cases import SEEDS, SIZES, Runs, seeds

CASES: dict[str, dict[str, Callable[[Form], Runs]]] = {
    "probes": {"ours": ours.probes, "abtem": abtem.probes},
    "exit": {"ours": ours.exit, "abtem": abtem.exit},
    "crystal": {"ours": ours.image, "abtem": abtem.image, "exact": ours.image_exact},
    "phonons": {
        "ours": lambda short: ours.image(short, seeds(short)),
        "abtem": lambda short: abtem.image(short, seeds(short)),
        "exact": lambda short: ours.image_exact(short, seeds(short)),
    },
    "series": {"ours": ours.series, "abtem": abtem.series},
    "phonon-series": {
        "ours": lambda short: ours.series(short, SEEDS[:1]),
        "abtem": lambda short: abtem.series(short, SEEDS[:1]),
    },
    "gradient": {"ours": ours.gradient, "forward": ours.forward},
    "ronchigram": {"ours": ours.ronchigram},
    "potentials": {"ours": ours.potentials, "abtem": abtem.potentials, "exact": ours.potentials_exact},
    "growth": {quantity: functools.partial(ours.growth, quantity) for quantity in SIZES},
}


def _memory(kind: str) -> float:
    """VmRSS (now) or VmHWM (the most so far) in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(kind))


def main() -> None:
    """Run one side of one case, with every setting, and print the best."""
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=CASES)
    parser.add_argument("side")
    parser.add_argument("result", type=Path)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", default="", help="only settings whose name has this in it")
    arguments = parser.parse_args()
    import jax

    jax.config.update("jax_enable_x64", True)
    form = Form.SHORT if arguments.short else Form.WHOLE
    best, value = measured(arguments.case, arguments.side, form, arguments.repeats, arguments.only)
    np.savez(arguments.result, value=value)
    print(json.dumps(best))


def measured(case: str, side: str, form: Form, repeats: int, only: str) -> tuple[dict[str, Any], np.ndarray]:
    """Report of the fastest of the settings whose name contains ``only``, and its value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _measured(CASES[case][side](form), repeats, only)


def _measured(runs: Runs, repeats: int, only: str) -> tuple[dict[str, Any], np.ndarray]:
    best: dict[str, Any] = {"seconds": float("inf")}
    best_value = np.zeros(0)
    for label, run in runs.items():
        if only not in label:
            continue
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
        memory_before, start = _memory("VmRSS"), time.perf_counter()
        value = run()
        first = time.perf_counter() - start
        seconds = first if repeats < 2 else float("inf")
        for _ in range(repeats - 1):
            start = time.perf_counter()
            value = run()
            seconds = min(seconds, time.perf_counter() - start)
        if seconds < best["seconds"]:
            best = {
                "seconds": seconds,
                "first": first,
                "fixed": getattr(run, "fixed", 0.0),
                "settings": getattr(run, "form", label),
                "peak_mib": _memory("VmHWM") - memory_before,
            }
            best_value = value
    return best, best_value


if __name__ == "__main__":
    main()
