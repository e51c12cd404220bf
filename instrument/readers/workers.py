"""Worker processes that parse foreign files and may be killed: a parser may hang, crash or exhaust memory."""

import atexit
import contextlib
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures.process import BrokenProcessPool
from typing import Generic, TypeVar

from pebble import ProcessExpired, ProcessPool

from instrument.readers.formats.items import COPY_AGAIN
from instrument.readers.formats.parse import start
from instrument.readers.signals import VendorError

WORKER_BYTES = 12 * 1024**3  # address space, not memory in use: libraries map a few GiB of it
MOST_TEXT = 200
"""Characters of a foreign parser's message that are shown."""
POLL = 0.5
"""Seconds between two looks at a worker that has not answered yet."""

Parsed = TypeVar("Parsed")
Parse = Callable[[str, int], Parsed]


def guarded(parse: "Parse[Parsed]", name: str, max_bytes: int) -> Parsed:
    """``parse`` in the worker. Only errors that every process can take apart leave it: VendorError and MemoryError, without what they were raised from.

    Any other error ends the pool where its class wants more arguments than it keeps, and with it the files of other workers.
    """
    try:
        return parse(name, max_bytes)
    except VendorError as raised:
        error: Exception = VendorError(raised.path, raised.problem, raised.cure)
    except MemoryError:
        error = MemoryError()
    except Exception as raised:  # a parser on foreign bytes may raise anything
        text = next(iter(f"{type(raised).__name__}: {raised}".splitlines()), "")[:MOST_TEXT]
        error = VendorError(name, f"cannot be read ({text})", COPY_AGAIN)
    raise error  # outside of the handlers: what they handle would be its context, and travel with it


def ready() -> None:
    """What a worker does that is only to be started."""


class Workers:
    """``count`` warm processes. Each file is a task with a limit of its own: a process that overruns it, or dies, is replaced, and no other task is touched."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None

    def pool(self) -> ProcessPool:
        """The pool that runs; a new one where there is none, or it has ended."""
        with self._lock:
            if self._pool is None or not self._pool.active:
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPool(
                    max_workers=self.count, initializer=start, initargs=(WORKER_BYTES,), context=context
                )
                atexit.register(self.close)
            return self._pool

    def warm(self) -> None:
        """Start the processes, and wait until one of them is ready for a file."""
        self.pool().schedule(ready).result()

    def close(self) -> None:
        """Stop the processes, if any run; the next file starts others."""
        with self._lock:
            if self._pool is not None:
                self._pool.stop()
                self._pool.join()
                self._pool = None
                atexit.unregister(self.close)

    def begin(self, parse: "Parse[Parsed]", name: str, max_bytes: int, timeout: float) -> "Task[Parsed]":
        """Give a file to the next free process; `Task.result` waits for it."""
        return Task(self, parse, name, max_bytes, timeout)


class Task(Generic[Parsed]):
    """A file that is being parsed."""

    def __init__(self, workers: Workers, parse: Parse[Parsed], name: str, max_bytes: int, timeout: float) -> None:
        self._workers, self._parse, self._name, self._max_bytes, self._timeout = (
            workers,
            parse,
            name,
            max_bytes,
            timeout,
        )
        self._given: tuple[ProcessPool, Future[Parsed]] | None = None
        with contextlib.suppress(BrokenProcessPool):  # `result` tries once more
            self._given = self._schedule()

    def result(self) -> Parsed:
        """What the parser returned; VendorError with the reason if it failed, overran its limit, or died."""
        try:
            return self._retried()
        except FutureTimeout as error:
            problem = f"kept its reader busy for more than {self._timeout:g} s"
            raise VendorError(self._name, problem, "The file is damaged, or raise the timeout.") from error
        except ProcessExpired as error:
            problem = f"crashed its reader (exit code {error.exitcode})"
            raise VendorError(self._name, problem, "The file is damaged; copy it again.") from error
        except MemoryError as error:
            problem = "asks for more memory than a reader may take"
            raise VendorError(self._name, problem, "The file is damaged or too large.") from error
        except BrokenProcessPool as error:
            cure = 'In a script of your own, call this under: if __name__ == "__main__":'
            raise VendorError(self._name, "could not be read since no reader process would start", cure) from error

    def _schedule(self) -> tuple[ProcessPool, "Future[Parsed]"]:
        pool = self._workers.pool()
        try:
            return pool, pool.schedule(guarded, args=[self._parse, self._name, self._max_bytes], timeout=self._timeout)
        except RuntimeError as error:  # the pool ended since it was looked at
            raise BrokenProcessPool(str(error)) from error

    def _retried(self) -> Parsed:
        """The result; where the pool ended without it, that of another pool, once."""
        try:
            return self._awaited(*(self._given or self._schedule()))
        except BrokenProcessPool:
            if not (self._given and self._given[0] is not self._workers.pool()):
                self._workers.close()
            return self._awaited(*self._schedule())

    def _awaited(self, pool: ProcessPool, task: "Future[Parsed]") -> Parsed:
        """BrokenProcessPool where the pool has ended without a result: a task that was given while the pool found its worker dead is not ended by the pool."""
        while not wait([task], timeout=POLL).done:
            if not pool.active and not wait([task], timeout=POLL).done:
                raise BrokenProcessPool("the pool of the reader has ended")
        return task.result()
