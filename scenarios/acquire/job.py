"""The job ``emtwin acquire``: an instrument, its twin, and a session in which the twin answers requests where its error is small.

The instrument starts first, in a process of its own; meanwhile what needs JAX is imported, built and compiled.
"""

import contextlib
import io
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec
import numpy as np

from instrument.core.interface import InstrumentLost
from instrument.core.journal import Journal
from instrument.remote.client import RemoteInstrument
from instrument.remote.launch import Launched, launch
from scenarios.acquire.dose_accounting import dose_of_measuring_all
from scenarios.acquire.planning.requests import plan_requests
from scenarios.acquire.scenario import Scenario
from scenarios.acquire.scoring import scored_by
from scenarios.io.errors import BadInput
from scenarios.io.pace import Pace, PacedProgress, slowness
from scenarios.io.progress import Progress
from scenarios.report.live import LiveReport
from scenarios.report.session import request_rows
from scenarios.report.verdict import judge
from twin.cache_folder import usable_cache

if TYPE_CHECKING:
    from scenarios.acquire.loop import Policy, SessionLoop
    from scenarios.acquire.twin_session import TwinSession

SCHEMA = "emtwin.acquire/2"


def run_acquire(
    scenario: Scenario,
    out: Path,
    seed: int,
    resume: Path | None,
    progress: Progress,
    instrument: str | None = None,
    policy: "Policy" = "decide",
    chosen: frozenset[int] = frozenset(),
    report: bool = True,
) -> dict[str, Any]:
    """Run a session in the folder ``out`` (or continue ``resume``); returns the result that `--json` prints.

    ``instrument`` is the address of a running instrument; None starts the simulated microscope. ``policy`` and ``chosen`` are for control experiments.
    """
    begun = time.monotonic()
    past = past_of(resume, seed) if resume else None
    if instrument is None:
        check_config(scenario)
    requests, moves = plan_requests(scenario.requests, seed)
    live = LiveReport(out) if report else None
    left = len(requests) - (int(past["values"]["next"]) if past is not None else 0)
    pace = PacedProgress(progress, Pace(left, slowness()), live.refresh if live else lambda: None)
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(1))
        pending = stack.enter_context(microscope_of(scenario.instrument.config, seed, instrument, pace, pool))
        planned = None
        if instrument is None and resume is None:
            planned = stack.enter_context(planned_journal(out, {"scenario": scenario.as_dict(), "seed": seed}))
        if live is not None:
            stack.enter_context(live)
        if live is not None and planned is not None:
            live.refresh()
            pace.note(f"report, updated while the session runs: {out / 'report.html'}")
        twin_session = twin_of(scenario, seed, pace, pending.check)
        remote, launched = connected(pending, past, pace)
        start = remote.now()
        journal = planned
        if journal is None:
            journal = stack.enter_context(Journal.open(resume, write=True) if resume else Journal.create(out))
        from scenarios.acquire.loop import SessionLoop

        loop = SessionLoop(remote, twin_session(start), scenario, requests, moves, journal, pace, start, policy, chosen)
        begin(loop, past, launched is not None, {"scenario": scenario.as_dict(), "seed": seed})
        with interrupts_stop(loop.stop):
            loop.run()
        if launched is not None:
            remote.seal()
        score = _decoded(scored_by("scenarios.acquire.score", out, launched, pace)) if launched is not None else {}
        verdict = judge([row.payload for row in request_rows(journal)], scenario.tolerance, score.get("rmse"))
        result = summary(loop, score, seed, time.monotonic() - begun) | verdict.as_dict()
        arrays = score.pop("arrays", {})
        journal.append("score", score, None, arrays)
        journal.append("result", result, None)
        pace.stage("writing the report")
    if report:
        from scenarios.report.page import write_report

        write_report(out)
    return result


