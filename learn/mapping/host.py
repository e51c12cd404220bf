"""The host crystal of a recorded spectrum image: what the edge gives at each place of its cell by the twin's wave optics, and where each pixel lies in it."""

import hashlib
import io
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reconstruct.eels.columns import EdgeResponse, edge_response, place_in_cell
from reconstruct.measurement.projection import project
from twin import EdgeMap, Microscope, Sample, Scan
from twin.api.simulate import plan_of
from twin.cache_folder import keep, usable_cache
from twin.eels.maps import core_loss_maps
from twin.errors import BadInput
from twin.simulation.run import prepare

ALGORITHM = 2
"""Number of the way a map is computed; part of its name in the cache."""
SAMPLING, STEP = 0.16, 0.25
"""Angstrom between points of the waves, and between probes over the cell, at most."""


class Host(NamedTuple):
    """The crystal on whose lattice the atoms stand: ``structure`` (a known name or the path of a CIF), ``zone`` axis and ``thickness`` in angstrom.
    Cations may differ across the map: only the places of columns and the edge's relative map over a cell are taken from it."""

    structure: str
    zone: tuple[int, int, int]
    thickness: float


class HostClaims(NamedTuple):
    """What a recording says of the beam: its energy in eV and both semi-angles in radian; None where it does not."""

    energy: float | None = None
    convergence: float | None = None
    collection: float | None = None


class HostResponse(NamedTuple):
    """``response`` of the pixels, and what of it goes into records: mean periods in pixels of the image, and how far the lattice stands out."""

    response: EdgeResponse
    summary: dict[str, Any]


def host_response(
    host: Host,
    edge: str,
    window: tuple[float, float],
    image: np.ndarray,
    finer: int,
    claims: HostClaims,
) -> HostResponse:
    """The response of each pixel, blocks of ``finer`` x ``finer`` of the survey ``image``, at an ``edge`` ("Ti L") in a ``window`` of losses (eV).

    BadInput for a structure, zone or edge that cannot be used or a
    recording without these claims; ValueError where the image shows no such lattice (`place_in_cell`).
    """
    energy, convergence, collection = claims
    if energy is None or convergence is None or collection is None:
        problem = "its recording does not say high tension, convergence and collection angles"
        raise BadInput("host", problem, "Leave the table [host] out: the map is then predicted without a crystal.")
    options = {"zone": host.zone, "thickness": host.thickness}
    named = Path(host.structure)
    sample = Sample.from_cif(named, **options) if named.suffix else Sample.crystal(host.structure, **options)
    microscope = Microscope(energy=energy, semiangle=convergence)
    detector = EdgeMap(edge, window, collection, "local")
    plan = plan_of(sample, microscope, "stem", scan=Scan((1, 1), fov=1.0), detectors=[detector], sampling=SAMPLING)
    ready = prepare(plan, sample.structure).ready
    conventional = project(ready.made.cell.atoms)
    primitive = conventional.primitive()
    placement = place_in_cell(image, primitive)
    map_ = _map(ready, [ready.made.hash(), energy, convergence, *ready.windows[0]])
    # both describe the same places, in shares of other periods
    change = np.linalg.inv(conventional.vectors) @ primitive.vectors
    response = edge_response(map_, conventional, placement.coordinates @ change.T, finer)
    periods = (1.0 / np.linalg.norm(placement.lattice, axis=1)).tolist()
    summary = {"structure": host.structure, "zone": list(host.zone), "thickness": host.thickness}
    return HostResponse(response, summary | {"periods": periods, "contrast": placement.contrast})


def _map(ready: Any, values: list[Any]) -> np.ndarray:
    """The edge's map over the cell, [my, mx] at shares of its sides; kept in the cache folder."""
    name = hashlib.sha256(json.dumps([ALGORITHM, SAMPLING, STEP, *values]).encode()).hexdigest()
    folder = usable_cache()
    path = None if folder is None else folder / "edge-maps" / f"{name[:32]}.npy"
    if path is not None and path.is_file():
        try:
            return np.load(path, allow_pickle=False)
        except (OSError, ValueError):
            path.unlink(missing_ok=True)  # half a file: computed again
    sides = ready.made.unit[:2]
    x, y = (np.arange(count) * side / count for side, count in ((side, math.ceil(side / STEP)) for side in sides))
    made = core_loss_maps(ready.scene, ready.illumination, ready.windows, x, y, "local", estimate=False).array[0]
    if path is not None:
        stored = io.BytesIO()
        np.save(stored, made)
        keep(stored.getvalue(), path)
    return made
