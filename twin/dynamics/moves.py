"""Equations of motion of single entries of the state, as a table holds them; together they are a linear stochastic differential equation.

Rates and times are numbers, or names of constants (`twin.sensors.table`) whose values are given when the equation is built.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from twin.dynamics.linear import Dynamics
from twin.state import Layout

Value = float | str
"""A number, or the name of a constant (with a minus sign before it: its negative)."""


class Walk(msgspec.Struct, frozen=True, tag_field="kind", tag="walk", forbid_unknown_fields=True):
    """A random walk: dx = rate dW; ``rate`` in unit/sqrt(s)."""

    rate: Value


class Relax(msgspec.Struct, frozen=True, tag_field="kind", tag="relax", forbid_unknown_fields=True):
    """An Ornstein-Uhlenbeck process about the entry's prior mean: dx = (mean - x)/time dt + std sqrt(2/time) dW. ``std`` 0 is a plain decay."""

    std: Value
    time: Value


class Follow(msgspec.Struct, frozen=True, tag_field="kind", tag="follow", forbid_unknown_fields=True):
    """A first-order lag behind another entry: dx/dt = (gain * of - x)/time."""

    of: str
    time: Value
    gain: Value = 1.0


class Integrate(msgspec.Struct, frozen=True, tag_field="kind", tag="integrate", forbid_unknown_fields=True):
    """Driven by another entry: dx/dt = gain * of (``gain`` in 1/s, for a velocity 1)."""

    of: str
    gain: Value = 1.0


class Constant(msgspec.Struct, frozen=True, tag_field="kind", tag="constant", forbid_unknown_fields=True):
    """Does not move."""


Move = Walk | Relax | Follow | Integrate | Constant


def equation(layout: Layout, moves: Mapping[str, Sequence[Move]], value: Callable[[Value], float]) -> Dynamics:
    """The equation of motion: the terms of ``moves`` for each entry add up; an entry without terms is constant.

    ``value`` turns a number or a constant's name into a number. ValueError for an entry that is not there, a time that is not positive or
    a rate below zero.
    """
    n = len(layout)
    drift, diffusion, push = np.zeros((n, n)), np.zeros(n), np.zeros(n)

    def positive(name: str, label: str, parameter: Value, zero: bool = False) -> float:
        number = value(parameter)
        if not (np.isfinite(number) and (number > 0 or (zero and number == 0))):
            raise ValueError(f"entry {name!r}: its {label} is {number}; give a number above zero")
        return number

    for name, several in moves.items():
        row = layout.index(name)
        for move in several:
            match move:
                case Walk(rate):
                    diffusion[row] += positive(name, "rate", rate, zero=True) ** 2
                case Relax(std, time):
                    seconds = positive(name, "time", time)
                    drift[row, row] -= 1.0 / seconds
                    push[row] += layout.entries[row].mean / seconds
                    diffusion[row] += 2.0 * positive(name, "std", std, zero=True) ** 2 / seconds
                case Follow(of, time, gain):
                    seconds = positive(name, "time", time)
                    drift[row, row] -= 1.0 / seconds
                    drift[row, layout.index(of)] += value(gain) / seconds
                case Integrate(of, gain):
                    drift[row, layout.index(of)] += value(gain)
                case Constant():
                    pass
    return Dynamics(layout, drift, diffusion, push)
