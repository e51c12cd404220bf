"""Which edges of known elements the rises of a spectrum are, without trust in its energy axis: all readings, with their plausibility."""

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from reconstruct.eels.features import Rise
from reconstruct.eels.references import ONSETS, Onset

FACTORS = (1.0, 0.5, 2.0, 0.25, 4.0, 0.1, 10.0)
"""Factors on the stated dispersion that are tried: binnings and units."""
FACTOR_COST, SHIFT = 5.0, 20.0
"""Cost of another factor than 1, and the half width in eV of the (Cauchy) distribution of shifts of energy axes."""
SLACK = 0.04
"""Relative error (log, rms) of a dispersion apart from such factors."""
WEAK, CLEAR = 0.2, 30.0
"""Share of the strongest rise's significance from which rises are to be explained, and the significance from which any is."""
GAIN, COST, UNSEEN, STRONGEST = 1.5, 0.8, 1.5, 4.0
"""What a rise that is (not) explained counts, times its significance over 5 and at most `STRONGEST`; and what an edge costs that should be seen."""
LEAST_WEIGHT = 3e-3
OFTEN = ("C", "O")
"""Elements that are on most specimens."""


class Match(NamedTuple):
    """A reading: ``edges`` of the rises [n] (None: not explained), ``dispersion`` and ``offset`` in eV, and its ``weight``."""

    edges: tuple[Onset | None, ...]
    dispersion: float
    offset: float
    weight: float


def match_edges(
    rises: Sequence[Rise], elements: Collection[str], channels: int, dispersion: float, offset: float
) -> tuple[list[Rise], list[Match]]:
    """The rises that are to be explained, and readings of them as edges of ``elements`` in a spectrum of ``channels`` whose axis states ``dispersion`` and
    ``offset`` (eV): likeliest first, empty where nothing fits."""
    if not rises:
        return [], []
    strongest = min(max(rise.significance for rise in rises), CLEAR)
    kept = [rise for rise in rises if rise.significance > WEAK * strongest]
    known = [onset for onset in ONSETS if onset.element in {*elements, *OFTEN}]
    best: dict[tuple[Onset | None, ...], tuple[float, float, float]] = {}
    for factor in FACTORS:
        for rise in kept:
            for onset in known:
                start = onset.energy - factor * dispersion * rise.channel
                edges = _assigned(kept, known, factor * dispersion, start, onset.energy)
                score, fitted = _score(kept, edges, known, elements, channels, factor * dispersion, start)
                score -= (FACTOR_COST if factor != 1.0 else 0.0) + math.log1p(((fitted[1] - offset) / SHIFT) ** 2)
                if edges not in best or score > best[edges][0]:
                    best[edges] = score, *fitted
    logs = np.array([score for score, _, _ in best.values()])
    shares = softmax(logs)
    readings = [
        Match(edges, fitted[0], fitted[1], float(share))
        for (edges, (_, *fitted)), share in zip(best.items(), shares, strict=True)
        if share > LEAST_WEIGHT
    ]
    return kept, sorted(readings, key=lambda match: -match.weight)


def _assigned(
    rises: Sequence[Rise], known: Sequence[Onset], dispersion: float, start: float, anchor: float
) -> tuple[Onset | None, ...]:
    """The edge of each rise that is nearest within its errors, each edge once, strongest rises first."""
    taken: set[Onset] = set()
    edges: list[Onset | None] = [None] * len(rises)
    for index in sorted(range(len(rises)), key=lambda index: -rises[index].significance):
        energy = start + dispersion * rises[index].channel
        error = dispersion * rises[index].error
        near = [
            (abs(onset.energy - energy), onset)
            for onset in known
            if onset not in taken
            and abs(onset.energy - energy) < 2.5 * math.hypot(onset.error, error) + SLACK * abs(energy - anchor)
        ]
        if near:
            edges[index] = min(near)[1]
            taken.add(min(near)[1])
    return tuple(edges)


def _score(
    rises: Sequence[Rise],
    edges: Sequence[Onset | None],
    known: Sequence[Onset],
    elements: Collection[str],
    channels: int,
    dispersion: float,
    start: float,
) -> tuple[float, tuple[float, float]]:
    """How well a reading explains the rises, and its dispersion and offset by least squares with the error of a dispersion."""
    pairs = [(rise, onset) for rise, onset in zip(rises, edges, strict=True) if onset is not None]
    at = np.array([rise.channel for rise, _ in pairs])
    error = np.array([math.hypot(onset.error, dispersion * rise.error) for rise, onset in pairs])
    residual = np.array([onset.energy for _, onset in pairs]) - start - dispersion * at
    design = np.stack([np.ones(len(at)), at * dispersion], axis=1) / error[:, None]
    precision = design.T @ design + np.diag([1e-12, SLACK**-2.0])
    move = np.linalg.solve(precision, design.T @ (residual / error))
    misfit = float(((residual / error - design @ move) ** 2).sum() + (move[1] / SLACK) ** 2)
    dispersion, start = dispersion * (1.0 + float(move[1])), start + float(move[0])
    total = -0.5 * misfit
    for rise, onset in zip(rises, edges, strict=True):
        strength = min(rise.significance / 5.0, STRONGEST)
        total += GAIN * strength if onset is not None else -COST * strength
    margin = 0.05 * channels
    for onset in known:
        expected = onset.main and onset.element in elements and onset not in edges
        if expected and margin < (onset.energy - start) / dispersion < channels - margin:
            total -= UNSEEN
    return total, (dispersion, start)
