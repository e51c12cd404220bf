"""What a column gives at the settings of a table, for many sets of constants at once: every setting once, however many rows stand on it."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from reconstruct.calibration.constants import scaled
from reconstruct.calibration.quantities import all_of, apart
from reconstruct.calibration.rows import Table
from twin.column.column import Column

BLOCK = 8
"""Settings and sets of constants go through the column by so many: one compiled kernel for tables of all lengths."""


class Evaluation:
    """A column at the rows of a ``table``. Constants are unit normals ``u`` [k, p], one for each constant that is not exact, or for those of ``chosen``."""

    def __init__(self, column: Column, table: Table, chosen: np.ndarray | None = None):
        self.column, self.table = column, table
        whole = sum(one.std > 0 for one in column.constants)
        self.chosen = np.arange(whole) if chosen is None else chosen
        settings = np.column_stack([table.told, table.energy])
        different, self._which = np.unique(settings, axis=0, return_inverse=True)
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
        return np.concatenate([np.asarray(one)[:, self._which, self.table.kind] for one in found])


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
