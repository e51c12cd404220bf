"""The job ``emtwin simulate``: pieces of a signal, kept as they come, then the recording, its picture and its provenance.

A piece is some probes of a scan, or one frozen configuration of a plane wave. What is kept is free of noise and, as its last column, how much of
the beam came through; the noise is drawn at the end from the seed, so that an interrupted run ends as an uninterrupted one.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np

from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.simulate.detection import camera_of
from scenarios.simulate.form import with_form
from scenarios.simulate.output import files
from scenarios.simulate.output.recording import SCHEMA, averaged, caption_of, provenance_of, record
from scenarios.simulate.ready import Ready, make_ready
from scenarios.simulate.sampling import sampling_of
from scenarios.simulate.scenario.plan import Simulation
from scenarios.simulate.scenario.reading import from_dict
from scenarios.simulate.signals import columns_shape, pieces


def run_simulate(plan: Simulation | None, out: Path, resume: bool, progress: Progress) -> dict[str, Any]:
    """Simulate ``plan`` into ``out``, or go on with the unfinished ``out``. Returns what ``--json`` prints; BadInput before anything is written."""
    start = time.monotonic()
    files.check_out(out, resume)
    structure = None
    if resume:
        scenario, structure = files.recorded(out)
        begun = from_dict(scenario, str(files.part_of(out)))
        if plan is not None and {**plan.as_dict(), "folder": ""} != {**begun.as_dict(), "folder": ""}:
            raise BadInput("SCENARIO", f"is not the one that {out} was begun with", "Leave SCENARIO out with --resume.")
        plan = begun
    if plan is None:
        raise BadInput("SCENARIO", "is missing", "Name a TOML file or a preset.")
    progress.stage("checking the scenario")
    ready = make_ready(plan)
    sink = camera_of(plan)
    shape = columns_shape(ready)
    _check_size(ready, shape)
    if structure is not None and structure != ready.made.hash():
        raise BadInput(
            plan.specimen.structure, "has changed since the simulation began", "Begin anew, without --resume."
        )
    progress.stage("choosing the form of the computation")
    ready = with_form(ready)
    _check_size(ready, shape)
    part = files.part_of(out) if resume else files.begin(out, plan.as_dict(), ready.made.hash())
    try:
        progress.stage("estimating what the grid leaves out")
        sampling = sampling_of(ready)
        for first, piece in pieces(ready, _done(part), progress.stage):
            files.save_piece(part, first, first + len(piece), piece)
    except Exception:
        files.drop_if_empty(part)
        raise
    progress.stage("recording")
    clean, flux = averaged(ready, files.gathered(part), shape)
    if not (np.all(np.isfinite(clean)) and np.isfinite(flux)):
        raise ArithmeticError(f"the signal has values that are not finite; {part} keeps its pieces")
    recording = record(ready, clean, sink)
    seconds = time.monotonic() - start
    provenance = provenance_of(ready, flux, seconds, sampling)
    from scenarios.simulate.output import drawings

    picture = drawings.picture(recording, plan.signal, plan.name, caption_of(ready))
    files.publish(out, part, recording, provenance, picture)
    return {
        "schema": SCHEMA, "scenario": plan.name, "signal": plan.signal, "seed": plan.seed, "shape": list(recording.data.shape),
        "axes": [one.as_dict() for one in recording.axes], "quantity": recording.quantity, "unit": recording.unit,
        "file": str(out), "picture": str(files.picture_of(out)), "seconds": round(seconds, 3),
        **{key: provenance[key] for key in ("form", "flux", "thickness", "structure", "cell", "scan", "sampling", "notes", "warnings")},
    }  # fmt: skip


def _done(part: Path) -> int:
    """How many probes or configurations are there already."""
    there = files.pieces(part)
    return there[-1][1] if there else 0


def _check_size(ready: Ready, shape: tuple[int, ...]) -> None:
    """BadInput if what is kept until the end exceeds the bound of memory: the least that it can take, while the form is not chosen."""
    phonons = ready.plan.specimen.phonons
    configurations = 1 if phonons is None else phonons.configurations
    count = len(ready.positions) * (1 if ready.direct else configurations) or configurations
    needed = count * int(np.prod(shape)) * (16 if ready.plan.signal == "exit-wave" else 8) / 1e6
    if needed > ready.plan.compute.memory_MB:
        raise BadInput(
            "compute.memory_MB",
            f"the recording takes {needed:.0f} MB, the bound is {ready.plan.compute.memory_MB:.0f}",
            "Raise it, or keep less: fewer probes, [detectors.NAME] with reach_mrad and bin.",
        )
