"""When enough of the modes have come through the specimen.

That probes lack no more than a share m of themselves bounds an image's error by what any specimen and detector could make of it, and most make far
less: it falls as m where the bound falls as its square root. So images of some probes are followed while modes come in. What the last of them
changed, and the bound those brought down by at least a half, tell how much of the bound is real; the same share of what is left of it is
what is still missing.
"""

import numpy as np

from twin.scattering.stem.modes import Modes

DECISION_INTERVAL = 16
"""Modes between decisions, whatever the pieces of work are."""
CHECK_RATIO = 50.0
"""Times the allowed error: while the bound is more than that, nobody looks."""
ERROR_SAFETY = 2.0
"""For probes between those that are followed, and for other configurations."""


class ModeConvergence:
    """Gram matrices ``matrices`` [detectors, m, m] of the modes that have come in, and images of the probes that `Modes` checked."""

    def __init__(self, modes: Modes, weights: np.ndarray, error: float):
        """``weights`` [detectors, pixels] of the beams whose amplitudes will be given; ``error`` that is allowed."""
        self.modes, self.weights, self.error = modes, weights, error
        self.count = 0
        self.matrices = np.zeros((len(weights), len(modes.waves), len(modes.waves)), np.complex64)
        self.intensities = np.zeros((len(weights), *modes.probes.shape[1:]))
        self.known: list[tuple[float, np.ndarray]] = []

    def converged(self, amplitudes: np.ndarray) -> bool:
        """Whether the modes whose ``amplitudes`` [n, pixels] are known will do; decided every `DECISION_INTERVAL` modes."""
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
        """The error that images are left with, as a share of a detector's mean signal; infinite while that cannot be told."""
        bound, now = self.known[-1]
        earlier = [(earlier_bound, image) for earlier_bound, image in self.known if earlier_bound >= 2.0 * bound]
        if not earlier:
            return np.inf
        earlier_bound, image = earlier[-1]
        mean = np.maximum(now.mean(axis=(1, 2)), np.finfo(np.float32).tiny)
        changed = float((np.abs(now - image).max(axis=(1, 2)) / mean).max())
        return ERROR_SAFETY * changed * bound / (earlier_bound - bound)
