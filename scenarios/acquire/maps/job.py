"""The job ``emtwin acquire QUESTION`` for questions of kind "map": an instrument, and exposures until the map is known as well as was asked."""

import contextlib
import io
import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from instrument.core.journal import Journal
from instrument.remote.client import RemoteInstrument
from instrument.remote.launch import Launched, launch
from instrument.replay import SURVEY
from learn.mapping.dosed.even import even_dwells, even_dwells_denoised, even_electrons
from learn.mapping.dosed.loop import DosedMap, acquire_dosed
from learn.mapping.loop import Survey
from reconstruct.measurement.scanned import PixelQuantity, pixel_quantity
from scenarios.acquire.maps.library import library_of
from scenarios.acquire.maps.page import write_page
from scenarios.acquire.maps.recorder import DosedRecorder, commands_of, survey_of
from scenarios.acquire.maps.wanted import WantedMap, check_limits, file_of, wanted_map
from scenarios.acquire.scoring import scored_by
from scenarios.io.atomic_output import begun
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress
from scenarios.question.tables import Question
from scenarios.replay.recording import Played, played_with, scan_played
from twin.compiled_programs import double_precision
from twin.records import Scan

SCHEMA = "emtwin.map/1"


def run_map(
    question: Question, out: Path, resume: Path | None, progress: Progress, instrument: str | None = None
) -> dict[str, Any]:
    """Answer a question of kind "map" in the session folder ``out`` (or continue ``resume``); returns the result that `--json` prints.

    ``instrument`` is the address of a running instrument with a scan whose pixels may be exposed at will; None starts a simulated one, whose specimen is
    drawn by the question's seed. BadInput, before anything is made, for what instrument and data cannot answer.
    """
    start = time.monotonic()
    wanted = wanted_map(question)
    if resume is not None:
        _check_open(resume)
    with double_precision(), contextlib.ExitStack() as stack:
        remote, launched = stack.enter_context(_instrument(question, wanted, instrument, progress))
        if remote.describe().kind == "replay":
            problem = "plays a recording, each pixel of which has one exposure"
            raise BadInput("instrument", problem, "Map it with emtwin acquire replay --instrument.")
        if resume is None:
            shape, detector = scan_played(remote, wanted.name)
            check_limits(wanted.plan, wanted.area, shape)
            stack.enter_context(begun(out))
        journal = stack.enter_context(Journal.create(out) if resume is None else Journal.open(resume, write=True))
        if resume is None:
            plan = {"name": question.name, "kind": "map", "description": question.description}
            row = {
                "scenario": plan,
                "question": msgspec.to_builtins(question),
                "seed": question.seed,
                "start": remote.now(),
            }
            journal.append("scenario", row)
        else:
            if launched is not None:
                progress.stage("restoring the state of the simulated scan")
                remote.restore(commands_of(journal))
            journal.append("resumed", {"rewound": False})
            shape, detector = scan_played(remote, wanted.name)
        progress.stage("taking the survey image")
        played = _played(remote, journal, wanted, shape, detector)
        quantity = quantity_of(wanted, played)
        ready = time.monotonic() - start
        recorder = DosedRecorder(remote, journal, played, wanted.plan.dwell, wanted.plan.visit, progress)
        survey = Survey(np.asarray(played.survey.data, np.float64), played.finer)
        made = acquire_dosed(recorder, survey, wanted.name, quantity, wanted.plan, _gain(played), progress)
        progress.stage("what an even scan would cost")
        result = _result(question, wanted, quantity, made, recorder, played)
        arrays = arrays_of(made, played)
        if launched is not None:
            remote.seal()
            journal.append("map", {}, None, arrays)
            truth = _truth(resume or out, launched, progress)
            arrays |= {"truth": truth["truth"]}
            result |= _score(made, truth, wanted, shape)
        result |= {"seconds": time.monotonic() - start, "until_first_map_seconds": ready + made.first_answer}
        journal.append("score", {}, None, arrays)
        journal.append("result", result, None)
    progress.stage("writing the report")
    write_page(resume or out)
    return result


def quantity_of(wanted: WantedMap, played: Played) -> PixelQuantity:
    """What is read of each pixel; BadInput where the instrument's data do not hold it."""
    return pixel_quantity(wanted.name, played.pixel(None, None))


def _gain(played: Played) -> float:
    return float(played.survey.meta.get("claim.gain") or 1.0)


def _check_open(folder: Path) -> None:
    with Journal.open(folder) as journal:
        if any(True for _ in journal.rows("result")):
            raise BadInput(str(folder), "this session is complete; there is nothing to resume", "Start a new one.")


@contextlib.contextmanager
def _instrument(
    question: Question, wanted: WantedMap, address: str | None, progress: Progress
) -> Iterator[tuple[RemoteInstrument, Launched | None]]:
    """The instrument, started or at its address; process and connection are closed with the context."""
    if address is not None:
        with RemoteInstrument(address) as remote:
            yield remote, None
        return
    with tempfile.TemporaryDirectory(prefix="emtwin-map-") as folder:
        data, survey, config = _specimen(question, wanted, Path(folder), progress)
        progress.stage("starting the simulated scan")
        with (
            launch(
                "scan", seed=question.seed, data=data, survey=survey, config=config, progress=progress.stage
            ) as launched,
            launched.connect() as remote,
        ):
            yield remote, launched


