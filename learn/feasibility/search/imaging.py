"""Images of a plane wave (HRTEM) as smooth functions of defocus, spherical aberration and objective aperture."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from learn.feasibility.imaged import exit_waves, pixels_of
from learn.feasibility.matrices import Matrices
from learn.feasibility.scanned import Unknown
from learn.feasibility.scans import ABERRATIONS, Window
from learn.feasibility.search.smooth import Signals, signals_of
from twin import checks
from twin.optics.aberrations import index
from twin.optics.electrons import wavelength
from twin.optics.transfer import Imaging, focal_series


class ExitWaves(NamedTuple):
    """Exit waves [configurations, y, x] without the change, of a specimen a little thinner (or none), and [k, configurations, y, x] with the change."""

    perfect: Array
    thinner: Array | None
    changed: Array


class Images(NamedTuple):
    """An image of a plane wave of which settings vary: the ``matrices``' field without their amplitudes, exit ``waves``, the ``lens`` that is given, flat
    indices ``pixels`` of those that are counted; what is ``unknown`` and ``readout`` as for `Scans`."""

    matrices: Matrices
    waves: ExitWaves
    lens: Imaging
    pixels: np.ndarray
    unknown: Unknown
    readout: float = 0.0

    def signals(self, settings: Mapping[str, Array | float], waves: ExitWaves) -> Signals:
        """What an electron over the window leaves at ``settings``: "defocus" and "c30" in angstrom, "aperture" in radian, its edge a step wide."""
        values = {name: checks.float64(value) for name, value in settings.items()}
        vector = self.lens.coefficients.at[index("C10")].set(-values["defocus"]).at[index("C30")].set(values["c30"])
        step = wavelength(self.matrices.energy) * 0.5 * sum(1.0 / side for side in self.matrices.extent)
        lens = Imaging(
            vector, self.lens.energy, values["aperture"], step, self.lens.tilt, self.lens.focal_spread,
            self.lens.convergence, self.lens.vibration,
        )  # fmt: skip

        def image(part: Array, moved: Imaging = lens) -> Array:
            return focal_series(part, self.matrices.extent, moved, jnp.zeros(1))[0].mean(axis=0)

        def cut(picture: Array) -> Array:
            return picture.ravel()[self.pixels][:, None]

        plain, altered = image(waves.perfect), jnp.stack([image(each) for each in waves.changed])
        derivatives = {name: cut(each) for name, each in self._moved(plain).items()}
        for name in ABERRATIONS:
            unit = jnp.zeros_like(vector).at[index(name)].set(1.0)
            derivatives[name] = cut(
                jax.jvp(
                    lambda change, unit=unit: image(
                        waves.perfect, eqx.tree_at(lambda each: each.coefficients, lens, vector + change * unit)
                    ),
                    (jnp.zeros(()),),
                    (jnp.ones(()),),
                )[1]
            )
        if waves.thinner is not None:
            derivatives["thickness"] = cut(plain - image(waves.thinner)) / self.matrices.step
        halves = None
        if len(waves.perfect) > 1:
            halves = jnp.stack(
                [
                    jnp.stack([cut(image(each[first::2]) - image(waves.perfect[first::2])) for each in waves.changed])
                    for first in range(2)
                ]
            )
        changed = jnp.stack([cut(each) for each in altered])
        return signals_of(cut(plain), changed, derivatives, halves, self.unknown, self.readout)

    def _moved(self, picture: Array) -> dict[str, Array]:
        """Derivatives of an image in the specimen's place."""
        (ny, nx), (x, y) = self.matrices.gpts, self.matrices.extent
        fx, fy = np.fft.fftfreq(nx, x / nx)[None, :], np.fft.fftfreq(ny, y / ny)[:, None]
        spectrum = jnp.fft.fft2(picture)
        return {name: jnp.fft.ifft2(spectrum * (-2j * np.pi * along)).real for name, along in (("x", fx), ("y", fy))}


def images_of(
    perfect: Matrices,
    changed: Sequence[Matrices],
    window: Window,
    lens: Imaging,
    unknown: Unknown,
    readout: float = 0.0,
) -> Images:
    """The option over the pixels within ``window``."""
    pixels, _ = pixels_of(perfect, window)
    thinner = None if perfect.thinner is None else jnp.asarray(exit_waves(perfect.thinner, perfect))
    waves = ExitWaves(
        jnp.asarray(exit_waves(perfect.amplitudes, perfect)),
        thinner,
        jnp.stack([jnp.asarray(exit_waves(each.amplitudes, each)) for each in changed]),
    )
    light = perfect._replace(amplitudes=np.empty(0), thinner=None)
    return Images(light, waves, lens, pixels, unknown, readout)
