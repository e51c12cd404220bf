"""Units of the Python interface (angstrom, radian, electronvolt) as those of a scenario's keys, and back to plain values."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def mrad(angle: Any) -> Any:
    """Radian as milliradian, an angle or a tuple of them, to 12 digits, so that 0.0213 is the 21.3 that a scenario would say; None stays."""
    if angle is None:
        return None
    if np.ndim(angle):
        return tuple(mrad(part) for part in angle)
    return float(f"{1e3 * float(angle):.12g}")


def kilo(value: float) -> float:
    """Electronvolt as kiloelectronvolt, to 12 digits."""
    return float(f"{1e-3 * value:.12g}")


def plain(value: Any) -> Any:
    """Nested values as a scenario has them: mappings without what is None, sequences as tuples, NumPy's and JAX's numbers as Python's."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, tuple | list):
        return tuple(plain(item) for item in value)
    if isinstance(value, np.ndarray) or (hasattr(value, "tolist") and hasattr(value, "dtype")):
        listed = np.asarray(value).tolist()
        return tuple(plain(item) for item in listed) if isinstance(listed, list) else listed
    return value
