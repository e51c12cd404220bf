"""Partial coherence: source size, energy spread, ripples and vibration, as quadratures and as spectra.

A quadrature is (offsets, weights) with weights that sum to 1: the average of anything over the spread is the weighted sum over the
offsets. A spectrum is the Fourier transform of the same distribution of displacements, 1 at k = 0: an incoherent blur multiplies
the spectrum of an image by it. Widths of Gaussians are rms along one axis.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from twin import checks
from twin.grid import frequencies
from twin.optics.electrons import kappa

Scalar = float | int | Float[Array | np.ndarray, ""]
"""A number, or an array of no axes (which may be under a JAX trace)."""
Quadrature = tuple[np.ndarray, np.ndarray]


def gauss_hermite(sigma: float, nodes: int) -> Quadrature:
    """Offsets and weights (sum 1) whose average is that over a Gaussian of rms ``sigma``: for defocus spread, or one axis of a source."""
    checks.not_negative("sigma", sigma, "give the rms width of the spread, 0 for none")
    points, weights = np.polynomial.hermite_e.hermegauss(checks.nodes("nodes", nodes))
    return sigma * points, weights / weights.sum()


def phase_quadrature(sigma: float, nodes: int) -> Quadrature:
    """Offsets and weights (sum 1) of a Gaussian spread of rms ``sigma`` in focus or tilt: Gauss-Hermite up to 11 nodes, evenly spaced beyond.

    The integrand oscillates with a phase of a per rms. Gauss-Hermite is accurate to 1e-3 up to a of about 1.15 sqrt(nodes) (11: 3.4; 31: 7.7). Even steps h
    fail where a approaches 2 pi / h instead: 15 nodes reach 6.6, 31 reach 17. They span 1.1 sqrt(nodes) rms at most 4.5, scaled to have the rms.
    """
    if nodes < 12:
        return gauss_hermite(sigma, nodes)
    checks.not_negative("sigma", sigma, "give the rms width of the spread, 0 for none")
    half = min(4.5, 1.1 * math.sqrt(checks.nodes("nodes", nodes)))
    points = np.linspace(-half, half, nodes)
    weights = np.exp(-0.5 * points**2) / np.sum(np.exp(-0.5 * points**2))
    return sigma * points / math.sqrt(float(weights @ points**2)), weights


def source_offsets(sigma: float, nodes: int) -> Quadrature:
    """Positions [nodes^2, 2] in angstrom and weights of a round Gaussian source of rms ``sigma`` angstrom."""
    return vibration_offsets(sigma, sigma, 0.0, nodes)


def tilt_offsets(sigma: float, nodes: int) -> Quadrature:
    """Tilts [nodes^2, 2] in radian and weights of an illumination whose convergence is Gaussian, rms ``sigma`` along each axis (`phase_quadrature`)."""
    offsets, weights = phase_quadrature(sigma, nodes)
    x, y = np.meshgrid(offsets, offsets)
    return np.stack([x.ravel(), y.ravel()], axis=-1), np.outer(weights, weights).ravel()


def vibration_offsets(major: float, minor: float, direction: float, nodes: int) -> Quadrature:
    """Displacements [nodes^2, 2] (x, y) and weights of a vibration: Gaussian, rms ``major`` along ``direction`` (radian from x towards y)
    and ``minor`` across it, in angstrom."""
    checks.finite("direction", direction, "give the azimuth of the stronger vibration in radian")
    along, weights = gauss_hermite(major, nodes)
    across, _ = gauss_hermite(minor, nodes)
    u, v = np.meshgrid(along, across)
    x = u * math.cos(direction) - v * math.sin(direction)
    y = u * math.sin(direction) + v * math.cos(direction)
    return np.stack([x.ravel(), y.ravel()], axis=-1), np.outer(weights, weights).ravel()


def tail_offsets(width: float, cut: float, nodes: int) -> Quadrature:
    """Displacements [nodes (2 nodes + 1), 2] and weights of a tail: a bivariate Cauchy distribution of scale ``width``, cut at ``cut`` angstrom.

    Its density is width / (2 pi (r^2 + width^2)^(3/2)) (Student's t with one degree of freedom, in two dimensions), so half of it lies
    within sqrt(3) width and a share width / sqrt(cut^2 + width^2) beyond ``cut``, which is left out and the rest scaled to sum to 1.
    Radii are Gauss-Legendre points in the share enclosed, azimuths equally spaced: exact up to spatial frequencies of about nodes / (pi cut).
    """
    checks.positive("width", width, "give the scale of the tail in angstrom, or a tail of 0")
    checks.positive("cut", cut, "give the radius in angstrom at which the tail is cut, e.g. half the cell")
    points, weights = np.polynomial.legendre.leggauss(checks.nodes("nodes", nodes))
    enclosed = 0.5 * (points + 1.0) * (1.0 - width / math.hypot(cut, width))
    radius = width * np.sqrt(1.0 / (1.0 - enclosed) ** 2 - 1.0)
    azimuth = 2.0 * np.pi * np.arange(2 * nodes + 1) / (2 * nodes + 1)
    offsets = radius[:, None, None] * np.stack([np.cos(azimuth), np.sin(azimuth)], axis=-1)[None]
    shares = np.repeat(0.5 * weights / (2 * nodes + 1), 2 * nodes + 1)
    return offsets.reshape(-1, 2), shares


def tailed_source_offsets(sigma: float, tail: float, width: float, cut: float, nodes: int) -> Quadrature:
    """Displacements [n, 2] and weights of a source with tails: a share 1 - ``tail`` of it Gaussian of rms ``sigma``, a share ``tail`` as
    `tail_offsets` has it. Measured sources have such tails (Dwyer, Erni and Etheridge, Ultramicroscopy 110, 952, 2010)."""
    _check_share(tail)
    core, core_weights = source_offsets(sigma, nodes)
    tail_positions, tail_weights = tail_offsets(width, cut, nodes)
    return np.concatenate([core, tail_positions]), np.concatenate([(1.0 - tail) * core_weights, tail * tail_weights])


def joint(first: Quadrature, second: Quadrature) -> Quadrature:
    """The quadrature of the sum of two independent displacements, each [n, 2]: say, source size and vibration."""
    offsets = first[0][:, None, :] + second[0][None, :, :]
    return offsets.reshape(-1, offsets.shape[-1]), np.outer(first[1], second[1]).ravel()


def chromatic_c10(cc: Scalar, energy: float, energy_deviation: Array | np.ndarray | float = 0.0, current: Scalar = 0.0):
    """Change of C10 in angstrom, Cc (2 dI/I - kappa dE/E), for electrons ``energy_deviation`` eV off and a relative change ``current`` of the lens.

    ``cc`` in angstrom. A beam of any distribution of energies: give its energies and average with its weights.
    """
    checks.electron_energy(energy)
    return cc * (2.0 * current - kappa(energy) / energy * energy_deviation)


def focal_spread(
    cc: Scalar, energy: float, energy_spread: Scalar = 0.0, tension_ripple: Scalar = 0.0, lens_ripple: Scalar = 0.0
) -> Float[Array, ""]:
    """Rms focal spread in angstrom: Cc sqrt((kappa dE/E)^2 + (kappa dV/V)^2 + (2 dI/I)^2), of independent causes.

    ``cc`` angstrom; ``energy_spread`` rms in eV (FWHM / 2.355); ``tension_ripple`` dV/V and ``lens_ripple`` dI/I, relative and rms.
    """
    checks.electron_energy(energy)
    checks.finite("cc", cc, "give the chromatic aberration in angstrom")
    for name, value in (
        ("energy_spread", energy_spread),
        ("tension_ripple", tension_ripple),
        ("lens_ripple", lens_ripple),
    ):
        checks.not_negative(name, value, "give the rms spread, 0 for none")
    parts = jnp.stack(
        [
            kappa(energy) / energy * checks.float64(energy_spread),
            kappa(energy) * checks.float64(tension_ripple),
            2.0 * checks.float64(lens_ripple),
        ]
    )
    square = jnp.sum(parts**2)
    # where all are 0 the root has no derivative: 0 is taken, not NaN
    root = jnp.where(square > 0.0, jnp.sqrt(jnp.where(square > 0.0, square, 1.0)), 0.0)
    return jnp.abs(checks.float64(cc)) * root


def source_spectrum(
    kx: Shaped[Array | np.ndarray, " *n"],
    ky: Shaped[Array | np.ndarray, " *n"],
    sigma: Scalar,
    tail: Scalar = 0.0,
    width: Scalar = 0.0,
) -> Float[Array, " *n"]:
    """Fourier transform of a source with tails at (``kx``, ``ky``) in 1/angstrom:

    (1 - tail) exp(-2 pi^2 sigma^2 k^2) + tail exp(-2 pi width |k|), the second the transform of the whole, uncut bivariate Cauchy distribution.
    """
    for name, value in (("sigma", sigma), ("width", width)):
        checks.not_negative(name, value, "give the size of the source in angstrom, 0 for a point")
    _check_share(tail)
    square = checks.float64(kx) ** 2 + checks.float64(ky) ** 2
    core = jnp.exp(-2.0 * jnp.pi**2 * sigma**2 * square)
    return core + tail * (jnp.exp(-2.0 * jnp.pi * width * jnp.sqrt(square)) - core)


def vibration_spectrum(
    kx: Shaped[Array | np.ndarray, " *n"],
    ky: Shaped[Array | np.ndarray, " *n"],
    major: Scalar,
    minor: Scalar,
    direction: Scalar = 0.0,
) -> Float[Array, " *n"]:
    """exp(-2 pi^2 (major^2 k_u^2 + minor^2 k_v^2)), u along ``direction`` (radian from x towards y): of a Gaussian vibration in angstrom rms."""
    for name, value in (("major", major), ("minor", minor)):
        checks.not_negative(name, value, "give the rms vibration along its axis in angstrom, 0 for none")
    x, y, turn = checks.float64(kx), checks.float64(ky), checks.float64(direction)
    u, v = x * jnp.cos(turn) + y * jnp.sin(turn), y * jnp.cos(turn) - x * jnp.sin(turn)
    return jnp.exp(-2.0 * jnp.pi**2 * ((major * u) ** 2 + (minor * v) ** 2))


def blur(
    images: Float[Array | np.ndarray, "*batch y x"], spectrum: Float[Array | np.ndarray, "y x"]
) -> Float[Array, "*batch y x"]:
    """Periodic ``images`` averaged over displacements whose ``spectrum`` (FFT order, as `source_spectrum` on `plane`) is given."""
    pictures = jnp.asarray(images)
    window = jnp.asarray(spectrum, pictures.dtype).reshape(*(1,) * (pictures.ndim - 2), *spectrum.shape)
    return jnp.fft.ifft2(jnp.fft.fft2(pictures) * window).real


def plane(gpts: tuple[int, int], extent: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Spatial frequencies (kx, ky), each [ny, nx] in 1/angstrom and FFT order, of a grid (ny, nx) over ``extent`` (x, y) angstrom."""
    kx, ky = np.meshgrid(*frequencies(gpts, extent))
    return kx, ky


def _check_share(tail: Scalar) -> None:
    checks.not_negative("tail", tail, "give the share of the source that is in its tails, from 0 to 1")
    if checks.known(tail) and float(tail) > 1.0:
        raise ValueError(f"tail is {tail}; give the share of the source that is in its tails, from 0 to 1")
