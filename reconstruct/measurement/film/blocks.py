"""Blocks of the film's likelihood: the parts of an exposure that do not depend on the coefficients, and the prior of the nuisance parameters."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from reconstruct.measurement.film.exposure import Optics, Spectra
from reconstruct.measurement.film.likelihood import Block
from twin import checks
from twin.optics.electrons import wavelength
from twin.optics.weak import THIRD, Sidebands, sidebands, smear

KNOTS = 10
ROUGHNESS = 1.5
"""Prior standard deviation of the second difference of log power from knot to knot."""
MIN_FREQUENCIES = 48
"""Fewest scan frequencies of a maximisation."""


def splines(q: np.ndarray, optics: Optics) -> np.ndarray:
    """Linear interpolation [q, KNOTS] between knots, evenly over all frequencies that two overlaps can have."""
    length = np.hypot(*q.T) * wavelength(optics.energy) / optics.semiangle
    at = np.linspace(0.0, 2.0, KNOTS)
    return np.maximum(0.0, 1.0 - np.abs(length[:, None] - at[None]) / at[1])


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An exposure's `Spectra` with what of its model no coefficient changes: ``bands`` (float32, the pixels' strength in their weights) and ``splines``."""

    spectra: Spectra
    bands: Sidebands
    splines: np.ndarray
    optics: Optics

    @property
    def lengths(self) -> np.ndarray:
        """|q| of its scan frequencies, rising, [q] in 1/angstrom."""
        return np.hypot(*self.spectra.q.T)


def prepare(exposure_spectra: Spectra, optics: Optics) -> Prepared:
    """The overlaps of an exposure, computed once."""
    checks.require_float64()
    setting = exposure_spectra.setting
    bands = sidebands(
        exposure_spectra.q,
        exposure_spectra.angles,
        setting.tilt,
        optics.energy,
        optics.semiangle,
        setting.width,
        optics.focal_spread,
    )
    weights = [weight * exposure_spectra.strength[None] for weight in (bands.lower, bands.upper)]
    scaled_bands = Sidebands(*(jnp.asarray(part, jnp.float32) for part in (bands.minus, bands.plus, *weights)))
    return Prepared(exposure_spectra, scaled_bands, splines(exposure_spectra.q, optics), optics)


def block(exposure: Prepared, coefficients: np.ndarray, highest: float | None = None) -> Block:
    """A likelihood's part of scan frequencies up to ``highest`` (1/angstrom), with pixels smeared as at ``coefficients`` [12] (without the exposure's c10)."""
    count = (
        len(exposure.splines)
        if highest is None
        else max(MIN_FREQUENCIES, int(np.searchsorted(exposure.lengths, highest)))
    )
    exposure_spectra, setting, optics = exposure.spectra, exposure.spectra.setting, exposure.optics
    actual = np.array(coefficients[:THIRD], float)
    actual[0] += setting.c10
    lower, upper = smear(
        actual, exposure_spectra.q[:count], exposure_spectra.angles, setting.tilt, optics.energy, setting.width
    )
    bands = Sidebands(*(part[:count] for part in exposure.bands))
    bands = bands._replace(lower=bands.lower * lower.astype(jnp.float32), upper=bands.upper * upper.astype(jnp.float32))
    return Block(
        jnp.asarray(exposure_spectra.z[:count]),
        bands,
        jnp.asarray(exposure.splines[:count]),
        jnp.asarray(setting.c10, float),
    )


def nuisance_precision(thickness: tuple[float, float]) -> np.ndarray:
    """Prior precision [1 + KNOTS + 1] of the nuisance parameters: thickness (mean, standard deviation), log power and log noise."""
    precision = np.zeros((KNOTS + 2, KNOTS + 2))
    precision[0, 0] = thickness[1] ** -2
    bend = np.diff(np.eye(KNOTS), 2, axis=0) / ROUGHNESS
    precision[1:-1, 1:-1] = bend.T @ bend + 1e-4 * np.eye(KNOTS)
    precision[-1, -1] = 1.0
    return precision
