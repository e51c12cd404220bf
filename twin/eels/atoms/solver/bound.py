"""Bound states of a central potential on a logarithmic grid. Hartree atomic units.

On x = ln r with u = sqrt(r) w the radial equation (`potential`) is w'' = (r^2 G + 1/4) w. Numerov's formula makes it a tridiagonal system
T(E) z = 0, not linear in E. Newton's method on its Rayleigh quotient finds E to machine precision in two or three steps, and the number of
negative pivots of T(E) is the number of states below E (the nodes of the wave): by it the state is bracketed, and proved to be the one asked for.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_banded

from twin.eels.atoms.solver.potential import Potential

NEWTON = 60
"""Steps after which an eigenvalue counts as not found."""
DEEPEST = 3.0
"""Largest h^2 (r^2 G + 1/4): beyond, a wave is less than exp(-100) of its maximum, and Numerov's formula has no meaning above 12."""


class Wave(NamedTuple):
    """A bound state: ``energy`` (hartree); P(r) and D = dP/dr - P / r on the radii. The norm of large and small components is 1 (`density`)."""

    energy: float
    large: np.ndarray
    slope: np.ndarray


def grid(charge: int, largest: float, step: float = 1 / 80) -> np.ndarray:
    """Radii from 1e-5 / Z to ``largest`` bohr, equal steps in ln r."""
    lowest = np.log(1e-5 / charge)
    return np.exp(np.arange(lowest, np.log(largest) + step, step))


def _system(potential: Potential, l: int, energy: float) -> tuple[np.ndarray, np.ndarray]:  # noqa: E741
    """Diagonal of T(E), whose other entries are -1, and the factor of z = (1 - h^2 (r^2 G + 1/4) / 12) w."""
    step = np.log(potential.radii[1] / potential.radii[0])
    scaled = step**2 * (potential.radii**2 * potential.curvature(energy) + l * (l + 1) + 0.25)
    scaled = np.minimum(scaled, DEEPEST)
    factor = 1 - scaled / 12
    diagonal = 2 + scaled / factor
    diagonal[0] -= np.exp(-np.sqrt(max(scaled[0], 0.0)))  # below the grid w grows as a power of r
    return diagonal, factor


def _below(potential: Potential, l: int, energy: float) -> int:  # noqa: E741
    """Number of states below ``energy``."""
    count, pivot = 0, np.inf
    for entry in _system(potential, l, energy)[0].tolist():
        pivot = (entry - 1 / pivot) or 1e-300
        count += pivot < 0
    return count


def _bisected(potential: Potential, l: int, index: int) -> float | None:  # noqa: E741
    """The energy to a thousandth, by bisection of the number of states below; None where fewer than ``index`` + 1 states fit on the grid."""
    low, high = 2 * float(potential.product[0]) ** 2, 1.2 / float(potential.radii[-1])
    if _below(potential, l, -high) <= index:
        return None
    while low > 1.001 * high:
        middle = float(np.sqrt(low * high))
        if _below(potential, l, -middle) <= index:
            low = middle
        else:
            high = middle
    return -float(np.sqrt(low * high))


def bound_state(potential: Potential, n: int, l: int, near: float | None = None) -> Wave | None:  # noqa: E741
    """The state ``n`` ``l``; ``near``: its energy if it is known roughly.

    None where there is no such state whose wave ends on the grid (energy below -1.2 / largest radius).
    """
    index, energy = n - l - 1, near
    for start in (near, None):
        energy = _bisected(potential, l, index) if start is None else start
        if energy is None:
            return None
        wave = _newton(potential, l, energy)
        if wave is not None and _is_state(potential, l, index, wave.energy):
            return wave
    raise ArithmeticError(f"no eigenvalue of {n}{'spdfghiklm'[l]} found near {energy} hartree")


def _is_state(potential: Potential, l: int, index: int, energy: float) -> bool:  # noqa: E741
    """Whether ``energy`` is that of the state with ``index`` states below it."""
    return [_below(potential, l, energy * f) for f in (1 + 1e-8, 1 - 1e-8)] == [index, index + 1]


def _newton(potential: Potential, l: int, energy: float) -> Wave | None:  # noqa: E741
    radii = potential.radii
    bands = np.full((3, radii.size), -1.0)
    reach = np.sqrt(-2 * energy) * radii
    vector = np.exp(-np.minimum(reach, 200.0) / 2) * np.minimum(reach, 1.0) ** (l + 0.5)
    for step in range(NEWTON):
        bands[1], factor = _system(potential, l, energy)
        if step > 1:
            delta = 1e-6 * abs(energy)
            ahead, behind = (_system(potential, l, energy + d)[0] for d in (delta, -delta))
            slope = vector @ ((ahead - behind) * vector) / (2 * delta)
            change = -(vector @ (bands[1] * vector) - 2 * vector[1:] @ vector[:-1]) / slope
            energy += float(change)
            if not energy < 0:
                return None
            if abs(change) < 1e-11 * abs(energy):
                return _normalised(potential, l, energy, np.sqrt(radii) * vector / factor)
            bands[1], factor = _system(potential, l, energy)
        bands[1] *= 1 + 1e-15  # not singular at the eigenvalue itself
        # T has r^2 as its weight: without it the many points near the nucleus would count most
        vector = solve_banded((1, 1), bands, radii**2 * vector, check_finite=False)
        vector /= np.abs(vector).max()
    return None


def derivative(radii: np.ndarray, values: np.ndarray) -> np.ndarray:
    """d/dr along the last axis on radii with equal steps in ln r, by differences of fourth order inside."""
    step = np.log(radii[1] / radii[0])
    slope = np.gradient(values, step, axis=-1, edge_order=2)
    slope[..., 2:-2] = (values[..., :-4] - 8 * values[..., 1:-3] + 8 * values[..., 3:-1] - values[..., 4:]) / (
        12 * step
    )
    return slope / radii


def density(potential: Potential, l: int, wave: Wave) -> np.ndarray:  # noqa: E741
    """|phi|^2 + |grad phi|^2 / (2 M c)^2 of a state, times 4 pi r^2: charge of its large and small components per bohr."""
    mass = potential.mass(wave.energy)
    small = wave.slope**2 + l * (l + 1) * (wave.large / potential.radii) ** 2
    return wave.large**2 + small / (2 * mass * potential.light) ** 2


def _normalised(potential: Potential, l: int, energy: float, u: np.ndarray) -> Wave:  # noqa: E741
    radii = potential.radii
    step = np.log(radii[1] / radii[0])
    large = np.sqrt(potential.mass(energy)) * u
    wave = Wave(energy, large, derivative(radii, large) - large / radii)
    scale = 1 / np.sqrt(step * (density(potential, l, wave) * radii).sum())
    scale *= np.sign(large[np.argmax(np.abs(large) > 1e-4 * np.abs(large).max())])  # positive near the nucleus
    return Wave(energy, scale * wave.large, scale * wave.slope)
