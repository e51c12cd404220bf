"""Images of amorphous films, spoiled: the lens and the film are NumPy's (`tests.synthetic.films`), not the twin's transfer functions."""

import math
from typing import Any

import numpy as np

from tests.benchmarks.spoiled.sample import Sample
from tests.synthetic.films import ENERGY, film_phase, imaged

PRINCIPAL = {"C10": None, "C12a": None, "C12b": None}
SPOILINGS = {
    "hot pixels": "2, 8 or 40 pixels at 65535",
    "hot column": "a column 0.3, 3 or 40 times as bright again",
    "dead columns": "1, 3 or 10 columns of zero",
    "cosmic rays": "2, 6 or 20 tracks of 8 pixels",
    "ice ring": "a ring at 3.7 angstrom of 1.6, 3 or 6 times the film's power there",
    "ice rings": "rings at 3.7 and 2.2 angstrom of 1.6, 3 or 6 times the film's power",
    "gold": "six spots at 2.35 angstrom of 0.3, 1 or 4 % contrast",
    "crystal": "lattice fringes of 2.8 angstrom in 5, 15 or 40 % of the image",
    "amplitude contrast": "10, 20 or 35 %",
    "drift": "1, 2 or 3 angstrom within the frame",
    "vacuum": "a quarter, half or two thirds of the image without film",
    "charging": "an additive slope of 5, 20 or 60 % across the image",
    "border": "a constant border of 2, 12 or 32 pixels",
    "gain steps": "halves of gains that differ by 2, 8 or 30 %",
    "astigmatism": "600, 1500 or 3000 angstrom",
    "few electrons": "40, 12 or 4 electrons a square angstrom",
    "camera": "a camera's transfer of 0.4, 0.7 or 1 pixel rms",
    "dead block": "NaN in 10, 25 or 45 % of the image, one block",
    "NaN pixels": "NaN in 2, 15 or 45 % of the pixels",
    "beam stop": "a needle 8, 16 or 32 pixels wide over half of the image",
}
WRONG = {
    "energy too high": "20 % more than it is",
    "energy too low": "20 % less than it is",
    "phase plate not told": "a phase plate of 90 degrees",
    "no spherical aberration": "a lens of 2.7 mm told as corrected",
    "pixel too large": "10 % larger than it is",
    "ring of 3 times": "a ring at 3.7 angstrom of 3 times the power",
}
ERRORS_BEFORE = {"C10": 3.03, "C12a": 2.84, "C12b": 2.94}
PIXELS, PIXEL, C30 = 256, 1.0, 2.7e7


