"""The energy axis of a spectrum, and the longer and finer one on which it is computed.

Channel j records the losses about offset + dispersion j. Computed is on a grid with ``oversampling`` points a channel, in units of channels, so that offset and
dispersion can be differentiated in: a grid point m is at the energy (base + m) dispersion / oversampling.

Spectra are combined by their Laplace transforms F(s) = integral f(E) exp(-s E) dE at s = theta + 2 pi i nu, which are Fourier transforms of f exp(-theta E).
Convolution by FFT is periodic: what is scattered beyond the grid comes back at its beginning, here damped by exp(-`DAMPING`) (exponential tilting of
compound Poisson distributions: Gruebel & Hermesmeier, ASTIN Bull. 29, 197, 1999). Losses are positive, so that nothing above the grid matters to it.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.fft
from jaxtyping import Array, Complex, Float

from twin.checks import Number, float64, require
from twin.optics.electrons import momentum_times_velocity

DAMPING = 12.0
"""Logarithm of how much is left of what wraps around."""
ROOM = 1.5
"""Length of the transforms over the length that is used."""
POINTS, POINTS_ALONE = 5.0, 3.0
"""Least number of grid points over the full width of the zero loss, and where it is not on the axis itself: at the band limit a Gaussian's transform is then
2e-10 and 3e-4 of its maximum. What is left there rings over all channels, and edges are 1e-6 of the zero loss."""
BELOW = 30.0
"""Full widths of the zero loss that are kept below the zero loss and above the last channel."""
MARGIN = 150.0
"""Energy in eV by which the grid begins before the first channel where the zero loss is not on it."""
MOST_POINTS = 1 << 20
HIGH_TENSION, DRIFT_TUBE = "gun.high_tension", "spectrometer.drift_tube"
"""Channels (`twin.channels`) that move the energy axis."""


class Axis(NamedTuple):
    """``channels`` with nominal ``offset`` (of the centre of the first channel) and ``dispersion`` in eV, and the grid: ``oversampling`` points a channel,
    ``first`` the point of the first channel, ``base`` that of its beginning, both counted from zero loss, ``size`` the length of transforms, ``reach``
    channels that are computed on either side of those that are recorded. ``whole``: the grid begins at zero loss."""

    channels: int
    offset: float
    dispersion: float
    oversampling: int
    first: int
    base: int
    size: int
    reach: int
    whole: bool

    @property
    def energies(self) -> np.ndarray:
        """Nominal energies [channels] in eV."""
        return self.offset + self.dispersion * np.arange(self.channels)


def energy_axis(
    channels: int, offset: float, dispersion: float, resolution: float, *, whole: bool | None = None, reach: int = 0
) -> Axis:
    """The axis of ``channels`` from ``offset`` on, ``dispersion`` eV each, for structure with a full width of ``resolution`` eV at least (that of the zero
    loss).

    ``whole``: compute from the zero loss on (default: where ``offset`` is at most `MARGIN`), which the plural scattering of the low loss needs to appear
    itself; else only edges are computed, each with its plural scattering. ``reach``: channels from which others receive light. ValueError for axes that
    cannot be.
    """
    require(channels >= 2, f"the spectrum has {channels} channels; give at least 2")
    require(
        math.isfinite(dispersion) and dispersion > 0.0,
        f"the dispersion is {dispersion} eV a channel, and must be above 0; give the energy of one channel, or calibrate it by two known edges",
    )
    require(math.isfinite(offset), f"the energy offset is {offset} eV; give the energy of the first channel")
    require(
        math.isfinite(resolution) and resolution > 0.0,
        f"the resolution is {resolution} eV; give the full width of the zero loss, above 0",
    )
    whole = offset <= MARGIN if whole is None else whole
    oversampling = max(1, math.ceil((POINTS if whole else POINTS_ALONE) * dispersion / resolution))
    step = dispersion / oversampling
    guard = math.ceil(BELOW * max(resolution, dispersion) / step) + reach * oversampling
    first = round(offset / step)
    base = 0 if whole else max(0, first - guard - round(MARGIN / step))
    last = first + (channels - 1) * oversampling
    require(
        last > base,
        f"the spectrum ends at {offset + dispersion * (channels - 1):g} eV, below zero loss; correct the offset",
    )
    used = last + guard - min(base, first - guard)
    # even, and so that every channel's point is one of a shorter transform
    size = 2 * oversampling * (scipy.fft.next_fast_len(math.ceil(ROOM * used / (2 * oversampling)), real=True) or 1)
    require(
        size <= MOST_POINTS,
        f"{size} points are needed for a resolution of {resolution:g} eV up to {offset + dispersion * channels:g} eV; give a coarser resolution, "
        "or whole=False",
    )
    return Axis(channels, offset, dispersion, oversampling, first, base, size, reach, whole)


def step_of(axis: Axis, dispersion: Number) -> Number:
    """Energy in eV between two points of the grid."""
    return dispersion / axis.oversampling


def grid(axis: Axis, dispersion: Number) -> Float[Array, " size"]:
    """Energies [size] in eV of the grid's points; those at its end that stand for points below its beginning are not below it here."""
    return float64(axis.base + np.arange(axis.size)) * step_of(axis, dispersion)


