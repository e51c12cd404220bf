"""Models of a map: what predicts the pixels that were not measured. One place where a model is chosen by its name."""

from collections.abc import Callable
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np

from learn.gp.spectra import GPMap, MapPrediction
from reconstruct.eels.columns import EdgeResponse
from twin.errors import BadInput

ModelName = Literal["plain", "host"]
"""``plain``: a Gaussian process over position and features of the survey; ``host``: the same over the twin's map of an edge in a crystal."""
MODELS: tuple[str, ...] = get_args(ModelName)


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
    if asked not in MODELS:
        raise BadInput(f"model {asked!r}", "is no model of a map", f"Give one of {', '.join(MODELS)}.")
    if asked == "host" and not has_host:
        raise BadInput(
            "model 'host'", "needs a crystal, and none is given", "Add the table [host], or model = 'plain'."
        )
    return "host" if asked == "host" else "plain"


def build_model(
    name: ModelName, shape: tuple[int, int], features: np.ndarray, response: Callable[[], EdgeResponse | None]
) -> MapModel:
    """The model called ``name`` of pixels with such ``features`` [n, f]. ``response`` computes how they differ by the crystal under them; where it returns
    None (the survey does not show the crystal) the map is predicted without."""
    return GPMap(shape, features, response=response() if name == "host" else None)
