"""A simulation's scenario, read strictly: from TOML, with the nearest cure for what cannot be used."""

from pathlib import Path
from typing import TypeVar, cast

from scenarios.acquire.scenario import KINDS, read_toml
from scenarios.io.errors import BadInput
from twin.simulation.plan.reading import AnySimulation, any_from_dict

Plan = TypeVar("Plan", bound=AnySimulation)


def read_simulation(path: Path) -> AnySimulation:
    """The simulation in a TOML file; BadInput if there is none, or it cannot be used."""
    values = read_toml(path)
    if values.get("kind") in KINDS:
        kind = values["kind"]
        raise BadInput(
            str(path), f'key kind: "{kind}" is no simulation', f"Run it with emtwin acquire, which takes {kind}."
        )
    values.setdefault("folder", str(path.resolve().parent))
    return any_from_dict(values, str(path))


def reseeded(plan: Plan, seed: int) -> Plan:
    """``plan`` with another seed; BadInput if it is out of range."""
    return cast(Plan, any_from_dict({**plan.as_dict(), "seed": seed}, plan.name))