def connected(
    pending: "_Pending", past: dict[str, Any] | None, progress: Progress
) -> tuple[RemoteInstrument, Launched | None]:
    """The instrument and its process, if it was started; one that was is brought to where a session that is resumed stopped."""
    remote, launched = pending.connect()
    if past is not None and launched is None:
        progress.stage("resuming with the instrument as it is")
    elif past is not None:
        progress.stage("restoring the state of the simulated microscope")
        remote.restore(past["commands"])
        remote.readings()
    return remote, launched


class Resumable(Protocol):
    """A session's loop, whatever it is asked."""

    journal: Journal
    start: int

    def resume(self, values: dict[str, Any], arrays: dict[str, np.ndarray], abandoned: Any = ()) -> None: ...


def begin(loop: Resumable, past: dict[str, Any] | None, rewound: bool, plan: dict[str, Any]) -> None:
    """Record the ``plan`` of a new session, or restore the checkpoint of one in the ``past``, whose instrument was ``rewound`` to it or went on."""
    if past is None:
        loop.journal.append("scenario", {**plan, "start": loop.start}, loop.start)
        return
    now = loop.start
    loop.resume(past["values"], past["arrays"], [] if rewound else past["abandoned"])
    loop.journal.append("resumed", {"checkpoint": past["row"], "rewound": rewound}, now)


def check_config(scenario: Scenario) -> None:
    """BadInput for a configuration that the simulated microscope would refuse, before anything is computed."""
    from instrument.simulation.instrument import from_mapping

    try:
        from_mapping(scenario.instrument.config)
    except ValueError as error:
        raise BadInput("instrument.config", str(error), "Use the keys and units of the simulated microscope.") from None


def summary(loop: "SessionLoop", score: dict[str, Any], seed: int, seconds: float) -> dict[str, Any]:
    """The session in numbers. What needs the truth is None if it is not available."""
    ledger = loop.ledger
    return {
        "schema": SCHEMA,
        "scenario": loop.scenario.name,
        "seed": seed,
        "requests": len(loop.requests),
        "measured": ledger.measured,
        "simulated": ledger.simulated,
        "audited": ledger.audited,
        "alignments": ledger.alignments,
        "rmse": score.get("rmse"),
        "rmse_at_once": score.get("rmse_at_once"),
        "rmse_always": score.get("rmse_always"),
        "coverage90": score.get("coverage90"),
        "dose_spent": ledger.spent,
        "dose_by_purpose": {
            **ledger.by_part,
            "alignment": ledger.alignment,
        },
        "dose_by_cause": ledger.by_cause,
        "dose_of_measuring_all": dose_of_measuring_all(ledger, loop.scan, len(loop.requests)),
        "dose_saved": ledger.saved,
        "model_distrusted": loop.twin_session.trust.distrusted,
        "distrusted_because": loop.twin_session.trust.broken or None,
        "distrusted_after_measured": loop.distrusted_after,
        "seconds": seconds,
    }


def twin_of(
    scenario: Scenario, seed: int, pace: PacedProgress, check: Callable[[], None]
) -> Callable[[int], "TwinSession"]:
    """Builds and compiles the twin; returns a function from the start time (ns) of a session to its `TwinSession`.

    ``check`` is called between steps, and ends the build by raising an exception.
    """
    from twin.compiled_programs import start_jax

    start_jax()
    from scenarios.acquire.build import build_twin
    from scenarios.acquire.rehearsal import rehearse
    from scenarios.acquire.twin_session import TwinSession

    def heed(text: str, share: float) -> None:
        check()
        pace.part("twin", f"twin: {text}", share)

    model = build_twin(scenario, heed, usable_cache())

    def twin_session(start: int) -> TwinSession:
        return TwinSession(model.microscope, model.column, start, seed)

    pace.stage("compiling")
    rehearse(twin_session(0), scenario)
    return twin_session


