"""Images by the objective lens (HRTEM): from an exit wave to intensities, with aperture, aberrations and partial coherence.

An exit wave is psi(r) with |psi|^2 = 1 in vacuum, so images are fractions of the incident beam per pixel, 1 in vacuum. C10 refers to
the exit face. With tilted illumination the wave is given in the frame in which the incident plane wave is 1, as multislice returns it for
specimen tilt minus beam tilt; its beams q then pass the lens at q + tilt / lambda. Images have twice the band of the waves that the aperture
passes: sample so that they fit.
"""

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Shaped

from twin import checks
from twin.optics.aberrations import phase, phase_gradient
from twin.optics.coherence import defocus_phase, spatial_envelope, temporal_envelope
from twin.optics.electrons import wavelength
from twin.optics.source import blur, phase_quadrature, plane, tilt_offsets, vibration_spectrum

QUADRATURE_TOLERANCE = 0.05
"""Share of the scattered wave's linear contrast that an explicit average may get wrong by having too few nodes."""


def _real(value) -> Array:
    return jnp.asarray(value, jnp.float64)


def _optional(value) -> Array | None:
    return None if value is None else _real(value)


class Imaging(eqx.Module):
    """The objective lens and the coherence of its illumination; every number but the energy can be differentiated in.

    ``coefficients`` [25] of the aberrations in angstrom; ``energy`` in eV; ``semiangle`` of the objective aperture in radian about the axis
    (None: no aperture); ``edge`` the width in radian of its smooth edge (None: cut); ``tilt`` [2] (x, y) of the illumination in radian;
    ``focal_spread`` rms in angstrom; ``convergence`` of the illumination, rms along one axis in radian (half the semi-angle of an evenly filled
    disc); ``vibration`` [3]: rms in angstrom along and across a direction, and that direction in radian from x towards y.
    """

    coefficients: Float[Array, " 25"] = eqx.field(converter=_real)
    energy: float = eqx.field(static=True)
    semiangle: Float[Array, ""] | None = eqx.field(converter=_optional, default=None)
    edge: Float[Array, ""] | None = eqx.field(converter=_optional, default=None)
    tilt: Float[Array, " 2"] = eqx.field(converter=_real, default=(0.0, 0.0))
    focal_spread: Float[Array, ""] = eqx.field(converter=_real, default=0.0)
    convergence: Float[Array, ""] = eqx.field(converter=_real, default=0.0)
    vibration: Float[Array, " 3"] = eqx.field(converter=_real, default=(0.0, 0.0, 0.0))

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
    return eqx.tree_at(lambda one: one.coefficients, imaging, imaging.coefficients.at[0].add(c10))


def objective_aperture(
    imaging: Imaging, kx: Shaped[Array | np.ndarray, " *n"], ky: Shaped[Array | np.ndarray, " *n"]
) -> Float[Array, " *n"]:
    """Amplitude that the aperture passes at (``kx``, ``ky``) in 1/angstrom from the axis: 1 inside, 0 outside.

    With an edge w it is 1 / (1 + exp(-2 (a^2 - theta^2) / (a w))): half at theta = a, where its slope is that of a linear edge w wide.
    """
    x, y = imaging.wavelength * jnp.asarray(kx, jnp.float64), imaging.wavelength * jnp.asarray(ky, jnp.float64)
    square = x**2 + y**2
    if imaging.semiangle is None:
        return jnp.ones_like(square)
    if imaging.edge is None:
        return (square <= imaging.semiangle**2 * (1.0 + 1e-12)).astype(jnp.float64)
    return jax.nn.sigmoid(2.0 * (imaging.semiangle**2 - square) / (imaging.semiangle * imaging.edge))


def transfer(
    imaging: Imaging, kx: Shaped[Array | np.ndarray, " *n"], ky: Shaped[Array | np.ndarray, " *n"]
) -> Complex[Array, " *n"]:
    """Aperture times exp(-i chi) for beams q = (``kx``, ``ky``) in 1/angstrom from the direct one, without envelopes; complex128."""
    start = imaging.tilt / imaging.wavelength
    x, y = jnp.asarray(kx, jnp.float64) + start[0], jnp.asarray(ky, jnp.float64) + start[1]
    chi = phase(imaging.coefficients, x, y, imaging.wavelength)
    return objective_aperture(imaging, x, y) * jax.lax.complex(jnp.cos(chi), -jnp.sin(chi))


def envelope(
    imaging: Imaging, kx: Shaped[Array | np.ndarray, " *n"], ky: Shaped[Array | np.ndarray, " *n"]
) -> Float[Array, " *n"]:
    """Product of the temporal, spatial and vibration envelopes at q = (``kx``, ``ky``) in 1/angstrom from the direct beam."""
    spread = temporal_envelope(kx, ky, imaging.wavelength, imaging.focal_spread, imaging.tilt)
    angles = spatial_envelope(imaging.coefficients, kx, ky, imaging.wavelength, imaging.convergence, imaging.tilt)
    return spread * angles * vibration_spectrum(kx, ky, *imaging.vibration)


