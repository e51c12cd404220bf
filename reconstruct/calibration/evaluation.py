"""Quantities of a column at the settings of a table, for many sets of constants at once; each setting is evaluated once."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from reconstruct.calibration.constants import scaled
from reconstruct.calibration.quantities import all_quantities, difference
from reconstruct.calibration.rows import Table
from twin.blocks import split
from twin.column.column import Column
from twin.column.elements import Lens

BLOCK = 8
"""Settings, sets of constants and directions evaluated together: two compiled kernels for tables of all lengths."""


class Evaluation:
    """A column at the rows of a ``table``. Constants are unit normals ``u`` [k, p], one for each constant that is not exact, or for those of ``chosen``."""

    def __init__(self, column: Column, table: Table, chosen: np.ndarray | None = None):
        self.column, self.table = column, table
        self._free_count = sum(constant.std > 0 for constant in column.constants)
        self.chosen = np.arange(self._free_count) if chosen is None else chosen
        settings = np.column_stack([table.excitations, table.energy])
        distinct, self.which = np.unique(settings, axis=0, return_inverse=True)
        self.settings = len(distinct)
        padded = np.resize(np.arange(len(distinct)), -(-len(distinct) // BLOCK) * BLOCK)
        self._excitations = distinct[padded, :-1]
        self._energy = distinct[padded, -1]

    @property
    def size(self) -> int:
        """Number of constants that are varied."""
        return len(self.chosen)

    def values(self, u: np.ndarray) -> np.ndarray:
        """Expected values [k, n] on each row's scale."""
        return self._through(u, None)

    def slopes(self, u: np.ndarray) -> np.ndarray:
        """Their derivatives [k, n, p] by the unit normals."""
        tangents = np.zeros((self.size, self._free_count + 3 * len(driven_lenses(self.column))))
        tangents[np.arange(self.size), self.chosen] = 1.0
        return self._through(u, tangents)

    def residual(self, values: np.ndarray) -> np.ndarray:
        """Measured less expected ``values`` [..., n]."""
        return difference(self.table.kind, self.table.value, values)

    def _through(self, u: np.ndarray, tangents: np.ndarray | None) -> np.ndarray:
        """Values [k, n] at ``u`` [k, p], or their derivatives [k, n, t] along ``tangents`` [t, constants and lens errors]."""
        full = np.zeros((len(u), self._free_count))
        full[:, self.chosen] = u
        return self._blocks(full, np.zeros((len(self._energy), len(driven_lenses(self.column)), 3)), tangents)

    def _blocks(self, u: np.ndarray, errors: np.ndarray, tangents: np.ndarray | None) -> np.ndarray:
        """The same for all constants ``u`` [k, p] and errors [settings, m, 3] of lenses, in blocks of one compiled size."""
        values, derivatives = _kernels(self.column)
        conditions = list(zip(*(split(part, BLOCK) for part in (errors, self._excitations, self._energy)), strict=True))
        if tangents is None:
            results = _assembled([[values(rows, *of) for of in conditions] for rows in split(u, BLOCK)], len(u))
            return results[:, self.which, self.table.kind]
        # a row for each set of constants and each block of tangents
        directions = np.stack(split(tangents, BLOCK))
        sets, along = np.repeat(u, len(directions), axis=0), np.tile(directions, (len(u), 1, 1))
        pairs = zip(split(sets, BLOCK), split(along, BLOCK), strict=True)
        results = _assembled([[derivatives(rows, *of, block) for of in conditions] for rows, block in pairs], len(sets))
        chosen = results[:, self.which, self.table.kind].reshape(len(u), len(directions), len(self.which), BLOCK)
        return np.moveaxis(chosen, 1, 2).reshape(len(u), len(self.which), -1)[..., : len(tangents)]

    def linearise(self, u: np.ndarray, errors: np.ndarray) -> "Linear":
        """The column at one set of constants ``u`` [p], all of them, whose lenses err by ``errors`` [settings, m, 3], another error at each setting."""
        padding = len(self._energy) - len(errors)
        padded = np.concatenate([errors, np.zeros((padding, *errors.shape[1:]))])
        size = len(u) + errors[0].size
        values = self._blocks(u[None], padded, None)[0]
        slopes = self._blocks(u[None], padded, np.eye(size))[0]
        return Linear(values, slopes[:, : len(u)], slopes[:, len(u) :].reshape(len(slopes), *errors.shape[1:]))


def _assembled(blocks: list[list[jax.Array]], count: int) -> np.ndarray:
    """Results [sets, settings, ...] of blocks, which were all dispatched before the first is waited for, without what filled up the last."""
    return np.concatenate([np.concatenate([np.asarray(part) for part in row], axis=1) for row in blocks])[:count]


class Linear(NamedTuple):
    """Of each row: its value [n], and derivatives by the unit normals [n, p] and by relative errors of each lens's strength, width and place [n, m, 3]."""

    values: np.ndarray
    by_constants: np.ndarray
    by_lenses: np.ndarray


def driven_lenses(column: Column) -> list[Lens]:
    """The lenses that have a control, from the gun down."""
    return [lens for lens in column.table.of(Lens) if lens.control]


def with_lens_errors(column: Column, constants: Float[Array, " n"], errors: Float[Array, "m 3"]) -> Float[Array, " n"]:
    """Constants of a column whose lenses err: strength and width by a factor exp(error), place by error half widths."""
    names = [constant.name for constant in column.constants]
    strength, width, position = (
        np.array([names.index(f"{lens.name}.{field}") for lens in driven_lenses(column)], int)
        for field in ("ampere_turns", "half_width", "place")
    )
    changed = constants.at[strength].set(constants[strength] * jnp.exp(errors[:, 0]))
    changed = changed.at[width].set(constants[width] * jnp.exp(errors[:, 1]))
    return changed.at[position].set(constants[position] + errors[:, 2] * constants[width])


@functools.lru_cache(maxsize=4)
def _kernels(column: Column) -> tuple[Callable[..., jax.Array], Callable[..., jax.Array]]:
    """Compiled functions of blocks of constants [k, p], and of lens errors, excitations and energies of settings [s]: the values [k, s, q], and
    their derivatives [k, s, q, t] along tangents [k, t, constants and lens errors] of each set."""

    def quantities(u, errors, excitations, energy):
        return all_quantities(column.of(with_lens_errors(column, scaled(column, u), errors), excitations, energy))

    def derivatives(u, errors, excitations, energy, tangents):
        def along(tangent):
            change = tangent[: len(u)], tangent[len(u) :].reshape(errors.shape)
            return jax.jvp(lambda a, b: quantities(a, b, excitations, energy), (u, errors), change)[1]

        return jnp.moveaxis(jax.vmap(along)(tangents), 0, -1)

    values = jax.vmap(jax.vmap(quantities, (None, 0, 0, 0)), (0, None, None, None))
    slopes = jax.vmap(jax.vmap(derivatives, (None, 0, 0, 0, None)), (0, None, None, None, 0))
    return jax.jit(values), jax.jit(slopes)
