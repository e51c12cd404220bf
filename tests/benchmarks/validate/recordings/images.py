"""Scanned images of crystals with everything a STEM's file claims of them, drawn column by column."""

import numpy as np

from reconstruct.validation.data.options import CELL_ERROR, Known
from tests.benchmarks.spoiled.lattice import crystals
from tests.benchmarks.validate.recordings.made import Made
from tests.synthetic.lattices import columns_at, memory_path

PIXELS = 128


def image(seed: int, stretched: bool = False, pixels: int = PIXELS) -> Made:
    """An image of 9 to 16 periods of one of three crystals, with drift, wander and vibration; its cell is off the structure's by the error that is assumed.

    ``stretched``: the scan's x and y differ by 8 to 20 %, as after a correction of drift; ``pixels``: along each side."""
    generator = np.random.default_rng([seed, 51])
    crystal = crystals()[seed % 3]
    size = float(np.sqrt(abs(np.linalg.det(crystal.drawn.primitive().vectors))))
    n, periods = pixels, generator.uniform(9.0, 16.0)
    nominal = periods * size / n
    ratio = np.exp(generator.uniform(0.08, 0.2) * generator.choice([-1.0, 1.0])) if stretched else 1.0
    angle = generator.uniform(-np.pi, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = nominal * turn @ np.diag([np.sqrt(ratio), 1.0 / np.sqrt(ratio)])
    matrix = matrix + np.outer(0.003 * nominal * generator.standard_normal(2), [0.8 / n, 1.0])
    x, y = np.meshgrid(np.arange(n) - 0.5 * n, np.arange(n) - 0.5 * n)
    time = ((y + 0.5 * n) + (x + 0.5 * n) / n * 0.8).ravel()[::8]
    wander = memory_path(
        time, np.exp(generator.uniform(np.log(0.02), np.log(0.15))), n * generator.uniform(0.1, 1.5), generator
    )
    moved = wander.repeat(8, axis=0).reshape(n, n, 2)
    cell = 1.0 + CELL_ERROR * generator.standard_normal()
    signal = columns_at((np.stack([x, y], axis=-1) @ matrix.T + moved) / cell, crystal.drawn)
    counts = generator.poisson(np.exp(generator.uniform(np.log(10.0), np.log(150.0))) * signal).astype(np.float64)
    across = float(np.hypot(*matrix[:, 0]))
    down = float(abs(np.linalg.det(matrix))) / across
    dwell = float(generator.choice([4e-6, 1e-5, 2e-5]))
    line = n * dwell + 5e-4
    values = {
        "high_tension": float(generator.choice([80e3, 200e3, 300e3])), "pixel.x": across, "pixel.y": down, "field_of_view.x": n * across,
        "field_of_view.y": n * down, "dwell": dwell, "line_time": line, "frame_time": n * line, "convergence_semiangle": 0.021,
        "camera_length": 1.1e9, "magnification": 5e6, "C10": float(generator.normal(0.0, 50.0)), "stage.alpha": 0.02,
    }  # fmt: skip
    known = crystal.known
    return Made("image", counts, values, Known(known["structure"], known["zone"], known.get("x")))
