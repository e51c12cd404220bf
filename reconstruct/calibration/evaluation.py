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
from twin.column.column import Column
from twin.column.elements import Lens

BLOCK = 8
"""Settings and sets of constants evaluated together: one compiled kernel for tables of all lengths."""


class Evaluation:
    """A column at the rows of a ``table``. Constants are unit normals ``u`` [k, p], one for each constant that is not exact, or for those of ``chosen``."""

    def __init__(self, column: Column, table: Table, chosen: np.ndarray | None = None):
        self.column, self.table = column, table
        free_count = sum(constant.std > 0 for constant in column.constants)
        self.chosen = np.arange(free_count) if chosen is None else chosen
        settings = np.column_stack([table.excitations, table.energy])
        distinct, self.which = np.unique(settings, axis=0, return_inverse=True)
        self.settings = len(distinct)
        padded = np.resize(np.arange(len(distinct)), -(-len(distinct) // BLOCK) * BLOCK)
        self._excitations = jnp.asarray(distinct[padded, :-1])
        self._energy = jnp.asarray(distinct[padded, -1])

    @property
    def size(self) -> int:
        """Number of constants that are varied."""
        return len(self.chosen)

    def values(self, u: np.ndarray) -> np.ndarray:
        """Expected values [k, n] on each row's scale."""
        return self._through(0, u)

    def slopes(self, u: np.ndarray) -> np.ndarray:
        """Their derivatives [k, n, p] by the unit normals."""
        return self._through(1, u)

    def residual(self, values: np.ndarray) -> np.ndarray:
        """Measured less expected ``values`` [..., n]."""
        return difference(self.table.kind, self.table.value, values)

    def _through(self, which: int, u: np.ndarray) -> np.ndarray:
        kernel = _kernels(self.column, tuple(self.chosen.tolist()))[which]
        blocks = [
            kernel(jnp.asarray(u[i : i + BLOCK]), self._excitations, self._energy) for i in range(0, len(u), BLOCK)
        ]
        return np.concatenate([np.asarray(block)[:, self.which, self.table.kind] for block in blocks])

    def linearise(self, u: np.ndarray, errors: np.ndarray) -> "Linear":
        """The column at one set of constants ``u`` [p], all of them, whose lenses err by ``errors`` [settings, m, 3], another error at each setting."""
        padding = len(self._energy) - len(errors)
        lens_errors = jnp.asarray(np.concatenate([errors, np.zeros((padding, *errors.shape[1:]))]))
        results = _linear_kernel(self.column)(jnp.asarray(u), lens_errors, self._excitations, self._energy)
        return Linear(*(np.asarray(result)[self.which, self.table.kind] for result in results))


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
def _linear_kernel(column: Column) -> Callable[..., tuple[jax.Array, jax.Array, jax.Array]]:
    def quantities(u, errors, excitations, energy):
        return all_quantities(column.of(with_lens_errors(column, scaled(column, u), errors), excitations, energy))

    def values_and_slopes(u, errors, excitations, energy):
        return quantities(u, errors, excitations, energy), *jax.jacfwd(quantities, (0, 1))(
            u, errors, excitations, energy
        )

    return jax.jit(jax.vmap(values_and_slopes, (None, 0, 0, 0)))


@functools.lru_cache(maxsize=8)
def _kernels(column: Column, chosen: tuple[int, ...]) -> tuple[Callable[..., jax.Array], Callable[..., jax.Array]]:
    free_count = sum(constant.std > 0 for constant in column.constants)

    def quantities(u, excitations, energy):
        constants = scaled(column, jnp.zeros(free_count).at[np.array(chosen)].set(u))
        return all_quantities(column.of(constants, excitations, energy))

    def batched(function):
        over_settings = jax.vmap(function, (None, 0, 0))

        def blocks(u, excitations, energy):
            excitations, energy = excitations.reshape(-1, BLOCK, excitations.shape[-1]), energy.reshape(-1, BLOCK)
            results = jax.lax.map(
                lambda block: jax.vmap(over_settings, (0, None, None))(u, *block), (excitations, energy)
            )
            return jnp.moveaxis(results, 0, 1).reshape(len(u), -1, *results.shape[3:])

        return jax.jit(blocks)

    return batched(quantities), batched(jax.jacfwd(quantities))
