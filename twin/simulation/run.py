"""A simulation as a whole: what is checked first, the signal piece by piece, and the recording made of its pieces.

A piece is some probes of a scan, or one frozen configuration of a plane wave. It is free of noise and has, as its last column, the share of the
beam that came through; counting noise is drawn at the end from the seed, so that a simulation that was interrupted ends as one that was not.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from twin.detection.camera import Camera
from twin.errors import BadInput
from twin.sample.structures import Structure
from twin.simulation.detection import camera_of
from twin.simulation.form import with_form
from twin.simulation.plan.tables import Simulation
from twin.simulation.provenance import provenance_of
from twin.simulation.ready import Ready, make_ready
from twin.simulation.recording import Recording, averaged, record
from twin.simulation.sampling import Sampling, sampling_of
from twin.simulation.signals import columns_shape, pieces

Tell = Callable[[str, float | None], None]
"""Called with the name of a step and the share of it that is done (None: not known)."""


class Prepared(NamedTuple):
    """A simulation that was checked: ``ready``, the ``camera`` that makes counts (None: electrons are counted), and the ``shape`` of one item of a piece."""

    ready: Ready
    camera: Camera | None
    shape: tuple[int, ...]


class Simulated(NamedTuple):
    """A recording and where it comes from."""

    ready: Ready
    recording: Recording
    provenance: dict[str, Any]


def prepare(plan: Simulation, structure: Structure | None = None) -> Prepared:
    """Everything that can be refused before something is computed; BadInput naming the key at fault, the problem and the cure."""
    ready = make_ready(plan, structure)
    prepared = Prepared(ready, camera_of(plan), columns_shape(ready))
    _check_size(prepared)
    return prepared


def choose_algorithm(prepared: Prepared) -> Prepared:
    """``prepared`` with the algorithm of its STEM image, which takes seconds to choose; BadInput where there is none."""
    chosen = prepared._replace(ready=with_form(prepared.ready))
    _check_size(chosen)
    return chosen


def finish(prepared: Prepared, columns: np.ndarray, sampling: Sampling) -> Simulated:
    """The recording out of all pieces [items, columns]; ArithmeticError for a signal that is not finite."""
    clean, flux = averaged(prepared.ready, columns, prepared.shape)
    if not (np.all(np.isfinite(clean)) and np.isfinite(flux)):
        raise ArithmeticError("the signal has values that are not finite")
    recording = record(prepared.ready, clean, prepared.camera)
    return Simulated(prepared.ready, recording, provenance_of(prepared.ready, flux, sampling))


def run(plan: Simulation, structure: Structure | None = None, tell: Tell = lambda step, share: None) -> Simulated:
    """The simulation of ``plan`` in memory; ``structure``: the one that it names, where it was read before.

    ValueError where JAX has no float64; BadInput, naming the key, for a plan that cannot be computed.
    A plan comes from `from_dict`, which refuses contradictions.
    """
    prepared = choose_algorithm(prepare(plan, structure))
    tell("estimating what the grid leaves out", None)
    sampling = sampling_of(prepared.ready)
    columns = np.concatenate([piece for _, piece in pieces(prepared.ready, 0, tell)])
    return finish(prepared, columns, sampling)


def _check_size(prepared: Prepared) -> None:
    """BadInput if what is kept until the end exceeds the bound of memory: the least that it can take, while the algorithm is not chosen."""
    ready, plan = prepared.ready, prepared.ready.plan
    phonons = plan.specimen.phonons
    configurations = 1 if phonons is None else phonons.configurations
    count = len(ready.positions) * (1 if ready.direct else configurations) or configurations
    needed = count * int(np.prod(prepared.shape)) * (16 if plan.signal == "exit-wave" else 8) / 1e6
    if needed > plan.compute.memory_MB:
        raise BadInput(
            "compute.memory_MB",
            f"the recording takes {needed:.0f} MB, the bound is {plan.compute.memory_MB:.0f}",
            "Raise it, or keep less: fewer probes, [detectors.NAME] with reach_mrad and bin.",
        )
