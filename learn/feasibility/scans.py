"""Patterns of a probe scanned over one cell around the place of a change, and their derivatives in what is not known of the recording."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from learn.feasibility.matrices import Matrices
from twin.optics.aberrations import index, phase
from twin.optics.electrons import wavelength

STEP = 5.0
"""Half the difference (angstrom) that derivatives in aberrations are taken over."""
ABERRATIONS = ("C10", "C12a", "C12b")
ABOVE = "thickness above"
"""Name of the derivative in thickness towards a thicker crystal; "thickness" is that from a thinner one. They differ where counts oscillate with thickness."""


class Window(NamedTuple):
    """Probe places ``positions`` [ny nx, 2] (x, y), row by row in a ``shape`` (ny, nx), over ``sides`` (x, y), all in angstrom: one period of the perfect
    crystal about the change, so that it repeats."""

    positions: np.ndarray
    shape: tuple[int, int]
    sides: tuple[float, float]

    @property
    def area(self) -> float:
        """In angstrom^2."""
        return self.sides[0] * self.sides[1]


class Probe(NamedTuple):
    """``coefficients`` [25] of the aberrations in angstrom, and ``source``: rms of its image in angstrom."""

    coefficients: np.ndarray
    source: float


def window_of(location: tuple[float, float], sides: tuple[float, float], finest: float) -> Window:
    """Places over one cell of ``sides`` (x, y) in angstrom with ``place`` in its middle, at most ``finest`` angstrom apart."""
    nx, ny = (max(4, int(np.ceil(side / finest))) for side in sides)
    x = location[0] + (np.arange(nx) - nx // 2) * sides[0] / nx
    y = location[1] + (np.arange(ny) - ny // 2) * sides[1] / ny
    return Window(np.stack([part.ravel() for part in np.meshgrid(x, y)], axis=1), (ny, nx), sides)


def patterns_of(
    matrices: Matrices, window: Window, probe: Probe, thinner: bool = False, configurations: slice = slice(None)
) -> Float[np.ndarray, "p pixels"]:
    """Diffraction patterns, shares of the beam, of probes in the ``window``, averaged over ``configurations`` and the source."""
    source = matrices.thinner if thinner else matrices.amplitudes
    assert source is not None
    source = source[configurations]
    incident = incident_of(matrices, window, probe.coefficients)
    total = sum(np.asarray(_intensities(incident, jnp.asarray(each))) for each in source)
    return blurred(np.asarray(total, np.float64) / len(source), window, probe.source)


def derivatives_of(matrices: Matrices, window: Window, probe: Probe) -> dict[str, Float[np.ndarray, "p pixels"]]:
    """Derivatives of `patterns_of`: per angstrom of "x", "y" (the scan's place), of the aberrations, of "source" (rms) and, where there is a thinner matrix,
    of "thickness"."""
    sharp = probe._replace(source=0.0)
    clear = patterns_of(matrices, window, sharp)
    results = place_derivatives(clear, window, probe.source)
    for name in ABERRATIONS:
        change = np.zeros_like(probe.coefficients)
        change[index(name)] = STEP
        more, less = (
            patterns_of(matrices, window, probe._replace(coefficients=probe.coefficients + sign * change))
            for sign in (1.0, -1.0)
        )
        results[name] = (more - less) / (2.0 * STEP)
    return results | _by_thickness(matrices, window, probe, clear)


def shifts_of(
    matrices: Matrices, window: Window, probe: Probe, thicker: Matrices | None = None
) -> dict[str, Float[np.ndarray, "p pixels"]]:
    """Those of `derivatives_of` in which columns of one recording may differ: "x", "y" and "thickness"; with a ``thicker`` crystal `ABOVE`, too."""
    clear = patterns_of(matrices, window, probe._replace(source=0.0))
    places = place_derivatives(clear, window, probe.source)
    shifts = {name: places[name] for name in ("x", "y")} | _by_thickness(matrices, window, probe, clear)
    return shifts | above_of(thicker, window, probe)


def above_of(thicker: Matrices | None, window: Window, probe: Probe) -> dict[str, Float[np.ndarray, "p pixels"]]:
    """The derivative `ABOVE`, where there is a ``thicker`` crystal (one cell, with the thinner one of the same thermal motion)."""
    if thicker is None:
        return {}
    clear = patterns_of(thicker, window, probe._replace(source=0.0))
    return {ABOVE: _by_thickness(thicker, window, probe, clear)["thickness"]}


def _by_thickness(matrices: Matrices, window: Window, probe: Probe, clear: np.ndarray) -> dict[str, np.ndarray]:
    """Where there is a thinner matrix; ``clear``: the patterns of a point source."""
    if matrices.thinner is None:
        return {}
    thin = patterns_of(matrices, window, probe, thinner=True)
    return {"thickness": (blurred(clear, window, probe.source) - thin) / matrices.step}


def place_derivatives(clear: np.ndarray, window: Window, source: float) -> dict[str, np.ndarray]:
    """Derivatives of ``clear`` [p, ...] (of a point source) blurred by a ``source``, per angstrom of "x", "y" and, where it is not a point, "source"."""
    fx, fy = frequencies_of(window)
    damping = np.exp(-2.0 * np.pi**2 * source**2 * (fx**2 + fy**2))
    results = {
        "x": filtered(clear, window, damping * -2j * np.pi * fx),
        "y": filtered(clear, window, damping * -2j * np.pi * fy),
    }
    if source > 0.0:
        results["source"] = filtered(clear, window, damping * -4.0 * np.pi**2 * source * (fx**2 + fy**2))
    return results


def blurred(patterns: np.ndarray, window: Window, source: float) -> np.ndarray:
    """Patterns [p, ...] averaged over a source of rms ``source`` in angstrom."""
    if source == 0.0:
        return patterns
    fx, fy = frequencies_of(window)
    return np.maximum(filtered(patterns, window, np.exp(-2.0 * np.pi**2 * source**2 * (fx**2 + fy**2))), 0.0)


def waves_of(matrices: Matrices, window: Window, probe: Probe) -> Complex[np.ndarray, "configurations p pixels"]:
    """Waves behind the specimen in reciprocal space, of a point source."""
    incident = incident_of(matrices, window, probe.coefficients)
    return np.stack([np.asarray(_waves(incident, jnp.asarray(each))) for each in matrices.amplitudes])


def incident_of(matrices: Matrices, window: Window, coefficients: np.ndarray) -> Complex[Array, "p n"]:
    """Amplitudes [p, n] of the probes' plane waves."""
    k = matrices.bundle.k
    chi = np.asarray(phase(coefficients, k[:, 0], k[:, 1], wavelength(matrices.energy)))
    turns = 2.0 * np.pi * window.positions @ k.T
    return jnp.asarray(matrices.bundle.amplitude * np.exp(-1j * (chi + turns)), jnp.complex64)


@jax.jit
def _waves(incident: Complex[Array, "p n"], matrix: Complex[Array, "n pixels"]) -> Complex[Array, "p pixels"]:
    return incident @ matrix


@jax.jit
def _intensities(incident: Complex[Array, "p n"], matrix: Complex[Array, "n pixels"]) -> Float[Array, "p pixels"]:
    waves = incident @ matrix
    return waves.real**2 + waves.imag**2


def frequencies_of(window: Window) -> tuple[np.ndarray, np.ndarray]:
    ny, nx = window.shape
    return np.fft.fftfreq(nx, window.sides[0] / nx)[None, :], np.fft.fftfreq(ny, window.sides[1] / ny)[:, None]


def filtered(patterns: np.ndarray, window: Window, factors: np.ndarray) -> np.ndarray:
    """Patterns [p, ...] with the frequencies of their places multiplied by ``factors`` [ny, nx]."""
    ny, nx = window.shape
    stack = patterns.reshape(ny, nx, -1)
    spectrum = np.fft.fft2(stack, axes=(0, 1)) * factors[:, :, None]
    return np.fft.ifft2(spectrum, axes=(0, 1)).real.reshape(patterns.shape)


def finest_step(semiangle: float, energy: float) -> float:
    """Angstrom between places that carry all an image can have, two beams of a ``semiangle`` in radian apart at most."""
    return wavelength(energy) / (4.0 * semiangle)
