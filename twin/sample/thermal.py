"""Thermal motion of independent atoms: mean square displacements, and frozen phonon configurations.

Isotropic, by u2 = <u^2> along one axis in angstrom^2; B = 8 pi^2 u2. Amplitudes of the coherent wave fall by exp(-2 pi^2 u2 k^2) = exp(-B k^2 / 4).
"""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin import checks

U2: dict[str, float] = {"Sr": 0.00787, "Ti": 0.00556, "O": 0.00927, "Si": 0.00587, "Au": 0.0079, "C": 0.0063}
"""Mean square displacement <u^2> along one axis in angstrom^2 near room temperature (B = 8 pi^2 <u^2>): customary values for
SrTiO3 (B = 0.62, 0.44, 0.73), Si (0.46) and Au (0.62); carbon is an assumption."""
U2_OTHER = 0.0063
"""Assumed for every other element (B = 0.5 angstrom^2)."""


def u2_from_b(b: float) -> float:
    """<u^2> along one axis in angstrom^2 from the Debye-Waller B factor in angstrom^2."""
    return b / (8.0 * np.pi**2)


def u2_of(
    symbols: tuple[str, ...], u2: Mapping[str, float] | Float[np.ndarray, " atoms"] | None
) -> Float[np.ndarray, " atoms"]:
    """<u^2> of every atom from a table per element (default: U2), or as given per atom. ValueError for missing or negative values."""
    if u2 is None or isinstance(u2, Mapping):
        table = U2 if u2 is None else dict(u2)
        missing = sorted(set(symbols) - set(table))
        if u2 is not None and missing:
            raise ValueError(
                f"u2 lacks {', '.join(missing)}; give <u^2> in angstrom^2 for every element of the specimen"
            )
        thermal = np.array([table.get(symbol, U2_OTHER) for symbol in symbols], dtype=np.float64)
    else:
        table, thermal = "given for every atom", np.asarray(u2, dtype=np.float64)
        if thermal.shape != (len(symbols),):
            raise ValueError(f"u2 has shape {thermal.shape}; give one value for each of the {len(symbols)} atoms")
    if not np.all(np.isfinite(thermal)) or thermal.min() < 0.0:
        raise ValueError(f"u2 is {table}; mean square displacements are finite and not negative (u2 = B / (8 pi^2))")
    return thermal


def normals(seed: int, atoms: int) -> Float[np.ndarray, "atoms 3"]:
    """Standard normal numbers of one frozen configuration, fixed by ``seed``."""
    return np.random.default_rng(seed).normal(size=(atoms, 3))


def displaced(
    positions: Float[Array | np.ndarray, "atoms 3"],
    u2: Float[Array | np.ndarray, " atoms"],
    unit: Float[Array | np.ndarray, "atoms 3"],
) -> Float[Array, "atoms 3"]:
    """Positions moved by sqrt(u2) ``unit`` in angstrom, differentiable in u2 wherever it is positive (0 where an atom is at rest)."""
    checks.require_float64()
    moving = jnp.asarray(u2) > 0.0
    amplitude = jnp.where(moving, jnp.sqrt(jnp.where(moving, u2, 1.0)), 0.0)
    return jnp.asarray(positions) + amplitude[:, None] * unit
