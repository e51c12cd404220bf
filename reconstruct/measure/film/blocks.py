"""Exposures as blocks of the film's likelihood: what no coefficient changes made once, and the prior of what is fitted along."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from reconstruct.measure.film.exposure import Optics, Spectra
from reconstruct.measure.film.likelihood import Block
from twin import checks
from twin.optics.electrons import wavelength
from twin.optics.weak import THIRD, Sidebands, sidebands, smear

KNOTS = 10
ROUGH = 1.5
"""Prior standard deviation of the second difference of log power from knot to knot."""
LEAST = 48
"""Scan frequencies that a climb takes at least."""


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


def prepared(one: Spectra, optics: Optics) -> Prepared:
    """The overlaps of an exposure, made once."""
    checks.require_float64()
    setting = one.setting
    bands = sidebands(
        one.q, one.angles, setting.tilt, optics.energy, optics.semiangle, setting.width, optics.focal_spread
    )
    weights = [weight * one.strength[None] for weight in (bands.lower, bands.upper)]
    made = Sidebands(*(jnp.asarray(part, jnp.float32) for part in (bands.minus, bands.plus, *weights)))
    return Prepared(one, made, splines(one.q, optics), optics)


def block(one: Prepared, coefficients: np.ndarray, highest: float | None = None) -> Block:
    """A likelihood's part of scan frequencies up to ``highest`` (1/angstrom), with pixels smeared as at ``coefficients`` [12] (without the exposure's c10)."""
    count = len(one.splines) if highest is None else max(LEAST, int(np.searchsorted(one.lengths, highest)))
    seen, setting, optics = one.spectra, one.spectra.setting, one.optics
    changed = np.array(coefficients[:THIRD], float)
    changed[0] += setting.c10
    lower, upper = smear(changed, seen.q[:count], seen.angles, setting.tilt, optics.energy, setting.width)
    bands = Sidebands(*(part[:count] for part in one.bands))
    bands = bands._replace(lower=bands.lower * lower.astype(jnp.float32), upper=bands.upper * upper.astype(jnp.float32))
    return Block(jnp.asarray(seen.z[:count]), bands, jnp.asarray(one.splines[:count]), jnp.asarray(setting.c10, float))


def penalty(thickness: tuple[float, float]) -> np.ndarray:
    """Prior precision [1 + KNOTS + 1] of what is fitted along: thickness (mean, standard deviation), log power and log noise."""
    found = np.zeros((KNOTS + 2, KNOTS + 2))
    found[0, 0] = thickness[1] ** -2
    bend = np.diff(np.eye(KNOTS), 2, axis=0) / ROUGH
    found[1:-1, 1:-1] = bend.T @ bend + 1e-4 * np.eye(KNOTS)
    found[-1, -1] = 1.0
    return found
