"""Scanned techniques as smooth functions of the probe's defocus and semi-angle and of the detector's angles.

The scattering matrices are those of the largest semi-angle and reach: the waves of any smaller probe are sums over some of their plane waves.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from learn.feasibility.matrices import Matrices
from learn.feasibility.scanned import Unknown
from learn.feasibility.scans import ABERRATIONS, Probe, Window, finest_step
from learn.feasibility.search.smooth import Signals, signals_of
from twin import checks
from twin.detection.detectors import Annular, Segmented
from twin.optics.aberrations import index, phase
from twin.optics.electrons import wavelength
from twin.optics.probe import Edge, aperture_weight
from twin.scattering.stem.beams import Beams

Form = Literal["annular", "dpc", "4d-stem"]
COARSER = 1.4
"""Distance of a search's places over the one that carries all an image can have."""


class Waves(NamedTuple):
    """Matrices [n, pixels] of each configuration: of the specimen without the change, of it a little thinner (or none), and with the change in each way."""

    perfect: tuple[Array, ...]
    thinner: tuple[Array, ...]
    changed: tuple[tuple[Array, ...], ...]


class Scans(NamedTuple):
    """A scanned option of which settings vary: its places ``window``, the ``probe`` that is given, the detector's ``form`` with its ``sectors`` (dpc) or
    ``pixel`` (4d-stem, radian) and the variance ``readout`` of a count; ``thickness`` of the specimen in angstrom; what is ``unknown``. The
    ``matrices`` are without their amplitudes, which are in ``waves``."""

    matrices: Matrices
    waves: Waves
    window: Window
    probe: Probe
    form: Form
    unknown: Unknown
    sectors: int = 1
    pixel: float = 2e-3
    readout: float = 0.0
    thickness: float = 0.0

    def signals(self, settings: Mapping[str, Array | float], waves: Waves) -> Signals:
        """What an electron over the window leaves in the detector at ``settings``: "defocus" in angstrom, and in radian "semiangle" and "inner" and "outer", or
        "reach". ``waves`` are its own, given apart so that a compiled program does not contain them."""
        values = {name: checks.float64(value) for name, value in settings.items()}
        weight = self._weights(values)
        incident, moved = self._incident(values, waves.perfect[0].dtype)
        sharp, slopes = [], []
        for matrix in waves.perfect:
            behind = incident @ matrix
            sharp.append(self._counted(jnp.square(behind.real) + jnp.square(behind.imag), weight))
            after = (each @ matrix for each in moved)
            slopes.append(
                [
                    self._counted(2.0 * (behind.real * moving.real + behind.imag * moving.imag), weight)
                    for moving in after
                ]
            )
        thin = [self._counted(_intensities(incident, matrix), weight) for matrix in waves.thinner]
        altered = [[self._counted(_intensities(incident, matrix), weight) for matrix in way] for way in waves.changed]
        return self._signals(jnp.stack(sharp), jnp.asarray(slopes), thin, jnp.asarray(altered))

    def crowding(self, settings: Mapping[str, Array | float]) -> Array:
        """By which share the probe is wider than the field (`twin.sample.specimen.probe_diameter`): it meets its own copies there. 0 where it fits."""
        alpha, c10 = settings["semiangle"], jnp.abs(jnp.asarray(settings["defocus"]))
        cone = 2.0 * alpha * jnp.maximum(c10, jnp.abs(self.thickness - c10))
        needed = 4.0 * 0.61 * wavelength(self.matrices.energy) / alpha + cone
        return jnp.maximum(needed / min(self.matrices.extent) - 1.0, 0.0)

    def _signals(self, sharp: Array, slopes: Array, thin: list[Array], altered: Array) -> Signals:
        """From the channels of a point source: [configurations, p, channels], ``slopes`` [configurations, 3, ...], ``altered`` [k, configurations, ...]."""
        ny, nx = self.window.shape
        x, y = self.window.sides
        fx, fy = np.fft.fftfreq(nx, x / nx)[None, :], np.fft.fftfreq(ny, y / ny)[:, None]
        damping = np.exp(-2.0 * np.pi**2 * self.probe.source**2 * (fx**2 + fy**2))
        clear = sharp.mean(0)
        rates = jnp.maximum(self._filtered(clear, damping), 0.0)
        changed = jnp.stack([jnp.maximum(self._filtered(each, damping), 0.0) for each in altered.mean(1)])
        derivatives = {
            "x": self._filtered(clear, damping * -2j * np.pi * fx),
            "y": self._filtered(clear, damping * -2j * np.pi * fy),
        }
        if self.probe.source > 0.0:
            broader = damping * -4.0 * np.pi**2 * self.probe.source * (fx**2 + fy**2)
            derivatives["source"] = self._filtered(clear, broader)
        for name, each in zip(ABERRATIONS, slopes.mean(0), strict=True):
            derivatives[name] = self._filtered(each, damping)
        if thin:
            derivatives["thickness"] = (rates - self._filtered(jnp.stack(thin).mean(0), damping)) / self.matrices.step
        halves = None
        if len(sharp) > 1:
            differences = [altered[:, first::2].mean(1) - sharp[first::2].mean(0)[None] for first in range(2)]
            halves = jnp.stack([jnp.stack([self._filtered(each, damping) for each in part]) for part in differences])
        return signals_of(rates, changed, derivatives, halves, self.unknown, self.readout)

    def _incident(self, values: Mapping[str, Array], dtype: Any) -> tuple[Array, list[Array]]:
        """Amplitudes [p, n] of the probes' plane waves, and their derivatives in the aberrations."""
        k, length = self.matrices.bundle.k, wavelength(self.matrices.energy)
        share = jnp.clip((values["semiangle"] - length * np.hypot(*k.T)) / _step(self.matrices) + 0.5, 0.0, 1.0)
        amplitude = share / jnp.sqrt(jnp.sum(share**2))
        vector = jnp.asarray(self.probe.coefficients).at[index("C10")].set(-values["defocus"])
        turns = jnp.asarray(np.exp(-2j * np.pi * self.window.positions @ k.T))
        incident = turns * (amplitude * jnp.exp(-1j * phase(vector, k[:, 0], k[:, 1], length)))[None]
        moved = []
        for name in ABERRATIONS:
            unit = np.zeros_like(self.probe.coefficients)
            unit[index(name)] = 1.0
            moved.append((incident * (-1j * phase(unit, k[:, 0], k[:, 1], length))[None]).astype(dtype))
        return incident.astype(dtype), moved

    def _weights(self, values: Mapping[str, Array]) -> Array:
        """Weights [channels, pixels] of the beams; of a camera [1, pixels], how far each lies within its reach."""
        kx, ky = self.matrices.k.T
        length, step = wavelength(self.matrices.energy), _step(self.matrices)
        if self.form == "4d-stem":
            return jnp.clip((values["reach"] - length * np.hypot(kx, ky)) / step + 0.5, 0.0, 1.0)[None]
        # a ring is at least as wide as its edge
        inner, outer = values["inner"], jnp.maximum(values["outer"], values["inner"] + step)
        if self.form == "annular":
            return Annular(inner, outer, step).weights(kx, ky, length)[None]
        return Segmented((inner, outer), self.sectors, 0.0, step).weights(kx, ky, length).reshape(self.sectors, -1)

    def _counted(self, patterns: Array, weight: Array) -> Float[Array, "p channels"]:
        """Channels of patterns [p, pixels]."""
        if self.form != "4d-stem":
            return patterns.astype(jnp.float64) @ weight.T
        places = np.rint(self.matrices.k * wavelength(self.matrices.energy) / self.pixel).astype(int)
        _, numbers = np.unique(places, axis=0, return_inverse=True)
        parts = patterns.astype(jnp.float64) * weight
        return jax.ops.segment_sum(parts.T, numbers.ravel(), int(numbers.max()) + 1).T

    def _filtered(self, channels: Array, factors: np.ndarray) -> Array:
        """Channels [p, c] with the frequencies of their places multiplied."""
        spectrum = jnp.fft.fft2(channels.reshape(*self.window.shape, -1), axes=(0, 1)) * factors[:, :, None]
        return jnp.fft.ifft2(spectrum, axes=(0, 1)).real.reshape(channels.shape)


