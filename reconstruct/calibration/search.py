"""Starting point of a fit: many draws of the prior are fitted to the table together, with the error of the rows shrinking in stages.

The cost of a chain of lenses has many minima, separated by walls where a magnification passes zero. Large errors flatten the walls, and shrinking them
leads most starts to one minimum: graduated non-convexity (A. Blake & A. Zisserman, Visual Reconstruction, MIT Press, 1987), by damped Gauss-Newton steps.
Rows have Student's t errors, so that outliers have little influence. Illumination and imaging, which share only the objective, are searched separately.
"""

from collections.abc import Sequence

import numpy as np

from reconstruct.calibration.climb import DampedGaussNewton
from reconstruct.calibration.evaluation import BLOCK, Evaluation
from reconstruct.calibration.quantities import NAMES
from reconstruct.calibration.rows import BEAM, Table
from twin.column.column import Column

START_COUNT = 32
STAGE_ERRORS = (0.5, 0.3, 0.2, 0.14, 0.1, 0.07, 0.05, 0.03)
"""Rms error of the model at each stage, on the rows' scales."""
FINAL_STAGE_ERRORS = (0.05, 0.03, 0.02, 0.01)
"""The same for illumination and imaging together."""
HALVING_STAGES = (2, 4)
"""Stages after which the worse half of the starts is dropped."""
MAX_ROUNDS = 4
"""Largest number of sets of starts, until the best minimum was found twice."""
SAME_COST_TOLERANCE = 5.0
"""Costs this close are of one minimum."""
STEPS_PER_STAGE = 5
"""At each stage."""
STUDENT_FREEDOM = 4.0
"""Degrees of freedom of Student's t."""


def starting_point(column: Column, table: Table, generator: np.random.Generator) -> np.ndarray:
    """Unit normals [p] at which a fit of ``column`` to ``table`` should start; the prior's mean is among the candidates."""
    beam = np.isin(table.kind, [NAMES.index(name) for name in BEAM])
    u = np.zeros(sum(constant.std > 0 for constant in column.constants))
    for side in (beam, ~beam):
        if side.any():
            part = table.rows(np.flatnonzero(side))
            evaluation = Evaluation(column, part)
            moving = np.flatnonzero(np.abs(evaluation.slopes(u[None])).max(axis=(0, 1)) > 0)
            best, _ = best_starts(Evaluation(column, part, moving), generator)
            u[moving] = best[0]
    return converge_from(Evaluation(column, table), u[None], FINAL_STAGE_ERRORS)[0][0]


def best_starts(evaluation: Evaluation, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals [k, p] that draws of the prior converge to, and their costs [k] (minus twice a log posterior), the best first."""
    u, cost = np.zeros((0, evaluation.size)), np.zeros(0)
    for _ in range(MAX_ROUNDS):
        starts = generator.standard_normal((START_COUNT, evaluation.size))
        starts[0] *= len(u) > 0
        converged, costs = converge_from(evaluation, starts, STAGE_ERRORS)
        u, cost = np.concatenate([u, converged]), np.concatenate([cost, costs])
        order = np.argsort(cost)
        u, cost = u[order], cost[order]
        if cost[1] - cost[0] < SAME_COST_TOLERANCE:
            break
    return u, cost


def converge_from(evaluation: Evaluation, u: np.ndarray, stages: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """The same from ``u`` [k, p], with the errors of ``stages`` in turn."""
    fit = DampedGaussNewton(evaluation, u, freedom=STUDENT_FREEDOM)
    for number, error in enumerate(stages):
        fit.steps(np.hypot(evaluation.table.std, error), STEPS_PER_STAGE)
        order = np.argsort(fit.cost)
        halved = number in HALVING_STAGES and len(order) > BLOCK
        fit.keep(order[: len(order) // 2] if halved else order)
    return fit.u, fit.cost
