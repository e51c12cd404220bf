"""The job ``emtwin simulate``: files, progress and last words around `twin.simulation.run`, whose pieces are saved as they come."""

import time
from pathlib import Path
from typing import Any

from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.simulate.output import files
from scenarios.simulate.spectrum import run_spectrum_job
from twin.simulation.plan.reading import AnySimulation, any_from_dict
from twin.simulation.plan.spectrum_tables import SpectrumSimulation
from twin.simulation.provenance import SCHEMA, caption_of
from twin.simulation.recording import Recording
from twin.simulation.run import choose_algorithm, finish, prepare
from twin.simulation.sampling import sampling_of
from twin.simulation.signals import pieces

TOLD = ("seconds", "form", "flux", "thickness", "structure", "cell", "scan", "sampling", "losses", "notes", "warnings")
"""What ``--json`` prints of the provenance; ``losses`` of core-loss maps."""


def run_simulate(plan: AnySimulation | None, out: Path, resume: bool, progress: Progress) -> dict[str, Any]:
    """Simulate ``plan`` into ``out``, or go on with the unfinished ``out``. Returns what ``--json`` prints; BadInput before anything is written."""
    start = time.monotonic()
    files.check_out(out, resume)
    structure = None
    if resume:
        scenario, structure = files.recorded(out)
        begun = any_from_dict(scenario, str(files.part_of(out)))
        if plan is not None and {**plan.as_dict(), "folder": ""} != {**begun.as_dict(), "folder": ""}:
            raise BadInput("SCENARIO", f"is not the one that {out} was begun with", "Leave SCENARIO out with --resume.")
        plan = begun
    if plan is None:
        raise BadInput("SCENARIO", "is missing", "Name a TOML file or a preset.")
    if isinstance(plan, SpectrumSimulation):
        return run_spectrum_job(plan, out, resume, progress)
    progress.stage("checking the scenario")
    prepared = prepare(plan)
    if structure is not None and structure != prepared.ready.made.hash():
        raise BadInput(
            plan.specimen.structure, "has changed since the simulation began", "Begin anew, without --resume."
        )
    progress.stage("choosing the form of the computation")
    prepared = choose_algorithm(prepared)
    ready = prepared.ready
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
    try:
        _, recording, provenance = finish(prepared, files.gathered(part), sampling)
    except ArithmeticError as error:
        raise ArithmeticError(f"{error}; {part} keeps its pieces") from None
    provenance["seconds"] = round(time.monotonic() - start, 3)
    from scenarios.simulate.output import drawings

    picture = drawings.picture(recording, plan.signal, plan.name, caption_of(ready))
    files.publish(out, part, recording, provenance, picture)
    return {
        "schema": SCHEMA, "scenario": plan.name, "signal": plan.signal, "seed": plan.seed, "shape": list(recording.data.shape),
        "axes": [axis.as_dict() for axis in recording.axes], "quantity": recording.quantity, "unit": recording.unit,
        **({} if recording.patterns is None else {"patterns": _told(recording.patterns)}),
        "file": str(out), "picture": str(files.picture_of(out)),
        **{key: provenance[key] for key in TOLD if key in provenance},
    }  # fmt: skip


def _told(recording: Recording) -> dict[str, Any]:
    axes = [axis.as_dict() for axis in recording.axes]
    return {"shape": list(recording.data.shape), "axes": axes, "quantity": recording.quantity, "unit": recording.unit}


def _done(part: Path) -> int:
    """How many probes or configurations are there already."""
    there = files.pieces(part)
    return there[-1][1] if there else 0