def draw(seed: int, spoiling: str | None = None, strength: int = 0) -> Sample:
    """C10 of 1,000 to 6,000 angstrom of either sign, C12 of 150 angstrom rms, C30 of 2.7 mm, 200 to 1,000 electrons a square angstrom."""
    generator = np.random.default_rng((21, seed))
    phase = film_phase(generator, PIXELS, PIXEL)
    c10 = float(generator.choice([-1.0, 1.0]) * generator.uniform(1000.0, 6000.0))
    c12 = 150.0 * generator.standard_normal(2)
    electrons = generator.uniform(200.0, 1000.0) * PIXEL**2
    noise, other = int(generator.integers(2**31)), np.random.default_rng(generator.integers(2**31))
    lens: dict[str, Any] = {}
    if spoiling == "astigmatism":
        angle, size = other.uniform(0.0, 2.0 * math.pi), (600.0, 1500.0, 3000.0)[strength]
        c12 = size * np.array([math.cos(angle), math.sin(angle)])
    elif spoiling == "amplitude contrast":
        lens["absorption"] = (0.1, 0.2, 0.35)[strength]
    elif spoiling == "drift":
        angle, size = other.uniform(0.0, math.pi), (1.0, 2.0, 3.0)[strength]
        lens["drift"] = (size * math.cos(angle), size * math.sin(angle))
    elif spoiling == "phase plate not told":
        lens["plate"] = 0.5 * math.pi
    elif spoiling == "few electrons":
        electrons = (40.0, 12.0, 4.0)[strength] * PIXEL**2
    known = {"pixel": PIXEL, "energy": ENERGY, "spherical": C30}
    clean = imaged(phase, PIXELS, PIXEL, (c10, *c12), C30, **lens)
    image = np.random.default_rng(noise).poisson(electrons * clean).astype(float)
    truth = dict(zip(PRINCIPAL, (c10, *c12.tolist()), strict=True))
    if spoiling == "ring of 3 times":
        image = np.random.default_rng(noise).poisson(electrons * _rings(clean, 1, other, (3.7,))).astype(float)
    if spoiling in WRONG:
        return Sample(image, truth, known | _stated(spoiling))
    told = _told(spoiling, strength, image, known)
    if spoiling in ("drift", "camera"):
        plain = imaged(phase, PIXELS, PIXEL, (c10, *c12), C30)
        told = (np.random.default_rng(noise).poisson(electrons * plain).astype(float), known)
    if spoiling in _ON_THE_BEAM:
        image = np.random.default_rng(noise).poisson(electrons * _ON_THE_BEAM[spoiling](clean, strength, other))
    elif spoiling in _ON_THE_IMAGE:
        image = _ON_THE_IMAGE[spoiling](image.copy(), strength, other)
        if np.isnan(image).any():
            told = (image, known)
        elif spoiling == "beam stop":
            told = (np.where(_needle(strength), np.nan, image), known)
    if spoiling == "vacuum":
        told = (np.where(_vacuum(strength), np.nan, image), known)
    return Sample(image.astype(float), truth, known, told)


def _stated(spoiling: str) -> dict[str, float]:
    return {
        "energy too high": {"energy": 1.2 * ENERGY},
        "energy too low": {"energy": 0.8 * ENERGY},
        "no spherical aberration": {"spherical": 0.0},
        "pixel too large": {"pixel": 1.1 * PIXEL},
    }.get(spoiling, {})


def _told(spoiling: str | None, strength: int, image: np.ndarray, known: dict[str, Any]) -> Any:
    """The image without what is laid over it, or with what is known of it; None where no fit can be told more."""
    if spoiling is None or spoiling == "few electrons":
        return None
    if spoiling == "amplitude contrast":
        return image, known | {"amplitude_contrast": (0.1, 0.2, 0.35)[strength]}
    if spoiling == "astigmatism":
        return image, known | {"astigmatism": (600.0, 1500.0, 3000.0)[strength]}
    return image, known


def _grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:PIXELS, :PIXELS] / PIXELS
    return y, x


def _rings(clean: np.ndarray, strength: int, generator: np.random.Generator, spacings: tuple[float, ...]) -> np.ndarray:
    """A field of random phases over the image, in rings 0.012 / angstrom wide, whose power is so many times the image's own in and about the ring."""
    k = np.fft.fftfreq(PIXELS, PIXEL)
    size = np.hypot(*np.meshgrid(k, k))
    power = np.abs(np.fft.fft2(clean - clean.mean())) ** 2
    white = np.fft.fft2(generator.standard_normal(clean.shape))
    added = np.zeros(clean.shape, complex)
    for spacing in spacings:
        near, ring = np.abs(size - 1.0 / spacing) < 0.03, np.abs(size - 1.0 / spacing) < 0.006
        # the image's own power there is the film's and that of counting, told by a dose of 400 electrons
        level = power[near].mean() + clean.size / 400.0
        added += np.where(ring, white * np.sqrt((1.6, 3.0, 6.0)[strength] * level / clean.size), 0.0)
    return np.maximum(clean + np.fft.ifft2(added).real, 0.0)


