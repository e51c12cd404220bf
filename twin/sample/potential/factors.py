"""Scattering factors of the neutral atoms at any frequencies: Lobato and Van Dyck's parametrisation, and Kirkland's.

Both have closed forms for what an atom's potential becomes when it is integrated along z, as a whole or up to a plane:

- Lobato: a (2 + b q^2) / (1 + b q^2)^2, whose transform along z is an exponential times a polynomial of first order in |z|;
- Kirkland: a / (q^2 + b), whose transform is an exponential in |z|, and c exp(-d q^2), whose transform is a Gaussian.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import erfc

from twin.grid import frequencies
from twin.optics.electrons import LIGHT_ANGSTROM_S, PLANCK_EV_S, REST_ENERGY_EV
from twin.sample.potential.kirkland import KIRKLAND
from twin.sample.potential.lobato import LOBATO

PARAMETRIZATIONS = ("lobato", "kirkland")
"""Names of the tables of scattering factors."""
POTENTIAL_PER_FACTOR = (PLANCK_EV_S * LIGHT_ANGSTROM_S) ** 2 / (2.0 * np.pi * REST_ENERGY_EV)
"""h^2 / (2 pi m e) in V angstrom^2: Fourier transform of a potential per scattering factor in angstrom."""


def check_element(symbol: str, parametrization: str) -> None:
    """ValueError if the parametrisation is unknown, or the element is not in its table."""
    if parametrization not in PARAMETRIZATIONS:
        raise ValueError(f"parametrization is {parametrization!r}; give 'lobato' or 'kirkland'")
    if symbol not in (LOBATO if parametrization == "lobato" else KIRKLAND):
        raise ValueError(
            f"no scattering factor for element {symbol!r}; the table holds hydrogen to lawrencium (Z 1 to 103)"
        )


def scattering_factor(
    symbol: str, q_squared: Float[np.ndarray, "*shape"], parametrization: str = "lobato"
) -> Float[np.ndarray, "*shape"]:
    """Electron scattering factor f_e in angstrom at |q|^2 in 1/angstrom^2 in three dimensions. ValueError if not in the table.

    First Born approximation and the electron's rest mass; q = 2 sin(theta) / lambda.
    """
    check_element(symbol, parametrization)
    total = np.zeros_like(q_squared, dtype=np.float64)
    if parametrization == "lobato":
        for a, b in zip(*LOBATO[symbol], strict=True):
            total += a * (2.0 + b * q_squared) / (1.0 + b * q_squared) ** 2
    else:
        for a, b, c, d in zip(*KIRKLAND[symbol], strict=True):
            total += a / (q_squared + b) + c * np.exp(-d * q_squared)
    return total


def projected_factor(
    symbol: str, k_squared: Float[np.ndarray, "*shape"], parametrization: str = "lobato"
) -> Float[np.ndarray, "*shape"]:
    """Fourier transform in V angstrom^3 of the projected potential of an atom at |k|^2 in 1/angstrom^2. ValueError if not in the table."""
    return POTENTIAL_PER_FACTOR * scattering_factor(symbol, k_squared, parametrization)


def projected_beyond(
    symbol: str,
    k_squared: Float[np.ndarray, "*#shape"],
    distance: Float[np.ndarray, "*#shape"],
    parametrization: str = "lobato",
) -> Float[np.ndarray, "*shape"]:
    """The part of `projected_factor` beyond a plane ``distance`` >= 0 angstrom away from the atom along z, in V angstrom^3.

    Half of it at distance 0; beyond a plane on the atom's other side lies the rest, since V(k, z) is even in z. With
    K^2 = k^2 + b (Kirkland) or k^2 + 1/b (Lobato) and u = 2 pi K s the integrals of the transforms along z from s on are
    exp(-u) / (2 K^2) for 1 / (q^2 + b), (2 + u) exp(-u) / (4 K^4) for its square, and erfc(pi s / sqrt(d)) / 2 for a Gaussian.
    """
    check_element(symbol, parametrization)
    total = np.zeros(np.broadcast_shapes(np.shape(k_squared), np.shape(distance)))
    if parametrization == "lobato":
        for a, b in zip(*LOBATO[symbol], strict=True):
            square = k_squared + 1.0 / b
            u = 2.0 * np.pi * np.sqrt(square) * distance
            total += a * np.exp(-u) * (0.5 / (b * square) + 0.25 * (2.0 + u) / (b * square) ** 2)
    else:
        for a, b, c, d in zip(*KIRKLAND[symbol], strict=True):
            square = k_squared + b
            total += a * np.exp(-2.0 * np.pi * np.sqrt(square) * distance) / (2.0 * square)
            total += 0.5 * c * np.exp(-d * k_squared) * erfc(np.pi * distance / np.sqrt(d))
    return POTENTIAL_PER_FACTOR * total


def factors(
    symbols: tuple[str, ...],
    gpts: tuple[int, int],
    extent: tuple[float, float],
    parametrization: str = "lobato",
) -> Float[np.ndarray, "elements y x"]:
    """`projected_factor` of every symbol on the grid in FFT order: [elements, ny, nx] float64."""
    kx, ky = frequencies(gpts, extent)
    k_squared = kx[None, :] ** 2 + ky[:, None] ** 2
    return np.stack([projected_factor(symbol, k_squared, parametrization) for symbol in symbols])
