"""HRTEM images averaged explicitly over focal spread, illumination tilts and vibration: valid for strong specimens, and the reference for envelopes."""

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from twin import checks
from twin.optics.aberrations import phase_gradient
from twin.optics.coherence import defocus_phase
from twin.optics.source import blur, phase_quadrature, plane, tilt_offsets, vibration_spectrum
from twin.optics.transfer import Imaging, check_wave, filtered, objective_aperture, quasi_coherent_image, real, transfer
from twin.phases import cis

QUADRATURE_TOLERANCE = 0.05
"""Share of the scattered wave's linear contrast that an explicit average may get wrong by having too few nodes."""


@partial(jax.jit, static_argnames=("extent", "focal_nodes", "tilt_nodes", "per_tilt"))
def _averaged(
    wave: Array, extent: tuple[float, float], imaging: Imaging, focal_nodes: int, tilt_nodes: int, per_tilt: bool
) -> Array:
    shape = wave.shape[1:] if per_tilt else wave.shape
    kx, ky = plane((shape[-2], shape[-1]), extent)
    spectra = jnp.fft.fft2(wave.reshape(-1 if per_tilt else 1, int(np.prod(shape[:-2])), *shape[-2:]))
    defocus, focal_weights = phase_quadrature(1.0, focal_nodes)
    tilts, tilt_weights = tilt_offsets(1.0, tilt_nodes)

    def of_tilt(total: Array, node: tuple[Array, Array, Array | None]) -> tuple[Array, None]:
        offset, weight, tilted_spectrum = node
        tilted = eqx.tree_at(lambda lens: lens.tilt, imaging, imaging.tilt + imaging.convergence * offset)
        window = transfer(tilted, kx, ky)
        per_c10 = imaging.focal_spread * defocus_phase(kx, ky, imaging.wavelength, tilted.tilt)
        spectrum = spectra[0] if tilted_spectrum is None else tilted_spectrum

        def of_focus(image: Array, item: tuple[Array, Array]) -> tuple[Array, None]:
            turn = window * cis(-item[0] * per_c10)
            return image + (weight * item[1]).astype(image.dtype) * filtered(spectrum, turn), None

        return jax.lax.scan(jax.checkpoint(of_focus), total, (real(defocus), real(focal_weights)))[0], None

    start = jnp.zeros(spectra.shape[1:], spectra.real.dtype)
    nodes = (real(tilts), real(tilt_weights), spectra if per_tilt else None)
    image = jax.lax.scan(jax.checkpoint(of_tilt), start, nodes)[0]
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
    ``tilt_offsets(convergence, tilt_nodes)``; otherwise all tilts share one wave, as for a thin specimen. ValueError if the nodes are
    too few for the phases at hand.
    """
    checks.require_float64()
    check_wave(wave, extent)
    focal_nodes, tilt_nodes = _nodes(imaging, focal_nodes, tilt_nodes)
    if per_tilt and (np.ndim(wave) < 3 or np.shape(wave)[0] != tilt_nodes**2):
        raise ValueError(
            f"per_tilt needs one exit wave for each of {tilt_nodes**2} tilts first; the wave has shape {np.shape(wave)}"
        )
    if checks.known(wave, imaging):
        error = quadrature_error(wave, extent, imaging, focal_nodes, tilt_nodes)
        if error > QUADRATURE_TOLERANCE:
            passed, phases = _rms_phases((np.shape(wave)[-2], np.shape(wave)[-1]), extent, imaging)
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
    passed, phases = _rms_phases((np.shape(wave)[-2], np.shape(wave)[-1]), extent, imaging)
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


class CoherenceDifference(NamedTuple):
    """How far the quasi-coherent image lies from the explicit average, relative to the average's mean: ``maximum`` and ``rms`` over pixels; both images;
    and ``quadrature``, the quadrature error of the explicit average (`quadrature_error`)."""

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
    """Quasi-coherent and averaged image, and their difference: the error of the envelopes."""
    averaged = averaged_image(wave, extent, imaging, focal_nodes, tilt_nodes)
    envelopes = quasi_coherent_image(wave, extent, imaging)
    difference, mean = np.asarray(envelopes - averaged), float(jnp.mean(averaged))
    error = quadrature_error(wave, extent, imaging, *_nodes(imaging, focal_nodes, tilt_nodes))
    return CoherenceDifference(
        float(np.abs(difference).max()) / mean,
        float(np.sqrt(np.mean(difference**2))) / mean,
        envelopes,
        averaged,
        error,
    )
