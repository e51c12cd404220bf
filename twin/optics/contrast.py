"""Contrast transfer functions of a lens for weak specimens, and resolution limits.

A weak phase object exp(i sigma V) of small sigma V has an image 1 + 2 Re[...] whose spectrum is 2 sigma V_q H(q), H = sin chi for
aberrations that are even in q. Underfocus (C10 below 0) makes H negative: atoms are dark.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Shaped

from twin import checks
from twin.optics.aberrations import index
from twin.optics.electrons import wavelength
from twin.optics.transfer import Imaging, envelope, transfer


def _both(imaging: Imaging, kx: Array | np.ndarray, ky: Array | np.ndarray) -> tuple[Array, Array]:
    """What beams at q and at -q leave in the image's spectrum at q, by interference with the direct beam."""
    x, y = checks.float64(kx), checks.float64(ky)
    direct = transfer(imaging, jnp.zeros(()), jnp.zeros(()))
    plus = transfer(imaging, x, y) * envelope(imaging, x, y) * jnp.conj(direct)
    minus = jnp.conj(transfer(imaging, -x, -y) * envelope(imaging, -x, -y)) * direct
    return plus, minus


def phase_contrast(
    imaging: Imaging, kx: Shaped[Array | np.ndarray, " *n"], ky: Shaped[Array | np.ndarray, " *n"]
) -> Complex[Array, " *n"]:
    """H(q) at q = (``kx``, ``ky``) in 1/angstrom: the image of a weak phase object has the spectrum 2 sigma V_q H(q).

    H = (i / 2) (T(q) T*(0) - T*(-q) T(0)) with T aperture, exp(-i chi) and envelopes; sin chi times envelopes where chi is even. Odd
    aberrations and tilt make it complex: they displace the fringes. Along a line it is the contrast transfer function of one dimension.
    """
    plus, minus = _both(imaging, kx, ky)
    return 0.5j * (plus - minus)


def amplitude_contrast(
    imaging: Imaging, kx: Shaped[Array | np.ndarray, " *n"], ky: Shaped[Array | np.ndarray, " *n"]
) -> Complex[Array, " *n"]:
    """The same for a weak amplitude object 1 - a: the image's spectrum is -2 a_q times it; cos chi times envelopes where chi is even."""
    plus, minus = _both(imaging, kx, ky)
    return 0.5 * (plus + minus)


def scherzer_defocus(c30: float, energy: float) -> float:
    """C10 in angstrom of Scherzer focus, -sqrt(1.5 Cs lambda) for ``c30`` = Cs in angstrom (chi reaches -3 pi / 4); +sqrt for negative Cs.

    After Kirkland, Advanced Computing in Electron Microscopy, chapter 3."""
    checks.finite("c30", c30, "give the spherical aberration in angstrom")
    return -math.copysign(math.sqrt(1.5 * abs(c30) * wavelength(checks.electron_energy(energy))), c30)


def point_resolution(imaging: Imaging) -> float:
    """1/k in angstrom of the first zero of sin chi beyond 0, from the round aberrations C10, C30 and C50 alone.

    chi is a cubic in theta^2; the zero is the smallest root at which it is 0, pi or -pi. ValueError if there is no aberration to set it.
    """
    c10, c30, c50 = (float(imaging.coefficients[index(name)]) for name in ("C10", "C30", "C50"))
    unit = 2.0 * math.pi / imaging.wavelength
    cubic = np.array([c50 / 6.0, c30 / 4.0, c10 / 2.0, 0.0]) * unit
    if not np.any(cubic):
        raise ValueError("a lens without C10, C30 and C50 transfers no phase contrast; give a defocus")
    roots = []
    for level in (0.0, math.pi, -math.pi):
        shifted = cubic - np.array([0.0, 0.0, 0.0, level])
        roots += list(np.roots(np.trim_zeros(shifted, "f")))
    crossings = [root.real for root in roots if root.real > 0.0 and abs(root.imag) < 1e-6 * abs(root)]
    return imaging.wavelength / math.sqrt(min(crossings))


def information_limit(imaging: Imaging) -> float:
    """1/k in angstrom at which the focal spread leaves exp(-2) of the contrast: sqrt(pi lambda Delta / 2), Delta the rms. 0 without a spread."""
    return math.sqrt(0.5 * math.pi * imaging.wavelength * float(imaging.focal_spread))
