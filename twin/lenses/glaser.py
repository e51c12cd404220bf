"""Closed forms of Glaser's bell-shaped field: what everything numerical about lenses is held against.

With z = centre + a cot phi, k = a b_0 and omega^2 = 1 + k^2 every paraxial ray is x = A sin(omega phi + delta) / sin phi (W. Glaser, Z. Phys. 117, 285,
1941; Hawkes & Kasper, Principles of Electron Optics 2, section 36.3). Lengths in angstrom, angles in radian.
"""

import math
from typing import NamedTuple

from twin.lenses.fields import GlaserBell
from twin.lenses.paraxial import larmor


class Excitation(NamedTuple):
    """``k`` = half_width times the Larmor rate at the peak, ``omega`` = sqrt(1 + k^2)."""

    k: float
    omega: float


def excitation(bell: GlaserBell, energy: float) -> Excitation:
    """How strong the lens is for electrons of ``energy`` eV; k^2 is Glaser's lens strength."""
    k = abs(float(larmor(bell.peak, energy)) * float(bell.half_width))
    return Excitation(k, math.hypot(1.0, k))


def matrix(bell: GlaserBell, start: float, end: float, energy: float) -> tuple[list[list[float]], float]:
    """The 2 x 2 matrix of (x, x') from plane ``start`` to ``end`` in the rotating frame, and the rotation on the way."""
    k, omega = excitation(bell, energy)
    a, centre = float(bell.half_width), float(bell.centre)
    before, after = math.atan2(a, start - centre), math.atan2(a, end - centre)
    turn = omega * (before - after)
    c, s = math.cos(turn), math.sin(turn) / omega
    sin1, cos1, sin2, cos2 = math.sin(before), math.cos(before), math.sin(after), math.cos(after)
    # y = x sin phi and u = -dy/dphi = (x' a - x sin cos) / sin turn into each other at rate omega
    y = (sin1 * c - cos1 * s, a * s / sin1)
    u = (-cos1 * c - omega**2 * sin1 * s, a * c / sin1)
    top = [y[0] / sin2, y[1] / sin2]
    bottom = [(y[i] * cos2 + u[i] * sin2) / a for i in range(2)]
    return [top, bottom], k * (before - after)


def real_focus(bell: GlaserBell, energy: float, crossover: int = 1) -> tuple[float, float]:
    """(z, f) of the object that the lens images to infinity with ``crossover - 1`` images in between: the immersed focus, counted from behind.

    ValueError where the lens is too weak to have it.
    """
    _, omega = excitation(bell, energy)
    if crossover >= omega:
        raise ValueError(
            f"a bell of omega {omega:.4g} has no real focus number {crossover}; there are those below omega, excite it more"
        )
    phi = crossover * math.pi / omega
    a = float(bell.half_width)
    return float(bell.centre) + a / math.tan(phi), (-1) ** (crossover + 1) * a / math.sin(phi)


def asymptotic_focus(bell: GlaserBell, energy: float) -> tuple[float, float]:
    """(z, f) of the image focus that rays parallel far before the lens seem to go to, seen from far behind it."""
    _, omega = excitation(bell, energy)
    a, turn = float(bell.half_width), omega * math.pi
    return float(bell.centre) + a * omega / math.tan(turn), -a * omega / math.sin(turn)


def chromatic(bell: GlaserBell, energy: float, crossover: int = 1) -> float:
    """Cc of the object in the real focus ``crossover``, in angstrom; referred to the object, image at infinity."""
    k, omega = excitation(bell, energy)
    z, _ = real_focus(bell, energy, crossover)
    sine = math.sin(math.atan2(float(bell.half_width), z - float(bell.centre)))
    return float(bell.half_width) * crossover * math.pi * k**2 / (2 * omega**3 * sine**2)


def spherical(bell: GlaserBell, energy: float, crossover: int = 1) -> float:
    """Cs of the object in the real focus ``crossover``, in angstrom; referred to the object, image at infinity."""
    k, omega = excitation(bell, energy)
    z, _ = real_focus(bell, energy, crossover)
    phi = math.atan2(float(bell.half_width), z - float(bell.centre))
    swing = 0.5 * math.sin(2 * phi)
    w = 4 * omega**2 - 1
    oscillating = (swing / 8) * (
        1.5 * (1 - k**2) * (3 + 4 / k**2 - 1 / w) + 2 * omega**4 / w - omega**2 * (2 / k**2 - 2 / w)
    )
    return (
        float(bell.half_width)
        * k**2
        / (2 * omega**4 * math.sin(phi) ** 4)
        * (omega * crossover * math.pi / 2 + oscillating)
    )
