"""Maps, detector signals and diffraction patterns from the same waves: probes through frozen phonons, losses by effective local potentials."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from twin.eels.maps.sites import BlochModes, mean_u2, sites_of
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
        potentials.append(BlochModes(np.fft.fft2(on_grid)[None], scene.specimen.extent, (1, 1)))

    def of(number: int) -> np.ndarray:
        made = np.zeros((len(windows), scene.slices, *scene.gpts), np.float32)
        for index, window in enumerate(windows):
            for site in sites_of(scene.specimen, window.element, scene.slices, scene.displacements(number)):
                for position, share in zip(site.positions, site.share, strict=True):
                    single = site._replace(positions=position[None], share=np.array([share**2]))
                    made[index, site.slice] += potentials[index].at(single, (0, 0)).real.reshape(scene.gpts)
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