def _gpts(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape[-2], shape[-1]


def _filtered(spectra: Array, window: Array) -> Array:
    """Intensities of waves [b, y, x], given their spectra, after multiplication by ``window`` [y, x]."""
    waves = jnp.fft.ifft2(spectra * window.astype(spectra.dtype)[None])
    return waves.real**2 + waves.imag**2


@partial(jax.jit, static_argnames="extent")
def _quasi_coherent(wave: Array, extent: tuple[float, float], imaging: Imaging) -> Array:
    kx, ky = plane(_gpts(wave.shape), extent)
    window = transfer(imaging, kx, ky) * envelope(imaging, kx, ky)
    return _filtered(jnp.fft.fft2(wave.reshape(-1, *wave.shape[-2:])), window).reshape(wave.shape)


def quasi_coherent_image(
    wave: Complex[Array | np.ndarray, "*batch y x"], extent: tuple[float, float], imaging: Imaging
) -> Float[Array, "*batch y x"]:
    """Image of exit waves over ``extent`` (x, y) angstrom, partial coherence as envelopes on the wave: one transform, right for weak specimens.

    The envelopes are those of interference with the direct beam: in dark field, with that beam stopped, take `averaged_image`.
    """
    _check_wave(wave, extent)
    return _quasi_coherent(jnp.asarray(wave), extent, imaging)


@partial(jax.jit, static_argnames=("extent", "focal_nodes", "tilt_nodes", "per_tilt"))
def _averaged(
    wave: Array, extent: tuple[float, float], imaging: Imaging, focal_nodes: int, tilt_nodes: int, per_tilt: bool
) -> Array:
    shape = wave.shape[1:] if per_tilt else wave.shape
    kx, ky = plane(_gpts(shape), extent)
    spectra = jnp.fft.fft2(wave.reshape(-1 if per_tilt else 1, int(np.prod(shape[:-2])), *shape[-2:]))
    defocus, focal_weights = phase_quadrature(1.0, focal_nodes)
    tilts, tilt_weights = tilt_offsets(1.0, tilt_nodes)

    def of_tilt(total: Array, given: tuple[Array, Array, Array | None]) -> tuple[Array, None]:
        offset, weight, own = given
        turned = eqx.tree_at(lambda one: one.tilt, imaging, imaging.tilt + imaging.convergence * offset)
        window = transfer(turned, kx, ky)
        per_c10 = imaging.focal_spread * defocus_phase(kx, ky, imaging.wavelength, turned.tilt)
        spectrum = spectra[0] if own is None else own

        def of_focus(image: Array, item: tuple[Array, Array]) -> tuple[Array, None]:
            angle = item[0] * per_c10
            turn = window * jax.lax.complex(jnp.cos(angle), -jnp.sin(angle))
            return image + (weight * item[1]).astype(image.dtype) * _filtered(spectrum, turn), None

        return jax.lax.scan(jax.checkpoint(of_focus), total, (_real(defocus), _real(focal_weights)))[0], None

    start = jnp.zeros(spectra.shape[1:], spectra.real.dtype)
    given = (_real(tilts), _real(tilt_weights), spectra if per_tilt else None)
    image = jax.lax.scan(jax.checkpoint(of_tilt), start, given)[0]
    return blur(image, vibration_spectrum(kx, ky, *imaging.vibration)).reshape(shape)


def averaged_image(
    wave: Complex[Array | np.ndarray, "*batch y x"],
    extent: tuple[float, float],
    imaging: Imaging,
    focal_nodes: int = 15,
    tilt_nodes: int = 7,
    per_tilt: bool = False,
) -> Float[Array, "..."]:
    """Image averaged explicitly over focal spread (`phase_quadrature`) and illumination tilts (`tilt_offsets`), then blurred by the vibration.

    Right for strong specimens too, at the cost of ``focal_nodes`` x ``tilt_nodes``^2 transforms; one image at a time is in memory. Spreads of 0
    take one node (under a trace the spread is not known: give 1). With ``per_tilt`` the wave's first axis holds the exit wave for each of
    ``tilt_offsets(convergence, tilt_nodes)``; otherwise they are taken to be alike, as they are for a thin specimen. ValueError if the nodes are
    too few for the phases at hand.
    """
    _check_wave(wave, extent)
    focal_nodes, tilt_nodes = _nodes(imaging, focal_nodes, tilt_nodes)
    if per_tilt and (np.ndim(wave) < 3 or np.shape(wave)[0] != tilt_nodes**2):
        raise ValueError(
            f"per_tilt needs one exit wave for each of {tilt_nodes**2} tilts first; the wave has shape {np.shape(wave)}"
        )
    if checks.known(wave, imaging):
        error = quadrature_error(wave, extent, imaging, focal_nodes, tilt_nodes)
        if error > QUADRATURE_TOLERANCE:
            passed, phases = _rms_phases(_gpts(np.shape(wave)), extent, imaging)
            focal, *tilts = (float(np.abs(angle[passed > 0.01]).max()) for angle in phases)
            raise ValueError(
                f"{focal_nodes} nodes in focus and {tilt_nodes} in tilt get {error:.0%} of the scattered wave's contrast wrong: behind the aperture the rms "
                f"phases reach {focal:.1f} rad by focal spread and {max(tilts):.1f} rad by tilts, and 7 nodes follow 2.2, 15 follow 6.6, 31 follow 17; "
                "give more nodes, a smaller objective aperture or smaller spreads"
            )
    return _averaged(jnp.asarray(wave), extent, imaging, focal_nodes, tilt_nodes, per_tilt)


def _nodes(imaging: Imaging, focal_nodes: int, tilt_nodes: int) -> tuple[int, int]:
    """The numbers of nodes, 1 where there is nothing to average over."""
    focal_nodes, tilt_nodes = checks.nodes("focal_nodes", focal_nodes), checks.nodes("tilt_nodes", tilt_nodes)
    if checks.known(imaging.focal_spread) and float(imaging.focal_spread) == 0.0:
        focal_nodes = 1
    if checks.known(imaging.convergence) and float(imaging.convergence) == 0.0:
        tilt_nodes = 1
    return focal_nodes, tilt_nodes


def quadrature_error(
    wave: Complex[Array | np.ndarray, "*batch y x"],
    extent: tuple[float, float],
    imaging: Imaging,
    focal_nodes: int,
    tilt_nodes: int,
) -> float:
    """What share of the scattered wave's linear contrast a quadrature gets wrong, rms: sum_n w_n cos(a x_n) against exp(-a^2 / 2), a the rms
    phase that each spread gives a beam, weighted with the beams' intensities behind the aperture."""
    passed, phases = _rms_phases(_gpts(np.shape(wave)), extent, imaging)
    power = np.mean(np.abs(np.fft.fft2(np.asarray(wave)).reshape(-1, *passed.shape)) ** 2, axis=0) * passed**2
    power[0, 0] = 0.0
    total, error = float(np.sum(power)), np.zeros_like(passed)
    for angle, count in zip(phases, (focal_nodes, tilt_nodes, tilt_nodes), strict=True):
        for offset, weight in zip(*phase_quadrature(1.0, count), strict=True):
            error += weight * np.cos(angle * offset)
        error -= np.exp(-0.5 * angle**2)
    return float(np.sqrt(np.sum(power * error**2) / total)) if total > 0.0 else 0.0


def _rms_phases(
    gpts: tuple[int, int], extent: tuple[float, float], imaging: Imaging
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Amplitude that the aperture passes, and the rms phase in radian that focal spread and tilts along x and y give every beam; each [ny, nx]."""
    kx, ky = plane(gpts, extent)
    start = np.asarray(imaging.tilt) / imaging.wavelength
    passed = np.array(objective_aperture(imaging, kx + start[0], ky + start[1]))
    slope = np.asarray(phase_gradient(imaging.coefficients, kx + start[0], ky + start[1], imaging.wavelength))
    slope = (slope - slope[:, :1, :1]) * (float(imaging.convergence) / imaging.wavelength)
    focal = float(imaging.focal_spread) * np.asarray(defocus_phase(kx, ky, imaging.wavelength, imaging.tilt))
    return passed, (focal, slope[0], slope[1])


def focal_series(
    wave: Complex[Array | np.ndarray, "*batch y x"],
    extent: tuple[float, float],
    imaging: Imaging,
    c10: Float[Array | np.ndarray, " n"],
) -> Float[Array, "n *batch y x"]:
    """Quasi-coherent images for each of ``c10`` angstrom added to the lens's C10, in one vectorised call; envelopes follow the focus."""
    _check_wave(wave, extent)
    checks.finite("c10", c10, "give each change of C10 in angstrom")
    given = jnp.asarray(wave)
    return jax.vmap(lambda step: _quasi_coherent(given, extent, refocused(imaging, step)))(_real(c10))


class CoherenceDifference(NamedTuple):
    """How far the quasi-coherent image lies from the explicit average, relative to the average's mean: ``maximum`` and ``rms`` over pixels; both images;
    and ``quadrature``, what the explicit average's own nodes leave wrong (`quadrature_error`)."""

    maximum: float
    rms: float
    quasi_coherent: Array
    averaged: Array
    quadrature: float


def coherence_difference(
    wave: Complex[Array | np.ndarray, "*batch y x"],
    extent: tuple[float, float],
    imaging: Imaging,
    focal_nodes: int = 15,
    tilt_nodes: int = 7,
) -> CoherenceDifference:
    """The image both ways and their difference: what the envelopes cost."""
    averaged = averaged_image(wave, extent, imaging, focal_nodes, tilt_nodes)
    envelopes = quasi_coherent_image(wave, extent, imaging)
    apart, mean = np.asarray(envelopes - averaged), float(jnp.mean(averaged))
    error = quadrature_error(wave, extent, imaging, *_nodes(imaging, focal_nodes, tilt_nodes))
    return CoherenceDifference(
        float(np.abs(apart).max()) / mean, float(np.sqrt(np.mean(apart**2))) / mean, envelopes, averaged, error
    )


def _check_wave(wave: Array | np.ndarray, extent: tuple[float, float]) -> None:
    checks.positive("extent", extent, "give the cell (x, y) in angstrom")
    checks.finite("wave", wave, "mend the exit wave before it is imaged")
