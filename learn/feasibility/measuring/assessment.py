"""To which standard deviation an option measures a quantity, at which dose, and what stands in the way."""

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from learn.feasibility.assessment import DOSES
from learn.feasibility.measuring.sensitivity import Sensitivity
from learn.information import bound, fisher_information

AGREEMENT = 0.5
"""Least share of the information that different frozen phonons must agree on: below it the derivative is taken for their chance."""
_GRID = np.geomspace(1.0, 1e10, 51)
"""Electrons per square angstrom at which information is computed; in between standard deviations follow a power of the dose."""


class Measurement(NamedTuple):
    """Standard deviations (``curve``) at `DOSES` electrons per square angstrom and ``limits``, those of the best of all detectors, all else being known, within
    the angles that are computed; the ``dose`` of the asked one (inf: none suffices, because of the unknowns ``inseparable``, of "phonons", or of the
    "model"'s error); ``efficiency``: dose of the limit as a share of it; ``costs``: how many times more dose each unknown costs, by name; ``information``
    and ``quantum`` of one electron, all else being known; images ``perfect`` and ``changed`` by the asked one [channels, ny, nx], rates for each electron
    on a place, and ``sigmas``: their difference in standard deviations at ``dose``; ``titles`` of the images (None: the usual)."""

    curve: Float[np.ndarray, " d"]
    limits: Float[np.ndarray, " d"]
    dose: float
    efficiency: float
    costs: dict[str, float]
    inseparable: tuple[str, ...]
    information: float
    quantum: float
    perfect: Float[np.ndarray, "c ny nx"]
    changed: Float[np.ndarray, "c ny nx"]
    sigmas: Float[np.ndarray, "c ny nx"]
    titles: tuple[str, str] | None = None


class Informed(NamedTuple):
    """Information of the counts at doses of `_GRID` on c derivatives of the quantity (one of each frozen configuration) and p unknowns, ``matrices``
    [_GRID, c + p, c + p]; ``names`` and ``priors`` of the unknowns."""

    matrices: np.ndarray
    configurations: int
    names: tuple[str, ...]
    priors: np.ndarray


def informed(
    seen: Sensitivity, priors: Mapping[str, float], model: float, area: float, copies: float, own: Collection[str] = ()
) -> Informed:
    """Information of an option whose electrons are spread over ``area`` (angstrom^2), which holds ``copies`` of its window.

    ``priors``: standard deviations of unknowns by the names of the derivatives, and of "gain" (a share) and "background" (of one channel, a share of its mean);
    without one they are free, with 0 known. Names in ``own`` are the quantity itself. ``model``: rms share by which the predicted contrast of each
    count may be wrong, independently, but alike in all copies: it is a variance that counts have besides their own (of a probe at rest the contrast is
    the pattern itself).
    """
    places, configurations = len(seen.rates), len(seen.slopes)
    rates = seen.rates.ravel() / places
    named = {name: each.ravel() / places for name, each in seen.derivatives.items()}
    named["gain"] = rates
    if seen.rates.shape[1] == 1:
        named["background"] = np.full(rates.size, rates.mean())
    names = tuple(name for name in named if name not in own and priors.get(name, math.inf) > 0.0)
    jacobian = np.stack([*(seen.slopes.reshape(configurations, -1) / places), *(named[name] for name in names)], axis=1)
    contrast = seen.rates if places == 1 else np.sqrt(np.mean((seen.rates - seen.rates.mean(0)) ** 2, 0))[None]
    wrong = model * np.broadcast_to(contrast, seen.rates.shape).ravel() / places
    matrices = []
    for dose in _GRID:
        electrons = dose * area
        counted = fisher_information(jacobian, rates, electrons, copies * seen.readout + (electrons * wrong) ** 2)
        if seen.far is not None:
            # what differs between copies: an error of the model that is alike in them cancels
            moved = seen.far.ravel()[:, None] / places
            shifted = fisher_information(moved, rates, electrons, copies * seen.readout)[0, 0]
            counted[:configurations, :configurations] += seen.spread**2 * shifted
        matrices.append(counted)
    widths = np.array([priors.get(name, math.inf) for name in names])
    return Informed(np.array(matrices), configurations, names, widths)


class Reached(NamedTuple):
    """A standard deviation ``std`` (inf where the counts do not determine the quantity), and whether frozen phonons ``agree`` on the derivative."""

    std: float
    agree: bool


def reached(made: Informed, number: int, known: Collection[str] = ()) -> Reached:
    """The least standard deviation of the quantity at a ``number`` of `_GRID`, unknowns estimated along but for those ``known``.

    The Cramer-Rao bound of the mean derivative, over the share of it that different configurations agree on: weights of one are held against the derivative
    of the others, as in `learn.information.detection`. Few configurations therefore make it too large, on average.
    """
    count = made.configurations
    kept = [index for index, name in enumerate(made.names) if name not in known]
    chosen = np.r_[np.arange(count), count + np.array(kept, int)]
    full, priors = made.matrices[number][np.ix_(chosen, chosen)], made.priors[kept]
    mean = np.zeros((1 + len(kept), count + len(kept)))
    mean[0, :count], mean[1:, count:] = 1.0 / count, np.eye(len(kept))
    if not np.any(full[:count, :count]):
        return Reached(math.inf, True)
    try:
        limit = bound(mean @ full @ mean.T, 1, np.r_[math.inf, priors]).std[0]
    except ValueError:
        return Reached(math.inf, True)
    if count == 1:
        return Reached(float(limit), True)
    left = _left(full, count, priors)
    agreement = (left.sum() - np.trace(left)) / (count - 1) / count / left.mean()
    return Reached(float(limit / agreement), True) if agreement > AGREEMENT else Reached(math.inf, False)


