"""Blocks of the film's likelihood: the parts of an exposure that do not depend on the coefficients, and the prior of the nuisance parameters."""

import dataclasses

import numpy as np

from reconstruct.measurement.film.exposure import Optics, Setting, Spectra
from reconstruct.measurement.film.likelihood import FREQUENCY_BATCH, Block
from twin import blocks, checks
from twin.optics.electrons import wavelength
from twin.optics.weak import THIRD, Sidebands, displacements, sidebands, smear

KNOTS = 10
ROUGHNESS = 1.5
"""Prior standard deviation of the second difference of log power from knot to knot."""
MIN_FREQUENCIES = 48
"""Fewest scan frequencies of a maximisation."""
FILLED = 32
"""Pixels are filled up to multiples of so many."""
HANN_SLOPE = float(np.pi * np.sqrt(4.0 / 3.0))
"""Root mean square slope of a Hann window, over its own root mean square, times its length."""


def splines(q: np.ndarray, optics: Optics) -> np.ndarray:
    """Linear interpolation [q, KNOTS] between knots, evenly over all frequencies that two overlaps can have."""
    length = np.hypot(*q.T) * wavelength(optics.energy) / optics.semiangle
    at = np.linspace(0.0, 2.0, KNOTS)
    return np.maximum(0.0, 1.0 - np.abs(length[:, None] - at[None]) / at[1])


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An exposure's `Spectra` with what of its model no coefficient changes: ``bands`` (float32, `filled` pixels, their strength in the weights) and
    ``splines``."""

    spectra: Spectra
    bands: Sidebands
    splines: np.ndarray
    optics: Optics

    @property
    def lengths(self) -> np.ndarray:
        """|q| of its scan frequencies, rising, [q] in 1/angstrom."""
        return np.hypot(*self.spectra.q.T)


def filled(values: np.ndarray, axis: int) -> np.ndarray:
    """``values`` with zeros along the ``axis`` of pixels up to a multiple of FILLED, so that few sizes are compiled."""
    widths = [(0, 0)] * values.ndim
    widths[axis] = (0, -values.shape[axis] % FILLED)
    return np.pad(values, widths)


def prepare(exposure_spectra: Spectra, optics: Optics) -> Prepared:
    """The overlaps of an exposure, computed once."""
    checks.require_float64()
    setting, angles = exposure_spectra.setting, filled(exposure_spectra.angles, 0)

    def overlaps(q: np.ndarray) -> Sidebands:
        bands = sidebands(q, angles, setting.tilt, optics.energy, optics.semiangle, setting.width, optics.focal_spread)
        return Sidebands(*bands)

    minus, plus, lower, upper = blocks.evaluate(overlaps, FREQUENCY_BATCH, exposure_spectra.q)
    strength = filled(exposure_spectra.strength, 0)
    bands = Sidebands(*(part.astype(np.float32) for part in (minus, plus, lower * strength, upper * strength)))
    return Prepared(exposure_spectra, bands, splines(exposure_spectra.q, optics), optics)


def block(exposure: Prepared, coefficients: np.ndarray, highest: float | None = None) -> Block:
    """A likelihood's part of scan frequencies up to ``highest`` (1/angstrom), with pixels smeared and the film windowed as at ``coefficients`` [12] (without
    the exposure's c10)."""
    count = (
        len(exposure.splines)
        if highest is None
        else max(MIN_FREQUENCIES, int(np.searchsorted(exposure.lengths, highest)))
    )
    exposure_spectra, setting, optics = exposure.spectra, exposure.spectra.setting, exposure.optics
    actual = np.array(coefficients[:THIRD], float)
    actual[0] += setting.c10
    angles, bands = filled(exposure_spectra.angles, 0), Sidebands(*(part[:count] for part in exposure.bands))

    def smeared(q: np.ndarray) -> tuple:
        where = (actual, q, angles, setting.tilt, optics.energy)
        return smear(*where, setting.width), displacements(*where)

    factors, moves = blocks.evaluate(smeared, FREQUENCY_BATCH, exposure_spectra.q[:count])
    weights = [
        weight * factor.astype(np.float32) for weight, factor in zip((bands.lower, bands.upper), factors, strict=True)
    ]
    profiles = _profiles(weights, moves, setting)
    lower, upper = (weight[..., None] * profile for weight, profile in zip(weights, profiles, strict=True))
    return Block(
        filled(exposure_spectra.z[:count], 1),
        bands._replace(lower=lower, upper=upper),
        exposure.splines[:count],
        np.asarray(setting.c10, float),
        len(exposure_spectra.angles),
    )


def _profiles(weights: list[np.ndarray], moves: tuple[np.ndarray, ...], setting: Setting) -> list[np.ndarray]:
    """Shares [q, pixels, profiles] of what the overlaps see in the window and its two slopes, squares summing to 1, for displacements ``moves``
    [q, pixels, 2] in angstrom. Of a film that repeats there is no window: one profile of 1.

    To first order in displacements a and b the windowed films correlate by 1 + a b over the root of (1 + a^2)(1 + b^2), in units of the window's width:
    as their windows do up to the third order.
    """
    if setting.periodic:
        return [np.ones((*weight.shape, 1), np.float32) for weight in weights]
    squares = [np.abs(weight)[..., None] ** 2 for weight in weights]
    middle = sum((square * move).sum(axis=(0, 1)) for square, move in zip(squares, moves, strict=True))
    middle = middle / max(sum(float(square.sum()) for square in squares), 1e-30)
    sides = setting.step * np.array(setting.points[::-1])
    profiles = []
    for move in moves:
        along = (move - middle) * (HANN_SLOPE / sides)
        # displaced by more than the window is wide, films have nothing in common
        along /= np.maximum(1.0, np.hypot(along[..., :1], along[..., 1:]))
        whole = np.concatenate([np.ones((*along.shape[:-1], 1)), along], axis=-1)
        profiles.append((whole / np.sqrt((whole**2).sum(axis=-1, keepdims=True))).astype(np.float32))
    return profiles


def nuisance_precision(thickness: tuple[float, float]) -> np.ndarray:
    """Prior precision [1 + KNOTS + 1] of the nuisance parameters: thickness (mean, standard deviation), log power and log noise."""
    precision = np.zeros((KNOTS + 2, KNOTS + 2))
    precision[0, 0] = thickness[1] ** -2
    bend = np.diff(np.eye(KNOTS), 2, axis=0) / ROUGHNESS
    precision[1:-1, 1:-1] = bend.T @ bend + 1e-4 * np.eye(KNOTS)
    precision[-1, -1] = 1.0
    return precision
