"""Core-loss maps as channels of a STEM image: their energy windows, and by which waves they are computed.

The maps of a perfect crystal come from one unit cell, where frozen phonons are replaced by Debye-Waller factors; those of other specimens, and local ones
beside detectors that are computed probe by probe, from the waves of the probes themselves.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from twin.eels.maps import EdgeWindow, core_loss_maps, least_width, loss_potentials
from twin.errors import BadInput, from_twin
from twin.sample.specimen import Specimen
from twin.scattering.stem.scene import Scene
from twin.simulation.plan.tables import EdgeMapPlan, Simulation

if TYPE_CHECKING:
    from twin.simulation.ready import Ready

Tell = Callable[[str, float | None], None]


def windows_of(plan: Simulation, specimen: Specimen) -> tuple[tuple[str, ...], tuple[EdgeWindow, ...]]:
    """Names of the channels that are core-loss maps, and their windows; BadInput for edges that are not in the ``specimen`` or the window."""
    names, windows = [], []
    for name, detector in _maps(plan).items():
        element, _, edge = detector.edge.partition(" ")
        key = f"detectors.{name}"
        if element not in specimen.elements:
            problem = f"{detector.edge!r} is of no element of the specimen"
            cure = f'Give one of {", ".join(specimen.elements)} and its edge, as in "O K".'
            raise BadInput(f"{key}.edge", problem, cure)
        window = EdgeWindow(element, edge.strip(), *detector.window, 1e-3 * detector.collection_mrad)
        try:
            window.subshells()
        except ValueError as error:
            at = "window" if "begins at" in str(error) else "edge"
            raise from_twin(
                f"{key}.{at}", error, "Give an edge that there is, and a window from its onset on."
            ) from None
        if detector.window[1] >= 1e3 * plan.beam.energy_keV:
            raise BadInput(f"{key}.window", "goes beyond the beam's energy", "Give energy losses in eV.")
        if plan.specimen.vacancies and any(plan.specimen.vacancies.values()) and detector.channelling != "local":
            problem = f"{detector.channelling!r} is for perfect crystals, and vacancies make cells unlike"
            raise BadInput(f"{key}.channelling", problem, 'Give channelling = "local", or leave vacancies out.')
        names.append(name)
        windows.append(window)
    return tuple(names), tuple(windows)


def _maps(plan: Simulation) -> dict[str, EdgeMapPlan]:
    if plan.signal != "stem":
        return {}
    return {name: each for name, each in plan.detectors.items() if isinstance(each, EdgeMapPlan)}


def disk(radius: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """An aperture of ``radius`` 1/angstrom as weights of beams."""
    return lambda kx, ky: (np.hypot(kx, ky) <= radius).astype(np.float64)


def losses_beside(ready: "Ready") -> bool:
    """Whether maps are made from the same waves as the detectors' signals."""
    local = all(each.channelling == "local" for each in _maps(ready.plan).values())
    return bool(ready.windows) and ready.direct and local


def loss_potentials_of(ready: "Ready") -> Callable[[int], np.ndarray]:
    """Local potentials of the windows in the slices of each configuration, for `scanned`."""
    assert ready.scene is not None
    assert ready.illumination is not None
    return loss_potentials(ready.scene, ready.illumination, ready.windows)


def loss_columns(ready: "Ready", tell: Tell) -> np.ndarray:
    """Maps [pixels, windows] of a crystal, as fractions of the beam; none without windows."""
    columns = np.zeros((len(ready.positions), len(ready.windows)), np.float32)
    for channelling, chosen in _by_channelling(ready).items():
        made = _computed(ready, channelling, chosen, None, tell)
        columns[:, chosen] = made.array.reshape(len(chosen), -1).T
    return columns


def loss_notes(ready: "Ready") -> list[str]:
    """What the user should know of the maps: phonons that they leave out, and the error of approximations."""
    notes, kinds = _narrow(ready), _by_channelling(ready)
    crystal = ready.scene is not None and ready.scene.cell is not None
    if kinds and ready.plan.specimen.phonons is not None and not losses_beside(ready):
        notes.append("core-loss maps have Debye-Waller factors instead of frozen phonons")
    if not crystal:
        return notes + (
            ["core-loss maps leave out channelling after the loss; only for a perfect crystal its error is found"]
            if kinds
            else []
        )
    for channelling, chosen in kinds.items():
        if channelling == "double":
            continue
        made = _computed(ready, channelling, chosen, True, lambda step, share: None)
        for index, error in zip(chosen, made.error or (), strict=True):
            name = ready.channels[len(ready.responses) + index]
            notes.append(
                f"{name}: channelling {channelling!r} differs from double channelling by {100 * error:.2g} % of the map's mean (rms, at 4 depths)"
            )
    return notes


def _narrow(ready: "Ready") -> list[str]:
    """On specimens that are narrow against the range over which an edge's losses happen."""
    width, notes = min(ready.extent), []
    for name, window in zip(ready.channels[len(ready.responses) :], ready.windows, strict=True):
        needed = math.ceil(least_width(window, ready.energy))
        if width < needed:
            notes.append(
                f"{name}: the specimen is {width:.3g} angstrom wide, and losses of {window.label} happen over so long a range that the map's level is "
                f"off by a per cent or more; specimen.size = [{needed}, {needed}] makes it right"
            )
    return notes


def _by_channelling(ready: "Ready") -> dict[str, list[int]]:
    kinds: dict[str, list[int]] = {}
    for index, each in enumerate(_maps(ready.plan).values()):
        kinds.setdefault(each.channelling, []).append(index)
    return kinds


def _computed(ready: "Ready", channelling: str, chosen: list[int], estimate: bool | None, tell: Tell) -> Any:
    """Maps of a crystal, or with ``estimate`` only a few of their depths and the error."""
    scene, beam, compute = ready.scene, ready.illumination, ready.plan.compute
    assert scene is not None
    assert beam is not None
    if ready.direct:  # blurred with all that comes from the probes' own waves
        beam = eqx.tree_at(lambda light: light.source, beam, jnp.zeros(()))
    windows = [ready.windows[index] for index in chosen]
    try:
        return core_loss_maps(
            _at_rest(scene), beam, windows, *ready.axes, channelling, bool(estimate), 1 if estimate else None,
            int(compute.memory_MB * 1e6), compute.workers, lambda share: tell("core-loss maps", share),
        )  # fmt: skip
    except ValueError as error:
        raise from_twin("compute.memory_MB", error, "Raise it, or use fewer points.") from None


def _at_rest(scene: Scene) -> Scene:
    """Without frozen phonons, but with their damping."""
    if not scene.seeds:
        return scene
    options = {**dict(scene.options), "thermal": "debye-waller"}
    return dataclasses.replace(scene, seeds=(), options=tuple(options.items()))


def losses_of(ready: "Ready") -> list[dict[str, Any]]:
    """The windows in plain values; ``cross_section`` into the aperture in angstrom^2."""
    energy, semiangle = ready.energy, 1e-3 * (ready.plan.beam.semiangle_mrad or 0.0)
    return [
        {
            "channel": name, "edge": window.label, "window": [window.low, window.high],
            "collection_mrad": 1e3 * window.collection, "channelling": each.channelling,
            "cross_section": window.cross_section(energy, semiangle),
        }
        for (name, each), window in zip(_maps(ready.plan).items(), ready.windows, strict=True)
    ]  # fmt: skip
