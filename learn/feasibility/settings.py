"""Settings that a recording may have, drawn from what is known of them: what a change does is not the same at all of them."""

from collections.abc import Mapping

import equinox as eqx
import numpy as np
from scipy.stats import norm, qmc

from learn.feasibility.scans import ABERRATIONS, Probe
from twin.optics.aberrations import index
from twin.optics.transfer import Imaging

LEAST_SOURCE = 0.02
"""Angstrom."""


def probes_about(probe: Probe, priors: Mapping[str, float], count: int) -> tuple[Probe, ...]:
    """``count`` probes that, with ``probe``, stand for its aberrations and source with standard deviations ``priors`` (angstrom; those not named: 0)."""
    made = []
    for drawn in _drawn(priors, (*ABERRATIONS, "source"), count):
        changed = probe.coefficients.copy()
        for name, value in zip(ABERRATIONS, drawn, strict=False):
            changed[index(name)] += value
        # a probe without a source keeps none
        source = max(probe.source + drawn[-1], LEAST_SOURCE) if probe.source > 0.0 else 0.0
        made.append(Probe(changed, source))
    return tuple(made)


def lenses_about(lens: Imaging, priors: Mapping[str, float], count: int) -> tuple[Imaging, ...]:
    """The same of an objective lens."""
    made = []
    for drawn in _drawn(priors, ABERRATIONS, count):
        coefficients = lens.coefficients
        for name, value in zip(ABERRATIONS, drawn, strict=True):
            coefficients = coefficients.at[index(name)].add(value)
        made.append(eqx.tree_at(lambda each: each.coefficients, lens, coefficients))
    return tuple(made)


def _drawn(priors: Mapping[str, float], names: tuple[str, ...], count: int) -> np.ndarray:
    """Normal numbers [count, names] of the priors' spread where zero is one more; none where nothing is unknown."""
    widths = np.array([priors.get(name, 0.0) for name in names])
    if not count or not widths.any():
        return np.zeros((0, len(names)))
    uniform = qmc.Halton(len(names), scramble=False).random(count + 1)[1:]
    normal = norm.ppf(uniform)
    return widths * normal * np.sqrt((count + 1) / count)