def frequencies(axis: Axis, dispersion: Number) -> Complex[Array, " half"]:
    """The variable s [size // 2 + 1] of transforms, in 1/eV."""
    turns = 2.0 * np.pi * np.arange(axis.size // 2 + 1) / axis.size
    return jnp.asarray(DAMPING / axis.size + 1j * turns) / step_of(axis, dispersion)


def transform(axis: Axis, dispersion: Number, values: Float[Array, "*batch size"]) -> Complex[Array, "*batch half"]:
    """Laplace transform of ``values`` (per eV) at the grid's points, with the energy counted from the beginning of the grid."""
    damping = np.exp(-DAMPING / axis.size * np.arange(axis.size))
    return step_of(axis, dispersion) * jnp.fft.rfft(values * damping.reshape(*(1,) * (values.ndim - 1), -1))


def width(axis: Axis, dispersion: Number, energy: Number) -> Complex[Array, " half"]:
    """Transform of a box of area 1 that is ``energy`` eV wide: what a channel, or a point of the grid, takes in."""
    half = 0.5 * energy * frequencies(axis, dispersion)
    return jnp.sinh(half) / half


def sampled(
    axis: Axis, factor: Complex[Array, " half"], exponent: Complex[Array, " half"], dispersion: Number, offset: Number
) -> Float[Array, " wide"]:
    """The spectrum per eV at the centres of the channels, `Axis.reach` more on either side, whose transform is ``factor`` exp(``exponent``)."""
    over, wide = axis.oversampling, axis.channels + 2 * axis.reach
    start = axis.first - axis.base - axis.reach * over
    rest = offset - (axis.first - start % over) * step_of(axis, dispersion)
    moved = factor * jnp.exp(exponent + frequencies(axis, dispersion) * rest)
    places = start // over + np.arange(wide)
    length = axis.size // over
    values = jnp.fft.irfft(_folded(moved, axis.size, over), n=length)[places % length]
    return values * np.exp(DAMPING / length * places) / step_of(axis, dispersion)


def _folded(transformed: Complex[Array, " half"], size: int, over: int) -> Complex[Array, " folded"]:
    """The transform of every ``over``-th point of what has the transform given: of ``size // over`` points, in which frequencies coincide."""
    length = size // over
    total = transformed[: length // 2 + 1]
    for order in range(1, over):
        at = order * length + np.arange(length // 2 + 1)
        above = at > size // 2  # those of a real signal are the conjugates of the ones below
        part = transformed[np.where(above, size - at, at)]
        total = total + jnp.where(above, part.conj(), part)
    return total / over


def energies_of(
    axis: Axis, dispersion: Number, offset: Number | Float[Array, "*batch"], reach: int = 0
) -> Float[Array, "*batch wide"]:
    """Energies in eV of the channels, ``reach`` more on either side."""
    losses = dispersion * jnp.arange(-reach, axis.channels + reach)
    return jnp.asarray(offset)[..., None] + losses.reshape(*(1,) * jnp.ndim(offset), -1)


def offset_change(
    energy: float, high_tension: Number = 0.0, drift_tube: Number = 0.0, prism: Number = 0.0
) -> Float[Array, ""]:
    """Change of a spectrum's offset in eV when the instrument changes: ``high_tension`` and ``drift_tube`` in volt, ``prism`` the relative change of its
    current.

    Where an electron lands follows from its energy in the prism, e (HT + U) - loss. So at one channel the loss rises by the changes of high tension and
    drift tube, and falls by that of the energy which the prism keeps on its axis: its momentum is proportional to the current. ``energy``: of the beam, eV.
    """
    return float64(high_tension) + drift_tube - momentum_times_velocity(energy) * prism


def offset_by_channels(energy: float, now: Mapping[str, Number], then: Mapping[str, Number]) -> Float[Array, ""]:
    """Change of a spectrum's offset in eV between readings by channel ("gun.high_tension", "spectrometer.drift_tube", volt): ``then``, when the offset was
    found, and ``now``.

    A channel that is missing in either counts as unchanged. Only changes count: the bias of the divider that measures the high tension has no part.
    """
    moved = [now[name] - then[name] if name in now and name in then else 0.0 for name in (HIGH_TENSION, DRIFT_TUBE)]
    return offset_change(energy, *moved)
