"""All evidence of an energy-loss spectrum, or of the sum of a spectrum image."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from reconstruct.validation.data.options import AMORPHOUS, Known, Tell
from reconstruct.validation.data.spectra.angles import angles
from reconstruct.validation.data.spectra.electrons import electrons
from reconstruct.validation.data.spectra.energy_axis import FIELDS, VERIFY, energy_axis
from reconstruct.validation.evidence import Evidence, Gap
from twin.errors import BadInput
from twin.records import Signal, is_x_ray
from twin.sample.cif.checks import formula_of
from twin.simulation.specimen import structure_named

LEAST_CHANNELS, MOST_COUNTED = 64, 1 << 24
"""Channels that are needed, and channels of all spectra above which not all spectra are summed."""


def spectrum(signal: Signal, values: Mapping[str, float], known: Known, tell: Tell) -> tuple[list[Evidence], list[Gap]]:
    """Evidence and gaps of a spectrum, of a spectrum image by its sum."""
    counts, number = summed(signal)
    if len(counts) < LEAST_CHANNELS:
        return [], [Gap(FIELDS, f"the spectrum has {len(counts)} channels: too few", VERIFY)]
    tell("looking for the zero loss and edges", None)
    composition, crystal = composition_of(known)
    evidence, gaps = energy_axis(counts, values, frozenset(composition), known)
    more, missing = electrons(signal, counts / number, values, composition, tell)
    apart, open_ = angles(counts / number, values, composition, crystal, tell)
    return [*evidence, *more, *apart], [*gaps, *missing, *open_]


def is_energy_loss(signal: Signal, values: Mapping[str, float]) -> bool:
    """Whether a recording is a spectrum of energy losses with an energy axis, not one of X-rays."""
    if not signal.kind.startswith("spectrum") or not set(FIELDS) <= set(values):
        return False
    return not is_x_ray(signal)


def summed(signal: Signal) -> tuple[np.ndarray, int]:
    """The sum of the spectra [channels] (of very many every second, third, ...), and of how many; values that are not finite count as none."""
    data: Any = np.asarray(signal.data)
    spectra = data.reshape(-1, data.shape[-1])[:: max(1, math.ceil(data.size / MOST_COUNTED))]
    return np.nan_to_num(spectra.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0).sum(axis=0), len(spectra)


def composition_of(known: Known) -> tuple[dict[str, float], bool]:
    """Atoms of each element of the specimen, and whether it is a crystal: of a structure, or of a formula such as "TiO2"; {} where it is not known."""
    if known.specimen is None or known.specimen == AMORPHOUS:
        return {}, False
    given = known.specimen
    try:
        structure = given.structure if hasattr(given, "structure") else structure_named("specimen", str(given))
    except BadInput:
        return formula_of(str(given)), False
    return structure.content, True
