"""Batched computation within a memory bound, with several batches at once on a CPU; results are in order and independent of the batches.

On a CPU one stream of waves keeps one core busy: a two-dimensional FFT of a size that fits the cache gains next to nothing from a second
thread, while a second stream doubles the pace. On an accelerator one piece at a time fills the device.
"""

import itertools
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

MEMORY_BYTES = 2_000_000_000
"""Bytes that a computation may take besides its results, by default."""


def streams() -> int:
    """How many pieces to work on at once: the cores this process may use on a CPU, else 1."""
    return len(os.sched_getaffinity(0)) if jax.default_backend() == "cpu" else 1


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """`jax.jit` of a function that `in_pieces` will call: on a CPU with one thread each. ``options`` as jax.jit takes them."""
    single = {"xla_cpu_multi_thread_eigen": False} if jax.default_backend() == "cpu" else None
    return jax.jit(function, compiler_options=single, **options)


def fitting(per_item: int, memory: int | None = None, fixed: int = 0, workers: int | None = None) -> int:
    """How many items of ``per_item`` bytes a piece may have, so that all that are worked on at once and ``fixed`` bytes stay within ``memory``.

    ValueError if not even one fits.
    """
    bound = MEMORY_BYTES if memory is None else memory
    count = (bound - fixed) // (per_item * (workers or streams()))
    if count < 1:
        needed = fixed + per_item * (workers or streams())
        raise ValueError(
            f"a memory bound of {bound / 1e6:.0f} MB is too small: {needed / 1e6:.0f} MB are needed; raise it, or use a smaller grid"
        )
    return int(count)


def cut(total: int, size: int) -> list[slice]:
    """Slices of at most ``size`` that cover ``total`` items, as equal as can be, so that few shapes are compiled."""
    if total < 1 or size < 1:
        raise ValueError(f"{total} items cannot be cut into pieces of {size}")
    count = -(-total // size)
    edges = np.linspace(0, total, count + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]


def in_pieces(
    function: Callable[..., Any], pieces: Iterable[tuple[Any, ...]], workers: int | None = None
) -> Generator[Any, None, None]:
    """``function(*piece)`` for every piece, in order, ``workers`` at once (default: `streams`); closing the iterator drops the rest.

    ``pieces`` may be endless: at most twice as many as there are workers are taken ahead.
    """
    count = workers or streams()
    precise = bool(jax.config.read("jax_enable_x64"))

    def run(piece: tuple[Any, ...]) -> Any:
        # a precision that was set by a context holds in its own thread only
        with jax.enable_x64(precise):
            return jax.block_until_ready(function(*piece))

    if count == 1:
        yield from map(run, pieces)
        return
    pool, ahead = ThreadPoolExecutor(count), deque[Future[Any]]()
    try:
        for piece in pieces:
            ahead.append(pool.submit(run, piece))
            if len(ahead) >= 2 * count:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
