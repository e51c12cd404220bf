"""What detectors count of a specimen without a change and with it, at any settings of the probe, by Gram matrices of its plane waves.

The counts of a detector are a quadratic form in the amplitudes of the probe's plane waves: scattering matrices are needed once, whatever probes follow.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Complex, Float

from learn.feasibility.matrices import Matrices
from learn.feasibility.scanned import Detector, Scanned
from learn.feasibility.scans import ABERRATIONS, ABOVE, STEP, Probe, Window, blurred, incident_of, place_derivatives
from twin.optics.aberrations import coefficients

Gram = Complex[np.ndarray, "channels n n"]


class Counted:
    """Counts of ``detectors`` by name, a channel each, over the ``window`` about the change: ``perfect`` without it, ``changed`` in each of its ways, with a
    ``thicker`` crystal as in `learn.feasibility.scans.above_of`. ValueError for a detector of several channels."""

    def __init__(
        self,
        perfect: Matrices,
        changed: Sequence[Matrices],
        detectors: Mapping[str, Detector],
        window: Window,
        thicker: Matrices | None = None,
    ):
        if any(len(each.weights) != 1 for each in detectors.values()):
            raise ValueError("detectors of one channel can be counted so; give each channel as a detector")
        self.names, self.detectors, self.window, self._like = tuple(detectors), dict(detectors), window, perfect
        weights = np.concatenate([each.weights for each in detectors.values()]).astype(np.float32)
        count = len(perfect.amplitudes)
        self._parts = [slice(first, None, 2) for first in range(min(count, 2))]
        self._shares = [len(range(count)[part]) / count for part in self._parts]
        self._perfect = [gram_of(perfect.amplitudes[part], weights) for part in self._parts]
        self._changed = [[gram_of(each.amplitudes[part], weights) for part in self._parts] for each in changed]
        self._steps: dict[str, tuple[Gram, Gram, float]] = {}
        for name, each in (("thickness", perfect), (ABOVE, thicker)):
            if each is not None and each.thinner is not None:
                self._steps[name] = (gram_of(each.amplitudes, weights), gram_of(each.thinner, weights), each.step)

    def scanned(self, probe: Probe, sloped: bool = True) -> Scanned:
        """As `learn.feasibility.scanned.compared` makes it, with the detectors' channels in place of beams, and, if ``sloped``, also the derivatives in
        aberrations and the source's size."""
        waves = self._waves(probe.coefficients)
        clear = [self._counts(waves, each) for each in self._perfect]
        befores = [blurred(each, self.window, probe.source) for each in clear]
        halves = np.stack([
            [blurred(self._counts(waves, way[number]), self.window, probe.source) - before for way in self._changed]
            for number, before in enumerate(befores)
        ])  # fmt: skip
        rates, whole = np.tensordot(self._shares, befores, 1), np.tensordot(self._shares, clear, 1)
        change = np.tensordot(self._shares, halves, 1)
        slopes = place_derivatives(whole, self.window, probe.source)
        if not sloped:
            slopes.pop("source", None)
        for name in ABERRATIONS if sloped else ():
            more, less = (
                blurred(self._sharp(probe.coefficients + sign * coefficients({name: STEP})), self.window, probe.source)
                for sign in (1.0, -1.0)
            )
            slopes[name] = (more - less) / (2.0 * STEP)
        for name, (thick, thin, step) in self._steps.items():
            pair = [blurred(self._counts(waves, each), self.window, probe.source) for each in (thick, thin)]
            slopes[name] = (pair[0] - pair[1]) / step
        return Scanned(rates, rates + change, slopes, self.window, np.zeros(0), halves if len(halves) > 1 else None)

    def channel(self, name: str) -> tuple[slice, Detector]:
        """The channel of a detector, and the detector of that channel alone."""
        number = self.names.index(name)
        return slice(number, number + 1), Detector(np.ones((1, 1)), self.detectors[name].readout)

    def _sharp(self, vector: np.ndarray) -> np.ndarray:
        waves = self._waves(vector)
        return np.tensordot(self._shares, [self._counts(waves, each) for each in self._perfect], 1)

    def _waves(self, vector: np.ndarray) -> np.ndarray:
        return np.asarray(incident_of(self._like, self.window, vector))

    @staticmethod
    def _counts(waves: Complex[np.ndarray, "p n"], gram: Gram) -> Float[np.ndarray, "p channels"]:
        return np.stack([np.einsum("pn,pn->p", waves @ each, waves.conj()).real for each in gram], 1).astype(float)


def gram_of(amplitudes: Complex[np.ndarray, "c n pixels"], weights: Float[np.ndarray, "channels pixels"]) -> Gram:
    """Sums over the beams of each channel, averaged over configurations."""
    made = []
    for weight in weights:
        used = weight > 0.0
        made.append(
            sum((each[:, used] * weight[used]) @ each[:, used].conj().T for each in amplitudes) / len(amplitudes)
        )
    return np.stack(made)


def of_channel(scan: Scanned, channel: slice) -> Scanned:
    """One channel of what `Counted.scanned` makes."""
    return scan._replace(
        rates=scan.rates[..., channel], changed=scan.changed[..., channel],
        derivatives={name: slope[..., channel] for name, slope in scan.derivatives.items()},
        halves=None if scan.halves is None else scan.halves[..., channel],
    )  # fmt: skip
