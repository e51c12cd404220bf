"""Evidence of diffraction patterns of a known crystal: the pixels of the pattern, and with angles the high tension, by the reciprocal lattice."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from reconstruct.measurement.diffraction.indexing import components, index_net
from reconstruct.measurement.diffraction.net import Net, find_net
from reconstruct.measurement.diffraction.spots import Spots, compressed, find_spots
from reconstruct.measurement.measurement import FitPlot
from reconstruct.measurement.projection import project
from reconstruct.validation.data.diffraction.laue import laue_zone
from reconstruct.validation.data.diffraction.patterns import ANGLE, FREQUENCY
from reconstruct.validation.data.diffraction.rings import ring_evidence
from reconstruct.validation.data.options import Known, Tell
from reconstruct.validation.data.specimen import name_of, oriented
from reconstruct.validation.evidence import Evidence, Gap, Picture, Statement
from twin.errors import BadInput
from twin.records import Signal
from twin.simulation.specimen import structure_named

LEAST_PIXELS = 48
LARGEST = 512
"""Rows and columns above which a pattern is binned."""
DISTORTION = 2e-3
"""Relative rms by which a projector distorts a pattern, along x and y."""
INNER = 0.5
"""Share of the farthest spot's distance within which a lattice is looked for where all spots show none."""
SAID = 0.05
"""Weight from which a reading is mentioned."""
VERIFY = "Record a diffraction pattern of a known crystal along a zone axis at this camera length."


def spots(signal: Signal, values: Mapping[str, float], known: Known, tell: Tell) -> tuple[list[Evidence], list[Gap]]:
    """The pixels of a pattern by the spots (or separate disks) of the specimen; a gap where the specimen or a lattice is not known."""
    fields = ANGLE if ANGLE[0] in values else FREQUENCY
    fields = (*fields, "high_tension") if fields is ANGLE else fields
    if known.specimen is None:
        return [], [Gap(fields, "the specimen is not known, so that no spot has a known place", VERIFY)]
    pattern, factor = binned_pattern(signal)
    if min(pattern.shape) < LEAST_PIXELS:
        return [], [
            Gap(
                fields, f"the pattern has {pattern.shape[1]} x {pattern.shape[0]} pixels: too few for a lattice", VERIFY
            )
        ]
    tell("looking for diffraction spots", None)
    measured = find_spots(pattern)
    net = find_net(measured)
    if isinstance(net, str):
        # reflections of high-order zones far out are bright, and displaced by the projector
        inner = _inner(measured)
        nearer = find_net(inner)
        measured, net = (inner, nearer) if not isinstance(nearer, str) else (measured, net)
    if isinstance(net, str):
        rings = _rings(pattern, factor, fields, known)
        if isinstance(rings, Evidence):
            return [rings], []
        return [], [Gap(fields, f"the pattern shows no lattice: {net}; and no rings: {rings}", VERIFY)]
    try:
        atoms = oriented(signal, known)
        crystal = project(atoms).primitive()
    except (BadInput, ValueError) as error:
        return [], [Gap(fields, f"the specimen cannot be used: {error}", "Give another --specimen or --zone.")]
    readings = index_net(net, measured, pattern, crystal, values[fields[0]] / values[fields[1]])
    if not readings:
        first, second = np.linalg.norm(net.vectors, axis=1)
        angle = math.degrees(math.acos(abs(float(net.vectors[0] @ net.vectors[1])) / float(first * second)))
        why = f"the lattice of the pattern (ratio {second / first:.3g}, angle {angle:.1f} degrees) is none of {name_of(known)} along this zone axis"
        return [], [Gap(fields, why, "Check --specimen and --zone.")]
    extra = DISTORTION**2 * np.eye(2) + known.cell_error**2
    parts = components(readings, extra)
    parts = tuple(type(part)(part.weight, part.mean - math.log(factor), part.covariance) for part in parts)
    more = {"wavelength": -1.0} if fields[0] in ANGLE else {}
    statements = tuple(Statement(f"{name} by diffraction spots", {name: 1.0, **more}) for name in fields[:2])
    sizes = [f"{x:.5g} x {y:.5g}" for x, y in (np.exp(part.mean) for part in parts if part.weight > SAID)]
    shape = "disks" if measured.disks else "spots"
    words = (
        f"{int(net.used.sum())} {shape} of {name_of(known)} make the pixels of the pattern {' or '.join(sizes)} 1/Å."
    )
    picture = Picture("fit", _picture(pattern, net, measured), f"The lattice of {name_of(known)} in the pattern")
    independent = ("magnification", "camera length") if more else ("magnification", "camera length", "high tension")
    item = Evidence(
        f"diffraction spots of {name_of(known)}", "data", statements, parts, words, independent, pictures=(picture,)
    )
    zone = laue_zone(pattern, net, measured, readings, atoms, known) if "high_tension" in values else None
    return [item, *([zone] if isinstance(zone, Evidence) else [])], [zone] if isinstance(zone, Gap) else []


def _inner(spots: Spots) -> Spots:
    """The spots nearer to the strongest one than half the way to the farthest."""
    if not len(spots.positions):
        return spots
    distances = np.hypot(*(spots.positions - spots.positions[0]).T)
    near = distances < INNER * distances.max()
    return spots._replace(positions=spots.positions[near], strengths=spots.strengths[near])


def _rings(pattern: np.ndarray, factor: int, fields: tuple[str, ...], known: Known) -> Evidence | str:
    """Rings of the specimen as a polycrystal, or why there are none."""
    given = known.specimen
    try:
        structure = given.structure if hasattr(given, "structure") else structure_named("specimen", str(given))
    except BadInput as error:
        return f"the specimen cannot be used: {error.problem}"
    return ring_evidence(pattern, factor, structure, name_of(known), fields[:2], fields[0] in ANGLE, known.cell_error)


def binned_pattern(signal: Signal) -> tuple[np.ndarray, int]:
    """The sum of all patterns of a signal, binned by a whole number to at most `LARGEST` pixels each way, and that number."""
    data: Any = np.asarray(signal.data)
    data = (
        data.reshape(-1, *data.shape[-2:]).sum(axis=0, dtype=np.float64)
        if data.ndim > 2
        else np.asarray(data, np.float64)
    )
    data = np.where(np.isfinite(data), data, float(np.nanmedian(data)))
    factor = max(1, math.ceil(max(data.shape) / LARGEST))
    rows, columns = (size // factor * factor for size in data.shape)
    return data[:rows, :columns].reshape(rows // factor, factor, columns // factor, factor).sum(axis=(1, 3)), factor


def _picture(pattern: np.ndarray, net: Net, measured: Spots) -> FitPlot:
    """The pattern's logarithm, with the nodes of its lattice as model."""
    logs = compressed(pattern)
    rows, columns = np.mgrid[: logs.shape[0], : logs.shape[1]]
    model = np.zeros(logs.shape)
    for x, y in net.origin + net.indices[net.used] @ net.vectors:
        model = np.maximum(model, 1.0 * (np.hypot(columns - x, rows - y) <= measured.radius + 1.0))
    extent = (-0.5, logs.shape[1] - 0.5, logs.shape[0] - 0.5, -0.5)
    return FitPlot("logarithm of the pattern", logs, model, np.zeros(logs.shape), extent, "pixel")
