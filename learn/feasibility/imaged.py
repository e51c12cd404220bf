"""Images of a plane wave (HRTEM) without a change and with it, in the form of scans: one channel at each pixel around the place."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from learn.feasibility.matrices import Matrices
from learn.feasibility.scanned import Scanned
from learn.feasibility.scans import ABERRATIONS, Window
from learn.information import distinguishability
from twin.optics.aberrations import index
from twin.optics.transfer import Imaging, focal_series


def imaged(
    perfect: Matrices,
    changed: Sequence[Matrices],
    window: Window,
    lens: Imaging,
    others: Sequence[Imaging] = (),
    thicker: Matrices | None = None,
) -> Scanned:
    """Images of all hypotheses through ``lens`` at the grid's pixels within the ``window``; rates are relative to an even image. What the change does is also
    taken with ``others`` of the lenses that there may be, ``thicker`` as for `scanned`.

    The matrices must reach as far as the objective aperture. ``quantum`` is of the exit wave, for an electron on the window's area.
    """
    pixels, covered = pixels_of(perfect, window)
    waves = [exit_waves(each.amplitudes, each) for each in (perfect, *changed)]
    field = perfect.extent[0] * perfect.extent[1]
    quantum = [
        distinguishability(spectra_of(perfect.amplitudes, perfect), spectra_of(each.amplitudes, perfect))
        * field
        / window.area
        for each in changed
    ]
    count = len(perfect.amplitudes)
    halves = []
    for first in range(min(count, 2)):
        made = []
        for each in (lens, *others):
            before, *after = (mean_image(wave[first::2], perfect, each) for wave in waves)
            made += [cut(image - before, pixels) for image in after]
        halves.append(np.stack(made) if made else np.zeros((0, len(pixels), 1)))
    shares = [len(range(count)[first::2]) / count for first in range(len(halves))]
    picture = mean_image(waves[0], perfect, lens)
    rates = cut(picture, pixels)
    difference = np.tensordot(shares, np.stack(halves), 1) if changed else np.zeros((0, *rates.shape))
    elsewhere = []
    for number, each in enumerate(others):
        crystal = thicker if thicker and number % 2 == 0 else perfect
        wave = exit_waves(crystal.amplitudes, crystal)
        elsewhere.append(_shifts(crystal, mean_image(wave, crystal, each), each, pixels))
    return Scanned(
        rates, rates + difference, unknowns_of(perfect, waves[0], picture, lens, pixels), covered, np.array(quantum),
        np.stack(halves) if changed and count > 1 else None, None, elsewhere,
    )  # fmt: skip


def image_of(matrices: Matrices, window: Window, lens: Imaging) -> Float[np.ndarray, "p 1"]:
    """The mean image within the ``window``, as `imaged` has it."""
    picture = mean_image(exit_waves(matrices.amplitudes, matrices), matrices, lens)
    return cut(picture, pixels_of(matrices, window)[0])


def unknowns_of(
    perfect: Matrices, waves: np.ndarray, picture: np.ndarray, lens: Imaging, pixels: np.ndarray
) -> dict[str, np.ndarray]:
    results = _shifts(perfect, picture, lens, pixels)
    for name in ABERRATIONS:
        results[name] = cut(slope_of(waves, perfect, lens, index(name)), pixels)
    return results


def _shifts(perfect: Matrices, picture: np.ndarray, lens: Imaging, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Those in which columns of one image may differ."""
    ny, nx = perfect.gpts
    fx, fy = np.fft.fftfreq(nx, perfect.extent[0] / nx)[None, :], np.fft.fftfreq(ny, perfect.extent[1] / ny)[:, None]
    spectrum = np.fft.fft2(picture)
    results = {
        name: cut(np.fft.ifft2(spectrum * -2j * np.pi * along).real, pixels) for name, along in (("x", fx), ("y", fy))
    }
    if perfect.thinner is not None:
        thin = mean_image(exit_waves(perfect.thinner, perfect), perfect, lens)
        results["thickness"] = cut((picture - thin) / perfect.step, pixels)
    return results


def slope_of(waves: np.ndarray, matrices: Matrices, lens: Imaging, which: int) -> np.ndarray:
    """Derivative of the mean image per angstrom of one coefficient."""

    def image(change: Array) -> Array:
        moved = eqx.tree_at(lambda each: each.coefficients, lens, lens.coefficients.at[which].add(change))
        return focal_series(jnp.asarray(waves), matrices.extent, moved, jnp.zeros(1))[0].mean(axis=0)

    return np.asarray(jax.jvp(image, (jnp.zeros(()),), (jnp.ones(()),))[1], np.float64)


def spectra_of(amplitudes: np.ndarray, matrices: Matrices) -> np.ndarray:
    """Beams [configurations, pixels] behind the incident plane wave along the axis."""
    axis = int(np.flatnonzero(~matrices.bundle.indices.any(axis=1))[0])
    return amplitudes[:, axis]


def exit_waves(amplitudes: np.ndarray, matrices: Matrices) -> np.ndarray:
    """Exit waves [configurations, ny, nx] of the plane wave along the axis, 1 in vacuum."""
    beams = spectra_of(amplitudes, matrices)
    flat = np.zeros((len(beams), matrices.gpts[0] * matrices.gpts[1]), np.complex128)
    flat[:, matrices.pixels] = beams
    return np.fft.ifft2(flat.reshape(-1, *matrices.gpts)) * flat.shape[1]


def mean_image(waves: np.ndarray, matrices: Matrices, lens: Imaging) -> np.ndarray:
    images = focal_series(jnp.asarray(waves), matrices.extent, lens, jnp.zeros(1))
    return np.maximum(np.asarray(images[0], np.float64).mean(axis=0), 0.0)


def pixels_of(matrices: Matrices, window: Window) -> tuple[np.ndarray, Window]:
    """Flat indices of the grid's pixels within the ``window``, and the window that they cover."""
    ny, nx = matrices.gpts
    middle = window.positions.reshape(*window.shape, 2)[window.shape[0] // 2, window.shape[1] // 2]
    along = []
    for side, count, centre, width in zip(matrices.extent, (nx, ny), middle, window.sides, strict=True):
        step = side / count
        number = max(1, round(width / step))
        along.append((np.arange(number) - number // 2 + round(centre / step)) % count)
    flat = (along[1][:, None] * nx + along[0][None, :]).ravel()
    x, y = along[0] * matrices.extent[0] / nx, along[1] * matrices.extent[1] / ny
    positions = np.stack([part.ravel() for part in np.meshgrid(x, y)], axis=1)
    sides = (len(along[0]) * matrices.extent[0] / nx, len(along[1]) * matrices.extent[1] / ny)
    return flat, Window(positions, (len(along[1]), len(along[0])), sides)


def cut(picture: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    return picture.ravel()[pixels][:, None]
