"""Two scans of Ronchigrams over an amorphous film, spoiled, for the benchmark of spoiled recordings.

The truth is full multislice of random atoms (`tests.synthetic.film_scans`); scan, camera and counts are made here by plain NumPy.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tests.benchmarks.spoiled.sample import Sample
from tests.synthetic import film_scans
from tests.synthetic.film_scans import CAMERA, CARBON, ENERGY, PIXEL, SEMIANGLE, Matter

PRINCIPAL = {"C10": None, "C12.a": None, "C12.b": None}
POINTS, STEP = 30, 0.8
CHANGES = (-100.0, 100.0)
ELECTRONS = 2e4
"""On a probe."""
HOT = 65535.0

SPOILINGS = {
    "hot pixels": "2, 6 or 20 pixels of the camera that always read 65535",
    "noisy pixels": "2, 5 or 12 pixels of the camera with three times the counting noise",
    "dead columns": "1, 2 or 3 columns of the camera without counts",
    "dead block": "a block of the camera, up to a quarter of the disk, without counts",
    "beam stop": "a finger of 1, 2 or 3 pixels from the rim to the middle that lets 1 % pass",
    "cosmic rays": "50, 300 or 2000 readings with 3000 electrons more",
    "dead lines": "1, 2 or 4 lines of the scan without beam",
    "few electrons": "30, 300 or 3000 times fewer electrons",
    "gain unknown": "2, 5 or 20 counts for an electron where 1 is stated",
    "gain step": "half of the camera with a gain of 1.1, 1.3 or 2",
    "drift": "the scan drifts by 0.4, 1.2 or 3 angstrom from first line to last",
    "line jitter": "lines of the scan displaced by 0.1, 0.25 or 0.5 angstrom rms",
    "descan": "the disk moves by 0.3, 1 or 2 pixels from one side of the scan to the other",
    "crystalline part": "a particle of gold, 3, 5 or 8 angstrom in radius",
    "vacuum in a part": "20, 40 or 60 % of the film are missing",
    "thick film": "carbon of 15 nm, germanium of 10 nm, or gold of 6 nm",
    "phase plate": "the inner half of the aperture shifts the phase by 0.4, 0.8 or 1.6 radian",
    "rotated scan": "the scan is rotated by 2, 6 or 15 degrees against the camera",
    "emission noise": "the beam current differs by 0.5, 2 or 5 % rms from line to line",
}
WRONG = {
    "energy 20 % high": "300 keV would be 240",
    "energy 20 % low": "",
    "semi-angle 15 % high": "",
    "semi-angle 15 % low": "",
    "step 15 % high": "",
    "step 15 % low": "",
    "pixel 15 % high": "",
    "pixel 15 % low": "",
    "scan rotated by 30 degrees": "",
    "scan mirrored": "its rows run against the camera's",
    "C10 changes of the other sign": "",
}
ERRORS_BEFORE = {"C10": 1.926, "C12.a": 0.909, "C12.b": 0.948}
STATED = {
    "energy": ENERGY,
    "semiangle": SEMIANGLE,
    "step": STEP,
    "pixel": PIXEL,
    "gain": 1.0,
    "changes": CHANGES,
}


def coefficients(seed: int) -> np.ndarray:
    """True coefficients [12] of a seed in angstrom."""
    generator = np.random.default_rng([31, seed])
    values = generator.normal(size=12) * [0, 25, 25, 250, 250, 150, 150, 5e3, 2e3, 2e3, 2e3, 2e3]
    values[0] = generator.uniform(-100.0, 100.0)
    return values


@functools.lru_cache(maxsize=2)
def _places(kind: str, amount: float, seed: int) -> np.ndarray:
    """Probe positions [n, n, 2] of a scan that is moved as it should not be."""
    where = film_scans.positions(POINTS, STEP)
    generator = np.random.default_rng([32, seed])
    middle = 0.5 * film_scans.SIDE
    if kind == "rotated":
        c, s = np.cos(amount), np.sin(amount)
        where = (where - middle) @ np.array([[c, s], [-s, c]]) + middle
    elif kind == "mirrored":
        where = where[:, ::-1]
    elif kind == "drift":
        where = where + np.linspace(-0.5, 0.5, POINTS)[:, None, None] * amount * np.array([0.8, 0.6])
    elif kind == "jitter":
        where = where + amount * generator.normal(size=(POINTS, 1, 2))
    return where


def _means(
    seed: int,
    matter: Matter = CARBON,
    phase: float = 0.0,
    moved: tuple[str, float] = ("", 0.0),
) -> list[np.ndarray]:
    """Expected counts [y, x, ky, kx] of both scans."""
    means = []
    for change in CHANGES:
        actual = coefficients(seed)
        actual[0] += change
        scan = film_scans.true_scan(seed, matter, tuple(actual), (phase, 0.5 if phase else 0.0))
        means.append(ELECTRONS * film_scans.expected(scan, _places(*moved, seed)))
    return means


def _counted(means: list[np.ndarray], seed: int, dose: float = 1.0) -> list[np.ndarray]:
    return [
        np.random.default_rng([33, seed, number]).poisson(dose * mean).astype(np.float64)
        for number, mean in enumerate(means)
    ]


def _masked(data: list[np.ndarray], hidden: np.ndarray, value: float = 0.0) -> list[np.ndarray]:
    return [np.where(hidden, value, counts) for counts in data]


def _radius() -> np.ndarray:
    """Distance of camera pixels from the disk's middle, in pixels."""
    line = np.arange(CAMERA) - CAMERA // 2
    return np.hypot(*np.meshgrid(line, line))


