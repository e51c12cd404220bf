"""What ``emtwin validate`` does with its options: validate once or follow, show, draw, write side-cars and corrected copies."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape

from instrument.readers import warm_reader
from reconstruct.validation.data.specimen import check_specimen
from reconstruct.validation.result import summary
from scenarios.export.sidecar import write_beside
from scenarios.io.progress import open_progress
from scenarios.validate.follow import FollowedSession, follow
from scenarios.validate.job import ValidatedSession, to_dict, validate_files, write_page
from scenarios.validate.options import ValidateOptions
from scenarios.validate.output.show import print_file, print_validated
from scenarios.validate.pool import Validators

PAGE_INTERVAL = 5.0
"""Seconds between two drawings of the page while files land."""


def run_validate(options: ValidateOptions, quiet: bool) -> tuple[ValidatedSession, dict[str, Any]]:
    """The validated files and the object of ``--json``; shown on stdout unless ``quiet``."""
    title = f"emtwin validate {options.paths[0]}"
    if options.follow:
        session = _follow(options, quiet, title)
    else:
        with open_progress(title) as progress:
            session = validate_files(options, progress)
    with open_progress(title) as progress:
        progress.stage("drawing")
        write_page(session, options)
        result = to_dict(session, options)
        written = write_beside(result, options)
    if not quiet:
        print_validated(session)
        for line in written.lines():
            Console(highlight=False).print(f"[dim]written[/] {escape(line)}", soft_wrap=True)
    return session, {**result, **written.as_dict()}


def _follow(options: ValidateOptions, quiet: bool, title: str) -> ValidatedSession:
    """Validate files as they land until the time is over or Ctrl-C; a line or a table for each as it is done."""
    check_specimen(options.known, "--specimen")
    console = Console(stderr=quiet, highlight=False)
    drawn = 0.0
    with (
        open_progress(title) as progress,
        Validators(options.known, options.false_alarms) as validators,
        _stopping() as stop,
    ):
        progress.stage("starting")
        validators.warm()
        warm_reader()
        followed = FollowedSession(options, validators, progress)

        def tell(names: list[str]) -> None:
            for item in followed.session().files:
                recordings = () if item.validation is None else item.validation.recordings
                if not any(recording.name in names for recording in recordings):
                    continue
                if item.agrees:
                    console.print(f"{escape(str(item.read.path))}: [green]{summary(recordings)}[/]", soft_wrap=True)
                else:
                    print_file(item, console)

        progress.stage("waiting for files")
        for _ in follow(followed, options.duration, tell):
            if options.page is not None and followed.results and time.monotonic() - drawn > PAGE_INTERVAL:
                write_page(followed.session(), options)
                drawn = time.monotonic()
            if stop.is_set():
                break
        return followed.session()


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Ctrl-C asks for the end, and does not break off what is being judged."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
