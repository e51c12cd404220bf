"""Closed forms for Glaser's bell-shaped field: the reference of all numerical lens calculations.

With z = centre + a cot phi, k = a b_0 and omega^2 = 1 + k^2 every paraxial ray is x = A sin(omega phi + delta) / sin phi (W. Glaser, Z. Phys. 117, 285,
1941; Hawkes & Kasper, Principles of Electron Optics 2, section 36.3). Lengths in angstrom, angles in radian.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp

from twin import checks
from twin.lenses.fields import GlaserBell, Scalar
from twin.lenses.paraxial import Transfer, from_plane, larmor, phi_of, to_plane


class Excitation(NamedTuple):
    """``k`` = half_width times the Larmor rate at the peak, ``omega`` = sqrt(1 + k^2)."""

    k: float
    omega: float


def excitation(bell: GlaserBell, energy: float) -> Excitation:
    """How strong the lens is for electrons of ``energy`` eV; k^2 is Glaser's lens strength."""
    k = abs(float(larmor(bell.peak, energy)) * float(bell.half_width))
    return Excitation(k, math.hypot(1.0, k))


def transfer(bell: GlaserBell, start: Scalar, end: Scalar, energy: Scalar) -> Transfer:
    """From the plane z = ``start`` to ``end`` (angstrom) in closed form; differentiable by everything."""
    a = checks.float64(bell.half_width)
    rate = larmor(checks.float64(bell.peak), energy) * a  # k, with the field's sign
    omega = jnp.sqrt(1.0 + rate**2)
    phi_start, phi_end = phi_of(bell, start), phi_of(bell, end)
    # in (y, dy/dphi) a ray turns at rate omega
    angle = omega * (phi_end - phi_start)
    c, s = jnp.cos(angle), jnp.sin(angle)
    turn = jnp.stack([jnp.stack([c, s / omega]), jnp.stack([-omega * s, c])])
    return Transfer(to_plane(bell, phi_end) @ turn @ from_plane(bell, phi_start), rate * (phi_start - phi_end))


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
