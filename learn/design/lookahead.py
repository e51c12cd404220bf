"""Which of the next requests to measure: the plan with the least expected loss.

A measurement improves its own request and, through the belief, all later ones. The evolution of a covariance under a plan does not depend on the data
(linear Gaussian), so every plan over the next requests can be evaluated in advance: open-loop A-optimal design on a receding horizon. The loss of an
answer is its expected relative RMS error.
"""

import dataclasses
import functools

import numpy as np


@dataclasses.dataclass(frozen=True)
class Step:
    """One future request. ``transition`` [n, n] and process ``noise`` [n, n] propagate the covariance to it; ``jacobian`` J [p, n] of the image parameters.

    The squared relative error of an answer is ``floor`` + trace(``weight`` J P J^T), at most ``ceiling`` (an image of unknown lattice position);
    ``information`` [p, p] about the image parameters from measuring it, and ``floor_measured`` the floor after that.
    """

    transition: np.ndarray
    noise: np.ndarray
    jacobian: np.ndarray
    weight: np.ndarray
    information: np.ndarray
    floor: float
    floor_measured: float
    ceiling: float

    def error(self, covariance: np.ndarray, floor: float | None = None) -> float:
        """Expected relative RMS error for the state ``covariance`` [n, n]; ``floor``: that after a measurement, None if the request is answered."""
        spread = float(np.vdot(self._sensitivity, covariance))
        return float(np.sqrt(min(spread, self.ceiling) + (self.floor if floor is None else floor)))

    @functools.cached_property
    def _sensitivity(self) -> np.ndarray:
        return self.jacobian.T @ self.weight @ self.jacobian

    def measured(self, covariance: np.ndarray) -> np.ndarray:
        """State covariance after this request was measured."""
        return conditioned(covariance, self.jacobian, self.information)


def conditioned(covariance: np.ndarray, jacobian: np.ndarray, information: np.ndarray) -> np.ndarray:
    """``covariance`` [n, n] of a state after a measurement with ``information`` [p, p] about ``jacobian`` [p, n] times the state."""
    cross = covariance @ jacobian.T
    inside = jacobian @ cross
    root = information @ np.linalg.inv(np.eye(len(inside)) + inside @ information)
    posterior = covariance - cross @ root @ cross.T
    return 0.5 * (posterior + posterior.T)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Least expected loss (sum of relative errors over the steps) if the first step is answered, and if it is measured; and the steps measured in
    the latter plan.
    """

    answer_first: float
    measure_first: float
    measured: tuple[int, ...]

    @property
    def gain(self) -> float:
        return self.answer_first - self.measure_first


def best_plan(covariance: np.ndarray, steps: list[Step], most: int) -> Plan:
    """The best plan with at most ``most`` measurements, for the case that the first request is answered and for that it is measured."""
    answered, _ = _best(covariance, steps, 0, most, first=False)
    measured, chosen = _best(covariance, steps, 0, most, first=True) if most > 0 else (np.inf, ())
    return Plan(answered, measured, chosen)


def _best(
    covariance: np.ndarray, steps: list[Step], number: int, most: int, first: bool | None = None
) -> tuple[float, tuple[int, ...]]:
    """Least loss over ``steps[number:]`` and the steps measured for it; ``first`` fixes what happens at this step."""
    if number == len(steps):
        return 0.0, ()
    step = steps[number]
    here = step.transition @ covariance @ step.transition.T + step.noise
    best: tuple[float, tuple[int, ...]] = (np.inf, ())
    if first is not True:
        loss, later = _best(here, steps, number + 1, most)
        best = (step.error(here) + loss, later)
    if most > 0 and first is not False:
        posterior = step.measured(here)
        loss, later = _best(posterior, steps, number + 1, most - 1)
        loss += step.error(posterior, step.floor_measured)
        if loss < best[0]:
            best = (loss, (number, *later))
    return best
