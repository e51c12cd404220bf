"""True images from the true Gram matrices: aberrations, focal spread, source with tails, at any position. Plain numpy."""

import numpy as np

from instrument.simulation.truth.config import SimulatedConfig
from instrument.simulation.truth.imaging.scattering import TruthGram
from instrument.simulation.truth.imaging.specimen import wavelength

# (name, n, m, part) of Krivanek's chi = 2 pi / lambda sum theta^(n+1) / (n+1) (C_a cos m phi + C_b sin m phi)
_TERMS = (
    ("C10", 1, 0, "a"),
    ("C12.a", 1, 2, "a"),
    ("C12.b", 1, 2, "b"),
    ("C21.a", 2, 1, "a"),
    ("C21.b", 2, 1, "b"),
    ("C23.a", 2, 3, "a"),
    ("C23.b", 2, 3, "b"),
    ("C30", 3, 0, "a"),
    ("C32.a", 3, 2, "a"),
    ("C32.b", 3, 2, "b"),
    ("C34.a", 3, 4, "a"),
    ("C34.b", 3, 4, "b"),
    ("C50", 5, 0, "a"),
)
ABERRATIONS = tuple(term[0] for term in _TERMS)


class Imager:
    """Images of one specimen. Positions are specimen coordinates in A; intensities are fractions of the incident
    beam.
    """

    def __init__(self, gram: TruthGram, config: SimulatedConfig):
        self.gram, lam = gram, wavelength(config.energy)
        k = gram.beams / gram.extent[None, :]
        theta, phi = lam * np.hypot(k[:, 0], k[:, 1]), np.arctan2(k[:, 1], k[:, 0])
        columns = [
            theta ** (n + 1) / (n + 1) * (np.cos(m * phi) if part == "a" else np.sin(m * phi))
            for _, n, m, part in _TERMS
        ]
        self._basis = 2 * np.pi / lam * np.stack(columns, axis=1)
        # pairs (k, k') with q = k - k' in one half of the plane, sorted by q; the other half is the complex conjugate
        first, second = (part.ravel() for part in np.indices((len(k), len(k))))
        q = gram.beams[first] - gram.beams[second]
        half = (q[:, 1] > 0) | ((q[:, 1] == 0) & (q[:, 0] >= 0))
        first, second, q = first[half], second[half], q[half]
        self._reach = int(np.abs(q).max())
        code = q[:, 1] * (2 * self._reach + 1) + q[:, 0] + self._reach
        order = np.argsort(code, kind="stable")
        self._first, self._second, code = first[order], second[order], code[order]
        self._starts = np.flatnonzero(np.r_[True, np.diff(code) > 0])
        self._cells = code[self._starts]
        k2 = (k**2).sum(axis=1)
        k2_difference = k2[self._first] - k2[self._second]
        self._damping = np.exp(-0.5 * (np.pi * lam * config.focal_spread * k2_difference) ** 2).astype(np.float32)
        self._pairs = gram.grams[:, self._first, self._second]
        qx = self._cells % (2 * self._reach + 1) - self._reach
        qy = self._cells // (2 * self._reach + 1)
        q2 = (qx / gram.extent[0]) ** 2 + (qy / gram.extent[1]) ** 2
        core = np.exp(-2 * np.pi**2 * config.source_sigma**2 * q2)
        tails = (1 + 4 * np.pi**2 * config.source_tail_length**2 * q2) ** -1.5  # of exp(-r / length) in the plane
        self._source = ((1 - config.source_tail) * core + config.source_tail * tails) * np.where(
            self._cells == self._reach, 1.0, 2.0
        )

    def thickness_weights(self, thickness: float) -> np.ndarray:
        """Weights [d] of the kept depths at ``thickness`` A: Lagrange's polynomial through the four nearest (fewer if
        fewer are kept).
        """
        depths = self.gram.depths
        number = min(4, len(depths))
        start = int(np.clip(np.searchsorted(depths, thickness) - number // 2, 0, len(depths) - number))
        nearest, weights = depths[start : start + number], np.zeros(len(depths))
        for i in range(number):
            other_depths = np.delete(nearest, i)
            weights[start + i] = np.prod((thickness - other_depths) / (nearest[i] - other_depths))
        return weights

    def harmonics(self, aberrations: np.ndarray, thickness: float) -> np.ndarray:
        """Complex [reach + 1, 2 reach + 1] coefficients (qy, qx), source included, for ``aberrations`` [13] in A
        (order ABERRATIONS).
        """
        amplitude = (self.gram.aperture * np.exp(-1j * (self._basis @ aberrations))).astype(np.complex64)
        mixed = np.tensordot(self.thickness_weights(thickness).astype(np.float32), self._pairs, axes=1)
        mixed *= self._damping
        mixed *= amplitude.conj()[self._first]
        mixed *= amplitude[self._second]
        out = np.zeros((self._reach + 1) * (2 * self._reach + 1), dtype=np.complex128)
        out[self._cells] = np.add.reduceat(mixed.astype(np.complex128), self._starts) * self._source
        return out.reshape(self._reach + 1, 2 * self._reach + 1)

    def intensity(self, harmonics: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Intensity [n] at specimen coordinates ``x``, ``y`` [n] in A."""
        out = np.empty(len(x))
        for start in range(0, len(x), 4096):
            part = slice(start, start + 4096)
            ex = np.exp(
                2j
                * np.pi
                * (x[part] / self.gram.extent[0] % 1.0)[:, None]
                * np.arange(-self._reach, self._reach + 1)[None, :]
            )
            ey = np.exp(
                2j * np.pi * (y[part] / self.gram.extent[1] % 1.0)[:, None] * np.arange(self._reach + 1)[None, :]
            )
            out[part] = ((ey @ harmonics) * ex).sum(axis=1).real
        return out
