"""The choice between a plain and a deep kernel, anew whenever values come in: the one whose left-out predictions are better is used."""

import numpy as np
from jaxtyping import Float, Int

from learn.gp.deep_kernel.model import DeepGPMap, DeepPrediction
from learn.gp.evidence import Comparison, compare
from learn.gp.spectra import GPMap, MapPrediction


class ComparedMap:
    """A plain and a deep map of the same pixels, used as either is. ``comparison`` says which the last prediction is from, and by how much it is better."""

    def __init__(self, plain: GPMap, deep: DeepGPMap):
        """ValueError if the maps do not have the same pixels."""
        if plain.shape != deep.shape:
            raise ValueError(f"maps of {plain.shape} and {deep.shape} pixels cannot be compared; give the same shape")
        self.plain, self.deep = plain, deep
        self.shape, self.positions = plain.shape, plain.positions
        self.comparison: Comparison | None = None

    def predict(
        self, measured: Int[np.ndarray, " m"], values: Float[np.ndarray, " m"], variances: Float[np.ndarray, " m"]
    ) -> MapPrediction | DeepPrediction:
        """The map by the model that predicts each value better from the others; see `GPMap.predict`."""
        plain = self.plain.predict(measured, values, variances)
        deep = self.deep.predict(measured, values, variances)
        assert plain.left_out is not None
        self.comparison = compare(plain.left_out, deep.left_out)
        return deep if self.comparison.difference > 0 else plain
