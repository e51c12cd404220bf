"""Evidence of energy-loss spectra: dispersion and energy offset by the zero loss, the plasmon and the edges of a known specimen."""

import itertools
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from reconstruct.eels.features import Peak, Rise, onsets, plasmon, zero_loss
from reconstruct.eels.matching import Match, match_edges
from reconstruct.eels.references import PLASMONS
from reconstruct.measurement.measurement import Component, FitPlot
from reconstruct.measurement.recorded.spectra import is_x_ray
from reconstruct.validation.data.options import AMORPHOUS, Known, Tell
from reconstruct.validation.data.specimen import name_of
from reconstruct.validation.evidence import Evidence, Gap, Picture, Statement
from twin.errors import BadInput
from twin.records import Signal
from twin.sample.cif.elements import known as element
from twin.simulation.specimen import structure_named

FIELDS = ("dispersion", "energy_offset")
LEAST_CHANNELS, MOST_COUNTED = 64, 1 << 24
"""Channels that are needed, and channels of all spectra above which not all spectra are summed."""
ZERO_ERROR = 0.1
"""Rms by which a zero loss may be off zero, as a share of its width: where zero is put in an asymmetric peak is a choice."""
HALF_CHANNEL = 0.5
LEAST_MATCHED = 2
"""Edges that must be recognised: one alone may be any."""
DISPERSION_RANGE = 3.0
"""Factor by which a plasmon may lie off where the file has it, beyond which the peak is taken for another."""
SHARED = 0.9
"""Correlation of the errors of two edges of one element."""
VERIFY = "Record the zero loss, or two edges of a known specimen (--specimen), at the same settings."


def spectrum(signal: Signal, values: Mapping[str, float], known: Known, tell: Tell) -> tuple[list[Evidence], list[Gap]]:
    """The energy axis by what is seen in the spectrum (of a spectrum image the sum); gaps where no feature of known energy is."""
    counts = summed(signal)
    if len(counts) < LEAST_CHANNELS:
        return [], [Gap(FIELDS, f"the spectrum has {len(counts)} channels: too few", VERIFY)]
    tell("looking for the zero loss and edges", None)
    elements = _elements(known)
    zero = zero_loss(counts)
    if not isinstance(zero, str):
        return _low_loss(counts, zero, values, elements, known)
    if not elements:
        why = f"{zero}; the specimen is not known, so that no edge has a known energy"
        return [], [Gap(FIELDS, why, VERIFY)]
    rises, readings = match_edges(onsets(counts), elements, len(counts), values["dispersion"], values["energy_offset"])
    matched = [edge is not None for edge in readings[0].edges] if readings else []
    if sum(matched) < LEAST_MATCHED:
        count = f"{len(rises)} steep rises are" if len(rises) != 1 else "one steep rise is"
        return [], [Gap(FIELDS, f"{count} seen, and they are not the edges of {name_of(known)}", VERIFY)]
    same = [reading for reading in readings if [edge is not None for edge in reading.edges] == matched]
    if sum(reading.weight for reading in same) < 0.5:
        return [], [Gap(FIELDS, f"the rises may be different edges of {name_of(known)}", VERIFY)]
    return [_edges(counts, rises, same, values)], []


def is_energy_loss(signal: Signal, values: Mapping[str, float]) -> bool:
    """Whether a recording is a spectrum of energy losses with an energy axis, not one of X-rays."""
    if not signal.kind.startswith("spectrum") or not set(FIELDS) <= set(values):
        return False
    return not is_x_ray(signal)


def summed(signal: Signal) -> np.ndarray:
    """The sum of the spectra [channels] (of very many every second, third, ...); values that are not finite count as none."""
    data: Any = np.asarray(signal.data)
    spectra = data.reshape(-1, data.shape[-1])[:: max(1, math.ceil(data.size / MOST_COUNTED))]
    return np.nan_to_num(spectra.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0).sum(axis=0)


def _elements(known: Known) -> frozenset[str]:
    """The elements of the specimen: of its structure, or of a formula such as "TiO2"."""
    if known.specimen is None or known.specimen == AMORPHOUS:
        return frozenset()
    given = known.specimen
    try:
        structure = given.structure if hasattr(given, "structure") else structure_named("specimen", str(given))
    except BadInput:
        symbols = re.findall(r"[A-Z][a-z]?", str(given)) if re.fullmatch(r"([A-Z][a-z]?[\d.]*)+", str(given)) else []
        return frozenset(symbol for symbol in symbols if element(symbol))
    return frozenset(structure.symbols)


