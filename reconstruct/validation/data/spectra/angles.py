"""The collection semi-angle by edges of one spectrum that lie far apart, in a specimen of known composition.

An edge of energy E is collected within beta as far as beta exceeds theta_E = E / (p v). So the ratio of two edges, per atom, tells
beta p v: the semi-angle and the high tension in one combination, with the error of the cross-sections of both shells over
|d ln ratio / d ln beta|. At 200 kV and 10 mrad that slope is 0.75 for Si L and Si K, and 0.04 for Ti L and O K, which say nothing. The
convergence semi-angle, where it is the smaller one, moves the former ratio by 0.07 of its own relative error: no evidence on it.

The high tension alone is not told by ratios of edges (slopes of 0.74 and 0.04 of the same two), nor by t/lambda, which stands for a
thickness that is not known. Atoms per area by one edge over the low loss are a thickness again: with a mean free path by formula, known
to 20 %, and a slope of 0.3 the semi-angle is known to a factor of 2.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from reconstruct.eels.core_loss.design import Edge
from reconstruct.eels.core_loss.elements import BEFORE, GROUPS, edges_for
from reconstruct.eels.core_loss.fit import fit_core_loss
from reconstruct.eels.features import Rise, zero_loss
from reconstruct.eels.low_loss.scattering import Recorded, scattering_of
from reconstruct.eels.references import ONSETS
from reconstruct.measurement.eels.core import CROSS_SECTION_ERROR
from reconstruct.measurement.eels.estimator import BACKGROUND_SHARE, LEAST_LOSS
from reconstruct.measurement.measurement import Component
from reconstruct.validation.data.options import Tell
from reconstruct.validation.data.spectra.energy_axis import read_edges
from reconstruct.validation.evidence import Evidence, Gap, Statement
from twin.eels.atoms import differential_cross_section, subshell
from twin.eels.atoms.cross_sections import LARGEST_ANGLE

FIELD = "collection_semiangle"
ANGLES = np.geomspace(1e-3, 0.15, 41)
"""Semi-angles in radian that are possible."""
WINDOW = (20.0, 120.0)
"""Losses above an onset by which ratios are predicted, behind what white lines and bonds do to an edge."""
STEP = 1.02
"""Factor by which the high tension is varied for a slope."""
ORIENTED = 0.1
"""Relative rms by which channelling in a crystal is taken to change the ratio of a deep and a shallow edge."""
WORTHLESS = 0.35
"""Error of the semi-angle's logarithm from which nothing is said: a factor of 2 is two of them."""
LARGEST_MISFIT = 0.1
"""Share of an edge's counts that background and edge may leave."""
BLOCKS = 8
"""Parts of an edge's range in which what is left is summed: single channels have noise."""
RANGES = ((BACKGROUND_SHARE, 3.0), (0.9, 2.0))
"""First and last loss of the fit of an edge, in its onset, as far as the spectrum and the next edge above let it: what the two differ by is an error."""
VERIFY = "Record an edge beyond 1.5 keV and one below 150 eV of one element, or the bright-field disk with the entrance aperture."


class _Candidate(NamedTuple):
    """An edge that may tell the angle: logarithm of its cross-section per atom in `WINDOW` at `ANGLES`, its slope by the logarithm of the high tension at the
    claimed angle, and the relative error of that."""

    edge: Edge
    logs: np.ndarray
    slope: float
    error: float


