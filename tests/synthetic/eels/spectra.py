"""Energy-loss spectra for tests, made by code other than the estimators': a power law, edges of atoms with white lines, plasmons by sums of orders,
a camera."""

import math

import numpy as np

from twin.eels.atoms import differential_cross_section, edges_of

HIGH_TENSION, COLLECTION, CONVERGENCE = 200e3, 33e-3, 21e-3


def edge(element: str, energies: np.ndarray, lines: float = 0.0, name: str = "") -> np.ndarray:
    """Cross-section in angstrom^2 per channel at ``energies`` (eV); ``lines``: area of peaks at the two lowest onsets over that of the 50 eV behind them."""
    step = float(energies[1] - energies[0])
    shells = [shell for shell in edges_of(element, energies[0], energies[-1]) if shell.name.startswith(name)]
    curve = step * sum(
        differential_cross_section(shell, energies, HIGH_TENSION, COLLECTION, CONVERGENCE) for shell in shells
    )
    if lines:
        inside = (energies > shells[0].energy) & (energies < shells[0].energy + 50.0)
        area = float(np.asarray(curve)[inside].sum())
        for shell, share in zip(shells[:2], (0.6, 0.4), strict=True):
            peak = np.exp(-0.5 * ((energies - shell.energy - 1.5) / 1.2) ** 2)
            curve = curve + lines * area * share * peak / peak.sum()
    return np.asarray(curve)


def background(energies: np.ndarray, electrons: float, exponent: float = 3.0) -> np.ndarray:
    """A power law with ``electrons`` in all."""
    curve = energies**-exponent
    return electrons * curve / curve.sum()


def core_image(
    rows: int, columns: int, energies: np.ndarray, electrons: float, seed: int, shares: dict[str, float] | None = None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Mean electrons [rows, columns, channels] of a spectrum image with ``electrons`` a spectrum, and the amplitudes (electrons times atoms per
    angstrom^2) of each element [rows, columns]: Ti in the left half mostly, O everywhere."""
    generator = np.random.default_rng(seed)
    shares = shares or {"Ti": 0.15, "O": 0.15}
    exponents = generator.normal(3.0, 0.2, (rows, columns))
    whole = np.zeros((rows, columns, len(energies)))
    amplitudes = {}
    left = np.arange(columns) < columns / 2
    for element, share in shares.items():
        curve = edge(element, energies, lines=0.15 if element != "O" else 0.0)
        weight = generator.uniform(0.8, 1.2, (rows, columns)) * (np.where(left, 1.0, 0.3) if element == "Ti" else 1.0)
        amplitudes[element] = weight * share * electrons / curve.sum()
        whole += amplitudes[element][..., None] * curve
    rest = (1.0 - sum(shares.values())) * electrons
    for position in np.ndindex(rows, columns):
        whole[position] += background(energies, rest * generator.uniform(0.8, 1.2), float(exponents[position]))
    return whole, amplitudes


def recorded(
    mean: np.ndarray, seed: int, gain: float = 1.0, spread: float = 0.0, pattern: float = 0.0, readout: float = 0.0
) -> np.ndarray:
    """Counts of a camera: electrons counted, their light spread to neighbouring channels (``spread``: share that each neighbour gets), a fixed
    pattern of rms ``pattern``."""
    generator = np.random.default_rng(seed)
    counted = generator.poisson(mean).astype(float)
    light = (1.0 - 2.0 * spread) * counted
    light[..., 1:] += spread * counted[..., :-1]
    light[..., :-1] += spread * counted[..., 1:]
    gains = 1.0 + pattern * generator.standard_normal(mean.shape[-1])
    return gain * gains * light + readout * generator.standard_normal(mean.shape)


def low_loss(
    channels: int, offset: float, step: float, electrons: float, thickness: float, energy: float = 15.0, width: float = 2.0, zero: float = 0.4,
    collection: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """Mean electrons [channels] of a zero loss (Gaussian of full width ``zero``) and a Drude plasmon to all orders, by their sum in real space;
    ``collection`` semi-angle of single losses at `HIGH_TENSION` (0: all angles)."""
    orders = low_loss_orders(channels, offset, step, energy, width, zero, collection)
    shares = [math.exp(-thickness) * thickness**number / math.factorial(number) for number in range(len(orders))]
    return electrons * np.array(shares) @ orders


def low_loss_orders(
    channels: int, offset: float, step: float, energy: float, width: float, zero: float, collection: float
) -> np.ndarray:
    """Of one electron that lost 0, 1, 2, ... times [orders, channels]."""
    fine = 8 * channels
    losses = step * np.arange(fine)
    single = np.where(losses > 0, losses * width / ((losses**2 - energy**2) ** 2 + (losses * width) ** 2), 0.0)
    if collection:
        angle = np.maximum(losses, step) * (HIGH_TENSION + 511e3) / (HIGH_TENSION * (HIGH_TENSION + 1022e3))
        single *= np.log1p((collection / angle) ** 2)
    single /= single.sum()
    order, orders = np.zeros(fine), []
    order[0] = 1.0
    at = offset + step * np.arange(channels)
    shape = np.exp(-4.0 * math.log(2.0) * ((at[:, None] - losses[None, :2048]) / zero) ** 2)
    scale = step / (zero * math.sqrt(math.pi / (4.0 * math.log(2.0))))
    for _ in range(25):
        # losses beyond the fine range would not be seen in these channels
        orders.append(scale * (shape @ order[:2048]))
        order = np.convolve(order, single)[:fine]
    return np.array(orders)