def _spots(clean: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[:PIXELS, :PIXELS] * PIXEL
    start, amplitude = generator.uniform(0.0, math.pi), (0.003, 0.01, 0.04)[strength]
    for turn in range(3):
        angle = start + turn * math.pi / 3.0
        wave = (x * math.cos(angle) + y * math.sin(angle)) / 2.35
        clean = clean + amplitude * np.cos(2.0 * math.pi * (wave + generator.uniform()))
    return np.maximum(clean, 0.0)


def _crystal(clean: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[:PIXELS, :PIXELS] * PIXEL
    angle = generator.uniform(0.0, math.pi)
    fringes = 0.12 * np.cos(2.0 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / 2.8)
    row, column = _grid()
    inside = np.hypot(row - 0.45, column - 0.55) < math.sqrt((0.05, 0.15, 0.4)[strength] / math.pi)
    return np.maximum(clean + np.where(inside, fringes, 0.0), 0.0)


def _vacuum(strength: int) -> np.ndarray:
    y, x = _grid()
    return x + 0.3 * y < (0.4, 0.65, 0.8)[strength]


def _needle(strength: int) -> np.ndarray:
    y, x = _grid()
    return (np.abs(y - 0.5 - 0.2 * (x - 0.5)) * PIXELS < (4, 8, 16)[strength]) & (x < 0.5)


_ON_THE_BEAM = {
    "ice ring": lambda clean, strength, generator: _rings(clean, strength, generator, (3.7,)),
    "ice rings": lambda clean, strength, generator: _rings(clean, strength, generator, (3.7, 2.25)),
    "gold": _spots,
    "crystal": _crystal,
    "vacuum": lambda clean, strength, generator: np.where(_vacuum(strength), 1.05, clean),
    "charging": lambda clean, strength, generator: clean + (0.05, 0.2, 0.6)[strength] * _grid()[1],
}


def _hot_pixels(image: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    image.flat[generator.choice(image.size, (2, 8, 40)[strength], False)] = 65535.0
    return image


def _hot_column(image: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    image[:, generator.integers(20, PIXELS - 20)] += (0.3, 3.0, 40.0)[strength] * image.mean()
    return image


def _dead_columns(image: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    image[:, generator.choice(PIXELS, (1, 3, 10)[strength], False)] = 0.0
    return image


def _tracks(image: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    for _ in range((2, 6, 20)[strength]):
        row, column = generator.integers(20, PIXELS - 20, 2)
        angle, along = generator.uniform(0.0, math.pi), np.arange(8)
        rows, columns = row + np.round(along * math.sin(angle)), column + np.round(along * math.cos(angle))
        image[rows.astype(int), columns.astype(int)] += 20.0 * image.mean()
    return image


def _border(image: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    width = (2, 12, 32)[strength]
    inner = image[width:-width, width:-width].copy()
    image[:] = 0.0
    image[width:-width, width:-width] = inner
    return image


def _gain_steps(image: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    image[:, : PIXELS // 2] *= 1.0 + (0.02, 0.08, 0.3)[strength]
    return image


def _camera(image: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    k = np.fft.fftfreq(PIXELS)
    square = k[:, None] ** 2 + k**2
    blur = np.exp(-2.0 * (math.pi * (0.4, 0.7, 1.0)[strength]) ** 2 * square)
    return np.fft.ifft2(np.fft.fft2(image) * blur).real


def _block(image: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    side = int(math.sqrt((0.1, 0.25, 0.45)[strength]) * PIXELS)
    row, column = generator.integers(0, PIXELS - side, 2)
    image[row : row + side, column : column + side] = np.nan
    return image


def _lost_pixels(image: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    image[generator.random(image.shape) < (0.02, 0.15, 0.45)[strength]] = np.nan
    return image


def _beam_stop(image: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    return np.where(_needle(strength), 0.0, image)


_ON_THE_IMAGE = {
    "hot pixels": _hot_pixels,
    "hot column": _hot_column,
    "dead columns": _dead_columns,
    "cosmic rays": _tracks,
    "border": _border,
    "gain steps": _gain_steps,
    "camera": _camera,
    "dead block": _block,
    "NaN pixels": _lost_pixels,
    "beam stop": _beam_stop,
}
