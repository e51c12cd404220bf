"""Incident waves: a probe from an aperture with aberrations, or a plane wave; either may be tilted.

C10 refers to the entrance face. A wave is psi(x) = sum_k a_k exp(+2 pi i k.x) with sum |a_k|^2 = 1. Its averages over source size, energy
spread and vibration are in `twin.optics.source`.
"""

import functools
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from twin import checks
from twin.grid import CUTOFF, frequencies, grid
from twin.optics.aberrations import phase, phase_gradient
from twin.optics.electrons import wavelength
from twin.optics.source import gauss_hermite as gauss_hermite
from twin.optics.source import source_offsets as source_offsets
from twin.phases import cis

Tilt = tuple[float, float] | Float[Array | np.ndarray, " 2"]
"""A beam tilt (x, y) in radian: the direction k = tilt / lambda."""
Edge = bool | Literal["electrons"]
"""Of an aperture on a grid, whose beams stand for cells of directions: False cuts it; True gives a beam the share of its cell that lies inside as amplitude, as
the mean wave of the cell has it (images are made of products of amplitudes; abTEM does the same); "electrons" gives it that share as intensity, so that
a pattern holds the disk of the stated semi-angle (with the amplitudes a sixth of a step is missing all around)."""


def aperture(
    gpts: tuple[int, int],
    extent: tuple[float, float],
    energy: float,
    semiangle: float,
    soft: Edge = True,
    centre: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Amplitude of a round aperture of ``semiangle`` radian about ``centre`` (x, y) radian on the grid in FFT order, sum of squares 1; [ny, nx] float64.

    ``soft`` gives it an edge one grid step wide (a beam counts by how far it lies inside, see `Edge`); otherwise it is cut. A beam tilt moves
    the centre. ValueError if no beam of the grid lies inside.
    """
    kx, ky = frequencies(grid(gpts), extent)
    weight = aperture_weight(kx[None, :], ky[:, None], extent, energy, semiangle, soft, centre)
    total = float(np.sum(weight**2))
    if total == 0.0:
        steps = [wavelength(energy) / side for side in extent]
        raise ValueError(
            f"no beam of the grid lies within {semiangle} rad of {tuple(centre)} rad; give a semiangle above the grid's step of {max(steps):.2e} rad, "
            "or a smaller tilt or finer sampling"
        )
    return weight / math.sqrt(total)


def aperture_weight(
    kx: np.ndarray,
    ky: np.ndarray,
    extent: tuple[float, float],
    energy: float,
    semiangle: float,
    soft: Edge = True,
    centre: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Unnormalised amplitude of the aperture at (kx, ky) in 1/angstrom; the soft edge is one step 1/extent wide (their mean)."""
    if not 0.0 < semiangle < 0.2:
        raise ValueError(f"semiangle is {semiangle} rad; give the convergence semi-angle in radian, between 0 and 0.2")
    checks.finite("centre", centre, "give the tilt (x, y) of the aperture's centre in radian")
    length = wavelength(checks.electron_energy(energy))
    angle = np.hypot(length * kx - centre[0], length * ky - centre[1])
    if not soft:
        return (angle <= semiangle).astype(np.float64)
    step = length * 0.5 * (1.0 / extent[0] + 1.0 / extent[1])
    share = np.clip((semiangle - angle) / step + 0.5, 0.0, 1.0)
    return np.sqrt(share) if soft == "electrons" else share


def probe(
    coefficients: Float[Array | np.ndarray, " 25"],
    positions: Float[Array | np.ndarray, "*batch 2"],
    amplitude: Float[Array | np.ndarray, "y x"],
    extent: tuple[float, float],
    energy: float,
    dtype: Any = jnp.complex64,
    axis: Tilt = (0.0, 0.0),
) -> Complex[Array, "*batch y x"]:
    """Incident waves psi(x - r) at ``positions`` r (x, y) in angstrom, aberrations in angstrom, ``amplitude`` as `aperture` gives it.

    Aberrations are those about ``axis`` (x, y) in radian. With the aperture's centre moved and the axis left, the cone passes the lens off
    its axis; with the axis moved along (a tilt below the lens) the same probe comes in tilted.
    """
    x, y = (float(side) for side in extent)
    return _probe(coefficients, positions, amplitude, checks.float64(axis), (x, y), float(energy), dtype)


@functools.partial(jax.jit, static_argnames=("extent", "energy", "dtype"), inline=True)
def _probe(coefficients, positions, amplitude, axis, extent, energy, dtype):
    ny, nx = amplitude.shape
    kx, ky = frequencies((ny, nx), extent)
    grid_x, grid_y = jnp.broadcast_arrays(jnp.asarray(kx)[None, :], jnp.asarray(ky)[:, None])
    length = wavelength(energy)
    about = axis / length
    chi = phase(jnp.asarray(coefficients), grid_x - about[0], grid_y - about[1], length)
    spots = checks.float64(positions)
    lead = (1,) * (spots.ndim - 1)
    along_x, along_y = jnp.asarray(kx).reshape(*lead, 1, nx), jnp.asarray(ky).reshape(*lead, ny, 1)
    shift = spots[..., 0, None, None] * along_x + spots[..., 1, None, None] * along_y
    angle = -chi.reshape(*lead, ny, nx) - 2.0 * jnp.pi * shift
    window = jnp.asarray(amplitude).reshape(*lead, ny, nx)
    spectrum = (cis(angle) * window).astype(dtype)
    return jnp.fft.ifft2(spectrum) * jnp.asarray(ny * nx, spectrum.real.dtype)


def plane_wave(
    gpts: tuple[int, int],
    extent: tuple[float, float],
    energy: float,
    tilt: tuple[float, float] = (0.0, 0.0),
    dtype: Any = jnp.complex64,
) -> Complex[Array, "y x"]:
    """exp(+2 pi i k.x) with k = ``tilt`` / lambda, ``tilt`` (x, y) in radian.

    On a periodic grid k must be one of its frequencies: ValueError otherwise, naming the nearest (`nearest_tilt`). For any other tilt take
    the wave without it, the propagator for specimen tilt minus ``tilt``, and `Imaging`'s tilt: the frame in which the tilted wave is 1.
    """
    ny, nx = grid(gpts)
    near = nearest_tilt(extent, energy, tilt)
    steps = [wavelength(energy) / side for side in extent]
    if any(abs(a - b) > 1e-6 * step for a, b, step in zip(near, tilt, steps, strict=True)):
        raise ValueError(
            f"a plane wave tilted by {tuple(tilt)} rad is not periodic in a cell of {extent} angstrom; the nearest that is, is tilted by {near} rad"
        )
    numbers = [round(value / step) for value, step in zip(near, steps, strict=True)]
    if 2 * abs(numbers[0]) >= nx or 2 * abs(numbers[1]) >= ny:
        raise ValueError(
            f"a tilt of {tuple(tilt)} rad is beyond what a grid of {gpts} points samples; give more points"
        )
    angle_x, angle_y = (2.0 * np.pi * np.arange(n) * m / n for n, m in zip((nx, ny), numbers, strict=True))
    return jnp.asarray(np.exp(1j * (angle_y[:, None] + angle_x[None, :])), dtype)


def nearest_tilt(extent: tuple[float, float], energy: float, tilt: tuple[float, float]) -> tuple[float, float]:
    """The tilt (x, y) in radian nearest to ``tilt`` whose plane wave is periodic over ``extent`` (x, y) angstrom."""
    checks.finite("tilt", tilt, "give the beam tilt (x, y) in radian")
    length = wavelength(checks.electron_energy(energy))
    x, y = (round(value * side / length) * length / side for value, side in zip(tilt, extent, strict=True))
    return x, y


def reach(
    coefficients: Float[np.ndarray, " 25"],
    energy: float,
    semiangle: float,
    centre: tuple[float, float] = (0.0, 0.0),
    axis: tuple[float, float] = (0.0, 0.0),
) -> tuple[float, float]:
    """How far (x, y), in angstrom, aberrations displace any ray within the aperture: the largest |grad chi| / 2 pi."""
    length = wavelength(checks.electron_energy(energy))
    checks.finite("coefficients", coefficients, "give every aberration in angstrom, 0 for none")
    radius, azimuth = np.meshgrid(np.linspace(0.0, semiangle, 65), np.linspace(0.0, 2.0 * np.pi, 97))
    kx = (centre[0] - axis[0] + radius * np.cos(azimuth)) / length
    ky = (centre[1] - axis[1] + radius * np.sin(azimuth)) / length
    displacement = np.abs(np.asarray(phase_gradient(coefficients, kx, ky, length))) / (2.0 * np.pi)
    return float(displacement[0].max()), float(displacement[1].max())


def check_sampling(
    coefficients: Float[np.ndarray, " 25"],
    gpts: tuple[int, int],
    extent: tuple[float, float],
    energy: float,
    semiangle: float,
    centre: tuple[float, float] = (0.0, 0.0),
    axis: tuple[float, float] = (0.0, 0.0),
) -> None:
    """ValueError if the grid cannot hold the probe: if its aperture reaches beyond the band that multislice keeps, or if chi changes by more
    than pi between neighbouring k points where the aperture lets through, when the probe overlaps itself around the periodic cell.

    The change is |grad chi| / extent: it is pi where a ray is displaced by half the cell.
    """
    ny, nx = grid(gpts)
    length = wavelength(checks.electron_energy(energy))
    checks.positive("extent", extent, "give the cell (x, y) in angstrom")
    outer = (semiangle + math.hypot(*centre)) / length
    band = CUTOFF * 0.5 * min(nx / extent[0], ny / extent[1])
    if outer > band:
        need = tuple(math.ceil(2.0 * outer * side / CUTOFF) for side in (extent[1], extent[0]))
        raise ValueError(
            f"the aperture reaches {outer * length * 1e3:.1f} mrad and a grid of {(ny, nx)} points over {extent} angstrom "
            f"keeps {band * length * 1e3:.1f} mrad; give at least {need} points (ny, nx)"
        )
    displacements = reach(coefficients, energy, semiangle, centre, axis)
    if any(2.0 * displacement > side for displacement, side in zip(displacements, extent, strict=True)):
        cell = tuple(math.ceil(20.0 * displacement) / 10.0 for displacement in displacements)
        raise ValueError(
            f"aberrations displace rays by up to {displacements[0]:.1f} (x) and {displacements[1]:.1f} (y) angstrom, so the probe "
            f"overlaps itself in a cell of {extent} angstrom; give a cell of at least {cell} angstrom (x, y), or smaller aberrations or semiangle"
        )
