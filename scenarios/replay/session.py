"""A session on recorded data: starts the replay as a remote instrument, runs the job on it, and writes the report."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from instrument.core.interface import Description
from instrument.core.journal import Journal
from instrument.remote.client import RemoteInstrument
from instrument.remote.launch import launch
from scenarios.acquire.scenario import Scenario
from scenarios.io.progress import Progress
from scenarios.replay.drawings import figures
from scenarios.replay.host import Host
from scenarios.replay.titanate import acquire_map
from scenarios.report.page import write_report


def run_replay(
    scenario: Scenario,
    out: Path,
    data: Path | None,
    progress: Progress,
    resume: bool = False,
    instrument: str | None = None,
) -> dict[str, Any]:
    """Run ``scenario`` in the new session folder ``out`` (or resume it); returns the result that ``--json`` prints.

    ``data`` is the folder of the recording, or ``instrument`` the address of a running replay. Nothing is written before the instrument has answered.
    Raises ValueError (VendorError, BadInput) for data that cannot be used, InstrumentLost if the replay ends early.
    """
    with ExitStack() as stack:
        if instrument is None:
            launched = stack.enter_context(launch("replay", data=data, seed=scenario.seed, progress=progress.stage))
            remote = launched.connect()
        else:
            remote = RemoteInstrument(instrument)
        stack.callback(remote.close)
        description = remote.describe()
        journal = stack.enter_context(Journal.open(out, write=True) if resume else Journal.create(out))
        if resume:
            journal.append("resumed", {})
        else:
            journal.append("scenario", {"scenario": scenario.as_dict(), "seed": scenario.seed, "start": remote.now()})
        result, arrays = acquire_map(
            remote,
            journal,
            tolerance=scenario.tolerance,
            max_measured=_most(scenario, description),
            seed=scenario.seed,
            progress=progress,
            audit_share=scenario.audit_share,
            host=_host(scenario),
        )
    progress.stage("writing the report")
    write_report(out, figures(arrays, scenario.tolerance))
    return result


def _host(scenario: Scenario) -> Host | None:
    """The host crystal of a replay, a CIF by its whole path; None where the scenario names none."""
    if scenario.host is None:
        return None
    named = scenario.host.structure
    structure = str(Path(scenario.folder) / named) if Path(named).suffix else named
    return Host(structure, scenario.host.zone, scenario.host.thickness)


def _most(scenario: Scenario, description: Description) -> int | None:
    """How many spectra the scenario allows at most; None where it allows all."""
    if scenario.max_measured_share >= 1.0:
        return None
    sides = [control.highest + 1 for control in description.controls if control.name in ("pixel.x", "pixel.y")]
    return int(scenario.max_measured_share * sides[0] * sides[1]) if len(sides) == 2 else None
