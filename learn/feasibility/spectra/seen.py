"""How many atoms of an element a probe sees at each place of a scan, through the specimen without a change and with it: core losses with channelling.

Core losses happen in effective local potentials (`twin.eels.maps`), which follow the intensity of the same probes through the same frozen phonons as all
other options. Divided by the cross-section they are atoms per area, which a spectrum has as its parameters.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from learn.feasibility.hypotheses import Hypotheses, repeated
from learn.feasibility.matrices import Grid
from learn.feasibility.scans import ABERRATIONS, STEP, Probe, Window, blurred, place_derivatives
from twin.eels.maps import EdgeWindow, core_loss_maps, local_potential, placed_potentials, window_modes
from twin.optics.aberrations import index
from twin.optics.illumination import Illumination
from twin.sample.specimen import Specimen
from twin.scattering.signals import scanned
from twin.scattering.stem.by_probes import OVERSAMPLING
from twin.scattering.stem.scene import Scene

Report = Callable[[float], None]
COMPARED = 4
"""Depths at which the error of the effective local potential is found."""


class Kernel(NamedTuple):
    """Where an atom of ``element`` is seen: ``values`` [y, x] on the grid, of integral 1, the atom in the corner [0, 0]."""

    element: str
    values: Float[np.ndarray, "y x"]


class Seen(NamedTuple):
    """Atoms per square angstrom that probes see, for each of e kernels: ``perfect`` [p, e] without a change, ``changed`` [k, p, e] with it; ``halves``
    [2, k, p, e]: differences by the even and the odd configurations; ``slopes`` [p, e] of ``perfect`` by name: per angstrom of "x", "y", "source", of
    aberrations and of "thickness"."""

    perfect: Float[np.ndarray, "p e"]
    changed: Float[np.ndarray, "k p e"]
    halves: Float[np.ndarray, "2 k p e"] | None
    slopes: Mapping[str, Float[np.ndarray, "p e"]]


def kernel_of(edge: EdgeWindow, grid: Grid, extent: tuple[float, float]) -> Kernel:
    """Of an energy window of an edge, by its effective local potential. ValueError for an edge that there is not."""
    modes = window_modes(edge, grid.gpts, extent, grid.energy, grid.semiangle)
    potential = local_potential(modes, grid.energy, edge.collection, grid.semiangle)
    area = extent[0] * extent[1] / potential.size
    return Kernel(edge.element, potential / (potential.sum() * area))


def atoms_seen(
    hypotheses: Hypotheses,
    grid: Grid,
    window: Window,
    probe: Probe,
    kernels: Sequence[Kernel],
    report: Report | None = None,
) -> Seen:
    """Atoms of ``kernels`` seen at the places of ``window``. Derivatives in aberrations are of the first configuration."""
    specimens = (hypotheses.perfect, *hypotheses.changed)
    made: list[list[np.ndarray]] = []
    size = len(kernels)
    for specimen in specimens:
        last = grid.before if specimen is hypotheses.perfect else 0
        made.append([_seen(specimen, grid, window, probe.coefficients, kernels, seed, last) for seed in grid.seeds])
        if report is not None:
            report(len(made) / (len(specimens) + 1))

    def mean(parts: Sequence[np.ndarray]) -> np.ndarray:
        return np.mean([part[:, :size] for part in parts], axis=0)

    def moved(name: str, by: float) -> np.ndarray:
        change = np.zeros_like(probe.coefficients)
        change[index(name)] = by
        seen = _seen(hypotheses.perfect, grid, window, probe.coefficients + change, kernels, grid.seeds[0], 0)
        return blurred(seen, window, probe.source)

    slopes = place_derivatives(mean(made[0]), window, probe.source)
    for name in ABERRATIONS:
        slopes[name] = (moved(name, STEP) - moved(name, -STEP)) / (2.0 * STEP)
    if grid.before:
        step = grid.before * hypotheses.perfect.thickness / grid.slices
        behind = np.mean([part[:, size:] for part in made[0]], axis=0)
        slopes["thickness"] = blurred(behind, window, probe.source) / step
    halves = None
    if len(grid.seeds) > 1:
        parts = [[blurred(mean(each[first::2]), window, probe.source) for each in made] for first in range(2)]
        halves = np.stack([np.stack([each - part[0] for each in part[1:]]) for part in parts])
    blunt = [blurred(mean(each), window, probe.source) for each in made]
    return Seen(blunt[0], np.stack(blunt[1:]), halves, slopes)


def _seen(
    specimen: Specimen,
    grid: Grid,
    window: Window,
    coefficients: np.ndarray,
    kernels: Sequence[Kernel],
    seed: int,
    last: int,
) -> np.ndarray:
    """Atoms [p, e] that probes of a point source see in one configuration, and behind them [p, e] those in the ``last`` slices, if there are any."""
    scene = Scene(specimen, grid.gpts, grid.slices, (seed,), grid.tilt)
    light = Illumination(coefficients, grid.energy, grid.semiangle, grid.soft)
    placed = placed_potentials(scene, [(kernel.element, kernel.values) for kernel in kernels])

    def losses(number: int) -> np.ndarray:
        whole = placed(number)
        if not last:
            return whole
        behind = whole.copy()
        behind[:, : grid.slices - last] = 0.0
        return np.concatenate([whole, behind])

    pieces = scanned(
        [lambda: scene.stack(0)], light, window.positions, _nothing, grid.tilt, finer=OVERSAMPLING, losses=losses
    )
    return np.concatenate([np.asarray(piece, np.float64) for _, piece in pieces])


def _nothing(patterns: jax.Array) -> jax.Array:
    """No columns of the patterns."""
    return jnp.zeros((patterns.shape[0], 0), patterns.dtype)


def fast_error(
    edge: EdgeWindow, cell: Specimen, repeats: tuple[int, int, int], grid: Grid, window: Window, probe: Probe
) -> Float[np.ndarray, " p"]:
    """By how many atoms per square angstrom [p] the effective local potential is off in the perfect crystal of ``repeats`` (x, y, z) cells: double channelling,
    which goes on after the loss, less the local form, at a few depths, with Debye-Waller factors for thermal motion.

    ValueError for elements that the crystal lacks.
    """
    scene = Scene(
        repeated(cell, repeats), grid.gpts, grid.slices, (), grid.tilt, cell, repeats, (("thermal", "debye-waller"),)
    )
    light = Illumination(probe.coefficients, grid.energy, grid.semiangle, grid.soft, source=probe.source)
    nx = window.shape[1]
    x, y = window.positions[:nx, 0], window.positions[::nx, 1]
    double, local = (
        core_loss_maps(scene, light, [edge], x, y, how, estimate=False, depths=COMPARED).array[0].ravel()
        for how in ("double", "local")
    )
    return (double - local) / edge.cross_section(grid.energy, grid.semiangle)
