"""Convergence of STEM images with the number of modes propagated through the specimen.

If the modes miss at most a share m of each probe, the error of an image is bounded for any specimen and detector. The actual error is usually far
smaller: it falls as m, the bound as its square root. So images of some probes are computed while modes are added. The change of these images
since the bound was at least twice as large, divided by the decrease of the bound, gives the ratio of error to bound; this ratio times the
remaining bound is the estimated error.
"""

import numpy as np

from twin.scattering.stem.modes import Modes

DECISION_INTERVAL = 16
"""Number of modes between checks of convergence."""
CHECK_RATIO = 50.0
"""Images are compared once the bound is below this multiple of the allowed error."""
ERROR_SAFETY = 2.0
"""Safety factor for other probes and for other phonon configurations."""


class ModeConvergence:
    """Gram matrices ``matrices`` [detectors, m, m] of the modes added so far, and images of the probes that `Modes` checked."""

    def __init__(self, modes: Modes, weights: np.ndarray, error: float):
        """``weights`` [detectors, pixels] of the beams, and the allowed ``error``."""
        self.modes, self.weights, self.error = modes, weights, error
        self.count = 0
        self.matrices = np.zeros((len(weights), len(modes.waves), len(modes.waves)), np.complex64)
        self.intensities = np.zeros((len(weights), *modes.probes.shape[1:]))
        self.known: list[tuple[float, np.ndarray]] = []

    def converged(self, amplitudes: np.ndarray) -> bool:
        """Whether the modes with ``amplitudes`` [n, pixels] suffice; checked every `DECISION_INTERVAL` modes."""
        if len(amplitudes) % DECISION_INTERVAL or self.modes.error[len(amplitudes)] > CHECK_RATIO * self.error:
            return False
        self._add(amplitudes)
        return self.remaining_error() <= self.error

    def _add(self, amplitudes: np.ndarray) -> None:
        first, count = self.count, len(amplitudes)
        probes = self.modes.probes[:count].reshape(count, -1)
        for number, weight in enumerate(self.weights):
            rows = (amplitudes[first:].conj() * weight) @ amplitudes.T
            self.matrices[number, first:count, :count] = rows
            self.matrices[number, :first, first:count] = rows[:, :first].conj().T
            partial = 2.0 * (rows[:, :first] @ probes[:first]) + rows[:, first:] @ probes[first:]
            change = (probes[first:].conj() * partial).sum(axis=0).real
            self.intensities[number] += change.reshape(self.intensities.shape[1:])
        image = (self.intensities * self.modes.nodes).sum(axis=-1)
        self.count = count
        self.known.append((float(self.modes.error[count]), image))

    def remaining_error(self) -> float:
        """Estimated remaining error of images, as a share of a detector's mean signal; infinite until it can be estimated."""
        bound, now = self.known[-1]
        earlier = [(earlier_bound, image) for earlier_bound, image in self.known if earlier_bound >= 2.0 * bound]
        if not earlier:
            return np.inf
        earlier_bound, image = earlier[-1]
        mean = np.maximum(now.mean(axis=(1, 2)), np.finfo(np.float32).tiny)
        changed = float((np.abs(now - image).max(axis=(1, 2)) / mean).max())
        return ERROR_SAFETY * changed * bound / (earlier_bound - bound)
