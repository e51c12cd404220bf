"""`plan`: which exposures to take next, by expected loss reduction per electron."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from learn.design.exposure_design import Exposure
from learn.design.series import Criterion, best_series, gains, inverse, loss
from twin.errors import BadInput
from twin.notebook import table


@dataclasses.dataclass(frozen=True)
class ExposurePlan:
    """Exposures to take: indices ``chosen`` of the candidates, in order; ``gains`` [candidates] per electron of each alone; expected ``loss_before`` and
    ``loss_after``, the ``covariance`` [n, n] after, and the ``electrons`` that are spent."""

    chosen: tuple[int, ...]
    gains: np.ndarray
    loss_before: float
    loss_after: float
    covariance: np.ndarray
    electrons: float

    @property
    def next(self) -> int | None:
        """The exposure to take first; None where none is worth taking."""
        return self.chosen[0] if self.chosen else None

    @property
    def std(self) -> np.ndarray:
        """Expected standard deviations [n] after the exposures."""
        return np.sqrt(np.diag(self.covariance))

    def __repr__(self) -> str:
        return f"<plan {list(self.chosen)}: loss {self.loss_before:.4g} -> {self.loss_after:.4g} for {self.electrons:.4g} electrons>"

    def _repr_html_(self) -> str:
        """The chosen exposures with their gain, and the loss before and after."""
        rows = [
            (str(number), str(index), f"{self.gains[index]:.3g}") for number, index in enumerate(self.chosen, start=1)
        ]
        notes = [
            f"expected loss {self.loss_before:.4g} before, {self.loss_after:.4g} after, for {self.electrons:.4g} electrons"
        ]
        return table("plan of exposures", ("", "candidate", "loss reduction per electron, alone"), rows, notes)


def plan(
    belief: Any,
    candidates: Sequence[Exposure],
    weights: np.ndarray | None = None,
    *,
    count: int | None = None,
    electrons: float | None = None,
    criterion: Criterion = "A",
) -> ExposurePlan:
    """The exposures that lower the expected loss of ``belief`` most per electron, chosen one by one, then exchanged while that helps.

    ``belief``: a covariance [n, n], or anything with one (a measurement, a `Belief`). ``candidates``: what could be taken, each an `Exposure` with its
    ``jacobian`` [p, n] of what it measures with respect to the n quantities, the ``information`` [p, p] about that, and its cost in ``electrons``; one may be
    taken several times. ``weights`` [n, n] of the loss trace(weights covariance) (default: each quantity in units of its present variance); ``criterion`` "D"
    takes the log determinant instead. At most ``count`` exposures (default: 1, or as many as ``electrons`` pay for), for at most ``electrons``.

    For aberrations over an amorphous film, `learn.design.film_design.expected_information` is an exposure's information. `twin.errors.BadInput` (a
    ValueError) naming the input, the problem and the cure. Source: Chaloner & Verdinelli, Stat. Sci. 10, 273 (1995).

    >>> import numpy as np
    >>> focus = Exposure(np.array([[1.0, 0.0]]), np.array([[1.0]]), electrons=1e4)
    >>> both = Exposure(np.eye(2), np.eye(2), electrons=1.5e4)
    >>> plan(np.diag([4.0, 4.0]), [focus, both], count=2)
    <plan [1, 1]: loss 2 -> 0.2222 for 3e+04 electrons>
    """
    covariance = _matrix("belief", getattr(belief, "covariance", belief))
    n = len(covariance)
    if (np.diag(covariance) <= 0.0).any() or np.linalg.eigvalsh(_correlation(covariance)).min() <= 1e-12:
        raise BadInput(
            "belief", "has a covariance that is not positive definite", "Leave out quantities that are exactly known."
        )
    matter = np.diag(1.0 / np.diag(covariance)) if weights is None else _matrix("weights", weights)
    if len(matter) != n:
        raise BadInput("weights", f"are of {len(matter)} quantities, the belief of {n}", f"Give weights [{n}, {n}].")
    if criterion not in ("A", "D"):
        raise BadInput(
            f"criterion = {criterion!r}", "is no criterion of a plan", 'Give "A" (trace) or "D" (determinant).'
        )
    if count is not None and count < 1:
        raise BadInput(f"count = {count}", "is no number of exposures", "Give at least 1.")
    if electrons is not None and not electrons > 0.0:
        raise BadInput(f"electrons = {electrons}", "is no number above zero", "Give what may be spent.")
    informations = [_information(number, exposure, n) for number, exposure in enumerate(candidates)]
    if not informations:
        raise BadInput("candidates", "is empty", "Give at least one exposure that could be taken.")
    costs = np.array([exposure.electrons for exposure in candidates], np.float64)
    budget = math.inf if electrons is None else electrons
    most = count if count is not None else 1 if electrons is None else int(budget / costs.min() * (1.0 + 1e-9))
    chosen = best_series(informations, costs, covariance, matter, criterion, most, budget)
    after = inverse(inverse(covariance) + np.sum([informations[i] for i in chosen], axis=0)) if chosen else covariance
    return ExposurePlan(
        tuple(chosen), gains(informations, costs, covariance, matter, criterion), loss(covariance, matter, criterion),
        loss(after, matter, criterion), after, float(costs[chosen].sum()),
    )  # fmt: skip


def _matrix(name: str, value: Any) -> np.ndarray:
    """A symmetric matrix [n, n] of finite numbers; BadInput for anything else."""
    try:
        matrix: np.ndarray = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        shape = f"has shape {matrix.shape}" if matrix.size else f"is a {type(value).__name__}"
        raise BadInput(
            name, f"{shape}, which is no square matrix", "Give a covariance [n, n], or a measurement that has one."
        )
    if not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T, rtol=1e-6, atol=0.0):
        raise BadInput(name, "is not finite and symmetric", "Give a covariance [n, n] of finite numbers.")
    return 0.5 * (matrix + matrix.T)


def _correlation(covariance: np.ndarray) -> np.ndarray:
    scale = np.sqrt(np.diag(covariance))
    return covariance / np.outer(scale, scale)


def _information(number: int, exposure: Any, n: int) -> np.ndarray:
    """Information [n, n] of a candidate about the quantities; BadInput where it does not fit them."""
    name = f"candidates[{number}]"
    if not isinstance(exposure, Exposure):
        raise BadInput(
            name, f"is a {type(exposure).__name__}", "Give learn.Exposure(jacobian, information, electrons)."
        )
    jacobian, information = np.asarray(exposure.jacobian, np.float64), np.asarray(exposure.information, np.float64)
    if jacobian.ndim != 2 or jacobian.shape[1] != n or information.shape != (len(jacobian), len(jacobian)):
        problem = f"has jacobian {jacobian.shape} and information {information.shape} for {n} quantities"
        raise BadInput(name, problem, f"Give a jacobian [p, {n}] and an information [p, p].")
    if not (np.isfinite(jacobian).all() and np.isfinite(information).all() and exposure.electrons > 0.0):
        raise BadInput(name, "is not finite, or costs no electrons", "Give finite numbers, and electrons above 0.")
    return jacobian.T @ information @ jacobian
