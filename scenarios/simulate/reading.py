"""A simulation's scenario, read strictly: from TOML or plain values, with the nearest cure for what cannot be used."""

from pathlib import Path
from typing import Any

from scenarios.acquire.scenario import read_toml
from scenarios.io.errors import BadInput
from scenarios.keys.strict_reading import convert
from twin.simulation.plan.rules import contradictions
from twin.simulation.plan.tables import Simulation


def from_dict(values: dict[str, Any], origin: str) -> Simulation:
    """A Simulation out of plain values; ``origin`` names where they come from. BadInput naming it, the key, the problem and the cure."""
    plan = convert(values, Simulation, origin)
    for key, problem, cure in contradictions(plan):
        raise BadInput(origin, f"key {key}: {problem}", cure)
    return plan


def read_simulation(path: Path) -> Simulation:
    """The simulation in a TOML file; BadInput if there is none, or it cannot be used."""
    values = read_toml(path)
    if values.get("kind") in ("tune-and-map", "replay-titanate"):
        kind = values["kind"]
        raise BadInput(
            str(path), f'key kind: "{kind}" is no simulation', f"Run it with emtwin acquire, which takes {kind}."
        )
    values.setdefault("folder", str(path.resolve().parent))
    return from_dict(values, str(path))


def reseeded(plan: Simulation, seed: int) -> Simulation:
    """``plan`` with another seed; BadInput if it is out of range."""
    return from_dict({**plan.as_dict(), "seed": seed}, plan.name)
