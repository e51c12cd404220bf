"""Models of a map: what predicts the pixels that were not measured. One place where a model is chosen by its name."""

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol, get_args, runtime_checkable

import numpy as np

from learn.gp.deep_kernel import ComparedMap, DeepGPMap
from learn.gp.spectra import GPMap, MapPrediction
from reconstruct.eels.columns import EdgeResponse
from twin.errors import BadInput

ModelName = Literal["plain", "host", "deep", "compared"]
"""``plain``: a Gaussian process over position and features of the survey; ``host``: the same over the twin's map of an edge in a crystal; ``deep``: with a
second kernel over features that a network makes of patches of the survey; ``compared``: the average of ``deep`` and the one without, by what each predicted.
The last two are over the crystal too where one is given."""
MODELS: tuple[str, ...] = get_args(ModelName)


class Pixels(NamedTuple):
    """What a model may know of the pixels of a map of ``shape`` (rows, columns) before they are measured: ``features`` [n, f] of the survey, ``patches``
    [n, i] of it, and ``response``: how they differ by the crystal under them (None where there is no crystal, or the survey does not show it)."""

    shape: tuple[int, int]
    features: np.ndarray
    patches: Callable[[], np.ndarray]
    response: Callable[[], EdgeResponse | None]


@runtime_checkable
class MapModel(Protocol):
    """A model over ``shape`` (rows, columns) pixels at ``positions`` [n, 2], in row order."""

    shape: tuple[int, int]
    positions: np.ndarray

    def predict(self, measured: np.ndarray, values: np.ndarray, variances: np.ndarray) -> MapPrediction:
        """The map by ``values`` with ``variances`` at some pixels (``measured``: their indices)."""
        ...


def model_name(asked: str | None, has_host: bool) -> ModelName:
    """The model that is ``asked`` for; None: with the host crystal where one is given. BadInput for a name that is none, and for a host that is not given."""
    if asked is None:
        return "host" if has_host else "plain"
    for name in get_args(ModelName):
        if asked == name and (name != "host" or has_host):
            return name
    if asked == "host":
        raise BadInput(
            "model 'host'", "needs a crystal, and none is given", "Add the table [host], or model = 'plain'."
        )
    raise BadInput(f"model {asked!r}", "is no model of a map", f"Give one of {', '.join(MODELS)}.")


def build_model(name: ModelName, pixels: Pixels, seed: int) -> MapModel:
    """The model called ``name`` of such ``pixels``; ``seed``: of the draws of a network's weights."""
    shape, features, patches, response = pixels
    known = None if name == "plain" else response()
    if name in ("plain", "host"):
        return GPMap(shape, features, response=known)
    deep = DeepGPMap(shape, features, patches(), seed, known)
    return deep if name == "deep" else ComparedMap(GPMap(shape, features, response=known), deep)