def angles(
    counts: np.ndarray, values: Mapping[str, float], composition: Mapping[str, float], crystal: bool, tell: Tell
) -> tuple[list[Evidence], list[Gap]]:
    """Evidence on the collection semi-angle, with the high tension, of the mean spectrum ``counts`` [channels] of a specimen of known ``composition``,
    which is a ``crystal`` or not."""
    zero = zero_loss(counts)
    if isinstance(zero, str) or not composition or not {FIELD, "high_tension"} <= set(values):
        return [], []
    if max(values[FIELD], values.get("convergence_semiangle", 0.0)) > LARGEST_ANGLE:
        return [], [
            Gap((FIELD,), "the semi-angles as claimed are too large for cross-sections into an aperture", VERIFY)
        ]
    rises, readings = read_edges(counts, zero, values, frozenset(composition))
    if not readings or not any(readings[0].edges):
        return [], [Gap((FIELD,), "no edges are seen that would tell it", VERIFY)]
    losses = readings[0].dispersion * (np.arange(len(counts)) - zero.centre)
    placed = [rise for rise, edge in zip(rises, readings[0].edges, strict=True) if edge in ONSETS]
    edges = _edges(losses, placed, values, composition)
    oriented = ORIENTED if crystal else 0.0
    pair = _best_pair([_candidate(edge, values) for edge in edges if edge.shaped], values, oriented)
    if isinstance(pair, str):
        return [], [Gap((FIELD,), pair, VERIFY)]
    tell("comparing edges that lie far apart", None)
    step, channels = readings[0].dispersion, len(counts)
    low = Recorded(counts, losses, step * zero.width, np.zeros((0, channels)), np.zeros(0))
    kernel = scattering_of(low, step, float(losses[-1])).kernel
    amounts = [_amount(counts, losses, item.edge, edges, kernel, values.get("gain")) for item in pair]
    labels = [f"{item.edge.element} {item.edge.name}" for item in pair]
    for label, (amount, error) in zip(labels, amounts, strict=True):
        if not (amount > 0.0 and error < LARGEST_MISFIT):
            return [], [
                Gap((FIELD,), f"background and cross-section do not fit {label} to {LARGEST_MISFIT:.0%}", VERIFY)
            ]
    shares = [amount / composition[item.edge.element] for (amount, _), item in zip(amounts, pair, strict=True)]
    errors = [oriented, *(item.error for item in pair), *(error for _, error in amounts)]
    return _evidence(pair, math.log(shares[0] / shares[1]), math.hypot(*errors), values)


def _edges(
    losses: np.ndarray, rises: list[Rise], values: Mapping[str, float], composition: Mapping[str, float]
) -> list[Edge]:
    """All edges of the specimen at ``losses`` [channels], cross-sections at the angles as claimed; those below `LEAST_LOSS` have none."""
    first = int(np.searchsorted(losses, LEAST_LOSS))
    near = [rise._replace(channel=rise.channel - first) for rise in rises]
    beam = values["high_tension"], values[FIELD], values.get("convergence_semiangle", 0.0)
    made = [edge for element in composition for edge in edges_for(element, losses[first:], *beam, near)]
    return [edge._replace(cross_section=np.pad(edge.cross_section, (first, 0))) for edge in made]


def log_ratio(low: str, high: str, high_tension: float, collection: float, convergence: float = 0.0) -> float:
    """Logarithm of the ratio of the cross-sections per atom of two edges ("Si L2,3", "Si K") in `WINDOW`; volt, radian."""
    labels = [edge.split(" ") for edge in (low, high)]
    parts = [_log_section(element, name, high_tension, collection, convergence) for element, name in labels]
    return parts[0] - parts[1]


def _log_section(element: str, name: str, high_tension: float, collection: float, convergence: float) -> float:
    above = np.linspace(*WINDOW, 24)
    shells = [subshell(element, shell) for shell in GROUPS[name]]
    parts = [
        differential_cross_section(shell, shell.energy + above, high_tension, collection, convergence)
        for shell in shells
    ]
    return math.log(float(np.sum(parts)))


def _candidate(edge: Edge, values: Mapping[str, float]) -> _Candidate:
    convergence, tension = values.get("convergence_semiangle", 0.0), values["high_tension"]

    def at(high_tension: float, collection: float) -> float:
        return _log_section(edge.element, edge.name, high_tension, collection, convergence)

    logs = np.array([at(tension, float(angle)) for angle in ANGLES])
    slope = (at(STEP * tension, values[FIELD]) - at(tension / STEP, values[FIELD])) / (2.0 * math.log(STEP))
    return _Candidate(edge, logs, slope, CROSS_SECTION_ERROR[edge.name[0]])


def _best_pair(
    candidates: list[_Candidate], values: Mapping[str, float], oriented: float
) -> tuple[_Candidate, _Candidate] | str:
    """The two edges whose ratio tells the angle best, the lower first, or why none does."""
    candidates = sorted(candidates, key=lambda item: item.edge.onset)
    best: tuple[float, float, float, tuple[_Candidate, _Candidate]] | None = None
    for number, low in enumerate(candidates):
        for high in candidates[number + 1 :]:
            change = abs(_slope(low, high, values))
            error = math.hypot(low.error, high.error, oriented)
            if best is None or error / max(change, 1e-9) < best[0]:
                best = error / max(change, 1e-9), change, error, (low, high)
    if best is None:
        return "one edge alone does not tell it: the thickness is not known"
    ratio, change, error, pair = best
    if ratio < WORTHLESS:
        return pair
    labels = " and ".join(f"{item.edge.element} {item.edge.name}" for item in pair)
    return f"twice the angle changes the ratio of {labels} by {math.expm1(change * math.log(2.0)):.0%}, which is known to {error:.0%}"


