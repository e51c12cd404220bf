"""Scans of a phase object with a turned camera, spoiled: simulated by `tests.synthetic.scans4d`, plain NumPy that shares no code with the fit."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.ndimage import shift

from tests.benchmarks.spoiled.sample import Sample
from tests.synthetic.scans4d import Scanned, scanned
from twin.records import Axis, Signal
from twin.records.signals import Value

PRINCIPAL: dict[str, float | None] = {"rotation": 2.0 * np.pi}
SPOILINGS = {
    "hot camera pixels": "1, 5 or 20 pixels of the camera at 4000 counts",
    "noisy camera pixels": "1, 3 or 8 pixels of the camera that read anything up to 500 counts",
    "dead camera columns": "1, 3 or 6 columns of the camera without counts",
    "dead scan lines": "1, 3 or 6 lines of the scan without electrons",
    "cosmic rays": "2, 8 or 25 patterns with a spike of 500 counts",
    "dark level": "a level of 0.02, 0.1 or 0.5 counts a pixel that was not subtracted",
    "descan": "patterns that move by 1, 3 or 6 pixels across the scan",
    "curved descan": "patterns that move by 0.3, 1 or 2 pixels with the square of the place",
    "scan drift": "the specimen drifts by 0.05, 0.12 or 0.25 of a step in the time of a row",
    "stretched scan": "rows are 3, 8 or 15 % closer than columns",
    "line jitter": "rows are off by 0.1, 0.3 or 0.6 of a step rms",
    "vacuum": "a third, half or two thirds of the box without atoms",
    "thick specimen": "2, 3 or 5 layers, 4 nm apart",
    "few electrons": "150, 60 or 25 electrons a pattern",
    "unsteady beam": "the current of rows varies by 10, 30 or 60 % rms",
    "beam stop": "a bar of 2, 4 or 6 pixels from the camera's edge to its middle",
}
WRONG = {"claimed by the file": "a simulation that says that its camera is not turned"}
ERRORS_BEFORE = {"rotation": 0.0280}
KNOWN = {"gain": 1.0, "pixel": 1e-3, "dark_field": 0.0136}
"""The aperture ends at 12.8 pixels."""


@functools.lru_cache(maxsize=32)
def _scan(seed: int, spoiling: str | None, strength: int) -> Scanned:
    """The scan of a seed with what spoils it before the camera."""
    electrons = float(10.0 ** np.random.default_rng((seed, 4)).uniform(2.5, 4.0))
    direction = np.random.default_rng((seed, 5)).uniform(0.0, 2.0 * np.pi)
    more: dict[str, Any] = {}
    if spoiling == "scan drift":
        size = (0.05, 0.12, 0.25)[strength]
        more["drift"] = (size * np.cos(direction), size * np.sin(direction))
    elif spoiling == "stretched scan":
        more["drift"] = (0.0, -(0.03, 0.08, 0.15)[strength])
    elif spoiling == "line jitter":
        more["jitter"] = (0.1, 0.3, 0.6)[strength]
    elif spoiling == "vacuum":
        more["vacuum"] = (0.33, 0.5, 0.67)[strength]
    elif spoiling == "thick specimen":
        more["slices"] = (2, 3, 5)[strength]
    elif spoiling == "few electrons":
        electrons = (150.0, 60.0, 25.0)[strength]
    return scanned(seed, electrons, **more)


def draw(seed: int, spoiling: str | None = None, strength: int = 0) -> Sample:
    """The scan of a seed."""
    before = spoiling if spoiling in SPOILINGS and spoiling not in SPOILS else None
    scan = _scan(seed, before, strength if before else 0)
    truth = {"rotation": scan.rotation, "flip": float(scan.flip)}
    if spoiling in SPOILS:
        return SPOILS[spoiling](scan, strength, np.random.default_rng((seed, 6)), truth)
    if spoiling in WRONG:
        return Sample(_claiming(scan.patterns), truth, KNOWN)
    still = before in ("scan drift", "stretched scan", "line jitter", "thick specimen")
    told = _scan(seed, None, 0).patterns if still else scan.patterns
    return Sample(scan.patterns, truth, KNOWN, told=(told, KNOWN))


def _claiming(patterns: np.ndarray) -> Signal:
    """``patterns`` as emtwin's own simulation, whose camera is not turned."""
    axes = tuple(Axis(name, size, 1.0, 0.0, None) for name, size in zip("yxvu", patterns.shape, strict=True))
    raw: dict[str, Value] = {"emtwin.scenario.name": "turned", "unit": "electrons"}
    return Signal(patterns, axes, "image-stack", "scan", "", "zarr", raw=raw)