def curve_of(made: Informed, known: Collection[str] = ()) -> Float[np.ndarray, " grid"]:
    """`reached` at all doses of `_GRID`, never rising: more electrons need not be used."""
    return np.minimum.accumulate([reached(made, number, known).std for number in range(len(_GRID))])


def _left(full: np.ndarray, count: int, priors: np.ndarray) -> np.ndarray:
    """Information [c, c] of the derivatives of all configurations, less what unknowns imitate."""
    inner = full[count:, count:] + np.diag(np.where(np.isfinite(priors), 1.0 / np.square(priors), 0.0))
    size = np.sqrt(np.maximum(np.diag(inner), 1e-300))
    cross = full[count:, :count] / size[:, None]
    return full[:count, :count] - cross.T @ np.linalg.lstsq(inner / size[:, None] / size, cross, rcond=1e-12)[0]


def dose_of(curve: Float[np.ndarray, " grid"], std: float) -> float:
    """Electrons per square angstrom at which a `curve_of` standard deviations reaches ``std``; inf where it does not."""
    enough = np.flatnonzero(curve <= std)
    if not len(enough):
        return math.inf
    last = int(enough[0])
    if last == 0 or not math.isfinite(curve[last - 1]):
        return float(_GRID[last])
    share = math.log(curve[last - 1] / std) / math.log(curve[last - 1] / curve[last])
    return float(_GRID[last - 1] * (_GRID[last] / _GRID[last - 1]) ** share)


def measurement(
    seen: Sensitivity, priors: Mapping[str, float], model: float, std: float, area: float, copies: float, own: Collection[str] = ()
) -> Measurement:  # fmt: skip
    """How well an option measures a quantity that is asked for to ``std``; see `informed`. ValueError for a ``std`` that is not positive."""
    if not std > 0.0:
        raise ValueError(f"a standard deviation of {std} cannot be reached; give a positive one")
    made = informed(seen, priors, model, area, copies, own)
    exact = made if model == 0.0 else informed(seen, priors, 0.0, area, copies, own)
    curve = curve_of(made)
    dose = dose_of(curve, std)
    doses = {name: dose_of(curve_of(made, [name]), std) for name in made.names}
    doses["model"] = dose_of(curve_of(exact), std)
    costs = {name: dose / other for name, other in doses.items()} if math.isfinite(dose) else {}
    inseparable = () if math.isfinite(dose) else _inseparable(made, exact, doses)
    limits = 1.0 / np.sqrt(np.maximum(seen.quantum * area * DOSES, 1e-300))
    places = len(seen.rates)
    slopes, rates = seen.slopes.mean(0), seen.rates
    alone = fisher_information(slopes.reshape(-1, 1) / places, rates.ravel() / places, 1.0)[0, 0]
    if seen.far is not None:
        alone += (
            seen.spread**2 * fisher_information(seen.far.reshape(-1, 1) / places, rates.ravel() / places, 1.0)[0, 0]
        )
    electrons = (dose if math.isfinite(dose) else DOSES[-1]) * area / copies / places
    spread = np.sqrt(np.maximum(electrons * rates + seen.readout, 1e-300))
    shape = (-1, *seen.window.shape)
    return Measurement(
        _between(curve), limits, dose, 1.0 / (max(seen.quantum, 1e-300) * std**2 * area * dose), costs, inseparable, float(alone), seen.quantum,
        rates.T.reshape(shape), (rates + std * slopes).T.reshape(shape), (electrons * std * slopes / spread).T.reshape(shape),
    )  # fmt: skip


def _between(curve: np.ndarray) -> np.ndarray:
    """A `curve_of` standard deviations at `DOSES`."""
    finite = np.isfinite(curve)
    if not finite.any():
        return np.full(len(DOSES), math.inf)
    values = np.exp(np.interp(np.log(DOSES), np.log(_GRID[finite]), np.log(curve[finite]), left=math.inf))
    return np.asarray(values, np.float64)


def _inseparable(made: Informed, exact: Informed, doses: Mapping[str, float]) -> tuple[str, ...]:
    """What would have to be known for the asked standard deviation: each unknown by itself, else all of them, else nothing would help but phonons."""
    alone = tuple(name for name, dose in doses.items() if math.isfinite(dose))
    if alone:
        return alone
    at_all = [reached(exact, number, made.names) for number in range(len(_GRID))]
    return made.names if any(math.isfinite(each.std) for each in at_all) else ("phonons",)
