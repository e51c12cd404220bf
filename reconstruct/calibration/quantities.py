"""What a calibration table may say of a column, each on the scale on which models err by an even amount.

Lengths and angles that are ratios (camera length, magnification, semi-angle ...) are compared by their logarithms, rotations as angles on the circle, and
distances from focus as the sine of the angle by which image and pattern mix in the detector's plane: 0 in focus, +-1 in the other mode, smooth in between.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin.column.column import Optics

FOCAL = 2.5e7
"""Angstrom. The length at which distances from focus are half image, half pattern: about an objective's focal length."""


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
NAMES = tuple(one.name for one in QUANTITIES)


def quantity(name: str) -> Quantity:
    """The quantity of that name; ValueError if there is none."""
    if name not in NAMES:
        raise ValueError(f"{name!r} is nothing that a column's calibration speaks of; it speaks of {', '.join(NAMES)}")
    return QUANTITIES[NAMES.index(name)]


def all_of(optics: Optics) -> Float[Array, " q"]:
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
    found = []
    for one in QUANTITIES:
        value = plain[one.name]
        if one.scale == "log":
            value = jnp.log(value)
        elif one.scale == "focus":
            value = value / jnp.sqrt(1.0 + value**2)
        found.append(value)
    return jnp.stack(found)


def on_scale(name: str, value: float, std: float) -> tuple[float, float]:
    """A measured ``value`` +- ``std`` (inside units) on the scale of its quantity; ValueError where it cannot be such a quantity."""
    one = quantity(name)
    if not (math.isfinite(value) and math.isfinite(std) and std >= 0):
        raise ValueError(f"{name} is {value} +- {std}; give finite numbers, the second not negative")
    if one.scale == "log":
        if value <= 0:
            raise ValueError(f"{name} is {value}; it must be above 0")
        return math.log(value), std / value
    if one.scale == "angle":
        return value, std
    ratio = value * FOCAL if name == "pattern_defocus" else value / FOCAL
    slope = (FOCAL if name == "pattern_defocus" else 1 / FOCAL) / (1 + ratio**2) ** 1.5
    return ratio / math.sqrt(1 + ratio**2), std * slope


def off_scale(name: str, value: np.ndarray) -> np.ndarray:
    """The inverse of `on_scale` for values [n]; a focus beyond what any distance gives is infinite."""
    one = quantity(name)
    if one.scale == "log":
        return np.exp(value)
    if one.scale == "angle":
        return value
    sine = np.clip(value, -1.0, 1.0)
    with np.errstate(divide="ignore"):
        ratio = sine / np.sqrt(1 - sine**2)
    return ratio / FOCAL if name == "pattern_defocus" else ratio * FOCAL


def apart(kind: np.ndarray, measured: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """measured - expected [n] on the scales of quantities number ``kind`` [n] of QUANTITIES, angles brought to within half a turn."""
    away = measured - expected
    circular = np.array([one.scale == "angle" for one in QUANTITIES])[kind]
    return np.where(circular, (away + math.pi) % (2 * math.pi) - math.pi, away)