def _camera(change: Callable[[np.ndarray, int, np.random.Generator], Any]) -> Callable[..., Sample]:
    """A spoiling of the camera: ``change`` alters patterns in place and returns the index of camera pixels to leave out (None: none)."""

    def spoil(scan: Scanned, strength: int, generator: np.random.Generator, truth: dict[str, float]) -> Sample:
        spoiled, told = scan.patterns.copy(), scan.patterns.copy()
        left_out = change(spoiled, strength, generator)
        if left_out is not None:
            told[left_out] = np.nan
        return Sample(spoiled, truth, KNOWN, told=(told, KNOWN))

    return spoil


def _pixels(patterns: np.ndarray, count: int, generator: np.random.Generator) -> tuple[Any, ...]:
    index = generator.choice(patterns.shape[2] * patterns.shape[3], count, replace=False)
    return (slice(None), slice(None), *np.unravel_index(index, patterns.shape[2:]))


def _hot(patterns, strength, generator):
    index = _pixels(patterns, (1, 5, 20)[strength], generator)
    patterns[index] = 4000.0
    return index


def _noisy(patterns, strength, generator):
    index = _pixels(patterns, (1, 3, 8)[strength], generator)
    patterns[index] = generator.integers(0, 500, patterns[index].shape)
    return index


def _dead_columns(patterns, strength, generator):
    index = (..., generator.choice(np.arange(4, 28), (1, 3, 6)[strength], replace=False))
    patterns[index] = 0.0
    return index


def _dead_lines(patterns, strength, generator):
    index = generator.choice(len(patterns), (1, 3, 6)[strength], replace=False)
    patterns[index] = 0.0
    return index


def _cosmic(patterns, strength, generator):
    count = (2, 8, 25)[strength]
    index = tuple(generator.integers(0, size, count) for size in patterns.shape)
    patterns[index] += 500.0
    return index


def _dark(patterns, strength, generator):
    patterns += generator.poisson((0.02, 0.1, 0.5)[strength], patterns.shape)


def _stop(patterns, strength, generator):
    width, turned = (2, 4, 6)[strength], bool(generator.integers(2))
    rows, columns = slice(16 - width // 2, 16 + width - width // 2), slice(16, 32)
    index = (..., columns, rows) if turned else (..., rows, columns)
    patterns[index] = 0.0
    return index


def _unsteady(scan: Scanned, strength: int, generator: np.random.Generator, truth: dict[str, float]) -> Sample:
    rows = np.exp((0.1, 0.3, 0.6)[strength] * generator.standard_normal(len(scan.patterns)))
    spoiled = generator.poisson(scan.expected * rows[:, None, None, None]).astype(float)
    return Sample(spoiled, truth, KNOWN, told=(scan.patterns, KNOWN))


def _descan(length: tuple[float, float, float], curved: bool) -> Callable[..., Sample]:
    def spoil(scan: Scanned, strength: int, generator: np.random.Generator, truth: dict[str, float]) -> Sample:
        along = np.linspace(-0.5, 0.5, len(scan.patterns))
        y, x = np.meshgrid(along, along, indexing="ij")
        moves = length[strength] * generator.standard_normal((2, 3))
        terms = np.stack([x**2, x * y, y**2] if curved else [x, y, 0.0 * x])
        down, across = np.einsum("ak,kij->aij", moves, terms) / np.sqrt(2.0)
        expected = np.zeros_like(scan.expected)
        for i in range(len(along)):
            for j in range(len(along)):
                expected[i, j] = shift(scan.expected[i, j], (down[i, j], across[i, j]), order=1)
        return Sample(generator.poisson(expected).astype(float), truth, KNOWN, told=(scan.patterns, KNOWN))

    return spoil


SPOILS: dict[str, Callable[..., Sample]] = {
    "hot camera pixels": _camera(_hot), "noisy camera pixels": _camera(_noisy), "dead camera columns": _camera(_dead_columns),
    "dead scan lines": _camera(_dead_lines), "cosmic rays": _camera(_cosmic), "dark level": _camera(_dark), "beam stop": _camera(_stop),
    "unsteady beam": _unsteady, "descan": _descan((1.0, 3.0, 6.0), False), "curved descan": _descan((0.3, 1.0, 2.0), True),
}  # fmt: skip
"""What spoils the recording; the others spoil the scan before it."""
