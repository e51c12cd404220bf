"""Bright-field disks on spoiled patterns: drawn on a finer grid by `tests.synthetic.disks`, which shares no code with the fit."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from tests.benchmarks.spoiled.sample import Sample
from tests.synthetic.disks import Pattern, pattern

NAMES = ("radius", "centre_x", "centre_y", "ellipse_a", "ellipse_b", "edge")
PRINCIPAL: dict[str, float | None] = dict.fromkeys((*NAMES, "semiangle"))
SPOILINGS = {
    "hot pixels": "1, 5 or 25 pixels at 65535",
    "dead columns": "1, 3 or 8 columns without counts",
    "cosmic rays": "2, 6 or 15 tracks of 3 to 8 pixels",
    "beam stop": "a bar of 6, 10 or 16 pixels from the frame to beyond the middle",
    "dead quadrant": "the corner beyond 0.75, 0.6 or 0.5 of the frame reads zero",
    "dark level": "a level of 0.05, 0.15 or 0.3 of the disk's that was not subtracted",
    "gain step": "one half of the camera counts 5, 15 or 30 % less",
    "saturation": "the camera ends at 1.1, 0.95 or 0.7 times the disk's level",
    "descan": "moved by 2, 4 or 7 pixels while it was recorded",
    "ellipse": "half the difference of the axes is 2.5, 5 or 8 %",
    "few electrons": "2, 0.9 or 0.4 electrons on a pixel of the disk",
    "cut by the frame": "a third, half or more of the disk's edge is outside",
    "second disk": "another disk beside it, of 0.3, 0.6 or 0.85 of its intensity",
    "strong crystal": "overlapping disks and lines 1, 1.5 or 2 times as strong as the strongest clean ones",
    "camera spread": "the camera spreads each electron by 0.5, 1 or 1.5 pixels rms, and gives 30 counts for it",
    "uneven background": "a background that rises by 0.1, 0.3 or 0.6 of the disk's level across the frame",
}
WRONG = {
    "semi-angle": "stated 15 % too large at 1 %",
    "pixel": "stated 20 % too large at 1 %",
    "camera length": "stated 20 % too long at 1 %",
}
ERRORS_BEFORE = {
    "radius": 0.0222, "centre_x": 0.0242, "centre_y": 0.0243, "ellipse_a": 6.19e-4, "ellipse_b": 6.18e-4, "edge": 0.0415, "semiangle": 1.346e-4,
}  # fmt: skip
PIXEL, SIDE, FULL = 5e-4, 5.5e5, 65535.0
"""Angle of a pixel in radian; side of a pixel in angstrom; the largest count of the camera."""


def draw(seed: int, spoiling: str | None = None, strength: int = 0) -> Sample:
    """The pattern of a seed; every second one is of a crystal."""
    drawn = _pattern(seed, spoiling, strength)
    truth = dict(zip(NAMES, drawn.truth.tolist(), strict=True)) | {"semiangle": float(drawn.truth[0]) * PIXEL}
    generator = np.random.default_rng((seed, 5))
    # what is stated has the errors that it is said to have
    errors = 1.0 + 0.01 * generator.standard_normal(3)
    known: dict[str, Any] = {"pixel": PIXEL * errors[0], "semiangle": truth["semiangle"] * errors[1], "gain": 1.0}
    if spoiling == "camera length":
        known |= {"detector_pixel": SIDE, "camera_length": SIDE / PIXEL * errors[2] * 1.2}
        del known["pixel"]
    elif spoiling == "semi-angle":
        known["semiangle"] *= 1.15
    elif spoiling == "pixel":
        known["pixel"] *= 1.2
    counts = np.random.default_rng((seed, 6)).poisson(drawn.expected).astype(float)
    if spoiling in SPOILS:
        return SPOILS[spoiling](drawn, counts, strength, generator, truth, known)
    still = pattern(seed, 128, 0.5 * (seed % 2)).expected if spoiling == "descan" else drawn.expected
    return Sample(counts, truth, known, told=(np.random.default_rng((seed, 6)).poisson(still).astype(float), known))


def _pattern(seed: int, spoiling: str | None, strength: int) -> Pattern:
    """The pattern of a seed with what spoils it before the camera."""
    crystal, pixels = 0.5 * (seed % 2), 128
    generator = np.random.default_rng((seed, 4))
    angle = float(generator.uniform(0.0, np.pi))
    more: dict[str, Any] = {}
    if spoiling == "descan":
        length = (2.0, 4.0, 7.0)[strength]
        more["smear"] = (length * np.cos(angle), length * np.sin(angle))
    elif spoiling == "ellipse":
        size = (0.025, 0.05, 0.08)[strength]
        more["ellipse"] = (size * np.cos(angle), size * np.sin(angle))
    elif spoiling == "strong crystal":
        crystal = (1.0, 1.5, 2.0)[strength]
    elif spoiling == "cut by the frame":
        plain = pattern(seed, pixels, crystal)
        beyond = (0.5, 0.0, -0.3)[strength] * plain.truth[0]
        more["centre"] = (pixels - 0.5 - beyond, float(plain.truth[2]))
    elif spoiling == "few electrons":
        plain = pattern(seed, pixels, crystal)
        level = (2.0, 0.9, 0.4)[strength]
        share = float(np.quantile(plain.expected, 0.97) / plain.expected.sum())
        more["electrons"] = level / share
    return pattern(seed, pixels, crystal, **more)


def _level(drawn: Pattern) -> float:
    """Expected counts of a pixel of the disk."""
    return float(np.quantile(drawn.expected, 0.97))


def _hot_pixels(drawn, counts, strength, generator, truth, known) -> Sample:
    spoiled, clean = counts.copy(), counts.copy()
    index = generator.choice(counts.size, (1, 5, 25)[strength], replace=False)
    spoiled.ravel()[index], clean.ravel()[index] = FULL, np.nan
    return Sample(spoiled, truth, known, told=(clean, known))


def _dead_columns(drawn, counts, strength, generator, truth, known) -> Sample:
    spoiled, clean = counts.copy(), counts.copy()
    index = generator.choice(np.arange(20, 108), (1, 3, 8)[strength], replace=False)
    spoiled[:, index], clean[:, index] = 0.0, np.nan
    return Sample(spoiled, truth, known, told=(clean, known))


def _cosmic_rays(drawn, counts, strength, generator, truth, known) -> Sample:
    spoiled, clean = counts.copy(), counts.copy()
    for _ in range((2, 6, 15)[strength]):
        x, y, angle = *generator.uniform(10, 118, 2), generator.uniform(0, np.pi)
        for step in range(int(generator.integers(3, 9))):
            row, column = round(y + step * np.sin(angle)), round(x + step * np.cos(angle))
            spoiled[row, column] += 3.0 * _level(drawn) + 50.0
            clean[row, column] = np.nan
    return Sample(spoiled, truth, known, told=(clean, known))


def _beam_stop(drawn, counts, strength, generator, truth, known) -> Sample:
    spoiled, clean = counts.copy(), counts.copy()
    _, x0, y0 = truth["radius"], truth["centre_x"], truth["centre_y"]
    angle = generator.uniform(0.0, 2.0 * np.pi)
    y, x = np.mgrid[:128, :128]
    along = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
    across = -(x - x0) * np.sin(angle) + (y - y0) * np.cos(angle)
    covered = (np.abs(across) < 0.5 * (6, 10, 16)[strength]) & (along > -8.0)
    spoiled[covered], clean[covered] = 0.0, np.nan
    return Sample(spoiled, truth, known, told=(clean, known))


def _dead_quadrant(drawn, counts, strength, generator, truth, known) -> Sample:
    spoiled, clean = counts.copy(), counts.copy()
    start = int((0.75, 0.6, 0.5)[strength] * 128)
    spoiled[start:, start:], clean[start:, start:] = 0.0, np.nan
    return Sample(spoiled, truth, known, told=(clean, known))


def _dark_level(drawn, counts, strength, generator, truth, known) -> Sample:
    level = (0.05, 0.15, 0.3)[strength] * _level(drawn)
    spoiled = counts + level
    return Sample(spoiled, truth, known, told=(spoiled, known | {"black": level}))


def _gain_step(drawn, counts, strength, generator, truth, known) -> Sample:
    spoiled = counts.copy()
    spoiled[:, 64:] *= 1.0 - (0.05, 0.15, 0.3)[strength]
    return Sample(spoiled, truth, known, told=(counts, known))


def _saturation(drawn, counts, strength, generator, truth, known) -> Sample:
    level = np.round((1.1, 0.95, 0.7)[strength] * _level(drawn)) + 1.0
    return Sample(np.minimum(counts, level), truth, known, told=None)


def _second_disk(drawn, counts, strength, generator, truth, known) -> Sample:
    angle, radius = generator.uniform(0.0, 2.0 * np.pi), truth["radius"]
    y, x = np.mgrid[:128, :128]
    distance = np.hypot(
        x - truth["centre_x"] - 1.6 * radius * np.cos(angle), y - truth["centre_y"] - 1.6 * radius * np.sin(angle)
    )
    other = (0.3, 0.6, 0.85)[strength] * _level(drawn) * 0.5 * (1.0 - np.tanh((distance - radius) / truth["edge"]))
    spoiled = counts + np.random.default_rng(int(generator.integers(2**31))).poisson(other)
    return Sample(spoiled, truth, known, told=(counts, known))


def _camera_spread(drawn, counts, strength, generator, truth, known) -> Sample:
    rms = (0.5, 1.0, 1.5)[strength]
    spoiled = 30.0 * gaussian_filter(counts, rms) + 2.0 * generator.standard_normal(counts.shape)
    wider = truth | {"edge": float(np.hypot(truth["edge"], rms))}
    return Sample(spoiled, wider, known | {"gain": 30.0}, told=(spoiled, known | {"gain": 30.0}))


def _uneven_background(drawn, counts, strength, generator, truth, known) -> Sample:
    rise = (0.1, 0.3, 0.6)[strength] * _level(drawn)
    background = rise * np.arange(128) / 127.0 * np.ones((128, 1))
    spoiled = counts + np.random.default_rng(int(generator.integers(2**31))).poisson(background)
    return Sample(spoiled, truth, known, told=(counts, known))


SPOILS: dict[str, Callable[..., Sample]] = {
    "hot pixels": _hot_pixels, "dead columns": _dead_columns, "cosmic rays": _cosmic_rays, "beam stop": _beam_stop, "dead quadrant": _dead_quadrant,
    "dark level": _dark_level, "gain step": _gain_step, "saturation": _saturation, "second disk": _second_disk, "camera spread": _camera_spread,
    "uneven background": _uneven_background,
}  # fmt: skip
"""What spoils the recording; the others spoil the pattern before it."""