@contextmanager
def planned_journal(out: Path, plan: dict[str, Any]) -> Iterator[Journal]:
    """The journal of a new session with its ``plan``, before its instrument is ready. The folder is removed if the session does not begin."""
    parents = [parent for parent in out.absolute().parents if not parent.exists()]
    journal = Journal.create(out)
    try:
        with journal:
            journal.append("plan", plan)
            yield journal
    except BaseException:
        with Journal.open(out) as left:
            begun = any(True for _ in left.rows("scenario"))
        if not begun:
            shutil.rmtree(out)
            for parent in parents:
                with contextlib.suppress(OSError):  # not empty
                    parent.rmdir()
        raise


class _Pending(NamedTuple):
    """An instrument that is starting: ``connect`` waits for it (client, launched process or None), ``check`` raises the error that ended its start,
    if any.
    """

    connect: Callable[[], tuple[RemoteInstrument, Launched | None]]
    check: Callable[[], None]


@contextmanager
def microscope_of(
    config: Mapping[str, Any],
    seed: int,
    address: str | None,
    progress: PacedProgress,
    pool: ThreadPoolExecutor,
    kind: str = "simulated",
) -> Iterator[_Pending]:
    """The instrument, at its ``address`` or started: a simulated one of a ``kind`` with a ``config``; process and connection are closed with the context."""
    opened: list[Any] = []
    given_up = threading.Event()

    def start() -> Launched:
        return launch(
            kind,
            seed=seed,
            config=dict(config) or None,
            cache=usable_cache(),
            progress=lambda text, share: progress.part("specimen", f"simulated microscope: {text}", share),
            cancel=given_up,
        )

    future = pool.submit(start) if address is None else None

    def connect() -> tuple[RemoteInstrument, Launched | None]:
        launched = None
        if future is not None:
            progress.stage("waiting for the simulated microscope")
            launched = future.result()
            opened.append(launched.stop)
        remote = launched.connect() if launched is not None else RemoteInstrument(str(address))
        opened.append(remote.close)
        return remote, launched

    def check() -> None:
        if future is not None and future.done():
            future.result()

    try:
        yield _Pending(connect, check)
    finally:
        given_up.set()
        if future is not None and not opened:
            try:
                future.result().stop()
            except (ValueError, OSError, RuntimeError, InstrumentLost) as error:
                progress.stage(f"the simulated microscope stopped: {error}")
        for close in reversed(opened):
            close()


@contextmanager
def interrupts_stop(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C also sets ``stop``: a KeyboardInterrupt raised in a callback that cannot raise would be lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def heed(number: int, frame: Any) -> None:
        stop.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, heed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def past_of(folder: Path, seed: int) -> dict[str, Any]:
    """The last checkpoint of a session, the commands before it, and the exposures of later frames that were not undone.

    BadInput if there is no checkpoint, or the session is complete.
    """
    journal = Journal.open(folder)
    with journal:
        commands: list[tuple[int, tuple[str, dict[str, Any], int]]] = []
        last = None
        abandoned: list[dict[str, float]] = []
        for row in journal.rows():
            if row.kind == "command":
                commands.append((row.id, (row.payload["name"], row.payload["args"], row.time or 0)))
            elif row.kind == "checkpoint":
                last, abandoned = row, []
            elif row.kind == "frame":
                abandoned.append(row.payload["exposure"])
            elif row.kind == "resumed":
                commands = [command for command in commands if command[0] <= row.payload["checkpoint"]]
                if row.payload["rewound"]:
                    abandoned = []
            elif row.kind == "result":
                raise BadInput(str(folder), "this session is complete; there is nothing to resume", "Start a new one.")
        if last is None:
            raise BadInput(str(folder), "the session stopped before its first request was done", "Start a new one.")
        valid_commands = [command for row, command in commands if row <= last.id]
        return {
            "row": last.id,
            "values": last.payload,
            "arrays": last.arrays,
            "commands": valid_commands,
            "abandoned": abandoned,
        }


def _decoded(content: bytes) -> dict[str, Any]:
    """Errors and coverage by the truth."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        score = msgspec.json.decode(archive["score"].tobytes())
        score["arrays"] = {name: archive[name] for name in archive.files if name != "score"}
    return score