def _specimen(
    question: Question, wanted: WantedMap, folder: Path, progress: Progress
) -> tuple[Path, Path | None, dict[str, Any]]:
    """What the simulated scan is made of: files, and its configuration."""
    area, config = wanted.area, instrument_config(wanted)
    data = file_of(question, area.expected, "area.expected")
    if data is not None:
        config |= {"content": wanted.name.content}
        if wanted.name.energies is not None:
            config["energies"] = list(wanted.name.energies)
        return data, file_of(question, area.survey_file, "area.survey_file"), config
    progress.stage("spectra of the phases")
    path = folder / "expected.npz"
    made = library_of(question, wanted)
    for note in made.notes:
        progress.note(note)
    made.save(path)
    return path, None, config | {"shape": [area.ny, area.nx]}


def instrument_config(wanted: WantedMap) -> dict[str, Any]:
    """The configuration of the simulated scan, without its shape."""
    area = wanted.area
    return {
        "pixel": area.pixel, "current": wanted.plan.current, "gain": area.gain, "readout": wanted.option.readout, "drift": area.drift,
        "layout": area.layout, "width": area.width or 1.5 * area.pixel,
    }  # fmt: skip


def _played(
    remote: RemoteInstrument, journal: Journal, wanted: WantedMap, shape: tuple[int, int], detector: str
) -> Played:
    """The survey, taken or recorded, and what it says of a pixel's data."""
    frame = survey_of(journal)
    if frame is None:
        area = wanted.area
        frame = remote.acquire(Scan(SURVEY, shape, area.pixel, wanted.survey, wanted.plan.visit, 0.0, 0.0))
        journal.append_frame(frame)
    return played_with(shape, frame, detector)


def arrays_of(made: DosedMap, played: Played) -> dict[str, np.ndarray]:
    """The map [rows, columns] with its standard deviation, the electrons of each pixel, noise and history."""
    session = made.session
    shape, factor = session.model.shape, math.sqrt(session.discrepancy)
    electrons, std = np.array(session.history).reshape(-1, 2).T
    return {
        "survey": np.asarray(played.survey.data, np.float32), "predicted": session.prediction.mean.reshape(shape),
        "predicted_std": factor * session.prediction.std.reshape(shape), "electrons": (session.plan.electrons * session.exposures.dwells).reshape(shape),
        "noise": session.noise.reshape(shape), "history_electrons": electrons, "history_std": std,
    }  # fmt: skip


def _result(
    question: Question,
    wanted: WantedMap,
    quantity: PixelQuantity,
    made: DosedMap,
    recorder: DosedRecorder,
    played: Played,
) -> dict[str, Any]:
    session, plan = made.session, wanted.plan
    shape, std = session.model.shape, session.std
    alone = even_dwells(session.noise, session.asked, plan.everywhere, session.exposures.reading)
    denoised = even_dwells_denoised(session, session.asked)
    dwells = session.exposures.dwells
    unit, told = "1" if quantity.unit == "count" else quantity.unit, dict(made.determined)
    notes = list(told.pop("notes", []))
    beside = None if denoised is None else even_electrons(plan, shape, denoised) + recorder.spent["survey"]
    return {
        "schema": SCHEMA, "question": question.name, "kind": "map", "quantity": wanted.name.text, "title": wanted.name.title, "unit": unit,
        "share_of_beam": quantity.unit == "count", "asked": session.asked, "asked_share": question.asked.std if plan.relative else None,
        "everywhere": plan.everywhere, "std": std, "bound": session.bound, "reached": made.ended == "reached", "ended": made.ended, "pixels": list(shape),
        "exposed": int((dwells > 0).sum()), "exposures": session.count, "audits": session.audits,
        "electrons": recorder.electrons, "electrons_by_purpose": dict(recorder.spent), "instrument_seconds": recorder.seconds,
        "dose_largest": float(dwells.max()) * plan.electrons / wanted.area.pixel**2,
        "even_dwells": alone, "even_electrons": even_electrons(plan, shape, alone),
        "even_dwells_denoised": denoised, "even_electrons_denoised": beside,
        "model_distrusted": session.distrusted, "misfit": session.misfit / session.freedom if session.freedom else None, "discrepancy": session.discrepancy,
        "decision_seconds": float(np.median(made.decisions)) if made.decisions else None, "longest_fit_seconds": max(made.fits), "fit_seconds": sum(made.fits),
        "first_answer_seconds": made.first_answer, "determined": told, "notes": notes,
        "seed": question.seed,
    }  # fmt: skip


def _score(made: DosedMap, truth: dict[str, np.ndarray], wanted: WantedMap, shape: tuple[int, int]) -> dict[str, Any]:
    """Errors by the truth; the even scan's dose by the true noise."""
    session = made.session
    off = session.prediction.mean.reshape(shape) - truth["truth"]
    std = math.sqrt(session.discrepancy) * session.prediction.std.reshape(shape)
    error = float(np.abs(off).max()) if wanted.plan.everywhere else float(np.sqrt((off**2).mean()))
    alone = even_dwells(truth["noise"].ravel(), session.asked, wanted.plan.everywhere, session.exposures.reading)
    return {
        "rmse": float(np.sqrt((off**2).mean())), "largest_error": float(np.abs(off).max()), "error": error, "within": error <= session.asked,
        "coverage90": float((np.abs(off) < 1.645 * std).mean()), "sure_and_wrong": float((np.abs(off) > 4.0 * std).mean()),
        "even_electrons_true_noise": even_electrons(wanted.plan, shape, alone),
    }  # fmt: skip


def _truth(folder: Path, launched: Launched, progress: Progress) -> dict[str, np.ndarray]:
    """The true map, and the noise of one shortest dwell time."""
    scored = scored_by("scenarios.acquire.maps.truth", folder, launched, progress)
    with np.load(io.BytesIO(scored), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
