"""The model of a power spectrum with Thon rings, and its derivatives.

S(q) = film(q) |H(q)|^2 + rest(|q|). H is the twin's contrast transfer (`twin.optics.contrast`) of phase and amplitude contrast, sin(chi - psi): tan psi is the
amplitude contrast over the phase contrast, and a phase plate adds its phase shift to psi. film is the exponential of a polynomial in |q| and a quadratic form
in q (drift in the frame), rest that of a polynomial: they take in scattering factors, envelopes, the camera's transfer and noise.
"""

import numpy as np
from scipy.ndimage import map_coordinates

from reconstruct.measurement.thon.spectrum import LAGS, Power
from twin.optics.aberrations import basis, index, phase_gradient
from twin.optics.transfer import Imaging, envelope

COEFFICIENTS = ("C10", "C12a", "C12b", "C30")
C10, C12, C30, PSI, DRIFT = 0, slice(1, 3), 3, 4, slice(5, 7)
"""Where the values are: aberrations in angstrom, psi in radian, the anisotropy of the film's logarithm at the highest frequency."""
FILM_TERMS, REST_TERMS = 6, 4
"""Coefficients of the logarithms of film and rest, which follow."""
FILM, REST = slice(7, 7 + FILM_TERMS), slice(7 + FILM_TERMS, 7 + FILM_TERMS + REST_TERMS)
SIZE = REST.stop
FLOOR = 1e-6


class Model:
    """log S and its derivatives at the frequencies of a `Power`, for values [`SIZE`].

    chi and its gradient are linear in the aberrations: their parts are the twin's, made once. Rings at q come from what is grad chi / pi apart in the image
    (twice where the rays go): of a finite image the window's autocorrelation is left of them.
    """

    def __init__(self, power: Power, imaging: Imaging):
        self.power = power
        kx, ky = power.kx, power.ky
        places = [index(name) for name in COEFFICIENTS]
        units = np.zeros((len(places), 25))
        units[range(len(places)), places] = 1.0
        chi = np.asarray(basis(kx, ky, imaging.wavelength))
        given = np.array(imaging.coefficients)
        given[places] = 0.0
        self.chi, self.parts = given @ chi, chi[places]
        self.gradient = np.asarray(phase_gradient(given, kx, ky, imaging.wavelength)) / np.pi
        self.gradients = (
            np.stack([np.asarray(phase_gradient(unit, kx, ky, imaging.wavelength)) for unit in units]) / np.pi
        )
        self.envelope = np.asarray(envelope(imaging, kx, ky)) ** 2
        azimuth = 2.0 * power.azimuth
        self.film_terms = np.concatenate([
            power.share**2 * np.stack([np.cos(azimuth), np.sin(azimuth)]),
            power.share ** np.arange(FILM_TERMS)[:, None],
        ])  # fmt: skip
        self.rest_terms = power.share ** np.arange(REST_TERMS)[:, None]
        size_y, size_x = power.plane.size
        self.lag = np.array([LAGS / size_x, LAGS / size_y])
        self.table = power.plane.retained()
        self.slopes = np.gradient(self.table, axis=1), np.gradient(self.table, axis=0)

    def __call__(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log S [m] and its derivatives [p, m]."""
        twice, position, retained = self._rings(values)
        log, share, rings = self._log(values, twice, retained)
        along_x, along_y = (map_coordinates(table, position, order=1) for table in self.slopes)
        rows = np.empty((SIZE, len(log)))
        by_chi, rate = retained * np.sin(twice), self.envelope * share / rings
        shifts = self.gradients[:, 0] * (self.lag[0] * along_x) + self.gradients[:, 1] * (self.lag[1] * along_y)
        rows[: C30 + 1] = rate * (by_chi * self.parts - 0.5 * np.cos(twice) * shifts)
        rows[PSI] = -rate * by_chi
        rows[DRIFT.start : FILM.stop] = share * self.film_terms
        rows[REST] = (1.0 - share) * self.rest_terms
        return log, rows

    def log(self, values: np.ndarray) -> np.ndarray:
        """log S [m]."""
        twice, _, retained = self._rings(values)
        return self._log(values, twice, retained)[0]

    def _rings(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """2 (chi - psi) [m], positions [2, m] of the rings' displacements in the table of the window, and what that leaves of them [m]."""
        lens = values[: C30 + 1]
        displacement = self.gradient + np.tensordot(lens, self.gradients, 1)
        position = (displacement * self.lag[:, None] + LAGS)[::-1]
        return (
            2.0 * (self.chi + lens @ self.parts - values[PSI]),
            position,
            map_coordinates(self.table, position, order=1),
        )

    def _log(
        self, values: np.ndarray, twice: np.ndarray, retained: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """log S [m], the film's share of it [m], and the film's transfer [m]: of sin^2(chi - psi) its mean and what oscillates."""
        rings = self.envelope * (0.5 - 0.5 * retained * np.cos(twice)) + FLOOR
        film = values[DRIFT.start : FILM.stop] @ self.film_terms + np.log(rings)
        rest = values[REST] @ self.rest_terms
        top = np.maximum(film, rest)
        film_part = np.exp(film - top)
        total = film_part + np.exp(rest - top)
        return top + np.log(total), film_part / total, rings
