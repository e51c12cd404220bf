"""``PYTHON abtem_waves.py OUT.npz SETTINGS``, with a PYTHON that has abTEM and GPAW: abTEM's radial waves and transition potentials, for `causes`.

It stands alone, since that environment has no emtwin. SETTINGS: `causes.Asked` as JSON. Of each shell: the neutral atom's potential r V (hartree bohr) on
its radii, the bound wave and its energy (eV), continuum waves [energy, l', radius] per square root of hartree on the bound wave's radii, and the sum over
transitions of |sigma V|^2 in reciprocal space on each grid.
"""

import functools
import json
import sys
from typing import Any

import numpy as np
from abtem.core.energy import energy2sigma
from abtem.inelastic import core_loss

core_loss._atomic_rv = functools.cache(core_loss._atomic_rv)  # else computed anew for every wave


def waves(number: int, n: int, l: int, energies: list[float], largest: int) -> dict[str, np.ndarray]:  # noqa: E741
    """The potential and the waves of one shell."""
    product = core_loss._atomic_rv(number)
    bound = core_loss.calculate_bound_radial_wavefunction(number, n, l)
    inside = np.abs(bound._radial_values) > 1e-9 * np.abs(bound._radial_values).max()
    radii = np.geomspace(1e-5, bound.radial_grid[inside][-1], 4000)
    continuum = np.zeros((len(energies), largest + 1, radii.size))
    for row, energy in enumerate(energies):
        for final in range(largest + 1):
            wave = core_loss.calculate_continuum_radial_wavefunction(number, n, l, final, energy)
            # per hartree instead of per rydberg
            continuum[row, final] = np.sqrt(2.0) * np.interp(radii, wave.radial_grid, wave._radial_values)
    return {
        "radii": product.x, "product": -product.y / 2, "bound_radii": radii, "bound": bound(radii), "energy": np.array(bound.energy),
        "continuum": continuum,
    }  # fmt: skip


def summed(
    number: int,
    n: int,
    l: int,  # noqa: E741
    settings: dict[str, Any],
    extent: float,
    gpts: int,
) -> np.ndarray:
    """Sum of |sigma V|^2 over transitions [ky, kx], with V the transform of the potentials in real space, in their units."""
    shell = core_loss.SubshellTransitions(Z=number, n=n, l=l, order=settings["order"], epsilon=settings["epsilon"])
    made = shell.get_transition_potentials(energy=settings["energy"], extent=extent, gpts=gpts).build()
    sigma = energy2sigma(settings["energy"])
    return np.asarray((np.abs(np.asarray(made.array) * sigma) ** 2).sum(axis=0, dtype=np.float64))


def main(out: str, settings: dict[str, Any]) -> None:
    made = {}
    for label, (number, n, l) in settings["shells"].items():  # noqa: E741
        energies, largest = settings["energies"], settings["largest"]
        made |= {f"{label} {name}": array for name, array in waves(number, n, l, energies, largest).items()}
        for grid, (extent, gpts) in enumerate(settings["grids"]):
            made[f"{label} summed {grid}"] = summed(number, n, l, settings, extent, gpts)
    np.savez(out, **made)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
