"""What a column gives at the settings of a table, for many sets of constants at once: every setting once, however many rows stand on it."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from reconstruct.calibration.constants import scaled
from reconstruct.calibration.quantities import all_of, apart
from reconstruct.calibration.rows import Table
from twin.column.column import Column
from twin.column.elements import Lens

BLOCK = 8
"""Settings and sets of constants go through the column by so many: one compiled kernel for tables of all lengths."""


class Evaluation:
    """A column at the rows of a ``table``. Constants are unit normals ``u`` [k, p], one for each constant that is not exact, or for those of ``chosen``."""

    def __init__(self, column: Column, table: Table, chosen: np.ndarray | None = None):
        self.column, self.table = column, table
        whole = sum(one.std > 0 for one in column.constants)
        self.chosen = np.arange(whole) if chosen is None else chosen
        settings = np.column_stack([table.told, table.energy])
        different, self.which = np.unique(settings, axis=0, return_inverse=True)
        self.settings = len(different)
        padded = np.resize(np.arange(len(different)), -(-len(different) // BLOCK) * BLOCK)
        self._told = jnp.asarray(different[padded, :-1])
        self._energy = jnp.asarray(different[padded, -1])

    @property
    def size(self) -> int:
        """How many constants are asked about."""
        return len(self.chosen)

    def values(self, u: np.ndarray) -> np.ndarray:
        """Expected values [k, n] on each row's scale."""
        return self._through(0, u)

    def slopes(self, u: np.ndarray) -> np.ndarray:
        """Their derivatives [k, n, p] by the unit normals."""
        return self._through(1, u)

    def away(self, values: np.ndarray) -> np.ndarray:
        """Measured less expected ``values`` [..., n]."""
        return apart(self.table.kind, self.table.value, values)

    def _through(self, which: int, u: np.ndarray) -> np.ndarray:
        kernel = _kernels(self.column, tuple(self.chosen.tolist()))[which]
        found = [kernel(jnp.asarray(u[i : i + BLOCK]), self._told, self._energy) for i in range(0, len(u), BLOCK)]
        return np.concatenate([np.asarray(one)[:, self.which, self.table.kind] for one in found])

    def near(self, u: np.ndarray, errors: np.ndarray) -> "Linear":
        """The column at one set of constants ``u`` [p], all of them, whose lenses err by ``errors`` [settings, m, 3], another error at each setting."""
        padding = len(self._energy) - len(errors)
        wrong = jnp.asarray(np.concatenate([errors, np.zeros((padding, *errors.shape[1:]))]))
        found = _linear_kernel(self.column)(jnp.asarray(u), wrong, self._told, self._energy)
        return Linear(*(np.asarray(one)[self.which, self.table.kind] for one in found))


class Linear(NamedTuple):
    """Of each row: its value [n], and derivatives by the unit normals [n, p] and by relative errors of each lens's strength, width and place [n, m, 3]."""

    values: np.ndarray
    by_constants: np.ndarray
    by_lenses: np.ndarray


def driven(column: Column) -> list[Lens]:
    """The lenses that settings speak of, from the gun down."""
    return [one for one in column.table.of(Lens) if one.control]


def bent(column: Column, constants: Float[Array, " n"], errors: Float[Array, "m 3"]) -> Float[Array, " n"]:
    """Constants of a column whose lenses err: strength and width by a factor exp(error), place by error half widths."""
    names = [one.name for one in column.constants]
    turns, width, place = (
        np.array([names.index(f"{lens.name}.{field}") for lens in driven(column)], int)
        for field in ("ampere_turns", "half_width", "place")
    )
    found = constants.at[turns].set(constants[turns] * jnp.exp(errors[:, 0]))
    found = found.at[width].set(constants[width] * jnp.exp(errors[:, 1]))
    return found.at[place].set(constants[place] + errors[:, 2] * constants[width])


@functools.lru_cache(maxsize=4)
def _linear_kernel(column: Column) -> Callable[..., tuple[jax.Array, jax.Array, jax.Array]]:
    def one(u, errors, told, energy):
        return all_of(column.of(bent(column, scaled(column, u), errors), told, energy))

    def all_three(u, errors, told, energy):
        return one(u, errors, told, energy), *jax.jacfwd(one, (0, 1))(u, errors, told, energy)

    return jax.jit(jax.vmap(all_three, (None, 0, 0, 0)))


@functools.lru_cache(maxsize=8)
def _kernels(column: Column, chosen: tuple[int, ...]) -> tuple[Callable[..., jax.Array], Callable[..., jax.Array]]:
    whole = sum(one.std > 0 for one in column.constants)

    def one(u, told, energy):
        constants = scaled(column, jnp.zeros(whole).at[np.array(chosen)].set(u))
        return all_of(column.of(constants, told, energy))

    def many(function):
        over_settings = jax.vmap(function, (None, 0, 0))

        def blocks(u, told, energy):
            told, energy = told.reshape(-1, BLOCK, told.shape[-1]), energy.reshape(-1, BLOCK)
            found = jax.lax.map(lambda block: jax.vmap(over_settings, (0, None, None))(u, *block), (told, energy))
            return jnp.moveaxis(found, 0, 1).reshape(len(u), -1, *found.shape[3:])

        return jax.jit(blocks)

    return many(one), many(jax.jacfwd(one))
