"""The zero loss: what the spectrometer makes of electrons that lost no energy, of area 1 and mean 0, as its transform (`axis`).

A model shape is the energy distribution of field emission (R. D. Young, Phys. Rev. 113, 110, 1959), P(e) ~ exp(e/d) / (1 + exp(e/kT)), convolved with a
Gaussian of the supply and the spectrometer. Towards losses it falls as exp(-E/d), towards gains as exp(E (1/kT - 1/d)): both tails are parameters, since
Schottky emitters and spectrometers broaden them.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Complex, Float

from twin.checks import Number, finite, require
from twin.eels.spectrum.axis import DAMPING, Axis, frequencies


def field_emission(
    s: Complex[Array, " half"], gaussian: Number, loss_tail: Number, gain_tail: Number
) -> Complex[Array, " half"]:
    """Transform of the model shape at ``s``: ``gaussian`` rms, and lengths of the exponential tails towards losses and gains, all above 0, in eV."""
    thermal = 1.0 / (1.0 / loss_tail + 1.0 / gain_tail)  # kT
    share = thermal / loss_tail  # kT / d, between 0 and 1
    mean = np.pi * thermal / jnp.tan(np.pi * share)
    angle = np.pi * (share + thermal * s)
    # sin(z) = exp(-i z) (1 - exp(2 i z)) i / 2, which does not overflow as Im z grows
    inverse = 2.0 * jnp.exp(1j * angle) / (1j * (1.0 - jnp.exp(2.0j * angle)))
    return jnp.sin(np.pi * share) * inverse * jnp.exp(mean * s + 0.5 * (gaussian * s) ** 2)


def full_width(gaussian: float, loss_tail: float, gain_tail: float) -> float:
    """Full width at half maximum of the model shape in eV; ValueError unless all three are above 0."""
    for name, value in (("gaussian", gaussian), ("loss_tail", loss_tail), ("gain_tail", gain_tail)):
        require(np.isfinite(value) and value > 0.0, f"{name} of the zero loss is {value} eV, and must be above 0")
    step = 0.02 * gaussian
    reach = 8.0 * gaussian + 12.0 * (loss_tail + gain_tail)
    count = min(2 * round(reach / step), 1 << 18)
    energies = (np.arange(count) - count // 2) * (2.0 * reach / count)
    thermal = 1.0 / (1.0 / loss_tail + 1.0 / gain_tail)
    logs = -energies / loss_tail - np.logaddexp(0.0, -energies / thermal)
    shape = np.exp(logs - logs.max())
    turns = np.fft.rfftfreq(count, energies[1] - energies[0])
    blurred = np.fft.irfft(np.fft.rfft(shape) * np.exp(-2.0 * (np.pi * gaussian * turns) ** 2), n=count)
    above = np.flatnonzero(blurred >= 0.5 * blurred.max())
    left, right = above[0], above[-1]
    half = 0.5 * blurred.max()
    first = left - (blurred[left] - half) / (blurred[left] - blurred[left - 1])
    last = right + (blurred[right] - half) / (blurred[right] - blurred[right + 1])
    return float((last - first) * (energies[1] - energies[0]))


def gaussian_of(width: float, loss_tail: float, gain_tail: float) -> float:
    """The Gaussian's rms in eV with which the model shape has the full ``width`` at half maximum in eV; ValueError where the tails alone are wider."""
    least = full_width(1e-2 * width, loss_tail, gain_tail)
    require(
        width > least,
        f"a zero loss of {width:g} eV full width is narrower than its tails of {loss_tail:g} and {gain_tail:g} eV make it, {least:.3g} eV; give shorter tails",
    )

    def excess(gaussian: float) -> float:
        return full_width(gaussian, loss_tail, gain_tail) - width

    root: Any = scipy.optimize.brentq(excess, 1e-2 * width, width, xtol=1e-6)
    return float(root)


def measured(
    axis: Axis, values: Float[np.ndarray | Array, " n"], zero_channel: float, dispersion: Number
) -> Complex[Array, " half"]:
    """Transform of a measured shape: ``values`` (counts) on channels of the same dispersion, with zero loss in ``zero_channel``.

    It is taken as limited to the band of its channels. A low loss as a whole may stand in its place: then edges have its plural scattering.
    ValueError for values that are not finite or have no positive sum, or a zero loss outside of them.
    """
    shape = np.asarray(values, np.float64)
    finite("the measured zero loss", shape, "leave out or repair the channels that are not numbers")
    require(shape.sum() > 0.0, f"the measured zero loss sums to {shape.sum():g} counts; subtract less dark level")
    require(
        0.0 <= zero_channel <= len(shape) - 1,
        f"zero loss is said to be in channel {zero_channel:g} of {len(shape)}; give the channel of its maximum",
    )
    require(
        len(shape) * axis.oversampling <= axis.size,
        f"the measured shape has {len(shape)} channels, more than the {axis.size // axis.oversampling} that are computed; cut it after the losses that matter",
    )
    return transform_of(axis, jnp.asarray(shape), zero_channel, dispersion)


def transform_of(
    axis: Axis, shape: Float[Array, " n"], zero_channel: float, dispersion: Number
) -> Complex[Array, " half"]:
    """`measured` of a ``shape`` that was checked and may be traced."""
    over, before = axis.oversampling, int(np.floor(zero_channel))
    places = (np.arange(len(shape)) - before) * over
    damped = shape / shape.sum() * np.exp(-DAMPING / axis.size * places)
    spread = jnp.zeros(axis.size).at[places % axis.size].set(damped)
    turns = np.arange(axis.size // 2 + 1) * 2 * over
    band = np.where(turns <= axis.size, 1.0, 0.0)
    if over > 1:  # the highest frequency of channels is one of two on a finer grid, which share it
        band[turns == axis.size] = 0.5
    return jnp.fft.rfft(spread) * band * jnp.exp(frequencies(axis, dispersion) * dispersion * (zero_channel - before))
