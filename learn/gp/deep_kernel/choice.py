"""The average of a plain and a deep kernel, weighted anew whenever values come in by what each predicted of them before."""

import numpy as np
from jaxtyping import Float, Int

from learn.gp.deep_kernel.model import DeepGPMap
from learn.gp.evidence import Evidence, log_score
from learn.gp.spectra import GPMap, MapPrediction


class ComparedMap:
    """A plain and a deep map of the same pixels, averaged by their ``evidence``.

    The marginal likelihood of a trained network is too large (Ober, Rasmussen & van der Wilk, UAI 2021), and so are predictions of values that it was trained
    on. Here each model is judged by values that it had not seen: those that are new since the last call, as both models predicted them then. The sum of these
    log densities is the evidence (Dawid 1984), the weights are those of Bayesian model averaging with both models as probable at first.
    """

    def __init__(self, plain: GPMap, deep: DeepGPMap):
        """ValueError if the maps do not have the same pixels."""
        if plain.shape != deep.shape:
            raise ValueError(f"maps of {plain.shape} and {deep.shape} pixels cannot be compared; give the same shape")
        self.plain, self.deep = plain, deep
        self.shape, self.positions = plain.shape, plain.positions
        self.evidence = Evidence()
        self._known = np.zeros(0, dtype=np.int64)
        self._before: tuple[MapPrediction, MapPrediction] | None = None

    def predict(
        self, measured: Int[np.ndarray, " m"], values: Float[np.ndarray, " m"], variances: Float[np.ndarray, " m"]
    ) -> MapPrediction:
        """The map from values at some pixels, as `GPMap.predict`: mean and covariance of the two models' mixture."""
        plain = self.plain.predict(measured, values, variances)
        deep = self.deep.predict(measured, values, variances)
        new = ~np.isin(measured, self._known)
        if self._before is not None and new.any():
            at, noise = measured[new], np.diag(variances[new])
            scores = [
                log_score(each.mean[at], each.covariance[np.ix_(at, at)] + noise, values[new]) for each in self._before
            ]
            self.evidence = Evidence(self.evidence.nats + scores[1] - scores[0], self.evidence.count + int(new.sum()))
        self._before, self._known = (plain, deep), measured
        weight, apart = self.evidence.weight, deep.mean - plain.mean
        covariance = (1.0 - weight) * plain.covariance + weight * deep.covariance
        return MapPrediction(plain.mean + weight * apart, covariance + weight * (1.0 - weight) * np.outer(apart, apart))
