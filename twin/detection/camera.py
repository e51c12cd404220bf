"""A camera: from fractions of the beam to counts, with spread, noise, gain, dark level and saturation.

Signal and noise are transferred differently (Meyer & Kirkland, Microsc. Res. Tech. 49, 269, 2000; Vulovic et al., J. Struct. Biol. 183, 19,
2013). With N electrons per pixel, detective quantum efficiency D at zero frequency, MTF M(q) and noise transfer T(q), both 1 at zero:

    mean:        counts = gain N M(q) f(q) + dark
    noise power: gain^2 N T(q)^2 / D + dark_noise^2 + readout^2,  hence  DQE(q) = gain^2 N M(q)^2 / noise power

Samples follow the physical process: the beam is blurred by M/T, a share D of its electrons is counted (Poisson), each counted electron is blurred by T and
weighted by 1/D. So the noise of neighbouring pixels is correlated where T is not 1 (`covariance`). Filters are periodic at the border.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from twin.checks import Number, known, not_negative, positive, require
from twin.detection.counting import check_dose, check_fraction, sample_electrons
from twin.detection.transfer import Mixture, Transfer, apply, kernel, nyquist_shares

NO_BLUR = Mixture(floor=1.0)
"""No spread at all."""


class Camera(eqx.Module):
    """Parameters of a camera; see the module. Differentiable in all of them except the saturation.

    ``mtf`` of the signal and ``ntf`` of the noise (None: that of the signal, electrons are blurred equally), ``efficiency`` the DQE at zero
    frequency (0..1] without dark noise and readout, ``gain`` counts per electron, ``gain_map`` [y, x] relative gain of the pixels, ``dark`` level
    in counts, ``dark_noise`` and ``readout`` in counts rms, ``saturation`` the largest count.
    """

    mtf: Transfer = NO_BLUR
    ntf: Transfer | None = None
    efficiency: Number = 1.0
    gain: Number = 1.0
    gain_map: Float[Array | np.ndarray, "y x"] | None = None
    dark: Number = 0.0
    dark_noise: Number = 0.0
    readout: Number = 0.0
    saturation: float = eqx.field(default=float("inf"), static=True)

    def __check_init__(self) -> None:
        positive("gain", self.gain, "give the counts that one electron makes, above zero", "counts per electron")
        positive("efficiency", self.efficiency, "give the DQE at zero frequency, above 0 and at most 1")
        not_negative("dark_noise", self.dark_noise, "give zero or more", "counts rms")
        not_negative("readout", self.readout, "give zero or more", "counts rms")
        if self.gain_map is not None:
            not_negative("gain_map", self.gain_map, "give the gain of each pixel relative to the mean")
        if known(self.efficiency):
            require(
                self.efficiency <= 1.0,
                f"efficiency is {self.efficiency}; no camera counts better than Poisson: give at most 1",
            )
        if known(self.dark):
            require(
                self.saturation > self.dark,
                f"saturation {self.saturation} is not above the dark level {self.dark}; every pixel would be saturated: give counts above it",
            )
        if self.ntf is not None and known(self.mtf, self.ntf):
            q = np.linspace(0.0, np.sqrt(2.0), 142)
            excess = np.asarray(self.mtf(q)) - np.asarray(self.ntf(q))
            require(
                excess < 1e-9,
                f"the MTF exceeds the NTF at {q[int(np.argmax(excess))]:.2f} of Nyquist, so the DQE would exceed that at zero; give an NTF at least as high",
            )


def expected(camera: Camera, fraction: Float[Array, "*batch y x"], dose: Number) -> Float[Array, "*batch y x"]:
    """Mean counts where ``dose`` electrons are a fraction of 1, before saturation.

    ``fraction`` is each pixel's share of the incident beam (a diffraction pattern at electrons per probe position) or an image's intensity
    relative to vacuum (at electrons per pixel).
    """
    check_dose(dose)
    check_fraction(fraction)
    spread = apply(fraction, camera.mtf(nyquist_shares(_shape(fraction))))
    return _gains(camera, fraction) * dose * spread + camera.dark


def variance(camera: Camera, fraction: Float[Array, "*batch y x"], dose: Number) -> Float[Array, "*batch y x"]:
    """Variance of every pixel in counts^2, before saturation."""
    return covariance(camera, fraction, dose)


def covariance(
    camera: Camera, fraction: Float[Array, "*batch y x"], dose: Number, shift: tuple[int, int] = (0, 0)
) -> Float[Array, "*batch y x"]:
    """Covariance in counts^2 of every pixel with the one ``shift`` (y, x) pixels further on (round the border), before saturation.

    With the noise's point spread h and electrons n, cov(p, p + s) = gain^2 / D sum_y h(p - y) h(p + s - y) n(y); dark noise and readout are white.
    """
    check_dose(dose)
    check_fraction(fraction)
    shape = _shape(fraction)
    q = nyquist_shares(shape)
    spread = kernel(_noise(camera)(q), shape)
    backwards = (-shift[0], -shift[1])
    pairs = jnp.fft.rfft2(spread * jnp.roll(spread, backwards, axis=(0, 1))).astype(
        jnp.result_type(fraction.dtype, jnp.complex64)
    )
    waiting = jnp.fft.rfft2(_arriving(camera, fraction))
    lead = (1,) * (fraction.ndim - 2)
    shared = jnp.fft.irfft2(waiting * pairs.reshape(*lead, *pairs.shape), s=shape) * dose / camera.efficiency
    gains = _gains(camera, fraction)
    gains = gains * (gains if jnp.ndim(gains) == 0 else jnp.roll(gains, backwards, axis=(-2, -1)))
    same_pixel = shift[0] % shape[0] == 0 and shift[1] % shape[1] == 0
    white = camera.dark_noise**2 + camera.readout**2 if same_pixel else 0.0
    return (gains * shared + white).astype(fraction.dtype)


def sample(
    key: PRNGKeyArray | Array, camera: Camera, fraction: Float[Array, "*batch y x"], dose: Number
) -> tuple[Float[Array, "*batch y x"], Bool[Array, "*batch y x"]]:
    """One recording in counts, and which pixels are saturated (clipped at ``saturation``). ``key`` is explicit.

    Where M/T rings below zero, as a sharp cut does, no electrons are drawn, and the mean is higher than `expected`.
    """
    check_dose(dose)
    check_fraction(fraction)
    shots, dark, hum = jax.random.split(key, 3)
    arriving = jnp.maximum(_arriving(camera, fraction), 0.0)
    counted = sample_electrons(shots, arriving, dose * camera.efficiency) / camera.efficiency
    spread = apply(counted.astype(fraction.dtype), _noise(camera)(nyquist_shares(_shape(fraction))))
    counts = _gains(camera, fraction) * spread + camera.dark
    counts = counts + camera.dark_noise * jax.random.normal(dark, fraction.shape, fraction.dtype)
    counts = counts + camera.readout * jax.random.normal(hum, fraction.shape, fraction.dtype)
    return jnp.minimum(counts, camera.saturation).astype(fraction.dtype), counts >= camera.saturation


def saturated(camera: Camera, fraction: Float[Array, "*batch y x"], dose: Number) -> Bool[Array, "*batch y x"]:
    """Which pixels are expected at or above saturation."""
    return expected(camera, fraction, dose) >= camera.saturation


def noise_power(camera: Camera, q: Float[Array | np.ndarray, "*n"], electrons: Number) -> Float[Array, "*n"]:
    """Noise power in counts^2 per pixel at ``q`` (shares of Nyquist) of an evenly lit frame of ``electrons`` per pixel; its mean over q is the variance."""
    check_dose(electrons)
    shot = camera.gain**2 * electrons * _noise(camera)(q) ** 2 / camera.efficiency
    return shot + camera.dark_noise**2 + camera.readout**2


def dqe(camera: Camera, q: Float[Array | np.ndarray, "*n"], electrons: Number) -> Float[Array, "*n"]:
    """Detective quantum efficiency at ``q`` (shares of Nyquist) and ``electrons`` per pixel: it falls where dark noise and readout count."""
    return camera.gain**2 * electrons * camera.mtf(q) ** 2 / noise_power(camera, q, electrons)


def _shape(fraction: Float[Array, "*batch y x"]) -> tuple[int, int]:
    return fraction.shape[-2], fraction.shape[-1]


def _noise(camera: Camera) -> Transfer:
    return camera.mtf if camera.ntf is None else camera.ntf


def _arriving(camera: Camera, fraction: Float[Array, "*batch y x"]) -> Float[Array, "*batch y x"]:
    """The beam spread by M/T: where electrons are counted, before they are spread by T."""
    if camera.ntf is None:
        return fraction
    q = nyquist_shares(_shape(fraction))
    noise = camera.ntf(q)
    # Where the noise has no transfer, the smaller signal has none either.
    return apply(fraction, jnp.where(noise > 0.0, camera.mtf(q) / jnp.where(noise > 0.0, noise, 1.0), 0.0))


def _gains(camera: Camera, fraction: Float[Array, "*batch y x"]) -> Array:
    if camera.gain_map is None:
        return jnp.asarray(camera.gain, fraction.dtype)
    if camera.gain_map.shape != fraction.shape[-2:]:
        raise ValueError(
            f"gain_map is {camera.gain_map.shape}, the frame {fraction.shape[-2:]} (y, x); give one gain per pixel"
        )
    gains = camera.gain * jnp.asarray(camera.gain_map, fraction.dtype)
    return gains.reshape(*(1,) * (fraction.ndim - 2), *gains.shape)
