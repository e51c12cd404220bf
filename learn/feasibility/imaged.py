"""Images of a plane wave (HRTEM) without a change and with it, in the form of scans: one channel at each pixel around the place."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from learn.feasibility.matrices import Matrices
from learn.feasibility.scanned import Scanned
from learn.feasibility.scans import ABERRATIONS, ABOVE, Window
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
    """Images of all hypotheses through ``lens`` at the grid's pixels within the ``window``; rates are relative to an even image; also through ``others`` of
    the lenses that there may be; ``thicker`` as in `scanned`.

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

    def compared(each: Imaging) -> Scanned:
        count, picture = len(waves[0]), mean_image(waves[0], perfect, each)
        halves = np.zeros((min(count, 2), len(changed), len(pixels), 1))
        for first in range(len(halves)):
            before = mean_image(waves[0][first::2], perfect, each)
            for way, wave in enumerate(waves[1:]):
                halves[first, way] = cut(mean_image(wave[first::2], perfect, each) - before, pixels)
        shares = [len(range(count)[first::2]) / count for first in range(len(halves))]
        rates, whole = cut(picture, pixels), np.tensordot(shares, halves, 1)
        slopes = _shifts(perfect, picture, each, pixels)
        if thicker is not None:
            above = mean_image(exit_waves(thicker.amplitudes, thicker), thicker, each)
            slopes[ABOVE] = _shifts(thicker, above, each, pixels)["thickness"]
        return Scanned(
            rates, rates + whole, slopes, covered, np.zeros(0), halves if changed and count > 1 else None
        )  # fmt: skip

    made = compared(lens)
    slopes = {**made.derivatives, **_by_lens(perfect, waves[0], lens, pixels)}
    return made._replace(derivatives=slopes, quantum=np.array(quantum), others=[compared(each) for each in others])


def image_of(matrices: Matrices, window: Window, lens: Imaging) -> Float[np.ndarray, "p 1"]:
    """The mean image within the ``window``, as `imaged` has it."""
    picture = mean_image(exit_waves(matrices.amplitudes, matrices), matrices, lens)
    return cut(picture, pixels_of(matrices, window)[0])


def unknowns_of(
    perfect: Matrices, waves: np.ndarray, picture: np.ndarray, lens: Imaging, pixels: np.ndarray
) -> dict[str, np.ndarray]:
    return {**_shifts(perfect, picture, lens, pixels), **_by_lens(perfect, waves, lens, pixels)}


def _by_lens(perfect: Matrices, waves: np.ndarray, lens: Imaging, pixels: np.ndarray) -> dict[str, np.ndarray]:
    return {name: cut(slope_of(waves, perfect, lens, index(name)), pixels) for name in ABERRATIONS}


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
