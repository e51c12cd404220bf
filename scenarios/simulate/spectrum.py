"""The job ``emtwin simulate`` for energy-loss spectra: files and pictures around `twin.simulation.spectrum`."""

import time
from pathlib import Path
from typing import Any

from scenarios.io.progress import Progress
from scenarios.simulate.output import files
from twin.simulation.plan.spectrum_tables import SpectrumSimulation
from twin.simulation.provenance import SCHEMA
from twin.simulation.spectrum.ready import make_spectrum
from twin.simulation.spectrum.run import record_spectrum


def run_spectrum_job(plan: SpectrumSimulation, out: Path, resume: bool, progress: Progress) -> dict[str, Any]:
    """Simulate ``plan`` into ``out``, which `files.check_out` has passed. Returns what ``--json`` prints; BadInput before anything is written.

    It takes seconds, so that an interrupted one begins anew.
    """
    start = time.monotonic()
    progress.stage("checking the scenario")
    ready = make_spectrum(plan)
    part = files.part_of(out) if resume else files.begin(out, plan.as_dict(), "")
    try:
        progress.stage("computing spectra")
        made = record_spectrum(ready)
        from scenarios.simulate.output.spectra import spectrum_picture

        progress.stage("drawing")
        picture = spectrum_picture(made, plan.name)
    except Exception:
        files.drop_if_empty(part)
        raise
    made.provenance["seconds"] = round(time.monotonic() - start, 3)
    files.publish(out, part, made.recording, made.provenance, picture)
    recording, provenance = made.recording, made.provenance
    told = (
        "seconds",
        "form",
        "structure",
        "thickness",
        "t_over_lambda",
        "mean_free_path",
        "electrons",
        "edges",
        "counts",
        "notes",
        "warnings",
    )
    return {
        "schema": SCHEMA, "scenario": plan.name, "signal": plan.signal, "seed": plan.seed, "shape": list(recording.data.shape),
        "axes": [axis.as_dict() for axis in recording.axes], "quantity": recording.quantity, "unit": recording.unit,
        "file": str(out), "picture": str(files.picture_of(out)), **{key: provenance[key] for key in told},
    }  # fmt: skip
