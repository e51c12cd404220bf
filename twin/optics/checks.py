"""What a number must be before anything is computed with it. Values under a JAX trace have no number yet and pass."""

import math
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

LOWEST, HIGHEST = 1e3, 1e7
"""Electron energies in eV that an electron microscope may have; less is most often a number of kilovolts."""


def concrete(*values: Any) -> bool:
    """Whether none of ``values`` (scalars, arrays, pytrees of them) is under a JAX trace."""
    return not any(isinstance(leaf, Tracer) for value in values for leaf in jax.tree.leaves(value))


def finite(name: str, value: Any, cure: str) -> None:
    """ValueError that names ``name`` and the ``cure`` unless every number in ``value`` is finite."""
    if concrete(value) and not np.all(np.isfinite(np.asarray(value))):
        raise ValueError(f"{name} has a value that is not finite; {cure}")


def not_negative(name: str, value: Any, cure: str) -> None:
    """ValueError unless every number in ``value`` is finite and at least 0."""
    finite(name, value, cure)
    if concrete(value) and np.any(np.asarray(value) < 0.0):
        raise ValueError(f"{name} is {value}, and must not be negative; {cure}")


def positive(name: str, value: Any, cure: str) -> None:
    """ValueError unless every number in ``value`` is finite and above 0."""
    finite(name, value, cure)
    if concrete(value) and np.any(np.asarray(value) <= 0.0):
        raise ValueError(f"{name} is {value}, and must be above 0; {cure}")


def electron_energy(energy: float) -> float:
    """``energy`` in eV; ValueError outside what a microscope may have."""
    if not (math.isfinite(energy) and LOWEST <= energy <= HIGHEST):
        raise ValueError(
            f"electron energy is {energy} eV; give it in electronvolts between {LOWEST:g} and {HIGHEST:g}, e.g. 200e3 for 200 kV"
        )
    return float(energy)


def nodes(name: str, count: int) -> int:
    """A number of quadrature points; ValueError unless it is between 1 and 150, beyond which weights underflow."""
    if not 1 <= count <= 150:
        raise ValueError(f"{name} is {count}; give a number of quadrature points between 1 and 150")
    return count
