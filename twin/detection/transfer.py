"""Modulation transfer functions of a camera against spatial frequency.

Frequencies are shares of the Nyquist frequency (half a cycle per pixel): 1 along an axis, sqrt(2) in the corner of Fourier space. Every
function here is 1 at zero, so that blurring conserves the number of electrons.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twin.checks import Number, known, require

Terms = tuple[tuple[Number, Number], ...]


class Mixture(eqx.Module):
    """Sum of Gaussians weight exp(-(q/width)^2), Lorentzians weight / (1 + (q/width)^2) and a ``floor``, over the sum of the weights.

    Terms are pairs (weight, width), the width in shares of the Nyquist frequency. Scintillator cameras have been described with one
    Lorentzian (Grob et al., Ultramicroscopy 133, 1, 2013); ``floor`` alone is a perfect camera. Differentiable in every number.
    """

    gaussians: Terms = ()
    lorentzians: Terms = ()
    floor: Number = 0.0

    def __check_init__(self) -> None:
        if known(self):
            terms = [*self.gaussians, *self.lorentzians]
            numbers = np.asarray([float(value) for term in terms for value in term] + [float(self.floor)])
            require(np.isfinite(numbers) & (numbers >= 0.0), "weights, widths and floor of an MTF must be zero or more")
            require(
                np.asarray([float(width) for _, width in terms]) > 0.0,
                "a width of the MTF is zero; give shares of Nyquist above zero",
            )
            total = sum(float(weight) for weight, _ in terms) + float(self.floor)
            require(
                total > 0.0, "an MTF without terms is zero everywhere; give a term, or floor=1.0 for a perfect camera"
            )

    def __call__(self, q: Float[Array | np.ndarray, "*n"]) -> Float[Array, "*n"]:
        """MTF at frequencies ``q`` in shares of Nyquist."""
        square = jnp.asarray(q) ** 2
        parts = [weight * jnp.exp(-square / width**2) for weight, width in self.gaussians]
        parts += [weight / (1.0 + square / width**2) for weight, width in self.lorentzians]
        total = sum((weight for weight, _ in (*self.gaussians, *self.lorentzians)), self.floor)
        return sum(parts, jnp.full_like(square, self.floor)) / total


class Table(eqx.Module):
    """A measured MTF: ``values`` [n] at frequencies ``q`` [n] (shares of Nyquist, rising from 0), straight in between, the last one beyond."""

    q: Float[Array | np.ndarray, " n"]
    values: Float[Array | np.ndarray, " n"]

    def __check_init__(self) -> None:
        if known(self.q, self.values):
            q, values = np.asarray(self.q), np.asarray(self.values)
            require(
                q.size >= 2 and q[0] == 0.0 and np.all(np.diff(q) > 0.0),
                "q must rise from 0 (shares of the Nyquist frequency)",
            )
            require(
                np.isfinite(values) & (values >= 0.0) & (values <= 1.0),
                f"an MTF of up to {values.max()}; give values from 0 to 1, normalised to 1 at zero frequency",
            )
            require(
                abs(values[0] - 1.0) < 1e-9,
                f"the MTF is {values[0]} at zero frequency; divide it by that, so that it starts at 1",
            )

    def __call__(self, q: Float[Array | np.ndarray, "*n"]) -> Float[Array, "*n"]:
        """MTF at frequencies ``q`` in shares of Nyquist."""
        return jnp.interp(jnp.asarray(q), jnp.asarray(self.q), jnp.asarray(self.values))


Transfer = Mixture | Table


def nyquist_shares(shape: tuple[int, int]) -> np.ndarray:
    """Frequencies [y, x // 2 + 1] of a real transform of ``shape`` (y, x) pixels, as shares of the Nyquist frequency."""
    return 2.0 * np.hypot(np.fft.rfftfreq(shape[1])[None, :], np.fft.fftfreq(shape[0])[:, None])


def apply(images: Float[Array, "*batch y x"], values: Float[Array, "y half"]) -> Float[Array, "*batch y x"]:
    """``images`` filtered by ``values`` at `nyquist_shares`, periodic at the border, in their own precision; the sum is kept where values[0, 0] is 1."""
    filter_ = values.astype(images.dtype).reshape(*(1,) * (images.ndim - 2), *values.shape)
    return jnp.fft.irfft2(jnp.fft.rfft2(images) * filter_, s=images.shape[-2:])


def kernel(values: Float[Array, "y half"], shape: tuple[int, int]) -> Float[Array, "y x"]:
    """The point spread function whose transform is ``values``, its centre at [0, 0]."""
    return jnp.fft.irfft2(values, s=shape)
