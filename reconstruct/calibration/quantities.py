"""Quantities of a calibration table, each on the scale on which the model's error is about constant.

Lengths and angles that are ratios (camera length, magnification, semi-angle ...) are compared by their logarithms, rotations as angles on the circle, and
distances from focus as the tangent of the angle by which image and pattern mix in the detector's plane: 0 in focus, infinite in the other mode.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin.column.column import Optics

FOCAL = 2.5e7
"""Angstrom. The distance from focus at which image and pattern mix equally: about an objective's focal length."""


class Quantity(NamedTuple):
    """``name`` as in a table, ``unit`` inside, the ``scale`` (log, angle, focus) on which it is compared, and ``of`` the optics."""

    name: str
    unit: str
    scale: str


QUANTITIES: tuple[Quantity, ...] = (
    Quantity("camera_length", "angstrom", "log"),
    Quantity("magnification", "1", "log"),
    Quantity("semi_angle", "radian", "log"),
    Quantity("current", "ampere", "log"),
    Quantity("probe_size", "angstrom", "log"),
    Quantity("image_rotation", "radian", "angle"),
    Quantity("pattern_rotation", "radian", "angle"),
    Quantity("defocus", "angstrom", "focus"),
    Quantity("pattern_defocus", "1/angstrom", "focus"),
    Quantity("probe_defocus", "angstrom", "focus"),
)
NAMES = tuple(definition.name for definition in QUANTITIES)


def quantity(name: str) -> Quantity:
    """The quantity of that name; ValueError if there is none."""
    if name not in NAMES:
        raise ValueError(f"{name!r} is no quantity of a calibration table; the quantities are {', '.join(NAMES)}")
    return QUANTITIES[NAMES.index(name)]


def all_quantities(optics: Optics) -> Float[Array, " q"]:
    """Every quantity of QUANTITIES on its scale."""
    plain = {
        "camera_length": optics.camera_length,
        "magnification": optics.magnification,
        "semi_angle": optics.semi_angle,
        "current": optics.current,
        "probe_size": optics.probe_size,
        "image_rotation": optics.image_rotation,
        "pattern_rotation": optics.pattern_rotation,
        "defocus": -optics.focus / FOCAL,
        "pattern_defocus": -optics.pattern_focus * FOCAL,
        "probe_defocus": -optics.crossover / FOCAL,
    }
    scaled = []
    for definition in QUANTITIES:
        value = plain[definition.name]
        if definition.scale == "log":
            value = jnp.log(value)
        scaled.append(value)
    return jnp.stack(scaled)


def bounded(
    kind: np.ndarray, values: np.ndarray, slopes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Tangents among ``values`` [..., n] of quantities number ``kind`` [n] as sines, which are bounded by 1; their ``slopes`` [..., n, p] likewise."""
    focus = np.array([definition.scale == "focus" for definition in QUANTITIES])[kind]
    norm = np.where(focus, np.sqrt(1.0 + values**2), 1.0)
    return values / norm, None if slopes is None else slopes / norm[..., None] ** 3


def on_scale(name: str, value: float, std: float) -> tuple[float, float]:
    """A measured ``value`` +- ``std`` (inside units) on the scale of its quantity; ValueError where it cannot be such a quantity."""
    definition = quantity(name)
    if not (math.isfinite(value) and math.isfinite(std) and std >= 0):
        raise ValueError(f"{name} is {value} +- {std}; give finite numbers, the second not negative")
    if definition.scale == "log":
        if value <= 0:
            raise ValueError(f"{name} is {value}; it must be above 0")
        return math.log(value), std / value
    if definition.scale == "angle":
        return value, std
    factor = FOCAL if name == "pattern_defocus" else 1 / FOCAL
    return value * factor, std * factor


def off_scale(name: str, value: np.ndarray) -> np.ndarray:
    """The inverse of `on_scale` for values [n]."""
    definition = quantity(name)
    if definition.scale == "log":
        return np.exp(value)
    if definition.scale == "angle":
        return value
    return value / FOCAL if name == "pattern_defocus" else value * FOCAL


def difference(kind: np.ndarray, measured: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """measured - expected [n] on the scales of quantities number ``kind`` [n] of QUANTITIES, angles brought to within half a turn."""
    difference_ = measured - expected
    circular = np.array([definition.scale == "angle" for definition in QUANTITIES])[kind]
    return np.where(circular, (difference_ + math.pi) % (2 * math.pi) - math.pi, difference_)
