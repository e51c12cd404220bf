"""A simulation's plan out of plain values, read strictly, as the command line and Python both do."""

from typing import Any

from twin.errors import BadInput
from twin.simulation.plan.rules import contradictions
from twin.simulation.plan.strict_reading import convert
from twin.simulation.plan.tables import Simulation


def from_dict(values: dict[str, Any], origin: str) -> Simulation:
    """A Simulation out of plain values; ``origin`` names where they come from. BadInput naming it, the key, the problem and the cure."""
    plan = convert(values, Simulation, origin)
    for key, problem, cure in contradictions(plan):
        raise BadInput(origin, f"key {key}: {problem}", cure)
    return plan
