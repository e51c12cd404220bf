"""Continuum waves of an atom's potential, normalised per hartree. Hartree atomic units.

The radial equation (`potential`), with energies above 0, is integrated outwards by Numerov's formula on a mesh whose steps are equal in ln r near the nucleus
and short against the wavelength outside. Where the potential and the centrifugal term vary slowly the wave is A zeta^(-1/2) sin(phase) with
zeta^2 = -G + 5/16 (G' / G)^2 - G'' / 4 G, the phase-amplitude solution to second order; two points of the wave give A. A wave per unit of energy has
A^2 = 2 / pi, which holds with relativity too: u = P / sqrt(M) absorbs the factor of the large component.
"""

from typing import NamedTuple

import numpy as np
from scipy.integrate import cumulative_trapezoid

from twin.eels.atoms.solver.potential import Potential

STEP = 1 / 50
"""Step of the mesh coordinate."""
START = 1e-4
"""First radius times Z, bohr."""
FIRST = 1e-140
"""A wave's value there: with l = 40 it grows to 1e100 before it is normalised."""
TAIL = 400
"""Points at the mesh's end among which the two are that give the amplitude, about a radian apart."""
FREE = 6.0
"""-r^2 G at the end from which a wave counts as out of the barrier."""


class Mesh(NamedTuple):
    """Radii with equal steps of a coordinate x: dx / dr = ``density``, and ``bend``, the Schwarzian term of w'' = (r'^2 G + bend) w, u = sqrt(r') w."""

    radii: np.ndarray
    density: np.ndarray
    bend: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """Of integrals over r."""
        return STEP / self.density


def mesh(charge: int, inner: float, inner_wave: float, outer: float, outer_wave: float) -> Mesh:
    """A mesh to the radius ``outer``, for waves of ``inner_wave`` radians per bohr within ``inner`` and of ``outer_wave`` everywhere."""
    rate = STEP / 0.3
    inside, everywhere = inner_wave * rate, outer_wave * rate

    def coordinate(r: np.ndarray) -> np.ndarray:
        return np.log(r) + inside * inner * np.arctan(r / inner) + everywhere * r

    def density(r: np.ndarray) -> np.ndarray:
        return 1 / r + inside / (1 + (r / inner) ** 2) + everywhere

    lowest = START / charge
    ends = coordinate(np.array([lowest, outer]))
    x = ends[0] + STEP * np.arange(int((ends[1] - ends[0]) / STEP) + 2)
    trial = np.geomspace(lowest, 1.2 * outer, 4000)
    r = np.exp(np.interp(x, coordinate(trial), np.log(trial)))
    for _ in range(4):
        r -= (coordinate(r) - x) / density(r)
    nu, part = density(r), inside / (1 + (r / inner) ** 2) ** 2 * 2 / inner**2
    slope = -1 / r**2 - part * r
    second = 2 / r**3 - part * (1 - 4 * (r / inner) ** 2 / (1 + (r / inner) ** 2))
    return Mesh(r, nu, second / (2 * nu**3) - 0.75 * slope**2 / nu**4)


class Continuum(NamedTuple):
    """Waves P [energy, l, r] per sqrt(hartree) and their D = dP/dr - P / r."""

    large: np.ndarray
    slope: np.ndarray


def continuum(potential: Potential, on: Mesh, energies: np.ndarray, largest_l: int, kept: int) -> Continuum:
    """Waves of all ``energies`` (hartree) and l = 0 .. ``largest_l`` on the first ``kept`` radii of the mesh; ``potential`` is given on its radii.

    Waves that have not left the centrifugal barrier at the mesh's end are 0: further in they are smaller still.
    """
    l = np.arange(largest_l + 1)[:, None]  # noqa: E741
    curvature = potential.curvature(energies[:, None])[:, None] + l * (l + 1) / on.radii**2
    waves = _outwards(curvature / on.density**2 + on.bend) / np.sqrt(on.density)
    amplitude = _amplitudes(on, curvature, waves)
    kept += 2  # for the derivative at the last
    mass = potential.mass(energies[:, None])[:, None, :kept]
    large = np.sqrt(2 / np.pi * mass) * waves[..., :kept] / amplitude[..., None]
    slope = on.density[:kept] * np.gradient(large, STEP, axis=-1)
    slope[..., 2:-2] = (large[..., :-4] - 8 * large[..., 1:-3] + 8 * large[..., 3:-1] - large[..., 4:]) / (12 * STEP)
    slope[..., 2:-2] *= on.density[2 : kept - 2]
    return Continuum(large[..., :-2], (slope - large / on.radii[:kept])[..., :-2])


def _outwards(curvature: np.ndarray) -> np.ndarray:
    """w of w'' = ``curvature`` w [energy, l, x], from a power of r at the first radius."""
    scaled = STEP**2 * np.moveaxis(curvature, -1, 0)
    factor = 1 - scaled / 12
    twice = 2 + scaled / factor
    waves = np.empty_like(twice)
    waves[0] = FIRST
    waves[1] = FIRST * np.exp(np.sqrt(scaled[0]))
    for index in range(1, len(waves) - 1):
        np.multiply(twice[index], waves[index], out=waves[index + 1])
        waves[index + 1] -= waves[index - 1]
    return np.moveaxis(waves / factor, 0, -1)


def _amplitudes(on: Mesh, curvature: np.ndarray, waves: np.ndarray) -> np.ndarray:
    """A of waves A zeta^(-1/2) sin(phase) at the mesh's end, [energy, l]; infinite inside the barrier."""
    tail = slice(-min(TAIL, len(on.radii)), None)
    g, waves, density = curvature[..., tail], waves[..., tail], on.density[tail]
    slope = np.gradient(g, STEP, axis=-1) * density
    bend = np.gradient(slope, STEP, axis=-1) * density
    with np.errstate(all="ignore"):
        zeta = np.sqrt(-g + (5 / 16 * slope / g * slope - bend / 4) / g)
        zeta = np.where((g < 0) & np.isfinite(zeta), zeta, 0.0)  # the barrier, before the two points
        phase = cumulative_trapezoid(zeta / density, dx=STEP, axis=-1, initial=0.0)
        last = g.shape[-1] - 4
        apart = np.round(1 / (zeta[..., last] * STEP / density[last]))
        first = last - np.clip(apart, 1, last - 4).astype(int)
        ahead = waves[..., last] * np.sqrt(zeta[..., last])
        behind = np.take_along_axis(waves * np.sqrt(zeta), first[..., None], -1)[..., 0]
        between = phase[..., last] - np.take_along_axis(phase, first[..., None], -1)[..., 0]
        amplitude = np.sqrt(ahead**2 + behind**2 - 2 * ahead * behind * np.cos(between)) / np.abs(np.sin(between))
    outside = -g[..., last] * on.radii[-1] ** 2 > FREE
    return np.where(outside & np.isfinite(amplitude), amplitude, np.inf)
