"""Exact scattering of electrons by a point charge: Mott's cross-section in partial waves, relative to Rutherford's.

N. F. Mott, Proc. R. Soc. Lond. A 135, 429 (1932), as N. Sherman, Phys. Rev. 103, 1601 (1956), sums it: the amplitudes
are a closed form and a sum of differences of phases over Legendre polynomials. The sums converge by the reduction of
Yennie, Ravenhall and Wilson, Phys. Rev. 95, 500 (1954): the series times (1 - cos theta)^m is one again, whose terms
fall off faster. Screening by the atom's electrons matters below a few degrees, the size of the nucleus above some
MeV.
"""

import math
from functools import lru_cache

import numpy as np
from scipy.special import eval_legendre, loggamma

from twin.optics.electrons import REST_ENERGY_EV

FINE_STRUCTURE = 7.2973525643e-3
"""Fine-structure constant (CODATA 2022)."""
WAVES, REDUCTIONS = 400, 4
"""Partial waves, and reductions of their series."""
SMALLEST, NODES, DEGREE = 0.1, 40, 8
"""The polynomial is fitted to sin(theta / 2) from SMALLEST to 1 at NODES points; it is 1 at 0, where the deflection
is Rutherford's.
"""


def mott_ratio(energy: float, charge: int, sines: np.ndarray) -> np.ndarray:
    """Mott's cross-section over Rutherford's, (r_e Z / (2 gamma beta^2 s^2))^2, for electrons of kinetic ``energy``
    eV and a nucleus of ``charge``, at ``sines`` s of half the scattering angle, from 0.08 to below 1.
    """
    gamma = 1.0 + energy / REST_ENERGY_EV
    beta = math.sqrt(1.0 - 1.0 / gamma**2)
    q, sine2 = FINE_STRUCTURE * charge / beta, np.asarray(sines) ** 2
    k = np.arange(1.0, WAVES + 1.0)
    rho = np.sqrt(k**2 - (FINE_STRUCTURE * charge) ** 2)
    # D_k (-1)^k of Sherman; k = 0 counts with weight 0
    rutherford = np.exp(loggamma(k - 1j * q) - loggamma(k + 1j * q)) / (k + 1j * q)
    exact = np.exp(loggamma(rho - 1j * q) - loggamma(rho + 1j * q) - 1j * np.pi * (rho - k)) / (rho + 1j * q)
    step = np.concatenate([[0.0], k * (rutherford - exact)])
    k = np.arange(WAVES + 1.0)
    phase = np.exp(1j * q * np.log(sine2) + loggamma(1 - 1j * q) - loggamma(1 + 1j * q))
    f = 0.5j * (phase + _legendre_sum(step[:-1] - step[1:], 1.0 - 2.0 * sine2))
    g = 0.5 * q * (1.0 - sine2) / sine2 * phase
    g = g + 0.5j * _legendre_sum(k[:-1] * step[:-1] + k[1:] * step[1:], 1.0 - 2.0 * sine2)
    amplitudes = q**2 / gamma**2 * np.abs(f) ** 2 / sine2 + np.abs(g) ** 2 / (1.0 - sine2)
    return amplitudes * (2.0 * sine2 / q) ** 2


def _legendre_sum(terms: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """The sum of ``terms`` times Legendre polynomials of ``cosines``, by way of its product with (1 -
    cosine)^REDUCTIONS.
    """
    for _ in range(REDUCTIONS):
        k = np.arange(len(terms) - 1.0)
        before = np.concatenate([[0.0], terms[:-2]])
        terms = terms[:-1] - (k + 1) / (2 * k + 3) * terms[1:] - np.where(k > 0, k / (2 * k - 1), 0.0) * before
    waves = np.arange(len(terms))
    return eval_legendre(waves[:, None], cosines[None, :]).T @ terms / (1.0 - cosines) ** REDUCTIONS


@lru_cache(maxsize=256)
def mott_polynomial(energy: float, charge: int) -> tuple[float, ...]:
    """Coefficients of `mott_ratio` in powers of s from 0 on; to 0.3 % for Z to 92 and 20 keV to 1 MeV, to 0.1 % from
    60 keV on.
    """
    nodes = SMALLEST + (1.0 - SMALLEST) * (1.0 - np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)) / 2.0
    powers = nodes[:, None] ** np.arange(1, DEGREE + 1)
    fitted, *_ = np.linalg.lstsq(powers, mott_ratio(energy, charge, nodes) - 1.0)
    return (1.0, *fitted.tolist())