def draw(seed: int, spoiling: str | None = None, strength: int = 0) -> Sample:
    """The two scans of a seed."""
    truth = dict(zip(PRINCIPAL, coefficients(seed)[:3].tolist(), strict=True))
    if spoiling in WRONG:
        data, known = _wrongly_stated(seed, spoiling)
        return Sample(data, truth, known)
    data, known, told = _spoiled(seed, spoiling, strength)
    return Sample(data, truth, known, told)


def _wrongly_stated(seed: int, wrong: str) -> tuple[list[np.ndarray], Mapping[str, Any]]:
    known: dict[str, Any] = dict(STATED)
    if wrong.startswith("scan"):
        moved = ("mirrored", 1.0) if wrong == "scan mirrored" else ("rotated", np.radians(30.0))
        return _counted(_means(seed, moved=moved), seed), known
    if wrong.startswith("C10"):
        known["changes"] = tuple(-change for change in CHANGES)
    else:
        name, share, _, way = wrong.split()
        off = float(share) / 100.0 * (1.0 if way == "high" else -1.0)
        known[name.replace("-", "")] *= 1.0 + off
    return _counted(_means(seed), seed), known


Spoiled = tuple[list[np.ndarray], Mapping[str, Any], tuple[list[np.ndarray], Mapping[str, Any]] | None]


def _spoiled(seed: int, spoiling: str | None, strength: int) -> Spoiled:
    """Data, what is stated of them, and data and statements of a fit that is told."""
    if spoiling is None:
        return _counted(_means(seed), seed), STATED, None
    if spoiling in _CAMERA:
        clean = _counted(_means(seed), seed)
        data, told = _CAMERA[spoiling](clean, np.random.default_rng([34, seed]), strength)
        return data, STATED, (data, STATED | told)
    if spoiling in ("drift", "line jitter", "rotated scan"):
        kind, amounts = {
            "drift": ("drift", (0.4, 1.2, 3.0)),
            "line jitter": ("jitter", (0.1, 0.25, 0.5)),
            "rotated scan": ("rotated", tuple(np.radians((2.0, 6.0, 15.0)))),
        }[spoiling]
        data = _counted(_means(seed, moved=(kind, amounts[strength])), seed)
        return data, STATED, (_counted(_means(seed), seed), STATED)
    if spoiling in _MATTER:
        return _counted(_means(seed, _MATTER[spoiling][strength]), seed), STATED, None
    if spoiling == "phase plate":
        return _counted(_means(seed, phase=(0.4, 0.8, 1.6)[strength]), seed), STATED, None
    if spoiling == "few electrons":
        return _counted(_means(seed), seed, (30.0, 300.0, 3000.0)[strength] ** -1), STATED, None
    clean = _counted(_means(seed), seed)
    return _SCAN[spoiling](seed, clean, strength), STATED, (clean, STATED)


def _hot_pixels(data: list[np.ndarray], generator: np.random.Generator, strength: int):
    hidden = np.zeros(CAMERA**2, bool)
    hidden[generator.choice(CAMERA**2, (2, 6, 20)[strength], replace=False)] = True
    hidden = hidden.reshape(CAMERA, CAMERA)
    return _masked(data, hidden, HOT), {"mask": hidden}


def _noisy_pixels(data: list[np.ndarray], generator: np.random.Generator, strength: int):
    lit = np.flatnonzero(_radius().ravel() < 0.9 * SEMIANGLE / PIXEL)
    hidden = np.zeros(CAMERA**2, bool)
    hidden[generator.choice(lit, (2, 5, 12)[strength], replace=False)] = True
    hidden = hidden.reshape(CAMERA, CAMERA)
    noise = [np.rint(np.sqrt(8.0 * counts) * generator.normal(size=counts.shape)) * hidden for counts in data]
    return [counts + extra for counts, extra in zip(data, noise, strict=True)], {"mask": hidden}


