"""A session on recorded data: starts the replay as a remote instrument, runs the job on it, and writes the report."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from instrument.core.journal import Journal
from instrument.remote.client import RemoteInstrument
from instrument.remote.launch import launch
from learn.mapping.host import Host, HostClaims
from learn.mapping.loop import MapPlan, Survey, acquire_map, check_plan
from learn.mapping.replay import described, dose_of
from reconstruct.measurement.scanned import PixelQuantity, QuantityName, pixel_quantity, quantity_named
from reconstruct.measurement.scanned.names import HINT
from scenarios.io.atomic_output import begun
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.replay.drawings import figures
from scenarios.replay.recording import Played, Recorder, Recording, played_by, recorded_survey
from scenarios.replay.scenario import ReplayScenario
from scenarios.report.page import write_report

SCHEMA = "emtwin.replay/1"


def run_replay(
    scenario: ReplayScenario,
    out: Path,
    recording: Recording | None,
    progress: Progress,
    resume: bool = False,
    instrument: str | None = None,
) -> dict[str, Any]:
    """Run ``scenario`` in the new session folder ``out`` (or resume it); returns the result that ``--json`` prints.

    ``recording``: the files to replay, or ``instrument`` the address of a running replay. Nothing is written before the instrument has answered and everything
    asked for was checked. Raises ValueError (VendorError, BadInput) for what cannot be used, InstrumentLost if the replay ends early.
    """
    start = time.monotonic()
    name, plan = named_quantity(scenario), plan_of(scenario)
    with ExitStack() as stack:
        remote = stack.enter_context(_connected(scenario, name, recording, progress, instrument))
        progress.stage("looking at the survey image")
        played = played_by(remote, name)
        label = "instrument" if recording is None else str(recording.data)
        check_plan(plan, played.shape, name, label)
        quantity = quantity_of(scenario, name, played)
        if not resume:  # what the first pixels show to be wrong is refused without a trace
            stack.enter_context(begun(out))
        journal = stack.enter_context(Journal.open(out, write=True) if resume else Journal.create(out))
        if resume:
            _check_same(journal, played, recording)
            journal.append("resumed", {})
        else:
            values = scenario.as_dict() | _absolute(recording)
            journal.append("scenario", {"scenario": values, "seed": scenario.seed, "start": remote.now()})
        if recorded_survey(journal) is None:
            journal.append_frame(played.survey)
        known = played.pixel(scenario.gain, None)
        claims = HostClaims(known.energy, known.convergence, known.collection)
        survey = Survey(played.survey.data, played.finer, claims)
        recorder = Recorder(remote, journal, played.detector)
        made, arrays = acquire_map(recorder, survey, name, quantity, plan, progress)
        result = _result(scenario, name, quantity, played, made) | {"seconds": time.monotonic() - start}
        recorder.note("score", {key: result[key] for key in ("r2", "rmse", "rmse_always", "coverage90")}, arrays)
        recorder.note("result", result)
    progress.stage("writing the report")
    write_report(out, figures(arrays, result))
    return result


def _result(
    scenario: ReplayScenario, name: QuantityName, quantity: PixelQuantity, played: Played, made: dict[str, Any]
) -> dict[str, Any]:
    """The result with what it is of."""
    meta = played.survey.meta
    virtual = bool(meta.get("survey.virtual"))
    about = {"schema": SCHEMA, "scenario": scenario.name, "seed": scenario.seed, "recording": str(meta.get("file", ""))}
    about |= described(name, quantity.unit, str(meta.get("survey", "")), virtual, played.shape)
    return about | made | dose_of(made, played.electrons, virtual)


def _connected(
    scenario: ReplayScenario, name: QuantityName, recording: Recording | None, progress: Progress, address: str | None
) -> "_Connection":
    if address is not None or recording is None:
        return _Connection(RemoteInstrument(str(address)), None)
    config: dict[str, Any] = {"content": name.content, "bin": scenario.bin}
    if name.energies is not None:
        config["energies"] = list(name.energies)
    if scenario.signal is not None:
        config["signal"] = scenario.signal
    progress.stage(f"reading {recording.data.name}")
    launched = launch("replay", data=recording.data, survey=recording.survey, config=config, progress=progress.stage)
    try:
        return _Connection(launched.connect(), launched)
    except BaseException:
        launched.stop()
        raise


class _Connection:
    """A remote instrument as a context, and the process that was launched for it."""

    def __init__(self, remote: RemoteInstrument, launched: Any):
        self._remote, self._launched = remote, launched

    def __enter__(self) -> RemoteInstrument:
        return self._remote

    def __exit__(self, *_: object) -> None:
        self._remote.close()
        if self._launched is not None:
            self._launched.stop()


def named_quantity(scenario: ReplayScenario) -> QuantityName:
    """The quantity that a scenario names; BadInput where it names none, or one that there is not."""
    if scenario.quantity is None:
        raise BadInput("--quantity", f"scenario {scenario.name!r} names no quantity, and none is given", HINT)
    return quantity_named(scenario.quantity, scenario.background, scenario.window)


def plan_of(scenario: ReplayScenario) -> MapPlan:
    """What is asked of the map."""
    return MapPlan(
        scenario.tolerance,
        scenario.budget,
        scenario.audit_share,
        scenario.seed,
        _host(scenario),
        scenario.model,
        scenario.rule,
    )


def quantity_of(scenario: ReplayScenario, name: QuantityName, played: Played) -> PixelQuantity:
    """What is read of each pixel that an instrument plays."""
    angle = None if scenario.pixel_mrad is None else 1e-3 * scenario.pixel_mrad
    return pixel_quantity(name, played.pixel(scenario.gain, angle))


def _host(scenario: ReplayScenario) -> Host | None:
    """The host crystal of a replay, a CIF by its whole path; None where the scenario names none."""
    if scenario.host is None:
        return None
    named = scenario.host.structure
    structure = str(Path(scenario.folder) / named) if Path(named).suffix else named
    return Host(structure, scenario.host.zone, scenario.host.thickness)


def _absolute(recording: Recording | None) -> dict[str, Any]:
    """The files of a session, so that it is resumed with the same ones."""
    if recording is None:
        return {}
    return {"data": str(recording.data), "survey": None if recording.survey is None else str(recording.survey)}


def _check_same(journal: Journal, played: Played, recording: Recording | None) -> None:
    """BadInput where a session is resumed with another recording than its own."""
    survey = recorded_survey(journal)
    if survey is not None and not np.array_equal(survey.data, played.survey.data):
        where = "instrument" if recording is None else str(recording.data)
        raise BadInput(where, "is another recording than that of the session", "Give the one that it was started with.")
