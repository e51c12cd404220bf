"""Where to begin a fit: many columns of the prior climb towards the table together, while what a row is forgiven shrinks.

A chain of lenses has many columns that fit some rows, parted by walls where a magnification passes zero. Large errors flatten the walls, and shrinking them
leads most starts to one column: graduated non-convexity (A. Blake & A. Zisserman, Visual Reconstruction, MIT Press, 1987), by damped Gauss-Newton steps.
Rows are weighed as by Student's t, so that a row that lies does not steer. Illumination and imaging, which share no lens but the objective, are sought apart.
"""

from collections.abc import Sequence

import numpy as np

from reconstruct.calibration.climb import Climb
from reconstruct.calibration.evaluation import BLOCK, Evaluation
from reconstruct.calibration.quantities import NAMES
from reconstruct.calibration.rows import BEAM, Table
from twin.column.column import Column

STARTS = 32
FORGIVEN = (0.5, 0.3, 0.2, 0.14, 0.1, 0.07, 0.05, 0.03)
"""Rms error of the column's form at each stage, on the rows' scales."""
POLISHED = (0.05, 0.03, 0.02, 0.01)
"""The same for both sides together."""
HALVED = (2, 4)
"""Stages after which the worse half of the starts is dropped."""
ROUNDS = 4
"""So many sets of starts are tried until the best place was come to twice."""
SAME = 5.0
"""Costs this close are of one place."""
STEPS = 5
"""At each stage."""
FREEDOM = 4.0
"""Degrees of freedom of Student's t."""


def sought(column: Column, table: Table, generator: np.random.Generator) -> np.ndarray:
    """Unit normals [p] from which a fit of ``column`` to ``table`` should set out; the prior's mean is one of those that were tried."""
    beam = np.isin(table.kind, [NAMES.index(name) for name in BEAM])
    u = np.zeros(sum(one.std > 0 for one in column.constants))
    for side in (beam, ~beam):
        if side.any():
            part = table.rows(np.flatnonzero(side))
            tried = Evaluation(column, part)
            moving = np.flatnonzero(np.abs(tried.slopes(u[None])).max(axis=(0, 1)) > 0)
            found, _ = climbed(Evaluation(column, part, moving), generator)
            u[moving] = found[0]
    return climbed_from(Evaluation(column, table), u[None], POLISHED)[0][0]


def climbed(evaluation: Evaluation, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals [k, p] that draws of the prior come to, and their costs [k] (minus twice a log posterior), the best first."""
    u, cost = np.zeros((0, evaluation.size)), np.zeros(0)
    for _ in range(ROUNDS):
        begun = generator.standard_normal((STARTS, evaluation.size))
        begun[0] *= len(u) > 0
        found, costs = climbed_from(evaluation, begun, FORGIVEN)
        u, cost = np.concatenate([u, found]), np.concatenate([cost, costs])
        order = np.argsort(cost)
        u, cost = u[order], cost[order]
        if cost[1] - cost[0] < SAME:
            break
    return u, cost


def climbed_from(evaluation: Evaluation, u: np.ndarray, stages: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """The same from ``u`` [k, p], with the errors of ``stages`` in turn."""
    climb = Climb(evaluation, u, freedom=FREEDOM)
    for number, forgiven in enumerate(stages):
        climb.steps(np.hypot(evaluation.table.std, forgiven), STEPS)
        order = np.argsort(climb.cost)
        halved = number in HALVED and len(order) > BLOCK
        climb.keep(order[: len(order) // 2] if halved else order)
    return climb.u, climb.cost
