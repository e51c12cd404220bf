"""Atomic physics of inner-shell ionisation: edges, oscillator strengths and cross-sections on an absolute scale.

`edges_of` and `subshell` give the ionisation edges of an element; `differential_cross_section`, `total_cross_section` and
`generalised_oscillator_strength` interpolate a table that ships (``python -m tests.benchmarks.eels.table`` computes it); `transition_potentials`
computes what multislice needs from the same radial waves.
"""

from twin.eels.atoms.cross_sections import (
    differential_cross_section,
    excitation_cross_section,
    total_cross_section,
)
from twin.eels.atoms.edges import Subshell, edges_of, subshell
from twin.eels.atoms.interpolation import generalised_oscillator_strength, ionisation_threshold
from twin.eels.atoms.transitions import TransitionPotentials, transition_potentials

__all__ = [
    "Subshell",
    "differential_cross_section",
    "TransitionPotentials",
    "edges_of",
    "excitation_cross_section",
    "generalised_oscillator_strength",
    "ionisation_threshold",
    "subshell",
    "total_cross_section",
    "transition_potentials",
]
