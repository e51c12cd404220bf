"""``python -m tests.benchmarks.column.thickness.learn [FOLDER]``: the model error of thickness and tilt, as one JSON line.

Maximum-likelihood `ModelError` parameters ``surface``, ``deep`` and ``lean`` for Gaussian errors of fits to the specimens of LEARNING_SEEDS, both crystals
together. FOLDER keeps abTEM's patterns.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from tests.benchmarks._output import progress
from tests.benchmarks.column.thickness import truth
from tests.benchmarks.column.thickness.bench import LEARNING_SEEDS, followed

COUNT = 20
"""Trials of 10 to 60 nm of each specimen."""
KEYS = ("surface", "deep", "lean")


def likeliest_model_error(pairs: list[tuple[Any, Any]], model_error: Any) -> dict[str, float]:
    """The likeliest errors for (trial, reading) ``pairs`` whose fits used ``model_error``."""
    thickness = np.array([reading.value("thickness") for _, reading in pairs])
    tilts = np.array([[reading.value(f"tilt.{axis}") for axis in "xy"] for _, reading in pairs])
    depth = thickness[:, 0]
    errors_made = np.column_stack(
        [depth - [trial.thickness for trial, _ in pairs], tilts[..., 0] - [trial.tilt for trial, _ in pairs]]
    )

    def model_variance(errors: np.ndarray) -> np.ndarray:
        faces, share, lean = errors
        return np.column_stack([faces**2 + (share * depth) ** 2, *2 * [(lean / depth) ** 2]])

    start = np.array([getattr(model_error, key) for key in KEYS])
    measurement_variance = np.column_stack([thickness[:, 1], tilts[..., 1]]) ** 2 - model_variance(start)

    def negative_log_likelihood(logs: np.ndarray) -> float:
        variance = measurement_variance + model_variance(np.exp(logs))
        return float(0.5 * (errors_made**2 / variance + np.log(variance)).sum())

    fit = minimize(
        negative_log_likelihood,
        np.log(start),
        method="Nelder-Mead",
        options={"maxiter": 4000, "xatol": 1e-5, "fatol": 1e-7},
    )
    if not fit.success:
        raise RuntimeError(f"no likeliest errors found: {fit.message}")
    return dict(zip(KEYS, np.exp(fit.x).tolist(), strict=True))


def main(folder: Path) -> None:
    """Make or load the patterns, fit them, print the parameters."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from reconstruct.measurement.pacbed.estimator import ModelError

    pairs = []
    for name in truth.CRYSTALS:
        results = followed(name, LEARNING_SEEDS, folder, COUNT, 0, progress=progress)
        pairs += list(zip(results["trials"], results["readings"], strict=True))
    print(json.dumps(likeliest_model_error(pairs, ModelError())))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as spare:
            main(Path(spare))
