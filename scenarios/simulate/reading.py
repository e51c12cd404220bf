"""A simulation's scenario, read strictly: from TOML, with the nearest cure for what cannot be used."""

from pathlib import Path

from scenarios.acquire.scenario import read_toml
from scenarios.io.errors import BadInput
from twin.simulation.plan.reading import AnySimulation, any_from_dict


def read_simulation(path: Path) -> AnySimulation:
    """The simulation in a TOML file; BadInput if there is none, or it cannot be used."""
    values = read_toml(path)
    if values.get("kind") in ("tune-and-map", "replay-titanate"):
        kind = values["kind"]
        raise BadInput(
            str(path), f'key kind: "{kind}" is no simulation', f"Run it with emtwin acquire, which takes {kind}."
        )
    values.setdefault("folder", str(path.resolve().parent))
    return any_from_dict(values, str(path))


def reseeded(plan: AnySimulation, seed: int) -> AnySimulation:
    """``plan`` with another seed; BadInput if it is out of range."""
    return any_from_dict({**plan.as_dict(), "seed": seed}, plan.name)
