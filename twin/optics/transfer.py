"""Images by the objective lens (HRTEM): from an exit wave to intensities, with aperture, aberrations and partial coherence.

An exit wave is psi(r) with |psi|^2 = 1 in vacuum, so images are fractions of the incident beam per pixel, 1 in vacuum. C10 refers to
the exit face. With tilted illumination the wave is given in the frame in which the incident plane wave is 1, as multislice returns it for
specimen tilt minus beam tilt; its beams q then pass the lens at q + tilt / lambda. Images have twice the band of the waves that the aperture
passes: sample so that they fit.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Shaped

from twin import checks
from twin.optics.aberrations import phase
from twin.optics.coherence import spatial_envelope, temporal_envelope
from twin.optics.electrons import wavelength
from twin.optics.source import plane, vibration_spectrum
from twin.phases import cis


def real(value) -> Array:
    return checks.float64(value)


def _optional(value) -> Array | None:
    return None if value is None else real(value)


class Imaging(eqx.Module):
    """The objective lens and the coherence of its illumination; every number but the energy can be differentiated in.

    ``coefficients`` [25] of the aberrations in angstrom; ``energy`` in eV; ``semiangle`` of the objective aperture in radian about the axis
    (None: no aperture); ``edge`` the width in radian of its smooth edge (None: cut); ``tilt`` [2] (x, y) of the illumination in radian;
    ``focal_spread`` rms in angstrom; ``convergence`` of the illumination, rms along one axis in radian (half the semi-angle of an evenly filled
    disc); ``vibration`` [3]: rms in angstrom along and across a direction, and that direction in radian from x towards y.
    """

    coefficients: Float[Array, " 25"] = eqx.field(converter=real)
    energy: float = eqx.field(static=True)
    semiangle: Float[Array, ""] | None = eqx.field(converter=_optional, default=None)
    edge: Float[Array, ""] | None = eqx.field(converter=_optional, default=None)
    tilt: Float[Array, " 2"] = eqx.field(converter=real, default=(0.0, 0.0))
    focal_spread: Float[Array, ""] = eqx.field(converter=real, default=0.0)
    convergence: Float[Array, ""] = eqx.field(converter=real, default=0.0)
    vibration: Float[Array, " 3"] = eqx.field(converter=real, default=(0.0, 0.0, 0.0))

    def __check_init__(self):
        checks.electron_energy(self.energy)
        checks.finite("coefficients", self.coefficients, "give every aberration in angstrom, 0 for none")
        checks.finite("tilt", self.tilt, "give the beam tilt (x, y) in radian")
        checks.finite("vibration", self.vibration, "give (along, across, direction) in angstrom and radian")
        checks.not_negative("vibration", self.vibration[:2], "give the rms along and across its direction in angstrom")
        checks.not_negative("focal_spread", self.focal_spread, "give the rms in angstrom, 0 for none")
        checks.not_negative("convergence", self.convergence, "give the rms along one axis in radian, 0 for none")
        if self.edge is not None:
            checks.positive("edge", self.edge, "give its width in radian, or None for an aperture that is cut")
            if self.semiangle is None:
                raise ValueError(
                    "edge is given without semiangle; give the aperture's semi-angle in radian, or no edge"
                )
        if self.semiangle is not None:
            checks.positive(
                "semiangle", self.semiangle, "give the aperture's semi-angle in radian, or None for no aperture"
            )
            if checks.known(self.semiangle) and float(self.semiangle) > 0.2:
                raise ValueError(
                    f"semiangle is {self.semiangle} rad; give the aperture's semi-angle in radian, at most 0.2"
                )

    @property
    def wavelength(self) -> float:
        """Wavelength in angstrom."""
        return wavelength(self.energy)


def refocused(imaging: Imaging, c10: Float[Array, ""]) -> Imaging:
    """The same with ``c10`` angstrom added to C10."""
    return eqx.tree_at(lambda lens: lens.coefficients, imaging, imaging.coefficients.at[0].add(c10))


@partial(jax.jit, inline=True)
def objective_aperture(
    imaging: Imaging, kx: Shaped[Array | np.ndarray, " *n"], ky: Shaped[Array | np.ndarray, " *n"]
) -> Float[Array, " *n"]:
    """Amplitude that the aperture passes at (``kx``, ``ky``) in 1/angstrom from the axis: 1 inside, 0 outside.

    With an edge w it is 1 / (1 + exp(-2 (a^2 - theta^2) / (a w))): half at theta = a, where its slope is that of a linear edge w wide.
    """
    x, y = imaging.wavelength * checks.float64(kx), imaging.wavelength * checks.float64(ky)
    square = x**2 + y**2
    if imaging.semiangle is None:
        return jnp.ones_like(square)
    if imaging.edge is None:
        return (square <= imaging.semiangle**2 * (1.0 + 1e-12)).astype(jnp.float64)
    return jax.nn.sigmoid(2.0 * (imaging.semiangle**2 - square) / (imaging.semiangle * imaging.edge))


@partial(jax.jit, inline=True)
def transfer(
    imaging: Imaging, kx: Shaped[Array | np.ndarray, " *n"], ky: Shaped[Array | np.ndarray, " *n"]
) -> Complex[Array, " *n"]:
    """Aperture times exp(-i chi) for beams q = (``kx``, ``ky``) in 1/angstrom from the direct one, without envelopes; complex128."""
    start = imaging.tilt / imaging.wavelength
    x, y = checks.float64(kx) + start[0], checks.float64(ky) + start[1]
    chi = phase(imaging.coefficients, x, y, imaging.wavelength)
    return objective_aperture(imaging, x, y) * cis(-chi)


@partial(jax.jit, inline=True)
def envelope(
    imaging: Imaging, kx: Shaped[Array | np.ndarray, " *n"], ky: Shaped[Array | np.ndarray, " *n"]
) -> Float[Array, " *n"]:
    """Product of the temporal, spatial and vibration envelopes at q = (``kx``, ``ky``) in 1/angstrom from the direct beam."""
    spread = temporal_envelope(kx, ky, imaging.wavelength, imaging.focal_spread, imaging.tilt)
    angles = spatial_envelope(imaging.coefficients, kx, ky, imaging.wavelength, imaging.convergence, imaging.tilt)
    return spread * angles * vibration_spectrum(kx, ky, *imaging.vibration)


def _gpts(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape[-2], shape[-1]


def filtered(spectra: Array, window: Array) -> Array:
    """Intensities of waves [b, y, x], given their spectra, after multiplication by ``window`` [y, x]."""
    waves = jnp.fft.ifft2(spectra * window.astype(spectra.dtype)[None])
    return waves.real**2 + waves.imag**2


@partial(jax.jit, static_argnames="extent")
def _quasi_coherent(wave: Array, extent: tuple[float, float], imaging: Imaging) -> Array:
    kx, ky = plane(_gpts(wave.shape), extent)
    window = transfer(imaging, kx, ky) * envelope(imaging, kx, ky)
    return filtered(jnp.fft.fft2(wave.reshape(-1, *wave.shape[-2:])), window).reshape(wave.shape)


def quasi_coherent_image(
    wave: Complex[Array | np.ndarray, "*batch y x"], extent: tuple[float, float], imaging: Imaging
) -> Float[Array, "*batch y x"]:
    """Image of exit waves over ``extent`` (x, y) angstrom, partial coherence as envelopes on the wave: one transform, right for weak specimens.

    The envelopes are those of interference with the direct beam: in dark field, with that beam stopped, take `averaged_image`.
    """
    check_wave(wave, extent)
    return _quasi_coherent(jnp.asarray(wave), extent, imaging)


def focal_series(
    wave: Complex[Array | np.ndarray, "*batch y x"],
    extent: tuple[float, float],
    imaging: Imaging,
    c10: Float[Array | np.ndarray, " n"],
) -> Float[Array, "n *batch y x"]:
    """Quasi-coherent images for each of ``c10`` angstrom added to the lens's C10, in one vectorised call; envelopes follow the focus."""
    check_wave(wave, extent)
    checks.finite("c10", c10, "give each change of C10 in angstrom")
    exit_wave = jnp.asarray(wave)
    return jax.vmap(lambda step: _quasi_coherent(exit_wave, extent, refocused(imaging, step)))(real(c10))


def check_wave(wave: Array | np.ndarray, extent: tuple[float, float]) -> None:
    """ValueError for a wave that is not finite, or on a cell without extent."""
    checks.positive("extent", extent, "give the cell (x, y) in angstrom")
    checks.finite("wave", wave, "mend the exit wave before it is imaged")
