"""Core-loss maps of a scan: probabilities for each incident electron, by transition potentials or by effective local potentials, with the error of those."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from twin.eels.maps.grams import CHANNELLING, EdgeGrams, Report, edge_grams
from twin.eels.maps.window import EdgeWindow
from twin.optics.illumination import Illumination
from twin.scattering.stem.images import image_of
from twin.scattering.stem.scene import Scene

COMPARED = 4
"""Depths at which the error of an approximation is found."""

__all__ = ["CHANNELLING", "EdgeMaps", "core_loss_maps"]


class EdgeMaps(NamedTuple):
    """``array`` [windows, ny, nx]: probability that an incident electron loses energy within each of ``windows`` and is collected; ``grams``: what they were
    made from, for other aberrations and places. ``missing`` [windows]: share of the cross-section that is left out. ``error`` [windows]: rms difference from
    maps with double channelling, as a share of the map's mean; 0 where they are that, None where it was not asked for."""

    array: Float[np.ndarray, "windows ny nx"]
    windows: tuple[EdgeWindow, ...]
    channelling: str
    missing: tuple[float, ...]
    error: tuple[float, ...] | None
    grams: tuple[EdgeGrams, ...]


def core_loss_maps(
    scene: Scene,
    beam: Illumination,
    windows: Sequence[EdgeWindow],
    x: Float[np.ndarray, " nx"],
    y: Float[np.ndarray, " ny"],
    channelling: str = "double",
    estimate: bool = True,
    depths: int | None = None,
    memory: int | None = None,
    workers: int | None = None,
    progress: Report | None = None,
) -> EdgeMaps:
    """Maps of ``windows`` at all pairs of ``x`` and ``y`` (angstrom); source size, vibration and focal spread of ``beam`` are exact.

    ``channelling``: "double" (exact: the electron goes on through the specimen after its loss), "single" (it is collected as it leaves the atom),
    or "local" (an effective local potential, the fastest). ``estimate``: find the error of the latter two, by double channelling at
    COMPARED depths. ``depths``, ``memory``, ``workers`` and errors as in `edge_grams`.
    """
    made = edge_grams(scene, beam, windows, channelling, depths, memory, workers, progress)
    array = _images(made, beam, x, y)
    error = None
    if channelling == "double":
        error = tuple(0.0 for _ in windows)
    elif estimate:
        quick, exact = (
            _images(edge_grams(scene, beam, windows, how, COMPARED, memory, workers), beam, x, y)
            for how in (channelling, "double")
        )
        off = np.sqrt(np.mean((quick - exact) ** 2, axis=(1, 2))) / exact.mean(axis=(1, 2))
        error = tuple(off.tolist())
    missing = tuple(each.missing for each in made)
    return EdgeMaps(array, tuple(windows), channelling, missing, error, tuple(made))


def _images(made: Sequence[EdgeGrams], beam: Illumination, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.stack([np.asarray(image_of(each.grams, beam, x, y), np.float64) for each in made])
