"""Dispersion and energy offset by the zero loss, the plasmon and the edges of a known specimen.

Two edges fix both; with a zero loss, which fixes one combination of them, a single edge does. One edge may be that of an element
that is not in the specimen as it was named: a rise that is an edge of another element on the axis as the file has it is a second
reading, and the file agrees with it.

The dispersion of a magnetic prism goes with p v of the beam's electrons (`twin.optics.electrons.momentum_times_velocity`): a
spectrometer that was calibrated at 200 kV has 0.434 of its eV per channel at 80 kV. What edges measure is the dispersion at which a
spectrum was recorded, whatever the high tension: they make no statement on that. That both are wrong by one mistake is a property of
the mistake, and a `Change` says so (`reconstruct.validation.judgement.faults`): the high tension is blamed where the dispersion is off
by just such a factor, against the dispersion alone, which may be off by any.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping

import numpy as np

from reconstruct.eels.features import EMPTY_WIDTHS, Peak, Rise, onsets, plasmon, zero_loss
from reconstruct.eels.matching import ZERO_ERROR, Match, match_edges
from reconstruct.eels.references import ONSETS, PLASMONS, Onset
from reconstruct.measurement.measurement import Component, FitPlot
from reconstruct.validation.data.options import Known
from reconstruct.validation.data.specimen import name_of
from reconstruct.validation.evidence import Evidence, Gap, Picture, Statement

FIELDS = ("dispersion", "energy_offset")
HALF_CHANNEL = 0.5
LEAST_MATCHED, LEAST_WITH_ZERO = 2, 1
"""Edges that must be recognised, and where a zero loss is seen: without it one alone may be any."""
PAST_PLASMON = 2.5
"""Energy of the plasmon, or of what else is lost most, from which on edges are looked for: before it are plasmons that were excited twice."""
FOREIGN = 0.1
"""Weight of the readings in which a single edge is that of an element that the specimen as it was named does not have."""
DISPERSION_RANGE = 3.0
"""Factor by which a plasmon may lie off where the file has it, beyond which the peak is taken for another."""
SHARED = 0.9
"""Correlation of the errors of two edges of one element."""
VERIFY = "Record the zero loss, or two edges of a known specimen (--specimen), at the same settings."
Found = tuple[list[Evidence], list[Gap]]


def energy_axis(counts: np.ndarray, values: Mapping[str, float], elements: frozenset[str], known: Known) -> Found:
    """The energy axis of ``counts`` [channels] by what is seen in them; ``elements`` of the specimen. Gaps where no feature of known energy is."""
    zero = zero_loss(counts)
    if isinstance(zero, str):
        if not elements:
            why = f"{zero}; the specimen is not known, so that no edge has a known energy"
            return [], [Gap(FIELDS, why, VERIFY)]
        edges = _edges(counts, None, values, elements, known)
        return ([], [Gap(FIELDS, edges, VERIFY)]) if isinstance(edges, str) else ([edges], [])
    low, calibrated = _low_loss(counts, zero, values, elements, known)
    edges = _edges(counts, zero, values, elements, known) if elements else "the specimen is not known"
    if not isinstance(edges, str):
        return [low, edges], []
    why = f"only the zero loss has a known energy: {edges}"
    return [low], [] if calibrated else [Gap(("dispersion",), why, VERIFY)]


def past_valence(counts: np.ndarray, zero: Peak) -> int:
    """The channel from which on rises of a spectrum with its ``zero`` loss are edges: behind its plasmons."""
    peak = plasmon(counts, zero)
    behind = EMPTY_WIDTHS * zero.width if peak is None else PAST_PLASMON * (peak.centre - zero.centre)
    return min(max(int(zero.centre + behind), 0), len(counts))


def read_edges(
    counts: np.ndarray, zero: Peak | None, values: Mapping[str, float], elements: frozenset[str]
) -> tuple[list[Rise], list[Match]]:
    """The rises of ``counts`` [channels] that are to be explained, and their readings as edges of ``elements``, likeliest first."""
    first = 0 if zero is None else past_valence(counts, zero)
    seen = [rise._replace(channel=rise.channel + first) for rise in onsets(counts[first:])]
    return match_edges(seen, elements, len(counts), values["dispersion"], values["energy_offset"], zero, first)


def _edges(
    counts: np.ndarray, zero: Peak | None, values: Mapping[str, float], elements: frozenset[str], known: Known
) -> Evidence | str:
    """Evidence of the edges that are seen, or why there is none."""
    rises, readings = read_edges(counts, zero, values, elements)
    readings = [reading._replace(edges=_places(reading.edges)) for reading in readings]
    matched = [edge is not None for edge in readings[0].edges] if readings else []
    if sum(matched) < (LEAST_MATCHED if zero is None else LEAST_WITH_ZERO):
        count = f"{len(rises)} steep rises are" if len(rises) != 1 else "one steep rise is"
        return f"{count} seen, and they are not the edges of {name_of(known)}"
    same = [reading for reading in readings if [edge is not None for edge in reading.edges] == matched]
    if sum(reading.weight for reading in same) < 0.5:
        return f"the rises may be different edges of {name_of(known)}"
    return _evidence(counts, rises, same, values, elements if zero is not None else None)


def _low_loss(
    counts: np.ndarray, zero: Peak, values: Mapping[str, float], elements: frozenset[str], known: Known
) -> tuple[Evidence, bool]:
    """Evidence of the zero loss and the plasmon, and whether the latter tells the dispersion."""
    dispersion = values["dispersion"]
    statements = [Statement("zero loss", {"energy_offset": 1.0, "dispersion": zero.centre}, "linear")]
    means, errors = [0.0], [dispersion * math.hypot(ZERO_ERROR * zero.width, zero.error)]
    tolerance = [HALF_CHANNEL * dispersion]
    words = f"The zero loss is in channel {zero.centre:.2f}, at {values['energy_offset'] + dispersion * zero.centre:.3g} eV of the file's axis."
    calibrated = False
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
            calibrated = True
    parts = (Component(1.0, np.array(means), np.diag(np.square(errors))),)
    picture = _picture(
        counts,
        values,
        "The spectrum with its zero loss",
        [zero.centre, *([peak.centre] if peak and calibrated else [])],
    )
    return Evidence(
        "zero loss",
        "data",
        tuple(statements),
        parts,
        words,
        ("spectrometer",),
        pictures=(picture,),
        tolerance=tuple(tolerance),
    ), calibrated


def _places(edges: tuple[Onset | None, ...]) -> tuple[Onset | None, ...]:
    """Those edges whose place is known: weak ones of other subshells say which rise is which, and no more."""
    return tuple(edge if edge in ONSETS else None for edge in edges)


def _evidence(
    counts: np.ndarray,
    rises: list[Rise],
    readings: list[Match],
    values: Mapping[str, float],
    elements: frozenset[str] | None,
) -> Evidence:
    """The edges' energies in the channels where they are seen; ``elements`` of the specimen where one edge is enough, which may be that of another then."""
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
    if elements is not None and len(used) == 1:
        components = [
            *(dataclasses.replace(part, weight=(1.0 - FOREIGN) * part.weight) for part in components),
            *_foreign(elements, readings[0].dispersion * rises[used[0]].error),
        ]
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


def _foreign(elements: frozenset[str], error: float) -> list[Component]:
    """The readings of one rise, known to ``error`` eV, as the edge of an element that is not one of ``elements``."""
    others = [onset for onset in ONSETS if onset.main and onset.element not in elements]
    return [
        Component(FOREIGN / len(others), np.array([onset.energy]), np.array([[onset.error**2 + error**2]]))
        for onset in others
    ]


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