def _slope(low: _Candidate, high: _Candidate, values: Mapping[str, float]) -> float:
    """d ln ratio / d ln angle at the angle as claimed."""
    slopes = np.gradient(low.logs - high.logs, np.log(ANGLES))
    return float(np.interp(math.log(values[FIELD]), np.log(ANGLES), slopes))


def _amount(
    counts: np.ndarray, losses: np.ndarray, edge: Edge, edges: list[Edge], kernel: np.ndarray, gain: float | None
) -> tuple[float, float]:
    """Counts of an edge over its cross-section, and the relative error of noise, of what background and edges leave, and of the range."""
    fits = [_fitted(counts, losses, edge, edges, kernel, gain, ends) for ends in RANGES]
    (amount, error), (other, _) = fits
    moved = abs(other - amount) / max(abs(amount), 1e-300)
    return amount, math.hypot(error, moved)


def _fitted(
    counts: np.ndarray,
    losses: np.ndarray,
    edge: Edge,
    edges: list[Edge],
    kernel: np.ndarray,
    gain: float | None,
    ends: tuple[float, float],
) -> tuple[float, float]:
    """The same in a range that ``ends`` there, in onsets."""
    above = [other.onset for other in edges if other.shaped and other.onset > RANGES[1][1] * edge.onset]
    low = max(min(ends[0] * edge.onset, edge.onset - 2.0 * BEFORE), LEAST_LOSS)
    high = min(BACKGROUND_SHARE * min(above, default=math.inf), ends[1] * edge.onset)
    inside = (losses > low) & (losses < high)
    used = [
        other._replace(cross_section=other.cross_section[inside])
        for other in edges
        if low + BEFORE < other.onset < high and (other.cross_section[inside] > 0.0).any()
    ]
    fit = fit_core_loss(counts[None, inside], losses[inside], used, kernel, None, gain)
    theta, covariance = fit.mean()
    index = 2 + fit.design.elements.index(edge.element)
    background, made = (part[0] for part in fit.expected())
    parts = np.array_split(fit.counts[0] - background - made, BLOCKS)
    left = sum(abs(float(part.sum())) for part in parts) / max(float(made.sum()), 1e-300)
    noise = math.sqrt(covariance[index, index]) / max(abs(float(theta[index])), 1e-300)
    return float(theta[index] / fit.design.scale[index - 2]), math.hypot(left, noise)


def _evidence(
    pair: tuple[_Candidate, _Candidate], excess: float, error: float, values: Mapping[str, float]
) -> tuple[list[Evidence], list[Gap]]:
    """By the logarithm of the ratio over what it is at the angle as claimed, ``excess``, and its ``error``."""
    low, high = pair
    logs, places = low.logs - high.logs, np.log(ANGLES)
    claimed = math.log(values[FIELD])
    measured = float(np.interp(claimed, places, logs)) + excess
    fine = np.linspace(places[0], places[-1], 2001)
    density = np.exp(-0.5 * ((np.interp(fine, places, logs) - measured) / error) ** 2)
    density /= max(float(density.sum()), 1e-300)
    mean = float(density @ fine)
    spread = math.sqrt(max(float(density @ (fine - mean) ** 2), 0.0))
    if not 0.0 < spread < WORTHLESS:
        return [], [Gap((FIELD,), "the ratio of the edges tells it to no better than a factor of 2", VERIFY)]
    power = (low.slope - high.slope) / _slope(low, high, values)
    statement = Statement("ratio of edges that lie far apart", {FIELD: 1.0, "high_tension": power})
    part = Component(1.0, np.array([mean + power * math.log(values["high_tension"])]), np.array([[spread**2]]))
    labels = " and ".join(f"{item.edge.element} {item.edge.name}" for item in pair)
    words = (
        f"{labels} have the ratio of a collection semi-angle of {1e3 * math.exp(mean):.3g} mrad ×/÷ {math.exp(spread):.2g} "
        f"at {1e-3 * values['high_tension']:g} kV."
    )
    rests = ("convergence_semiangle",) if "convergence_semiangle" in values else ()
    return [Evidence("ratio of edges", "data", (statement,), (part,), words, ("spectrometer",), rests)], []
