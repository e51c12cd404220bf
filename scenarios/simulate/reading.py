"""A simulation's scenario, read strictly: from TOML or plain values, with the nearest cure for what cannot be used."""

import difflib
from pathlib import Path
from typing import Any

import msgspec

from scenarios.errors import BadInput
from scenarios.scenario import read_toml, refuse_nonfinite
from scenarios.simulate.plan import SIGNALS, TABLES, Simulation
from scenarios.simulate.rules import contradictions


def from_dict(values: dict[str, Any], origin: str) -> Simulation:
    """A Simulation out of plain values; ``origin`` names where they come from. BadInput naming it, the key, the problem and the cure."""
    refuse_nonfinite(values, origin, "")
    try:
        plan = msgspec.convert(values, Simulation, strict=True)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at ")
        key = path.strip("`").removeprefix("$").lstrip(".")
        raise BadInput(origin, f"{f'key {key}: ' if key else ''}{problem}", _cure(problem, key)) from None
    for key, problem, cure in contradictions(plan):
        raise BadInput(origin, f"key {key}: {problem}", cure)
    return plan


def read_simulation(path: Path) -> Simulation:
    """The simulation in a TOML file; BadInput if there is none, or it cannot be used."""
    values = read_toml(path)
    if values.get("kind") != "simulate":
        raise BadInput(
            str(path), f"key kind: {values.get('kind')!r} is no simulation", 'Give kind = "simulate" and a signal.'
        )
    values.setdefault("folder", str(path.resolve().parent))
    return from_dict(values, str(path))


def reseeded(plan: Simulation, seed: int) -> Simulation:
    """``plan`` with another seed; BadInput if it is out of range."""
    return from_dict({**plan.as_dict(), "seed": seed}, plan.name)


def _cure(problem: str, key: str) -> str:
    """What to do about a message of msgspec's: the nearest name there is, or a value of the right kind."""
    wrong = problem.partition("`")[2].rstrip("`")
    if "unknown field" in problem:
        place = key.partition("[")[0]
        names = [name for table in TABLES.get(place, ()) for name in table.__struct_fields__ if name != "folder"]
        near = difflib.get_close_matches(wrong, names, 1, 0.6)
        if near:
            return f"Did you mean {near[0]}?"
        elsewhere = [
            table or "the top" for table, kinds in TABLES.items() for kind in kinds if wrong in kind.__struct_fields__
        ]
        return (
            f"It belongs to {elsewhere[0]}." if elsewhere else f"The keys here are {', '.join(dict.fromkeys(names))}."
        )
    if "missing required field" in problem:
        return f"Add {wrong}{f' to [{key}]' if key else ''}."
    if "nvalid value" in problem or "nvalid enum" in problem:
        kinds = {
            "signal": SIGNALS,
            "kind": ("annular", "segmented", "pixelated") if "detectors" in key else ("simulate",),
        }
        return (
            f"Give one of {', '.join(kinds[key.rpartition('.')[2]])}."
            if key.rpartition(".")[2] in kinds
            else "Give one of its values."
        )
    return "Give a value of that type and range."
