"""Which edges of known elements the rises of a spectrum are, without trust in its energy axis: all readings, with their plausibility.

Where a zero loss is seen it is one more feature of known energy. One number, the dispersion, is open then: it may be off by any factor, the less probable
the farther (Cauchy, of half width `SLACK` in its logarithm, as shifts of axes without a zero loss are).
"""

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from reconstruct.eels.features import Peak, Rise
from reconstruct.eels.references import ONSETS, Onset
from twin.eels.atoms import edges_of

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
ZERO_ERROR = 0.1
"""Rms by which a zero loss may be off zero, as a share of its width: where zero is put in an asymmetric peak is a choice."""
MINOR_ERROR, MINOR_FROM = 4.0, 50.0
"""Rms in eV by which steps of an element's other subshells are seen off their tabulated energies, and the energy from which they are looked for."""
FREE = 1e3
"""Rms of the logarithm of a dispersion that is open."""


class Match(NamedTuple):
    """A reading: ``edges`` of the rises [n] (None: not explained), ``dispersion`` and ``offset`` in eV, and its ``weight``."""

    edges: tuple[Onset | None, ...]
    dispersion: float
    offset: float
    weight: float


class _Axis(NamedTuple):
    """What is known of the axis of a spectrum: its ``channels``, the ``first`` one from which on rises were looked for, what it states, the ``zero`` loss."""

    channels: int
    first: int
    dispersion: float
    offset: float
    zero: Peak | None

    def starts(self, rise: Rise, onset: Onset) -> list[tuple[float, float, float]]:
        """Dispersions and offsets under which a rise is an edge, and the relative error of such a dispersion."""
        if self.zero is None:
            steps = [factor * self.dispersion for factor in FACTORS]
            return [(step, onset.energy - step * rise.channel, SLACK) for step in steps]
        apart = rise.channel - self.zero.centre
        if apart <= 0.0:
            return []
        step = onset.energy / apart
        return [(step, -step * self.zero.centre, math.hypot(onset.error / onset.energy, rise.error / apart))]

    def cost(self, started: float, dispersion: float, offset: float) -> float:
        """Of a dispersion and an offset that are not as stated, in nats; ``started``: the dispersion that a reading started with."""
        if self.zero is not None:
            return math.log1p((math.log(dispersion / self.dispersion) / SLACK) ** 2)
        factor = FACTOR_COST if abs(started / self.dispersion - 1.0) > 1e-9 else 0.0
        return factor + math.log1p(((offset - self.offset) / SHIFT) ** 2)


def match_edges(
    rises: Sequence[Rise],
    elements: Collection[str],
    channels: int,
    dispersion: float,
    offset: float,
    zero: Peak | None = None,
    first: int = 0,
) -> tuple[list[Rise], list[Match]]:
    """The rises that are to be explained, and readings of them as edges of ``elements`` in a spectrum of ``channels`` whose axis states ``dispersion`` and
    ``offset`` (eV): likeliest first, empty where nothing fits. ``zero``: its zero loss, where it is seen; ``first``: the channel from which on rises were
    looked for."""
    if not rises:
        return [], []
    strongest = min(max(rise.significance for rise in rises), CLEAR)
    kept = [rise for rise in rises if rise.significance > WEAK * strongest]
    known = [onset for onset in ONSETS if onset.element in {*elements, *OFTEN}]
    if zero is not None:  # without one the axis may be moved until they fit anything
        known += [onset for element in sorted(elements) for onset in _minor(element)]
    axis = _Axis(channels, first, dispersion, offset, zero)
    best: dict[tuple[Onset | None, ...], tuple[float, float, float]] = {}
    for rise in kept:
        for onset in known:
            for step, start, slack in axis.starts(rise, onset):
                edges = _assigned(kept, known, step, start, onset.energy, slack)
                score, fitted = _score(kept, edges, known, elements, axis, step, start)
                score -= axis.cost(step, *fitted)
                if edges not in best or score > best[edges][0]:
                    best[edges] = score, *fitted
    if not best:
        return kept, []
    logs = np.array([score for score, _, _ in best.values()])
    shares = softmax(logs)
    readings = [
        Match(edges, fitted[0], fitted[1], float(share))
        for (edges, (_, *fitted)), share in zip(best.items(), shares, strict=True)
        if share > LEAST_WEIGHT
    ]
    return kept, sorted(readings, key=lambda match: -match.weight)


def _minor(element: str) -> list[Onset]:
    """Edges of an element that are not among `ONSETS`: they are seen where counts are many, and are not to be taken for others."""
    listed = [onset.energy for onset in ONSETS if onset.element == element]
    return [
        Onset(element, shell.name, shell.energy, MINOR_ERROR, False)
        for shell in edges_of(element, MINOR_FROM)
        if all(abs(shell.energy - energy) > 2.0 * MINOR_ERROR for energy in listed)
    ]


def _assigned(
    rises: Sequence[Rise], known: Sequence[Onset], dispersion: float, start: float, anchor: float, slack: float
) -> tuple[Onset | None, ...]:
    """The edge of each rise that is nearest within its errors, each edge once, strongest rises first; ``slack``: relative error of the dispersion."""
    taken: set[Onset] = set()
    edges: list[Onset | None] = [None] * len(rises)
    for index in sorted(range(len(rises)), key=lambda index: -rises[index].significance):
        energy = start + dispersion * rises[index].channel
        error = dispersion * rises[index].error
        near = [
            (abs(onset.energy - energy), onset)
            for onset in known
            if onset not in taken
            and abs(onset.energy - energy) < 2.5 * math.hypot(onset.error, error) + slack * abs(energy - anchor)
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
    axis: _Axis,
    dispersion: float,
    start: float,
) -> tuple[float, tuple[float, float]]:
    """How well a reading explains the rises, and its dispersion and offset by least squares with the error of a dispersion."""
    pairs = [(rise, onset) for rise, onset in zip(rises, edges, strict=True) if onset is not None]
    features = [(rise.channel, onset.energy, math.hypot(onset.error, dispersion * rise.error)) for rise, onset in pairs]
    if axis.zero is not None:
        features.append((axis.zero.centre, 0.0, dispersion * math.hypot(ZERO_ERROR * axis.zero.width, axis.zero.error)))
    at, energies, error = np.array(features).T
    slack = SLACK if axis.zero is None else FREE
    residual = energies - start - dispersion * at
    design = np.stack([np.ones(len(at)), at * dispersion], axis=1) / error[:, None]
    precision = design.T @ design + np.diag([1e-12, slack**-2.0])
    move = np.linalg.solve(precision, design.T @ (residual / error))
    misfit = float(((residual / error - design @ move) ** 2).sum() + (move[1] / slack) ** 2)
    dispersion, start = dispersion * (1.0 + float(move[1])), start + float(move[0])
    total = -0.5 * misfit
    for rise, onset in zip(rises, edges, strict=True):
        strength = rise.significance / 5.0
        if strength > STRONGEST:  # with a zero loss the strongest of two rises near an edge is the edge
            strength = STRONGEST + (math.log(strength / STRONGEST) if axis.zero is not None else 0.0)
        total += GAIN * strength if onset is not None else -COST * strength
    margin = 0.05 * (axis.channels - axis.first)
    for onset in known:
        expected = onset.main and onset.element in elements and onset not in edges
        if expected and axis.first + margin < (onset.energy - start) / dispersion < axis.channels - margin:
            total -= UNSEEN
    return total, (dispersion, start)
