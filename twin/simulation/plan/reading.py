"""A simulation's plan out of plain values, read strictly, as the command line and Python both do."""

import difflib
from typing import Any

from twin.errors import BadInput
from twin.simulation.plan.rules import contradictions
from twin.simulation.plan.spectrum_rules import spectrum_contradictions
from twin.simulation.plan.spectrum_tables import EELS, SpectrumSimulation
from twin.simulation.plan.strict_reading import convert
from twin.simulation.plan.tables import SIGNALS, Simulation

AnySimulation = Simulation | SpectrumSimulation


def from_dict(values: dict[str, Any], origin: str) -> Simulation:
    """A Simulation out of plain values; ``origin`` names where they come from. BadInput naming it, the key, the problem and the cure."""
    plan = convert(values, Simulation, origin)
    for key, problem, cure in contradictions(plan):
        raise BadInput(origin, f"key {key}: {problem}", cure)
    return plan


def spectrum_from_dict(values: dict[str, Any], origin: str) -> SpectrumSimulation:
    """The same of an energy-loss spectrum."""
    plan = convert(values, SpectrumSimulation, origin)
    for key, problem, cure in spectrum_contradictions(plan):
        raise BadInput(origin, f"key {key}: {problem}", cure)
    return plan


def any_from_dict(values: dict[str, Any], origin: str) -> AnySimulation:
    """The simulation of the signal that ``values`` ask for; see `from_dict`."""
    signal, signals = values.get("signal"), (*SIGNALS, EELS)
    if isinstance(signal, str) and signal not in signals:
        near = difflib.get_close_matches(signal.lower(), signals, 1, 0.5)
        listed = ", ".join(f'"{name}"' for name in signals)
        cure = f'Did you mean "{near[0]}"?' if near else "Its meaning: what is computed."
        raise BadInput(origin, f'key signal: is "{signal}", and must be one of {listed}', cure)
    return spectrum_from_dict(values, origin) if signal == EELS else from_dict(values, origin)
