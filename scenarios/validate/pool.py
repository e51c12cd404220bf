"""Recordings validated by two warm worker processes that can be killed: a measurement may take too long, or more memory than there is."""

import dataclasses
import multiprocessing
from collections.abc import Iterator, Sequence
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


def validated(tasks: Sequence[Task], known: Known, false_alarms: float) -> Iterator[tuple[Task, Validated | BadInput]]:
    """Each task with its verdicts, in order; BadInput where there are none."""
    if len(tasks) <= FEW:
        for task in tasks:
            yield task, _in_this_process(task, known, false_alarms)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPool(max_workers=min(WORKERS, cores()), initializer=start_jax, context=context)
    try:
        running = [pool.schedule(_without_data, args=[task, known, false_alarms], timeout=TIME_LIMIT) for task in tasks]
        for task, future in zip(tasks, running, strict=True):
            try:
                result = future.result()
            except FutureTimeout:
                problem = f"took more than {TIME_LIMIT:g} s to be measured"
                yield task, BadInput(task.name, problem, "Validate it alone, or a part of it.")
            except ProcessExpired as error:
                yield (
                    task,
                    BadInput(
                        task.name,
                        f"ended its process (exit code {error.exitcode})",
                        "It may need more memory than there is.",
                    ),
                )
            except BadInput as error:
                yield task, error
            else:
                yield task, dataclasses.replace(result, signal=task.signal)
    finally:
        pool.stop()
        pool.join()


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
