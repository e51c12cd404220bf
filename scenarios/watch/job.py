"""The job ``emtwin watch``: estimate the state of an instrument, a session or a log from its sensors, display it, and draw a figure."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from instrument.core.interface import InstrumentLost
from reconstruct.api.models import load_table, table_names
from scenarios.io.errors import BadInput
from scenarios.io.progress import Progress, open_progress
from scenarios.watch.follow import Follower
from scenarios.watch.options import WatchOptions
from scenarios.watch.past import smoothed
from scenarios.watch.result import SCHEMA, result_values
from scenarios.watch.screen import Screen, line
from scenarios.watch.sources import POLL, SECOND, Piece, Recorded, Source, open_source
from twin.sensors.model import Model

RECORDING_PIECES = 400
"""Number of pieces of a recording that is processed as fast as possible."""
LINE_INTERVAL = 10.0
"""Seconds (wall clock) between two lines without a screen."""


def run_watch(options: WatchOptions, console: Console | None = None) -> dict[str, Any]:
    """Process a source until it ends, the time is up or the user interrupts; the result says how it ``ended``: "end", "time", "interrupted", "lost".

    ``console`` (default: stderr) shows a live screen if it is a terminal and the source has a pace of its own, and progress otherwise.
    """
    options.check()
    console = console or Console(stderr=True, highlight=False)
    title = f"emtwin watch {options.source}"
    with contextlib.ExitStack() as opened:
        with open_progress(title, console) as progress:
            source = open_source(options.source, progress, options.columns, options.log_zone)
            opened.callback(source.close)
            follower = Follower(_model(options, source), source.start, source.units)
        stop = opened.enter_context(_stopping())
        begun = time.monotonic()
        if console.is_terminal and (source.live or options.speed is not None):
            screen = Screen(follower, source, console)
            with screen:
                ended, lost = _follow(options, source, follower, stop, lambda piece, wall: screen.show(wall))
        else:
            with open_progress(title, console) as progress:
                ended, lost = _follow(options, source, follower, stop, _reporter(options, source, follower, progress))
        seconds = time.monotonic() - begun
        follower.settle()
        with open_progress(title, console) as progress:
            past = smoothed(follower, progress, stop)
            progress.stage("drawing")
            from scenarios.watch.figure import draw_watch

            figure = _save(options.out, lambda form: draw_watch(follower, past, source.title, form))
    result = {
        "schema": SCHEMA,
        "source": options.source,
        "title": source.title,
        "table": follower.model.name,
        "note": source.note,
        "ended": ended,
        "start_ns": follower.times[0] if follower.times else source.start,
        "end_ns": max(follower.stream.now, *follower.times[-1:]),
        "wall_seconds": seconds,
        "readings": follower.readings,
        **result_values(follower),
        "figure": str(figure),
    }
    if lost is not None:
        result["error"] = {"input": options.source, "problem": lost, "cure": "See whether it runs, and watch it again."}
    return result


def _model(options: WatchOptions, source: Source) -> Model:
    """The model of the sensor table for the source. BadInput if there is no table, or if the units differ."""
    name = options.table or source.table
    if name is None:
        raise BadInput("--table", f"is needed: no table is known for {source.title}", f"Name a file, or one of {', '.join(table_names())}.")  # fmt: skip
    model = load_table(name).model()
    for sensor in model.sensors:
        unit = source.units.get(sensor.channel, sensor.unit)
        if unit != sensor.unit:
            has = "has no unit that is known" if unit is None else f"is in {unit}"
            raise BadInput(
                f"table {name}", f"channel {sensor.channel!r} {has} in {source.title}, and in {sensor.unit} here",
                "Give a table of your own with --table.",
            )  # fmt: skip
    return model


class _Stop:
    """Count of interruptions: the first ends the processing of the source, the second the smoothing, a third everything."""

    def __init__(self) -> None:
        self.count, self._bell = 0, threading.Event()

    def interrupt(self, *_: object) -> None:
        self.count += 1
        self._bell.set()
        if self.count > 2:
            raise KeyboardInterrupt

    def wait(self, seconds: float) -> None:
        """Sleep until an interruption at most."""
        until = time.monotonic() + seconds
        while not self.count and (left := until - time.monotonic()) > 0:
            self._bell.wait(min(left, 0.1))


@contextlib.contextmanager
def _stopping() -> Iterator[_Stop]:
    """Ctrl-C requests a stop, and does not interrupt a filter step."""
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGINT, stop.interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _reporter(
    options: WatchOptions, source: Source, follower: Follower, progress: Progress
) -> Callable[[Piece, float], None]:
    """Function that reports each piece without a screen: progress of a recording, or a line of the state from time to time."""
    last_line = -math.inf

    def report(piece: Piece, wall: float) -> None:
        nonlocal last_line
        if source.end is not None and not source.live:
            progress.stage("following", (piece.until - source.start) / max(source.end - source.start, 1))
        if (source.live or options.speed is not None) and wall - last_line >= LINE_INTERVAL:
            progress.stage(line(follower))
            last_line = wall

    return report


def _follow(
    options: WatchOptions, source: Source, follower: Follower, stop: _Stop, report: Callable[[Piece, float], None]
) -> tuple[str, str | None]:
    """How it ended, and in what words the instrument was lost."""
    speed = options.speed
    if speed is not None:
        step = round(max(POLL * speed, 0.1) * SECOND)
    else:
        step = max((source.end or source.start) - source.start, RECORDING_PIECES * SECOND // 4) // RECORDING_PIECES + 1
    begun = time.monotonic()
    try:
        for piece in source.pieces(step):
            follower.update(piece)
            wall = time.monotonic() - begun
            report(piece, wall)
            left = math.inf if options.seconds is None else options.seconds - wall
            if left <= 0:
                for late in source.rest():
                    follower.update(late)
                return "time", None
            if speed is not None and not source.live:
                stop.wait(min((piece.until - source.start) * 1e-9 / speed - wall, left))
            elif isinstance(source, Recorded) and source.idle:
                stop.wait(min(POLL, left))
            if stop.count:
                return "interrupted", None
    except InstrumentLost as error:
        return "lost", str(error)
    return "end", None


def _save(out: Path | None, draw: Any) -> Path:
    """Write the figure to ``out``, or to watch.png, or to the first of watch-2.png, ... that does not exist. No file is overwritten."""
    names = [out] if out is not None else [Path("watch.png"), *(Path(f"watch-{n}.png") for n in range(2, 10_000))]
    content = draw(names[0].suffix.lower()[1:])
    for name in names:
        try:
            with name.open("xb") as file:
                file.write(content)
            return name
        except FileExistsError:
            continue
    raise BadInput(f"--out {names[0]}", "exists already", "Name a file that does not exist.")