def scans_of(
    perfect: Matrices,
    changed: Sequence[Matrices],
    window: Window,
    probe: Probe,
    form: Form,
    unknown: Unknown,
    semiangle: float,
    reach: float,
    *,
    sectors: int = 1,
    pixel: float = 2e-3,
    readout: float = 0.0,
    thickness: float = 0.0,
    coarser: float = COARSER,
) -> Scans:
    """The option over the cell of ``window``, at fewer places that suffice for probes up to ``semiangle``, with the beams up to ``reach`` (radian)."""
    used = np.hypot(*perfect.k.T) * wavelength(perfect.energy) <= reach + _step(perfect)
    places = _sparser(window, coarser * finest_step(semiangle, perfect.energy))

    def kept(amplitudes: np.ndarray) -> tuple[Array, ...]:
        return tuple(jnp.asarray(each[:, used]) for each in amplitudes)

    waves = Waves(
        kept(perfect.amplitudes),
        () if perfect.thinner is None else kept(perfect.thinner),
        tuple(kept(each.amplitudes) for each in changed),
    )
    light = perfect._replace(amplitudes=np.empty(0), thinner=None, pixels=perfect.pixels[used], k=perfect.k[used])
    return Scans(light, waves, places, probe, form, unknown, sectors, pixel, readout, thickness)


