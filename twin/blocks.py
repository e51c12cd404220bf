"""Evaluation in blocks of one size, so that a function compiles once for arrays of any length."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def split(array: Any, size: int) -> list[np.ndarray]:
    """``array`` [n, ...] in blocks [size, ...]; the last is filled up with copies of the last entry. ValueError for an empty array.

    >>> split([1, 2, 3], 2)
    [array([1, 2]), array([3, 3])]
    """
    array = np.asarray(array)
    if not len(array):
        raise ValueError(f"an array of shape {array.shape} has no entry to evaluate")
    filled = np.concatenate([array, np.repeat(array[-1:], -len(array) % size, axis=0)])
    return np.split(filled, len(filled) // size)


def evaluate(function: Callable[..., Any], size: int, *arrays: Any) -> Any:
    """``function(*blocks)`` for the blocks of arrays [n, ...] of one length, its results joined: arrays, or a tree of arrays, [n, ...] in numpy.

    ``function`` maps each entry for itself. All blocks are dispatched before the first is waited for, so that JAX may work on several at once.

    >>> evaluate(jax.jit(lambda x, y: (x + y, x * y)), 2, [1, 2, 3], [10, 20, 30])
    (array([11, 22, 33]), array([10, 40, 90]))
    """
    begun = [function(*block) for block in zip(*(split(array, size) for array in arrays), strict=True)]
    count = len(arrays[0])
    return jax.tree.map(lambda *parts: np.concatenate([np.asarray(part) for part in parts])[:count], *begun)
