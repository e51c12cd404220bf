"""Checks of input values. Values under a JAX trace are not known yet and pass."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

Number = float | int | Float[Array, ""]
"""A number that may be differentiated in: a Python number or an array without axes."""
LOWEST_ENERGY, HIGHEST_ENERGY = 1e3, 1e7
"""Electron energies in eV that an electron microscope may have; less is most often a number of kilovolts."""


def require_float64() -> None:
    """ValueError unless JAX has float64 enabled: otherwise JAX computes in float32 without a warning."""
    if not jax.config.read("jax_enable_x64"):
        raise ValueError(
            'JAX is in single precision, and this needs float64; call jax.config.update("jax_enable_x64", True) before anything is computed'
        )


def float64(value: Any) -> Array:
    """``value`` as an array of float64; ValueError where JAX has none (`require_float64`)."""
    require_float64()
    return jnp.asarray(value, jnp.float64)


def known(*values: Any) -> bool:
    """Whether none of ``values`` (scalars, arrays, pytrees of them) is under a JAX trace, so that they can be looked at."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(values))


def require(holds: Any, message: str) -> None:
    """ValueError with ``message`` unless ``holds`` everywhere, which NaN does not."""
    if not bool(np.all(holds)):
        raise ValueError(message)


def finite(name: str, value: Any, cure: str) -> None:
    """ValueError that names ``name`` and the ``cure`` unless every number in ``value`` is finite."""
    if known(value):
        number = np.asarray(value)
        invalid = int(number.size - np.count_nonzero(np.isfinite(number)))
        problem = "is not finite" if number.ndim == 0 else f"has {invalid} values of {number.size} that are not finite"
        require(invalid == 0, f"{name} {problem}; {cure}")


def not_negative(name: str, value: Any, cure: str, unit: str = "") -> None:
    """ValueError unless every number in ``value`` is finite and at least 0."""
    if known(value):
        number = np.asarray(value)
        require(
            np.isfinite(number) & (number >= 0.0), f"{name} is {_brief(number, unit)}, and must not be negative; {cure}"
        )


def positive(name: str, value: Any, cure: str, unit: str = "") -> None:
    """ValueError unless every number in ``value`` is finite and above 0."""
    if known(value):
        number = np.asarray(value)
        require(np.isfinite(number) & (number > 0.0), f"{name} is {_brief(number, unit)}, and must be above 0; {cure}")


def electron_energy(energy: float) -> float:
    """``energy`` in eV; ValueError outside the range of microscopes."""
    if not (math.isfinite(energy) and LOWEST_ENERGY <= energy <= HIGHEST_ENERGY):
        raise ValueError(
            f"electron energy is {energy} eV; give it in electronvolts between {LOWEST_ENERGY:g} and {HIGHEST_ENERGY:g}, e.g. 200e3 for 200 kV"
        )
    return float(energy)


def nodes(name: str, count: int) -> int:
    """A number of quadrature points; ValueError unless it is between 1 and 150, beyond which weights underflow."""
    if not 1 <= count <= 150:
        raise ValueError(f"{name} is {count}; give a number of quadrature points between 1 and 150")
    return count


def _brief(number: np.ndarray, unit: str) -> str:
    shown = str(number) if number.ndim == 0 else f"{number.min()} to {number.max()}"
    return f"{shown} {unit}".rstrip()
