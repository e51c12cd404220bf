"""Maps, detector signals and diffraction patterns from the same waves: probes through frozen phonons, losses by effective local potentials."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from twin.eels.maps.sites import mean_u2, sites_of
from twin.eels.maps.window import EdgeWindow, local_potential, window_modes
from twin.optics.illumination import Illumination
from twin.scattering.signals import scanned
from twin.scattering.stem.beams import Response, weights
from twin.scattering.stem.by_probes import OVERSAMPLING
from twin.scattering.stem.scene import Scene


def loss_potentials(
    scene: Scene, beam: Illumination, windows: Sequence[EdgeWindow]
) -> Callable[[int], Float[np.ndarray, "windows slices y x"]]:
    """The effective local potentials of ``windows`` in the slices of a configuration of ``scene``, by its number; see `local_potential`."""
    potentials = []
    for window in windows:
        u2 = mean_u2(scene.specimen, window.element) * scene.damped
        modes = window_modes(window, scene.gpts, scene.specimen.extent, beam.energy, beam.semiangle, u2)
        on_grid = local_potential(modes, beam.energy, window.collection, beam.semiangle)
        potentials.append((window.element, on_grid))
    return placed_potentials(scene, potentials)


def placed_potentials(
    scene: Scene, potentials: Sequence[tuple[str, Float[np.ndarray, "y x"]]]
) -> Callable[[int], Float[np.ndarray, "potentials slices y x"]]:
    """Sums over atoms of ``potentials``, each of one element with its atom in the corner [0, 0], in the slices of a configuration of ``scene``, by its
    number. An element that has no atoms leaves zeros."""
    specimen, (ny, nx) = scene.specimen, scene.gpts
    down, across = (
        np.round(np.fft.fftfreq(count) * count) / side
        for count, side in zip((ny, nx), specimen.extent[::-1], strict=True)
    )
    spectra = [(element, np.fft.fft2(on_grid)) for element, on_grid in potentials]
    filled = {symbol for symbol, share in zip(specimen.symbols, specimen.occupancy, strict=True) if share > 0.0}

    def of(number: int) -> np.ndarray:
        made = np.zeros((len(spectra), scene.slices, ny, nx), np.float32)
        for index, (element, spectrum) in enumerate(spectra):
            sites = sites_of(specimen, element, scene.slices, scene.displacements(number)) if element in filled else ()
            for site in sites:
                turned = [
                    np.exp(-2j * np.pi * np.outer(k, site.positions[:, axis])) for k, axis in ((down, 1), (across, 0))
                ]
                made[index, site.slice] = np.fft.ifft2(spectrum * ((turned[0] * site.share) @ turned[1].T)).real
        return made

    return of


class Signals(NamedTuple):
    """Of probes [p], as probabilities for each incident electron: ``maps`` [windows, p], ``detectors`` [detectors, p] and, if asked for, ``patterns``."""

    maps: Float[np.ndarray, "windows p"]
    detectors: Float[np.ndarray, "detectors p"]
    patterns: np.ndarray | None


def one_pass(
    scene: Scene,
    beam: Illumination,
    positions: Float[np.ndarray, "p 2"],
    windows: Sequence[EdgeWindow],
    detectors: Sequence[Response] = (),
    pattern: Callable[[jax.Array], jax.Array] | None = None,
    focal_nodes: int = 7,
    memory: int | None = None,
    workers: int | None = None,
) -> Signals:
    """Signals of probes at ``positions`` [p, 2] (x, y) in angstrom, averaged over the configurations of ``scene`` and the focal spread of ``beam``.

    ``pattern``: linear, from diffraction patterns [n, y, x] in FFT order to what is kept of them [n, ...], such as binned ones for 4D-STEM. The source is a
    point: `twin.optics.source.blur` blurs all signals alike. Channelling after the loss is left out (`core_loss_maps` has it, and tells the
    error). Electrons that lost energy are counted in detectors and patterns as those that did not. ValueError as in `scanned` and `EdgeWindow.subshells`.
    """
    masks = jnp.asarray(weights(detectors, scene.gpts, scene.specimen.extent), jnp.float32) if detectors else None
    kept = jax.eval_shape(pattern, jax.ShapeDtypeStruct((1, *scene.gpts), jnp.float32)).shape[1:] if pattern else ()

    def reduce(patterns: jax.Array) -> jax.Array:
        columns = [] if masks is None else [jnp.einsum("pyx,dyx->pd", patterns, masks)]
        columns += [] if pattern is None else [pattern(patterns).reshape(patterns.shape[0], -1)]
        return jnp.concatenate(columns, axis=1) if columns else jnp.zeros((patterns.shape[0], 0), patterns.dtype)

    stacks = [lambda number=number: scene.stack(number) for number in range(scene.configurations)]
    pieces: Iterator[tuple[slice, np.ndarray]] = scanned(
        stacks, beam, positions, reduce, scene.tilt, focal_nodes,
        memory=memory, workers=workers, finer=OVERSAMPLING, losses=loss_potentials(scene, beam, windows),
    )  # fmt: skip
    columns = np.concatenate([piece for _, piece in pieces])
    first, last = len(windows), len(windows) + len(detectors)
    patterns = columns[:, last:].reshape(len(positions), *kept) if pattern else None
    return Signals(columns[:, :first].T, columns[:, first:last].T, patterns)