def _low_loss(
    counts: np.ndarray, zero: Peak, values: Mapping[str, float], elements: frozenset[str], known: Known
) -> tuple[list[Evidence], list[Gap]]:
    dispersion = values["dispersion"]
    statements = [Statement("zero loss", {"energy_offset": 1.0, "dispersion": zero.centre}, "linear")]
    means, errors = [0.0], [dispersion * math.hypot(ZERO_ERROR * zero.width, zero.error)]
    tolerance = [HALF_CHANNEL * dispersion]
    words = f"The zero loss is in channel {zero.centre:.2f}, at {values['energy_offset'] + dispersion * zero.centre:.3g} eV of the file's axis."
    gaps = [Gap(("dispersion",), "only the zero loss has a known energy", VERIFY)]
    peak = plasmon(counts, zero) if len(elements) == 1 else None
    reference = PLASMONS.get(next(iter(elements), "")) if peak is not None else None
    if peak is not None and reference is not None:
        energy, error = reference
        position = dispersion * (peak.centre - zero.centre)
        if 1.0 / DISPERSION_RANGE < position / energy < DISPERSION_RANGE and energy > 2.0 * dispersion * zero.width:
            # between two peaks of one spectrum the offset plays no part
            statements.append(Statement("plasmon from the zero loss", {"dispersion": 1.0}))
            means.append(math.log(energy / (peak.centre - zero.centre)))
            errors.append(math.hypot(error / energy, math.hypot(peak.error, zero.error) / (peak.centre - zero.centre)))
            tolerance.append(0.0)
            words += f" The plasmon of {name_of(known)} is {peak.centre - zero.centre:.1f} channels from it."
            gaps = []
    parts = (Component(1.0, np.array(means), np.diag(np.square(errors))),)
    picture = _picture(
        counts, values, "The spectrum with its zero loss", [zero.centre, *([peak.centre] if peak and not gaps else [])]
    )
    return [
        Evidence(
            "zero loss",
            "data",
            tuple(statements),
            parts,
            words,
            ("spectrometer",),
            pictures=(picture,),
            tolerance=tuple(tolerance),
        )
    ], gaps


def _edges(counts: np.ndarray, rises: list[Rise], readings: list[Match], values: Mapping[str, float]) -> Evidence:
    used = [index for index, edge in enumerate(readings[0].edges) if edge is not None]
    statements = tuple(
        Statement(
            f"edge in channel {rises[index].channel:.0f}",
            {"energy_offset": 1.0, "dispersion": rises[index].channel},
            "linear",
        )
        for index in used
    )
    total = sum(reading.weight for reading in readings)
    components = []
    for reading in readings:
        edges = [edge for edge in reading.edges if edge is not None]
        errors = [
            math.hypot(edge.error, reading.dispersion * rises[index].error)
            for edge, index in zip(edges, used, strict=True)
        ]
        covariance = np.diag(np.square(errors))
        for i, j in itertools.permutations(range(len(edges)), 2):
            if edges[i].element == edges[j].element:  # a chemical shift moves all edges of an atom
                covariance[i, j] = SHARED * edges[i].error * edges[j].error
        components.append(Component(reading.weight / total, np.array([edge.energy for edge in edges]), covariance))
    named = [edge for edge in readings[0].edges if edge is not None]
    places = [values["energy_offset"] + values["dispersion"] * rises[index].channel for index in used]
    measured = ", ".join(
        f"{edge.element} {edge.name} ({edge.energy:g} eV) at {position:.1f} eV"
        for edge, position in zip(named, places, strict=True)
    )
    words = f"Edges on the file's energy axis: {measured}."
    picture = _picture(counts, values, "The spectrum with its edges", [rises[index].channel for index in used])
    return Evidence(
        "edges of the specimen", "data", statements, tuple(components), words, ("spectrometer",), pictures=(picture,)
    )


def _picture(counts: np.ndarray, values: Mapping[str, float], caption: str, channels: list[float]) -> Picture:
    """The spectrum over the file's axis (eV), with the features that were found as its model."""
    numbers = np.arange(len(counts))
    near = np.zeros(len(counts), bool)
    for channel in channels:
        near |= np.abs(numbers - channel) < 0.01 * len(counts)
    ends = values["energy_offset"] + values["dispersion"] * np.array([0.0, len(counts) - 1.0])
    plot = FitPlot(
        caption,
        counts,
        np.where(near, counts, np.nan),
        np.zeros(len(counts)),
        (float(ends[0]), float(ends[1])),
        "electronvolt",
    )
    return Picture("fit", plot, caption)