def _sparser(window: Window, step: float) -> Window:
    """Places about ``step`` angstrom apart over the same cell. Their numbers stay odd or even, so that both windows end alike about the middle: with frozen
    phonons a cell does not repeat, and derivatives over it depend on where it ends."""
    ny, nx = window.shape
    middle = window.positions.reshape(ny, nx, 2)[ny // 2, nx // 2]
    along = []
    for side, count, centre in zip(window.sides, (nx, ny), middle, strict=True):
        number = min(count, 2 * math.ceil((side / step - count % 2) / 2) + count % 2)
        along.append(centre + (np.arange(number) - number // 2) * side / number)
    positions = np.stack([part.ravel() for part in np.meshgrid(*along)], axis=1)
    return Window(positions, (len(along[1]), len(along[0])), window.sides)


def narrowed(matrices: Matrices, semiangle: float, soft: Edge = True) -> Matrices:
    """The matrices for a probe of a smaller ``semiangle`` in radian. ValueError for one beyond the angles that were computed."""
    bundle = matrices.bundle
    largest = wavelength(matrices.energy) * float(np.hypot(*bundle.k.T).max())
    if semiangle > largest + 0.5 * _step(matrices):
        raise ValueError(f"matrices up to {1e3 * largest:.3g} mrad hold no probe of {1e3 * semiangle:.3g} mrad")
    weight = aperture_weight(bundle.k[:, 0], bundle.k[:, 1], matrices.extent, matrices.energy, semiangle, soft)
    inside = weight > 0.0
    return matrices._replace(
        bundle=Beams(bundle.indices[inside], bundle.k[inside], weight[inside] / np.sqrt(np.sum(weight[inside] ** 2))),
        amplitudes=matrices.amplitudes[:, inside],
        thinner=None if matrices.thinner is None else matrices.thinner[:, inside],
    )


def _intensities(incident: Complex[Array, "p n"], matrix: Complex[Array, "n pixels"]) -> Float[Array, "p pixels"]:
    waves = incident @ matrix
    return jnp.square(waves.real) + jnp.square(waves.imag)


def _step(matrices: Matrices) -> float:
    return wavelength(matrices.energy) * 0.5 * sum(1.0 / side for side in matrices.extent)
