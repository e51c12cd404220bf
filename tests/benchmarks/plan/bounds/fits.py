"""Estimates of maximum likelihood of Poisson counts, by Fisher scoring, the model evaluated anew at every step."""

import numpy as np

from tests.benchmarks.plan.bounds.studies import Model

MOST = 20
SETTLED = 1e-3
"""Of a standard deviation, which the last step is shorter than."""


def estimate(model: Model, counts: np.ndarray, electrons: float, start: np.ndarray) -> np.ndarray | None:
    """The parameters of largest likelihood of ``counts`` [places, channels] of ``electrons`` over all places; None where the steps do not settle."""
    values = start.copy()
    for _ in range(MOST):
        rates, slopes = model(values)
        mean = np.maximum(electrons / len(rates) * rates.ravel(), 1e-12)
        jacobian = electrons / len(rates) * slopes.reshape(len(slopes), -1)
        information = (jacobian / mean) @ jacobian.T
        size = np.sqrt(np.diag(information))
        scaled = information / size[:, None] / size
        step = np.linalg.solve(scaled, (jacobian @ ((counts.ravel() - mean) / mean)) / size) / size
        values = values + step
        spread = np.sqrt(np.diag(np.linalg.inv(scaled))) / size
        if np.all(np.abs(step) < SETTLED * spread):
            return values
    return None
