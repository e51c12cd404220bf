"""Axial flux density of round magnetic lenses, B(z) in tesla over z in angstrom: Glaser's bell, other shapes, sums and tables.

A field is a module that is called with positions and is differentiable in its parameters. Every field has a ``centre`` and a ``half_width``,
the length over which it decays, which set the range of integration; Glaser's bell has them as parameters.
"""

import math
from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact
from scipy.interpolate import CubicSpline

from twin import checks

Scalar = float | Float[Array | np.ndarray, ""]
VACUUM_PERMEABILITY = 1.25663706127e-6
"""mu_0 in tesla metre / ampere (CODATA 2022)."""


@runtime_checkable
class AxialField(Protocol):
    """B(z) on the axis of a round lens."""

    @property
    def centre(self) -> Scalar: ...

    @property
    def half_width(self) -> Scalar: ...

    def __call__(self, z: Inexact[Array | np.ndarray, " *n"]) -> Inexact[Array, " *n"]:
        """B in tesla at ``z`` angstrom; complex ``z`` continue it analytically where the field is analytic."""
        ...


class GlaserBell(eqx.Module):
    """Glaser's bell, B = peak / (1 + ((z - centre) / half_width)^2): ``peak`` tesla, the rest angstrom.

    W. Glaser, Z. Phys. 117, 285 (1941). Every first-order property and both axial aberrations have closed forms (`twin.lenses.glaser`).
    """

    peak: Scalar
    half_width: Scalar
    centre: Scalar = 0.0

    def __call__(self, z: Inexact[Array | np.ndarray, " *n"]) -> Inexact[Array, " *n"]:
        return jnp.asarray(self.peak / (1.0 + ((jnp.asarray(z) - self.centre) / self.half_width) ** 2))


class GrivetLenz(eqx.Module):
    """B = peak / cosh((z - centre) / half_width): falls off exponentially, as fields between close pole pieces do.

    P. Grivet, C. R. Acad. Sci. 233, 921 (1951).
    """

    peak: Scalar
    half_width: Scalar
    centre: Scalar = 0.0

    def __call__(self, z: Inexact[Array | np.ndarray, " *n"]) -> Inexact[Array, " *n"]:
        u = (jnp.asarray(z) - self.centre) / self.half_width
        decay = jnp.exp(-jnp.where(u.real < 0, -u, u))  # written so that nothing overflows far from the lens
        return jnp.asarray(self.peak * 2.0 * decay / (1.0 + decay**2))


class Tabulated(eqx.Module):
    """A field as a cubic spline, zero beyond its ends; made by `tabulated`. ``pieces`` [4, n - 1] are polynomials from each of ``positions`` [n] on."""

    positions: Float[np.ndarray, " n"]
    pieces: Float[np.ndarray, "4 m"]
    centre: Scalar
    half_width: Scalar

    def __call__(self, z: Inexact[Array | np.ndarray, " *n"]) -> Inexact[Array, " *n"]:
        z = jnp.asarray(z)
        if jnp.iscomplexobj(z):
            raise ValueError("a tabulated field has no values off the axis; fit a sum of bells to it and trace that")
        positions = jnp.asarray(self.positions)
        piece = jnp.clip(jnp.searchsorted(positions, z, side="right") - 1, 0, len(self.positions) - 2)
        u = z - positions[piece]
        c = jnp.asarray(self.pieces)
        inside = (z >= positions[0]) & (z <= positions[-1])
        return jnp.where(inside, ((c[0][piece] * u + c[1][piece]) * u + c[2][piece]) * u + c[3][piece], 0.0)


def tabulated(positions: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"]) -> Tabulated:
    """A measured or computed field: ``values`` in tesla at rising ``positions`` in angstrom, joined by a cubic spline that is level at its ends."""
    checks.finite("the positions of a field", positions, "give where B was measured, in angstrom")
    checks.finite("the values of a field", values, "give B in tesla at each position")
    if positions.shape != values.shape or len(positions) < 5:
        raise ValueError(
            f"a tabulated field has {len(positions)} positions and {len(values)} values; give as many of one as of the other, 5 or more"
        )
    if not (np.diff(positions) > 0).all():
        raise ValueError("the positions of a tabulated field do not rise throughout; sort them and drop repeats")
    weight = float(np.trapezoid(np.abs(values), positions))
    if not weight > 0:
        raise ValueError("a tabulated field is zero everywhere; a lens without field is a drift, leave it out")
    centre = float(np.trapezoid(np.abs(values) * positions, positions)) / weight
    half_width = weight / (math.pi * float(np.abs(values).max()))  # that of a bell of this peak and integral
    return Tabulated(
        np.asarray(positions, float), CubicSpline(positions, values, bc_type="clamped").c, centre, half_width
    )


class Superposition(eqx.Module):
    """Several fields at once: lenses whose fields reach into each other, or one lens as a sum of bells."""

    parts: tuple[AxialField, ...] = eqx.field(converter=tuple)

    def __check_init__(self):
        if not self.parts:
            raise ValueError("a superposition of no fields; give at least one")

    @property
    def centre(self) -> Scalar:
        return jnp.stack([checks.float64(part.centre) for part in self.parts]).mean()

    @property
    def half_width(self) -> Scalar:
        spread = [jnp.abs(part.centre - self.centre) + part.half_width for part in self.parts]
        return jnp.stack([checks.float64(width) for width in spread]).max()

    def __call__(self, z: Inexact[Array | np.ndarray, " *n"]) -> Inexact[Array, " *n"]:
        total = self.parts[0](z)
        for part in self.parts[1:]:
            total = total + part(z)
        return total


def slope(field: AxialField, z: Float[Array | np.ndarray, " *n"]) -> Float[Array, " *n"]:
    """dB/dz in tesla / angstrom."""
    z = checks.float64(z)
    return jax.jvp(field, (z,), (jnp.ones_like(z),))[1]


def off_axis(
    field: AxialField, r: Float[Array | np.ndarray, " *n"], z: Float[Array | np.ndarray, " *n"], nodes: int = 12
) -> tuple[Float[Array, " *n"], Float[Array, " *n"]]:
    """(B_r, B_z) in tesla at distance ``r`` from the axis and height ``z``, angstrom: the harmonic continuation of the axial field.

    B_z = mean of B(z + i r cos u) over u, B_r = mean of i cos u B(z + i r cos u) (Whittaker & Watson, 18.3): exact up to
    r^(2 nodes - 1), for analytic fields and r below their nearest singularity (a bell's half width).
    """
    cosines = np.cos((np.arange(nodes) + 0.5) * math.pi / nodes)
    along, across = 0.0, 0.0
    for cosine in cosines:
        value = field(jnp.asarray(z) + 1j * cosine * jnp.asarray(r))
        along = along + value.real / nodes
        across = across - (cosine * value.imag) / nodes
    return jnp.asarray(across), jnp.asarray(along)