def _dead_columns(data: list[np.ndarray], generator: np.random.Generator, strength: int):
    hidden = np.zeros((CAMERA, CAMERA), bool)
    middle = CAMERA // 2
    hidden[:, generator.choice(np.arange(middle - 6, middle + 7), strength + 1, replace=False)] = True
    return _masked(data, hidden), {"mask": hidden}


def _dead_block(data: list[np.ndarray], generator: np.random.Generator, strength: int):
    hidden = np.zeros((CAMERA, CAMERA), bool)
    start = CAMERA // 2 + (3, 2, 0)[strength]
    hidden[start:, start:] = True
    return _masked(data, hidden), {"mask": hidden}


def _beam_stop(data: list[np.ndarray], generator: np.random.Generator, strength: int):
    hidden = np.zeros((CAMERA, CAMERA), bool)
    hidden[: CAMERA // 2, CAMERA // 2 : CAMERA // 2 + strength + 1] = True
    return [np.where(hidden, generator.binomial(counts.astype(int), 0.01), counts) for counts in data], {"mask": hidden}


def _gain_unknown(data: list[np.ndarray], generator: np.random.Generator, strength: int):
    gain = (2.0, 5.0, 20.0)[strength]
    return [counts * gain for counts in data], {"gain": gain}


def _gain_step(data: list[np.ndarray], generator: np.random.Generator, strength: int):
    flat = np.ones((CAMERA, CAMERA))
    flat[:, CAMERA // 2 :] = (1.1, 1.3, 2.0)[strength]
    return [counts * flat for counts in data], {"flat": flat}


_CAMERA: dict[str, Callable[..., tuple[list[np.ndarray], dict[str, Any]]]] = {
    "hot pixels": _hot_pixels,
    "noisy pixels": _noisy_pixels,
    "dead columns": _dead_columns,
    "dead block": _dead_block,
    "beam stop": _beam_stop,
    "gain unknown": _gain_unknown,
    "gain step": _gain_step,
}
_MATTER = {
    "crystalline part": [Matter(crystal=radius) for radius in (3.0, 5.0, 8.0)],
    "vacuum in a part": [Matter(empty=share) for share in (0.2, 0.4, 0.6)],
    "thick film": [
        Matter(thickness=150.0),
        Matter("Ge", 0.044, 2.2, 100.0),
        Matter("Au", 0.055, 2.3, 60.0),
    ],
}


def _cosmic_rays(seed: int, data: list[np.ndarray], strength: int) -> list[np.ndarray]:
    generator = np.random.default_rng([35, seed])
    spoiled = [counts.copy() for counts in data]
    for counts in spoiled:
        counts.ravel()[generator.choice(counts.size, (50, 300, 2000)[strength], replace=False)] += 3000.0
    return spoiled


def _dead_lines(seed: int, data: list[np.ndarray], strength: int) -> list[np.ndarray]:
    generator = np.random.default_rng([36, seed])
    spoiled = [counts.copy() for counts in data]
    for counts in spoiled:
        counts[generator.choice(POINTS, (1, 2, 4)[strength], replace=False)] = 0.0
    return spoiled


def _descan(seed: int, data: list[np.ndarray], strength: int) -> list[np.ndarray]:
    """Expected patterns moved along the camera's x with the scan's x and y, by Fourier shifts, and counted again."""
    full = (0.3, 1.0, 2.0)[strength]
    line = np.linspace(-0.5, 0.5, POINTS)
    shift = full * np.stack([np.add.outer(0.3 * line, line), np.add.outer(line, -0.2 * line)])
    moved = []
    for mean in _means(seed):
        low = np.floor(shift).astype(int)
        result = np.zeros_like(mean)
        for row in range(POINTS):
            for column in range(POINTS):
                (x, y), (dx, dy) = low[:, row, column], (shift - low)[:, row, column]
                pattern = mean[row, column]
                for i, j, share in ((0, 0, (1 - dx) * (1 - dy)), (0, 1, dx * (1 - dy)), (1, 0, (1 - dx) * dy), (1, 1, dx * dy)):  # fmt: skip
                    result[row, column] += share * np.roll(pattern, (y + i, x + j), axis=(0, 1))
        moved.append(result)
    return _counted(moved, seed)


def _emission_noise(seed: int, data: list[np.ndarray], strength: int) -> list[np.ndarray]:
    generator = np.random.default_rng([37, seed])
    factors = 1.0 + (0.005, 0.02, 0.05)[strength] * generator.normal(size=(2, POINTS))
    means = [mean * factor[:, None, None, None] for mean, factor in zip(_means(seed), factors, strict=True)]
    return _counted(means, seed)


_SCAN: dict[str, Callable[[int, list[np.ndarray], int], list[np.ndarray]]] = {
    "cosmic rays": _cosmic_rays,
    "dead lines": _dead_lines,
    "descan": _descan,
    "emission noise": _emission_noise,
}
