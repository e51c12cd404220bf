"""Counts at places between those of a window: it is a period, and finely enough sampled for all that an image has, so that nothing is approximated."""

import numpy as np
from jaxtyping import Float

from learn.feasibility.scans import Window
from learn.information import Signature


def between(window: Window, places: Float[np.ndarray, "q 2"]) -> Float[np.ndarray, "q p"]:
    """What of each place of the ``window`` is at each of ``places`` (x, y) in angstrom: the trigonometric interpolation of a period."""
    ny, nx = window.shape
    along = []
    for axis, count in enumerate((nx, ny)):
        grid = window.positions.reshape(ny, nx, 2)[(0, slice(None)) if axis == 0 else (slice(None), 0)][:, axis]
        turns = (places[:, axis, None] - grid) / window.sides[axis]
        along.append(_kernel(turns, count))
    return np.einsum("qy,qx->qyx", along[1], along[0]).reshape(len(places), -1)


def placed(signature: Signature, window: Window, places: Float[np.ndarray, "q 2"]) -> Signature:
    """The ``signature`` of one channel over a ``window``, of electrons that are spread over ``places`` instead. ValueError for several channels."""
    if len(signature.rates) != len(window.positions):
        raise ValueError("a signature of one channel is placed; this one has more counts than the window has places")
    if signature.variations is not None:
        raise ValueError("variations by amorphous layers are known at the window's places only")
    at = between(window, places) * (len(window.positions) / len(places))
    rates = np.maximum(at @ signature.rates, 0.0)
    changed = np.maximum(signature.changed @ at.T, 0.0)
    uncertain = None
    if signature.uncertain is not None:  # a variance
        uncertain = (
            np.maximum(between(window, places) @ signature.uncertain, 0.0) * (len(window.positions) / len(places)) ** 2
        )
    return signature._replace(
        rates=rates, changed=changed, nuisances=at @ signature.nuisances,
        model_error=None if signature.model_error is None else at @ signature.model_error,
        halves=None if signature.halves is None else signature.halves @ at.T, uncertain=uncertain,
    )  # fmt: skip


def _kernel(turns: np.ndarray, count: int) -> np.ndarray:
    """Dirichlet's kernel of a grid of ``count`` points, at distances in periods; of an even number the highest frequency is a cosine."""
    if count % 2:
        under = count * np.sin(np.pi * turns)
    else:
        under = count * np.tan(np.pi * turns)
    near = np.abs(turns - np.rint(turns)) < 1e-12
    return np.where(near, 1.0, np.sin(np.pi * count * turns) / np.where(near, 1.0, under))
