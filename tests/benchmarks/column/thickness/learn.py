"""``python -m tests.benchmarks.column.thickness.learn [FOLDER]``: what the twin's model gets wrong of thickness and tilt, as one JSON line.

The `ModelError` ``surface``, ``deep`` and ``lean`` that make the errors of fits to the specimens of LEARNT likeliest, both crystals together, errors taken as
Gaussian. FOLDER keeps abTEM's patterns.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from tests.benchmarks.__main__ import _progress
from tests.benchmarks.column.thickness import truth
from tests.benchmarks.column.thickness.bench import LEARNT, followed

COUNT = 20
"""Trials of 10 to 60 nm of each specimen."""
KEYS = ("surface", "deep", "lean")


def learnt(pairs: list[tuple[Any, Any]], used: Any) -> dict[str, float]:
    """The likeliest errors for (trial, reading) ``pairs`` whose fits added those of ``used``."""
    thickness = np.array([reading.value("thickness") for _, reading in pairs])
    tilts = np.array([[reading.value(f"tilt.{axis}") for axis in "xy"] for _, reading in pairs])
    deep = thickness[:, 0]
    off = np.column_stack([deep - [one.thickness for one, _ in pairs], tilts[..., 0] - [one.tilt for one, _ in pairs]])

    def beyond(errors: np.ndarray) -> np.ndarray:
        faces, share, lean = errors
        return np.column_stack([faces**2 + (share * deep) ** 2, *2 * [(lean / deep) ** 2]])

    before = np.array([getattr(used, key) for key in KEYS])
    told = np.column_stack([thickness[:, 1], tilts[..., 1]]) ** 2 - beyond(before)

    def surprise(logs: np.ndarray) -> float:
        variance = told + beyond(np.exp(logs))
        return float(0.5 * (off**2 / variance + np.log(variance)).sum())

    found = minimize(
        surprise, np.log(before), method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-5, "fatol": 1e-7}
    )
    if not found.success:
        raise RuntimeError(f"no likeliest errors found: {found.message}")
    return dict(zip(KEYS, np.exp(found.x).tolist(), strict=True))


def main(folder: Path) -> None:
    """Make or load the patterns, fit them, print what they say."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from reconstruct.measure.pacbed.estimator import ModelError

    pairs = []
    for name in truth.CRYSTALS:
        done = followed(name, LEARNT, folder, COUNT, 0, progress=_progress)
        pairs += list(zip(done["trials"], done["readings"], strict=True))
    print(json.dumps(learnt(pairs, ModelError())))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as spare:
            main(Path(spare))
