"""Which of several structures is it? Errors of the decision by what each technique records of every candidate, where the scan began being unknown."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float

from learn.feasibility.assessment import DOSES
from learn.feasibility.scanned import Detector, Scanned, Unknown, nuisances_of, stacked
from learn.information import Alternative, Case, Decisions

TRIED = 4
"""Places of the scan at which an alternative is compared in full: those where it looks most alike."""


TYPICAL = 1e5
"""Electrons over the window at which alternatives are compared."""


class Candidate(NamedTuple):
    """What is recorded of one structure: the ``scan`` without changes, patterns by even and by odd phonon configurations ``halves`` [2, p, pixels], and the
    ``waves`` [configurations, p, beams] behind it with their ``k`` [beams, 2] in 1/angstrom, p places or 1."""

    scan: Scanned
    halves: Float[np.ndarray, "2 p pixels"] | None
    waves: Complex[np.ndarray, "c q beams"]
    k: Float[np.ndarray, "beams 2"]


class Told(NamedTuple):
    """Probability of a wrong decision (``curve``) at `DOSES` electrons per square angstrom, the ``dose`` for the error asked (inf: never), the ``efficiency``
    (the dose at which no measurement could do better, thermal displacements being known, as a share of it), factors of dose that each unknown ``costs``, and
    images ``perfect`` and ``changed`` [channels, ny, nx] of the two candidates that are most alike, where they imitate one another best, with their difference
    in standard deviations ``sigmas`` at ``dose``; ``pair``: their numbers, ``titles`` their names."""

    curve: Float[np.ndarray, " d"]
    dose: float
    efficiency: float
    costs: dict[str, float]
    perfect: Float[np.ndarray, "c ny nx"]
    changed: Float[np.ndarray, "c ny nx"]
    sigmas: Float[np.ndarray, "c ny nx"]
    pair: tuple[int, int]
    titles: tuple[str, str] | None = None
    inseparable: tuple[str, ...] = ()


def tell_apart(
    candidates: Sequence[Candidate],
    detector: Detector,
    unknown: Unknown,
    error: float,
    cells: int,
    resting: int | None = None,
) -> Told:
    """The decision between ``candidates`` by the counts of ``detector``, over a number of ``cells`` recorded alike.

    ``resting``: the location at which the probe rests (CBED); None where it scans. ``error``: probability of a wrong decision that is asked for.
    """
    cases: list[Case] = []
    aligned: dict[tuple[int, int], int] = {}
    names: tuple[str, ...] = ()
    for number, true in enumerate(candidates):
        alternatives = []
        for other, candidate in enumerate(candidates):
            if other != number:
                location, alternative, names = _nearest(true, candidate, detector, unknown, resting)
                aligned[number, other] = location
                alternatives.append(alternative)
        rates = _counted(true.scan.rates, detector, resting)
        rates = rates / len(rates)
        wrong = (unknown.model * (rates - rates.mean(0, keepdims=True))).ravel()[:, None]
        cases.append(Case(rates.ravel(), tuple(alternatives), detector.readout, wrong))
    decisions, area = Decisions(cases), candidates[0].scan.window.area
    curve = np.array([decisions.error(dose * area * cells) for dose in DOSES])
    electrons = decisions.dose(error)
    dose = electrons / area / cells
    costs = {name: electrons / decisions.known(index).dose(error) for index, name in enumerate(names)}
    limits = {
        pair: _electrons(candidates[pair[0]], candidates[pair[1]], location, error * len(candidates) / 2, resting)
        for pair, location in aligned.items()
    }
    pair = min(aligned, key=lambda pair: _distance(cases[pair[0]], pair))
    images = _images(candidates, pair, aligned[pair], detector, resting)
    sent = (
        (dose if math.isfinite(dose) else DOSES[-1])
        * area
        * cells
        / (1 if resting is not None else len(candidates[0].scan.rates))
    )
    spread = np.sqrt(np.maximum(sent * images[0] + detector.readout, 1e-300))
    sigmas = sent * (images[1] - images[0]) / spread
    return Told(
        curve, dose, max(limits.values()) / electrons if math.isfinite(dose) else 0.0, costs if math.isfinite(dose) else {}, *images, sigmas, pair
    )  # fmt: skip


def _nearest(
    true: Candidate, other: Candidate, detector: Detector, unknown: Unknown, resting: int | None
) -> tuple[int, Alternative, tuple[str, ...]]:
    """The location of the scan at which ``other`` imitates ``true`` best, nuisances fitted along, the alternative there, and the names of the nuisances."""
    rates = _counted(true.scan.rates, detector, resting)
    alternatives = []
    for location in _alike(rates, detector.counted(other.scan.rates), other.scan.window.shape, resting):
        moved = _moved(other, location, resting)
        columns = nuisances_of(moved, detector, unknown)
        priors = np.array([unknown.priors.get(name, np.inf) for name in columns], float)
        difference = ((detector.counted(moved.rates) - rates) / len(rates)).ravel()
        halves = None
        if true.halves is not None and other.halves is not None:
            halves = np.stack([
                (detector.counted(_rolled(after, other.scan.window.shape, location, resting)) - _counted(before, detector, resting)).ravel() / len(rates)
                for before, after in zip(true.halves, other.halves, strict=True)
            ])  # fmt: skip
        alternative = Alternative(difference, stacked(columns, difference.size), priors, halves)
        alternatives.append((location, alternative, tuple(columns)))
    flat = rates.ravel() / len(rates)
    return min(alternatives, key=lambda each: Decisions([Case(flat, (each[1],), detector.readout)]).separation(TYPICAL))


def _alike(rates: np.ndarray, others: np.ndarray, shape: tuple[int, int], resting: int | None) -> list[int]:
    """Places (flat shifts of the scan) at which rates ``others`` [p, c] differ least from ``rates`` [p or 1, c], gain fitted along."""
    variance = np.maximum(rates, 1e-6 * rates.max())
    if resting is not None:
        squares, products = np.square(others) @ (1.0 / variance[0]), others @ (rates[0] / variance[0])
    else:
        squares = _correlated(np.square(others), 1.0 / variance, shape)
        products = _correlated(others, rates / variance, shape)
    misfit = -np.square(products) / squares
    order = np.argsort(misfit.ravel())
    return [int(each) for each in order[:TRIED]]


def _correlated(moving: np.ndarray, fixed: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Sums over places and channels of ``moving`` shifted back by each location times ``fixed``."""
    total = np.zeros((shape[0], shape[1] // 2 + 1), complex)
    for first in range(0, moving.shape[1], 256):
        stacks = [part[:, first : first + 256].reshape(*shape, -1) for part in (moving, fixed)]
        spectra = [np.fft.rfft2(stack, axes=(0, 1)) for stack in stacks]
        total += (spectra[0] * spectra[1].conj()).sum(-1)
    return np.fft.irfft2(total, s=shape)


def _moved(candidate: Candidate, location: int, resting: int | None) -> Scanned:
    scan = candidate.scan
    shape = scan.window.shape
    slopes = {name: _rolled(slope, shape, location, resting) for name, slope in scan.derivatives.items()}
    return scan._replace(rates=_rolled(scan.rates, shape, location, resting), derivatives=slopes)


def _rolled(patterns: np.ndarray, shape: tuple[int, int], location: int, resting: int | None) -> np.ndarray:
    """Patterns [p, ...] of a scan that begins at another ``location``; of a resting probe the one at that location."""
    if resting is not None:
        return patterns[location : location + 1]
    stack = patterns.reshape(*shape, *patterns.shape[1:])
    return np.roll(stack, (-(location // shape[1]), -(location % shape[1])), (0, 1)).reshape(patterns.shape)


def _counted(patterns: np.ndarray, detector: Detector, resting: int | None) -> np.ndarray:
    return detector.counted(patterns if resting is None else patterns[resting : resting + 1])


def _electrons(true: Candidate, other: Candidate, location: int, error: float, resting: int | None) -> float:
    """Electrons over one window with which the best of all measurements decides between two with a probability of ``error`` (Helstrom's bound)."""
    ny, nx = true.scan.window.shape
    before, after, positions = true.waves, other.waves, true.scan.window.positions
    if resting is not None:
        before, after = before[:, resting : resting + 1], after[:, location : location + 1]
        move = positions[location] - positions[resting]
    else:
        move = np.array([location % nx, location // nx]) * np.array(true.scan.window.sides) / np.array([nx, ny])
        if after.shape[1] > 1:
            stack = after.reshape(len(after), ny, nx, -1)
            after = np.roll(stack, (-(location // nx), -(location % nx)), (1, 2)).reshape(after.shape)
    turned = after * np.exp(2j * np.pi * other.k @ move)
    # pure states, each averaged over the configurations that both have
    fidelity = np.abs(np.einsum("cpb,cpb->cp", before.conj(), turned)) / np.sqrt(
        np.einsum("cpb,cpb->cp", before.conj(), before).real * np.einsum("cpb,cpb->cp", turned.conj(), turned).real
    )
    if error >= 0.5:
        return 0.0
    exponent = -2.0 * float(np.mean(np.log(np.clip(fidelity, 1e-300, 1.0))))
    return math.inf if exponent == 0.0 else -math.log1p(-((1.0 - 2.0 * error) ** 2)) / exponent


def _distance(case: Case, pair: tuple[int, int]) -> float:
    """Square of the difference over the variance."""
    index = pair[1] - (pair[1] > pair[0])
    seen = case.rates > 0.0
    return float(np.sum(np.square(case.alternatives[index].difference[seen]) / case.rates[seen]))


def _images(
    candidates: Sequence[Candidate], pair: tuple[int, int], location: int, detector: Detector, resting: int | None
) -> tuple[np.ndarray, np.ndarray]:
    true, other = candidates[pair[0]], candidates[pair[1]]
    shape = (1, 1) if resting is not None else true.scan.window.shape
    first = _counted(true.scan.rates, detector, resting)
    second = detector.counted(_rolled(other.scan.rates, other.scan.window.shape, location, resting))
    return first.T.reshape(-1, *shape), second.T.reshape(-1, *shape)
