"""Where to begin a fit: many columns of the prior climb towards the table together, while what a row is forgiven shrinks.

A chain of lenses has many columns that fit some rows, parted by walls where a magnification passes zero. Large errors flatten the walls, and shrinking them
leads most starts to one column: graduated non-convexity (A. Blake & A. Zisserman, Visual Reconstruction, MIT Press, 1987), by damped Gauss-Newton steps.
Rows are weighed as by Student's t, so that a row that lies does not steer. Illumination and imaging, which share no lens but the objective, are sought apart.
"""

from collections.abc import Sequence

import numpy as np

from reconstruct.calibration.evaluation import BLOCK, Evaluation
from reconstruct.calibration.quantities import NAMES, apart, bounded
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
    stated = evaluation.table.std
    damping = np.full(len(u), 1e-2)
    cost = np.zeros(len(u))
    for number, forgiven in enumerate(stages):
        sigma = np.hypot(stated, forgiven)
        gap = _gap(evaluation, u) / sigma
        cost = _cost(gap, u)
        for _ in range(STEPS):
            weight = (FREEDOM + 1) / (FREEDOM + gap**2)
            slopes = _slopes(evaluation, u) / sigma[:, None]
            slopes = np.where(np.isfinite(slopes), slopes, 0.0)
            normal = np.einsum("kn,knp,knq->kpq", weight, slopes, slopes, optimize=True)
            right = np.einsum("kn,knp,kn->kp", weight, slopes, gap, optimize=True) - u
            diagonal = 1.0 + np.einsum("kpp->kp", normal)
            lifted = (
                normal
                + np.eye(evaluation.size)
                + damping[:, None, None] * diagonal[:, :, None] * np.eye(evaluation.size)
            )
            trial = u + np.clip(np.linalg.solve(lifted, right[..., None])[..., 0], -1.0, 1.0)
            there = _gap(evaluation, trial) / sigma
            then = _cost(there, trial)
            better = np.isfinite(then) & (then < cost)
            u, gap = np.where(better[:, None], trial, u), np.where(better[:, None], there, gap)
            cost = np.where(better, then, cost)
            damping = np.clip(np.where(better, damping / 4, damping * 5), 1e-6, 1e6)
        order = np.argsort(cost)
        if number in HALVED and len(u) > BLOCK:
            order = order[: len(u) // 2]
        u, cost, damping = u[order], cost[order], damping[order]
    return u, cost


def _gap(evaluation: Evaluation, u: np.ndarray) -> np.ndarray:
    """Measured less expected [k, n], distances from focus as sines."""
    kind = evaluation.table.kind
    return apart(kind, bounded(kind, evaluation.table.value)[0], bounded(kind, evaluation.values(u))[0])


def _slopes(evaluation: Evaluation, u: np.ndarray) -> np.ndarray:
    found = bounded(evaluation.table.kind, evaluation.values(u), evaluation.slopes(u))[1]
    assert found is not None
    return found


def _cost(gap: np.ndarray, u: np.ndarray) -> np.ndarray:
    found = (FREEDOM + 1) * np.log1p(gap**2 / FREEDOM).sum(axis=-1) + (u**2).sum(axis=-1)
    return np.where(np.isfinite(found), found, np.inf)
