"""Rays of a column by a general-purpose integrator of the paraxial equation: the reference of its matrices."""

import itertools

import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

from twin.column.column import Column
from twin.column.elements import Lens
from twin.column.settings import Settings
from twin.lenses.paraxial import larmor


def rays(column: Column, start: str, end: str, settings: Settings) -> tuple[np.ndarray, float]:
    """Matrix and rotation by integrating the ray equation lens by lens with a general-purpose integrator (DOP853)."""
    table = column.table
    nominal, controls = jnp.asarray(column.nominal()), jnp.asarray(settings.vector(column.controls))
    begin, finish = (_place(table.named(name)) for name in (start, end))
    state = np.array([1.0, 0.0, 0.0, 1.0, 0.0])  # two rays (x, 1e7 x') and the rotation
    edges = [begin]
    for lens in table.of(Lens):
        edges += [_place(lens) - lens.reach_mm * 1e7, _place(lens) + lens.reach_mm * 1e7]
    edges = sorted({min(max(edge, begin), finish) for edge in edges} | {finish})
    for low, high in itertools.pairwise(edges):
        inside = [
            element for element in table.of(Lens) if abs(0.5 * (low + high) - _place(element)) < element.reach_mm * 1e7
        ]
        bell = column.lens(inside[0].name, nominal, controls) if inside else None

        def slope(z, y, bell=bell):
            b = (
                0.0
                if bell is None
                else float(larmor(float(bell.peak), settings.high_tension))
                / (1 + ((z * 1e7 - float(bell.centre)) / float(bell.half_width)) ** 2)
            )
            b = b * 1e7  # per mm
            return [y[1], -(b**2) * y[0], y[3], -(b**2) * y[2], b]

        state = solve_ivp(slope, (low / 1e7, high / 1e7), state, "DOP853", rtol=1e-11, atol=1e-13, max_step=2.0).y[
            :, -1
        ]
    return np.array([[state[0], state[2] * 1e7], [state[1] / 1e7, state[3]]]), float(state[4])


def _place(element) -> float:
    position = element.place_mm
    return (position[0] if isinstance(position, list) else position) * 1e7
