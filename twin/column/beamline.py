"""A column as a sequence of sections between stops (planes and ends of lens fields), each with the field of one lens or none.

All sections are held in arrays, so that a column of any number of lenses takes only a few operations. The order of stops is that of the table; a plane that a
calibration moves past the end of a field is reached by going back through free space, an error no larger than the field there.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin.column.elements import AnyElement, Lens
from twin.column.table import ColumnTable
from twin.lenses import glaser
from twin.lenses.fields import GlaserBell
from twin.lenses.paraxial import Transfer
from twin.lenses.round_lens import RoundLens

_NEVER = 1e12
"""Ampere-turns at which iron that does not saturate would."""


class _Stop(NamedTuple):
    at: float  # nominal height, mm
    rank: int  # order of stops at one height: fields end, planes, fields begin
    name: str
    constant: int  # index among the constants of the column
    offset: float  # angstrom


class Bells(NamedTuple):
    """Bell-shaped fields as arrays of their numbers: tesla, angstrom, angstrom."""

    peak: Float[Array, " *k"]
    half_width: Float[Array, " *k"]
    centre: Float[Array, " *k"]


class Beamline:
    """The pieces of a column's table; ``constant_index`` are the indices of its constants by name, ``controls`` those of its controls."""

    def __init__(self, table: ColumnTable, constant_index: dict[str, int], controls: dict[str, int]):
        lenses: list[Lens] = table.of(Lens)
        self._lens = {lens.name: i for i, lens in enumerate(lenses)}

        def index(element: AnyElement, field: str) -> int:
            return constant_index[f"{element.name}.{field}"]

        self._fields = {
            field: np.array([index(lens, field) for lens in lenses], int)
            for field in ("place", "half_width", "ampere_turns", "remanence")
        }
        self._saturation = np.array([constant_index.get(f"{lens.name}.saturation", -1) for lens in lenses], int)
        self._control = np.array([controls[lens.control] if lens.control else -1 for lens in lenses], int)
        self._fixed = np.array([lens.fixed for lens in lenses])
        stops = []
        for element in table.element:
            middle, reach = nominal(element), element.reach_mm if isinstance(element, Lens) else 0.0
            if isinstance(element, Lens):
                stops.append(_Stop(middle - reach, 2, f"{element.name} begins", index(element, "place"), -reach * 1e7))
                stops.append(_Stop(middle + reach, 0, f"{element.name} ends", index(element, "place"), reach * 1e7))
            else:
                stops.append(_Stop(middle, 1, element.name, index(element, "place"), 0.0))
        stops.sort(key=lambda stop: (stop.at, stop.rank))
        self._stops = {stop.name: i for i, stop in enumerate(stops)}
        self._constant = np.array([stop.constant for stop in stops])
        self._offset = np.array([stop.offset for stop in stops])
        middles = [0.5 * (a.at + b.at) for a, b in itertools.pairwise(stops)]
        self._owner = np.array(
            [
                next((i for i, lens in enumerate(lenses) if abs(middle - nominal(lens)) < lens.reach_mm), -1)
                for middle in middles
            ]
        )

    def bells(self, constants: Float[Array, " n"], controls: Float[Array, " m"]) -> Bells:
        """The fields of all lenses as they are driven."""
        centre, half_width, turns, remanence = (constants[rows] for rows in self._fields.values())
        saturation = jnp.where(self._saturation >= 0, constants[self._saturation], _NEVER)
        driven = jnp.where(self._control >= 0, controls[self._control], self._fixed)

        def field(*numbers: Float[Array, ""]) -> Bells:
            bell = RoundLens(*numbers[:-1]).field(numbers[-1])
            return Bells(*(jnp.asarray(number) for number in (bell.peak, bell.half_width, bell.centre)))

        return jax.vmap(field)(centre, half_width, turns, saturation, remanence, driven)

    def bell(self, lens: str, constants: Float[Array, " n"], controls: Float[Array, " m"]) -> GlaserBell:
        """The field of one lens as it is driven."""
        if lens not in self._lens:
            raise ValueError(f"{lens!r} is no lens; the lenses are {', '.join(self._lens)}")
        return GlaserBell(*(numbers[self._lens[lens]] for numbers in self.bells(constants, controls)))

    def reached(
        self,
        start: str,
        ends: tuple[str, ...],
        constants: Float[Array, " n"],
        controls: Float[Array, " m"],
        energy: Float[Array, ""],
    ) -> dict[str, Transfer]:
        """Rays from the plane ``start`` to each of ``ends`` behind it, by the elements' names."""
        first, last = self._stops[start], max(self._stops[end] for end in ends)
        if min(self._stops[end] for end in ends) < first:
            raise ValueError(f"{', '.join(ends)} do not all lie behind {start}")
        heights = constants[self._constant] + self._offset
        bells = self.bells(constants, controls)
        owner = self._owner[first:last]
        drift = owner < 0
        middle = 0.5 * (heights[first + 1 : last + 1] + heights[first:last])
        mine = Bells(
            jnp.where(drift, 0.0, bells.peak[owner]),
            jnp.where(drift, 1e7, bells.half_width[owner]),
            jnp.where(drift, middle, bells.centre[owner]),
        )

        def section(bell: Bells, start: Float[Array, ""], end: Float[Array, ""]) -> Transfer:
            return glaser.transfer(GlaserBell(*bell), start, end, energy)

        parts = jax.vmap(section)(mine, heights[first:last], heights[first + 1 : last + 1])

        def further(so_far: Array, part: Array) -> tuple[Array, Array]:
            product = part @ so_far
            return product, product

        _, matrices = jax.lax.scan(further, jnp.eye(2), parts.matrix)
        matrices = jnp.concatenate([jnp.eye(2)[None], matrices])
        rotation = jnp.concatenate([jnp.zeros(1), jnp.cumsum(parts.rotation)])
        return {end: Transfer(matrices[self._stops[end] - first], rotation[self._stops[end] - first]) for end in ends}


def nominal(element: AnyElement) -> float:
    """Where an element is believed to be, in millimetres."""
    position = element.place_mm
    return position[0] if isinstance(position, list) else position
