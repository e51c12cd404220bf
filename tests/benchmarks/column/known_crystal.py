"""A known crystal as seen by direct multislice, for the part `aberrations` of the benchmark `column`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class CrystalScan(NamedTuple):
    """A known crystal scanned: what the fit takes, its model, and ``expected`` counts by direct multislice for parameters [15]."""

    crystal: Any
    setting: Any
    optics: Any
    model: Any
    expected: Callable[[np.ndarray], np.ndarray]


def crystal_scan(electrons: float, cells: int, points: int) -> CrystalScan:
    """SrTiO3 [001], ``cells`` deep, scanned at ``points`` x ``points`` positions: data by one multislice for each probe through a supercell."""
    import jax.numpy as jnp

    from reconstruct.measurement.crystal import Crystal, build_model
    from reconstruct.measurement.film.exposure import Optics, Setting
    from twin.optics.electrons import wavelength
    from twin.optics.illumination import Illumination
    from twin.optics.probe import aperture
    from twin.sample.specimen import Specimen, srtio3_unit
    from twin.scattering.signals import patterns, prepared

    side, repeats, fine = 3.905, 5, 32
    optics = Optics(200e3, 30e-3)
    unit = Specimen.from_atoms(srtio3_unit(side))
    crystal = Crystal(unit.slices(fine, 2, thermal="debye-waller"), cells)
    extent = (side * repeats, side * repeats)
    step = wavelength(optics.energy) / extent[0]
    x, y = (3 * grid.ravel() for grid in np.meshgrid(np.arange(-8, 9), np.arange(-8, 9)))
    inside = np.hypot(x, y) * step < optics.semiangle - step
    indices = np.stack([x[inside], y[inside]], axis=-1)
    setting = Setting((points, points), side / points, indices * step, step, electrons)
    crystal_model = build_model(crystal, setting, optics)
    lattice = np.array([[i, j, 0.0] for i in range(repeats) for j in range(repeats)]) * side
    supercell = Specimen(
        (unit.positions[None] + lattice[:, None]).reshape(-1, 3), np.tile(unit.u2, repeats**2), unit.symbols * repeats**2,
        (*extent, unit.cell[2]),
    )  # fmt: skip
    slices = supercell.slices(fine * repeats, 2, thermal="debye-waller")
    ready = prepared(slices._replace(array=jnp.tile(slices.array, (cells, 1, 1))), optics.energy, finer=2)
    amplitude = aperture(ready.gpts, extent, optics.energy, optics.semiangle, False)
    portion = step**2 / (np.pi * optics.semiangle**2) / amplitude.max() ** 2 * electrons / points**2

    def direct(parameters: np.ndarray) -> np.ndarray:
        coefficients = np.concatenate([parameters[:12], np.zeros(13)])
        spots = crystal_model.positions + parameters[12:14]
        beam = Illumination(coefficients, optics.energy, optics.semiangle, False)
        shares = [
            np.asarray(patterns(part, beam, amplitude, ready))[:, indices[:, 1], indices[:, 0]]
            for part in np.split(spots, 6)
        ]
        return np.concatenate(shares) * portion

    return CrystalScan(crystal, setting, optics, crystal_model, direct)
