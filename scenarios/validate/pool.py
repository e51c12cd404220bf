"""Recordings validated by two warm worker processes that can be killed: a measurement may take too long, or more memory than there is."""

import dataclasses
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import NamedTuple

import msgspec
import numpy as np
from pebble import ProcessExpired, ProcessPool

from reconstruct.validation.data.options import Known
from reconstruct.validation.recording import Further, Validated, validate_recording
from twin.cache_folder import cores
from twin.compiled_programs import double_precision, start_jax
from twin.errors import BadInput
from twin.records import Signal

WORKERS = 2
TIME_LIMIT = 120.0
"""Seconds in which the evidence of one recording must be found."""
FEW = 3
"""Recordings up to which no process is started."""


class Task(NamedTuple):
    """A recording to validate: its ``name``, ``signal``, and the evidence from outside of it."""

    name: str
    signal: Signal
    further: Further


class Validators:
    """Warm processes that validate recordings; use it as a context manager. A task that overruns `TIME_LIMIT`, or whose process dies, ends alone."""

    def __init__(self, known: Known, false_alarms: float):
        self.known, self.false_alarms = known, false_alarms
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPool(max_workers=min(WORKERS, cores()), initializer=start_jax, context=context)

    def __enter__(self) -> "Validators":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.stop()
        self._pool.join()

    def warm(self) -> None:
        """Let every process import what it needs, and wait for it."""
        small = Task("warm", Signal(np.zeros((2, 2)), (), "image", "", "", ""), Further())
        for future in [self.begin(small) for _ in range(WORKERS)]:
            future.result()

    def begin(self, task: Task) -> Future[Validated]:
        """Give a task to the next free process; `finished` waits for it."""
        return self._pool.schedule(_without_data, args=[task, self.known, self.false_alarms], timeout=TIME_LIMIT)

    def finished(self, task: Task, future: Future[Validated]) -> Validated | BadInput:
        """The verdicts of a task that was begun; BadInput where there are none."""
        try:
            return dataclasses.replace(future.result(), signal=task.signal)
        except FutureTimeout:
            return BadInput(
                task.name, f"took more than {TIME_LIMIT:g} s to be measured", "Validate it alone, or a part of it."
            )
        except ProcessExpired as error:
            problem = f"ended its process (exit code {error.exitcode})"
            return BadInput(task.name, problem, "It may need more memory than there is.")
        except BadInput as error:
            return error


def validated(tasks: Sequence[Task], known: Known, false_alarms: float) -> Iterator[tuple[Task, Validated | BadInput]]:
    """Each task with its verdicts, in order; BadInput where there are none."""
    if len(tasks) <= FEW:
        for task in tasks:
            yield task, _in_this_process(task, known, false_alarms)
        return
    with Validators(known, false_alarms) as validators:
        running = [validators.begin(task) for task in tasks]
        for task, future in zip(tasks, running, strict=True):
            yield task, validators.finished(task, future)


def _in_this_process(task: Task, known: Known, false_alarms: float) -> Validated | BadInput:
    try:
        with double_precision():
            return validate_recording(task.name, task.signal, known, task.further, false_alarms)
    except BadInput as error:
        return error


def _without_data(task: Task, known: Known, false_alarms: float) -> Validated:
    """In a worker. The data do not travel back."""
    with double_precision():
        result = validate_recording(task.name, task.signal, known, task.further, false_alarms)
    return dataclasses.replace(
        result, signal=msgspec.structs.replace(task.signal, data=np.zeros(task.signal.data.shape[:0]))
    )
