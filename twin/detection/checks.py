"""Refusals that detectors, cameras and scans share. Values that JAX traces pass: they have no value yet."""

from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

Number = float | int | Float[Array, ""]
"""A number that may be differentiated in: a Python number or an array without axes."""


def known(*values: Any) -> bool:
    """Whether none of ``values`` is traced, so that they can be looked at."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(values))


def require(holds: Any, message: str) -> None:
    """ValueError with ``message`` unless ``holds``, which NaN does not."""
    if not bool(np.all(holds)):
        raise ValueError(message)


def require_positive(value: Any, name: str, unit: str, cure: str) -> None:
    """ValueError unless every ``value`` is finite and above zero."""
    if known(value):
        number = np.asarray(value)
        require(np.isfinite(number) & (number > 0.0), f"{name} is {_brief(number)} {unit}; {cure}")


def require_not_negative(value: Any, name: str, unit: str, cure: str) -> None:
    """ValueError unless every ``value`` is finite and at least zero."""
    if known(value):
        number = np.asarray(value)
        require(np.isfinite(number) & (number >= 0.0), f"{name} is {_brief(number)} {unit}; {cure}")


def require_finite(value: Any, name: str, cure: str) -> None:
    """ValueError if any ``value`` is NaN or infinite."""
    if known(value):
        number = np.asarray(value)
        wrong = int(np.size(number) - np.count_nonzero(np.isfinite(number)))
        require(wrong == 0, f"{name} has {wrong} values that are not finite of {np.size(number)}; {cure}")


def _brief(number: np.ndarray) -> str:
    return str(number) if number.ndim == 0 else f"{number.min()} to {number.max()}"
